//! What an operator writes: one document for each thing that is limited, valid once it is read.

use std::collections::BTreeSet;

use super::bounds::{Band, Collar, Pace};
use super::{NotANumber, ScopeKind, Side, Token, Units};

/// So many token ids in one list.
const LONGEST_LIST: usize = 1_000;

/// Limits of one thing, as they are written. What is left out is not limited.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(deny_unknown_fields, default)]
#[schema(as = Limits)]
pub struct Said {
    /// The cash that changes hands if all of an order fills, at most, in base units of 10⁻⁶ as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "500000000")]
    pub order_notional: Option<Units>,
    /// The notional of all orders within any minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub notional_1m: Option<Units>,
    /// Within any hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub notional_1h: Option<Units>,
    /// Within any 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub notional_24h: Option<Units>,
    /// What is signed and may still come to pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub open_exposure: Option<Units>,
    /// Which prices an order may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Band>,
    /// How far a price may go beyond the best one on the other side of the book.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collar: Option<Collar>,
    /// `BUY`, `SELL` or both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sides: Option<BTreeSet<Side>>,
    /// The only tokens that orders may be for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub token_ids_allowed: Option<BTreeSet<Token>>,
    /// Tokens that no order may be for, whatever else is said.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub token_ids_denied: BTreeSet<Token>,
    /// How many seconds ahead an expiration is at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_min_s: Option<u32>,
    /// At most. An order that may rest has an expiration then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_max_s: Option<u32>,
    /// Orders a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orders: Option<Pace>,
    /// How many seconds pass before the same request for orders is signed again under another
    /// `Idempotency-Key`, unless it says `again`: 1 to 3600.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3600)]
    pub repeat_after_s: Option<u32>,
    /// Headers of level 1 within any 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l1_headers_24h: Option<u32>,
    /// Assertions a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assertions: Option<Pace>,
    /// Access tokens a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_tokens: Option<Pace>,
    /// What leaves a wallet for a recipient with one operation, at most, in base units of 10⁻⁶ as text. A position
    /// counts as what it can be worth at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub withdrawal: Option<Units>,
    /// What all operations within any hour send.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub withdrawals_1h: Option<Units>,
    /// Within any 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub withdrawals_24h: Option<Units>,
    /// Questions about what was signed within any minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look_ups_1m: Option<u32>,
}

/// Limits that make sense.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "Said", try_from = "Said")]
pub struct Limits(Said);

/// Why what was said is no limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotALimit {
    /// A number.
    #[error(transparent)]
    Number(#[from] NotANumber),
    /// It limits nothing.
    #[error("nothing is limited: remove the limits instead")]
    Empty,
    /// Its bounds leave nothing between them.
    #[error("{field}: {why}")]
    Absurd {
        /// The JSON name.
        field: &'static str,
        /// Why.
        why: &'static str,
    },
    /// Of such a thing nothing like it is counted.
    #[error("{field}: a {scope} has no such limit")]
    NotOf {
        /// The JSON name.
        field: &'static str,
        /// Of what.
        scope: ScopeKind,
    },
}

impl Limits {
    /// What was said.
    pub fn said(&self) -> &Said {
        &self.0
    }

    /// Whether a thing of this kind can have these limits.
    pub fn fit(&self, scope: ScopeKind) -> Result<(), NotALimit> {
        use ScopeKind::{Caller, CallerKey, Global, Key, Market, Wallet};
        let said = &self.0;
        let field = match scope {
            Global | Caller => None,
            Key | CallerKey => said.look_ups_1m.map(|_| "look_ups_1m"),
            Wallet | Market => {
                let l1 = said.l1_headers_24h.filter(|_| scope == Market);
                let withdrawn = [said.withdrawal, said.withdrawals_1h, said.withdrawals_24h];
                let withdrawn = scope == Market && withdrawn.iter().any(Option::is_some);
                let others = [
                    (said.look_ups_1m.is_some(), "look_ups_1m"),
                    (said.assertions.is_some(), "assertions"),
                    (said.access_tokens.is_some(), "access_tokens"),
                    (l1.is_some(), "l1_headers_24h"),
                    (withdrawn, "withdrawal"),
                ];
                others
                    .into_iter()
                    .find_map(|(is, field)| is.then_some(field))
            }
        };
        field.map_or(Ok(()), |field| Err(NotALimit::NotOf { field, scope }))
    }

