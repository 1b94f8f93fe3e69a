//! What this replica did within the last hour, for pictures: in memory, and never more than that.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::app::App;
use crate::http::traffic::TRAFFIC;
use crate::limits::Scope;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(5);

/// So many looks make a minute.
const A_MINUTE: usize = 12;

/// So many are kept.
const KEPT: usize = 60 * A_MINUTE;

/// So many limits are kept, those that are nearest their end.
const LIMITS: usize = 5;

/// A limit, and how much of it is used, in percent.
pub(super) type Share = (Scope, &'static str, u8);

/// What was done between one look and the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Moment {
    /// Signatures that were released.
    pub(super) signed: u64,
    /// Requests that were refused.
    pub(super) refused: u64,
    /// How many of those that were to be signed took at most so many microseconds, and longer than the bound before.
    pub(super) times: Vec<(u64, u64)>,
    /// Limits, as they were then.
    pub(super) limits: Vec<Share>,
}

/// The last hour, the oldest first. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Recent(Arc<Mutex<VecDeque<Moment>>>);

/// All that was done since the start.
struct Totals {
    signed: u64,
    refused: u64,
    times: Vec<(u64, u64)>,
}

impl Totals {
    fn of(app: &App) -> Self {
        let (signed, times) = app.signer.totals();
        let micros = |seconds: f64| {
            let time = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
            u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
        };
        Self {
            signed,
            refused: TRAFFIC.refused(),
            times: times
                .into_iter()
                .map(|(to, many)| (micros(to), many))
                .collect(),
        }
    }

    fn since(&self, before: &Self) -> Moment {
        let was = |at: usize| before.times.get(at).map_or(0, |it| it.1);
        let times = self.times.iter().enumerate();
        Moment {
            signed: self.signed.saturating_sub(before.signed),
            refused: self.refused.saturating_sub(before.refused),
            times: times
                .map(|(at, it)| (it.0, it.1.saturating_sub(was(at))))
                .collect(),
            limits: Vec::new(),
        }
    }
}

impl Recent {
    /// Looks until the service stops.
    pub(super) fn watch(app: &App) -> Self {
        let (kept, app) = (Self::default(), app.clone());
        let recent = kept.clone();
        app.tasks.clone().spawn(async move {
            let (mut before, mut shares) = (Totals::of(&app), Vec::new());
            for look in 0_usize.. {
                let pause = app.stop.run_until_cancelled(tokio::time::sleep(EVERY));
                if pause.await.is_none() {
                    return;
                }
                if look.is_multiple_of(A_MINUTE) {
                    shares = limits(&app).await;
                }
                let now = Totals::of(&app);
                let mut moment = now.since(&before);
                moment.limits.clone_from(&shares);
                recent.keep(moment);
                before = now;
            }
        });
        kept
    }

    fn keep(&self, moment: Moment) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(moment);
    }

    /// All that is kept, the oldest first.
    pub(super) fn all(&self) -> Vec<Moment> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().cloned().collect()
    }

    /// The same minute by minute.
    pub(super) fn minutes(&self) -> Vec<Moment> {
        let all = self.all();
        let minutes = all.rchunks(A_MINUTE).rev();
        minutes
            .map(|it| it.iter().fold(Moment::default(), Moment::and))
            .collect()
    }
}

impl Moment {
    fn and(self, next: &Self) -> Self {
        let so_far = |at: usize| self.times.get(at).map_or(0, |it| it.1);
        let times = next.times.iter().enumerate();
        Self {
            signed: self.signed + next.signed,
            refused: self.refused + next.refused,
            times: times.map(|(at, it)| (it.0, it.1 + so_far(at))).collect(),
            limits: next.limits.clone(),
        }
    }

    /// In how many microseconds so many of a hundred were done at most; `None`: there were none.
    pub(super) fn within(&self, percent: u64) -> Option<u64> {
        let all: u64 = self.times.iter().map(|it| it.1).sum();
        let wanted = (all * percent).div_ceil(100).max(1);
        let mut so_far = 0;
        self.times.iter().find_map(|(to, many)| {
            so_far += many;
            (so_far >= wanted).then_some(*to)
        })
    }
}

/// Those that are nearest their end.
async fn limits(app: &App) -> Vec<Share> {
    let shares = app.shares().await.unwrap_or_else(|error| {
        tracing::debug!(%error, "a picture goes without limits");
        Vec::new()
    });
    let mut shares: Vec<Share> = shares
        .into_iter()
        .map(|(scope, limit, share)| (scope, limit, percent(share)))
        .collect();
    shares.sort_by_key(|it| std::cmp::Reverse(it.2));
    shares.truncate(LIMITS);
    shares
}

#[expect(
    clippy::float_arithmetic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "for a picture; nothing is decided by it"
)]
fn percent(share: f64) -> u8 {
    (share * 100.0).clamp(0.0, 100.0) as u8
}

#[cfg(test)]
mod tests;
