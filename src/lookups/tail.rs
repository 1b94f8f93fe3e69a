//! The end of the log, whose leaves are known by their terms in memory until there is a whole stretch of them.

use std::collections::HashMap;

use uuid::Uuid;

use super::places::{SIZE, Stretch};
use super::records::{self, Placed};
use super::terms::{self, Term};
use crate::audit::leaf::{Event, Intent, Leaf};
use crate::ledger::{Ledger, LedgerError};

/// So many leaves are read at a time.
const AT_A_TIME: u64 = 2_048;

/// So many stretches are made known by one who waits for an answer; whoever looks after it makes all.
const PATIENCE: usize = 2;

/// What is known of the leaves behind the last stretch.
#[derive(Default)]
pub(super) struct Tail {
    /// The first index of the stretch that is not whole yet.
    first: u64,
    /// The first index that was not read yet.
    next: u64,
    leaves: Vec<Known>,
}

struct Known {
    index: u64,
    at_ms: i64,
    terms: Vec<Term>,
}

impl Tail {
    /// Where what is known in memory begins.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Reads what came since; a whole stretch goes to the ledger. Says how many leaves are left to be read.
    pub(super) async fn follow(&mut self, ledger: &Ledger) -> Result<u64, LedgerError> {
        self.behind(ledger).await?;
        let size = records::size(ledger).await?;
        for _ in 0..PATIENCE {
            let end = size.min(self.first + SIZE);
            while self.next < end {
                let to = end.min(self.next + AT_A_TIME);
                let placed = records::between(self.next, to, ledger).await?;
                let read = read(placed, ledger).await?;
                self.leaves.extend(read.into_iter().map(|it| Known {
                    index: it.index,
                    at_ms: it.leaf.at_ms,
                    terms: terms::of(&it.leaf, it.begun.as_ref()),
                }));
                self.next = to;
            }
            if self.next < self.first + SIZE {
                break;
            }
            self.make_known(ledger).await?;
        }
        Ok(size.saturating_sub(self.next))
    }

    /// Whether there is a whole stretch that nobody has made known yet.
    pub(super) async fn is_due(ledger: &Ledger) -> Result<bool, LedgerError> {
        let known = records::stretches(ledger).await?;
        let size = records::size(ledger).await?;
        Ok(size / SIZE > u64::try_from(known).unwrap_or(0))
    }

    /// Takes note of what other replicas have made known.
    async fn behind(&mut self, ledger: &Ledger) -> Result<(), LedgerError> {
        let known = records::stretches(ledger).await?;
        let first = u64::try_from(known).unwrap_or(0) * SIZE;
        if first > self.first {
            self.first = first;
            self.next = self.next.max(first);
            self.leaves.retain(|it| it.index >= first);
        }
        Ok(())
    }

    async fn make_known(&mut self, ledger: &Ledger) -> Result<(), LedgerError> {
        let leaves = self.leaves.iter().map(|it| {
            let place = u16::try_from(it.index - self.first).unwrap_or(u16::MAX);
            (place, it.at_ms, it.terms.as_slice())
        });
        let stretch = Stretch::of(leaves);
        let number = i32::try_from(self.first / SIZE).unwrap_or(i32::MAX);
        records::index(number, &stretch, ledger).await?;
        self.leaves = Vec::new();
        self.first += SIZE;
        Ok(())
    }

    /// The last indexes before one that have all terms, and are of that time.
    pub(super) fn find(
        &self,
        terms: &[Term],
        times: (i64, i64),
        before: u64,
        at_most: usize,
    ) -> Vec<u64> {
        let has = |it: &&Known| {
            it.index < before
                && (times.0..times.1).contains(&it.at_ms)
                && terms.iter().all(|term| it.terms.contains(term))
        };
        let found = self.leaves.iter().rev().filter(has).map(|it| it.index);
        found.take(at_most).collect()
    }
}

/// A leaf that was read, and what had begun where it is an end.
pub(super) struct Read {
    pub(super) index: u64,
    pub(super) leaf: Leaf,
    pub(super) begun: Option<Intent>,
}

/// Reads leaves, and with ends what they end. What is no leaf is left out: whoever verifies the log is told of it.
pub(super) async fn read(placed: Vec<Placed>, ledger: &Ledger) -> Result<Vec<Read>, LedgerError> {
    let read = placed.into_iter().filter_map(|it| {
        Some(Read {
            index: it.index,
            leaf: Leaf::from_bytes(&it.leaf)?,
            begun: None,
        })
    });
    let mut read: Vec<Read> = read.collect();
    let ended: Vec<Uuid> = read.iter().filter_map(|it| ended(&it.leaf)).collect();
    if !ended.is_empty() {
        let begun = records::intents(&ended, ledger).await?;
        let begun = begun.into_iter().filter_map(|it| {
            let leaf = Leaf::from_bytes(&it.leaf)?;
            let Event::Intent(intent) = leaf.event else {
                return None;
            };
            Some((intent.intent, *intent))
        });
        let begun: HashMap<Uuid, Intent> = begun.collect();
        for it in &mut read {
            it.begun = ended_of(&it.leaf, &begun);
        }
    }
    Ok(read)
}

/// The intent that ends here without a signature.
fn ended(leaf: &Leaf) -> Option<Uuid> {
    match &leaf.event {
        Event::Refused(end) | Event::Abandoned(end) => Some(end.intent),
        _ => None,
    }
}

fn ended_of(leaf: &Leaf, begun: &HashMap<Uuid, Intent>) -> Option<Intent> {
    begun.get(&ended(leaf)?).cloned()
}
