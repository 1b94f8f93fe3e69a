//! Devices' word about keys: read back at start and every few minutes, compared with the record, and
//! stated to others on demand.
//!
//! A key in use is suspended at the exclusive gate, on all replicas, with an alarm, if its device
//! contradicts the record, or is healthy and does not hold the key. Nothing follows from a device that is
//! away. A statement is signed by a key for checkpoints, through the door, and can be checked offline.
//!
//! It **trusts** the device's word: a token or a provider that lies about attributes is not found out
//! here. The [`Evidence`] of a statement says whose word it is. The statement proves that this service was
//! told so; its challenge proves that the private key was there.
//!
//! # Why
//! The challenge is signed for a statement, not at each look: a signature costs a device as much as an
//! order does, and proves no more than the check of each signature under the key on record (P8).

mod challenge;
mod compare;
mod records;
mod rounds;
mod statement;

use std::sync::Arc;

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::audit::{Change, Log};
use crate::callers::Caller;
use crate::clock::Clock;
use crate::custody::{Attributes, CustodyError, Evidence, Vault};
use crate::id::{AttestationId, CallerId, KeyId};
use crate::idempotency::RequestDigest;
use crate::keys::{Begun, Key, KeyError, KeyState, Keys, Origin, Purpose};
use crate::ledger::LedgerError;
use crate::name::Name;
use crate::signing::{Signed, Signer, SigningError, SigningRequest};
use challenge::ChallengeDraft;
pub use compare::{Finding, FindingKind, Verdict};
pub use records::Round;
use statement::{About, StatementDraft, claims, offer_claims};
pub use statement::{BadStatement, Checked, check, check_offer};

/// `[attestation]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How often all keys are looked at, in minutes; 0: only at start.
    pub every_minutes: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self { every_minutes: 15 }
    }
}

/// A look at a key in its device.
#[derive(Clone, Debug)]
pub struct Look {
    /// The time of the device's answer.
    pub at: OffsetDateTime,
    /// What the device's word is worth.
    pub evidence: Evidence,
    /// Whether device and record agree.
    pub verdict: Verdict,
    /// The contradictions, or why nothing is known.
    pub findings: Vec<Finding>,
    /// The key's attributes as the device states them now.
    pub attributes: Option<Attributes>,
}

/// A look on record.
#[derive(Clone, Debug)]
pub struct Attestation {
    /// Its id.
    pub id: AttestationId,
    /// The key.
    pub key: KeyId,
    /// The look.
    pub look: Look,
    /// A challenge, and the key's signature under it.
    pub possession: Option<Value>,
    /// The statement: a flattened JWS.
    pub statement: Option<Value>,
    /// Who asked; `None`: the service, by itself.
    pub actor: Option<CallerId>,
}

