use super::*;

#[test]
fn a_copy_is_as_late_as_the_oldest_leaf_that_it_has_not() {
    let start = Instant::now();
    let at = |s| start + Duration::from_secs(s);
    let mut progress = Progress::new(start);
    progress.grown(10, at(1));
    progress.copied(10);
    assert_eq!((progress.covered(), progress.behind()), (at(1), 0));
    // Nothing is written for long, and it is not late.
    progress.grown(10, at(100));
    progress.copied(10);
    assert_eq!(progress.covered(), at(100));
    for s in 101..5_000 {
        progress.grown(s, at(s));
    }
    assert!(progress.sizes.len() <= MOST);
    assert_eq!(progress.covered(), at(100));
    progress.copied(200);
    let covered = progress.covered() - start;
    assert!((100..=200).contains(&covered.as_secs()), "{covered:?}");
    progress.copied(5_000);
    assert!(progress.covered() > at(4_900));
}
