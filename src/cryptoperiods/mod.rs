//! The end of a key's cryptoperiod: reminders on record before the end, an alarm every hour after it, and
//! the step to `deactivated`, which the service takes by itself. API keys and callers' tokens end too, and
//! stand in the same list of what is due.
//!
//! It promises that each reminder is raised once, whatever is restarted and however many replicas there
//! are, and that no period is ended by one wrong clock. Signatures stop at the end without this module:
//! `signing` compares the database's clock for each of them.

mod records;
mod telling;

use std::sync::Arc;

use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::audit::{Author, Log};
use crate::clob::session_keys::{self, SessionKey};
use crate::clock::Clock;
use crate::clock::timestamp;
use crate::custody::Vault;
use crate::fail_point;
use crate::id::KeyId;
use crate::keys::{KeyError, KeyState, Keys, Purpose};
use crate::ledger::{Gate, LedgerError};
use crate::name::Name;
pub use records::{CredentialAge, TokenEnd};

/// `[cryptoperiods]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How often keys are looked after, in seconds: reminders, the ends of periods, destructions.
    pub look_every_s: std::num::NonZeroU16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            look_every_s: std::num::NonZeroU16::new(60).expect("60 is not zero"),
        }
    }
}

/// After so long an API key of the CLOB is due to be replaced.
const CREDENTIAL_PERIOD: Duration = Duration::days(90);

/// A key's period, and the reminders raised for it.
#[derive(Clone, Debug)]
pub struct Period {
    /// The key.
    pub key: KeyId,
    /// Its name.
    pub name: Name,
    /// What it is for.
    pub purpose: Purpose,
    /// Its state.
    pub state: KeyState,
    /// Its end.
    pub ends_at: OffsetDateTime,
    /// The last reminder that was raised for this end, as hours before it.
    pub reminded: Option<i32>,
    /// The wallets or clients that it signs for.
    pub used_by: Vec<String>,
}

/// What ends, and when.
pub struct Due {
    /// Keys.
    pub keys: Vec<Period>,
    /// API keys of the CLOB.
    pub credentials: Vec<CredentialAge>,
    /// Callers' tokens.
    pub tokens: Vec<TokenEnd>,
    /// Session keys of deposit wallets.
    pub session_keys: Vec<SessionKey>,
}

/// Raises reminders and ends periods.
#[derive(Clone)]
pub struct Cryptoperiods {
    log: Log,
    keys: Keys,
    vault: Arc<Vault>,
    clock: Clock,
}

impl Cryptoperiods {
    /// The periods of these keys.
    pub fn new(log: Log, keys: Keys, vault: Arc<Vault>, clock: Clock) -> Self {
        Self {
            log,
            keys,
            vault,
            clock,
        }
    }

    /// Raises the reminders that are due. Each is on record before it is logged.
    pub async fn remind(&self) -> Result<(), LedgerError> {
        let now = self.clock.now();
        for period in records::periods(self.log.ledger()).await? {
            let due = period.purpose.reminder_due(period.ends_at, now);
            // A passed threshold stays passed, even if the clock is set back.
            let Some(hours) = due.filter(|due| period.reminded.is_none_or(|it| it > *due)) else {
                continue;
            };
            let mut change = self.log.begin(Gate::Shared, &Author::service()).await?;
            if !records::raise(&period, hours, change.tx()).await? {
                change.abandon().await; // another replica was faster
                continue;
            }
            let details = json!({
                "name": period.name, "ends_at": timestamp(period.ends_at), "hours_left": hours,
                "used_by": period.used_by,
            });
            change.note("remind-of-cryptoperiod", period.key, &details);
            change.tell(telling::of_key(&period));
            fail_point!("reminder-before-commit");
            change.commit().await?;
            say(&period, hours);
        }
        Ok(())
    }

    /// Deactivates the keys whose period is over. That cannot be undone, so it takes both our clock and the
    /// database's. A key of which a rotation still has to prove something is left to the rotation.
    pub async fn end(&self) -> Result<(), KeyError> {
        let over = records::at_their_end(self.clock.now(), self.log.ledger()).await?;
        for key in self.keys.by_ids(&over).await? {
            let mut change = self.log.begin(Gate::Exclusive, &Author::service()).await?;
            let why = "its cryptoperiod ended";
            let to = KeyState::Deactivated;
            match self.keys.step_by_itself(&key, to, why, &mut change).await {
                Ok(_) => {
                    change.tell(telling::of_end(&key));
                    change.commit().await?
                }
                Err(error) => {
                    change.abandon().await;
                    match error {
                        KeyError::Changed => continue, // by somebody, or by another replica
                        error => return Err(error),
                    }
                }
            };
            self.vault.forget_all();
            tracing::error!(key.id = %key.id, key.name = %key.name, key.state = key.state.name(),
                "a key's cryptoperiod has ended; it is deactivated");
        }
        Ok(())
    }

    /// What ends before `until`: keys, API keys, tokens.
    pub async fn due(&self, within: Duration) -> Result<Due, LedgerError> {
        let until = self.clock.now() + within;
        let ledger = self.log.ledger();
        let mut keys = records::periods(ledger).await?;
        keys.retain(|period| period.ends_at <= until);
        Ok(Due {
            keys,
            credentials: records::credentials(until, CREDENTIAL_PERIOD, ledger).await?,
            tokens: records::tokens(until, ledger).await?,
            session_keys: session_keys::ending(self.clock.now(), until, ledger).await?,
        })
    }
}

fn say(period: &Period, hours: i32) {
    let ends_at = timestamp(period.ends_at);
    let Period { key, name, .. } = period;
    let used_by = period.used_by.join(", ");
    if hours > 7 * 24 {
        tracing::warn!(key.id = %key, key.name = %name, %ends_at, %used_by, "a key's cryptoperiod ends soon");
    } else if hours > 0 {
        tracing::error!(key.id = %key, key.name = %name, %ends_at, %used_by, "a key's cryptoperiod ends within days");
    } else {
        tracing::error!(key.id = %key, key.name = %name, %ends_at, %used_by, "a key's cryptoperiod has ended, and nothing took its place");
    }
}
