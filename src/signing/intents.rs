//! Intents in a group: which of them are put on record.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::SigningError;
use super::group::{Intend, Job};
use super::records;
use super::writer::{Verdict, Writer};
use crate::audit::{Change, Event, leaf};
use crate::credentials;
use crate::id::CallerId;
use crate::idempotency::{self, RequestDigest};
use crate::ledger::LedgerError;
use crate::standing::Standing;

impl Writer {
    /// Decides which intents are put on record, and puts them there.
    pub(super) async fn intend(
        &self,
        jobs: &[Job],
        verdicts: &mut [Verdict],
        standing: &Standing,
        change: &mut Change,
    ) -> Result<(), LedgerError> {
        let batches = self.claim_batches(jobs, standing, change).await?;
        // The first with an idempotency key goes ahead; its twins in this group find it standing.
        let mut claims = BTreeMap::new();
        let mut fresh: Vec<(usize, &Intend)> = Vec::new();
        for (at, job) in jobs.iter().enumerate() {
            let Job::Intend(intend) = job else { continue };
            if let Err(refused) = intend.right.holds(standing) {
                verdicts[at] = Verdict::Refused(refused);
            } else if !batches.cover(intend) {
                verdicts[at] = Verdict::Refused(SigningError::KeyReused);
            } else if let Some(idempotency) = &intend.idempotency {
                verdicts[at] = Verdict::Taken;
                claims
                    .entry((intend.caller.id, idempotency))
                    .or_insert((at, &**intend));
            } else {
                fresh.push((at, intend));
            }
        }
        if !claims.is_empty() {
            let rows: Vec<_> = claims
                .iter()
                .map(|((caller, key), (_, intend))| idempotency::records::Claim {
                    caller: *caller,
                    key,
                    request: intend.request,
                    intent: intend.id,
                    useful: intend.permit.action().useful(),
                })
                .collect();
            let won: HashSet<_> = idempotency::records::claim(&rows, &self.keep, change.tx())
                .await?
                .into_iter()
                .collect();
            fresh.extend(
                claims
                    .values()
                    .filter(|(_, intend)| won.contains(&intend.id))
                    .copied(),
            );
        }
        if fresh.is_empty() {
            return Ok(());
        }

        let now_ms = change.now_ms();
        let mut fresh: Vec<_> = fresh
            .into_iter()
            .map(|(at, intend)| (at, intend, intend.permit.action().prepare(now_ms)))
            .collect();
        fresh.sort_by_key(|(_, _, prepared)| prepared.login.as_ref().map(|login| login.account));
        let mut rows = Vec::with_capacity(fresh.len());
        for (at, intend, prepared) in fresh {
            if let Some(login) = &prepared.login {
                let claim = credentials::logins::records::claim(
                    intend.id,
                    intend.caller.id,
                    login,
                    change.tx(),
                );
                if let Err(refused) = claim.await? {
                    verdicts[at] = Verdict::Refused(refused.into());
                    continue;
                }
            }
            let draft = intend.permit.action();
            let intent = leaf::Intent {
                intent: intend.id.uuid(),
                operation: draft.operation().to_owned(),
                caller: intend.caller.id.uuid(),
                credential: intend.caller.credential,
                subject: draft.subject(),
                key: draft.key().id.uuid(),
                key_epoch: draft.key().epoch,
                policy: self.policy,
                request_digest: intend.request.0,
                idempotency_key: intend.idempotency.as_ref().map(ToString::to_string),
                digest: prepared.digest,
                record: prepared.record.to_string(),
            };
            rows.push((intent.clone(), prepared.record.clone(), prepared.jti));
            change.add(Event::Intent(Box::new(intent)));
            verdicts[at] = Verdict::Intended(Box::new(prepared));
        }
        if rows.is_empty() {
            return Ok(());
        }
        records::insert_intents(rows, self.lease_ms, change.tx()).await
    }

    /// Claims the keys of batches, before those of the requests in them. The first of two that are
    /// different has it.
    async fn claim_batches(
        &self,
        jobs: &[Job],
        standing: &Standing,
        change: &mut Change,
    ) -> Result<Batches, LedgerError> {
        let mut claims: BTreeMap<_, idempotency::records::BatchClaim<'_>> = BTreeMap::new();
        for job in jobs {
            let Job::Intend(intend) = job else { continue };
            let Some(whole) = &intend.batch else { continue };
            if intend.right.holds(standing).is_err() {
                continue; // and if that is all of them, the key stands for nothing
            }
            let useful = intend.permit.action().useful();
            let claim = claims
                .entry((intend.caller.id, whole.key.as_str()))
                .or_insert_with(|| idempotency::records::BatchClaim {
                    caller: intend.caller.id,
                    key: &whole.key,
                    request: whole.request,
                    useful,
                });
            claim.useful = claim.useful.max(useful);
        }
        let claims: Vec<_> = claims.into_values().collect();
        if claims.is_empty() {
            return Ok(Batches::default());
        }
        let held: HashSet<_> =
            idempotency::records::claim_batches(&claims, &self.keep, change.tx())
                .await?
                .into_iter()
                .collect();
        let held = claims.into_iter().filter_map(|claim| {
            let key = (claim.caller, claim.key.as_str().to_owned());
            held.contains(&key).then_some((key, claim.request))
        });
        Ok(Batches(held.collect()))
    }
}

/// The batches whose key stands for them, and for nothing else.
#[derive(Default)]
struct Batches(HashMap<(CallerId, String), RequestDigest>);

impl Batches {
    /// Whether an intent is in none of another request's batches.
    fn cover(&self, intend: &Intend) -> bool {
        intend.batch.as_ref().is_none_or(|whole| {
            let key = (intend.caller.id, whole.key.to_string());
            self.0.get(&key) == Some(&whole.request)
        })
    }
}
