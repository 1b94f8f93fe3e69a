use super::super::histogram::Histogram;
use super::super::load::{Pace, Tally};
use super::super::row::Subject;
use super::*;

#[test]
fn every_row_is_drawn_on_one_axis() {
    let row = |name: &str, micros: u64| Row {
        name: name.to_owned(),
        subject: Subject::Commit,
        at_once: 1,
        pace: Pace::Closed,
        tally: Tally {
            answered: Histogram::of((1..100).map(|n| Duration::from_micros(micros * n))),
            time: Duration::from_secs(1),
            ..Tally::default()
        },
        used: None,
        memory: None,
    };
    let svg = draw("a < b", &[row("one", 10), row("two", 300)]);
    for part in [
        "a &lt; b",
        "one: 99/s",
        "two: 99/s",
        ">10 µs<",
        ">100 ms<",
        "</svg>",
    ] {
        assert!(svg.contains(part), "{part} in {svg}");
    }
    assert!(svg.matches("<rect").count() > 20);
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    assert!(draw("nothing", &[]).contains("</svg>"));
}
