//! The replacement of a wallet. A wallet is its key, so a new key is a new wallet: with an API key of
//! its own, taking the orders from a moment on, while the old one is drained, loses its API key, and is
//! closed.
//!
//! It promises that from the cut-over on nothing is signed that could become a new order of the old
//! wallet, and that callers are told who takes them; that cancelling and reading go on until the end;
//! and that no API key is deleted while the venue lists an order.

mod emptying;

use serde_json::json;

use super::particulars::NewProfile;
use super::steps::WalletStep;
use super::{Kind, NewRotation, Order, Rotation, RotationError, Rotations, State, Step, Subject};
use crate::audit::Change;
use crate::callers::Caller;
use crate::clob::api_keys::{ApiKeyError, ApiKeys, KeyRequest};
use crate::clob::drains::{DrainError, Drains, Proven};
use crate::clob::wallets::{NewWallet, Wallet, WalletError, Wallets};
use crate::custody::DeviceKey;
use crate::id::{RotationId, WalletId};
use crate::idempotency::RequestDigest;
use crate::keys::{KeyError, KeyState, Keys, NewKey, Purpose, Reason};
use crate::ledger::LedgerError;
use crate::name::Name;
use crate::policy::Permit;
use emptying::Credentialed;

/// What a step took outside, at the device or the CLOB, before it is recorded.
pub enum Prepared {
    /// Nothing.
    Nothing,
    /// The new key.
    Key(DeviceKey),
    /// The new wallet's API key.
    Credential(Credentialed),
    /// That no order of the old wallet is open.
    Drained(Proven),
    /// That its API keys are deleted; and that no order was open, where there were any.
    Deleted(Box<KeyRequest>, Option<Proven>),
}