/// Why there is no statement.
#[derive(Debug, thiserror::Error)]
pub enum AttestationError {
    /// No key signs statements in this environment.
    #[error(
        "no active key for checkpoints is on record in environment {0}: chancery keys create NAME --purpose checkpoint --environment {0} --backend … --owner …, then keys step NAME active"
    )]
    NoStatementKey(Name),
    /// The key is destroyed.
    #[error("the key is {0}, and nothing is stated of it any more")]
    Gone(&'static str),
    /// The device never made the key.
    #[error("the device has not made this key")]
    NeverMade,
    /// The device.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The door.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Looks at keys, and states what their devices say.
#[derive(Clone)]
pub struct Attestations {
    log: Log,
    keys: Keys,
    vault: Arc<Vault>,
    signer: Signer,
    clock: Clock,
}

impl Attestations {
    /// Attestations of these keys, in these devices.
    pub fn new(log: Log, keys: Keys, vault: Arc<Vault>, signer: Signer, clock: Clock) -> Self {
        Self {
            log,
            keys,
            vault,
            signer,
            clock,
        }
    }

    /// The latest look at a key that is on record.
    pub async fn latest(&self, key: &Key) -> Result<Option<Attestation>, LedgerError> {
        records::latest(key.id, self.log.ledger()).await
    }

    /// The latest round on record, and when it ended.
    pub async fn last_round(&self) -> Result<Option<(Round, OffsetDateTime)>, LedgerError> {
        records::last_round(self.log.ledger()).await
    }

    /// Looks at a key, has it sign a challenge where its state allows that, and has a statement of the look
    /// and the challenge signed. The attestation is put on record by [`record`](Self::record). A device that
    /// says nothing leaves nothing to state.
    pub async fn attest(
        &self,
        key: &Key,
        caller: &Caller,
        request: RequestDigest,
    ) -> Result<Attestation, AttestationError> {
        if matches!(key.state, KeyState::DestroyPending | KeyState::Destroyed) {
            return Err(AttestationError::Gone(key.state.name()));
        }
        if key.public_key.is_none() {
            return Err(AttestationError::NeverMade);
        }
        let signs = self.statement_key(&key.environment).await?;
        let look = look(&self.vault, key, &self.clock).await?;
        let (id, mut possession) = (AttestationId::new(), None);
        if look.findings.is_empty() {
            let draft = ChallengeDraft::new(key.clone(), id, self.clock.now());
            let asked = SigningRequest::once(request.of_item(0));
            let signed = self.signer.sign(caller, Box::new(draft), asked).await?;
            possession = Some(body(&signed));
        }
        let evidence = evidence_of(&self.vault, &signs)?;
        let draft = StatementDraft {
            what: About::Key,
            claims: claims(id, key, &look, possession.as_ref(), (&signs, evidence)),
            about: key.clone(),
            key: signs,
        };
        let asked = SigningRequest::once(request.of_item(1));
        let signed = self.signer.sign(caller, Box::new(draft), asked).await?;
        Ok(Attestation {
            id,
            key: key.id,
            look,
            possession,
            statement: Some(body(&signed)),
            actor: Some(caller.id),
        })
    }

    /// States an offer to take a private key, so that who brings it need not trust the way to the service.
    /// `None`: there is no key to sign statements with.
    pub async fn state_offer(
        &self,
        begun: &Begun,
        caller: &Caller,
        request: RequestDigest,
    ) -> Result<Option<Value>, AttestationError> {
        let about = self.keys.by_id(begun.id).await?.ok_or(KeyError::Changed)?;
        let signs = match self.statement_key(&about.environment).await {
            Err(AttestationError::NoStatementKey(_)) => return Ok(None),
            found => found?,
        };
        let draft = StatementDraft {
            what: About::Offer,
            claims: offer_claims(begun, &about.name, &signs),
            about,
            key: signs,
        };
        let asked = SigningRequest::once(request);
        let signed = self.signer.sign(caller, Box::new(draft), asked).await?;
        Ok(Some(body(&signed)))
    }

    /// Puts a look on record, and suspends the key where it has drifted: then the change must stand at the
    /// exclusive gate. Says whether the key was suspended by that.
    pub async fn record(
        &self,
        attestation: &Attestation,
        key: &Key,
        change: &mut Change,
    ) -> Result<bool, AttestationError> {
        let Attestation { id, look, .. } = attestation;
        records::insert(attestation, change.tx()).await?;
        let details = json!({
            "name": key.name, "attestation": id, "verdict": look.verdict, "evidence": look.evidence,
            "findings": look.findings, "stated": attestation.statement.is_some(),
        });
        change.note("attest-key", key.id, &details);
        if look.verdict != Verdict::Drift {
            return Ok(false);
        }
        let why = format!("its device says otherwise: {}", listed(&look.findings));
        Ok(self.keys.suspend_by_itself(key.id, &why, change).await?)
    }

    /// Raises the alarm for a drift that is on record.
    pub fn alarm(&self, key: &Key, look: &Look, suspended: bool) {
        self.vault.forget_all();
        tracing::error!(alarm = "key-drifted", key.id = %key.id, key.name = %key.name, key.state = key.state.name(), suspended,
            findings = listed(&look.findings), "a key has drifted from its record");
    }

    /// The key that signs statements about keys of an environment.
    async fn statement_key(&self, environment: &Name) -> Result<Key, AttestationError> {
        let keys = self.keys.list().await?;
        let signs = |key: &Key| {
            key.purpose == Purpose::Checkpoint
                && key.state == KeyState::Active
                && key.environment == *environment
        };
        keys.into_iter()
            .find(signs)
            .ok_or_else(|| AttestationError::NoStatementKey(environment.clone()))
    }
}

/// Looks at a key in its device, and looks again before a contradiction is believed. An error means that
/// the device says nothing, which is no verdict about the key.
pub async fn look(vault: &Vault, key: &Key, clock: &Clock) -> Result<Look, CustodyError> {
    let device = vault.backend(&key.backend)?;
    let mut seen = device.inspect(&key.place()).await;
    if compare::compare(key, &seen)?.0 == Verdict::Drift {
        seen = device.inspect(&key.place()).await;
    }
    let (verdict, findings) = compare::compare(key, &seen)?;
    Ok(Look {
        at: clock.now(),
        evidence: evidence_of(vault, key)?,
        verdict,
        findings,
        attributes: seen.ok().map(|found| found.attributes),
    })
}

/// What the device's word about a key is worth: the weakest honest answer.
fn evidence_of(vault: &Vault, key: &Key) -> Result<Evidence, CustodyError> {
    let device = vault.backend(&key.backend)?.evidence();
    Ok(match key.origin {
        Origin::Imported => Evidence::Imported,
        Origin::Created | Origin::Adopted => device,
    })
}

fn listed(findings: &[Finding]) -> String {
    let all: Vec<_> = findings.iter().map(|it| it.detail.as_str()).collect();
    all.join("; ")
}

fn body(signed: &Signed) -> Value {
    serde_json::from_slice(&signed.body).expect("an answer of a draft is JSON")
}
