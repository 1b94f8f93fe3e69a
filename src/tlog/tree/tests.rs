use std::collections::HashMap;

use super::*;

fn leaf(n: u64) -> Hash {
    let hash = Sha256::new().chain_update([0]);
    hash.chain_update(n.to_be_bytes()).finalize().into()
}

/// By the definition of RFC 6962, and nothing else.
fn by_definition(range: Range) -> Hash {
    match range.to - range.from {
        0 => empty_root(),
        1 => leaf(range.from),
        _ => {
            let middle = range.split();
            let Range { from, to } = range;
            let left = by_definition(Range { from, to: middle });
            node_hash(&left, &by_definition(Range { from: middle, to }))
        }
    }
}

fn hashes(ranges: &[Range]) -> Vec<Hash> {
    ranges.iter().map(|it| by_definition(*it)).collect()
}

const LARGEST: u64 = 66;

#[test]
fn known_roots_of_certificate_transparency() {
    // RFC 6962's own log software has these, of the leaves "", 00, 10, 20 21.
    let leaves: [&[u8]; 4] = [b"", &[0], &[0x10], &[0x20, 0x21]];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    let mut tree = Frontier::default();
    assert_eq!(
        hex::encode(tree.root()),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    for (leaf, root) in leaves.iter().zip(roots) {
        let hash = Sha256::new().chain_update([0]).chain_update(leaf);
        tree.append(hash.finalize().into(), |_, _| {});
        assert_eq!(hex::encode(tree.root()), root);
    }
}

#[test]
fn a_frontier_has_the_root_and_the_nodes_of_the_definition() {
    let mut tree = Frontier::default();
    let mut nodes = HashMap::new();
    for size in 1..=LARGEST {
        let node = Node {
            level: 0,
            index: size - 1,
        };
        nodes.insert(node, leaf(size - 1));
        tree.append(leaf(size - 1), |node, hash| {
            nodes.insert(node, *hash);
        });
        assert_eq!(tree.size(), size);
        assert_eq!(tree.root(), by_definition(Range::first(size)));
        let parts: Vec<_> = Range::first(size)
            .nodes()
            .iter()
            .map(|it| nodes[it])
            .collect();
        assert_eq!(parts, tree.hashes());
        assert_eq!(Frontier::new(size, parts), Some(tree.clone()));
        assert_eq!(
            Frontier::new(size + 1, tree.hashes().to_vec()).is_some(),
            size.count_ones() == (size + 1).count_ones()
        );
    }
}

#[test]
fn every_range_of_a_proof_folds_from_its_nodes() {
    let mut tree = Frontier::default();
    let mut nodes = HashMap::new();
    for index in 0..LARGEST {
        nodes.insert(Node { level: 0, index }, leaf(index));
        tree.append(leaf(index), |node, hash| {
            nodes.insert(node, *hash);
        });
    }
    for size in 1..=LARGEST {
        let proofs = (0..size).filter_map(|index| inclusion(index, size));
        let proofs = proofs.chain((0..=size).filter_map(|old| consistency(old, size)));
        for range in proofs.flatten() {
            let parts: Vec<_> = range.nodes().iter().map(|it| nodes[it]).collect();
            assert_eq!(fold(&parts), by_definition(range), "{range:?} of {size}");
        }
    }
}

#[test]
fn a_leaf_is_proved_at_its_own_index_and_nowhere_else() {
    for size in 1..=LARGEST {
        let root = by_definition(Range::first(size));
        for index in 0..size {
            let proof = hashes(&inclusion(index, size).unwrap());
            let shown = |leaf: &Hash, index, size, proof: &[Hash]| {
                root_by_inclusion(leaf, index, size, proof) == Some(root)
            };
            assert!(shown(&leaf(index), index, size, &proof));
            assert!(!shown(&leaf(index + 1), index, size, &proof));
            for other in (0..size).filter(|it| *it != index) {
                assert!(
                    !shown(&leaf(index), other, size, &proof),
                    "{index} as {other} of {size}"
                );
            }
            if let Some((_, shorter)) = proof.split_last() {
                assert!(!shown(&leaf(index), index, size, shorter));
            }
            let longer = [proof.as_slice(), &[root]].concat();
            assert!(!shown(&leaf(index), index, size, &longer));
            for at in 0..proof.len() {
                let mut wrong = proof.clone();
                wrong[at][31] ^= 1;
                assert!(!shown(&leaf(index), index, size, &wrong));
            }
        }
        assert_eq!(inclusion(size, size), None);
        assert_eq!(root_by_inclusion(&leaf(size), size, size, &[]), None);
    }
}

#[test]
fn a_tree_is_proved_to_begin_with_a_smaller_one_and_with_no_other() {
    for new in 0..=LARGEST {
        let new_root = by_definition(Range::first(new));
        for old in 0..=new {
            let old_root = by_definition(Range::first(old));
            let proof = hashes(&consistency(old, new).unwrap());
            assert!(
                is_consistent(old, &old_root, new, &new_root, &proof),
                "{old} in {new}"
            );
            let mut wrong = old_root;
            wrong[0] ^= 1;
            assert!(!is_consistent(old, &wrong, new, &new_root, &proof));
            if old > 0 && old < new {
                let mut wrong = new_root;
                wrong[0] ^= 1;
                assert!(!is_consistent(old, &old_root, new, &wrong, &proof));
            }
            for at in 0..proof.len() {
                let mut wrong = proof.clone();
                wrong[at][0] ^= 1;
                assert!(!is_consistent(old, &old_root, new, &new_root, &wrong));
            }
            let longer = [proof.as_slice(), &[new_root]].concat();
            assert!(!is_consistent(old, &old_root, new, &new_root, &longer));
            if let Some((_, shorter)) = proof.split_last() {
                assert!(!is_consistent(old, &old_root, new, &new_root, shorter));
            }
        }
        assert_eq!(consistency(new + 1, new), None);
    }
}
