//! Wallets: a key, and for whom it signs on which chain.

pub(super) mod funder;
mod recent;
pub(crate) mod records;

use std::sync::Arc;

use time::OffsetDateTime;

use super::warning::Warning;
use super::{Chain, Derived, Profile, ProfileError, SignatureType};
use crate::audit::Change;
use crate::authority::{Authority, Kind, Proved, Said, Snapshot, Statement, Unlike, Version, form};
use crate::clock::Clock;
use crate::ethereum::Address;
use crate::halts::Touches;
use crate::id::WalletId;
use crate::keys::{Key, KeyError, KeyState, Keys, Purpose, Reason};
use crate::ledger::LedgerError;
use crate::name::Name;
use crate::policy::{Resource, Stake};
pub use funder::FunderError;
use recent::Recent;

/// A wallet on record.
#[derive(Clone, Debug)]
pub struct Wallet {
    /// Its id.
    pub id: WalletId,
    /// Its name.
    pub name: Name,
    /// The desk or team.
    pub owner: Name,
    /// The key that signs for it.
    pub key: Key,
    /// Chain, signature type, signer, funder.
    pub profile: Profile,
    /// Somebody said to take a funder that does not follow from the key.
    pub funder_unverified: bool,
    /// A raw `ClobAuth` may use a new nonce although the wallet has a live credential.
    pub allow_replace: bool,
    /// When it was put on record.
    pub created_at: OffsetDateTime,
    /// The wallet that takes its orders.
    pub successor: Option<Name>,
    /// Since when nothing is left of it.
    pub closed_at: Option<OffsetDateTime>,
    /// By which version its row says so; 0: nobody has compared it.
    pub stated: Version,
}

impl Proved for Wallet {
    fn prove(&mut self, by: &Snapshot) -> Result<(), Unlike> {
        self.key.prove(by)?;
        self.stated = by.proves(&self.said())?;
        Ok(())
    }
}

impl Wallet {
    /// What its row says.
    fn said(&self) -> Said {
        let form = form::Wallet {
            name: self.name.to_string(),
            owner: self.owner.to_string(),
            key: self.key.id.uuid(),
            chain: self.profile.chain().id(),
            signature_type: self.profile.signature_type().number(),
            funder: self.profile.funder().map(|it| hex::encode(it.0)),
            session_key: self.profile.session_key(),
            funder_unverified: self.funder_unverified,
            allow_replace: self.allow_replace,
            successor: self.successor.as_ref().map(ToString::to_string),
            closed: self.closed_at.is_some(),
        };
        Said::of(self.id, Some(&form))
    }

    /// By which versions its row says what this says, and its key's.
    fn statements(&self) -> [Statement; 2] {
        let wallet = Statement {
            kind: Kind::Wallet,
            id: self.id.uuid(),
            version: self.stated,
        };
        [wallet, self.key.statement()]
    }

    /// Whether it, or its key, was stated anew since it was read before.
    pub fn is_restated(&self, before: &Self) -> bool {
        self.statements() != before.statements()
    }

    /// The wallet as policies see it.
    pub fn resource(&self) -> Resource {
        let touches = Touches {
            key: Some(self.key.id),
            wallet: Some(self.id),
            client: None,
        };
        Resource::owned("Wallet", &self.name, &self.owner, &self.key.environment)
            .touching(touches)
            .stated(self.statements().map(Some))
    }

    /// What follows from the key's address on chain 137.
    pub fn derived(&self) -> Derived {
        Derived::of(self.profile.key_address())
    }

    /// What somebody who uses it should know.
    pub fn warnings(&self) -> Vec<Warning> {
        funder::warnings(&self.profile, &self.derived())
    }
}

