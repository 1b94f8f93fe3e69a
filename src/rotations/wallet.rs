//! The replacement of a wallet. A wallet is its key, so a new key is a new wallet: with an API key of
//! its own, taking the orders from a moment on, while the old one is drained, loses its API key, and is
//! closed.
//!
//! It promises that from the cut-over on nothing is signed that could become a new order of the old
//! wallet, and that callers are told who takes them; that cancelling and reading go on until the end;
//! and that no API key is deleted while the venue lists an order.

use serde_json::json;
use time::OffsetDateTime;

use super::{Kind, Order, Rotation, RotationError, Rotations, State, Step, Subject};
use crate::audit::Batch;
use crate::clob::api_keys::{ApiKeyError, ApiKeys, KeyRequest};
use crate::clob::drains::{DrainError, Drains, Proven};
use crate::clob::wallets::{NewWallet, Wallet, WalletError, Wallets};
use crate::credentials::{self, CredentialNonce, State as CredentialState};
use crate::custody::Generated;
use crate::ethereum::Address;
use crate::fail_point;
use crate::id::{CallerId, RotationId, WalletId};
use crate::keys::{KeyError, KeyState, Keys, NewKey, Purpose, Reason};
use crate::ledger::LedgerError;
use crate::name::Name;

/// What it takes to replace a wallet.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWalletRotation)]
pub struct Opening {
    /// The new key's name. Owner and environment are the old one's.
    #[schema(value_type = String, example = "desk-1-wallet-2029")]
    pub key: Name,
    /// The `[custody.NAME]` section of the device that makes it; the old one's unless it is said.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub backend: Option<Name>,
    /// How many days the new key is in use.
    #[serde(default)]
    pub cryptoperiod_days: Option<u16>,
    /// When all is to be done.
    #[serde(with = "time::serde::rfc3339")]
    pub target_at: OffsetDateTime,
    /// Why, for the record: 1 to 500 characters.
    #[schema(value_type = String)]
    pub reason: Reason,
}

/// The new wallet. Chain and owner are the old one's.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProfile {
    /// A name that no other wallet has.
    #[schema(value_type = String, example = "desk-1-main-2029")]
    pub name: Name,
    /// Who pays, if that does not follow from the key: the old wallet, where it is a contract whose owner
    /// was changed.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub funder: Option<Address>,
    /// Take a funder that does not follow from the key.
    #[serde(default)]
    pub funder_unverified: bool,
}

/// How the new wallet came to its API key.
#[derive(Clone, Debug)]
pub enum Credentialed {
    /// Made or derived with a nonce on record.
    With {
        /// The API key.
        api_key: String,
        /// The nonce.
        nonce: CredentialNonce,
        /// Whether it has worked.
        state: CredentialState,
    },
    /// It has none here, and somebody says why.
    Without(Reason),
}

