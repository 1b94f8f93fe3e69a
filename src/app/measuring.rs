//! What is looked up for whoever watches the service: what lies at hand when somebody asks, and what the
//! devices and the database say, every few seconds, so that no watcher waits for them or wears them out.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use time::OffsetDateTime;

use super::App;
use crate::metrics::Family;
use crate::tlog::Checkpoint;

/// What was looked up last.
#[derive(Clone, Default)]
pub struct LookedUp(Arc<ArcSwap<Vec<Family>>>);

impl LookedUp {
    /// What it was.
    pub fn families(&self) -> Vec<Family> {
        self.0.load().to_vec()
    }
}

/// A number of things, as a level.
pub(super) fn many(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Seconds since 1970.
pub(super) fn seconds(at: OffsetDateTime) -> u32 {
    u32::try_from(at.unix_timestamp()).unwrap_or_default()
}

impl App {
    /// Looks things up, now and so often, until the service stops.
    pub fn look_up_every(&self, every: Duration) -> LookedUp {
        let (app, looked_up) = (self.clone(), LookedUp::default());
        let kept = looked_up.clone();
        self.tasks.spawn(async move {
            loop {
                let round = app.stop.run_until_cancelled(app.look_up());
                let Some(families) = round.await else { return };
                kept.0.store(Arc::new(families));
                let pause = app.stop.run_until_cancelled(tokio::time::sleep(every));
                if pause.await.is_none() {
                    return;
                }
            }
        });
        looked_up
    }

    /// What lies at hand.
    pub fn at_once(&self) -> Vec<Family> {
        let mut sessions = Family::levels(
            "chancery_device_sessions",
            "Sessions of a token: those that work, and those that are configured",
        );
        let mut waiting = Family::levels(
            "chancery_device_waiting",
            "Calls that wait for their turn at a device",
        );
        let mut throttled = Family::counts(
            "chancery_device_throttled",
            "How often a device said that it was asked too much",
        );
        for (name, load) in self.vault.loads() {
            let backend = ("backend", name.as_str());
            for (state, number) in [
                ("configured", load.sessions_wanted),
                ("working", load.sessions),
            ] {
                if let Some(number) = number {
                    sessions.set([backend, ("state", state)], many(number));
                }
            }
            if let Some(number) = load.waiting {
                waiting.set([backend], u32::try_from(number).unwrap_or(u32::MAX));
            }
            if let Some(number) = load.throttled {
                throttled.count([backend], number);
            }
        }
        let newest = self.evidence.newest();
        let newest = newest.and_then(|it| Checkpoint::signed(&it, self.evidence.key()).ok());
        let mut log = Family::counts("chancery_log_leaves", "Leaves under a published checkpoint");
        if let Some(newest) = newest {
            log.count([], newest.size);
        }
        let mut leaves = Family::levels(
            "chancery_copy_behind_leaves",
            "Leaves that a copy of the log does not have yet",
        );
        let mut late = Family::levels(
            "chancery_copy_behind_seconds",
            "How old the newest moment is up to which a copy of the log has all",
        );
        for copy in self.evidence.copies() {
            let of = [("copy", copy.name.as_str())];
            leaves.set(of, u32::try_from(copy.behind).unwrap_or(u32::MAX));
            late.set(of, copy.behind_for.as_secs_f64());
        }
        let mut connections = Family::levels(
            "chancery_ledger_connections",
            "Connections for look-ups: those that are open, and those with nothing to do",
        );
        let (open, idle) = self.ledger.connections();
        connections.set([("state", "open")], open);
        connections.set([("state", "idle")], many(idle));
        vec![
            sessions,
            waiting,
            throttled,
            log,
            leaves,
            late,
            connections,
            Family::level(
                "chancery_evidence_behind_seconds",
                "How old the newest moment is that a published checkpoint covers",
                [],
                self.evidence.behind().as_secs_f64(),
            ),
            Family::level(
                "chancery_clock_ahead_seconds",
                "How far this computer's clock was ahead of the database's when last compared",
                [],
                self.clock.ahead_s(),
            ),
            Family::level(
                "chancery_writer_up",
                "Whether groups are written: without that nothing is signed until a restart",
                [],
                u32::from(self.signer.is_alive()),
            ),
        ]
    }

    /// What the devices and the database say. What they do not say is left out.
    async fn look_up(&self) -> Vec<Family> {
        let ledger = self.log.is_writable().await;
        let mut up = Family::levels("chancery_device_up", "Whether a device answers");
        for (name, health) in self.vault.health().await {
            up.set([("backend", name.as_str())], u32::from(health.is_ok()));
        }
        let mut families = vec![
            up,
            Family::level(
                "chancery_ledger_up",
                "Whether the database takes what is written to it",
                [],
                u32::from(ledger.is_ok()),
            ),
            Family::level(
                "chancery_looked_up_timestamp_seconds",
                "When devices and database were last asked",
                [],
                seconds(self.clock.now()),
            ),
        ];
        for part in [
            self.ends().await,
            self.limits_used().await,
            self.attested().await,
            self.waiting().await,
        ] {
            match part {
                Ok(part) => families.extend(part),
                Err(error) => tracing::debug!(%error, "metrics go without a part"),
            }
        }
        families
    }
}