    /// Whether these allow something that `before` did not.
    pub fn loosen(&self, before: &Self) -> bool {
        let (Self(now), Self(then)) = (self, before);
        let subset = |now: &Option<BTreeSet<Token>>, then: &Option<BTreeSet<Token>>| {
            within(now.as_ref(), then.as_ref(), BTreeSet::is_subset)
        };
        let holds = [
            at_most(now.order_notional, then.order_notional),
            at_most(now.notional_1m, then.notional_1m),
            at_most(now.notional_1h, then.notional_1h),
            at_most(now.notional_24h, then.notional_24h),
            at_most(now.open_exposure, then.open_exposure),
            within(now.price.as_ref(), then.price.as_ref(), |a, b| {
                a.is_within(*b)
            }),
            within(now.collar.as_ref(), then.collar.as_ref(), Collar::is_within),
            within(now.sides.as_ref(), then.sides.as_ref(), BTreeSet::is_subset),
            subset(&now.token_ids_allowed, &then.token_ids_allowed),
            now.token_ids_denied.is_superset(&then.token_ids_denied),
            within(
                now.expiration_min_s.as_ref(),
                then.expiration_min_s.as_ref(),
                PartialOrd::ge,
            ),
            at_most(now.expiration_max_s, then.expiration_max_s),
            within(now.orders.as_ref(), then.orders.as_ref(), |a, b| {
                a.is_within(*b)
            }),
            within(
                now.repeat_after_s.as_ref(),
                then.repeat_after_s.as_ref(),
                PartialOrd::ge,
            ),
            at_most(now.l1_headers_24h, then.l1_headers_24h),
            within(now.assertions.as_ref(), then.assertions.as_ref(), |a, b| {
                a.is_within(*b)
            }),
            within(
                now.access_tokens.as_ref(),
                then.access_tokens.as_ref(),
                |a, b| a.is_within(*b),
            ),
            at_most(now.look_ups_1m, then.look_ups_1m),
            at_most(now.withdrawal, then.withdrawal),
            at_most(now.withdrawals_1h, then.withdrawals_1h),
            at_most(now.withdrawals_24h, then.withdrawals_24h),
        ];
        holds.contains(&false)
    }
}

/// Whether there is no more now than there was, where there was a limit.
fn within<T>(now: Option<&T>, then: Option<&T>, fits: impl FnOnce(&T, &T) -> bool) -> bool {
    match (now, then) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(now), Some(then)) => fits(now, then),
    }
}

fn at_most<T: PartialOrd + Copy>(now: Option<T>, then: Option<T>) -> bool {
    within(now.as_ref(), then.as_ref(), PartialOrd::le)
}

impl TryFrom<Said> for Limits {
    type Error = NotALimit;

    fn try_from(said: Said) -> Result<Self, NotALimit> {
        let absurd = |field, why| Err(NotALimit::Absurd { field, why });
        if said == Said::default() {
            return Err(NotALimit::Empty);
        }
        if let Some(price) = said.price {
            price.check("price")?;
        }
        if let Some(collar) = said.collar {
            if !(100..=60_000).contains(&collar.max_age_ms) {
                return absurd("collar", "max_age_ms is 100 to 60000");
            }
            if let Some(band) = collar.without_book {
                band.check("collar")?;
            }
        }
        if said.sides.as_ref().is_some_and(BTreeSet::is_empty) {
            return absurd("sides", "none is left: halt it instead");
        }
        let allowed = said.token_ids_allowed.as_ref();
        if allowed.is_some_and(BTreeSet::is_empty) {
            return absurd("token_ids_allowed", "none is left: halt it instead");
        }
        if allowed.is_some_and(|it| it.len() > LONGEST_LIST) {
            return absurd("token_ids_allowed", "at most 1000 are listed");
        }
        if said.token_ids_denied.len() > LONGEST_LIST {
            return absurd("token_ids_denied", "at most 1000 are listed");
        }
        if let (Some(min), Some(max)) = (said.expiration_min_s, said.expiration_max_s)
            && min > max
        {
            return absurd("expiration_min_s", "it is above expiration_max_s");
        }
        if said
            .repeat_after_s
            .is_some_and(|it| !(1..=3_600).contains(&it))
        {
            return absurd("repeat_after_s", "it is 1 to 3600");
        }
        for (pace, field) in [
            (said.orders, "orders"),
            (said.assertions, "assertions"),
            (said.access_tokens, "access_tokens"),
        ] {
            if let Some(pace) = pace {
                pace.check(field)?;
            }
        }
        Ok(Self(said))
    }
}

impl From<Limits> for Said {
    fn from(limits: Limits) -> Self {
        limits.0
    }
}

#[cfg(test)]
mod tests;
