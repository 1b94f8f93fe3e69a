//! What needs somebody today, and how the service is.

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde_json::Value;

use super::Place;
use super::asking::{Console, Visit};
use super::cells::{Cell, Column, Kind};
use super::cookies::secret;
use super::guarded::guarded;
use super::page::{Page, Refused, Section, Table};
use super::picture::{self, Picture};
use super::recent::Moment;
use super::things::listed;
use crate::policy::{Action, Resource};

const APPROVALS: [Column; 4] = [
    ("Waits for approval", "sentence", Kind::Text),
    ("Asked by", "requester", Kind::Text),
    ("Ends", "expires_at", Kind::Time),
    ("Proposal", "id", Kind::Link("/approvals/")),
];

const ROTATIONS: [Column; 5] = [
    ("Rotation", "id", Kind::Link("/rotations/")),
    ("Of client", "client", Kind::Link("/clients/")),
    ("Of wallet", "wallet", Kind::Link("/wallets/")),
    ("Waits for", "status.waits_for", Kind::Text),
    ("Due", "target_at", Kind::Time),
];

const DUE: [Column; 5] = [
    ("What ends", "name", Kind::Text),
    ("Kind", "kind", Kind::Text),
    ("Owner", "owner", Kind::Text),
    ("Ends", "ends_at", Kind::Time),
    ("What to type", "next", Kind::Code),
];

pub(super) async fn today(visit: &Visit) -> Page {
    let on = Resource::service();
    let (approvals, rotations, due, log) = tokio::join!(
        visit.get_if((Action::ViewApprovals, &on), "/v1/approvals"),
        visit.get("/v1/rotations?open=true"),
        visit.get("/v1/rotations/due?within_days=30"),
        visit.get_if((Action::ViewLog, &on), "/v1/log"),
    );
    let what = (
        "What needs somebody, the most urgent first.",
        "chancery rotations due",
    );
    let nothing = "Nothing waits for approval.";
    let approvals = listed(visit, ("Approvals", nothing), &APPROVALS, approvals);
    let nothing = "No rotation is open.";
    let rotations = listed(visit, ("Open rotations", nothing), &ROTATIONS, rotations);
    let nothing = "Nothing ends within 30 days.";
    let due = listed(visit, ("Ends within 30 days", nothing), &DUE, due);
    let mut page = Page::new("Today", "/", what);
    if let Ok(log) = log {
        page = page.with(published(&log));
    }
    let page = page.with(approvals).with(rotations).with(due);
    if !visit.may_watch() {
        return page;
    }
    let minutes = visit.console.recent.minutes();
    page.with(Section::Now(numbers(&minutes)))
        .with(Section::Picture(picture::work(&minutes)))
        .with(Section::Picture(limits(visit, &minutes).await))
}

/// What this replica did in the last minute.
fn numbers(minutes: &[Moment]) -> Vec<(&'static str, String)> {
    let last = minutes.last().cloned().unwrap_or_default();
    vec![
        ("Signatures in the last minute", last.signed.to_string()),
        ("Refusals", last.refused.to_string()),
        ("Half of them within", picture::time(last.within(50))),
        ("99 of 100 within", picture::time(last.within(99))),
    ]
}

/// The limits that are nearest their end, by the names that whoever looks may see.
async fn limits(visit: &Visit, minutes: &[Moment]) -> Picture {
    let on = Resource::service();
    let known = visit.get_if((Action::ViewLimits, &on), "/v1/limits?limit=1000");
    let known = known.await.unwrap_or_default();
    let names = known.as_array().into_iter().flatten().filter_map(|it| {
        let text = |name: &str| it[name].as_str();
        let scope = format!("{}:{}", text("scope")?, text("id")?);
        Some((scope, text("name")?.to_owned()))
    });
    picture::limits(minutes, &names.collect())
}

/// The numbers of a page that is open, once more. Nobody uses a session by that.
pub(super) async fn now(Extension(console): Extension<Console>, headers: HeaderMap) -> Response {
    let who = match secret(&headers) {
        Some(secret) => console.app.sessions.glance(&secret).await.ok(),
        None => None,
    };
    let Some(who) = who else {
        return guarded(StatusCode::UNAUTHORIZED.into_response());
    };
    if !console.visit(who).may_watch() {
        return guarded(StatusCode::FORBIDDEN.into_response());
    }
    let numbers = numbers(&console.recent.minutes()).into_iter();
    let numbers: Vec<String> = numbers.map(|it| it.1).collect();
    guarded(Json(numbers).into_response())
}

/// How far the log is published, in a line.
fn published(log: &Value) -> Section {
    Section::Words(match log["late"].as_str() {
        Some(late) => super::cells::shown(&format!("The log is late: {late}")),
        None => format!("The log is published: {} leaves.", log["size"]),
    })
}

pub(super) async fn health(visit: &Visit, place: &Place) -> Page {
    let on = Resource::service();
    let (health, log) = tokio::join!(
        visit.get_if((Action::ViewCustody, &on), "/v1/health"),
        visit.get_if((Action::ViewLog, &on), "/v1/log"),
    );
    let what = (
        "How this replica is: its database, its log, its clock, its devices.",
        "chancery health",
    );
    let mut page = Page::new("Health", &place.path, what).with(checks(health));
    match log {
        Err(refused) => page = page.with(Section::Refused(refused)),
        Ok(log) => {
            let note = log["checkpoint"].as_str().unwrap_or("None yet.").to_owned();
            page = page.with(published(&log)).with(Section::Text(
                "Newest published checkpoint".to_owned(),
                note,
            ));
        }
    }
    if !visit.may_watch() {
        return page;
    }
    let minutes = visit.console.recent.minutes();
    page.with(Section::Picture(picture::work(&minutes)))
        .with(Section::Picture(picture::latency(&minutes)))
        .with(Section::Picture(limits(visit, &minutes).await))
}

fn checks(health: Result<Value, Refused>) -> Section {
    let health = match health {
        Ok(health) => health,
        Err(refused) => return Section::Refused(refused),
    };
    let checks = health["checks"].as_array().into_iter().flatten();
    let rows = checks.map(|check| {
        let trouble = check["trouble"].as_str();
        let (word, tone) = match trouble {
            None => ("works", "good"),
            Some(_) => ("does not", "bad"),
        };
        vec![
            Cell::text(check["what"].as_str().unwrap_or_default()),
            Cell::State {
                word: word.to_owned(),
                tone,
            },
            trouble.map_or(Cell::Nothing, Cell::text),
        ]
    });
    let title = match health["ready"].as_bool() {
        Some(true) => "It can sign",
        _ => "It cannot sign",
    };
    Section::Table(Table {
        title: title.to_owned(),
        heads: vec!["What", "State", "Trouble"],
        rows: rows.collect(),
        empty: "Nothing was looked at.",
        next: None,
    })
}
