//! What a token may do: scopes as RFC 6749, section 3.3 writes them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// How many scopes one token is asked to have.
const MOST: usize = 32;

/// How long a scope is.
const LONGEST: usize = 64;

/// Scopes, each once and in order: equal for requests that mean the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeSet(BTreeSet<String>);

/// The text is not a list of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "scope is 1 to {MOST} names with one space between them, each of up to {LONGEST} visible ASCII characters without '\"' and '\\'"
)]
pub struct NotScopes;

impl ScopeSet {
    /// The scopes that a counterparty says a token has, without what is not a scope.
    pub(super) fn granted(text: &str) -> Self {
        let scopes = text.split_ascii_whitespace().filter(|it| is_scope(it));
        scopes.map(ToOwned::to_owned).collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// In order, for the policy and for the ledger.
    pub fn to_vec(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }

    /// Whether all of these are among others.
    #[must_use]
    pub fn is_within(&self, others: &Self) -> bool {
        self.0.is_subset(&others.0)
    }

    /// Those that are in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    /// Those that are not among others.
    #[must_use]
    pub fn without(&self, others: &Self) -> Self {
        Self(self.0.difference(&others.0).cloned().collect())
    }
}

impl FromIterator<String> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = String>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl FromStr for ScopeSet {
    type Err = NotScopes;

    fn from_str(text: &str) -> Result<Self, NotScopes> {
        if !text.split(' ').all(is_scope) {
            return Err(NotScopes);
        }
        let scopes: Self = text.split(' ').map(ToOwned::to_owned).collect();
        if scopes.0.len() > MOST {
            return Err(NotScopes);
        }
        Ok(scopes)
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, scope) in self.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope)?;
        }
        Ok(())
    }
}

fn is_scope(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests;
