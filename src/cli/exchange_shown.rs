//! What the Exchange API's scopes, endpoints and refusals are, as people read it.

use serde_json::Value;

use super::{print_line, table};

pub(super) fn endpoints(list: &Value) {
    let mut rows = table::rows(list, &["method", "endpoint", "required_scope", "note"]);
    for (row, endpoint) in rows.iter_mut().zip(list.as_array().into_iter().flatten()) {
        if endpoint["required_scope"].is_null() {
            "(none)".clone_into(&mut row[2]);
        }
        if endpoint["available"] == false {
            "(not in this environment)".clone_into(&mut row[3]);
        }
    }
    table::print(&["method", "endpoint", "scope", "note"], &rows);
}

pub(super) fn explained(answer: &Value) {
    let findings = answer["findings"].as_array().into_iter().flatten();
    for finding in findings {
        let said = |member: &str| table::cell(&finding[member]);
        print_line(&format!("{}: {}", said("code"), said("detail")));
        print_line(&format!("    {}", said("action")));
    }
    match answer["verdict"].as_str() {
        Some("nothing-wrong") => print_line("Nothing is wrong that can be seen here."),
        Some("none-of-these") => print_line("It is none of the things that are known."),
        _ => {}
    }
    let notes = answer["notes"].as_array().into_iter().flatten();
    for note in notes {
        print_line(&format!("note: {}", table::cell(note)));
    }
    let expected = &answer["expected"];
    if !expected.is_null() {
        print_line("");
        for member in [
            "environment",
            "token_endpoint",
            "audience",
            "aud",
            "typ",
            "kid",
        ] {
            print_line(&format!("{member:<15} {}", table::cell(&expected[member])));
        }
    }
}

/// What a client's tokens may do.
pub(super) fn client_scopes(answer: &Value) {
    let granted = &answer["granted"];
    let known = match (granted.is_null(), &answer["granted_is_all"]) {
        (true, _) => "not known: no token was fetched here yet".to_owned(),
        (false, Value::Bool(true)) => table::cell(granted),
        (false, _) => format!("{}, and perhaps more", table::cell(granted)),
    };
    print_line(&format!("granted      {known}"));
    for (title, member) in [
        ("as of", "granted_at"),
        ("permitted", "permitted"),
        ("not granted", "not_granted"),
    ] {
        print_line(&format!("{title:<12} {}", table::cell(&answer[member])));
    }
    print_line("");
    endpoints(&answer["opens"]);
}

pub(super) fn token_scopes(answer: &Value) {
    for (title, member) in [
        ("for", "client_id"),
        ("audience", "audiences"),
        ("environment", "environment"),
        ("expires", "expires_at"),
        ("grants", "granted"),
        ("also", "undocumented"),
    ] {
        print_line(&format!("{title:<12} {}", table::cell(&answer[member])));
    }
    if answer["expired"] == true {
        print_line("It has expired.");
    }
    print_line("Nobody has checked the token's signature.");
    print_line("");
    endpoints(&answer["opens"]);
    let missing = table::rows(&answer["missing"], &["path", "scope", "detail"]);
    if !missing.is_empty() {
        print_line("");
        table::print(&["wanted", "missing scope", "why"], &missing);
    }
}