/// What it takes to make a wallet.
#[derive(Clone, Debug, clap::Args, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWallet {
    /// A name that no other wallet has.
    #[schema(value_type = String, example = "desk-1-main")]
    pub name: Name,
    /// The desk or team.
    #[arg(long)]
    #[schema(value_type = String, example = "desk-1")]
    pub owner: Name,
    /// The key that signs for it.
    #[arg(long)]
    #[schema(value_type = String, example = "desk-1-wallet-2026")]
    pub key: Name,
    /// 137 (Polygon) or 80002 (Amoy).
    #[arg(long = "chain-id", value_name = "CHAIN_ID")]
    #[serde(rename = "chainId")]
    #[schema(value_type = u64, example = 137)]
    pub chain: Chain,
    /// 0 EOA, 1 `POLY_PROXY`, 2 `POLY_GNOSIS_SAFE`, 3 `POLY_1271`.
    #[arg(long, default_value = "0")]
    #[serde(rename = "signatureType", default = "default_signature_type")]
    #[schema(value_type = u8, default = 0, maximum = 3)]
    pub signature_type: SignatureType,
    /// Who pays: for type 0 the key's own address, for 1 and 2 the wallet that follows from the key on
    /// chain 137, unless it is said.
    #[arg(long)]
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub funder: Option<Address>,
    /// `POLY_1271` only: the key is a session key of a wallet that was not derived from it.
    #[arg(long)]
    #[serde(default)]
    pub session_key: bool,
    /// Take a funder that does not follow from the key. Refused otherwise on chain 137.
    #[arg(long)]
    #[serde(default)]
    pub funder_unverified: bool,
    /// Let a raw `ClobAuth` of a remote signer use a new nonce although the wallet has a live
    /// credential, which that replaces.
    #[arg(long)]
    #[serde(default)]
    pub allow_replace: bool,
}

impl NewWallet {
    /// What policies see of it. `funder` is empty where it is to follow from the key.
    pub fn stake(&self, key: &Key) -> Stake {
        let funder = self.funder.as_ref().map(super::stake::funder);
        Stake::new()
            .text("owner", self.owner.to_string())
            .text("environment", key.environment.to_string())
            .text("key", key.name.to_string())
            .text("key_owner", key.owner.to_string())
            .number("chain", self.chain.id())
            .code("signature_type", self.signature_type.number())
            .text("funder", funder.unwrap_or_default())
            .flag("funder_unverified", self.funder_unverified)
            .flag("allow_replace", self.allow_replace)
    }
}

fn default_signature_type() -> SignatureType {
    SignatureType::Eoa
}

