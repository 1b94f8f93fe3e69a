//! Those who can manage callers: without one of them nobody is ever let in again.
//!
//! It promises that the last of them is not revoked, nor the last credential of the last, and that no policy takes
//! the place of another by which nobody could manage callers or replace it; that a warning
//! comes before the last of their tokens ends; and that there is a way back in, which takes what nobody
//! has alone and is heard ([`break_glass`]). Who they are is asked of the policy, caller by caller, and remembered nowhere.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration as Elapsed, Instant};

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::audit::{Change, Log};
use crate::callers::break_glass::Proof;
use crate::callers::{Caller, CallerError, Callers, Entry, break_glass};
use crate::clock::timestamp;
use crate::custody::{Custody, CustodyError};
use crate::keys::{Key, KeyState};
use crate::ledger::LedgerError;
use crate::name::Name;
use crate::policy::{NewPolicy, NotReplaced, Policies, Policy, PolicyVersion};

/// So long before its end the last token is worth a warning, and an alarm.
pub const WARNING: Duration = Duration::days(14);
const ALARM: Duration = Duration::days(3);

/// How often the same is said.
const EVERY: Elapsed = Elapsed::from_hours(1);

/// Somebody who can manage callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Administrator {
    /// Their name.
    pub name: Name,
    /// When the last of their tokens ends.
    pub until: OffsetDateTime,
}

