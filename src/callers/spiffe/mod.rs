//! SPIFFE IDs: who a workload is, in a trust domain (SPIFFE-ID, sections 2 and 2.1 to 2.4).

use std::str::FromStr;

/// The longest that is taken, in bytes.
const LONGEST: usize = 2_048;

/// `spiffe://` trust domain `/` path, in the one form in which it is compared byte by byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiffeId {
    text: String,
    /// Where the path begins.
    path: usize,
}

/// Why a text is no SPIFFE ID of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotASpiffeId {
    /// Another scheme, or none.
    #[error("it does not begin with spiffe://")]
    Scheme,
    /// Not a trust domain.
    #[error("its trust domain is not lower-case letters, digits, dots, dashes and underscores")]
    TrustDomain,
    /// No path: it names the trust domain, and nobody in it.
    #[error("it has no path: it names a trust domain, and nobody in it")]
    NoPath,
    /// Not a path.
    #[error("its path is not made of segments of letters, digits, dots, dashes and underscores")]
    Path,
    /// Too long.
    #[error("it is longer than {LONGEST} bytes")]
    TooLong,
}

impl SpiffeId {
    const SCHEME: &str = "spiffe://";

    /// The whole of it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// In whose name it is given.
    pub fn trust_domain(&self) -> &str {
        &self.text[Self::SCHEME.len()..self.path]
    }
}

/// Whether a text is a trust domain.
pub(super) fn is_trust_domain(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    (1..=255).contains(&text.len()) && text.bytes().all(is_plain)
}

impl FromStr for SpiffeId {
    type Err = NotASpiffeId;

    fn from_str(text: &str) -> Result<Self, NotASpiffeId> {
        if text.len() > LONGEST {
            return Err(NotASpiffeId::TooLong);
        }
        let rest = text.strip_prefix(Self::SCHEME);
        let rest = rest.ok_or(NotASpiffeId::Scheme)?;
        let (domain, path) = match rest.split_once('/') {
            Some((domain, path)) => (domain, Some(path)),
            None => (rest, None),
        };
        if !is_trust_domain(domain) {
            return Err(NotASpiffeId::TrustDomain);
        }
        let path = path.ok_or(NotASpiffeId::NoPath)?;
        let is_segment = |it: &str| {
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
            !matches!(it, "" | "." | "..") && it.bytes().all(is_plain)
        };
        if !path.split('/').all(is_segment) {
            return Err(if path.is_empty() {
                NotASpiffeId::NoPath
            } else {
                NotASpiffeId::Path
            });
        }
        Ok(Self {
            text: text.to_owned(),
            path: Self::SCHEME.len() + domain.len(),
        })
    }
}

#[cfg(test)]
mod tests;
