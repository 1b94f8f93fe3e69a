//! What decides, by version: halts, policies, limits, and whatever else a yes or a no stands on.
//!
//! Every change of such a thing is a row with the next version (`Change::decide` in `audit`). A
//! replica holds a [`Snapshot`] of what holds now and decides by it in memory; what it decides says by
//! which version. Behind the gate that version is compared with the last one that tightens, and what was
//! decided before it is decided again. So what tightens is true on all replicas from its acknowledgement
//! on, however old their snapshots are, and costs a signature one comparison.
//!
//! A snapshot that is too strict releases nothing wrong: each replica looks every second for what loosens, and the
//! edge before it refuses something or tells what did not pass the gate (`http::admit`).
//!
//! The rows prove themselves (`seal.rs`): one that was changed, added or taken away by whoever can write to the
//! database is seen when it is loaded, and nothing is signed by it. What the gate says it has read is
//! compared with what was proven. It **trusts** the sealing key's file, and does not see that the whole
//! database was put back to an earlier day while no replica ran.
//!
//! # Rows of other tables
//! Callers, their credentials, people, their keys, our keys, wallets and clients are rows of tables of their own, for
//! the database ties them together and finds them. What each says that decides is stated here too ([`form`]),
//! by whoever writes the row, in the same transaction (`Change::state` in `audit`), and a row that is read into
//! use is compared with that (`Authority::read`; in a transaction `Change::prove`).
//!
//! - *Read from the database* and compared each time: whoever shows a credential, once a second each; wallets,
//!   clients and keys, once a second each where they sign, and each time where they are administered; people and
//!   their keys, whenever an approval is given or counted.
//! - *Kept in memory* as they were compared, with the version that said so. A permit is good only while that is
//!   still what is stated, and says by which version it was given; so what was revoked or suspended is no
//!   ground for anything, whatever the row says by then.
//! - *Read behind the gate*, for each signature, and not compared: whether a credential lives, a key's state,
//!   epoch and period. A yes of theirs adds nothing to a permit, for whoever changes them against what is stated
//!   changes nothing in memory, and the head that is read with them upholds what was decided. A no is only a no.

mod body;
pub mod form;
mod past;
mod proof;
pub(crate) mod records;
mod row;
mod seal;
mod snapshot;
mod view;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::joint::Joint;
use crate::ledger::{Ledger, LedgerError};
use crate::sealing::Keyring;
pub use body::{read, write};
pub use form::Said;
pub use past::{Written, chained};
pub use proof::{Proved, Read, Unlike};
pub(crate) use seal::Seal;
pub use snapshot::{Kind, Snapshot, Stated, Statement};
pub use view::{Parsed, View};

/// How often it is looked for what others have decided.
const LOOK: Duration = Duration::from_secs(1);

/// How far what decides has come: 0 before anything was decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(i64);

impl Version {
    /// One that no gate upholds.
    pub(crate) const NEVER: Self = Self(-1);

    /// As whoever asks for what came after it has it. No right follows from it.
    pub fn asked(number: i64) -> Self {
        Self(number)
    }

    /// As the ledger has it.
    pub(crate) fn from_ledger(number: i64) -> Self {
        Self(number)
    }

    /// As the ledger has it.
    pub fn number(self) -> i64 {
        self.0
    }
}

/// What the gate has read: the newest version, and the last that tightens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The newest version.
    pub version: Version,
    /// The last that tightens.
    pub tightened: Version,
}

impl Head {
    /// As the ledger has it.
    pub(crate) fn read(version: Option<i64>, tightened: Option<i64>) -> Option<Self> {
        Some(Self {
            version: Version(version?),
            tightened: Version(tightened?),
        })
    }

    /// Whether what was decided by this version still holds. One that the ledger has not got to is of another
    /// ledger.
    pub fn upholds(&self, decided: Version) -> bool {
        (self.tightened..=self.version).contains(&decided)
    }
}

