//! Whom wallets may send to: a register of addresses, by name.
//!
//! A withdrawal names a recipient, never an address, and goes to nobody who does not stand here. To add one loosens,
//! so it takes a second person, and after that it waits (`[recipients] wait_minutes`): whoever is told of it has that
//! long to object. To remove one tightens: one person does it, and from the answer on no replica releases anything
//! to it. Nothing of a row changes: one that is to be another desk's too is removed and added anew, and waits anew.
//!
//! It promises that one address has one name on a chain, that no contract of the venue is among them, and that
//! an address of a key of ours that only speaks for a contract wallet is there only if somebody said that it is meant.
//! It **trusts** what [`crate::authority`] holds, where all of it is: no other table says whom money may go to.
//!
//! # Why a name, and who may use it
//! Addresses that look alike are how people are robbed: whoever sends types a name, and the address was typed once,
//! with its checksum, and read by two. A row may belong to a desk: then only that desk's wallets may send there.
//!
//! # Why a refuge
//! On the day a key is compromised, whoever has it is as fast as we are: then it is too late to ask two people where to
//! send what is left. They say it beforehand, and what goes to a refuge is signed by a key that signs nothing else any more.

mod error;
mod register;
mod unfit;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::approvals::Approval;
use crate::audit::{Change, Effect};
use crate::authority::{self, Authority, Kind, Snapshot, Statement, View, form};
use crate::clob::Chain;
use crate::clob::wallets::Wallets;
use crate::clock::{Clock, timestamp};
use crate::ethereum::Address;
use crate::id::CallerId;
use crate::ledger::LedgerError;
use crate::name::Name;
use crate::notices::{Kind as Told, Notice};
use crate::policy::Stake;
use crate::within::Within;
pub use error::RecipientError;
use register::{Body, Register};
pub use register::{NoRecipient, Payee};
pub use unfit::{Checksummed, NotChecksummed, Unfit};

/// `[recipients]`
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How long one that was added waits before anything may be sent to it, in minutes: a day unless it is said.
    pub wait_minutes: Wait,
}

/// Up to 30 days; 0 is not to wait at all.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(transparent)]
pub struct Wait(Within<0, 43_200>);

impl Default for Wait {
    fn default() -> Self {
        Self(Within::of(1_440))
    }
}

impl Wait {
    /// In minutes.
    pub fn minutes(self) -> u64 {
        self.0.get()
    }

    fn duration(self) -> Duration {
        Duration::minutes(i64::try_from(self.minutes()).unwrap_or(i64::MAX))
    }
}

/// Somebody to whom wallets may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Its id, which follows from chain and address.
    pub id: Uuid,
    /// What people call it.
    pub name: Name,
    /// On which chain.
    pub chain: Chain,
    /// Where.
    pub address: Address,
    /// Whose wallets may send there; `None`: every desk's.
    pub owner: Option<Name>,
    /// It is the address of a key that speaks for a contract wallet, and somebody meant it.
    pub signer_meant: bool,
    /// What a wallet that is halted, or whose key is suspended or compromised, may still send to.
    pub refuge: bool,
    /// From when on.
    pub stands_from: OffsetDateTime,
    /// On whose agreement it was added, as the log has it.
    pub approval: String,
    /// Added when.
    pub at: OffsetDateTime,
    /// Added by whom.
    pub by: CallerId,
    /// By which version of what decides: a permit to send there is good only as long as that is so.
    pub statement: Statement,
}

/// Somebody who is to be added.
#[derive(Clone, Debug, clap::Args, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRecipient {
    /// A name that no other recipient has.
    #[schema(value_type = String, example = "treasury")]
    pub name: Name,
    /// 137 (Polygon) or 80002 (Amoy).
    #[arg(long = "chain-id", value_name = "CHAIN_ID", default_value = "137")]
    #[serde(rename = "chainId")]
    #[schema(value_type = u64, example = 137)]
    pub chain: Chain,
    /// With its EIP-55 checksum, which tells a mistyped digit.
    #[schema(value_type = String, example = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359")]
    pub address: Checksummed,
    /// The desk whose wallets may send there; every desk's unless it is said.
    #[arg(long)]
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub owner: Option<Name>,
    /// Take the address of a key of this service that speaks for a contract wallet: what goes there is not in
    /// the wallet.
    #[arg(long)]
    #[serde(default)]
    pub signer_meant: bool,
    /// Somewhere safe: what a wallet holds may go there also when it is halted, or its key is suspended or compromised.
    /// Who agrees to this agrees to that beforehand.
    #[arg(long)]
    #[serde(default)]
    pub refuge: bool,
}

