//! `[[notices.webhooks]]` and `[notices.mail]`: who is told of what.

use std::path::PathBuf;

use super::Kind;
use super::signature::BadSecret;
use crate::counterparty::BadCounterparty;
use crate::name::Name;
use crate::within::Within;

/// `[notices]`
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `[[notices.webhooks]]`, one for each.
    pub webhooks: Vec<WebhookSettings>,
    /// `[notices.mail]`
    pub mail: Option<MailSettings>,
}

/// `[[notices.webhooks]]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// What people call it.
    pub name: Name,
    /// Where notices are posted. Plain http only to this machine.
    pub url: String,
    /// Files with a secret each, `whsec_…`: two while one takes the place of the other.
    pub secret_files: Vec<PathBuf>,
    /// Which kinds of notices it wants; all unless it is said.
    #[serde(default = "all_kinds")]
    pub kinds: Vec<Kind>,
    /// Whose certificates it shows, in PEM, where that is an authority of your own. No other counts then.
    pub ca_file: Option<PathBuf>,
    /// How long it may take to answer.
    #[serde(default = "usual_timeout")]
    pub timeout_ms: Timeout,
}

/// `[notices.mail]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailSettings {
    /// The mail server's host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// When TLS begins.
    pub tls: Tls,
    /// As whom to log in, if at all.
    pub user: Option<String>,
    /// The file with the password.
    pub password_file: Option<PathBuf>,
    /// Who writes.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
    /// Which kinds of notices they want; all unless it is said.
    #[serde(default = "all_kinds")]
    pub kinds: Vec<Kind>,
    /// As for webhooks.
    pub ca_file: Option<PathBuf>,
    /// How long sending one may take.
    #[serde(default = "usual_timeout")]
    pub timeout_ms: Timeout,
}

/// So long may a destination take: shorter than a claim on a delivery.
pub(super) type Timeout = Within<100, 20_000>;

words! {
    /// When TLS begins.
    pub enum Tls {
        /// After a greeting in the clear. A server that does not offer it gets no mail.
        Starttls = "starttls",
        /// At once.
        Implicit = "implicit",
        /// Never, which is taken on this machine only.
        None = "none",
    }
}

/// Why a destination cannot be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum BadDestination {
    /// Two have one name, or one has the name of the mail.
    #[error("[[notices.webhooks]] name = {0:?} is taken")]
    Taken(Name),
    /// Its URL, or its authority.
    #[error("[[notices.webhooks]] {0}: {1}")]
    Webhook(Name, BadCounterparty),
    /// Nothing to sign with.
    #[error("[[notices.webhooks]] {0}: secret_files names no file")]
    NoSecret(Name),
    /// A file that holds no secret.
    #[error("[[notices.webhooks]] {0}: {1}")]
    Secret(Name, BadSecret),
    /// The mail.
    #[error("[notices.mail] {0}")]
    Mail(String),
}

fn all_kinds() -> Vec<Kind> {
    Kind::ALL.to_vec()
}

fn usual_timeout() -> Timeout {
    Within::of(10_000)
}
