//! What is stopped, and what has bounds.

use axum::http::StatusCode;
use serde_json::Value;

use super::Place;
use super::asking::Visit;
use super::cells::{self, Cell, Column, Kind};
use super::page::{Field, Form, Page, Refused, Section, Table};
use crate::percent::encoded;
use crate::policy::{Action, Resource};

const HALTS: [Column; 6] = [
    ("On", "on", Kind::State),
    ("Which", "name", Kind::Text),
    ("Why", "reason", Kind::Text),
    ("Set by", "set_by_name", Kind::Text),
    ("When", "set_at", Kind::Time),
    ("Id", "id", Kind::Code),
];

/// On what a halt can be, the widest first.
const ON: [&str; 6] = ["everything", "wallet", "client", "key", "caller", "market"];

pub(super) async fn halts(visit: &Visit, place: &Place) -> Result<Page, Refused> {
    let halts = visit.get(&place.api).await?;
    let set = Form {
        about: "At once, on all replicas; nobody has to agree. Nothing that it is on is signed until it is lifted.",
        fields: vec![
            Field::choice("on", "On", &ON),
            Field::text("name", "Its name (none for everything)"),
            Field::text("tokens:list", "Token ids, for a market"),
            Field::text("reason", "Why"),
        ],
        button: "Halt now",
        stops: true,
        ..Form::post("Halt", place.api.clone(), &place.path)
    };
    let service = Resource::service();
    let set = visit.if_may(Action::Halt, &service, Section::Form(set));
    let what = ("What is stopped, by whom and why.", "chancery halt list");
    let empty = "Nothing is halted.";
    let mut page = Page::new("Halts", &place.path, what)
        .with(set.await)
        .with(Section::Table(Table::of(
            &HALTS,
            &halts,
            (visit.now, empty),
        )));
    for halt in halts.as_array().into_iter().flatten() {
        page = page.with(lift(visit, place, halt).await);
    }
    Ok(page)
}

async fn lift(visit: &Visit, place: &Place, halt: &Value) -> Section {
    let text = |name: &str| halt[name].as_str().unwrap_or_default();
    let form = Form {
        about: "It is proposed, and others have to approve it.",
        fields: vec![Field::text(
            "reason",
            &format!(
                "Why the halt on {} {} can be lifted",
                text("on"),
                text("name")
            ),
        )],
        button: "Propose it",
        ..Form::post(
            "Lift a halt",
            format!("{}/{}/lift", place.api, text("id")),
            &place.path,
        )
    };
    let service = Resource::service();
    visit
        .if_may(Action::LiftHalt, &service, Section::Form(form))
        .await
}

pub(super) async fn limits(visit: &Visit, place: &Place) -> Result<Page, Refused> {
    let answer = visit.look(&place.list()).await?;
    let items = answer.body.as_array().into_iter().flatten();
    let rows = items.map(|it| {
        let text = |name: &str| it[name].as_str().unwrap_or_default();
        let (scope, id) = (text("scope"), text("id"));
        let named = if text("name").is_empty() {
            id
        } else {
            text("name")
        };
        let path = format!("{}/{scope}/{}", place.path, encoded(id));
        vec![
            Cell::text(scope),
            Cell::link(path, named),
            Cell::text(said(&it["limits"])),
        ]
    });
    let table = Table {
        title: String::new(),
        heads: vec!["Scope", "Of", "Limits"],
        rows: rows.collect(),
        empty: "Nothing is limited: chancery limits set bounds what is permitted.",
        next: answer.next,
    };
    let what = (
        "How much may be done of what may be done.",
        "chancery limits list",
    );
    Ok(Page::new("Limits", &place.path, what).with(Section::Table(table)))
}

/// Limits in a line.
fn said(limits: &Value) -> String {
    let of = limits.as_object().into_iter().flatten();
    let of = of.filter(|(_, value)| !value.is_null());
    let each = of.map(|(name, value)| match value {
        Value::String(text) => format!("{name} {text}"),
        other => format!("{name} {other}"),
    });
    each.collect::<Vec<_>>().join(", ")
}