/// Why a caller is not revoked, or a policy not replaced.
#[derive(Debug, thiserror::Error)]
pub enum AdministratorError {
    /// Nobody else could manage callers.
    #[error("{0} is the last who can manage callers")]
    Last(Name),
    /// Somebody could before.
    #[error("by this policy nobody who can come in could {0} any more")]
    Nobody(&'static str),
    /// The policy stays.
    #[error(transparent)]
    Policy(#[from] NotReplaced),
    /// Another reason.
    #[error(transparent)]
    Caller(#[from] CallerError),
}

/// Why the glass is not broken.
#[derive(Debug, thiserror::Error)]
pub enum NotProved {
    /// The database role is not the schema's owner.
    #[error(
        "the database role {0} does not own the schema: take the one that runs chancery migrate"
    )]
    NotTheOwner(String),
    /// The device is not one of this service.
    #[error("no key on record is in {0}: name the device that holds keys")]
    NotTheDevice(Name),
    /// The device shows another key than the one on record.
    #[error("{0} does not hold key {1} as it is on record")]
    NotTheKey(Name, Name),
    /// The device does not open.
    #[error("{0}: {1}")]
    Device(Name, CustodyError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// When the log said what.
#[derive(Debug)]
struct Said {
    at: Instant,
    concerns: Vec<Concern>,
}

/// Looks after those who can manage callers.
#[derive(Clone)]
pub struct Administrators {
    callers: Callers,
    policies: Policies,
    said: Arc<Mutex<Option<Said>>>,
}

impl Administrators {
    /// Of these callers, by the policy.
    pub fn new(callers: Callers, policies: Policies) -> Self {
        Self {
            callers,
            policies,
            said: Arc::default(),
        }
    }

    /// Who can manage callers now, the one whose token lives longest first.
    pub async fn list(&self) -> Result<Vec<Administrator>, CallerError> {
        Ok(self.among(self.callers.live().await?))
    }

    /// Whether there was never anybody.
    pub async fn has_no_callers(&self) -> Result<bool, CallerError> {
        Ok(self.callers.list().await?.is_empty())
    }

    fn among(&self, live: Vec<(Caller, OffsetDateTime)>) -> Vec<Administrator> {
        let newest = self.policies.now();
        let mut all: Vec<_> = live
            .into_iter()
            .filter(|(caller, _)| {
                !caller.is_break_glass() && newest.policy().would_manage_callers(caller)
            })
            .map(|(caller, until)| Administrator {
                name: caller.name,
                until,
            })
            .collect();
        all.sort_by_key(|it| std::cmp::Reverse(it.until));
        all
    }

    /// Revokes a caller, unless nobody would be left. The change stands at the exclusive gate, so that two
    /// who revoke each other come one after the other.
    pub async fn revoke(&self, name: &Name, change: &mut Change) -> Result<(), AdministratorError> {
        let before = self.among(self.callers.live_in(change).await?);
        self.callers.revoke(name, change).await?;
        self.somebody_is_left(name, &before, change).await
    }

    /// Revokes one credential of a caller, unless nobody would be left. At the exclusive gate, too.
    pub async fn revoke_credential(
        &self,
        name: &Name,
        credential: Uuid,
        change: &mut Change,
    ) -> Result<(), AdministratorError> {
        let before = self.among(self.callers.live_in(change).await?);
        let callers = &self.callers;
        callers.revoke_credential(name, credential, change).await?;
        self.somebody_is_left(name, &before, change).await
    }

    /// Looks at what the change leaves, and not at whom it names: there is more than one name for one.
    async fn somebody_is_left(
        &self,
        name: &Name,
        before: &[Administrator],
        change: &mut Change,
    ) -> Result<(), AdministratorError> {
        let after = self.among(self.callers.live_in(change).await?);
        if after.is_empty() && !before.is_empty() {
            return Err(AdministratorError::Last(name.clone()));
        }
        Ok(())
    }

    /// Puts another policy in the place of the newest, unless nobody would be left who could manage callers by
    /// it, or put another in its place. At the exclusive gate, too.
    pub async fn replace_policy(
        &self,
        new: NewPolicy,
        change: &mut Change,
    ) -> Result<PolicyVersion, AdministratorError> {
        type Right = (&'static str, fn(&Policy, &Caller) -> bool);
        const KEPT: [Right; 2] = [
            ("manage callers", Policy::would_manage_callers),
            ("replace it", Policy::would_replace_itself),
        ];
        let before = self.policies.newest().await.map_err(NotReplaced::from)?;
        let mut live = self.callers.live_in(change).await?;
        live.retain(|(caller, _)| !caller.is_break_glass());
        for (what, may) in KEPT {
            let anybody = |policy: &Policy| live.iter().any(|(caller, _)| may(policy, caller));
            if anybody(before.policy()) && !anybody(new.policy()) {
                return Err(AdministratorError::Nobody(what));
            }
        }
        Ok(self.policies.replace(new, change).await?)
    }

    /// Whether anybody who can come in may put another policy in the place of the newest.
    pub async fn can_replace_policy(&self) -> Result<bool, CallerError> {
        let newest = self.policies.now();
        let live = self.callers.live().await?;
        let mut live = live.iter().filter(|(caller, _)| !caller.is_break_glass());
        Ok(live.any(|(caller, _)| newest.policy().would_replace_itself(caller)))
    }

    /// Callers that a break-glass made and nobody has revoked.
    pub async fn broken(&self) -> Result<Vec<Entry>, CallerError> {
        let mut all = self.callers.list().await?;
        all.retain(|it| {
            it.revoked_at.is_none() && break_glass::is_given_to(it.roles.iter().map(String::as_str))
        });
        Ok(all)
    }

    /// What somebody has to do something about.
    pub async fn concerns(&self, now: OffsetDateTime) -> Result<Vec<Concern>, CallerError> {
        let broken = self.broken().await?;
        let mut concerns: Vec<_> = broken
            .into_iter()
            .map(|it| Concern::Broken(it.name))
            .collect();
        match self.list().await?.into_iter().next() {
            None => concerns.push(Concern::Nobody),
            Some(last) if last.until - now < WARNING => {
                let is_near = last.until - now < ALARM;
                concerns.push(Concern::Ends(last, is_near));
            }
            Some(_) => {}
        }
        Ok(concerns)
    }

    /// Says in the log what somebody has to do: when it changes, and every hour.
    pub async fn remind(&self, now: OffsetDateTime) -> Result<(), CallerError> {
        let concerns = self.concerns(now).await?;
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let is_said = |it: &Said| it.at.elapsed() < EVERY && it.concerns == concerns;
        if said.as_ref().is_some_and(is_said) {
            return Ok(());
        }
        for concern in &concerns {
            if matches!(concern, Concern::Ends(_, false)) {
                tracing::warn!("{concern}");
            } else {
                tracing::error!(alarm = "administrators", "{concern}");
            }
        }
        let at = Instant::now();
        *said = Some(Said { at, concerns });
        Ok(())
    }
}

/// Something about administrators that somebody has to do something about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Concern {
    /// A break-glass caller is not revoked.
    Broken(String),
    /// Nobody can manage callers.
    Nobody,
    /// The last token ends soon, or within days.
    Ends(Administrator, bool),
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(name) => write!(
                f,
                "{name} broke the glass and is not revoked: make an operator, then chancery callers revoke {name}"
            ),
            Self::Nobody => f.write_str(
                "nobody can manage callers: chancery callers bootstrap where there never was a caller, else chancery callers break-glass",
            ),
            Self::Ends(last, _) => {
                let Administrator { name, until } = last;
                let until = timestamp(*until);
                write!(
                    f,
                    "after {until} nobody can manage callers, when the token of {name} ends: chancery callers token {name}"
                )
            }
        }
    }
}

/// What is asked for before the glass is broken: the way in of the schema's owner, and a device of this
/// service that opens.
pub async fn prove(
    device: &dyn Custody,
    name: &Name,
    keys: &[Key],
    log: &Log,
    writer: &str,
) -> Result<Proof, NotProved> {
    let (database_role, owns) = log.ledger().role().await?;
    if !owns {
        return Err(NotProved::NotTheOwner(database_role));
    }
    let failed = |error| NotProved::Device(name.clone(), error);
    device.health().await.map_err(failed)?;
    // Any device opens for who brings it: this one has to hold a key that is on record in it.
    let in_being = |key: &&Key| key.public_key.is_some() && key.state != KeyState::Destroyed;
    let nothing_on_record = !keys.iter().any(|key| in_being(&key));
    let mut known = keys.iter().filter(in_being);
    let key = known.rfind(|key| key.backend == *name);
    match key {
        None if nothing_on_record => {}
        None => return Err(NotProved::NotTheDevice(name.clone())),
        Some(key) => {
            let shown = device.inspect(&key.place()).await.map_err(failed)?;
            if Some(&shown.public_key) != key.public_key.as_ref() {
                let (name, key) = (name.clone(), key.name.clone());
                return Err(NotProved::NotTheKey(name, key));
            }
        }
    }
    Ok(Proof {
        database_role,
        device: name.clone(),
        key: key.map(|key| key.name.clone()),
        writer: writer.to_owned(),
    })
}
