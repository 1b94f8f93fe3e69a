use super::*;

fn shown(old: &str, new: &str) -> String {
    let lines = lines(old, new).into_iter();
    let each: Vec<_> = lines.map(|it| format!("{}{} ", it.sign, it.text)).collect();
    each.concat()
}

#[test]
fn only_what_changes_is_shown_with_what_is_around_it() {
    let old = "a\nb\nc\nd\ne\nf\ng\nh\ni";
    assert_eq!(shown(old, old), "… ");
    assert_eq!(
        shown(old, "a\nb\nc\nd\nE\nf\nx\ng\nh\ni"),
        "…  b  c  d -e +E  f +x  g  h  i "
    );
    assert_eq!(shown("", "a"), "+a ");
    assert_eq!(shown("a", ""), "-a ");
}

#[test]
fn texts_without_end_are_not_compared_for_ever() {
    let (old, new) = ("a\n".repeat(3_000), "b\n".repeat(3_000));
    assert_eq!(lines(&old, &new).len(), 6_000);
}
