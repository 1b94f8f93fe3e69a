//! Who may come, whose they are, and what is decided by.

use serde_json::Value;
use uuid::Uuid;

use super::Place;
use super::asking::Visit;
use super::cells::{self, Column, Kind};
use super::page::{Form, Page, Refused, Section, Table};
use crate::policy::{Action, Resource};

pub(super) async fn caller(visit: &Visit, place: &Place) -> Result<Page, Refused> {
    let caller = visit.get(&place.api).await?;
    let columns: [Column; 6] = [
        ("Owner", "owner", Kind::Text),
        ("Roles", "roles", Kind::Text),
        ("Person", "person", Kind::Link("/people/")),
        ("Made", "created_at", Kind::Time),
        ("Revoked", "revoked_at", Kind::Time),
        ("Id", "id", Kind::Code),
    ];
    let credentials: [Column; 5] = [
        ("Credential", "kind", Kind::Text),
        ("Identity", "identity", Kind::Code),
        ("Given", "created_at", Kind::Time),
        ("Ends", "expires_at", Kind::Time),
        ("Revoked", "revoked_at", Kind::Time),
    ];
    let command = format!("chancery callers show {}", place.name);
    let what = ("One caller, and by what they are known.", command);
    let facts = cells::facts(&columns, &caller, visit.now);
    let none = "They are known by nothing, and cannot come.";
    let known = Table::of(&credentials, &caller["credentials"], (visit.now, none));
    let page = Page::new(&place.name, &place.path, what)
        .with(Section::Facts(String::new(), facts))
        .with(Section::Table(known.titled("Known by")));
    if caller["revoked_at"].is_string() {
        return Ok(page);
    }
    Ok(page.with(revoke(visit, place, &caller).await))
}

async fn revoke(visit: &Visit, place: &Place, caller: &Value) -> Section {
    let form = Form {
        title: "Revoke",
        about: "At once, on all replicas, with all they are known by; nobody has to agree. There is no way back: they are made anew.",
        path: format!("{}/revoke", place.api),
        then: place.path.clone(),
        key: Uuid::now_v7().to_string(),
        fields: Vec::new(),
        button: "Revoke this caller",
        stops: true,
    };
    let text = |name: &str| caller[name].as_str().unwrap_or_default().to_owned();
    let roles = caller["roles"].as_array().into_iter().flatten();
    let roles: Vec<_> = roles.filter_map(Value::as_str).collect();
    let on = Resource::of_caller(&text("name"), &text("owner"), &roles);
    visit
        .if_may(Action::RevokeCaller, &on, Section::Form(form))
        .await
}

pub(super) async fn person(visit: &Visit, place: &Place) -> Result<Page, Refused> {
    let person = visit.get(&place.api).await?;
    let columns: [Column; 5] = [
        ("Roles", "roles", Kind::Text),
        ("Callers", "callers", Kind::Link("/callers/")),
        ("Since", "created_at", Kind::Time),
        ("Until", "ended_at", Kind::Time),
        ("Id", "id", Kind::Code),
    ];
    let keys: [Column; 5] = [
        ("Key", "name", Kind::Text),
        ("Kind", "kind", Kind::Text),
        ("Fingerprint", "fingerprint", Kind::Code),
        ("Since", "created_at", Kind::Time),
        ("Revoked", "revoked_at", Kind::Time),
    ];
    let command = format!("chancery people show {}", place.name);
    let what = ("One person, and what they approve with.", command);
    let facts = cells::facts(&columns, &person, visit.now);
    let none = "They can approve nothing yet: they need an SSH key or a passkey.";
    let approves = Table::of(&keys, &person["keys"], (visit.now, none));
    Ok(Page::new(&place.name, &place.path, what)
        .with(Section::Facts(String::new(), facts))
        .with(Section::Table(approves.titled("Approves with"))))
}

const POLICY: [Column; 5] = [
    ("Version", "version", Kind::Text),
    ("Since", "stated_at", Kind::Time),
    ("Put there by", "stated_by_name", Kind::Text),
    ("Why", "reason", Kind::Text),
    ("SHA-256", "digest", Kind::Code),
];

pub(super) async fn policy(visit: &Visit, place: &Place) -> Result<Page, Refused> {
    let versions = "/v1/policies?limit=100";
    let (policy, versions) = tokio::join!(visit.get(&place.api), visit.get(versions));
    let policy = policy?;
    let facts = cells::facts(&POLICY, &policy, visit.now);
    let versions = versions.map(|mut list| {
        for it in list.as_array_mut().into_iter().flatten() {
            it["version"] = it["version"].to_string().into(); // a link is a text
        }
        list
    });
    let mut columns = POLICY;
    columns[0].2 = Kind::Link("/policies/");
    let none = "There was no other before.";
    let versions = super::things::listed(visit, ("Versions", none), &columns, versions);
    let what = (
        "What decides on all replicas: who may do what.",
        "chancery policy show",
    );
    let page = Page::new("Policy", &place.path, what);
    Ok(written(page.with(Section::Facts(String::new(), facts)), &policy).with(versions))
}

pub(super) async fn version(visit: &Visit, place: &Place) -> Result<Page, Refused> {
    let policy = visit.get(&place.api).await?;
    let facts = cells::facts(&POLICY, &policy, visit.now);
    let command = format!("chancery policy show {}", place.name);
    let what = ("A policy that decides, or did.", command);
    let page = Page::new(format!("Policy {}", place.name), &place.path, what);
    Ok(written(
        page.with(Section::Facts(String::new(), facts)),
        &policy,
    ))
}

/// The policy's text, with numbers for its lines.
fn written(page: Page, policy: &Value) -> Page {
    let text = policy["text"].as_str().unwrap_or_default();
    let lines = text.lines().enumerate();
    let lines = lines.map(|(at, line)| format!("{:>4}  {}\n", at + 1, cells::shown(line)));
    page.with(Section::Text("In Cedar".to_owned(), lines.collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_policy_is_shown_with_its_lines_numbers() {
        let what = ("", "");
        let page = written(
            Page::new("", "", what),
            &json!({ "text": "permit(\n  a);" }),
        );
        let Section::Text(_, text) = &page.sections[0] else {
            panic!("its text");
        };
        assert_eq!(text, "   1  permit(\n   2    a);\n");
    }
}
