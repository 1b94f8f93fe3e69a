//! `[ledger]`, and the way to the server that it describes.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::servers::Servers;
use super::{LedgerError, hold};
use crate::within::Within;

/// How long the server waits for the next word of a transaction before it ends it, in milliseconds.
/// Longer than the signing path waits for the server: then both have given it up.
const SILENCE_MS: u32 = 5_000;

/// `[ledger]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `postgres://…`, without a password. Off a Unix socket with `sslmode=verify-full`. Several hosts with
    /// commas between them, each with its port, are one primary and its standbys, in any order.
    pub url: String,
    /// The file that holds the password, where the server asks for one.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Whether the connection may be in clear text where the server is on this machine's loopback:
    /// whoever may listen there gets the password.
    #[serde(default)]
    pub accept_plain_loopback: bool,
    /// Connections for look-ups. A replica has [eight more](Settings::all_connections).
    #[serde(default = "default_connections")]
    pub connections: Within<1, 1_000>,
    /// How long a change waits for a lock before it is given up; groups of signatures have a second at a
    /// time, which is theirs. Less than the three seconds after which a connection is given up.
    #[serde(default = "default_lock_timeout_ms")]
    pub lock_timeout_ms: Within<50, 2_900>,
}

fn default_connections() -> Within<1, 1_000> {
    Within::of(8)
}

fn default_lock_timeout_ms() -> Within<50, 2_900> {
    Within::of(2_000)
}

impl Settings {
    /// The most connections that a replica opens: those for look-ups, one to write with, one to vouch
    /// with, and six for what it holds while a device makes, shows or destroys a key.
    pub fn all_connections(&self) -> u64 {
        self.connections.get() + 2 + u64::from(hold::AT_MOST)
    }

    /// The servers, and how a connection to them is opened.
    pub(super) fn servers(&self, password: Option<&SecretString>) -> Result<Servers, LedgerError> {
        let ways = self.urls().into_iter().map(|url| self.way(&url, password));
        // Every statement looks up few rows by their keys: no plan made for its values is better, and making
        // one takes longer than the look-up.
        let settings = format!(
            "set synchronous_commit = on; set lock_timeout = {}; set plan_cache_mode = force_generic_plan;
             set idle_in_transaction_session_timeout = {SILENCE_MS}",
            self.lock_timeout_ms.get()
        );
        Ok(Servers::new(ways.collect::<Result<_, _>>()?, &settings))
    }

    /// A URL for each host.
    fn urls(&self) -> Vec<String> {
        let Some((scheme, rest)) = self.url.split_once("://") else {
            return vec![self.url.clone()];
        };
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        let url = |host| format!("{scheme}://{user}{host}{rest}");
        hosts.split(',').map(url).collect()
    }

    fn way(
        &self,
        url: &str,
        password: Option<&SecretString>,
    ) -> Result<PgConnectOptions, LedgerError> {
        let wrong = |why: String| LedgerError::Settings(format!("url: {why}"));
        let parsed = url.parse();
        let mut options: PgConnectOptions =
            parsed.map_err(|e: sqlx::Error| wrong(e.to_string()))?;
        self.see_to_privacy(&options).map_err(wrong)?;
        if let Some(password) = password {
            options = options.password(password.expose_secret());
        }
        Ok(options
            .application_name("chancery")
            // A pooler refuses it, and there are no such numbers here.
            .extra_float_digits(None)
            .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(1)))
    }

    /// Refuses a connection on which somebody else could read the password, or answer in the server's
    /// place. With any other mode a server that does not speak TLS is taken as it is.
    fn see_to_privacy(&self, options: &PgConnectOptions) -> Result<(), String> {
        let host = options.get_host();
        let is_socket = options.get_socket().is_some() || host.starts_with('/');
        if is_socket || matches!(options.get_ssl_mode(), PgSslMode::VerifyFull) {
            return Ok(());
        }
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let is_loopback = host == "localhost" || address.is_ok_and(|it| it.is_loopback());
        if is_loopback && self.accept_plain_loopback {
            return Ok(());
        }
        let or = if is_loopback {
            ", or set accept_plain_loopback = true if whoever may listen on this machine may have the password"
        } else {
            ""
        };
        Err(format!(
            "the connection to {host} would not be protected: add sslmode=verify-full, and sslrootcert=/path/of/its-ca.pem unless a public authority has signed for the server{or}"
        ))
    }
}

#[cfg(test)]
mod tests;
