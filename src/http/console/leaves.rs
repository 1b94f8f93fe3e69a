//! A leaf of the log: what it says, and the proof that it is there.

use axum::Extension;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use uuid::Uuid;

use super::Place;
use super::asking::{Console, Visit};
use super::cells::{self, Cell, Column, Kind};
use super::cookies::secret;
use super::guarded::guarded;
use super::page::{Page, Proof, Refused, Section, Table};
use super::signing_in;

/// Members that are shown by themselves.
const ELSEWHERE: [&str; 5] = ["kind", "at_ms", "software", "record", "details"];

pub(super) async fn leaf(visit: &Visit, place: &Place) -> Result<Page, Refused> {
    let (leaf, log) = tokio::join!(visit.get(&place.api), visit.get("/v1/log"));
    let (leaf, log) = (leaf?, log?);
    let (index, event) = (leaf["index"].as_u64().unwrap_or_default(), &leaf["event"]);
    let key = log["key"].as_str().unwrap_or_default();
    let command = format!("chancery audit verify-proof {} --key {key}", file(index));
    let what = (
        "One leaf of the log: what it says, and the proof that it is there.",
        command,
    );
    let page = Page::new(format!("Leaf {index}"), &place.path, what).under("/audit/events");
    let page = match leaf["proof"].as_str() {
        Some(proof) => page
            .with(Section::Proof(Proof {
                index,
                key: key.to_owned(),
                text: proof.to_owned(),
                file: format!("{}/proof", place.path),
            }))
            .with(checkpoint(proof)),
        None => page.with(Section::Words(
            "No published checkpoint covers it yet. That takes seconds: load this page again."
                .to_owned(),
        )),
    };
    let page = page.with(Section::Facts(
        "What it says".to_owned(),
        facts(visit, &leaf),
    ));
    let whole = ["record", "details"].into_iter().map(|it| &event[it]);
    let page = whole
        .filter(|it| it.is_object() || it.is_array())
        .fold(page, |page, it| {
            let text = serde_json::to_string_pretty(it).unwrap_or_default();
            page.with(Section::Text("In full".to_owned(), lines(&text)))
        });
    let columns: [Column; 2] = [
        ("Index", "index", Kind::Link("/log/leaves/")),
        ("Leaf", "kind", Kind::State),
    ];
    let same = &leaf["same_signature"];
    if same.as_array().is_none_or(Vec::is_empty) {
        return Ok(page);
    }
    let same = Table::of(&columns, same, (visit.now, ""));
    Ok(page.with(Section::Table(same.titled("Of the same signature"))))
}

fn facts(visit: &Visit, leaf: &Value) -> Vec<(String, Cell)> {
    let event = &leaf["event"];
    let mut facts = vec![(
        "Leaf".to_owned(),
        Cell::of(Kind::State, &leaf["kind"], visit.now),
    )];
    if event.is_null() {
        let unread = "Another version has written it; its bytes are in the proof.";
        facts.push(("What".to_owned(), Cell::text(unread)));
        return facts;
    }
    if let Some(at) = event["at_ms"].as_i64() {
        facts.push(("When".to_owned(), cells::moment(at, visit.now)));
    }
    let by = Cell::of(Kind::Text, &event["software"], visit.now);
    facts.push(("Written by".to_owned(), by));
    for (name, value) in event.as_object().into_iter().flatten() {
        if ELSEWHERE.contains(&name.as_str()) || value.is_null() {
            continue;
        }
        facts.push((name.replace('_', " "), member(visit, name, value)));
    }
    facts
}

/// An id leads to what it is the id of.
fn member(visit: &Visit, name: &str, value: &Value) -> Cell {
    match value.as_str() {
        Some(text) if text.parse::<Uuid>().is_ok_and(|it| !it.is_nil()) => {
            Cell::link(format!("/lookup?q={text}"), text)
        }
        Some(_) if matches!(name, "reason" | "operation" | "action" | "approval") => {
            Cell::of(Kind::Text, value, visit.now)
        }
        _ => match cells::millis(name, value) {
            Some(at) => cells::moment(at, visit.now),
            None => Cell::of(Kind::Code, value, visit.now),
        },
    }
}

/// The checkpoint of a proof, in words.
fn checkpoint(proof: &str) -> Section {
    let note = proof.split_once("\n\n").map_or("", |it| it.1);
    let mut lines = note.lines();
    let mut line = || Cell::Code(cells::shown(lines.next().unwrap_or_default()));
    let facts = ["Log", "Leaves", "Root hash"].map(|name| (name.to_owned(), line()));
    Section::Facts("Checkpoint".to_owned(), facts.into())
}

/// Text of several lines, in each of which nothing hides.
fn lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(cells::shown).collect();
    lines.join("\n")
}

fn file(index: u64) -> String {
    format!("leaf-{index}.tlog-proof")
}

/// The proof as a file.
pub(super) async fn proof(
    Extension(console): Extension<Console>,
    headers: HeaderMap,
    Path(index): Path<String>,
) -> Response {
    let Ok(index) = index.parse::<u64>() else {
        return guarded(StatusCode::NOT_FOUND.into_response());
    };
    let who = match secret(&headers) {
        Some(secret) => console.app.sessions.recognise(&secret).await.ok(),
        None => None,
    };
    let Some(who) = who else {
        return signing_in::first(
            &console,
            "Sign in first.",
            &format!("/log/leaves/{index}"),
            &[],
        );
    };
    let visit = console.visit(who);
    let leaf = visit.get(&format!("/v1/log/leaves/{index}")).await;
    let proof = leaf.map(|it| it["proof"].as_str().map(ToOwned::to_owned));
    let Ok(Some(proof)) = proof else {
        return guarded(StatusCode::NOT_FOUND.into_response());
    };
    let kept = format!("attachment; filename=\"{}\"", file(index));
    let kept = HeaderValue::from_str(&kept).expect("a number is plain text");
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_DISPOSITION, kept),
    ];
    guarded((headers, proof).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_said_in_words() {
        let Section::Facts(_, facts) =
            checkpoint("head\nindex 3\n\nlog.example\n7\nAAAA=\n\n— sig\n")
        else {
            panic!("facts");
        };
        let said: Vec<_> = facts.into_iter().map(|it| it.1).collect();
        let expected = ["log.example", "7", "AAAA="].map(|it| Cell::Code(it.to_owned()));
        assert_eq!(said, expected);
    }
}