/// Why a wallet was not made or found.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// The name is taken.
    #[error("a wallet with this name exists")]
    NameTaken,
    /// No wallet has this name.
    #[error("no such wallet")]
    NotFound,
    /// It may be in use still.
    #[error(
        "the wallet's key is {0}; a wallet is closed when its key is deactivated or compromised"
    )]
    NotOver(&'static str),
    /// It was closed before.
    #[error("the wallet is closed")]
    Closed,
    /// The key is for something else, or was never made.
    #[error("the key is not a wallet key that its device has made")]
    WrongKey,
    /// The key is another desk's.
    #[error("the key's owner is not the wallet's")]
    OthersKey,
    /// Chain, type, signer and funder do not belong together.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The funder is missing, or not the key's wallet.
    #[error(transparent)]
    Funder(#[from] FunderError),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The wallets of this service.
#[derive(Clone)]
pub struct Wallets {
    authority: Authority,
    keys: Keys,
    clock: Clock,
    recent: Recent,
}

impl Wallets {
    /// Wallets that this states.
    pub fn new(authority: Authority, keys: Keys, clock: Clock) -> Self {
        Self {
            authority,
            keys,
            clock,
            recent: Recent::new(),
        }
    }

    /// A wallet as it was a moment ago, if that is known, for what passes the gate (`clob/wallets/recent.rs`).
    pub fn recent(&self, name: &Name) -> Option<Arc<Wallet>> {
        let now = self.authority.now();
        let recent = self.recent.get(name);
        recent.filter(|it| now.are_at(&it.statements()))
    }

    /// Remembers a wallet that was just looked up.
    pub fn remember(&self, wallet: Wallet) -> Arc<Wallet> {
        self.recent.put(wallet)
    }

    /// Forgets what was remembered: something was changed.
    pub fn forget(&self) {
        self.recent.forget();
    }

    /// The wallet as it is now, for which the door would not sign.
    pub async fn now(&self, wallet: &Wallet) -> Result<Arc<Wallet>, WalletError> {
        let now = self.by_id(wallet.id).await?;
        Ok(self.recent.put(now.ok_or(WalletError::NotFound)?))
    }

    /// All wallets, by name.
    pub async fn list(&self) -> Result<Vec<Wallet>, WalletError> {
        Ok(records::list(&self.authority).await?)
    }

    /// One wallet.
    pub async fn show(&self, name: &Name) -> Result<Wallet, WalletError> {
        records::find(name, &self.authority)
            .await?
            .ok_or(WalletError::NotFound)
    }

    /// The wallet with this id, if there is one.
    pub async fn by_id(&self, id: WalletId) -> Result<Option<Wallet>, WalletError> {
        Ok(records::find_by_id(id, &self.authority).await?)
    }

    /// Puts a wallet on record.
    pub async fn create(
        &self,
        new: &NewWallet,
        change: &mut Change,
    ) -> Result<Wallet, WalletError> {
        let approval = change.loosen();
        let key = self.keys.show(&new.key).await?;
        let address = key
            .public_key
            .as_ref()
            .and_then(crate::custody::PublicKey::address);
        let (Purpose::Wallet, Some(signer)) = (key.purpose, address) else {
            return Err(WalletError::WrongKey);
        };
        if key.owner != new.owner {
            return Err(WalletError::OthersKey);
        }
        let profile = Profile::new(
            new.chain,
            new.signature_type,
            signer,
            funder::choose(new, signer)?,
            new.session_key,
        )?;
        let funder_unverified = funder::check(&profile, new.funder_unverified)?;
        let wallet = Wallet {
            id: WalletId::new(),
            name: new.name.clone(),
            owner: new.owner.clone(),
            key,
            profile,
            funder_unverified,
            allow_replace: new.allow_replace,
            created_at: self.clock.now(),
            successor: None,
            closed_at: None,
            stated: Version::default(),
        };
        records::insert(&wallet, change)
            .await
            .map_err(|e| match e.constraint() {
                Some("wallets_name_is_unique") => WalletError::NameTaken,
                Some("wallets_key_is_of_their_owner") => WalletError::OthersKey,
                _ => e.into(),
            })?;
        let details = serde_json::json!({
            "name": new.name, "owner": new.owner, "key": wallet.key.id, "chainId": new.chain,
            "signatureType": new.signature_type, "funder": profile.funder(),
            "session_key": new.session_key, "funder_unverified": funder_unverified,
            "allow_replace": new.allow_replace,
        });
        change.note_as(approval, "create-wallet", wallet.id, &details);
        Ok(wallet)
    }
    /// Names the wallet that takes another one's orders, or none any more. The leaf is the rotation's.
    pub(crate) async fn set_successor(
        &self,
        wallet: WalletId,
        successor: Option<WalletId>,
        change: &mut Change,
    ) -> Result<(), WalletError> {
        Ok(records::set_successor(wallet, successor, change).await?)
    }

    /// The wallets of a key that are not closed.
    pub async fn of_key(&self, key: &Key) -> Result<Vec<Wallet>, WalletError> {
        let mut all = self.list().await?;
        all.retain(|it| it.key.id == key.id && it.closed_at.is_none());
        Ok(all)
    }

    /// Puts on record that nothing is left of a wallet: no order, balance, position or allowance. What
    /// is on chain the service cannot see, so `reason` says who looked. The change stands at the exclusive gate.
    pub async fn close(
        &self,
        wallet: &Wallet,
        reason: &Reason,
        change: &mut Change,
    ) -> Result<Wallet, WalletError> {
        let state = wallet.key.state;
        if matches!(
            state,
            KeyState::PreActivation | KeyState::Active | KeyState::Retiring | KeyState::Suspended
        ) {
            return Err(WalletError::NotOver(state.name()));
        }
        let approval = change.loosen();
        if !records::close(wallet.id, change).await? {
            return Err(WalletError::Closed);
        }
        let details = serde_json::json!({ "name": wallet.name, "reason": reason });
        change.note_as(approval, "close-wallet", wallet.id, &details);
        Ok(Wallet {
            closed_at: Some(self.clock.now()),
            ..wallet.clone()
        })
    }
}
