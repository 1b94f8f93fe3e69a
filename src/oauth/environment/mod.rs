//! Environments of the Exchange API, as data.
//!
//! What is read here was checked: a URL is one, and goes over TLS; nothing that an assertion or a
//! token is *for* is shared by two environments, so that what is made for one is worth nothing at
//! another. A client gets its environment from its key and from nowhere else.

mod rules;

use std::collections::BTreeMap;

use crate::name::Name;
pub use rules::BadEnvironment;

/// `[oauth]`
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(try_from = "Written")]
pub struct Settings {
    /// `[oauth.environments.NAME]`
    pub environments: BTreeMap<Name, Environment>,
}

/// `[oauth]`, as it is written.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    environments: BTreeMap<Name, Environment>,
}

/// One environment: whom an assertion is for, and what it looks like.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(try_from = "WrittenEnvironment")]
pub struct Environment {
    /// `https://…/`, the authorization server, as it names itself. For Auth0 it ends in a slash.
    pub issuer: String,
    /// Where assertions are exchanged for tokens.
    pub token_endpoint: String,
    /// The API that the tokens are for.
    pub token_audience: String,
    /// Where that API is.
    pub api_url: String,
    /// What stands in `aud`.
    pub assertion_aud: AssertionAud,
    /// `typ` in the header.
    pub typ: String,
    /// `kid` in the header.
    pub kid: Kid,
    /// From `iat` to `exp`.
    pub lifetime_s: Lifetime,
    /// How a token is asked for.
    pub token_request: TokenRequest,
    /// How long an exchange may take.
    pub timeout_ms: u64,
}

/// `[oauth.environments.NAME]`, as it is written.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEnvironment {
    issuer: String,
    token_endpoint: String,
    token_audience: String,
    /// The audience, which is a URL, unless it is said.
    api_url: Option<String>,
    /// The Exchange API's documentation asks for the token endpoint; RFC 10070 allows the issuer only.
    #[serde(default)]
    assertion_aud: AssertionAud,
    #[serde(default = "default_typ")]
    typ: String,
    /// Left out unless said otherwise, as in the documentation's example.
    #[serde(default)]
    kid: Kid,
    #[serde(default = "default_lifetime_s")]
    lifetime_s: Lifetime,
    #[serde(default)]
    token_request: TokenRequest,
    #[serde(default = "default_timeout_ms")]
    timeout_ms: u64,
}

fn default_typ() -> String {
    "JWT".into()
}

fn default_lifetime_s() -> Lifetime {
    Lifetime(60)
}

fn default_timeout_ms() -> u64 {
    3_000
}

/// The body of a token request.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
#[schema(as = TokenRequestBody)]
pub enum TokenRequest {
    /// Form-encoded, as in RFC 6749: every server takes it.
    #[default]
    Form,
    /// JSON, as the Exchange API's documentation shows it.
    Json,
}

/// What stands in `aud`: one string, never a list.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum AssertionAud {
    /// The token endpoint's URL.
    #[default]
    TokenEndpoint,
    /// The issuer.
    Issuer,
    /// This.
    Literal(String),
}

/// What stands in `kid`.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kid {
    /// Nothing: the member is left out.
    #[default]
    Omit,
    /// The key's RFC 7638 thumbprint.
    Thumbprint,
    /// This.
    Literal(String),
}

/// Seconds from `iat` to `exp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "u32")]
pub struct Lifetime(u32);

impl Lifetime {
    /// In seconds.
    pub fn seconds(self) -> i64 {
        i64::from(self.0)
    }
}

impl TryFrom<u32> for Lifetime {
    type Error = &'static str;

    fn try_from(seconds: u32) -> Result<Self, Self::Error> {
        if (10..=300).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err("lifetime_s is 10 to 300")
        }
    }
}

impl Environment {
    /// What stands in `aud`.
    pub fn aud(&self) -> &str {
        match &self.assertion_aud {
            AssertionAud::TokenEndpoint => &self.token_endpoint,
            AssertionAud::Issuer => &self.issuer,
            AssertionAud::Literal(aud) => aud,
        }
    }
}