pub(super) async fn limit(visit: &Visit, place: &Place) -> Result<Page, Refused> {
    let usage = format!("{}/usage", place.api);
    let (limits, usage) = tokio::join!(visit.get(&place.api), visit.get(&usage));
    let limits = match limits {
        Ok(limits) => limits,
        Err(refused) if refused.status == StatusCode::NOT_FOUND => Value::Null,
        Err(refused) => return Err(refused),
    };
    let used = match &usage {
        Ok(usage) => usage["used"].as_array().map_or(&[][..], Vec::as_slice),
        Err(_) => &[],
    };
    let rows = used.iter().map(|it| {
        let text = |name: &str| it[name].as_str().unwrap_or_default();
        vec![
            Cell::text(text("limit")),
            bar(text("used"), text("value")),
            Cell::text(text("left")),
        ]
    });
    let table = Table {
        title: "Used".to_owned(),
        heads: vec!["Limit", "Used of it", "Left"],
        rows: rows.collect(),
        empty: "None of its limits counts anything.",
        next: None,
    };
    let text = |name: &str| limits[name].as_str().unwrap_or_default();
    let scope = place.path.split('/').nth(2).unwrap_or_default();
    let name = [text("name"), &place.name];
    let name = name
        .into_iter()
        .find(|it| !it.is_empty())
        .unwrap_or_default();
    let title = format!("Limits of {scope} {name}");
    let command = format!("chancery limits show {scope} {}", place.name);
    let what = ("One thing's limits, and how much of them is used.", command);
    let pretty = serde_json::to_string_pretty(&limits["limits"]).unwrap_or_default();
    let mut page = Page::new(title, &place.path, what);
    if limits.is_null() {
        page = page.with(Section::Words("It has no limits of its own.".to_owned()));
    } else {
        page = page.with(Section::Table(table));
        if let Err(refused) = usage {
            page = page.with(Section::Refused(refused));
        }
        let title = "As they are written".to_owned();
        page = page.with(Section::Text(title, pretty.clone()));
    }
    let written = if limits.is_null() { FIRST } else { &pretty };
    let form = Form {
        about: "All of it takes the place of what was. What allows less holds at once; what allows more is proposed, and others have to approve it.",
        method: "PUT",
        fields: vec![Field::whole(
            "Limits, as JSON; money in millionths",
            written,
        )],
        ..Form::post("Other limits", place.api.clone(), &place.path)
    };
    let service = Resource::service();
    let form = visit.if_may(Action::ManageLimits, &service, Section::Form(form));
    Ok(page.with(form.await))
}

/// What somebody begins with who has written no limits yet.
const FIRST: &str =
    "{\n  \"order_notional\": \"500000000\",\n  \"notional_24h\": \"5000000000\"\n}";

/// How much of a decimal another one is.
fn bar(used: &str, of: &str) -> Cell {
    let percent = match (millionths(used), millionths(of)) {
        (Some(used), Some(of)) if of > 0 => u8::try_from((used * 100 / of).min(100)).unwrap_or(100),
        _ => 0,
    };
    let tone = match percent {
        0..70 => "good",
        70..90 => "look",
        _ => "bad",
    };
    let text = cells::shown(&format!("{used} of {of}"));
    Cell::Left {
        percent,
        text,
        tone,
    }
}

fn millionths(decimal: &str) -> Option<u128> {
    let (whole, part) = decimal.split_once('.').unwrap_or((decimal, ""));
    let part: String = part.chars().chain("000000".chars()).take(6).collect();
    format!("{whole}{part}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_what_is_used() {
        let of = |used, all| match bar(used, all) {
            Cell::Left { percent, tone, .. } => (percent, tone),
            _ => panic!("a bar"),
        };
        assert_eq!(of("0", "10"), (0, "good"));
        assert_eq!(of("7.5", "10.00"), (75, "look"));
        assert_eq!(of("11", "10"), (100, "bad"));
        assert_eq!(of("1", "0"), (0, "good"));
        assert_eq!(of("x", "10"), (0, "good"));
    }
}
