//! Halts: one person stops what is signed and handed out, with a reason; to lift it loosens.
//!
//! A halt is on everything, or on one key, wallet, client, caller or market. It tightens what decides, so
//! once it is acknowledged no replica releases anything more that it is on: no signature, no replay, no
//! token from memory, no header, no secret. What winds down goes on where the halt says so: the service
//! itself cancels, and reads what is open; a wallet goes home to its refuge. A probe, with which a key's removal is proved, goes on under any
//! halt but one on everything or on whoever asks. People go on looking and setting things up, apart from a
//! caller who is halted: they may only look.
//!
//! It **trusts** what [`crate::authority`] holds.

mod hit;
mod in_force;

use std::fmt;
use std::sync::Arc;

use ruint::aliases::U256;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::approvals::Approval;
use crate::audit::{Change, Effect};
use crate::authority::{self, Authority, Kind, Parsed as _, Snapshot, Version, View};
use crate::ethereum::condition::Condition;
use crate::id::{CallerId, HaltId};
use crate::ledger::LedgerError;
use crate::notices::{Kind as Told, Notice};
use crate::reason::Reason;
pub use hit::{Bearing, Hit, Touches};
use in_force::InForce;

/// The most token ids that one halt names.
const MOST_TOKENS: usize = 100;

words! {
    /// On what a halt is.
    #[derive(utoipa::ToSchema)]
    #[schema(as = HaltOn)]
    pub enum On {
        /// On everything.
        Everything = "everything",
        /// On a key, and all that sign with it.
        Key = "key",
        /// On a wallet.
        Wallet = "wallet",
        /// On a client.
        Client = "client",
        /// On a caller.
        Caller = "caller",
        /// On orders of a market.
        Market = "market",
    }
}

words! {
    /// What is still done for whoever winds something down.
    #[derive(utoipa::ToSchema)]
    #[schema(as = HaltAllows)]
    pub enum Winding {
        /// It cancels orders and deletes API keys.
        Cancel = "cancel",
        /// It reads what is open.
        Read = "read",
        /// A wallet takes back what others may do with it, and sends what it holds to a refuge.
        Empty = "empty",
    }
}

/// What is to be stopped.
#[derive(Clone, Debug, clap::Args, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHalt {
    /// On what: everything, key, wallet, client, caller, market.
    pub on: On,
    /// The name of the key, wallet, client or caller. Of a market what people call it, for the record.
    #[serde(default)]
    #[schema(example = "desk-1-main")]
    pub name: Option<String>,
    /// The token ids of a market: of all its outcomes.
    #[arg(long = "token", value_name = "TOKEN_ID")]
    #[serde(default)]
    pub tokens: Vec<String>,
    /// Or its condition id: the token ids of its outcomes on chain 137 follow from it.
    #[arg(long, value_name = "CONDITION_ID")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub condition: Option<Condition>,
    /// Why: 1 to 500 characters.
    #[arg(long)]
    #[schema(value_type = String, example = "the desk reported a stolen laptop")]
    pub reason: Reason,
    /// What is still done for whoever winds something down: all of it unless it is said. `[]` stops that too.
    #[arg(long, value_name = "WHAT", default_values_t = Winding::ALL)]
    #[serde(default = "all")]
    pub allow: Vec<Winding>,
}

fn all() -> Vec<Winding> {
    Winding::ALL.to_vec()
}

/// What a halt says, as its row has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// On what.
    pub on: On,
    /// On which; none where it is on everything or a market.
    pub id: Option<Uuid>,
    /// What people call it: a name, or of a market whatever they said.
    pub name: String,
    /// The token ids of a market.
    pub tokens: Vec<String>,
    /// Why.
    pub reason: String,
    /// What still goes on.
    pub allow: Vec<Winding>,
}

impl Order {
    /// What is told of it: what a market is called and why it is set somebody has typed in, so neither is.
    fn notice(&self, kind: Told, what: &str, id: HaltId) -> Notice {
        let name = match self.on {
            On::Everything => String::new(),
            On::Market => format!(" of {} token ids", self.tokens.len()),
            On::Key | On::Wallet | On::Client | On::Caller => format!(" {}", self.name),
        };
        let sentence = format!("a halt on {}{name} {what}: chancery halt list", self.on);
        Notice::new(kind, sentence).about("halt", &id)
    }

    /// The token ids, as numbers.
    fn tokens(&self) -> Result<Vec<U256>, LedgerError> {
        let number = |text: &String| {
            let digits =
                (1..=78).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_digit());
            let number = digits
                .then(|| U256::from_str_radix(text, 10).ok())
                .flatten();
            number.ok_or_else(|| LedgerError::Corrupt("authority", "a halt's token id".into()))
        };
        self.tokens.iter().map(number).collect()
    }
}

