//! The configuration file: one TOML file, a section for each module, read once at start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::name::Name;
use crate::{approvals, custody, http, idempotency, ledger, oauth, policy, sealing, signing};

/// Everything that can be set. Unknown names are refused.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The replica's name in the audit log; the host's unless it is set.
    #[serde(default)]
    pub writer: Option<Name>,
    /// `[http]`
    #[serde(default)]
    pub http: http::Settings,
    /// `[ledger]`
    pub ledger: ledger::Settings,
    /// `[sealing]`
    pub sealing: sealing::Settings,
    /// `[custody.NAME]`, one for each device.
    pub custody: BTreeMap<Name, custody::Settings>,
    /// `[policy]`
    pub policy: policy::Settings,
    /// `[approvals]`
    #[serde(default)]
    pub approvals: approvals::Settings,
    /// `[idempotency]`
    #[serde(default)]
    pub idempotency: idempotency::Settings,
    /// `[signing]`
    #[serde(default)]
    pub signing: signing::Settings,
    /// `[oauth]`
    #[serde(default)]
    pub oauth: oauth::environment::Settings,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {0}: {1}")]
    Unreadable(PathBuf, std::io::Error),
    /// The file does not say what it should.
    #[error("the configuration {0} is wrong: {1}")]
    Wrong(PathBuf, Box<toml::de::Error>),
}

impl Config {
    /// Reads a file.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| ConfigError::Unreadable(file.to_owned(), error))?;
        toml::from_str(&text).map_err(|error| ConfigError::Wrong(file.to_owned(), error.into()))
    }
}

/// The one reader of the environment: what is not in the file because it is about the process.
pub fn environment(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one reader of the environment"
    )]
    std::env::var(name).ok()
}
