//! Changes of what decides.

use uuid::Uuid;

use super::Change;
use crate::authority::{Kind, Version, records};
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
        let tightens = effect == Effect::Tightens;
        if tightens && self.gate() != Gate::Exclusive {
            let why = "what tightens passes the gate alone";
            return Err(LedgerError::Aborted(why.into()));
        }
        let (thing, who, seal) = ((kind, id.into()), (self.author(), self.now()), self.seal());
        let version = records::add(thing, body, tightens, who, &seal, self.tx()).await?;
        self.has_decided();
        Ok(version)
    }
}
