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
mod tests {
    use super::*;
    use crate::tlog::tree::{Range, fold};

    fn leaf(run: i32, batch: i64, position: i32) -> Unplaced {
        let mut hash = [0; 32];
        hash[0] = u8::try_from(run).unwrap();
        hash[1] = u8::try_from(batch).unwrap();
        hash[2] = u8::try_from(position).unwrap();
        Unplaced {
            run,
            before: 0,
            batch,
            position,
            hash,
            fits: true,
        }
    }

    fn run(number: i32, sizes: &[i32]) -> Vec<Unplaced> {
        let batches = (1..).zip(sizes);
        batches
            .flat_map(|(batch, size)| (0..*size).map(move |at| leaf(number, batch, at)))
            .collect()
    }

    #[test]
    fn batches_stand_where_they_were_appended_and_runs_one_behind_the_other() {
        let leaves = [run(1, &[2, 1]), run(4, &[3])].concat();
        let grown = grow(&Frontier::default(), &leaves, false).unwrap();
        let expected = Batches {
            run: vec![1, 1, 4],
            batch: vec![1, 2, 1],
            first: vec![0, 2, 3],
            leaves: vec![2, 1, 3],
        };
        assert_eq!((grown.tree.size(), &grown.batches), (6, &expected));
        let mut more = run(4, &[3, 2])[3..].to_vec();
        for leaf in &mut more {
            leaf.before = 1;
        }
        let again = grow(&grown.tree, &more, false).unwrap();
        assert_eq!((again.tree.size(), again.batches.first), (8, vec![6]));
    }

    #[test]
    fn a_batch_that_may_go_on_waits() {
        let leaves = [run(1, &[2, 1]), run(4, &[3])].concat();
        let grown = grow(&Frontier::default(), &leaves[..5], true).unwrap();
        assert_eq!(grown.tree.size(), 3);
        let nothing = grow(&Frontier::default(), &leaves[..1], true).unwrap();
        assert_eq!(nothing.tree.size(), 0);
    }

    #[test]
    fn a_missing_a_moved_and_a_changed_leaf_are_found() {
        let whole = [run(1, &[2, 3, 1]), run(2, &[1])].concat();
        assert!(grow(&Frontier::default(), &whole, false).is_ok());
        for at in 0..whole.len() {
            let mut less = whole.clone();
            let gone = less.remove(at);
            // The last of a batch, of a run: its absence shows nothing here, but in what was published.
            let is_last = less.get(at).is_none_or(|next| next.run != gone.run);
            let seen = grow(&Frontier::default(), &less, false);
            let ends_its_batch =
                less.get(at).is_some_and(|next| next.batch != gone.batch) && gone.position > 0;
            assert_eq!(seen.is_err(), !is_last && !ends_its_batch, "{gone:?}");
            let mut changed = whole.clone();
            changed[at].fits = false;
            let Unplaced {
                run,
                batch,
                position,
                ..
            } = changed[at];
            let seen = grow(&Frontier::default(), &changed, false);
            assert_eq!(
                seen,
                Err(Tampered::Changed {
                    run,
                    batch,
                    position
                })
            );
        }
    }

    #[test]
    fn every_eighth_level_is_kept() {
        let size = 70_000_u64;
        let leaves: Vec<_> = (0..size)
            .map(|n| {
                let mut it = leaf(1, 1, 0);
                it.hash[8..16].copy_from_slice(&n.to_be_bytes());
                it.position = i32::try_from(n).unwrap();
                it
            })
            .collect();
        let grown = grow(&Frontier::default(), &leaves, false).unwrap();
        let of = |level| grown.nodes.level.iter().filter(|it| **it == level).count();
        assert_eq!((of(8), of(16), grown.nodes.level.len()), (273, 1, 274));
        let first: Vec<_> = leaves[..256].iter().map(|it| it.hash).collect();
        let mut tree = Frontier::default();
        for hash in &first {
            tree.append(*hash, |_, _| {});
        }
        assert_eq!(grown.nodes.hash[0], tree.root());
        assert_eq!(fold(grown.tree.hashes()), grown.tree.root());
        assert_eq!(Range::first(size).nodes().len(), grown.tree.hashes().len());
    }
}
