//! Changes of what decides.

use uuid::Uuid;

use super::Change;
use crate::authority::records::{self, New};
use crate::authority::{Kind, Proved, Said, Version};
use crate::ledger::{Gate, LedgerError};

/// What a change does to what was allowed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Something may not be allowed any more: what was decided before is decided again.
    Tightens,
    /// All that was allowed is still allowed.
    Loosens,
}

impl Change {
    /// The version that says what holds of a thing, if anything does; nobody else decides anything until this
    /// change ends.
    pub async fn latest(
        &mut self,
        kind: Kind,
        id: impl Into<Uuid>,
    ) -> Result<Option<Version>, LedgerError> {
        records::latest((kind, id.into()), self.tx()).await
    }

    /// States what holds of a thing from here on; `None`: it is gone. What tightens needs the gate alone, so
    /// that it is true on all replicas once it is committed. Who agreed, and that it happened, is for
    /// the caller's [`loosen`](Self::loosen) and [`note`](Self::note).
    pub async fn decide(
        &mut self,
        kind: Kind,
        id: impl Into<Uuid>,
        body: Option<&[u8]>,
        effect: Effect,
    ) -> Result<Version, LedgerError> {
        let new = New {
            thing: (kind, id.into()),
            body,
            tightens: self.is_to_tighten(effect)?,
        };
        let (who, seal) = ((self.author(), self.now()), self.seal());
        let version = records::add(&[new], who, &seal, self.tx()).await?;
        self.has_decided();
        Ok(version)
    }

    /// States what a row says that this change writes, with all others at the end: whoever adds a version keeps
    /// the others waiting, and they may hold rows that this change still needs.
    pub(crate) fn state(&mut self, said: Said, effect: Effect) -> Result<(), LedgerError> {
        let tightens = self.is_to_tighten(effect)?;
        self.stated(said, tightens);
        Ok(())
    }

    /// Compares what was read in this transaction with what is stated, by itself too.
    pub(crate) async fn prove(&mut self, rows: &mut impl Proved) -> Result<(), LedgerError> {
        self.authority().prove(rows, &self.own()).await
    }

    fn is_to_tighten(&self, effect: Effect) -> Result<bool, LedgerError> {
        let tightens = effect == Effect::Tightens;
        if tightens && self.gate() != Gate::Exclusive {
            let why = "what tightens passes the gate alone";
            return Err(LedgerError::Aborted(why.into()));
        }
        Ok(tightens)
    }
}
