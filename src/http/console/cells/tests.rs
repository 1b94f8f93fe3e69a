use serde_json::json;
use time::macros::datetime;

use super::*;

const NOW: OffsetDateTime = datetime!(2026-11-30 12:00 UTC);

#[test]
fn members_are_shown_as_what_they_are() {
    let of = json!({ "name": "a/b", "state": "suspended", "at": "2026-11-27T12:00:00Z", "in": { "deep": 7 }, "no": null });
    let columns: [Column; 5] = [
        ("Name", "name", Kind::Link("/keys/")),
        ("State", "state", Kind::State),
        ("At", "at", Kind::Time),
        ("Deep", "in.deep", Kind::Text),
        ("No", "no", Kind::Text),
    ];
    let row = row(&columns, &of, NOW);
    assert_eq!(row[0], Cell::link("/keys/a%2Fb", "a/b"));
    let tone = "look";
    let word = "suspended".to_owned();
    assert_eq!(row[1], Cell::State { word, tone });
    let (exact, near) = ("2026-11-27T12:00:00Z".to_owned(), "3 d ago".to_owned());
    assert_eq!(row[2], Cell::Time { exact, near });
    assert_eq!(row[3], Cell::text("7"));
    assert_eq!(row[4], Cell::Nothing);
    assert_eq!(facts(&columns, &of, NOW).len(), 4);
}

#[test]
fn nothing_hides_in_a_text() {
    assert_eq!(shown("a\u{202e}b\0\u{200b}"), "a[U+202E]b[U+0000][U+200B]");
}

#[test]
fn times_are_near_or_far() {
    let of = |at| near(at, NOW);
    assert_eq!(of(datetime!(2026-11-30 11:59:30 UTC)), "30 s ago");
    assert_eq!(of(datetime!(2026-11-30 13:00 UTC)), "in 60 min");
    assert_eq!(of(datetime!(2027-03-01 12:00 UTC)), "in 91 d");
    assert_eq!(of(datetime!(2020-03-01 12:00 UTC)), "6 y ago");
}
