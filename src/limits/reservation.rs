//! What something that is to be signed asks of counters.

use std::sync::Arc;

use time::OffsetDateTime;
use uuid::Uuid;

use super::bounds::Pace;
use super::definition::Said;
use super::limited::What;
use super::{Exceeded, Limits, Scope};

/// A counter and how far it may count.
#[derive(Debug, PartialEq, Eq)]
pub struct Counter {
    /// Its id.
    pub(crate) id: Uuid,
    pub(super) scope: Scope,
    pub(super) what: What,
    /// Amounts within any minute, hour, 24 hours; and what is open.
    pub(crate) minute: Option<i64>,
    pub(crate) hour: Option<i64>,
    pub(crate) day: Option<i64>,
    pub(crate) open: Option<i64>,
    pub(super) pace: Option<Pace>,
}

/// What is asked of counters, each once: so much of each; and how far the same request is kept apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reservation {
    /// Base units, or one thing.
    pub(crate) amount: i64,
    pub(crate) counters: Vec<Arc<Counter>>,
    /// So many seconds after the same request under another key; 0: at once.
    pub(crate) apart_s: u32,
}

/// What the database says of one that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Full {
    /// `minute`, `hour`, `day`, `open`, `pace`, `missing`.
    pub(crate) of: String,
    /// So much is used.
    pub(crate) used: i64,
    /// When there is room.
    pub(crate) until: Option<OffsetDateTime>,
}

impl Reservation {
    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.counters.is_empty()
    }

    /// What stands in the way, where these counters are full.
    pub(super) fn exceeded(&self, full: &[(i32, Full)]) -> Option<Exceeded> {
        let (number, full) = full.first()?;
        let at = usize::try_from(*number).ok()?.checked_sub(1)?;
        Some(self.counters.get(at)?.exceeded(self.amount, full))
    }
}

impl Counter {
    /// What is counted of such things, if anything is.
    pub(super) fn of(scope: Scope, what: What, said: &Said) -> Option<Self> {
        let number =
            |units: Option<super::Units>| units.and_then(|it| i64::try_from(it.get()).ok());
        let mut counter = Self {
            id: scope.counter(what),
            scope,
            what,
            minute: None,
            hour: None,
            day: None,
            open: None,
            pace: None,
        };
        match what {
            What::Order => {
                counter.minute = number(said.notional_1m);
                counter.hour = number(said.notional_1h);
                counter.day = number(said.notional_24h);
                counter.open = number(said.open_exposure);
                counter.pace = said.orders;
            }
            What::L1Header => counter.day = said.l1_headers_24h.map(i64::from),
            What::Assertion => counter.pace = said.assertions,
            What::AccessToken => counter.pace = said.access_tokens,
            What::LookUp => counter.minute = said.look_ups_1m.map(i64::from),
            What::Withdrawal => {
                counter.hour = number(said.withdrawals_1h);
                counter.day = number(said.withdrawals_24h);
            }
        }
        let amounts = [counter.minute, counter.hour, counter.day, counter.open];
        let counts = counter.pace.is_some() || amounts.iter().any(Option::is_some);
        counts.then_some(counter)
    }

    /// So many microseconds are between two uses at an even pace.
    pub(crate) fn every_us(&self) -> Option<i64> {
        self.pace
            .map(|pace| 1_000_000 / i64::from(pace.per_s.get()))
    }

    /// So many may come at once.
    pub(crate) fn burst(&self) -> Option<i64> {
        self.pace.map(|pace| i64::from(pace.burst.get()))
    }

    /// The refusal of what does not fit.
    pub(crate) fn exceeded(&self, asked: i64, full: &Full) -> Exceeded {
        let (limit, value) = self.limit(&full.of);
        let asked = if full.of == "pace" { 1 } else { asked };
        Exceeded {
            used: Some(full.used.to_string()),
            resets_at: full.until,
            ..*Exceeded::new(limit, &self.scope, value, asked.to_string())
        }
    }

    /// The name of a limit, and what it allows.
    pub(crate) fn limit(&self, of: &str) -> (&'static str, String) {
        let number = |it: Option<i64>| it.unwrap_or_default().to_string();
        let pace = || {
            let pace = self.pace.map(|it| (it.per_s.get(), it.burst.get()));
            let (per_s, burst) = pace.unwrap_or_default();
            format!("{per_s} a second, {burst} at once")
        };
        match (of, self.what) {
            ("minute", What::LookUp) => ("look_ups_1m", number(self.minute)),
            ("minute", _) => ("notional_1m", number(self.minute)),
            ("hour", What::Withdrawal) => ("withdrawals_1h", number(self.hour)),
            ("hour", _) => ("notional_1h", number(self.hour)),
            ("day", What::L1Header) => ("l1_headers_24h", number(self.day)),
            ("day", What::Withdrawal) => ("withdrawals_24h", number(self.day)),
            ("day", _) => ("notional_24h", number(self.day)),
            ("open", _) => (Exceeded::OPEN_EXPOSURE, number(self.open)),
            ("pace", What::Assertion) => ("assertions", pace()),
            ("pace", What::AccessToken) => ("access_tokens", pace()),
            ("pace", _) => ("orders", pace()),
            _ => ("counter", "nothing, for its counter is gone".to_owned()),
        }
    }
}

impl Limits {
    /// What is counted of such things, if anything is.
    pub(crate) fn counter(&self, scope: Scope, what: What) -> Option<Counter> {
        Counter::of(scope, what, self.said())
    }
}

impl Said {
    /// Whether the notional of orders is counted.
    pub(super) fn counts_notional(&self) -> bool {
        let amounts = [
            self.notional_1m,
            self.notional_1h,
            self.notional_24h,
            self.open_exposure,
        ];
        amounts.iter().any(Option::is_some) || self.orders.is_some()
    }
}
