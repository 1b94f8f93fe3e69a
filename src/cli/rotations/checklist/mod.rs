//! A rotation for people.

use serde_json::Value;

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or("-")
}

/// A time without its fraction.
fn time(value: &Value, member: &str) -> String {
    let at = text(value, member);
    let end = at.find(['.', 'Z']).unwrap_or(at.len());
    at[..end].replace('T', " ")
}

/// The client or wallet.
fn subject(rotation: &Value) -> String {
    let member = if rotation["wallet"].is_string() {
        "wallet"
    } else {
        "client"
    };
    text(rotation, member).to_owned()
}

pub(super) fn summary(rotation: &Value) -> String {
    let late = if rotation["status"]["overdue"] == true {
        "LATE"
    } else {
        ""
    };
    format!(
        "{}  {:<14} {:<24} waits for {:<13} target {} {late}",
        text(rotation, "id"),
        text(rotation, "state"),
        subject(rotation),
        text(&rotation["status"], "waits_for"),
        time(rotation, "target_at"),
    )
    .trim_end()
    .to_owned()
}

pub(super) fn probe_line(probe: &Value) -> String {
    let outcome = probe["outcome"].as_str().unwrap_or("no outcome");
    let why = probe["error"].as_str().map(|it| format!(": {it}"));
    format!(
        "      {}  probe of the {} key by {}: {outcome}{}",
        time(probe, "begun_at"),
        text(probe, "key"),
        text(probe, "by"),
        why.unwrap_or_default(),
    )
}

/// A rotation for people: its parts with who did what when, and what to type next.
pub(super) fn checklist(rotation: &Value) -> Vec<String> {
    let status = &rotation["status"];
    let mut lines = vec![
        format!(
            "Rotation {} of {} {} ({}, {})",
            text(rotation, "id"),
            text(rotation, "kind"),
            subject(rotation),
            text(rotation, "client_id"),
            text(rotation, "environment"),
        ),
        format!(
            "  state {}{}; opened {}, target {}",
            text(rotation, "state"),
            if rotation["emergency"] == true {
                " (emergency)"
            } else {
                ""
            },
            time(rotation, "opened_at"),
            time(rotation, "target_at"),
        ),
    ];
    for (what, key) in [("old", &rotation["old_key"]), ("new", &rotation["new_key"])] {
        if key.is_object() {
            lines.push(format!(
                "  {what} key {} ({}), SHA-256 {}",
                text(key, "name"),
                text(key, "state"),
                text(key, "fingerprint"),
            ));
        }
    }
    if rotation["open_orders"].is_number() {
        lines.push(format!(
            "  new wallet {}; orders of the old one that count as open: {}",
            text(rotation, "new_wallet"),
            rotation["open_orders"],
        ));
    }
    lines.push(String::new());
    lines.extend(part_lines(rotation));
    let probes = all(&rotation["probes"]);
    if !probes.is_empty() {
        lines.push("  Probes".to_owned());
        lines.extend(probes.iter().map(probe_line));
    }
    for alarm in all(&rotation["alarms"]) {
        lines.push(format!(
            "  ALARM {}  {}",
            time(&alarm, "at"),
            text(&alarm, "alarm")
        ));
    }
    for deadline in all(&status["deadlines"]) {
        let late = if deadline["overdue"] == true {
            "  LATE"
        } else {
            ""
        };
        lines.push(format!(
            "  due {}  {}{late}",
            time(&deadline, "at"),
            text(&deadline, "alarm")
        ));
    }
    lines.push(String::new());
    lines.push(format!("Waits for: {}", text(status, "waits_for")));
    for missing in all(&status["missing"]) {
        lines.push(format!("Missing: {}", missing.as_str().unwrap_or("-")));
    }
    lines.push(format!("Way back: {}", text(status, "way_back")));
    for next in all(&status["next"]) {
        let key = next["key"].as_str();
        lines.push(format!(
            "Next: {}\n      {}",
            text(&next, "command"),
            key.map_or_else(
                || text(&next, "what").to_owned(),
                |key| format!("{} ({key})", text(&next, "what"))
            ),
        ));
    }
    lines
}

fn all(list: &Value) -> Vec<Value> {
    list.as_array().cloned().unwrap_or_default()
}

/// The parts of the way, each with the steps that were taken in it.
fn part_lines(rotation: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let steps = all(&rotation["steps"]);
    let mut shown = Vec::new();
    for part in all(&rotation["status"]["parts"]) {
        let mark = match text(&part, "progress") {
            "done" => "x",
            "now" => ">",
            "given-up" => "-",
            _ => " ",
        };
        lines.push(format!("  [{mark}] {}", text(&part, "title")));
        for seq in all(&part["steps"]) {
            if let Some(step) = steps.iter().find(|it| it["seq"] == seq) {
                lines.extend(step_lines(step));
                shown.push(seq);
            }
        }
    }
    let rest: Vec<_> = steps
        .iter()
        .filter(|it| !shown.contains(&it["seq"]))
        .collect();
    if !rest.is_empty() {
        lines.push("  [!] given up".to_owned());
        lines.extend(rest.into_iter().flat_map(step_lines));
    }
    lines
}

fn step_lines(step: &Value) -> Vec<String> {
    let mut lines = vec![format!(
        "      {}  {} by {}; approval {}",
        time(step, "at"),
        text(step, "step"),
        text(step, "by"),
        text(step, "approval"),
    )];
    for (name, value) in step["evidence"].as_object().into_iter().flatten() {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Object(key) if key.contains_key("fingerprint") => {
                format!("{} {}", text(value, "name"), text(value, "fingerprint"))
            }
            other => other.to_string(),
        };
        lines.push(format!("          {name}: {value}"));
    }
    lines
}

#[cfg(test)]
mod tests;
