//! How the tree grows: by whole batches, each run's one after the other.

use crate::tlog::{Frontier, Hash};

/// Nodes of every eighth level are kept; what lies between is computed.
pub(super) const STEP: u32 = 8;

/// A leaf that has no place in the tree yet.
#[derive(Clone, Debug)]
pub(super) struct Unplaced {
    pub(super) run: i32,
    /// The last batch of its run that has its place.
    pub(super) before: i64,
    pub(super) batch: i64,
    pub(super) position: i32,
    pub(super) hash: Hash,
    /// Whether the hash is that of the leaf.
    pub(super) fits: bool,
}

/// What a leaf that does not fit shows: somebody changed or removed what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Tampered {
    /// A leaf is missing, or one is too many.
    #[error(
        "audit-gap: the leaf at position {position} of batch {batch} of run {run} does not follow the one before it"
    )]
    Gap {
        /// The run.
        run: i32,
        /// The batch.
        batch: i64,
        /// The position.
        position: i32,
    },
    /// A leaf is not the one whose hash stands beside it.
    #[error(
        "audit-leaf-changed: the leaf at position {position} of batch {batch} of run {run} is not what its hash says"
    )]
    Changed {
        /// The run.
        run: i32,
        /// The batch.
        batch: i64,
        /// The position.
        position: i32,
    },
    /// The tree that is on record is not the one that was published.
    #[error(
        "audit-rollback: {0} (where the newer one is lost for good, two people go on with this one: chancery audit recover)"
    )]
    Rollback(&'static str),
}

/// Columns of `log_batches`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batches {
    pub(super) run: Vec<i32>,
    pub(super) batch: Vec<i64>,
    pub(super) first: Vec<i64>,
    pub(super) leaves: Vec<i32>,
}

/// Columns of `log_nodes`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Nodes {
    pub(super) level: Vec<i16>,
    pub(super) index: Vec<i64>,
    pub(super) hash: Vec<Vec<u8>>,
}

/// A tree with batches more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Grown {
    pub(super) tree: Frontier,
    pub(super) batches: Batches,
    pub(super) nodes: Nodes,
}

/// Appends batches. Where the leaves were cut at a number, the last batch may go on, and waits.
pub(super) fn grow(tree: &Frontier, leaves: &[Unplaced], is_cut: bool) -> Result<Grown, Tampered> {
    let mut grown = Grown {
        tree: tree.clone(),
        batches: Batches::default(),
        nodes: Nodes::default(),
    };
    let mut last: Option<(i32, i64)> = None;
    let mut batches = leaves
        .chunk_by(|a, b| (a.run, a.batch) == (b.run, b.batch))
        .peekable();
    while let Some(batch) = batches.next() {
        if is_cut && batches.peek().is_none() {
            break;
        }
        let Unplaced {
            run,
            batch: number,
            before,
            ..
        } = batch[0];
        let before = match last {
            Some((last_run, last)) if last_run == run => last,
            _ => before,
        };
        check(batch, number == before + 1)?;
        grown.append(batch);
        last = Some((run, number));
    }
    Ok(grown)
}

fn check(batch: &[Unplaced], follows: bool) -> Result<(), Tampered> {
    for (n, leaf) in batch.iter().enumerate() {
        let Unplaced {
            run,
            batch,
            position,
            ..
        } = *leaf;
        if !follows || usize::try_from(position) != Ok(n) {
            return Err(Tampered::Gap {
                run,
                batch,
                position,
            });
        }
        if !leaf.fits {
            return Err(Tampered::Changed {
                run,
                batch,
                position,
            });
        }
    }
    Ok(())
}

impl Grown {
    fn append(&mut self, batch: &[Unplaced]) {
        let first = self.tree.size();
        for leaf in batch {
            self.tree.append(leaf.hash, |node, hash| {
                if node.level % STEP == 0 {
                    self.nodes
                        .level
                        .push(i16::try_from(node.level).unwrap_or(i16::MAX));
                    self.nodes.index.push(node.index.cast_signed());
                    self.nodes.hash.push(hash.to_vec());
                }
            });
        }
        self.batches.run.push(batch[0].run);
        self.batches.batch.push(batch[0].batch);
        self.batches.first.push(first.cast_signed());
        self.batches
            .leaves
            .push(i32::try_from(batch.len()).unwrap_or(i32::MAX));
    }
}

#[cfg(test)]
mod tests;
