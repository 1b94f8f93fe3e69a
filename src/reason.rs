//! A person's reason for what they do, in their words.

/// 1 to 500 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Reason(String);

/// The text is not a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a reason has 1 to 500 characters, not all of them blank and none a control character")]
pub struct NotAReason;

impl Reason {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Reason {
    type Error = NotAReason;

    fn try_from(text: String) -> Result<Self, NotAReason> {
        let said = !text.trim().is_empty() && text.chars().count() <= 500;
        if said && !text.chars().any(char::is_control) {
            Ok(Self(text))
        } else {
            Err(NotAReason)
        }
    }
}

impl std::str::FromStr for Reason {
    type Err = NotAReason;

    fn from_str(text: &str) -> Result<Self, NotAReason> {
        Self::try_from(text.to_owned())
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.0
    }
}

/// Why, and nothing else.
#[derive(Clone, Debug, clap::Args, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Justification {
    /// Why, for the record: 1 to 500 characters.
    #[arg(long)]
    #[schema(value_type = String, example = "asked for by desk 1, case 1234")]
    pub reason: Reason,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_something_that_the_ledger_can_keep() {
        for good in ["x", "Schlüssel verlegt", &"ä".repeat(500)] {
            assert!(Reason::try_from(good.to_owned()).is_ok(), "{good}");
        }
        // Postgres has no NUL in text, and a line break forges a line of a report.
        for bad in ["", "  ", "a\0b", "a\nb", &"a".repeat(501)] {
            assert_eq!(Reason::try_from(bad.to_owned()), Err(NotAReason), "{bad:?}");
        }
    }
}
