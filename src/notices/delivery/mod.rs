//! From the record to the destinations: each has a task of its own, on every replica.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::records::{self, Claimed, Outcome};
use super::{Message, NotDelivered, Notices};
use crate::fail_point;
use crate::ledger::LedgerError;

/// How often it is looked for what is due.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// How long whoever has claimed a delivery may work on it: longer than any destination may take.
const LEASE: Duration = Duration::from_mins(1);

/// How long it is waited after each try, in seconds: two days in all, and then it is dead.
const WAITS_S: [u64; 12] = [
    5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 36_000, 43_200, 43_200,
];

impl Notices {
    /// Delivers to one destination until the service stops.
    pub(super) async fn deliver(self, at: usize, stop: CancellationToken) {
        let pause = || stop.run_until_cancelled(tokio::time::sleep(LOOK));
        while pause().await.is_some() {
            // What is under way when the service stops is seen to its end: else it would be sent twice.
            while !stop.is_cancelled() {
                match self.deliver_one(at).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        tracing::debug!(%error, "notices are not delivered for now");
                        break;
                    }
                }
            }
        }
    }

    /// Tries what has been due longest. `false`: nothing is due.
    async fn deliver_one(&self, at: usize) -> Result<bool, LedgerError> {
        let inner = &self.0;
        let to = &inner.destinations[at];
        let Some(claimed) = records::claim(&to.name, LEASE, &inner.ledger).await? else {
            return Ok(false);
        };
        let message = Message::new(&claimed.notice, claimed.at, true);
        let sent = to.send(&message, inner.clock.unix_s()).await;
        fail_point!("notice-sent");
        let (id, destination) = (claimed.notice.id, &to.name);
        let outcome = match &sent {
            Ok(()) => {
                tracing::debug!(notice.id = %id, %destination, "a notice is delivered");
                Outcome::Delivered
            }
            Err(error) => after(&claimed, error),
        };
        match &outcome {
            Outcome::Delivered => {}
            Outcome::Again(..) => {
                let error = sent.as_ref().err().map(ToString::to_string);
                tracing::warn!(notice.id = %id, %destination, error, attempt = claimed.attempt,
                    "a notice is not delivered yet");
            }
            Outcome::Dead(error) => {
                // No alarm: it would be told by the way that does not work.
                tracing::error!(notice.id = %id, %destination, error, attempt = claimed.attempt,
                    "a notice is not delivered, and not tried any more");
            }
        }
        records::settle(&claimed, &to.name, &outcome, &inner.ledger).await?;
        Ok(true)
    }
}

/// What follows from a try that failed.
fn after<'a>(claimed: &Claimed, error: &'a NotDelivered) -> Outcome<'a> {
    let tried = usize::try_from(claimed.attempt - 1).unwrap_or_default();
    match WAITS_S.get(tried) {
        Some(wait) if !error.is_final => {
            let wait = jittered(Duration::from_secs(*wait), claimed.notice.id.uuid());
            Outcome::Again(wait.max(error.after.unwrap_or_default()), &error.why)
        }
        _ => Outcome::Dead(&error.why),
    }
}

/// Up to a fifth more, so that what failed together does not come again together.
fn jittered(wait: Duration, id: uuid::Uuid) -> Duration {
    let [.., chance] = *id.as_bytes();
    wait + wait * u32::from(chance) / (5 * 256)
}

#[cfg(test)]
mod tests;
