//! The way back where the database that was published is lost, and an older one is all that is left.
//!
//! Nothing is served from it until two people have signed for what is given up: which log, how far it was published,
//! how far it is there. Their signatures are leaves, so that whoever holds the checkpoint of before finds out from the
//! log itself who let it go; and only then a new checkpoint takes the published one's place.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::growth::Tampered;
use super::place::Looked;
use super::{Evidence, EvidenceError, Settings};
use crate::approvals::signature::{BadSignature, Signature};
use crate::approvals::{self, Approval, Missing, document, records};
use crate::audit::{Author, Change, Log};
use crate::id::{PersonId, ProposalId};
use crate::idempotency::canonical;
use crate::ledger::{Gate, Ledger, LedgerError};
use crate::sealing::Keyring;
use crate::tlog::{Checkpoint, Note};

/// Its name: in the log, and for quorums.
const OPERATION: &str = "recover-log";

/// A log that is not what was published, and what it takes to go on with it.
pub struct Recovery {
    evidence: Evidence,
    rules: approvals::Settings,
    seen: Looked,
    document: String,
}

/// Why it is not gone on with.
#[derive(Debug, thiserror::Error)]
pub enum NotRecovered {
    /// Somebody has not signed, or signed for something else.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// The key is nobody's who approves.
    #[error("a signature is by a key that no person here has")]
    UnknownKey,
    /// The same twice.
    #[error("{0} has signed twice")]
    Twice(String),
    /// Too few.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// It takes two.
    #[error("two people have to sign")]
    Alone,
    /// Something was published meanwhile.
    #[error("another checkpoint was published meanwhile: look again what is there")]
    Overtaken,
    /// The log.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Recovery {
    /// Looks whether the log is what was published; `None`: it is, and there is nothing to recover from. What
    /// contradicts itself within the database is not gone on with at all.
    pub async fn of(
        settings: &Settings,
        rules: &approvals::Settings,
        ledger: Ledger,
        sealing: &Keyring,
    ) -> Result<Option<Self>, EvidenceError> {
        let evidence = Evidence::unseen(settings, ledger, sealing).await?;
        while evidence.grow().await? {}
        let Some(seen) = evidence.seen().await? else {
            return Ok(None);
        };
        let kept = evidence.now(None).await?;
        let Some(published) = &seen.note else {
            return Ok(None);
        };
        match evidence.follows(published, &kept).await {
            Ok(()) => return Ok(None),
            Err(EvidenceError::Tampered(Tampered::Rollback(_))) => {}
            Err(error) => return Err(error),
        }
        let note: Option<Note> = published.parse().ok();
        let published = evidence.signed(note.as_ref())?;
        let unreadable = Tampered::Rollback("what was published is no checkpoint");
        let published = published.ok_or(unreadable)?;
        let document = given_up(&published, &kept, rules);
        Ok(Some(Self {
            evidence,
            rules: rules.clone(),
            seen,
            document,
        }))
    }

    /// What is signed for: JSON, whose hash is signed as a proposal's is.
    pub fn document(&self) -> &str {
        &self.document
    }

    /// Goes on with the log as it is here, on these people's word. One operator alone may where no approvers are
    /// asked for at all.
    pub async fn recover(self, signatures: &[Signature], log: &Log) -> Result<(), NotRecovered> {
        let mut change = log.begin(Gate::Exclusive, &Author::service()).await?;
        let noted = self.note(signatures, &mut change).await;
        if let Err(error) = noted {
            change.abandon().await;
            return Err(error);
        }
        change.commit().await?;
        let evidence = self.evidence;
        while evidence.grow().await? {}
        let checkpoint = evidence.now(None).await?;
        let note = evidence.sign(&checkpoint).await?;
        let Some(place) = &evidence.0.place else {
            return Ok(());
        };
        let put = place.put(self.seen, &note).await;
        if put.map_err(|error| evidence.away(error))? {
            Ok(())
        } else {
            Err(NotRecovered::Overtaken)
        }
    }

    async fn note(
        &self,
        signatures: &[Signature],
        change: &mut Change,
    ) -> Result<(), NotRecovered> {
        let said: Value = serde_json::from_str(&self.document).unwrap_or_default();
        let hash = document::hash(&self.document);
        let proposal = ProposalId::new();
        let alone = self.rules.agreement().filter(|_| signatures.is_empty());
        if let Some(approval) = alone {
            change.note_as(approval, OPERATION, proposal, &said);
            return Ok(());
        }
        let (mut people, mut roles, mut by) = (BTreeSet::<PersonId>::new(), Vec::new(), Vec::new());
        for signature in signatures {
            let mut key = records::key(&signature.key()?, change.tx()).await?;
            change.prove(&mut key).await?;
            let key = key.ok_or(NotRecovered::UnknownKey)?;
            let party = self.rules.passkeys.as_ref();
            key.key.verify(signature, &hash, party)?;
            if !people.insert(key.person) {
                return Err(NotRecovered::Twice(key.name));
            }
            by.push(json!({
                "person": key.person, "name": key.name, "roles": key.roles, "key": key.id,
                "public_key": hex::encode(key.key.bytes()), "signature": signature,
            }));
            roles.push(key.roles);
        }
        self.rules.quorum(OPERATION).is_met_by(&roles)?;
        if people.len() < 2 {
            return Err(NotRecovered::Alone);
        }
        // As of a proposal, so that whoever verifies those verifies this.
        let (approval, hash) = (Approval::by_proposal(proposal), hex::encode(hash));
        let proposed = json!({ "hash": hash, "document": self.document });
        change.note_as(Approval::automatic(), "propose", proposal, &proposed);
        change.note_as(approval, OPERATION, proposal, &said);
        let carried_out = json!({ "hash": hash, "approvals": by });
        change.note_as(approval, "carry-out-proposal", proposal, &carried_out);
        Ok(())
    }
}

/// What is given up, as one text.
fn given_up(published: &Checkpoint, kept: &Checkpoint, rules: &approvals::Settings) -> String {
    let (before, now) = (published.size, kept.size);
    let at = |it: &Checkpoint| json!({ "size": it.size, "root": STANDARD.encode(it.root) });
    let document = json!({
        "version": 1,
        "operation": OPERATION,
        "sentence": format!(
            "go on with a database whose log has {now} leaves, where {before} were published; what it does not have is lost"
        ),
        "origin": kept.origin,
        "published": at(published),
        "kept": at(kept),
        // Nobody asks: all who agree sign.
        "requester": { "person": null },
        "quorum": rules.quorum(OPERATION),
    });
    String::from_utf8(canonical(&document)).expect("JSON is text")
}
