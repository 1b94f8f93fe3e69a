//! All limits that hold, and what they say of something that is to be signed.

use std::collections::HashMap;
use std::sync::Arc;

use super::limited::{Limited, LimitedOrder, On, What};
use super::reservation::{Counter, Reservation};
use super::{Exceeded, Limits, Scope};
use crate::authority::{self, Kind, Parsed, Snapshot};
use crate::id::{CallerId, KeyId};
use crate::ledger::LedgerError;

/// What is on record of one thing's limits.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    pub(super) scope: Scope,
    pub(super) limits: Limits,
}

/// The limits of one thing, and its counters.
#[derive(Debug)]
struct Defined {
    scope: Scope,
    limits: Limits,
    counters: Vec<Arc<Counter>>,
}

/// The limits that hold.
#[derive(Debug, Default)]
pub struct LimitBook(HashMap<Scope, Defined>);

impl Parsed for LimitBook {
    const KINDS: &'static [Kind] = &[Kind::Limit];

    fn parse(snapshot: &Snapshot) -> Result<Self, LedgerError> {
        let mut book = Self::default();
        for (id, stated) in snapshot.of(Kind::Limit) {
            let Body { scope, limits } = authority::read(Kind::Limit, stated)?;
            if scope.id() != id {
                let what = format!("limit {id} is of {scope}");
                return Err(LedgerError::Corrupt("authority", what));
            }
            book.define(scope, limits);
        }
        Ok(book)
    }
}

impl LimitBook {
    fn define(&mut self, scope: Scope, limits: Limits) {
        let counters = What::ALL
            .into_iter()
            .filter_map(|what| Counter::of(scope, what, limits.said()))
            .map(Arc::new);
        let defined = Defined {
            scope,
            counters: counters.collect(),
            limits,
        };
        self.0.insert(scope, defined);
    }

    /// The limits of all things that have any, in order.
    pub fn all(&self) -> Vec<(Scope, &Limits)> {
        let mut all: Vec<_> = self
            .0
            .iter()
            .map(|(scope, it)| (*scope, &it.limits))
            .collect();
        all.sort_by_key(|(scope, _)| *scope);
        all
    }

    /// The limits of one thing.
    pub fn of(&self, scope: &Scope) -> Option<&Limits> {
        self.0.get(scope).map(|it| &it.limits)
    }

    /// What a caller asks of counters who has this signed with a key; or the limit that stands in the way.
    /// `now_ms` since 1970.
    pub fn decide(
        &self,
        caller: CallerId,
        key: KeyId,
        stake: &Limited,
        now_ms: i64,
    ) -> Result<Reservation, Box<Exceeded>> {
        let Some((what, amount)) = stake.counted() else {
            return Ok(Reservation::default());
        };
        let mut reservation = Reservation {
            amount,
            ..Reservation::default()
        };
        for defined in self.that_bind(caller, Some(key), stake.on()) {
            defined.limits.check(&defined.scope, stake, now_ms)?;
            let apart_s = defined.limits.apart_s(stake);
            reservation.apart_s = reservation.apart_s.max(apart_s);
            let counters = defined.counters.iter().filter(|it| it.what == what);
            reservation.counters.extend(counters.cloned());
        }
        Ok(reservation)
    }

    /// What a look-up of what was signed asks of counters.
    pub fn decide_look_up(&self, caller: CallerId) -> Reservation {
        let binding = self.that_bind(caller, None, On::default());
        let counters = binding.flat_map(|it| it.counters.iter());
        Reservation {
            amount: 1,
            counters: counters
                .filter(|it| it.what == What::LookUp)
                .cloned()
                .collect(),
            apart_s: 0,
        }
    }

    /// How old the book may be that an order is held against; `None`: it needs none.
    pub fn book_age_ms(&self, caller: CallerId, key: KeyId, order: &LimitedOrder) -> Option<u32> {
        let ages = self.that_bind(caller, Some(key), On::order(order));
        let ages = ages.filter_map(|it| it.limits.said().collar);
        ages.map(|collar| collar.max_age_ms).min()
    }

    /// The widest scope first.
    fn that_bind(
        &self,
        caller: CallerId,
        key: Option<KeyId>,
        on: On,
    ) -> impl Iterator<Item = &Defined> {
        let scopes = if self.0.is_empty() {
            [None; 6]
        } else {
            Scope::around(caller, key, on.wallet, on.market)
        };
        scopes
            .into_iter()
            .flatten()
            .filter_map(move |scope| self.0.get(&scope))
    }
}

#[cfg(test)]
mod tests;
