//! That no order of a wallet is open any more.
//!
//! What counts as open: an order of version 1 with an expiration until then; every other order until
//! the venue was seen to have none, or people say why none is. An order that was signed and not posted
//! counts too. So a drain is of a key that signs no orders, and its callers get no headers to post one;
//! if the key becomes active again, what was drained counts anew.
//!
//! It **trusts** the venue for what it lists, and cannot see who holds an API key's secret that was
//! handed out: they can post until the API key is deleted.

mod empty;
mod records;

use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::api_keys::{ApiKeyError, ApiKeys, KeyRequest};
use super::exposure::Exposure;
use super::wallets::Wallet;
use crate::approvals::Approval;
use crate::audit::{Change, Log};
use crate::clock::Clock;
use crate::clock::timestamp;
use crate::keys::{Key, KeyState, Reason};
use crate::ledger::LedgerError;
pub use records::OpenOrders;

/// That no order of a wallet is open.
#[derive(Clone, Debug, clap::Args, Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainRequest {
    /// Instead of asking the CLOB: why no order is open, 1 to 500 characters. It takes a second person.
    #[arg(long, value_name = "REASON")]
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub said: Option<Reason>,
}

/// Why a wallet is not drained.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// It takes orders.
    #[error("the wallet's key is {0} and may sign orders")]
    TakesOrders(&'static str),
    /// The venue lists orders after they were cancelled.
    #[error("the CLOB lists {0} orders after all were cancelled")]
    Remain(usize),
    /// The key changed meanwhile.
    #[error("the wallet's key changed in the meantime")]
    Changed,
    /// The venue, or the door.
    #[error(transparent)]
    ApiKey(#[from] ApiKeyError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What was seen at the venue.
#[derive(Clone, Debug, Serialize)]
pub struct Emptied {
    /// With which API key.
    #[serde(rename = "apiKey")]
    pub api_key: String,
    /// How many orders it cancelled.
    pub cancelled: usize,
    /// How often it was asked which are open, until it said twice that none is.
    pub looks: usize,
}

/// What a drain stands on.
#[derive(Clone, Debug)]
pub enum Proof {
    /// The venue lists none.
    Venue(Emptied),
    /// People say so.
    Said(Reason),
}

/// A proof, and since when it holds.
#[derive(Clone, Debug)]
pub struct Proven {
    proof: Proof,
    began_at: OffsetDateTime,
}

/// Drains wallets. Cheap to clone.
#[derive(Clone)]
pub struct Drains {
    api_keys: ApiKeys,
    log: Log,
    clock: Clock,
}

impl Drains {
    /// Drains by way of these API keys.
    pub fn new(api_keys: ApiKeys, log: Log, clock: Clock) -> Self {
        Self {
            api_keys,
            log,
            clock,
        }
    }

    /// The orders of a key that count as open.
    pub async fn open_orders(&self, key: &Key) -> Result<Vec<OpenOrders>, LedgerError> {
        records::open_orders(key.id, self.clock.unix_s(), self.log.ledger()).await
    }

    /// Has the venue cancel everything and sees that nothing is left, or takes somebody's word.
    pub async fn prove(
        &self,
        wish: &KeyRequest,
        said: Option<Reason>,
    ) -> Result<Proven, DrainError> {
        quiet(&wish.wallet)?;
        let began_at = records::now(self.log.ledger()).await?;
        let proof = match said {
            Some(reason) => Proof::Said(reason),
            None => Proof::Venue(self.cancel_all(wish).await?),
        };
        Ok(Proven { proof, began_at })
    }

    /// Puts a drain on record.
    pub async fn record(
        &self,
        wallet: &Wallet,
        proven: &Proven,
        change: &mut Change,
    ) -> Result<serde_json::Value, DrainError> {
        quiet(wallet)?;
        let (how, approval, evidence) = match &proven.proof {
            Proof::Venue(emptied) => ("venue", Approval::by_right(), json!(emptied)),
            Proof::Said(reason) => ("said", change.loosen(), json!({ "reason": reason })),
        };
        let drain = records::NewDrain {
            id: Uuid::now_v7(),
            wallet,
            how,
            began_at: proven.began_at,
            evidence: &evidence,
            author: change.author(),
            approval,
        };
        let recorded = records::insert(&drain, change.tx()).await;
        recorded.map_err(|error| match error.constraint() {
            Some("drains_are_of_quiet_keys") => DrainError::Changed,
            _ => error.into(),
        })?;
        let (key, chain) = (wallet.key.id, wallet.profile.chain().id());
        Exposure::drained(key, chain, proven.began_at, change).await?;
        let details = json!({
            "id": drain.id, "wallet": wallet.name, "key": wallet.key.name, "how": how,
            "chainId": wallet.profile.chain(), "began_at": timestamp(proven.began_at),
            "evidence": evidence,
        });
        change.note_as(approval, "drain-wallet", wallet.id, &details);
        Ok(details)
    }
}

/// Only what signs no orders can be drained.
fn quiet(wallet: &Wallet) -> Result<(), DrainError> {
    match wallet.key.state {
        state @ (KeyState::PreActivation | KeyState::Active) => {
            Err(DrainError::TakesOrders(state.name()))
        }
        _ => Ok(()),
    }
}