/// Why a wallet is not replaced.
#[derive(Debug, thiserror::Error)]
pub enum WalletRotationError {
    /// No rotation of it.
    #[error("no rotation of this wallet was opened")]
    None,
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
pub struct Parts {
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
    pub fn new(parts: Parts) -> Self {
        let Parts {
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

    /// The latest rotation of a wallet.
    pub async fn of(&self, wallet: &Wallet) -> Moved {
        let latest = self.rotations.latest_of(wallet.id.uuid()).await?;
        latest.ok_or(WalletRotationError::None)
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
    pub async fn open(
        &self,
        wallet: &Wallet,
        opening: &Opening,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Moved {
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
                name: opening.key.clone(),
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
        let opened = self
            .rotations
            .begin(&subject, order, &evidence, actor, batch);
        Ok(opened.await?)
    }

    /// Has the new key made, or finds the one that was made.
    pub async fn generate(
        &self,
        id: RotationId,
        actor: CallerId,
    ) -> Result<Generated, WalletRotationError> {
        Ok(self.rotations.generate(id, actor).await?.1)
    }

    /// Records the new key.
    pub async fn generated(
        &self,
        id: RotationId,
        made: &Generated,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Moved {
        Ok(self.rotations.generated(id, made, actor, batch).await?)
    }

    /// Puts the new wallet on record and activates its key: it has to log in to get an API key. Stands at
    /// the exclusive gate, like all that follows but the API keys' own work.
    pub async fn profile(
        &self,
        (id, old): (RotationId, &Wallet),
        profile: &NewProfile,
        reason: &Reason,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Moved {
        let rotation = self.rotations.locked(id, Step::Profile, batch).await?;
        let key = self.rotations.new_key(&rotation, batch).await?;
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
        let wallet = self.wallets.create(&new, actor, batch).await?;
        if key.state == KeyState::PreActivation {
            let to = KeyState::Active;
            self.keys.step(&key, to, reason, actor, batch).await?;
        }
        let subject = wallet.id.uuid();
        self.rotations
            .set_new_subject(&rotation, subject, batch)
            .await?;
        let evidence = json!({
            "wallet": wallet.name, "address": wallet.profile.key_address(),
            "maker": wallet.profile.maker(), "key": key.name,
        });
        self.take(
            &rotation,
            Step::Profile,
            State::Profiled,
            &evidence,
            actor,
            batch,
        )
        .await
    }

    /// Makes the new wallet's API key, or derives the one that was made.
    pub async fn make_credential(
        &self,
        wish: &KeyRequest,
        nonce: CredentialNonce,
    ) -> Result<Credentialed, WalletRotationError> {
        let made = self.api_keys.create_or_derive(wish, nonce, None).await?;
        fail_point!("wallet-credential-made");
        Ok(Credentialed::With {
            api_key: made.credential.api_key,
            nonce,
            state: made.credential.state,
        })
    }

    /// Records that the new wallet has its API key, or none.
    pub async fn credentialed(
        &self,
        id: RotationId,
        credential: &Credentialed,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Moved {
        let rotation = self.rotations.locked(id, Step::Credential, batch).await?;
        let evidence = match credential {
            Credentialed::With {
                api_key,
                nonce,
                state,
            } => json!({ "apiKey": api_key, "nonce": nonce, "state": state }),
            Credentialed::Without(reason) => json!({ "without": reason }),
        };
        let to = State::Credentialed;
        self.take(&rotation, Step::Credential, to, &evidence, actor, batch)
            .await
    }

    /// From here on the new wallet takes the orders. The old one's key retires, which other wallets of
    /// the same key feel too: `stops` names all of them.
    pub async fn cut_over(
        &self,
        (id, old): (RotationId, &Wallet),
        stops: &[Name],
        reason: &Reason,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Moved {
        let rotation = self.rotations.locked(id, Step::CutOver, batch).await?;
        let mut others = self.wallets.of_key(&old.key).await?;
        others.retain(|it| it.id != old.id && it.successor.is_none());
        if others.iter().any(|it| !stops.contains(&it.name)) {
            let others = others.into_iter().map(|it| it.name);
            return Err(WalletRotationError::Others(others.collect()));
        }
        let new = self.rotations.new_key(&rotation, batch).await?;
        if new.state != KeyState::Active {
            return Err(WalletRotationError::NewKeyNotActive(new.state.name()));
        }
        let old_key = self.keys.within(rotation.old_key, batch).await?;
        // One that is suspended or worse signs nothing anyway, and stays what it is.
        if old_key.state == KeyState::Active {
            let to = KeyState::Retiring;
            self.keys.step(&old_key, to, reason, actor, batch).await?;
        }
        let successor = rotation.new_subject.map(WalletId::from);
        self.wallets.set_successor(old.id, successor, batch).await?;
        let evidence = json!({
            "from": old.name, "to": successor, "stops": stops, "reason": reason,
            "old_key_was": old_key.state,
        });
        self.take(
            &rotation,
            Step::CutOver,
            State::CutOver,
            &evidence,
            actor,
            batch,
        )
        .await
    }

    /// Shows that no order of the old wallet is open: at the venue, or because people say so.
    pub async fn prove_drained(
        &self,
        wish: &KeyRequest,
        said: Option<Reason>,
    ) -> Result<Proven, WalletRotationError> {
        let proven = self.drains.prove(wish, said).await?;
        fail_point!("wallet-emptied");
        Ok(proven)
    }

    /// Records it.
    pub async fn drained(
        &self,
        (id, old): (RotationId, &Wallet),
        proven: &Proven,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Moved {
        let rotation = self.rotations.locked(id, Step::Drain, batch).await?;
        let evidence = self.drains.record(old, proven, actor, batch).await?;
        self.take(
            &rotation,
            Step::Drain,
            State::Drained,
            &evidence,
            actor,
            batch,
        )
        .await
    }

    /// Deletes the old wallet's API keys, once it was seen again that nothing is open: who holds a secret
    /// may have posted since. Again and again, if need be.
    pub async fn delete_credentials(
        &self,
        wish: &KeyRequest,
    ) -> Result<Option<Proven>, WalletRotationError> {
        let of_wallet = self.api_keys.on_record(wish).await?;
        if credentials::in_use(credentials::Kind::Trading, of_wallet.clone()).is_none() {
            return Ok(None);
        }
        let proven = self.drains.prove(wish, None).await?;
        fail_point!("wallet-emptied-again");
        for credential in of_wallet.into_iter().filter(may_be_live) {
            self.api_keys.delete(wish, credential).await?;
        }
        fail_point!("wallet-credentials-deleted");
        Ok(Some(proven))
    }

    /// Records that the old wallet has no API key any more.
    pub async fn credentials_deleted(
        &self,
        (id, wish): (RotationId, &KeyRequest),
        proven: Option<&Proven>,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Moved {
        let rotation = self
            .rotations
            .locked(id, Step::DeleteCredential, batch)
            .await?;
        let all = self.api_keys.on_record(wish).await?;
        if let Some(live) = all.iter().find(|it| may_be_live(it)) {
            return Err(WalletRotationError::CredentialLives(live.api_key.clone()));
        }
        let drain = match proven {
            Some(proven) => Some(
                self.drains
                    .record(&wish.wallet, proven, actor, batch)
                    .await?,
            ),
            None => None,
        };
        let all = all
            .iter()
            .filter(|it| it.kind == credentials::Kind::Trading);
        let keys: Vec<_> = all
            .map(|it| json!({ "apiKey": it.api_key, "state": it.state }))
            .collect();
        let evidence = json!({ "credentials": keys, "drain": drain });
        let (step, to) = (Step::DeleteCredential, State::CredentialDeleted);
        self.take(&rotation, step, to, &evidence, actor, batch)
            .await
    }

    /// Deactivates the old key and closes the old wallet. `reason` says who saw that nothing is left.
    pub async fn close(
        &self,
        (id, old): (RotationId, &Wallet),
        reason: &Reason,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Moved {
        let rotation = self.rotations.locked(id, Step::Close, batch).await?;
        let mut key = self.keys.within(rotation.old_key, batch).await?;
        if matches!(key.state, KeyState::Retiring | KeyState::Suspended) {
            let to = KeyState::Deactivated;
            key = self.keys.step(&key, to, reason, actor, batch).await?;
        }
        let evidence = json!({ "wallet": old.name, "old_key": key.state, "reason": reason });
        let wallet = Wallet { key, ..old.clone() };
        self.wallets.close(&wallet, reason, actor, batch).await?;
        self.take(
            &rotation,
            Step::Close,
            State::Closed,
            &evidence,
            actor,
            batch,
        )
        .await
    }

    /// Gives up before the cut-over. The new key, if it signs, retires.
    pub async fn abandon(
        &self,
        id: RotationId,
        reason: &Reason,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Moved {
        let rotation = self.rotations.locked(id, Step::Abandon, batch).await?;
        self.retire_new(&rotation, reason, actor, batch).await?;
        let evidence = json!({ "reason": reason });
        self.take(
            &rotation,
            Step::Abandon,
            State::Abandoned,
            &evidence,
            actor,
            batch,
        )
        .await
    }

    /// Goes back to the old wallet, before it was drained. The new key retires: its orders can be
    /// cancelled, and no more are signed.
    pub async fn roll_back(
        &self,
        (id, old): (RotationId, &Wallet),
        reason: &Reason,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Moved {
        let rotation = self.rotations.locked(id, Step::RollBack, batch).await?;
        let key = self.keys.within(rotation.old_key, batch).await?;
        let to = KeyState::Active;
        self.keys.step(&key, to, reason, actor, batch).await?;
        self.wallets.set_successor(old.id, None, batch).await?;
        self.retire_new(&rotation, reason, actor, batch).await?;
        let evidence = json!({ "reason": reason });
        self.take(
            &rotation,
            Step::RollBack,
            State::RolledBack,
            &evidence,
            actor,
            batch,
        )
        .await
    }

    async fn retire_new(
        &self,
        rotation: &Rotation,
        reason: &Reason,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Result<(), WalletRotationError> {
        if rotation.new_key.is_none() {
            return Ok(());
        }
        let key = self.rotations.new_key(rotation, batch).await?;
        if key.state == KeyState::Active {
            let to = KeyState::Retiring;
            self.keys.step(&key, to, reason, actor, batch).await?;
        }
        Ok(())
    }

    async fn take(
        &self,
        rotation: &Rotation,
        step: Step,
        to: State,
        evidence: &serde_json::Value,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Moved {
        let taken = self
            .rotations
            .take(rotation, step, to, evidence, actor, batch);
        Ok(taken.await?)
    }
}

fn may_be_live(credential: &credentials::Credential) -> bool {
    credential.kind == credentials::Kind::Trading
        && matches!(
            credential.state,
            CredentialState::Live | CredentialState::Unproven
        )
}
