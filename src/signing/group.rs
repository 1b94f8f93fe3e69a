//! Group commit: intents and ends of concurrent requests share one call of the database.
//!
//! While one group is written, the next one fills; whoever is waiting goes with it, and nobody waits for
//! a timer. What takes more than one statement, a nonce or an alarm, has a line of its own.

use std::time::{Duration, Instant};

use super::intent::Intent;
use super::job::{Claim, End, Ended, Entry, HandOut, How, Intend, Job, Waiting};
use super::queue::{Reminder, Sender, Who, queue};
use super::{Equipment, Right, Settings, SigningError, careful, records, writer};
use crate::audit::{Event, Log};
use crate::callers::Caller;
use crate::clock::Clock;
use crate::fail_point;
use crate::idempotency;
use crate::limits::Reservation;

/// How often intents are looked for whose lease has run out.
const SWEEP: Duration = Duration::from_millis(500);

/// So many are taken over at a time.
const TAKEN_OVER: i32 = 256;

/// After how many of these looks is forgotten what has expired.
const SWEEPS_TO_FORGET: u64 = 120;

/// Whose line takes what no caller's is.
const NOBODY: Who = None;

/// The ways to those who write. Cheap to clone.
#[derive(Clone)]
pub(super) struct Group {
    /// To the writer of groups.
    rows: Sender<Entry>,
    /// To the writer of what takes more than a group.
    careful: Sender<Job>,
    clock: Clock,
}

impl Group {
    /// Starts the writers, which run until the last handle is gone.
    pub(super) fn start(
        settings: &Settings,
        keep: &idempotency::Settings,
        equipment: &Equipment,
    ) -> Self {
        let room = usize::try_from(settings.queue.get()).unwrap_or(usize::MAX);
        let (rows, groups) = queue(room);
        let (careful, alone) = queue(room);
        let writer = writer::Writer::new(settings, keep, equipment, careful.clone());
        equipment.tasks.spawn(writer.run(groups));
        let alone = careful::run(writer::Form::new(settings, keep, equipment), alone);
        equipment.tasks.spawn(alone);
        let clock = equipment.clock.clone();
        let sweep = sweep(
            rows.downgrade(),
            equipment.log.clone(),
            clock.clone(),
            settings.lease_ms.get(),
        );
        equipment.tasks.spawn(sweep);
        Self {
            rows,
            careful,
            clock,
        }
    }

    /// Sends an intent to be put on record, or to find what its idempotency key stands for.
    pub(super) fn intend(&self, intend: Intend) -> Result<(), SigningError> {
        let who = Some(intend.caller);
        let claims = intend.prepared.nonce.is_some();
        let job = Job::Intend(Box::new(intend));
        let sent = if claims {
            self.careful.try_send(who, job, 1)
        } else {
            self.rows.try_send(who, Entry::One(job), 1)
        };
        sent.map_err(|_| SigningError::Busy)?;
        fail_point!("intent-joined");
        Ok(())
    }

    /// Sends intents to be put on record in one group.
    pub(super) fn intend_all(
        &self,
        caller: &Caller,
        intends: Vec<Intend>,
    ) -> Result<(), SigningError> {
        let weight = u64::try_from(intends.len()).unwrap_or(u64::MAX);
        self.rows
            .try_send(Some(caller.id), Entry::Together(intends), weight)
            .map_err(|_| SigningError::Busy)?;
        fail_point!("intent-joined");
        Ok(())
    }

    /// Ends an intent, for which there is always room: an intent that got in must get out.
    pub(super) async fn end(&self, intent: &Intent, how: How) -> Result<Ended, SigningError> {
        let who = Some(intent.permit.get().action().caller);
        let is_alarm = matches!(how, How::Alarmed(_));
        let (end, waiting) = End::new(intent, how, self.clock.unix_ms());
        let job = Job::End(Box::new(end));
        let sent = if is_alarm {
            self.careful.send(who, job)
        } else {
            self.rows.send(who, Entry::One(job))
        };
        sent.map_err(|_| SigningError::Busy)?;
        fail_point!("release-joined");
        waiting.answer().await
    }

    /// Whether the writers still run.
    pub(super) fn is_alive(&self) -> bool {
        self.rows.is_open() && self.careful.is_open()
    }

    /// How much waits to be written.
    pub(super) fn waiting(&self) -> u64 {
        self.rows.waiting() + self.careful.waiting()
    }

    /// Adds the leaf of something that is handed out, if the right to it still holds. Since when it is
    /// durable, at the earliest.
    pub(super) async fn hand_out(
        &self,
        caller: &Caller,
        right: Right,
        reservation: Reservation,
        event: Event,
    ) -> Result<Instant, SigningError> {
        let (out, waiting) = HandOut::new(right, reservation, event, self.clock.unix_ms());
        let entry = Entry::One(Job::HandOut(Box::new(out)));
        let sent = self.rows.try_send(Some(caller.id), entry, 1);
        sent.map_err(|_| SigningError::Busy)?;
        waiting.answer().await
    }
}

/// Takes over intents whose lease has run out, and has them ended, until the group is gone.
async fn sweep(group: Reminder<Entry>, log: Log, clock: Clock, lease_ms: u64) {
    let mut has_more_to_forget = false;
    for round in 1_u64.. {
        tokio::time::sleep(SWEEP).await;
        let Some(group) = group.upgrade() else { return };
        match records::take_over(lease_ms, TAKEN_OVER, log.ledger()).await {
            Ok(taken) => {
                for (intent, attempt) in taken {
                    let end = End::after_lease(intent, attempt, clock.unix_ms());
                    drop(group.send(NOBODY, Entry::One(Job::End(Box::new(end)))));
                }
            }
            Err(error) => tracing::debug!(%error, "nothing is taken over for now"),
        }
        if round % SWEEPS_TO_FORGET == 0
            && let Err(error) = idempotency::records::forget_requests(log.ledger()).await
        {
            tracing::debug!(%error, "requests that were kept apart stay a while longer");
        }
        // A portion at a time, so that what is to be taken over does not wait for a backlog.
        if has_more_to_forget || round % SWEEPS_TO_FORGET == 0 {
            let forgotten = idempotency::records::forget_expired(log.ledger()).await;
            has_more_to_forget = forgotten.unwrap_or_else(|error| {
                tracing::debug!(%error, "expired idempotency keys stay a while longer");
                false
            });
        }
    }
}

/// What comes of a permit that was sent to a group.
pub(super) type Joining = Waiting<Claim>;
