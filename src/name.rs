//! Names of things that operators make: wallets, clients, keys, callers.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::ledger::LedgerError;

/// 1 to 63 lower-case letters, digits, `.`, `_` and `-`, beginning with a letter or digit. Cheap to clone.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(into = "String", try_from = "String")]
pub struct Name(Arc<str>);

/// The text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 63 of a-z, 0-9, '.', '_' and '-', and begins with a letter or digit")]
pub struct NotAName;

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name that was checked when it was written to `table`.
    pub(crate) fn from_record(table: &'static str, text: String) -> Result<Self, LedgerError> {
        Self::try_from(text).map_err(|e| LedgerError::Corrupt(table, e.to_string()))
    }
}

impl TryFrom<String> for Name {
    type Error = NotAName;

    fn try_from(text: String) -> Result<Self, NotAName> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let begins_well = text.starts_with(plain);
        let goes_on_well = text
            .chars()
            .all(|c| plain(c) || matches!(c, '.' | '_' | '-'));
        if begins_well && goes_on_well && text.len() <= 63 {
            Ok(Self(text.into()))
        } else {
            Err(NotAName)
        }
    }
}

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        Self::try_from(text.to_owned())
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_and_short() {
        for good in ["a", "desk-1", "0x.y_z", &"a".repeat(63)] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a b", "a/b", "ä", &"a".repeat(64)] {
            assert_eq!(bad.parse::<Name>(), Err(NotAName), "{bad}");
        }
    }
}
