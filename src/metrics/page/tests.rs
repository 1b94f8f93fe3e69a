use super::*;
use crate::metrics::Histogram;

#[test]
fn a_page_is_what_prometheus_reads() {
    let mut refusals = Family::counts("x_refusals", "Refusals");
    refusals.count([("problem", "busy")], 3);
    refusals.count([("problem", "a\"b\\c\nd")], 1);
    let rows = Histogram::of_rows();
    rows.observe(3);
    let page = text(vec![
        refusals,
        Family::level("x_up", "Whether it is", [], 1_u32),
        Family::levels("x_none", "Nothing yet"),
        Family::spread("x_rows", "Rows", rows.spread()),
    ]);
    let lines: Vec<&str> = page.lines().collect();
    assert_eq!(lines[1], "# TYPE x_refusals_total counter");
    assert_eq!(lines[2], "x_refusals_total{problem=\"busy\"} 3");
    assert_eq!(lines[3], "x_refusals_total{problem=\"a\\\"b\\\\c\\nd\"} 1");
    assert_eq!(lines[6], "x_up 1.0");
    for line in [
        "x_rows_bucket{le=\"2\"} 0",
        "x_rows_bucket{le=\"4\"} 1",
        "x_rows_bucket{le=\"+Inf\"} 1",
        "x_rows_sum 3.0",
        "x_rows_count 1",
    ] {
        assert!(lines.contains(&line), "{line}: {page}");
    }
}
