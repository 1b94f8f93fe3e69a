//! How much of it: limits of callers, keys, wallets, markets and of everything, in numbers.
//!
//! The policy says who may do what; limits say how much. Their definitions are among what decides, so they
//! hold on all replicas from the moment they are acknowledged. What an order says of itself (its notional,
//! price, side, token, end) is compared in memory ([`LimitBook::decide`]). What counts over time is reserved
//! in the transaction of the INTENT, on all replicas together, and given back when an intent ends without
//! a release ([`Reservation`]). Of all limits that bind the strictest does, and a token that is denied
//! anywhere is denied.
//!
//! It promises that the sum of what was signed within a window is never above its limit, whoever races and
//! whoever dies. It **trusts** the rows of `limit_counters`.
//!
//! # Why windows have parts
//! A window is counted in parts (12 of 5 s, 12 of 5 min, 24 of 1 h) and the one that is under way: what was
//! used leaves it up to one part late, never early. One number for each part keeps a counter one small row
//! that a group touches once.

mod amount;
mod book;
mod bounds;
mod checks;
mod definition;
mod exceeded;
mod limited;
pub(crate) mod records;
mod reservation;
mod scope;

use std::sync::Arc;

pub use amount::{NotANumber, Price, Token, Units};
pub use book::LimitBook;
pub use bounds::{Band, Collar, Pace};
pub use definition::{Limits, NotALimit, Said};
pub use exceeded::Exceeded;
pub use limited::{BookPrice, Limited, LimitedOrder, Side, What};
pub use reservation::{Counter, Full, Reservation};
pub use scope::{NotAScope, Scope, ScopeKind};

use crate::approvals::Approval;
use crate::audit::{Change, Effect};
use crate::authority::{self, Authority, Kind, View};
use crate::id::CallerId;
use crate::ledger::{Ledger, LedgerError};
use book::Body;
pub use records::Used;

/// A limit that binds, and how much of it is used.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = LimitBound)]
pub struct Bound {
    /// Of what kind of thing.
    pub scope: ScopeKind,
    /// Of which: an id, a token id, `all`.
    pub id: String,
    /// How much.
    #[serde(flatten)]
    pub used: Used,
}

/// Why limits were not changed, or nothing more is told.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// It has none.
    #[error("nothing is limited there")]
    NotFound,
    /// They make no sense for it.
    #[error(transparent)]
    NotALimit(#[from] NotALimit),
    /// One stands in the way.
    #[error(transparent)]
    Exceeded(#[from] Box<Exceeded>),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The limits of this service. Cheap to clone.
#[derive(Clone)]
pub struct Limiter(Arc<Inner>);

struct Inner {
    authority: Authority,
    ledger: Ledger,
    book: View<LimitBook>,
}

impl Limiter {
    /// Limits among what decides on this ledger.
    pub fn new(authority: Authority, ledger: Ledger) -> Self {
        Self(Arc::new(Inner {
            authority,
            ledger,
            book: View::default(),
        }))
    }

    /// What holds, as far as it is known here.
    pub fn book(&self) -> Result<Arc<LimitBook>, LedgerError> {
        self.0.book.of(&self.0.authority.now())
    }

    /// What holds now, for people.
    pub async fn newest(&self) -> Result<Arc<LimitBook>, LedgerError> {
        self.0.authority.catch_up().await?;
        self.book()
    }

    /// Sets the limits of something, in a change that has the gate alone. What allows more than before
    /// loosens.
    pub(crate) async fn set(
        &self,
        scope: Scope,
        limits: Limits,
        change: &mut Change,
    ) -> Result<(), LimitError> {
        limits.fit(scope.kind())?;
        let before = records::find(&scope, change.tx()).await?;
        let loosens = before.as_ref().is_some_and(|before| limits.loosen(before));
        let tightens = before.as_ref().is_none_or(|before| before.loosen(&limits));
        let approval = if loosens {
            change.loosen()
        } else {
            Approval::not_needed()
        };
        records::insert_counters(&scope, &limits, change.tx()).await?;
        let details = serde_json::json!({ "scope": scope, "before": before, "after": limits });
        let body = authority::write(&Body { scope, limits });
        let effect = if tightens {
            Effect::Tightens
        } else {
            Effect::Loosens
        };
        change
            .decide(Kind::Limit, scope.id(), Some(body.as_slice()), effect)
            .await?;
        change.note_as(approval, "set-limits", scope.id(), &details);
        Ok(())
    }

    /// Removes the limits of something, which loosens.
    pub(crate) async fn remove(&self, scope: Scope, change: &mut Change) -> Result<(), LimitError> {
        let before = records::find(&scope, change.tx()).await?;
        let before = before.ok_or(LimitError::NotFound)?;
        let approval = change.loosen();
        change
            .decide(Kind::Limit, scope.id(), None, Effect::Loosens)
            .await?;
        let details = serde_json::json!({ "scope": scope, "before": before });
        change.note_as(approval, "remove-limits", scope.id(), &details);
        Ok(())
    }

    /// How much of something's limits is used.
    pub async fn usage(&self, scope: Scope) -> Result<Vec<Used>, LimitError> {
        let book = self.newest().await?;
        let limits = book.of(&scope).ok_or(LimitError::NotFound)?;
        Ok(records::usage(&scope, limits, &self.0.ledger).await?)
    }

    /// How much is used of all that something would be counted in, where it has room there; nothing is
    /// reserved.
    pub(crate) async fn room(
        &self,
        asks: &Reservation,
    ) -> Result<Result<Vec<Bound>, Box<Exceeded>>, LedgerError> {
        if asks.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let ledger = &self.0.ledger;
        if let Err(exceeded) = records::would_fit(asks, ledger).await? {
            return Ok(Err(Box::new(exceeded)));
        }
        let mut all = Vec::new();
        for counter in &asks.counters {
            let used = records::usage_of(counter, ledger).await?;
            all.extend(used.into_iter().map(|used| Bound {
                scope: counter.scope.kind(),
                id: counter.scope.subject(),
                used,
            }));
        }
        Ok(Ok(all))
    }

    /// Counts a look-up of what was signed, if there is room for it.
    pub async fn look_up(&self, caller: CallerId) -> Result<(), LimitError> {
        let asks = self.book()?.decide_look_up(caller);
        if asks.is_empty() {
            return Ok(());
        }
        let fits = records::reserve(&asks, &self.0.ledger).await?;
        Ok(fits.map_err(Box::new)?)
    }
}