/// What decides, as this process knows it. Cheap to clone.
#[derive(Clone)]
pub struct Authority(Arc<Inner>);

struct Inner {
    ledger: Ledger,
    seal: Seal,
    now: RwLock<Arc<Snapshot>>,
    looks: Joint<(), ()>,
}

impl Authority {
    /// Loads what holds, and sees whether it proves itself.
    pub async fn open(ledger: Ledger, sealing: Arc<Keyring>) -> Result<Self, LedgerError> {
        let authority = Self(Arc::new(Inner {
            ledger,
            seal: Seal::new(sealing),
            now: RwLock::default(),
            looks: Joint::new(),
        }));
        authority.catch_up().await?;
        Ok(authority)
    }

    /// What holds, as far as it is known here. What follows from it says its version.
    pub fn now(&self) -> Arc<Snapshot> {
        let now = self.0.now.read();
        Arc::clone(&now.unwrap_or_else(PoisonError::into_inner))
    }

    /// The ledger that it is in.
    pub fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    /// With what it is sealed.
    pub(crate) fn seal(&self) -> &Seal {
        &self.0.seal
    }

    /// Loads what was decided until now. One look does for all who ask meanwhile.
    pub async fn catch_up(&self) -> Result<(), LedgerError> {
        self.0.looks.look((), async || self.0.load().await).await
    }

    /// Compares what the gate says it has read with what proves itself.
    pub async fn confirm(&self, read: Option<Head>) -> Result<(), LedgerError> {
        let falsified = |what: String| {
            tracing::error!(
                alarm = "falsified",
                what,
                "the gate does not read what was decided"
            );
            Err(LedgerError::Falsified("authority_head", what))
        };
        let Some(read) = read else {
            return falsified("it is gone".into());
        };
        if read == self.now().head() {
            return Ok(());
        }
        if read.version > self.now().version() {
            self.catch_up().await?;
        }
        let now = self.now();
        let (version, tightened) = (read.version.number(), read.tightened.number());
        if read.version > now.version() {
            falsified(format!(
                "the gate has read version {version}, which there is not"
            ))
        } else if now.tightened_at(read.version) != read.tightened {
            falsified(format!(
                "version {tightened} is not the last to tighten as of {version}"
            ))
        } else {
            Ok(())
        }
    }

    /// Looks for what others have decided, until the service stops.
    pub async fn watch(self, stop: CancellationToken) {
        let pause = || stop.run_until_cancelled(tokio::time::sleep(LOOK));
        while pause().await.is_some() {
            if let Err(error) = self.catch_up().await {
                tracing::debug!(%error, "what others have decided is not known for now");
            }
        }
    }
}

impl Inner {
    async fn load(&self) -> Result<(), LedgerError> {
        let before = {
            let now = self.now.read();
            Arc::clone(&now.unwrap_or_else(PoisonError::into_inner))
        };
        let news = records::since(before.version(), &self.ledger).await?;
        let (head, sealed) = (news.head, news.seal.clone());
        let after = before.with(news, &self.seal).inspect_err(|error| {
            tracing::error!(alarm = "falsified", %error,
                "what decides is not what was decided: nothing is signed by it");
        })?;
        if let (Some(former), Some(proven)) = (sealed, after.as_ref().or(Some(&*before)))
            && !self.seal.is_current(&former)
        {
            let new = proven.sealed(head, &self.seal);
            records::seal_anew(head, (&former, &new), &self.ledger).await?;
        }
        if let Some(after) = after {
            let now = self.now.write();
            *now.unwrap_or_else(PoisonError::into_inner) = Arc::new(after);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_decided_before_the_last_tightening_or_in_another_ledger_does_not_hold() {
        let head = Head {
            version: Version(7),
            tightened: Version(5),
        };
        let upheld: Vec<_> = (0..10).filter(|n| head.upholds(Version(*n))).collect();
        assert_eq!(upheld, [5, 6, 7]);
    }
}
