//! Static tokens: 256 random bits behind a prefix, with a checksum.
//!
//! `chancery_` and 43 characters of base64url, then 6 of a checksum: secret scanners recognise it,
//! and a mistyped one is refused without a look-up.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const PREFIX: &str = "chancery_";
const SECRET: usize = 43;
const CHECKSUM: usize = 6;

/// A caller's token. Shown once, when it is made; then only its hash is known.
pub struct Token(SecretString);

/// SHA-256 of what was presented, token or not.
pub(super) fn hash(presented: &str) -> [u8; 32] {
    Sha256::digest(presented).into()
}

/// What was presented is not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a token: it starts with {PREFIX} and has {} characters after that", SECRET + CHECKSUM)]
pub struct NotAToken;

impl Token {
    /// A new one from the operating system's generator.
    ///
    /// # Panics
    /// Without that generator: there is no other source to go on with.
    pub fn random() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut()).expect("the operating system has random bytes");
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_ref()));
        let check = checksum(&secret);
        Self(format!("{PREFIX}{}{check}", *secret).into())
    }

    /// SHA-256 of the whole text: what the ledger keeps.
    pub fn hash(&self) -> [u8; 32] {
        hash(self.0.expose_secret())
    }

    /// The text, to show it or to send it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let body = text.strip_prefix(PREFIX).ok_or(NotAToken)?;
        let (secret, check) = body.split_at_checked(SECRET).ok_or(NotAToken)?;
        if check != checksum(secret) {
            return Err(NotAToken);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([redacted])")
    }
}

fn checksum(secret: &str) -> String {
    let mut text = URL_SAFE_NO_PAD.encode(Sha256::digest(secret));
    text.truncate(CHECKSUM);
    text
}

#[cfg(test)]
mod tests;
