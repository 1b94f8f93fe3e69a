//! Loosening takes two people (P6).
//!
//! Whoever asks for something that loosens, and is not alone by configuration, gets a [proposal](document):
//! what the operation would put on record, in words and whole, bound by a hash. Others sign that hash
//! ([`Signature`]). When the [quorum](Quorum) is there, whoever asked repeats the request; behind the gate
//! everything is looked at again (`check`), and the proposal ends in the transaction that does what it
//! proposed.
//!
//! `proposals` and `people`, which write the log, stand above it; this is what the log itself asks.
//!
//! The rows of people and their keys are compared with what is stated ([`authority`](crate::authority)) whenever
//! an approval is given or counted, and so is that of the proposal. The signatures are kept whole, in the leaves
//! too, and hold without us. It **trusts** what `authority` trusts.
//!
//! # Why the same request again
//! A proposal that the service carried out by itself would hand its answer, perhaps a token, to nobody in
//! particular, and need a second way for each operation. So the requester repeats it, under the same
//! `Idempotency-Key` and with the same body, which also makes one execution of however many repetitions.

pub(crate) mod check;
pub mod document;
mod quorum;
pub(crate) mod records;
pub mod signature;

use std::fmt;

use crate::id::ProposalId;
use crate::within::Within;
pub use quorum::{Missing, Quorum, Rule};
pub use signature::{ApproverKey, NewApproval, Signature};

/// `[approvals]`
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// One operator may loosen alone; each such step is recorded with `approval = none (single operator)`.
    /// Without it, what loosens is proposed and waits for others.
    pub single_operator: bool,
    /// How long a proposal waits, in minutes; an hour unless said otherwise.
    pub expire_minutes: Expiry,
    /// Who has to approve: for everything, and for some operations more.
    pub quorums: Vec<Rule>,
    /// Where people approve with passkeys.
    pub passkeys: Option<signature::RelyingParty>,
}

/// How long a proposal waits, in minutes: 5 minutes to a day.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(transparent)]
pub struct Expiry(Within<5, 1_440>);

impl Default for Expiry {
    fn default() -> Self {
        Self(Within::of(60))
    }
}

/// Who agreed to a change, as the audit log has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approval(Ground);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ground {
    Words(&'static str),
    Proposal(ProposalId),
}

impl Approval {
    const fn words(words: &'static str) -> Self {
        Self(Ground::Words(words))
    }

    /// For what tightens: nobody has to agree.
    pub fn not_needed() -> Self {
        Self::words("not needed (tightening)")
    }

    /// For what a caller's own right covers.
    pub fn by_right() -> Self {
        Self::words("not needed (by right)")
    }

    /// For what the service does by itself, as it was settled when somebody agreed to it.
    pub fn automatic() -> Self {
        Self::words("not needed (automatic)")
    }

    /// For a way back in, which takes the database's owner and a device instead of a second person.
    pub fn break_glass() -> Self {
        Self::words("none (break-glass)")
    }

    /// For the first operator and the first approvers, whom nobody could approve.
    pub fn bootstrap() -> Self {
        Self::words("none (bootstrap)")
    }

    /// For what others have signed.
    pub fn by_proposal(proposal: ProposalId) -> Self {
        Self(Ground::Proposal(proposal))
    }

    /// For what is tried to see what it would do. No commit takes it.
    pub(crate) fn awaited() -> Self {
        Self::words("awaited")
    }

    /// The proposal that it is by.
    pub(crate) fn proposal(self) -> Option<ProposalId> {
        match self.0 {
            Ground::Proposal(proposal) => Some(proposal),
            Ground::Words(_) => None,
        }
    }
}

impl fmt::Display for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Ground::Words(words) => f.write_str(words),
            Ground::Proposal(proposal) => write!(f, "proposal {proposal}"),
        }
    }
}

/// A second person is needed and has not agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this loosens what is guarded, and nobody else has agreed to it")]
pub struct ApprovalNeeded;

impl Settings {
    /// Who agrees to what one operator asks for alone.
    pub fn agreement(&self) -> Option<Approval> {
        self.single_operator
            .then_some(Approval::words("none (single operator)"))
    }

    /// How long a proposal waits.
    pub fn life(&self) -> time::Duration {
        time::Duration::minutes(i64::try_from(self.expire_minutes.0.get()).unwrap_or(60))
    }

    /// Who has to approve an operation.
    pub fn quorum(&self, operation: &str) -> Quorum {
        Quorum::of(&self.quorums, operation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_loosens_alone_unless_the_configuration_says_so() {
        assert_eq!(Settings::default().agreement(), None);
        let settings = Settings {
            single_operator: true,
            ..Settings::default()
        };
        let approval = settings.agreement().unwrap();
        assert_eq!(approval.to_string(), "none (single operator)");
    }
}
