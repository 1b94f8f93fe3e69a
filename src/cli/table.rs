//! Answers as tables, for people.

use serde_json::Value;

/// Prints columns as wide as what stands in them; the last one as it is.
pub(super) fn print(heads: &[&str], rows: &[Vec<String>]) {
    for line in lines(heads, rows) {
        super::print_line(&line);
    }
}

fn lines(heads: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let heads: Vec<String> = heads.iter().map(|it| it.to_uppercase()).collect();
    let all: Vec<&Vec<String>> = std::iter::once(&heads).chain(rows).collect();
    let width = |column: usize| {
        let cells = all.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    all.into_iter().map(line).collect()
}

/// A member as text: lists with commas, nothing as a dash.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        // What has a name of its own goes by it.
        Value::Object(of) if of.get("name").is_some_and(Value::is_string) => cell(&of["name"]),
        Value::Array(list) if list.is_empty() => "-".to_owned(),
        Value::Array(list) => {
            let items: Vec<_> = list.iter().map(cell).collect();
            items.join(", ")
        }
        other => other.to_string(),
    }
}

/// The members of each object in a list, as rows.
pub(super) fn rows(list: &Value, members: &[&str]) -> Vec<Vec<String>> {
    let objects = list.as_array().map_or(&[][..], Vec::as_slice);
    let row = |object: &Value| members.iter().map(|name| cell(&object[*name])).collect();
    objects.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_stand_below_one_another() {
        let list = json!([
            { "name": "a", "of": ["x", "y"], "why": "because" },
            { "name": "longer", "of": [], "why": null },
        ]);
        let table = lines(&["name", "of"], &rows(&list, &["name", "of", "why"]));
        assert_eq!(table, ["NAME    OF", "a       x, y", "longer  -"]);
    }
}
