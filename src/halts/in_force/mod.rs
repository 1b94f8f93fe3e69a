//! All halts of a snapshot.

use std::sync::Arc;

use super::{Halt, Hit, On, Order};
use crate::authority::{self, Kind, Parsed, Snapshot};
use crate::id::HaltId;
use crate::ledger::LedgerError;

/// The halts in force. They are few: an order looks at each.
pub(super) struct InForce(Vec<Arc<Halt>>);

impl Parsed for InForce {
    const KINDS: &'static [Kind] = &[Kind::Halt];

    fn parse(snapshot: &Snapshot) -> Result<Self, LedgerError> {
        let halts = snapshot.of(Kind::Halt).map(|(id, stated)| {
            let order: Order = authority::read(Kind::Halt, stated)?;
            Ok(Arc::new(Halt {
                id: HaltId::from(id),
                tokens: order.tokens()?,
                order,
                at: stated.at,
                by: stated.by,
                version: stated.version,
            }))
        });
        let mut halts = halts.collect::<Result<Vec<_>, LedgerError>>()?;
        halts.sort_by_key(|halt| halt.version);
        Ok(Self(halts))
    }
}

impl InForce {
    /// All of them.
    pub(super) fn all(&self) -> &[Arc<Halt>] {
        &self.0
    }

    /// Whether any is on a market.
    pub(super) fn are_on_markets(&self) -> bool {
        self.0.iter().any(|halt| halt.order.on == On::Market)
    }

    /// The first that stops this.
    pub(super) fn on(&self, hit: &Hit<'_>) -> Option<Arc<Halt>> {
        let mut halts = self.0.iter();
        halts
            .find(|halt| halt.stops(hit.bearing) && halt.is_on(hit))
            .cloned()
    }
}

#[cfg(test)]
mod tests;
