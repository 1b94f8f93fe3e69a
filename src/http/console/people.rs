//! Who may come, and whose they are.

use serde_json::Value;

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
        about: "At once, on all replicas, with all they are known by; nobody has to agree. There is no way back: they are made anew.",
        button: "Revoke this caller",
        stops: true,
        ..Form::post("Revoke", format!("{}/revoke", place.api), &place.path)
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