/// Why a wallet is not replaced.
#[derive(Debug, thiserror::Error)]
pub enum WalletRotationError {
    /// It is over already.
    #[error("the wallet is closed, or has a successor")]
    Over,
    /// Other wallets have the key too.
    #[error("the key signs for other wallets as well: {}; name all of them in stops", names(.0))]
    Others(Vec<Name>),
    /// The new wallet's key was moved out of the way.
    #[error("the new wallet's key is {0}, not active")]
    NewKeyNotActive(&'static str),
    /// An API key of the old wallet may be live.
    #[error("API key {0} of the old wallet may be live")]
    CredentialLives(String),
    /// The rotation.
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// The wallet.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The drain.
    #[error(transparent)]
    Drain(#[from] DrainError),
    /// The API key.
    #[error(transparent)]
    ApiKey(#[from] ApiKeyError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

fn names(names: &[Name]) -> String {
    let names: Vec<_> = names.iter().map(Name::as_str).collect();
    names.join(", ")
}

/// Replaces wallets. Cheap to clone.
#[derive(Clone)]
pub struct WalletRotations {
    rotations: Rotations,
    wallets: Wallets,
    keys: Keys,
    api_keys: ApiKeys,
    drains: Drains,
}

/// What [`WalletRotations`] works with.
pub struct Tools {
    /// The frame.
    pub rotations: Rotations,
    /// The wallets.
    pub wallets: Wallets,
    /// Their keys.
    pub keys: Keys,
    /// Their API keys.
    pub api_keys: ApiKeys,
    /// Whether orders are open.
    pub drains: Drains,
}

type Moved = Result<Rotation, WalletRotationError>;

impl WalletRotations {
    /// Rotations of wallets, with these parts.
    pub fn new(parts: Tools) -> Self {
        let Tools {
            rotations,
            wallets,
            keys,
            api_keys,
            drains,
        } = parts;
        Self {
            rotations,
            wallets,
            keys,
            api_keys,
            drains,
        }
    }

    /// The wallet that takes the other one's place.
    pub async fn successor(
        &self,
        rotation: &Rotation,
    ) -> Result<Option<Wallet>, WalletRotationError> {
        match rotation.new_subject {
            Some(id) => Ok(self.wallets.by_id(WalletId::from(id)).await?),
            None => Ok(None),
        }
    }

    /// Opens a rotation.
    pub async fn open(&self, wallet: &Wallet, opening: &NewRotation, change: &mut Change) -> Moved {
        if wallet.closed_at.is_some() || wallet.successor.is_some() {
            return Err(WalletRotationError::Over);
        }
        let old = &wallet.key;
        let subject = Subject {
            kind: Kind::Wallet,
            id: wallet.id.uuid(),
            key: old.clone(),
        };
        let order = Order {
            key: NewKey {
                name: opening.new_key.clone(),
                purpose: Purpose::Wallet,
                algorithm: None,
                backend: opening.backend.as_ref().unwrap_or(&old.backend).clone(),
                environment: old.environment.clone(),
                owner: old.owner.clone(),
                cryptoperiod_days: opening.cryptoperiod_days,
            },
            target_at: opening.target_at,
            emergency: false,
        };
        let evidence = json!({ "wallet": wallet.name, "key": old.name, "reason": opening.reason });
        let opened = self.rotations.begin(&subject, order, &evidence, change);
        Ok(opened.await?)
    }

    /// Does what a step takes at the device or the CLOB. The step is taken with
    /// [`advance`](Self::advance).
    pub async fn prepare(
        &self,
        rotation: &Rotation,
        old: &Wallet,
        step: &WalletStep,
        (caller, permit): (&Caller, &Permit),
        request: RequestDigest,
    ) -> Result<Prepared, WalletRotationError> {
        // Before the CLOB is asked for anything.
        rotation.takes(step.step()).map_err(RotationError::from)?;
        // The calls to the CLOB come with the right to rotate.
        let wish = |wallet: Wallet| KeyRequest {
            caller: caller.clone(),
            wallet,
            permit: permit.clone(),
            request,
        };
        match step {
            WalletStep::Generate {} => {
                let (_, made) = self.rotations.generate(rotation.id, permit).await?;
                Ok(Prepared::Key(made))
            }
            WalletStep::Credential {
                without: Some(reason),
                ..
            } => Ok(Prepared::Credential(Credentialed::Without(reason.clone()))),
            WalletStep::Credential {
                nonce,
                without: None,
            } => {
                let new = self
                    .successor(rotation)
                    .await?
                    .ok_or(WalletError::NotFound)?;
                let made = self
                    .make_credential(&wish(new), nonce.unwrap_or_default())
                    .await?;
                Ok(Prepared::Credential(made))
            }
            WalletStep::Drain { said } => {
                let proven = self.prove_drained(&wish(old.clone()), said.clone()).await?;
                Ok(Prepared::Drained(proven))
            }
            WalletStep::DeleteCredential {} => {
                let wish = wish(old.clone());
                let proven = self.delete_credentials(&wish).await?;
                Ok(Prepared::Deleted(Box::new(wish), proven))
            }
            _ => Ok(Prepared::Nothing),
        }
    }

    /// Takes a step, at the gate that it [names](WalletStep::gate).
    pub async fn advance(
        &self,
        (id, old): (RotationId, &Wallet),
        step: &WalletStep,
        prepared: &Prepared,
        change: &mut Change,
    ) -> Moved {
        match (step, prepared) {
            (WalletStep::Generate {}, Prepared::Key(made)) => {
                Ok(self.rotations.generated(id, made, change).await?)
            }
            (WalletStep::Credential { .. }, Prepared::Credential(made)) => {
                self.credentialed(id, made, change).await
            }
            (WalletStep::Drain { .. }, Prepared::Drained(proven)) => {
                self.drained((id, old), proven, change).await
            }
            (WalletStep::DeleteCredential {}, Prepared::Deleted(wish, proven)) => {
                self.credentials_deleted((id, wish), proven.as_ref(), change)
                    .await
            }
            (WalletStep::Profile { wallet, reason }, _) => {
                self.profile((id, old), wallet, reason, change).await
            }
            (WalletStep::CutOver { stops, reason }, _) => {
                self.cut_over((id, old), stops, reason, change).await
            }
            (WalletStep::Close(why), _) => self.close((id, old), &why.reason, change).await,
            (WalletStep::Abandon(why), _) => self.abandon(id, &why.reason, change).await,
            (WalletStep::RollBack(why), _) => self.roll_back((id, old), &why.reason, change).await,
            (
                WalletStep::Generate {}
                | WalletStep::Credential { .. }
                | WalletStep::Drain { .. }
                | WalletStep::DeleteCredential {},
                _,
            ) => Err(RotationError::Changed.into()),
        }
    }

    /// Puts the new wallet on record and activates its key: it has to log in to get an API key.
    async fn profile(
        &self,
        (id, old): (RotationId, &Wallet),
        profile: &NewProfile,
        reason: &Reason,
        change: &mut Change,
    ) -> Moved {
        let rotation = self.rotations.locked(id, Step::Profile, change).await?;
        let key = self.rotations.new_key(&rotation, change).await?;
        let new = NewWallet {
            name: profile.name.clone(),
            owner: old.owner.clone(),
            key: key.name.clone(),
            chain: old.profile.chain(),
            signature_type: old.profile.signature_type(),
            funder: profile.funder,
            session_key: old.profile.session_key(),
            funder_unverified: profile.funder_unverified,
            allow_replace: false,
        };
        let wallet = self.wallets.create(&new, change).await?;
        if key.state == KeyState::PreActivation {
            let to = KeyState::Active;
            self.keys.step(&key, to, reason, change).await?;
        }
        let subject = wallet.id.uuid();
        self.rotations
            .set_new_subject(&rotation, subject, change)
            .await?;
        let evidence = json!({
            "wallet": wallet.name, "address": wallet.profile.key_address(),
            "maker": wallet.profile.maker(), "key": key.name,
        });
        self.take(&rotation, Step::Profile, State::Profiled, &evidence, change)
            .await
    }

    /// From here on the new wallet takes the orders. The old one's key retires, which other wallets of
    /// the same key feel too: `stops` names all of them.
    async fn cut_over(
        &self,
        (id, old): (RotationId, &Wallet),
        stops: &[Name],
        reason: &Reason,
        change: &mut Change,
    ) -> Moved {
        let rotation = self.rotations.locked(id, Step::CutOver, change).await?;
        let mut others = self.wallets.of_key(&old.key).await?;
        others.retain(|it| it.id != old.id && it.successor.is_none());
        if others.iter().any(|it| !stops.contains(&it.name)) {
            let others = others.into_iter().map(|it| it.name);
            return Err(WalletRotationError::Others(others.collect()));
        }
        let new = self.rotations.new_key(&rotation, change).await?;
        if new.state != KeyState::Active {
            return Err(WalletRotationError::NewKeyNotActive(new.state.name()));
        }
        let old_key = self.keys.within(rotation.old_key, change).await?;
        // One that is suspended or worse signs nothing anyway, and stays what it is.
        if old_key.state == KeyState::Active {
            let to = KeyState::Retiring;
            self.keys.step(&old_key, to, reason, change).await?;
        }
        let successor = rotation.new_subject.map(WalletId::from);
        self.wallets
            .set_successor(old.id, successor, change)
            .await?;
        let evidence = json!({
            "from": old.name, "to": successor, "stops": stops, "reason": reason,
            "old_key_was": old_key.state,
        });
        self.take(&rotation, Step::CutOver, State::CutOver, &evidence, change)
            .await
    }

    /// Deactivates the old key and closes the old wallet. `reason` says who saw that nothing is left.
    async fn close(
        &self,
        (id, old): (RotationId, &Wallet),
        reason: &Reason,
        change: &mut Change,
    ) -> Moved {
        let rotation = self.rotations.locked(id, Step::Close, change).await?;
        let mut key = self.keys.within(rotation.old_key, change).await?;
        if matches!(key.state, KeyState::Retiring | KeyState::Suspended) {
            let to = KeyState::Deactivated;
            key = self.keys.step(&key, to, reason, change).await?;
        }
        let evidence = json!({ "wallet": old.name, "old_key": key.state, "reason": reason });
        let wallet = Wallet { key, ..old.clone() };
        self.wallets.close(&wallet, reason, change).await?;
        self.take(&rotation, Step::Close, State::Closed, &evidence, change)
            .await
    }

    /// Gives up before the cut-over. The new key, if it signs, retires.
    async fn abandon(&self, id: RotationId, reason: &Reason, change: &mut Change) -> Moved {
        let rotation = self.rotations.locked(id, Step::Abandon, change).await?;
        self.retire_new(&rotation, reason, change).await?;
        let evidence = json!({ "reason": reason });
        self.take(
            &rotation,
            Step::Abandon,
            State::Abandoned,
            &evidence,
            change,
        )
        .await
    }

    /// Goes back to the old wallet, before it was drained. The new key retires: its orders can be
    /// cancelled, and no more are signed.
    async fn roll_back(
        &self,
        (id, old): (RotationId, &Wallet),
        reason: &Reason,
        change: &mut Change,
    ) -> Moved {
        let rotation = self.rotations.locked(id, Step::RollBack, change).await?;
        let key = self.keys.within(rotation.old_key, change).await?;
        let to = KeyState::Active;
        self.keys.step(&key, to, reason, change).await?;
        self.wallets.set_successor(old.id, None, change).await?;
        self.retire_new(&rotation, reason, change).await?;
        let evidence = json!({ "reason": reason });
        self.take(
            &rotation,
            Step::RollBack,
            State::RolledBack,
            &evidence,
            change,
        )
        .await
    }

    async fn retire_new(
        &self,
        rotation: &Rotation,
        reason: &Reason,
        change: &mut Change,
    ) -> Result<(), WalletRotationError> {
        if rotation.new_key.is_none() {
            return Ok(());
        }
        let key = self.rotations.new_key(rotation, change).await?;
        if key.state == KeyState::Active {
            let to = KeyState::Retiring;
            self.keys.step(&key, to, reason, change).await?;
        }
        Ok(())
    }

    async fn take(
        &self,
        rotation: &Rotation,
        step: Step,
        to: State,
        evidence: &serde_json::Value,
        change: &mut Change,
    ) -> Moved {
        let taken = self.rotations.take(rotation, step, to, evidence, change);
        Ok(taken.await?)
    }
}
