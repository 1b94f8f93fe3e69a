//! On whose agreement a change is made, and that it is what they agreed to (P6).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::Author;
use super::leaf::{self, Event};
use crate::approvals::Approval;
use crate::approvals::check::{self, Agreement};
use crate::approvals::document::Effects;
use crate::authority::{Authority, Said};
use crate::ledger::{LedgerError, Tx};

/// What is known of a change's agreement while it goes on.
#[derive(Debug, Default)]
pub(super) struct Agreed {
    /// What its leaves say, to be compared with what was agreed to, or proposed.
    effects: Effects,
    /// Whether it does something that others have to agree to.
    loosens: AtomicBool,
    /// The proposal that it is under.
    agreement: Option<Agreement>,
}

impl Agreed {
    /// Looks, behind the gate, whether the proposal that its author acts under holds.
    pub(super) async fn look(
        &mut self,
        author: &Author,
        authority: &Authority,
        tx: &mut Tx,
    ) -> Result<(), LedgerError> {
        if let Some((claim, afterwards)) = author.claim() {
            self.agreement = Some(check::look(claim, afterwards, authority, tx).await?);
        }
        Ok(())
    }

    /// Who has agreed to what loosens. Where nobody has, a stand-in that no commit takes.
    pub(super) fn loosen(&self, author: &Author) -> Approval {
        self.loosens.store(true, Ordering::Relaxed);
        author.loosen().unwrap_or_else(|_| Approval::awaited())
    }

    /// One leaf more; gives back what it says of who agreed.
    pub(super) fn note(&mut self, approval: Approval, action: &str, details: &Value) -> String {
        self.effects.add(action, details);
        match &self.agreement {
            Some(it) if approval.proposal() == Some(it.proposal) => it.said(),
            _ => approval.to_string(),
        }
    }

    /// Before the commit: that others have agreed to what loosens, and to just this. The proposal that it is
    /// under ends with it; that is stated, and a leaf with all that an auditor needs.
    pub(super) async fn settle(
        &mut self,
        author: &Author,
        tx: &mut Tx,
    ) -> Result<Option<(Said, Event)>, LedgerError> {
        if !self.loosens.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if author.loosen().is_err() {
            return Err(LedgerError::NotAgreed(Arc::new(self.effects.to_value())));
        }
        let Some(agreement) = self.agreement.take() else {
            return Ok(None);
        };
        agreement.is_of(&self.effects)?;
        if agreement.is_begun {
            return Ok(None);
        }
        let said = check::begin(agreement.proposal, author.id(), tx).await?;
        let leaf = Event::Admin(leaf::Admin {
            actor: author.id().uuid(),
            action: "carry-out-proposal".into(),
            subject: agreement.proposal.into(),
            approval: agreement.said(),
            details: agreement.evidence().to_string(),
        });
        Ok(Some((said, leaf)))
    }
}
