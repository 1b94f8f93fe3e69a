//! The Merkle tree of RFC 6962, by nodes: which are needed for a root or a proof, and what comes of them.
//!
//! A node is the root of a perfect subtree. Whatever else has a hash in such a tree, a range at its right
//! edge, is folded from the few nodes that it is made of, so that a log of any size is proved from some
//! dozens of hashes.

use sha2::{Digest, Sha256};

/// A hash in the tree.
pub type Hash = [u8; 32];

/// The hash of an empty tree.
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The hash of two neighbours: `SHA-256(0x01 ‖ left ‖ right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let hash = Sha256::new().chain_update([1]).chain_update(left);
    hash.chain_update(right).finalize().into()
}

/// The root of a perfect subtree: of the `1 << level` leaves from `index << level` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    /// Its height; a leaf has 0.
    pub level: u32,
    /// Which one at that height, from the left.
    pub index: u64,
}

/// Leaves from one index up to before another, as a tree has them under one hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub from: u64,
    /// The one after the last.
    pub to: u64,
}

impl Range {
    /// The first leaves of a tree: its root is theirs.
    pub fn first(size: u64) -> Self {
        Self { from: 0, to: size }
    }

    /// The nodes that it is made of, from left to right: few, and each larger than the next.
    pub fn nodes(self) -> Vec<Node> {
        let mut nodes = Vec::new();
        let mut from = self.from;
        while from < self.to {
            let aligned = if from == 0 { 63 } else { from.trailing_zeros() };
            let level = aligned.min((self.to - from).ilog2());
            nodes.push(Node {
                level,
                index: from >> level,
            });
            from += 1 << level;
        }
        nodes
    }

    /// Where RFC 6962 splits it: at the largest power of two that is smaller than its length.
    fn split(self) -> u64 {
        let length = self.to - self.from;
        self.from + (1 << (length - 1).ilog2())
    }
}

/// The hash over nodes, from left to right, each larger than the next; of none that of an empty tree.
pub fn fold(hashes: &[Hash]) -> Hash {
    let mut from_right = hashes.iter().rev();
    let Some(last) = from_right.next() else {
        return empty_root();
    };
    from_right.fold(*last, |right, left| node_hash(left, &right))
}

/// The ranges whose hashes prove that a leaf is in a tree, from the leaf's sibling to below the root.
/// `None`: the tree has no such leaf.
pub fn inclusion(index: u64, size: u64) -> Option<Vec<Range>> {
    if index >= size {
        return None;
    }
    let mut ranges = Vec::new();
    let mut within = Range::first(size);
    while within.to - within.from > 1 {
        let (from, middle, to) = (within.from, within.split(), within.to);
        let (left, right) = (Range { from, to: middle }, Range { from: middle, to });
        let (other, next) = if index < middle {
            (right, left)
        } else {
            (left, right)
        };
        ranges.push(other);
        within = next;
    }
    ranges.reverse();
    Some(ranges)
}

/// The ranges whose hashes prove that a tree begins with a smaller one. `None`: the other is not smaller.
pub fn consistency(old: u64, new: u64) -> Option<Vec<Range>> {
    if old > new {
        return None;
    }
    let mut ranges = Vec::new();
    if old == 0 || old == new {
        return Some(ranges);
    }
    let mut within = Range::first(new);
    let mut is_whole = true;
    while within.to != old {
        let (from, middle, to) = (within.from, within.split(), within.to);
        let (left, right) = (Range { from, to: middle }, Range { from: middle, to });
        if old <= middle {
            ranges.push(right);
            within = left;
        } else {
            ranges.push(left);
            within = right;
            is_whole = false;
        }
    }
    if !is_whole {
        ranges.push(within);
    }
    ranges.reverse();
    Some(ranges)
}

/// The root that a proof of inclusion leads to. `None`: it has the wrong length for this leaf and size.
pub fn root_by_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    // The path of RFC 9162, 2.1.3.2: `of` is our place at a height, `last` that of the right edge.
    let (mut of, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return None;
        }
        if of & 1 == 1 || of == last {
            hash = node_hash(sibling, &hash);
            while of & 1 == 0 && of != 0 {
                (of, last) = (of >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        (of, last) = (of >> 1, last >> 1);
    }
    (last == 0).then_some(hash)
}

/// Whether a proof shows that the tree with the second root begins with the one with the first.
pub fn is_consistent(old: u64, old_root: &Hash, new: u64, new_root: &Hash, proof: &[Hash]) -> bool {
    if old > new {
        return false;
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return proof.is_empty() && *old_root == empty_root();
    }
    // RFC 9162, 2.1.4.2. A tree of a power of two is itself a node of the new one.
    let mut path = proof.iter();
    let first = if old.is_power_of_two() {
        *old_root
    } else {
        match path.next() {
            Some(hash) => *hash,
            None => return false,
        }
    };
    let (mut of, mut last) = (old - 1, new - 1);
    while of & 1 == 1 {
        (of, last) = (of >> 1, last >> 1);
    }
    let (mut was, mut is) = (first, first);
    for hash in path {
        if last == 0 {
            return false;
        }
        if of & 1 == 1 || of == last {
            was = node_hash(hash, &was);
            is = node_hash(hash, &is);
            while of & 1 == 0 && of != 0 {
                (of, last) = (of >> 1, last >> 1);
            }
        } else {
            is = node_hash(&is, hash);
        }
        (of, last) = (of >> 1, last >> 1);
    }
    last == 0 && was == *old_root && is == *new_root
}

/// A tree at its right edge: all that is needed to append.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// Of the nodes of `Range::first(size)`.
    hashes: Vec<Hash>,
}

impl Frontier {
    /// Of a tree of this size, whose nodes have these hashes. `None`: it has another number of nodes.
    pub fn new(size: u64, hashes: Vec<Hash>) -> Option<Self> {
        let fits = hashes.len() == size.count_ones() as usize;
        fits.then_some(Self { size, hashes })
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of its nodes.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Appends a leaf by its hash; `made` hears of each node that is whole now, but the leaf.
    pub fn append(&mut self, leaf: Hash, mut made: impl FnMut(Node, &Hash)) {
        let (mut hash, mut index) = (leaf, self.size);
        let mut level = 0;
        while index & 1 == 1
            && let Some(left) = self.hashes.pop()
        {
            hash = node_hash(&left, &hash);
            (index, level) = (index >> 1, level + 1);
            made(Node { level, index }, &hash);
        }
        self.hashes.push(hash);
        self.size += 1;
    }

    /// The root.
    pub fn root(&self) -> Hash {
        fold(&self.hashes)
    }
}

#[cfg(test)]
mod tests;
