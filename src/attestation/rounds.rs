//! Rounds: a look at every key, one after the other, by one replica at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use uuid::{Uuid, uuid};

use super::records::{self, Round};
use super::{
    Attestation, AttestationError, Attestations, Finding, FindingKind, Look, Verdict, evidence_of,
    look,
};
use crate::audit::Author;
use crate::custody::{CustodyError, Evidence};
use crate::id::AttestationId;
use crate::keys::{Key, KeyError, KeyState};
use crate::ledger::Gate;
use crate::name::Name;

/// The lock that the looking replica holds.
const ROUND: Uuid = uuid!("019ab1f0-6d1e-7c55-9d0a-3f6e2b1c8a47");
/// The age of the last look on record after which a look that found nothing new is put on record too.
const DAILY: time::Duration = time::Duration::hours(24);

impl Attestations {
    /// Looks at all keys, unless another replica is doing so, or did within `recent`.
    pub async fn round(&self, recent: Option<Duration>) -> Result<Option<Round>, AttestationError> {
        let ledger = self.log.ledger();
        let Some(_held) = ledger.hold(ROUND).await? else {
            return Ok(None);
        };
        if let Some(recent) = recent
            && records::was_round_within(recent, ledger).await?
        {
            return Ok(None);
        }
        let began_at = self.clock.now();
        let mut round = Round {
            looked_at: 0,
            drifted: 0,
            unknown: 0,
        };
        // A device that does not answer is not called again for each of its keys.
        let mut silent = BTreeSet::new();
        for key in self.keys.list().await? {
            if key.public_key.is_none() || !is_looked_at(key.state) {
                continue;
            }
            round.looked_at += 1;
            match self.one(&key, &mut silent).await {
                Ok(Verdict::AsRecorded) => {}
                Ok(Verdict::Drift) => round.drifted += 1,
                Ok(Verdict::Unknown) => round.unknown += 1,
                // The key was moved or destroyed during the look: the next round sees it as it is then.
                Err(AttestationError::Key(KeyError::Changed)) => round.looked_at -= 1,
                Err(error) => return Err(error),
            }
        }
        records::insert_round(&round, began_at, ledger).await?;
        if round.drifted > 0 {
            tracing::error!(
                drifted = round.drifted,
                "keys have drifted from their record"
            );
        }
        Ok(Some(round))
    }

    async fn one(
        &self,
        key: &Key,
        silent: &mut BTreeSet<Name>,
    ) -> Result<Verdict, AttestationError> {
        let seen = if silent.contains(&key.backend) {
            unknown(
                self,
                key,
                &CustodyError::Unavailable("it was silent for another key".into()),
            )
        } else {
            match look(&self.vault, key, &self.clock).await {
                Ok(look) => look,
                Err(error) => {
                    if matches!(error, CustodyError::Unavailable(_) | CustodyError::TimedOut) {
                        silent.insert(key.backend.clone());
                    }
                    unknown(self, key, &error)
                }
            }
        };
        let verdict = seen.verdict;
        let stops = verdict == Verdict::Drift && key.state.step(KeyState::Suspended).is_ok();
        let last = records::latest(key.id, self.log.ledger()).await?;
        if !stops && last.is_some_and(|last| is_no_news(&last.look, &seen)) {
            return Ok(verdict);
        }
        let gate = if stops { Gate::Exclusive } else { Gate::Shared };
        let mut change = self.log.begin(gate, &Author::service()).await?;
        // The key was compared as it was before the look: a step since then may explain the difference.
        let now = self.keys.within(key.id, &mut change).await;
        if !now.is_ok_and(|now| now.epoch == key.epoch) {
            change.abandon().await;
            return Err(KeyError::Changed.into());
        }
        let attestation = Attestation {
            id: AttestationId::new(),
            key: key.id,
            look: seen,
            possession: None,
            statement: None,
            actor: None,
        };
        let suspended = match self.record(&attestation, key, &mut change).await {
            Ok(suspended) => suspended,
            Err(error) => {
                change.abandon().await;
                return Err(error);
            }
        };
        change.commit().await?;
        if verdict == Verdict::Drift {
            self.alarm(key, &attestation.look, suspended);
        }
        Ok(verdict)
    }
}

/// Whether a device is expected to hold a key in this state: not one that is being destroyed, or is.
fn is_looked_at(state: KeyState) -> bool {
    !matches!(state, KeyState::DestroyPending | KeyState::Destroyed)
}

fn unknown(attestations: &Attestations, key: &Key, error: &CustodyError) -> Look {
    tracing::warn!(key.id = %key.id, key.name = %key.name, %error, "a key's device does not say how it is");
    Look {
        at: attestations.clock.now(),
        evidence: evidence_of(&attestations.vault, key).unwrap_or(Evidence::Imported),
        verdict: Verdict::Unknown,
        findings: vec![Finding::new(FindingKind::Silent, error.to_string())],
        attributes: None,
    }
}

fn is_no_news(last: &Look, seen: &Look) -> bool {
    let same = if seen.verdict == Verdict::Unknown {
        last.verdict == Verdict::Unknown // in which words does not matter
    } else {
        (last.verdict, &last.findings, &last.attributes)
            == (seen.verdict, &seen.findings, &seen.attributes)
    };
    same && seen.at - last.at < DAILY
}
