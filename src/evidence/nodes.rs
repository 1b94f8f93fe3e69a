//! Hashes of the tree as it is on record: any node's, any range's, and the proofs that are made of them.

use super::growth::STEP;
use super::records;
use crate::ledger::{Ledger, LedgerError};
use crate::tlog::tree::{self, Frontier, Hash, Node, Range};

/// The hashes of ranges of the tree, each folded from its nodes.
pub(super) async fn hashes(ranges: &[Range], ledger: &Ledger) -> Result<Vec<Hash>, LedgerError> {
    let nodes: Vec<Vec<Node>> = ranges.iter().map(|range| range.nodes()).collect();
    let all: Vec<_> = nodes.iter().flatten().copied().collect();
    let mut found = of_nodes(&all, ledger).await?.into_iter();
    let folded = nodes.iter().map(|nodes| {
        let parts: Vec<_> = found.by_ref().take(nodes.len()).collect();
        tree::fold(&parts)
    });
    Ok(folded.collect())
}

/// The root of the tree as it was at a size.
pub(super) async fn root(size: u64, ledger: &Ledger) -> Result<Hash, LedgerError> {
    let root = hashes(&[Range::first(size)], ledger).await?;
    Ok(root[0])
}

/// The roots of perfect subtrees of which the tree was made at a size, from left to right.
pub(super) async fn frontier(size: u64, ledger: &Ledger) -> Result<Vec<Hash>, LedgerError> {
    of_nodes(&Range::first(size).nodes(), ledger).await
}

/// The hashes of nodes: each is computed from what is kept a few levels below, in two queries for all.
async fn of_nodes(nodes: &[Node], ledger: &Ledger) -> Result<Vec<Hash>, LedgerError> {
    let below = |node: &Node| {
        let up = node.level % STEP;
        (node.level - up, node.index << up, (node.index + 1) << up)
    };
    let (mut of_leaves, mut of_kept) = (Vec::new(), Vec::new());
    for node in nodes {
        match below(node) {
            (0, from, to) => of_leaves.push((from, to)),
            kept => of_kept.push(kept),
        }
    }
    let leaves = records::leaf_hashes(&of_leaves, ledger).await?;
    let kept = records::nodes(&of_kept, ledger).await?;
    let (mut leaves, mut kept) = (leaves.into_iter(), kept.into_iter());
    let mut hashes = Vec::with_capacity(nodes.len());
    for node in nodes {
        let (level, from, to) = below(node);
        let source: &mut dyn Iterator<Item = Hash> =
            if level == 0 { &mut leaves } else { &mut kept };
        let mut subtree = Frontier::default();
        for hash in source.take(usize::try_from(to - from).unwrap_or(usize::MAX)) {
            subtree.append(hash, |_, _| {});
        }
        if subtree.size() != to - from {
            let what = format!("{} of {} hashes below {node:?}", subtree.size(), to - from);
            return Err(LedgerError::Corrupt("log_nodes", what));
        }
        hashes.push(subtree.root());
    }
    Ok(hashes)
}
