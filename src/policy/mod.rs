//! Who may do what: the one gate that every effect comes through.
//!
//! [`Rights::ask`] decides and records: a yes is a [`Permit`], and nothing is signed, changed, handed
//! out or shown without one; a no is on record. Policies are written in Cedar and checked against
//! the schema next to this file when they are loaded. What no policy permits is denied; a policy
//! that cannot be evaluated denies too, although Cedar itself would skip it.
//!
//! What decides is the newest version in the ledger ([`Policies`]), which proves itself (`authority`). It
//! **trusts** the file that brings the first one, which is the operator's, and the roles and owners in the
//! ledger.

mod action;
mod asides;
mod bounds;
mod cases;
mod cedar;
mod differences;
mod judging;
mod literals;
mod looks;
mod memory;
mod permit;
mod policies;
mod resource;
mod rights;
mod roles;
mod rules;
mod stake;
#[cfg(test)]
mod tests;
mod then;

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;

pub use action::Action;
pub use cases::{Case, CaseCaller, CaseRequest, CaseResource, Failure, NotARequest, Suite};
pub use cedar::{Policy, PolicyError};
pub use differences::{Difference, Differences, differences};
pub use judging::{Explanation, Judgement, Missing};
pub use permit::{Ask, Deed, Denied, Permit};
pub use policies::{
    Brought, NewPolicy, Newest, NotBrought, NotReplaced, Policies, PolicyReplacement, PolicyVersion,
};
pub use resource::Resource;
pub use rights::{Again, Explained, Rights, Unexplained};
pub use stake::Stake;
pub use then::{Could, Then};

/// `[policy]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The Cedar file that brings the first policy.
    pub file: PathBuf,
    /// How many denials and dry runs of a caller are put on record one by one between two counts of the rest.
    #[serde(default = "default_denials_each")]
    pub denials_each: NonZeroU32,
    /// How often the rest is counted, in seconds.
    #[serde(default = "default_denials_counted_every_s")]
    pub denials_counted_every_s: NonZeroU64,
}

fn default_denials_each() -> NonZeroU32 {
    NonZeroU32::new(20).expect("20 is not 0")
}

fn default_denials_counted_every_s() -> NonZeroU64 {
    NonZeroU64::new(60).expect("60 is not 0")
}
