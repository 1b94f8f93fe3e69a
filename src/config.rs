//! The configuration file: one TOML file, a section for each module, read once at start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::name::Name;
use crate::{
    approvals, attestation, clob, cryptoperiods, custody, destruction, http, idempotency, ledger,
    oauth, policy, rotations, sealing, signing,
};

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
    /// `[secrets]`
    #[serde(default)]
    pub secrets: custody::hmac::Settings,
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
    /// `[cryptoperiods]`
    #[serde(default)]
    pub cryptoperiods: cryptoperiods::Settings,
    /// `[attestation]`
    #[serde(default)]
    pub attestation: attestation::Settings,
    /// `[destruction]`
    #[serde(default)]
    pub destruction: destruction::Settings,
    /// `[clob]`
    #[serde(default)]
    pub clob: clob::venue::Settings,
    /// `[l2]`
    #[serde(default)]
    pub l2: clob::l2::Settings,
    /// `[oauth]`
    #[serde(default)]
    pub oauth: oauth::environment::Settings,
    /// `[rotations]`
    #[serde(default)]
    pub rotations: rotations::Settings,
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

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../deploy/config.example.toml");

    /// A commented line as the setting or section that it shows.
    fn shown(line: &str) -> &str {
        let Some(shown) = line.strip_prefix("# ") else {
            return line;
        };
        let word = shown.split(' ').next().unwrap_or_default();
        let is_setting = shown[word.len()..].starts_with(" = ")
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if is_setting || shown.starts_with('[') {
            shown
        } else {
            line
        }
    }

    /// The example with all that is commented out put in.
    fn whole() -> String {
        EXAMPLE
            .lines()
            .flat_map(|line| [shown(line), "\n"])
            .collect()
    }

    #[test]
    fn the_example_shows_the_defaults() {
        let example: Config = toml::from_str(EXAMPLE).unwrap();
        let mut with_defaults: Config = toml::from_str(&whole()).unwrap();
        assert!(whole().lines().filter(|line| line.contains(" = ")).count() > 40);

        let kms = with_defaults.custody.remove(&"kms".parse().unwrap());
        let kms = format!("{kms:?}");
        assert!(kms.contains("ecc_per_second: 250"), "{kms}");
        let soft = with_defaults.custody.remove(&"soft".parse().unwrap());
        let soft = format!("{soft:?}");
        assert!(soft.contains("accept_keys_in_software: false"), "{soft}");
        assert_eq!(format!("{with_defaults:#?}"), format!("{example:#?}"));
    }

    #[test]
    fn the_example_shows_every_setting() {
        let whole = whole();
        let headers: Vec<&str> = whole.lines().filter(|l| l.starts_with('[')).collect();
        assert!(headers.len() > 10);
        for header in [""].into_iter().chain(headers) {
            let (before, after) = match header {
                "" => ("", whole.as_str()),
                _ => whole.split_once(header).unwrap(),
            };
            // The refusal of a wrong name lists the right ones.
            let wrong = format!("{before}{header}\nno_such_setting = 0\n{after}");
            let error = toml::from_str::<Config>(&wrong).unwrap_err();
            let (_, names) = error.message().split_once("expected").unwrap();
            let section = after.split("\n[").next().unwrap();
            for name in names.split('`').skip(1).step_by(2) {
                let setting = format!("{name} = ");
                assert!(
                    section.lines().any(|line| line.starts_with(&setting))
                        || section.contains(&format!("# unset: {setting}"))
                        || (header.is_empty() && after.contains(&format!("[{name}"))),
                    "{header} {name}"
                );
            }
        }
    }
}
