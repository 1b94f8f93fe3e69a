use serde_json::json;

use super::*;

#[test]
fn a_cell_is_text_to_a_spreadsheet() {
    for (value, text) in [
        (json!(null), ""),
        (json!("plain"), "plain"),
        (json!("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\""),
        (json!("-1"), "'-1"),
        (json!(-1), "-1"),
        (json!("a,b\nc"), "\"a,b\nc\""),
        (json!(["a", "b"]), "\"[\"\"a\"\",\"\"b\"\"]\""),
    ] {
        assert_eq!(cell(&value), text, "{value}");
    }
}

#[test]
fn a_sheet_has_its_columns_and_no_other() {
    let mut sheets = Sheets::make(None).unwrap();
    let row = json!({ "id": 1, "name": "n", "hash": "what is presented" });
    sheets.add("clients", &row).unwrap();
    assert!(sheets.add("nothing", &row).is_err());
    let filled = sheets.end().unwrap();
    assert_eq!(filled.len(), 2 * SHEETS.len());
    let clients: Vec<_> = filled.iter().filter(|it| it.rows == 1).collect();
    let names: Vec<_> = clients.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["clients.jsonl", "clients.csv"]);
}
