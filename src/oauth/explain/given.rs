//! An assertion as somebody shows it: header and claims. Its signature is dropped unread.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// The largest text that is taken for an assertion, in bytes: more than any server takes.
const READ_AT_MOST: usize = 16 * 1024;

/// Header and claims, as they were given.
#[derive(Clone, Debug, Default)]
pub struct Presented {
    /// The header, where it was given.
    pub header: Option<Map<String, Value>>,
    /// The claims.
    pub claims: Map<String, Value>,
    /// How long the whole was, where it was given whole.
    pub length: Option<usize>,
}

/// The text is no assertion that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAssertion {
    /// Not three parts, or not JSON in them.
    #[error(
        "it is not three parts with dots between them, the first two JSON objects in base64url"
    )]
    NotAJwt,
    /// Nobody takes so much.
    #[error("it is larger than anything that is taken for an assertion")]
    TooLarge,
}

impl Presented {
    /// Reads a JWT, and forgets its signature.
    pub fn read(jwt: &str) -> Result<Self, NotAnAssertion> {
        let jwt = jwt.trim();
        if jwt.len() > READ_AT_MOST {
            return Err(NotAnAssertion::TooLarge);
        }
        let parts: Vec<_> = jwt.split('.').collect();
        let [header, claims, _] = parts[..] else {
            return Err(NotAnAssertion::NotAJwt);
        };
        Ok(Self {
            header: Some(object(header)?),
            claims: object(claims)?,
            length: Some(jwt.len()),
        })
    }

    /// A claim that is text.
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim)?.as_str()
    }

    /// A claim that is a whole number.
    pub fn number(&self, claim: &str) -> Option<i64> {
        self.claims.get(claim)?.as_i64()
    }

    /// A member of the header that is text.
    pub fn header_text(&self, name: &str) -> Option<&str> {
        self.header.as_ref()?.get(name)?.as_str()
    }
}

fn object(part: &str) -> Result<Map<String, Value>, NotAnAssertion> {
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| NotAnAssertion::NotAJwt)?;
    serde_json::from_slice(&bytes).map_err(|_| NotAnAssertion::NotAJwt)
}