impl NewRecipient {
    /// What policies see of it. `owner` is empty where it is to be every desk's.
    pub fn stake(&self) -> Stake {
        let owner = self.owner.as_ref().map(ToString::to_string);
        Stake::new()
            .number("chain", self.chain.id())
            .text("address", format!("0x{}", hex::encode(self.address.0.0)))
            .text("owner", owner.unwrap_or_default())
            .flag("refuge", self.refuge)
    }
}

/// The register. Cheap to clone.
#[derive(Clone)]
pub struct Recipients {
    authority: Authority,
    wallets: Wallets,
    wait: Wait,
    clock: Clock,
    view: Arc<View<Register>>,
}

impl Recipients {
    /// What this authority holds of them.
    pub fn new(settings: &Settings, authority: Authority, wallets: Wallets, clock: Clock) -> Self {
        Self {
            authority,
            wallets,
            wait: settings.wait_minutes,
            clock,
            view: Arc::default(),
        }
    }

    /// All of them, by name, those that wait too.
    pub async fn list(&self) -> Result<Vec<Arc<Recipient>>, LedgerError> {
        self.authority.catch_up().await?;
        Ok(self.view.of(&self.authority.now())?.all())
    }

    /// One of them, whether it waits or not.
    pub async fn show(&self, name: &Name) -> Result<Arc<Recipient>, RecipientError> {
        self.authority.catch_up().await?;
        let register = self.view.of(&self.authority.now())?;
        register.named(name).ok_or(RecipientError::NotFound)
    }

    /// To whom a wallet of this desk and chain may send now, by what the snapshot says; or why not. Whoever decides
    /// by it has the recipient's statement among those of the permit's resource, so that a removal is seen.
    pub fn standing(
        &self,
        snapshot: &Snapshot,
        whom: Payee<'_>,
        chain: Chain,
        owner: &Name,
    ) -> Result<Arc<Recipient>, NoRecipient> {
        let register = self.view.of(snapshot)?;
        register.standing(whom, chain, owner, self.clock.now())
    }

    /// Adds one, in a change that has the gate alone. It stands when it has waited.
    pub async fn add(
        &self,
        new: &NewRecipient,
        change: &mut Change,
    ) -> Result<Recipient, RecipientError> {
        let approval = change.loosen();
        let (chain, address) = (new.chain, new.address.0);
        unfit::look(address)?;
        if !new.signer_meant {
            unfit::look_among(&self.wallets.list().await?, address)?;
        }
        let register = self.newest().await?;
        if let Some(there) = register.at(chain, address) {
            return Err(RecipientError::AddressTaken(there.name.clone()));
        }
        if register.named(&new.name).is_some() {
            return Err(RecipientError::NameTaken);
        }
        let (at, by) = (change.now(), change.author());
        let stands_from = at + self.wait.duration();
        let id = register::id(chain, address);
        let body = Body {
            name: new.name.clone(),
            chain,
            address,
            owner: new.owner.clone(),
            signer_meant: new.signer_meant,
            refuge: new.refuge,
            stands_from: form::micros(stands_from),
            approval: approval.to_string(),
        };
        let bytes = authority::write(&body);
        let version = change
            .decide(Kind::Recipient, id, Some(&bytes), Effect::Loosens)
            .await?;
        let details = serde_json::json!({
            "name": new.name, "chainId": chain, "address": address, "owner": new.owner,
            "signer_meant": new.signer_meant, "refuge": new.refuge, "wait_minutes": self.wait.minutes(),
            "not_before": timestamp(stands_from),
        });
        change.note_as(approval, "add-recipient", id, &details);
        let sentence = format!(
            "recipient {} is added, and wallets may send to it from {}: chancery recipients list",
            new.name,
            timestamp(stands_from)
        );
        change.tell(Notice::new(Told::RecipientAdded, sentence).about("recipient", &new.name));
        let statement = Statement {
            kind: Kind::Recipient,
            id,
            version,
        };
        Ok(body.recipient(statement, at, by)?)
    }

    /// Removes one, in a change that has the gate alone.
    pub async fn remove(
        &self,
        name: &Name,
        change: &mut Change,
    ) -> Result<Arc<Recipient>, RecipientError> {
        let register = self.newest().await?;
        let gone = register.named(name).ok_or(RecipientError::NotFound)?;
        change
            .decide(Kind::Recipient, gone.id, None, Effect::Tightens)
            .await?;
        let details = serde_json::json!({
            "name": gone.name, "chainId": gone.chain, "address": gone.address, "owner": gone.owner,
        });
        change.note_as(
            Approval::not_needed(),
            "remove-recipient",
            gone.id,
            &details,
        );
        Ok(gone)
    }

    /// As it is for whoever has the gate alone: nobody adds to it meanwhile.
    async fn newest(&self) -> Result<Arc<Register>, LedgerError> {
        self.authority.catch_up().await?;
        self.view.of(&self.authority.now())
    }
}
