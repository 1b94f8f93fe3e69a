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
