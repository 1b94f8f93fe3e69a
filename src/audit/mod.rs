//! The audit log: what is about to be signed, what left, who changed what.
//!
//! A [`Leaf`] is added in the same transaction as the business rows it speaks of, by the one
//! [`Log`] of this process, so that (run, batch, position) has no gaps: batches are given
//! out one at a time, and the next one only when the outcome of the last is known.
//!
//! It **trusts** Postgres to keep what it has committed, for the moment until `evidence` has published a
//! checkpoint of the tree that covers it. The trigger on the table stops slips, not attackers.

mod agreed;
mod author;
mod batch;
mod change;
mod deciding;
pub mod leaf;
mod log;
mod records;
mod voucher;

pub use author::Author;
pub(crate) use batch::{Batch, Place, Written};
pub use change::Change;
pub use deciding::Effect;
pub use leaf::{Event, Leaf};
pub use log::Log;
pub(crate) use records::Row;

/// Proof that a batch, and everything in its transaction, is durable. Minted only by the [`Log`].
#[derive(Debug)]
pub struct Committed(());

/// A permit whose INTENT is durable. Minted only in `audit`, by a committed group.
#[must_use]
#[derive(Debug)]
pub struct Logged<P>(P);

impl<P> Logged<P> {
    /// What a commit has made durable.
    pub(crate) fn new(permit: P, _proof: &Committed) -> Self {
        Self(permit)
    }

    #[cfg(test)]
    pub(crate) fn for_test(permit: P) -> Self {
        Self(permit)
    }

    /// What is on record.
    pub fn get(&self) -> &P {
        &self.0
    }
}
