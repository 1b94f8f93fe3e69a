//! Somebody is told: of approvals that wait, of deadlines, halts and alarms, by webhook and by mail.
//!
//! A [`Notice`] is written in the transaction of what it tells of, or by whoever looks for deadlines, once
//! however many replicas look. From there it goes to each destination that wants its kind: at least once,
//! under one id, by any replica, until it was taken or was tried for days. An alarm comes from memory: it may
//! be that the database is away, and then it is sent from there, as well as that goes.
//!
//! It promises that nobody who signs waits for any of it, that a destination which is slow or away holds up no
//! other, and that what leaves says what happened to what, by name and id, and nothing that somebody has typed
//! in or that is secret: whoever is told looks the rest up, under their own right.
//!
//! It **trusts** the rows of `notices`: whoever can write to the database can make it tell anything, or nothing.
//!
//! # Why a claim moves the row's time
//! Whoever sends a notice has first put its next try a minute ahead. A process that dies meanwhile leaves a row
//! that is due again by itself, so there is nothing to clean up and no lock is held while a destination thinks.

mod alarms;
mod delivery;
mod destination;
mod mail;
mod message;
pub(crate) mod records;
mod settings;
pub mod signature;
mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::id::NoticeId;
use crate::ledger::{Ledger, LedgerError};
use crate::name::Name;
use destination::Destination;
pub use message::Message;
pub use records::{Delivery, Told};
pub use settings::{BadDestination, Settings};

words! {
    /// Of what kind a notice is.
    #[derive(utoipa::ToSchema, PartialOrd, Ord)]
    #[schema(as = NoticeKind)]
    pub enum Kind {
        /// Somebody has asked for something that others have to approve.
        ApprovalAsked = "approval-asked",
        /// It waits still, and is about to expire.
        ApprovalExpiring = "approval-expiring",
        /// A halt is in force.
        HaltSet = "halt-set",
        /// One is not any more.
        HaltLifted = "halt-lifted",
        /// Wallets may send to somebody more, after a while in which others can object.
        RecipientAdded = "recipient-added",
        /// Something ends, or has ended.
        Deadline = "deadline",
        /// Somebody has to act now.
        Alarm = "alarm",
        /// Somebody tries whether notices arrive.
        Test = "test",
    }
}

words! {
    /// How the delivery of a notice to a destination stands.
    #[derive(utoipa::ToSchema)]
    #[schema(as = DeliveryState)]
    pub enum State {
        /// For its next try.
        Waiting = "waiting",
        /// The destination has taken it.
        Delivered = "delivered",
        /// It was tried for days, and is not tried any more.
        Dead = "dead",
    }
}

/// Something to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its id, the same at every try and at every destination.
    pub id: NoticeId,
    /// Of what kind.
    pub kind: Kind,
    /// In one plain sentence, made of names, ids and times: nothing that somebody has typed in.
    pub sentence: String,
    /// The names and ids in it.
    pub about: BTreeMap<String, String>,
    /// What is told once, however often and by whomever it is noticed.
    pub once: Option<String>,
}

impl Notice {
    /// Of this kind.
    pub fn new(kind: Kind, sentence: impl Into<String>) -> Self {
        Self {
            id: NoticeId::new(),
            kind,
            sentence: sentence.into(),
            about: BTreeMap::new(),
            once: None,
        }
    }

    /// And it is about this.
    #[must_use]
    pub fn about(mut self, what: &str, id: &dyn std::fmt::Display) -> Self {
        self.about.insert(what.to_owned(), id.to_string());
        self
    }

    /// And it is told once under this.
    #[must_use]
    pub fn once(self, under: impl Into<String>) -> Self {
        Self {
            once: Some(under.into()),
            ..self
        }
    }
}

/// Leaves a notice that belongs to no change. The second of two that are told once is none.
pub async fn tell(notice: &Notice, ledger: &Ledger) -> Result<(), LedgerError> {
    records::insert(notice, ledger.pool()).await
}

/// Why a destination took nothing, in words that hold nothing of what it said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NotDelivered {
    why: String,
    /// When it wants to be asked again.
    after: Option<Duration>,
    /// Whether it wants to be asked no more.
    is_final: bool,
}

impl NotDelivered {
    fn new(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            after: None,
            is_final: false,
        }
    }
}

/// What came of trying a destination.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = DestinationTried)]
pub struct Tried {
    /// The webhook's name, or `mail`.
    #[schema(value_type = String, example = "on-call")]
    pub destination: Name,
    /// Why it took nothing; none where it did.
    pub trouble: Option<String>,
}

/// Tells people. Cheap to clone.
#[derive(Clone)]
pub struct Notices(Arc<Inner>);

struct Inner {
    destinations: Vec<Destination>,
    ledger: Ledger,
    clock: Clock,
}

impl Notices {
    /// To these destinations.
    pub fn open(settings: &Settings, ledger: Ledger, clock: Clock) -> Result<Self, BadDestination> {
        Ok(Self(Arc::new(Inner {
            destinations: destination::all(settings)?,
            ledger,
            clock,
        })))
    }

    /// Delivers until the service stops. Each destination has a task of its own.
    pub fn run(&self, tasks: &TaskTracker, stop: &CancellationToken) {
        tasks.spawn(self.clone().listen(stop.clone()));
        for at in 0..self.0.destinations.len() {
            tasks.spawn(self.clone().deliver(at, stop.clone()));
        }
    }

    /// Sends a notice to each destination, whatever kinds it wants, once.
    pub async fn test(&self) -> Vec<Tried> {
        let sentence = "this is a test: somebody tries whether notices arrive";
        let notice = Notice::new(Kind::Test, sentence);
        let message = Message::new(&notice, self.0.clock.now(), false);
        let mut all = Vec::new();
        for to in &self.0.destinations {
            let sent = to.send(&message, self.0.clock.unix_s()).await;
            all.push(to.tried(sent));
        }
        all
    }

    /// Whether each destination can be spoken to. Nothing is sent.
    pub async fn reach(&self) -> Vec<Tried> {
        let mut all = Vec::new();
        for to in &self.0.destinations {
            all.push(to.tried(to.reach().await));
        }
        all
    }

    /// The latest, the newest first: all, or those with a delivery in this state.
    pub async fn list(&self, state: Option<State>) -> Result<Vec<Told>, LedgerError> {
        records::list(state, &self.0.ledger).await
    }
}