/// A halt in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halt {
    /// Its id.
    pub id: HaltId,
    /// What it says.
    pub order: Order,
    /// The token ids in it, as numbers.
    tokens: Vec<U256>,
    /// Since when.
    pub at: OffsetDateTime,
    /// Set by whom.
    pub by: CallerId,
    /// The version of what decides that set it.
    pub version: Version,
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "halt {} on {}", self.id, self.order.on)?;
        if self.order.on != On::Everything {
            write!(f, " {}", self.order.name)?;
        }
        write!(f, ": {}", self.order.reason)
    }
}

/// Why a halt was not set or lifted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HaltError {
    /// A market without token ids, or something else with them.
    #[error(
        "tokens: a halt on a market names 1 to 100 token ids in decimal digits, any other none"
    )]
    Tokens,
    /// None in force has this id.
    #[error("there is no such halt in force")]
    NotFound,
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The halts. Cheap to clone.
#[derive(Clone)]
pub struct Halts {
    authority: Authority,
    view: Arc<View<InForce>>,
}

impl Halts {
    /// Those that this authority holds.
    pub fn new(authority: Authority) -> Self {
        Self {
            authority,
            view: Arc::default(),
        }
    }

    /// Those in force, the oldest first.
    pub async fn list(&self) -> Result<Vec<Arc<Halt>>, LedgerError> {
        self.authority.catch_up().await?;
        let in_force = self.view.of(&self.authority.now())?;
        Ok(in_force.all().to_vec())
    }

    /// Whether halts on markets are among those of the snapshot: only then it matters which an order is of.
    pub(crate) fn are_on_markets(&self, snapshot: &Snapshot) -> Result<bool, LedgerError> {
        Ok(self.view.of(snapshot)?.are_on_markets())
    }

    /// The halt that stops this, if one in the snapshot does.
    pub(crate) fn on(
        &self,
        snapshot: &Snapshot,
        hit: &Hit<'_>,
    ) -> Result<Option<Arc<Halt>>, LedgerError> {
        Ok(self.view.of(snapshot)?.on(hit))
    }

    /// The same of a snapshot of an earlier day.
    pub(crate) fn then(
        snapshot: &Snapshot,
        hit: &Hit<'_>,
    ) -> Result<Option<Arc<Halt>>, LedgerError> {
        Ok(InForce::parse(snapshot)?.on(hit))
    }

    /// Sets a halt. It is in force on all replicas once the change is committed, which has passed the
    /// gate alone.
    pub async fn set(&self, order: Order, change: &mut Change) -> Result<Halt, HaltError> {
        let is_market = order.on == On::Market;
        let tokens = order.tokens().map_err(|_| HaltError::Tokens)?;
        if tokens.is_empty() == is_market || tokens.len() > MOST_TOKENS {
            return Err(HaltError::Tokens);
        }
        let id = HaltId::new();
        let body = authority::write(&order);
        let version = change
            .decide(Kind::Halt, id, Some(&body), Effect::Tightens)
            .await?;
        let details = serde_json::json!({ "halt": order, "version": version.number() });
        change.note_as(Approval::not_needed(), "set-halt", id, &details);
        change.tell(order.notice(
            Told::HaltSet,
            "is set, and nothing that it is on is signed or handed out",
            id,
        ));
        Ok(Halt {
            id,
            order,
            tokens,
            at: change.now(),
            by: change.author(),
            version,
        })
    }

    /// Lifts a halt, if whoever has to agree has.
    pub async fn lift(
        &self,
        id: HaltId,
        reason: &str,
        change: &mut Change,
    ) -> Result<Arc<Halt>, HaltError> {
        let halts = self.list().await?;
        let halt = halts.into_iter().find(|halt| halt.id == id);
        let halt = halt.ok_or(HaltError::NotFound)?;
        let approval = change.loosen();
        if change.latest(Kind::Halt, id).await? != Some(halt.version) {
            return Err(HaltError::NotFound); // somebody else was faster
        }
        let version = change.decide(Kind::Halt, id, None, Effect::Loosens).await?;
        let details = serde_json::json!({
            "halt": halt.order, "reason": reason, "version": version.number(),
        });
        change.note_as(approval, "lift-halt", id, &details);
        change.tell(halt.order.notice(Told::HaltLifted, "is lifted", id));
        Ok(halt)
    }
}
