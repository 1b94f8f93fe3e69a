//! What an authorization server says of itself (`OpenID` Connect Discovery), to be compared with the
//! configuration. Nothing of it is ever used: where assertions go, and for whom they are, is
//! configuration.

use std::time::Duration;

use reqwest::Method;

use super::environment::Environment;
use crate::counterparty::{self, BadCounterparty, Counterparty, NoReply, quoted};

/// The document's members that matter.
#[derive(Debug, serde::Deserialize)]
struct Metadata {
    issuer: String,
    token_endpoint: String,
}

/// What a server says.
#[derive(Debug)]
pub struct Discovered {
    metadata: Metadata,
    /// Its clock, in seconds since 1970.
    pub server_time: Option<i64>,
}

/// Why it said nothing.
#[derive(Debug, thiserror::Error)]
pub enum Undiscovered {
    /// Its URL.
    #[error(transparent)]
    Server(#[from] BadCounterparty),
    /// No answer.
    #[error(transparent)]
    NoReply(#[from] NoReply),
    /// Another answer.
    #[error("it answered {0} to /.well-known/openid-configuration")]
    Status(u16),
    /// Not the document.
    #[error("its /.well-known/openid-configuration is not what it should be")]
    Nonsense,
}

/// Asks an environment's authorization server, without credentials.
pub async fn ask(environment: &Environment) -> Result<Discovered, Undiscovered> {
    let timeout = Duration::from_millis(environment.timeout_ms);
    let server = Counterparty::open(&environment.issuer, timeout)?;
    let path = "/.well-known/openid-configuration";
    let reply = counterparty::send(server.request(Method::GET, path, &[])).await?;
    if reply.status != 200 {
        return Err(Undiscovered::Status(reply.status));
    }
    Ok(Discovered {
        metadata: serde_json::from_slice(&reply.body).map_err(|_| Undiscovered::Nonsense)?,
        server_time: reply.date(),
    })
}

impl Discovered {
    /// Where it says something else than the configuration.
    pub fn contradicts(&self, environment: &Environment) -> Option<String> {
        let said = &self.metadata;
        for (what, theirs, ours) in [
            ("issuer", &said.issuer, &environment.issuer),
            (
                "token_endpoint",
                &said.token_endpoint,
                &environment.token_endpoint,
            ),
        ] {
            if theirs != ours {
                let theirs = quoted(theirs);
                return Some(format!(
                    "{what} is {ours:?}, and the server says {theirs:?}"
                ));
            }
        }
        None
    }
}
