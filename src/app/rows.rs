//! Rows that decide are what is stated, from the first thing that is done on a ledger.

use super::{App, Settings, StartError};
use crate::audit::Log;
use crate::authority::Authority;
use crate::clock::Clock;
use crate::ledger::Ledger;
use crate::statements;

impl App {
    /// Opens the log of a ledger whose rows that decide are all stated.
    pub async fn log(settings: &Settings, ledger: Ledger, clock: Clock) -> Result<Log, StartError> {
        let authority = Authority::open(ledger, Self::keyring(settings)?).await?;
        let log = Log::open(authority, &Self::writer(settings), clock).await?;
        statements::adopt(&log).await?;
        Ok(log)
    }

    /// Compares all rows that decide with what is stated, now and every hour, until it stops.
    pub fn look_at_rows(&self) {
        let watch = statements::watch(self.authority.clone(), self.stop.clone());
        self.tasks.spawn(watch);
    }
}
