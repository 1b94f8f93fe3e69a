//! What the configuration names, opened; and why the service does not start.

use std::sync::Arc;

use secrecy::SecretString;

use super::{App, Settings};
use crate::callers::{BadWay, CallerError};
use crate::clob::relayer::BadRelayer;
use crate::clob::venue::BadVenue;
use crate::counterparty::BadCounterparty;
use crate::custody::{self, Vault};
use crate::evidence::EvidenceError;
use crate::guarded_file;
use crate::ledger::{Ledger, LedgerError};
use crate::name::Name;
use crate::notices::BadDestination;
use crate::policy::NotBrought;
use crate::sealing::{BadKeyFile, Keyring};
use crate::sessions;

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The policy.
    #[error(transparent)]
    Policy(#[from] NotBrought),
    /// The policy in the ledger is none to this program.
    #[error("{0}")]
    Unfit(String),
    /// Who may call is not known.
    #[error(transparent)]
    Callers(#[from] CallerError),
    /// The sealing key.
    #[error(transparent)]
    Sealing(#[from] BadKeyFile),
    /// The audit log does not prove itself.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// A venue.
    #[error(transparent)]
    Venue(#[from] BadVenue),
    /// A relayer.
    #[error(transparent)]
    Relayer(#[from] BadRelayer),
    /// An environment's token endpoint.
    #[error("[oauth.environments] token_endpoint = {0}")]
    TokenEndpoint(#[from] BadCounterparty),
    /// A device.
    #[error("[custody.{0}] {1}")]
    Custody(Name, custody::CustodyError),
    /// A way in.
    #[error(transparent)]
    Way(#[from] BadWay),
    /// Where people sign in.
    #[error(transparent)]
    Provider(#[from] sessions::BadProvider),
    /// Somebody who is to be told.
    #[error(transparent)]
    Destination(#[from] BadDestination),
    /// A file named by the configuration.
    #[error("cannot read {0}: {1}")]
    File(std::path::PathBuf, std::io::Error),
}

impl App {
    /// Opens the ledger that the configuration names.
    pub fn ledger(settings: &Settings) -> Result<Ledger, StartError> {
        let password = settings.ledger.password_file.as_ref().map(|file| {
            let text = guarded_file::read_secret(file);
            text.map(|text| SecretString::from(text.trim_end_matches(['\r', '\n'])))
                .map_err(|error| StartError::File(file.clone(), error))
        });
        Ok(Ledger::open(
            &settings.ledger,
            password.transpose()?.as_ref(),
        )?)
    }

    /// Reads the service's own keys.
    pub fn keyring(settings: &Settings) -> Result<Arc<Keyring>, StartError> {
        let sealing = &settings.sealing;
        let keys = Keyring::from_files(&sealing.key_file, &sealing.former_key_files)?;
        Ok(Arc::new(keys))
    }

    /// The replica's name in the audit log.
    pub fn writer(settings: &Settings) -> String {
        settings.writer.as_ref().map_or_else(
            || {
                rustix::system::uname()
                    .nodename()
                    .to_string_lossy()
                    .into_owned()
            },
            ToString::to_string,
        )
    }

    /// Opens the devices that the configuration names.
    pub fn vault(settings: &Settings, ledger: &Ledger) -> Result<Vault, StartError> {
        let mut backends = std::collections::BTreeMap::new();
        for (name, settings) in &settings.custody {
            let backend = custody::open(name, settings, ledger)
                .map_err(|error| StartError::Custody(name.clone(), error))?;
            backends.insert(name.clone(), backend);
        }
        Ok(Vault::new(backends, &settings.secrets))
    }
}
