//! Text on its way into the ledger. Postgres keeps any Unicode in `text` and `jsonb` but U+0000: one
//! such character in a row takes its whole group with it, so none gets as far as that.

/// What is wrong with a text that cannot be put on record.
pub const NUL: &str = "a text with the character U+0000 cannot be put on record";

/// Whether a text in this JSON, or a member's name, has a NUL. Valid JSON has it as an escape only.
pub fn has_nul(json: &str) -> bool {
    let mut rest = json;
    while let Some((_, escape)) = rest.split_once('\\') {
        if escape.starts_with("u0000") {
            return true;
        }
        // What is escaped is passed over: a backslash itself begins nothing.
        rest = escape.strip_prefix('\\').unwrap_or(escape);
    }
    json.contains('\0')
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn holds(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(items) => items.iter().any(holds),
            Value::Object(members) => members
                .iter()
                .any(|(name, value)| name.contains('\0') || holds(value)),
            _ => false,
        }
    }

    #[test]
    fn a_nul_is_found_where_it_is_one() {
        for (json, is_there) in [
            (r#""\u0000""#, true),
            (r#""a\\\u0000""#, true),
            (r#"{"\u0000":1}"#, true),
            (r#"{"a":["b",{"c":"d\u0000"}]}"#, true),
            ("\"\0\"", true),
            (r#""\\u0000""#, false),
            (r#""\\\\u0000""#, false),
            (r#""\u00000""#, true),
            (r#""\u0001\n\"u0000""#, false),
            (r#""u0000 \/u0000""#, false),
            ("", false),
            ("\\", false),
        ] {
            assert_eq!(has_nul(json), is_there, "{json}");
            if let Ok(value) = serde_json::from_str(json) {
                assert_eq!(holds(&value), is_there, "{json}");
            }
        }
    }

    #[test]
    fn it_is_found_however_the_text_around_it_is_written() {
        const PARTS: [&str; 9] = [
            r"\\",
            r"\u0000",
            "u0000",
            r#"\""#,
            r"\n",
            r"\u0001",
            r"\ud83d\ude00",
            "0",
            "é",
        ];
        for n in 0..PARTS.len().pow(4) {
            let part = |place| PARTS[n / PARTS.len().pow(place) % PARTS.len()];
            let json = format!("\"{}{}{}{}\"", part(0), part(1), part(2), part(3));
            let value: Value = serde_json::from_str(&json).unwrap();
            assert_eq!(has_nul(&json), holds(&value), "{json}");
        }
    }

    #[test]
    fn every_other_character_passes() {
        for one in '\0'..=char::MAX {
            let json = Value::from(one.to_string()).to_string();
            assert_eq!(has_nul(&json), one == '\0', "{one:?}");
        }
    }
}
