//! What something is that somebody has in hand, and what is in the log. Each question is on record.

use serde_json::Value;

use super::Place;
use super::asking::Visit;
use super::cells::{self, Cell, Column, Kind};
use super::page::{Field, Page, Refused, Search, Section, Table};
use crate::percent::encoded;

pub(super) async fn lookup(visit: &Visit, place: &Place) -> Result<Page, Refused> {
    let sought = place.asked("q");
    let command = format!("chancery audit what {sought}");
    let what = (
        "What an id, address, digest, order hash, jti, API key, nonce or name is. That you asked is on record.",
        command.trim_end(),
    );
    let page = Page::new("Look up", &place.path, what).with(Section::Search(Search {
        path: "/lookup",
        fields: vec![Field::text("q", "What you have in hand").with(sought)],
        button: "Look up",
    }));
    if sought.is_empty() {
        return Ok(page);
    }
    let path = format!("/v1/audit/identify?text={}", encoded(sought));
    let found = visit.get(&path).await?;
    let rows = found.as_array().into_iter().flatten().map(|thing| {
        let text = |name: &str| thing[name].as_str().unwrap_or_default();
        let named = [text("name"), text("id")];
        let named = named.into_iter().find(|it| !it.is_empty()).unwrap_or("it");
        vec![
            Cell::state(text("what")),
            match text("path").strip_prefix("/v1") {
                // A signature's page is what the log says of it.
                Some(path) => match path.strip_prefix("/signatures/") {
                    Some(id) => Cell::link(format!("/audit/events?signature={id}"), named),
                    None => Cell::link(path, named),
                },
                None => Cell::text(named),
            },
            Cell::of(Kind::Text, &thing["of"], visit.now),
            Cell::of(Kind::Code, &thing["id"], visit.now),
        ]
    });
    Ok(page.with(Section::Table(Table {
        title: "It is".to_owned(),
        heads: vec!["What", "Which", "Of", "Id"],
        rows: rows.collect(),
        empty: "Nothing here is known by this.",
        next: None,
    })))
}

/// By what events are looked for.
const FILTERS: [(&str, &str); 9] = [
    ("kind", "Kind"),
    ("caller", "Caller"),
    ("key", "Key"),
    ("wallet", "Wallet"),
    ("client", "Client"),
    ("action", "Change"),
    ("orderHash", "Order hash"),
    ("from", "From (RFC 3339)"),
    ("until", "Until"),
];

const EVENTS: [Column; 9] = [
    ("Index", "index", Kind::Link("/log/leaves/")),
    ("When", "at", Kind::Time),
    ("Leaf", "kind", Kind::State),
    ("What", "what", Kind::Text),
    ("By", "by", Kind::Text),
    ("On", "on", Kind::Text),
    ("Key", "key", Kind::Link("/keys/")),
    ("Outcome", "outcome", Kind::State),
    ("Why", "reason", Kind::Text),
];

pub(super) async fn events(visit: &Visit, place: &Place) -> Result<Page, Refused> {
    let field = |(name, label): &(&str, &str)| Field::text(name, label).with(place.asked(name));
    let search = Search {
        path: "/audit/events",
        fields: FILTERS.iter().map(field).collect(),
        button: "Find",
    };
    // A field that was left empty is no filter.
    let query = place.query.as_deref().unwrap_or_default();
    let given = query
        .split('&')
        .filter(|it| !it.is_empty() && !it.ends_with('='));
    let query = given.collect::<Vec<_>>().join("&");
    let answer = visit.look(&format!("{}?{query}", place.api)).await?;
    let empty = "Nothing in the log fits.";
    let mut table = Table::of(&EVENTS, &answer.body, (visit.now, empty));
    table.next = answer.next;
    let what = (
        "What was signed, handed out, refused and changed, the newest first. That you looked is on record.",
        "chancery audit search",
    );
    Ok(Page::new("Audit", &place.path, what)
        .with(Section::Search(search))
        .with(Section::Table(table)))
}

pub(super) async fn signers(visit: &Visit, place: &Place) -> Result<Page, Refused> {
    let (key, at) = (place.asked("key"), place.asked("at"));
    let command = format!("chancery audit signers {key}");
    let what = (
        "Who could have a key sign, now or at a moment, by which rules and grants. That you asked is on record.",
        command.trim_end(),
    );
    let page = Page::new("Who could sign", &place.path, what).with(Section::Search(Search {
        path: "/audit/signers",
        fields: vec![
            Field::text("key", "Key").with(key),
            Field::text("at", "When (RFC 3339, now unless it is said)").with(at),
        ],
        button: "Ask",
    }));
    if key.is_empty() {
        return Ok(page);
    }
    let mut path = format!("{}?key={}", place.api, encoded(key));
    if !at.is_empty() {
        path = format!("{path}&at={}", encoded(at));
    }
    let said = visit.get(&path).await?;
    let columns: [Column; 6] = [
        ("Caller", "caller", Kind::Link("/callers/")),
        ("Owner then", "owner", Kind::Text),
        ("Roles then", "roles", Kind::Text),
        ("What for", "action", Kind::Text),
        ("On", "resource", Kind::Text),
        ("By rules", "rules", Kind::Text),
    ];
    let empty = "Nobody could.";
    let facts = facts(&said, visit);
    Ok(page
        .with(Section::Facts(String::new(), facts))
        .with(Section::Table(Table::of(
            &columns,
            &said["signers"],
            (visit.now, empty),
        ))))
}

fn facts(said: &Value, visit: &Visit) -> Vec<(String, Cell)> {
    let columns: [Column; 4] = [
        ("At", "at", Kind::Time),
        ("The key was", "state", Kind::State),
        ("By the policy", "policy", Kind::Code),
        ("Its version", "policy_version", Kind::Text),
    ];
    cells::facts(&columns, said, visit.now)
}
