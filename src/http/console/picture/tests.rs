use super::*;

#[test]
fn a_line_ends_now_and_has_gaps_where_nothing_is_known() {
    let line = line("x", &[Some(0), None, Some(5), Some(10)], 10);
    assert_eq!(line.path, "M570 120h0M590 60h0L600 0");
}

#[test]
fn times_are_said_as_people_say_them() {
    let said = [
        None,
        Some(250),
        Some(5_000),
        Some(2_000_000),
        Some(u64::MAX),
    ]
    .map(time);
    assert_eq!(said, ["–", "250 µs", "5 ms", "2 s", "more than 10 s"]);
}

#[test]
fn a_picture_says_what_it_shows() {
    let said = work(&[
        Moment {
            signed: 3,
            ..Moment::default()
        },
        Moment {
            refused: 2,
            ..Moment::default()
        },
    ])
    .said;
    assert_eq!(
        said,
        "Signatures: 0 in the last minute, 3 in the busiest, 3 in all. \
         Refusals: 2 in the last minute, 2 in the busiest, 2 in all."
    );
    assert_eq!(latency(&[]).said, "Nothing was signed in the last minute.");
}
