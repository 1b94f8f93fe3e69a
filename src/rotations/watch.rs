//! Deadlines: what is late is listed, and said once for each threshold, by one replica. Nothing ever
//! times out into being done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::probe::Probe;
use super::status::{Known, Status};
use super::{Rotation, RotationError, Rotations, State, Taken, records};
use crate::id::RotationId;

/// A rotation with all that is on record about it.
pub struct Whole {
    /// The rotation.
    pub rotation: Rotation,
    /// Its steps, in their order.
    pub steps: Vec<Taken>,
    /// Its probes, oldest first.
    pub probes: Vec<Probe>,
    /// Where it stands.
    pub status: Status,
}

impl Rotations {
    /// Rotations with all that is on record about them.
    pub async fn whole(&self, rotations: Vec<Rotation>) -> Result<Vec<Whole>, RotationError> {
        let ids: Vec<_> = rotations.iter().map(|it| it.id).collect();
        let mut steps = by_rotation(records::steps(&ids, self.ledger()).await?, |it| it.rotation);
        let mut probes = by_rotation(
            super::probe::records::probes(&ids, self.ledger()).await?,
            |it| it.rotation,
        );
        let now = self.0.clock.now();
        let whole = |rotation: Rotation| {
            let steps = steps.remove(&rotation.id).unwrap_or_default();
            let probes = probes.remove(&rotation.id).unwrap_or_default();
            let known = Known {
                rotation: &rotation,
                steps: &steps,
                probes: &probes,
            };
            let status = known.status(&self.0.settings, now);
            Whole {
                rotation,
                steps,
                probes,
                status,
            }
        };
        Ok(rotations.into_iter().map(whole).collect())
    }

    /// The alarms of a rotation that were raised, oldest first.
    pub async fn alarms(
        &self,
        id: RotationId,
    ) -> Result<Vec<(String, OffsetDateTime)>, RotationError> {
        Ok(records::alarms(id, self.ledger()).await?)
    }

    /// Raises the alarms that are due and that nobody has raised; says how many that were.
    pub async fn raise_due(&self) -> Result<usize, RotationError> {
        let now = self.0.clock.now();
        let all = self.whole(self.list().await?).await?;
        let mut due = Vec::new();
        let mut subjects = BTreeSet::new();
        for whole in &all {
            let rotation = &whole.rotation;
            let mut deadlines = whole.status.deadlines.clone();
            let given_up = matches!(rotation.state, State::Abandoned | State::RolledBack);
            if !given_up && subjects.insert(rotation.subject) {
                let known = Known {
                    rotation,
                    steps: &whole.steps,
                    probes: &whole.probes,
                };
                deadlines.extend(known.expiry(now)); // of the newest key only
            }
            let late = deadlines.into_iter().filter(|it| it.overdue);
            due.extend(late.map(|it| (rotation.id, it.seq, it.alarm)));
        }
        if due.is_empty() {
            return Ok(0);
        }
        let raised = records::raise_alarms(&due, self.ledger()).await?;
        for (id, alarm) in &raised {
            tracing::error!(rotation.id = %id, alarm, "a rotation is late: chancery rotations show {id}");
        }
        Ok(raised.len())
    }

    /// Raises alarms until it is told to stop.
    pub async fn watch(self, stop: CancellationToken) {
        let every = Duration::from_secs(u64::from(self.0.settings.watch_every_s.max(1)));
        loop {
            if let Err(error) = self.raise_due().await {
                tracing::warn!(%error, "rotations cannot be looked at; again later");
            }
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

fn by_rotation<T>(all: Vec<T>, of: impl Fn(&T) -> RotationId) -> BTreeMap<RotationId, Vec<T>> {
    let mut sorted: BTreeMap<_, Vec<T>> = BTreeMap::new();
    for one in all {
        sorted.entry(of(&one)).or_default().push(one);
    }
    sorted
}
