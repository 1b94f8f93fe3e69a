//! What decides, by version: halts, policies, limits, and whatever else a yes or a no stands on.
//!
//! Every change of such a thing is a row with the next version ([`Change::decide`](crate::audit::Change)). A
//! replica holds a [`Snapshot`] of what holds now and decides by it in memory; what it decides says by
//! which version. Behind the gate that version is compared with the last one that tightens, and what was
//! decided before it is decided again. So what tightens is true on all replicas from its acknowledgement
//! on, however old their snapshots are, and costs a signature one comparison.
//!
//! What loosens is seen within a second, for a snapshot that is too strict releases nothing wrong.
//!
//! It **trusts** the rows of `authority` and `authority_head` so far.

mod body;
pub(crate) mod records;
mod snapshot;
mod view;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::joint::Joint;
use crate::ledger::{Ledger, LedgerError};
pub use body::{read, write};
pub use snapshot::{Kind, Snapshot, Stated};
pub use view::{Parsed, View};

/// How often it is looked for what others have decided.
const LOOK: Duration = Duration::from_secs(1);

/// How far what decides has come: 0 before anything was decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(i64);

impl Version {
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    now: RwLock<Arc<Snapshot>>,
    looks: Joint<(), ()>,
}

impl Authority {
    /// Loads what holds.
    pub async fn open(ledger: Ledger) -> Result<Self, LedgerError> {
        let authority = Self(Arc::new(Inner {
            ledger,
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

    /// Loads what was decided until now. One look does for all who ask meanwhile.
    pub async fn catch_up(&self) -> Result<(), LedgerError> {
        self.0.looks.look((), async || self.0.load().await).await
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
        let after = before.with(news).inspect_err(|error| {
            tracing::error!(%error, "what decides is not what it was: nothing that depends on it is signed");
        })?;
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
