//! What an access token says of itself. Nobody's signature is checked: only the API can say whether
//! a token is good, and what is read here only takes away: life, scopes, the token itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// The largest token that is read, in bytes.
const TOKEN_LIMIT: usize = 16 * 1024;

/// What a token says, unverified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenClaims {
    /// `scope`, in the token's order, without repetition.
    pub scopes: Vec<String>,
    /// `aud`: the API or APIs that it is for.
    pub audiences: Vec<String>,
    /// `iss`: who made it.
    pub issuer: Option<String>,
    /// `azp`, or `client_id`: the client that it was made for.
    pub client_id: Option<String>,
    /// `iat`, in seconds since 1970.
    pub issued_at: Option<i64>,
    /// `exp`, in seconds since 1970.
    pub expires_at: Option<i64>,
}

/// The text is no JWT that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAToken {
    /// It is not three parts, the middle one JSON in base64url.
    #[error("this is no JWT: three parts with dots between them, the middle one JSON in base64url")]
    NotAJwt,
    /// It is larger than any token.
    #[error("this is larger than any token")]
    TooLarge,
}

impl TokenClaims {
    /// Reads a token, with or without the word Bearer before it.
    pub fn read(token: &str) -> Result<Self, NotAToken> {
        let token = token.trim();
        if token.len() > TOKEN_LIMIT {
            return Err(NotAToken::TooLarge);
        }
        let token = match token.split_once(' ') {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest.trim(),
            _ => token,
        };
        let parts: Vec<_> = token.split('.').collect();
        let [_, payload, _] = parts[..] else {
            return Err(NotAToken::NotAJwt);
        };
        let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('='));
        let payload = Zeroizing::new(payload.map_err(|_| NotAToken::NotAJwt)?);
        let claims: Map<String, Value> =
            serde_json::from_slice(&payload).map_err(|_| NotAToken::NotAJwt)?;
        let text = |name: &str| claims.get(name)?.as_str().map(str::to_owned);
        let mut scopes = Vec::new();
        for scope in words(claims.get("scope")) {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        let audiences = match claims.get("aud") {
            Some(Value::String(one)) => vec![one.clone()],
            other => words(other),
        };
        Ok(Self {
            scopes,
            audiences,
            issuer: text("iss"),
            client_id: text("azp").or_else(|| text("client_id")),
            issued_at: claims.get("iat").and_then(numeric_date),
            expires_at: claims.get("exp").and_then(numeric_date),
        })
    }
}

/// `NumericDate` (RFC 7519, section 2): seconds since 1970, which may have a fraction.
fn numeric_date(value: &Value) -> Option<i64> {
    let Value::Number(number) = value else {
        return None;
    };
    let text = number.to_string();
    text.split('.').next()?.parse().ok()
}

/// Words with spaces between them, as OAuth writes scopes, or a list of them.
fn words(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => text.split_ascii_whitespace().map(str::to_owned).collect(),
        Some(Value::Array(list)) => {
            let texts = list.iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
