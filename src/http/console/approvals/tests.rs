use serde_json::json;

use super::*;

fn rows(effects: &Value) -> Vec<Vec<Cell>> {
    match changes(effects.as_array().unwrap()) {
        Section::Table(table) => table.rows,
        _ => panic!("a table"),
    }
}

#[test]
fn what_was_stands_before_what_would_be() {
    let cells = |of: [&str; 3]| {
        of.map(|it| {
            if it.is_empty() {
                Cell::Nothing
            } else {
                Cell::text(it)
            }
        })
        .to_vec()
    };
    let moved = json!([{ "action": "step-key", "details": { "name": "k", "from": "suspended", "to": "active", "reason": "r" } }]);
    assert_eq!(rows(&moved), [cells(["step key", "suspended", "active"])]);
    let limits = json!([{ "action": "set-limits", "details": {
        "scope": "global", "before": { "a": "1", "b": "2" }, "after": { "a": "1", "b": "3", "c": "4" } } }]);
    assert_eq!(
        rows(&limits),
        [
            cells(["b", "2", "3"]),
            cells(["c", "", "4"]),
            cells(["scope", "", "global"])
        ]
    );
}
