//! Ends in a group: which signatures leave.

use std::collections::HashSet;

use super::group::{Ended, How, Job, Release};
use super::points::{self, Point};
use super::writer::{Suspects, Verdict, Writer};
use super::{BadSignature, records};
use crate::audit::{Change, Event, leaf};
use crate::id::IntentId;
use crate::ledger::LedgerError;
use crate::standing::Standing;

/// Whoever writes an intent holds it as attempt 1; whoever takes over raises the number.
const ATTEMPT: i32 = 1;

/// An end, decided.
pub(super) enum Outcome<'a> {
    Released(&'a Release),
    Refused(&'a str),
    Abandoned(&'a str),
}

impl Writer {
    /// Decides how intents end, and ends them. Says which keys are to be suspended for it.
    pub(super) async fn end(
        &self,
        jobs: &[Job],
        verdicts: &mut [Verdict],
        standing: &Standing,
        change: &mut Change,
    ) -> Result<Suspects, LedgerError> {
        let mut suspects = Suspects::new();
        let mut ends = Vec::new();
        for (at, job) in jobs.iter().enumerate() {
            let Job::End(end) = job else { continue };
            let (outcome, verdict) = match &end.how {
                How::Alarmed(bad) => {
                    suspects.insert(end.right.key(), (end.intent, *bad));
                    (Outcome::Refused("bad-signature"), Ended::AsAsked)
                }
                How::Abandoned(reason) => (Outcome::Abandoned(reason), Ended::AsAsked),
                How::Released(release) => {
                    let late = release
                        .before_ms
                        .is_some_and(|limit| change.now_ms() > limit);
                    match end.right.holds(standing) {
                        Err(why) => (Outcome::Refused(why.reason()), Ended::Refused(why)),
                        Ok(()) if late => (Outcome::Abandoned("late"), Ended::Late),
                        Ok(()) => (Outcome::Released(release), Ended::AsAsked),
                    }
                }
            };
            ends.push((at, end.intent, outcome));
            verdicts[at] = Verdict::Ended(verdict);
        }
        if ends.is_empty() {
            return Ok(suspects);
        }
        let repeated = self.repeated(jobs, &ends, change).await?;
        for (at, id, outcome) in &mut ends {
            if let (true, Job::End(end)) = (repeated.contains(id), &jobs[*at]) {
                let bad = BadSignature::RepeatedR;
                suspects.insert(end.right.key(), (*id, bad));
                *outcome = Outcome::Refused("repeated-r");
                verdicts[*at] = Verdict::Ended(Ended::Refused(bad.into()));
            }
        }
        ends.sort_by_key(|(_, intent, _)| *intent); // one order of locks for all replicas
        let rows: Vec<_> = ends
            .iter()
            .map(|(_, id, outcome)| (*id, ATTEMPT, outcome))
            .collect();
        let ended = records::end_intents(&rows, change.tx()).await?;
        let mut released = Vec::new();
        for (at, id, outcome) in &ends {
            if !ended.contains(id) {
                verdicts[*at] = Verdict::Ended(Ended::Lost);
                continue;
            }
            let intent = id.uuid();
            let tries = match &jobs[*at] {
                Job::End(end) => end.tries,
                _ => None,
            };
            let end = |reason: &str| leaf::End {
                intent,
                attempt: ATTEMPT,
                reason: reason.into(),
                tries,
            };
            let event = match outcome {
                Outcome::Refused(reason) => Event::Refused(end(reason)),
                Outcome::Abandoned(reason) => Event::Abandoned(end(reason)),
                Outcome::Released(release) => {
                    released.push((*id, *release));
                    Event::Released(leaf::Release {
                        intent,
                        attempt: ATTEMPT,
                        signature_hash: release.signature_hash,
                        answer_hash: release.answer_hash,
                        tries,
                    })
                }
            };
            change.add(event);
        }
        records::insert_releases(&released, change.tx()).await?;
        Ok(suspects)
    }

    /// Puts the `r` of what is released on record; says which intents' was used for another digest.
    async fn repeated(
        &self,
        jobs: &[Job],
        ends: &[(usize, IntentId, Outcome<'_>)],
        change: &mut Change,
    ) -> Result<HashSet<IntentId>, LedgerError> {
        let points: Vec<_> = ends
            .iter()
            .filter_map(|(at, id, outcome)| match (&jobs[*at], outcome) {
                (Job::End(end), Outcome::Released(release)) => {
                    let (r, digest) = release.point?;
                    let (intent, key) = (*id, end.right.key());
                    Some(Point {
                        intent,
                        key,
                        r,
                        digest,
                    })
                }
                _ => None,
            })
            .collect();
        points::record(&points, change.tx()).await
    }
}
