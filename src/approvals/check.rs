//! Whether a proposal may be carried out: looked at behind the gate, in the transaction that does it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::document::{Effects, hash};
use super::records::{self, Given, Held};
use super::{Missing, Quorum, Settings};
use crate::authority::{Authority, Said};
use crate::id::{CallerId, ProposalId};
use crate::ledger::{LedgerError, Tx};

/// Under which proposal somebody does something, and by which rules.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) proposal: ProposalId,
    pub(crate) rules: Arc<Settings>,
}

/// A proposal that holds, and who has signed for it.
#[derive(Debug)]
pub(crate) struct Agreement {
    pub(crate) proposal: ProposalId,
    /// Whether it has been begun before: the same request goes on.
    pub(crate) is_begun: bool,
    effects: Effects,
    hash: [u8; 32],
    by: Vec<Given>,
}

/// Why nothing is carried out under a proposal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Over {
    #[error("it was {0}")]
    Ended(String),
    #[error("it has expired")]
    Expired,
    #[error("it was carried out")]
    Done,
    #[error("whoever asked for it is not there any more")]
    Requester,
}

impl Held {
    /// Whether it is still to be carried out, or approved.
    pub(crate) fn is_open(&self) -> Result<(), Over> {
        match &self.outcome {
            Some(outcome) if outcome == "executed" => Err(Over::Done),
            Some(outcome) => Err(Over::Ended(outcome.clone())),
            None if self.is_expired => Err(Over::Expired),
            None if !self.is_requester_there => Err(Over::Requester),
            None => Ok(()),
        }
    }

    /// Whether these approvals, each looked at anew, are what it takes: by what it was proposed under, and
    /// by the rules of now.
    pub(crate) fn is_approved(&self, by: &[Given], rules: &Settings) -> Result<(), Missing> {
        let counted: Vec<Vec<String>> = by
            .iter()
            .filter(|it| self.counts(it, rules))
            .map(|it| it.roles.clone())
            .collect();
        self.quorum().is_met_by(&counted)?;
        rules.quorum(&self.operation).is_met_by(&counted)
    }

    /// Whether an approval counts: its signature is of this very document, by a key and a person that are
    /// still there, and not by whoever asked.
    pub(crate) fn counts(&self, given: &Given, rules: &Settings) -> bool {
        let signature = given
            .key
            .verify(&given.signature, &self.hash, rules.passkeys.as_ref());
        given.is_there
            && !given.is_revoked
            && given.person != self.person
            && hash(&self.document) == self.hash
            && signature.is_ok()
    }

    /// What it was proposed under.
    pub(crate) fn quorum(&self) -> Quorum {
        let said: Value = serde_json::from_str(&self.document).unwrap_or_default();
        // Without one, the rule where nothing is said.
        serde_json::from_value(said["quorum"].clone()).unwrap_or_else(|_| Quorum::of(&[], ""))
    }
}

/// Looks whether a claim holds, and has nobody else end it until the transaction is over. `afterwards`:
/// what was brought about under it elsewhere is put on record, whatever has become of it since.
pub(crate) async fn look(
    claim: &Claim,
    afterwards: bool,
    authority: &Authority,
    tx: &mut Tx,
) -> Result<Agreement, LedgerError> {
    let held = records::lock(claim.proposal, tx).await?;
    let gone = || LedgerError::Corrupt("proposals", format!("{} is missing", claim.proposal));
    let mut held = held.ok_or_else(gone)?;
    let mut by = records::approvals(claim.proposal, tx.connection()).await?;
    authority.prove(&mut held, &[]).await?;
    authority.prove(&mut by, &[]).await?;
    let is_begun = match held.outcome.as_deref() {
        // Somebody may have rejected it while it was carried out elsewhere: that was done all the same.
        Some(_) if afterwards => true,
        outcome => outcome == Some("executed"),
    };
    if !afterwards {
        match held.is_open() {
            Err(Over::Done) if !held.is_long_over => {}
            Err(over) => return Err(LedgerError::AgreementOver(over.to_string())),
            Ok(()) => {
                let approved = held.is_approved(&by, &claim.rules);
                approved.map_err(|_| LedgerError::NotAgreed(Arc::new(Value::Null)))?;
            }
        }
    }
    let said: Value = serde_json::from_str(&held.document).unwrap_or_default();
    by.retain(|it| held.counts(it, &claim.rules));
    Ok(Agreement {
        proposal: held.id,
        is_begun,
        effects: Effects::of(&said["effects"]),
        hash: held.hash,
        by,
    })
}

/// Ends a proposal with what is committed in this transaction; gives back what its row says then.
pub(crate) async fn begin(
    proposal: ProposalId,
    by: CallerId,
    tx: &mut Tx,
) -> Result<Said, LedgerError> {
    let ended = records::end(proposal, "executed", by, None, tx).await?;
    ended.ok_or_else(|| LedgerError::AgreementOver(Over::Done.to_string()))
}

impl Agreement {
    /// That what is about to be committed is what was proposed.
    pub(crate) fn is_of(&self, effects: &Effects) -> Result<(), LedgerError> {
        if self.is_begun || self.effects.is_empty() || self.effects == *effects {
            return Ok(());
        }
        let why = "what it would do has changed since it was proposed";
        Err(LedgerError::AgreementOver(why.into()))
    }

    /// By which proposal, and who has signed: for a leaf.
    pub(crate) fn said(&self) -> String {
        let names: Vec<_> = self.by.iter().map(|it| it.name.as_str()).collect();
        format!(
            "proposal {}, approved by {}",
            self.proposal,
            names.join(", ")
        )
    }

    /// All that an auditor needs to check it without us.
    pub(crate) fn evidence(&self) -> Value {
        let one = |it: &Given| {
            json!({
                "person": it.person, "name": it.name, "roles": it.roles, "key": it.key_id,
                "public_key": hex::encode(it.key.bytes()), "signature": it.signature,
            })
        };
        let by: Vec<_> = self.by.iter().map(one).collect();
        json!({ "hash": hex::encode(self.hash), "approvals": by })
    }
}
