//! What an environment has to be before anything is signed for it.

use std::collections::BTreeMap;

use reqwest::Url;

use super::{AssertionAud, Environment, Kid, Settings, Written, WrittenEnvironment};
use crate::name::Name;

/// The values of `typ` that servers know.
const TYPES: [&str; 2] = ["JWT", "client-authentication+jwt"];
/// Auth0 takes no longer texts in most places.
const TEXT_LIMIT: usize = 64;
/// Room for a URL in `aud`, within the 2048 bytes that Auth0 takes of an assertion.
const AUD_LIMIT: usize = 255;

/// Why an environment cannot be used as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEnvironment {
    /// Not a URL that credentials may go to.
    #[error(
        "{0} = {1:?}: https://host is wanted, without user, query or fragment; http only to this machine"
    )]
    Url(&'static str, String),
    /// A server compares byte by byte.
    #[error("{0} = {1:?} is compared byte by byte: write it as {2:?}")]
    Spelling(&'static str, String, String),
    /// Auth0 names itself with a slash at the end.
    #[error(
        "issuer = {0:?}: an Auth0 issuer is the host alone and ends in a slash, https://TENANT.auth0.com/"
    )]
    Slash(String),
    /// An assertion for one Auth0 tenant would be sent to another.
    #[error("token_endpoint = {0:?} is of another Auth0 tenant than the issuer")]
    Tenant(String),
    /// Empty, too long, or with characters that no server expects.
    #[error("{0} has 1 to {1} visible ASCII characters")]
    Text(&'static str, usize),
    /// The usual mistake: an assertion is for the authorization server, a token for the API.
    #[error("assertion_aud = {0:?} is the API; an assertion is for the authorization server")]
    Api(String),
    /// No server knows it.
    #[error("typ = {0:?}: \"JWT\" or \"client-authentication+jwt\"")]
    Type(String),
    /// No use, or no end.
    #[error("timeout_ms is 1 to 60000")]
    Timeout,
    /// What is made for one would be good at the other.
    #[error(
        "the environments {0} and {1} share {2:?}: what is signed for one would be good for the other"
    )]
    Shared(Name, Name, String),
}

impl TryFrom<WrittenEnvironment> for Environment {
    type Error = BadEnvironment;

    fn try_from(written: WrittenEnvironment) -> Result<Self, BadEnvironment> {
        let issuer = url("issuer", &written.issuer)?;
        let endpoint = url("token_endpoint", &written.token_endpoint)?;
        url("token_audience", &written.token_audience)?;
        let api_url = match written.api_url {
            Some(api) => {
                url("api_url", &api)?;
                api
            }
            None => written.token_audience.clone(),
        };
        if of_auth0(&issuer) {
            if issuer.path() != "/" || !written.issuer.ends_with('/') {
                return Err(BadEnvironment::Slash(written.issuer));
            }
            if of_auth0(&endpoint) && endpoint.origin() != issuer.origin() {
                return Err(BadEnvironment::Tenant(written.token_endpoint));
            }
        }
        if let AssertionAud::Literal(aud) = &written.assertion_aud {
            text("assertion_aud", aud, AUD_LIMIT)?;
            if [&written.token_audience, &api_url]
                .map(|it| plain(it))
                .contains(&plain(aud))
            {
                return Err(BadEnvironment::Api(aud.clone()));
            }
        }
        if let Kid::Literal(kid) = &written.kid {
            text("kid", kid, TEXT_LIMIT)?;
        }
        if !TYPES.contains(&written.typ.as_str()) {
            return Err(BadEnvironment::Type(written.typ));
        }
        if !(1..=60_000).contains(&written.timeout_ms) {
            return Err(BadEnvironment::Timeout);
        }
        Ok(Self {
            issuer: written.issuer,
            token_endpoint: written.token_endpoint,
            token_audience: written.token_audience,
            api_url,
            assertion_aud: written.assertion_aud,
            typ: written.typ,
            kid: written.kid,
            lifetime_s: written.lifetime_s,
            token_request: written.token_request,
            timeout_ms: written.timeout_ms,
        })
    }
}

impl TryFrom<Written> for Settings {
    type Error = BadEnvironment;

    fn try_from(written: Written) -> Result<Self, BadEnvironment> {
        let mut known: BTreeMap<String, &Name> = BTreeMap::new();
        for (name, environment) in &written.environments {
            for text in environment.counterparts() {
                match known.insert(plain(text), name) {
                    Some(other) if other != name => {
                        let (other, name) = (other.clone(), name.clone());
                        return Err(BadEnvironment::Shared(other, name, text.to_owned()));
                    }
                    _ => {}
                }
            }
        }
        Ok(Self {
            environments: written.environments,
        })
    }
}

impl Environment {
    /// Everything by which somebody outside knows an assertion or a token to be theirs.
    fn counterparts(&self) -> [&str; 5] {
        [
            &self.issuer,
            &self.token_endpoint,
            &self.token_audience,
            &self.api_url,
            self.aud(),
        ]
    }
}

/// Servers are not told apart by a slash or by capitals.
fn plain(text: &str) -> String {
    text.trim_end_matches('/').to_lowercase()
}

/// A URL that credentials may go to, in the one spelling that a parser gives back.
fn url(field: &'static str, text: &str) -> Result<Url, BadEnvironment> {
    let wrong = || BadEnvironment::Url(field, text.to_owned());
    let url: Url = text.parse().map_err(|_| wrong())?;
    let local = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    let bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !bare || !(url.scheme() == "https" || (url.scheme() == "http" && local)) {
        return Err(wrong());
    }
    // A parser adds the slash of an empty path, which is a matter of taste.
    if url.as_str() != text && url.as_str() != format!("{text}/") {
        let right = url.to_string();
        return Err(BadEnvironment::Spelling(field, text.to_owned(), right));
    }
    Ok(url)
}

fn of_auth0(url: &Url) -> bool {
    url.host_str()
        .is_some_and(|host| host.ends_with(".auth0.com"))
}

fn text(field: &'static str, text: &str, limit: usize) -> Result<(), BadEnvironment> {
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if visible && (1..=limit).contains(&text.len()) {
        Ok(())
    } else {
        Err(BadEnvironment::Text(field, limit))
    }
}

#[cfg(test)]
mod tests;
