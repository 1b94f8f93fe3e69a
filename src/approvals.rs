//! Loosening takes two people (P6). Until votes exist, whoever asks for something that loosens brings
//! what [`Settings::agreement`] gives: the one place where votes will be asked for.

use std::fmt;

/// `[approvals]`
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// One operator may loosen alone. `serve` refuses to start without it, because there is no other
    /// way yet; each such step is recorded with `approval = none (single operator)`.
    #[serde(default)]
    pub single_operator: bool,
}

/// Who agreed to a change, as the audit log has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approval(&'static str);

impl Approval {
    /// For what tightens: nobody has to agree.
    pub fn not_needed() -> Self {
        Self("not needed (tightening)")
    }

    /// For what a caller's own right covers.
    pub fn by_right() -> Self {
        Self("not needed (by right)")
    }

    /// For what the service does by itself, as it was settled when somebody agreed to it.
    pub fn automatic() -> Self {
        Self("not needed (automatic)")
    }

    /// For a way back in, which takes the database's owner and a device instead of a second person.
    pub fn break_glass() -> Self {
        Self("none (break-glass)")
    }

    /// For the first operator, whom nobody could approve.
    pub fn bootstrap() -> Self {
        Self("none (bootstrap)")
    }
}

impl fmt::Display for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A second person is needed and there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this loosens what is guarded, and needs a second person; [approvals] single_operator is off"
)]
pub struct ApprovalNeeded;

impl Settings {
    /// Who agrees to what one operator asks for alone.
    pub fn agreement(&self) -> Option<Approval> {
        self.single_operator
            .then_some(Approval("none (single operator)"))
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
        };
        let approval = settings.agreement().unwrap();
        assert_eq!(approval.to_string(), "none (single operator)");
    }
}
