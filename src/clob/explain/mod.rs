//! Why an order is refused: which part of it is wrong.
//!
//! A venue that answers "invalid signature" names nothing. But a signature leads back to an address for
//! every digest, and to the signer's for one only: so the order's near misses are tried, each with one
//! thing different, until the signature fits. What is found that way is proven, and nothing else is
//! said: what is not in the [catalogue](Code) is answered with none of these.
//!
//! It **trusts** nothing in the order. Work is bounded: members have lengths, near misses a number.
//!
//! # Why
//! Orders that were signed here are not guessed at. They are found by their digest, or by the r of their
//! signature whatever else was changed, and compared with what was released, member by member.

mod catalogue;
mod given;
mod judge;
mod known_errors;
mod posted;
mod record;
mod rounding;
mod search;
mod subject;
mod targets;
mod venue_texts;

use super::amount::Tick;
use super::contracts::Version;
use super::derived::Derived;
use super::request::OrderType;
use super::wallet::Chain;
use crate::ethereum::Address;
pub use catalogue::Code;
pub use given::NotAnOrder;
pub use known_errors::{KnownError, Refusal};
pub use record::{Change, Recorded};
pub use subject::Subject;

/// What the order should have been, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// The version that the venue takes.
    pub version: Option<Version>,
    /// The chain of the venue.
    pub chain: Option<Chain>,
    /// Whether the market is neg-risk.
    pub neg_risk: Option<bool>,
    /// The market's tick.
    pub tick: Option<Tick>,
    /// Who should have signed.
    pub signer: Option<Address>,
    /// How the order is posted.
    pub order_type: Option<OrderType>,
    /// When it is looked at, in unix seconds; nothing is said of an expiration without it.
    pub now_s: Option<i64>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = OrderFinding)]
pub struct Finding {
    /// What; stable, for programs.
    pub code: Code,
    /// The member, or members, that it is about.
    pub field: String,
    /// What stands there, where there is a better value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given: Option<String>,
    /// What the signature was made for, or the record holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right: Option<String>,
    /// What is wrong, for people.
    pub detail: String,
    /// What to do.
    pub action: &'static str,
}

impl Finding {
    fn plain(code: Code, field: &str, detail: String) -> Self {
        Self {
            code,
            field: field.to_owned(),
            given: None,
            right: None,
            detail,
            action: code.action(),
        }
    }

    /// The signature fits with another value.
    fn near_miss(code: Code, field: &str, given: &str, right: &str) -> Self {
        let detail = format!("{field} is {given}, and the signature was made for {right}");
        Self {
            given: Some(given.to_owned()),
            right: Some(right.to_owned()),
            ..Self::plain(code, field, detail)
        }
    }
}

/// The answer in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = OrderVerdict)]
pub enum Verdict {
    /// The signature fits the order as it is, and nothing else is wrong with it.
    Fits,
    /// Something is wrong: the findings name it.
    Found,
    /// What is wrong is not in the list.
    NoneOfThese,
}

/// What the signature was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignedFor {
    /// The order's version: 1, 2 or 3.
    #[schema(value_type = Option<u8>)]
    pub version: Option<Version>,
    /// The chain in the domain.
    pub chain_id: u64,
    /// Whether it is a neg-risk exchange.
    pub neg_risk: Option<bool>,
    /// The contract in the domain.
    #[schema(value_type = Option<String>)]
    pub verifying_contract: Option<Address>,
    /// Whose key signed.
    #[schema(value_type = String)]
    pub signer: Address,
    /// What follows from that key on chain 137.
    pub derived: Derived,
}

/// What is wrong with an order.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// In a word.
    pub verdict: Verdict,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What the signature was made for; none where no near miss fits.
    pub signed_for: Option<SignedFor>,
    /// The venue's text, where it is known.
    pub known_error: Option<KnownError>,
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
