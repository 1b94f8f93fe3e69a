//! Keys, and what signs with them.

use axum::http::StatusCode;
use serde_json::Value;

use super::Place;
use super::asking::Visit;
use super::cells::{self, Column, Kind};
use super::page::{Field, Form, Page, Refused, Section, Table};
use crate::keys::KeyState;
use crate::percent::encoded;
use crate::policy::{Action, Resource};

pub(super) async fn key(visit: &Visit, place: &Place) -> Result<Page, Refused> {
    let of = |what: &str| format!("{}/{what}", place.api);
    let (attestation, destruction, steps) = (of("attestation"), of("destruction"), of("steps"));
    let (key, attestation, destruction, steps) = tokio::join!(
        visit.get(&place.api),
        visit.get(&attestation),
        visit.get(&destruction),
        visit.get(&steps),
    );
    let key = key?;
    let columns: [Column; 14] = [
        ("State", "state", Kind::State),
        ("Purpose", "purpose", Kind::Text),
        ("Algorithm", "algorithm", Kind::Text),
        ("Owner", "owner", Kind::Text),
        ("Environment", "environment", Kind::Text),
        ("Device", "backend", Kind::Text),
        ("Its name there", "device_ref", Kind::Code),
        ("Origin", "origin", Kind::Text),
        ("Address", "address", Kind::Code),
        ("Fingerprint", "fingerprint", Kind::Code),
        ("Made", "created_at", Kind::Time),
        ("Period ends", "cryptoperiod_ends_at", Kind::Time),
        ("Warnings", "warnings", Kind::Text),
        ("Id", "id", Kind::Code),
    ];
    let mut facts = cells::facts(&columns, &key, visit.now);
    let period = ("created_at", "cryptoperiod_ends_at");
    facts.push((
        "Cryptoperiod".to_owned(),
        cells::left(&key, period, visit.now),
    ));
    let command = format!("chancery keys show {}", place.name);
    let what = (
        "One key: what it may be used for, and where it is.",
        command,
    );
    let mut page =
        Page::new(&place.name, &place.path, what).with(Section::Facts(String::new(), facts));
    page = page.with(attested(visit, attestation));
    if let Ok(destruction) = &destruction
        && !destruction["destruction"].is_null()
    {
        let columns: [Column; 5] = [
            ("Not before", "not_before", Kind::Time),
            ("Asked for by", "requested_by_name", Kind::Text),
            ("Reason", "reason", Kind::Text),
            ("Outcome", "outcome", Kind::State),
            ("Trouble", "trouble", Kind::Text),
        ];
        let facts = cells::facts(&columns, &destruction["destruction"], visit.now);
        page = page.with(Section::Facts("Destruction".to_owned(), facts));
    }
    let named = encoded(&place.name);
    let ways = [
        (
            "Who could sign with it",
            format!("/audit/signers?key={named}"),
            "now, or on a date",
        ),
        (
            "What was done with it",
            format!("/audit/events?key={named}"),
            "in the log",
        ),
        (
            "How much of that",
            format!("/limits/key/{named}"),
            "its limits",
        ),
    ];
    let ways = ways.map(|(name, to, text)| (name.to_owned(), cells::Cell::link(to, text)));
    Ok(page
        .with(time_line(visit, &key, steps))
        .with(Section::Facts("More".to_owned(), ways.into()))
        .with(stop(visit, place, &key).await)
        .with(step(visit, place, &key).await))
}

/// What became of it, from when it was made.
fn time_line(visit: &Visit, key: &Value, steps: Result<Value, Refused>) -> Section {
    let columns: [Column; 5] = [
        ("When", "at", Kind::Time),
        ("State", "to", Kind::State),
        ("By", "by", Kind::Text),
        ("Why", "reason", Kind::Text),
        ("Agreed to", "approval", Kind::Text),
    ];
    let made = serde_json::json!({ "at": key["created_at"], "to": "pre-activation", "reason": "it was put on record" });
    let steps = steps.map(|mut steps| {
        if let Some(steps) = steps.as_array_mut() {
            steps.insert(0, made);
        }
        steps
    });
    listed(visit, ("Time line", ""), &columns, steps)
}

fn attested(visit: &Visit, attestation: Result<Value, Refused>) -> Section {
    const TITLE: &str = "Last attestation";
    let columns: [Column; 4] = [
        ("Verdict", "verdict", Kind::State),
        ("When", "at", Kind::Time),
        ("Findings", "findings", Kind::Text),
        ("Asked by", "asked_by_name", Kind::Text),
    ];
    match attestation {
        Ok(said) => Section::Facts(TITLE.to_owned(), cells::facts(&columns, &said, visit.now)),
        Err(refused) if refused.status == StatusCode::NOT_FOUND => Section::Words(
            "Its device was not asked about it yet: chancery keys attest.".to_owned(),
        ),
        Err(refused) => Section::Refused(refused),
    }
}

/// A key or wallet as policies see it.
pub(super) fn resource(kind: &'static str, it: &Value) -> Resource {
    let text = |name: &str| it[name].as_str().unwrap_or_default();
    Resource::owned(kind, text("name"), text("owner"), text("environment"))
}

async fn stop(visit: &Visit, place: &Place, key: &Value) -> Section {
    let suspends = matches!(key["state"].as_str(), Some("active" | "retiring"));
    if !suspends {
        return Section::Words("It signs nothing in this state.".to_owned());
    }
    let form = Form {
        about: "At once, on all replicas; nobody has to agree. It can be made active again.",
        fields: vec![
            Field::fixed("to", "suspended"),
            Field::text("reason", "Why"),
        ],
        button: "Suspend this key",
        stops: true,
        ..Form::post("Suspend", format!("{}/steps", place.api), &place.path)
    };
    let on = resource("Key", key).open();
    visit
        .if_may(Action::StepKey, &on, Section::Form(form))
        .await
}

async fn step(visit: &Visit, place: &Place, key: &Value) -> Section {
    let now = key["state"].as_str().and_then(KeyState::from_name);
    let mut states = KeyState::ALL.to_vec();
    states.retain(|to| now.is_some_and(|it| it.step(*to).is_ok()));
    // These have a procedure of their own.
    states.retain(|it| !matches!(it, KeyState::DestroyPending | KeyState::Destroyed));
    if states.is_empty() {
        return Section::Words(
            "There is no way out of this state but destruction: chancery keys destroy.".to_owned(),
        );
    }
    let states: Vec<&'static str> = states.iter().map(|it| it.name()).collect();
    let form = Form {
        about: "What tightens is done at once; what loosens is proposed, and others have to approve it.",
        fields: vec![
            Field::choice("to", "To", &states),
            Field::text("reason", "Why"),
        ],
        button: "Ask for it",
        ..Form::post("Another state", format!("{}/steps", place.api), &place.path)
    };
    let on = resource("Key", key).open();
    visit
        .if_may(Action::StepKey, &on, Section::Form(form))
        .await
}

pub(super) async fn wallet(visit: &Visit, place: &Place) -> Result<Page, Refused> {
    let wallet = visit.get(&place.api).await?;
    let credentials = format!("{}/credentials", place.api);
    let nonces = format!("/v1/nonces?wallet={}", encoded(&place.name));
    let on = resource("Wallet", &wallet);
    let (credentials, nonces) = tokio::join!(
        visit.get_if((Action::ViewCredentials, &on), &credentials),
        visit.get_if((Action::ViewCredentials, &on), &nonces),
    );
    let columns: [Column; 12] = [
        ("Owner", "owner", Kind::Text),
        ("Environment", "environment", Kind::Text),
        ("Key", "key", Kind::Link("/keys/")),
        ("Its state", "key_state", Kind::State),
        ("Chain", "chainId", Kind::Text),
        ("Signature type", "signatureType", Kind::Text),
        ("Address", "address", Kind::Code),
        ("Maker", "maker", Kind::Code),
        ("Successor", "successor", Kind::Link("/wallets/")),
        ("Closed", "closed_at", Kind::Time),
        ("Made", "created_at", Kind::Time),
        ("Id", "id", Kind::Code),
    ];
    let facts = cells::facts(&columns, &wallet, visit.now);
    let command = format!("chancery wallets show {}", place.name);
    let what = (
        "One wallet: who signs for it, and which API keys it has.",
        command,
    );
    let page = Page::new(&place.name, &place.path, what).with(Section::Facts(String::new(), facts));
    let of_credentials: [Column; 5] = [
        ("API key", "apiKey", Kind::Code),
        ("State", "state", Kind::State),
        ("Nonce", "nonce", Kind::Text),
        ("Made by", "created_by_name", Kind::Text),
        ("When", "created_at", Kind::Time),
    ];
    let of_nonces: [Column; 5] = [
        ("Nonce", "nonce", Kind::Code),
        ("Outcome", "outcome", Kind::State),
        ("API key", "apiKey", Kind::Code),
        ("On record by", "recorded_by_name", Kind::Text),
        ("When", "recorded_at", Kind::Time),
    ];
    let none = "It has no API key: chancery credentials create makes one.";
    let credentials = listed(visit, ("API keys", none), &of_credentials, credentials);
    let none = "No nonce of its address is on record.";
    let nonces = listed(visit, ("Nonces", none), &of_nonces, nonces);
    let named = encoded(&place.name);
    let ways = [
        (
            "Operations",
            format!("{}/operations", place.path),
            "what it did on its chain",
        ),
        (
            "What was done with it",
            format!("/audit/events?wallet={named}"),
            "in the log",
        ),
        (
            "How much of that",
            format!("/limits/wallet/{named}"),
            "its limits",
        ),
    ];
    let ways = ways.map(|(name, to, text)| (name.to_owned(), cells::Cell::link(to, text)));
    Ok(page
        .with(credentials)
        .with(nonces)
        .with(Section::Facts("More".to_owned(), ways.into())))
}

/// A list that is a part of a page, or why it is not shown.
pub(super) fn listed(
    visit: &Visit,
    (title, empty): (&str, &'static str),
    columns: &[Column],
    list: Result<Value, Refused>,
) -> Section {
    match list {
        Ok(list) => Section::Table(Table::of(columns, &list, (visit.now, empty)).titled(title)),
        Err(refused) => {
            let title = format!("{title}: {}", refused.title);
            Section::Refused(Refused { title, ..refused })
        }
    }
}

pub(super) async fn client(visit: &Visit, place: &Place) -> Result<Page, Refused> {
    let client = visit.get(&place.api).await?;
    let columns: [Column; 8] = [
        ("Owner", "owner", Kind::Text),
        ("Environment", "environment", Kind::Text),
        ("There it is", "client_id", Kind::Code),
        ("Key", "key", Kind::Link("/keys/")),
        ("Its state", "key_state", Kind::State),
        ("kid", "kid", Kind::Code),
        ("Made", "created_at", Kind::Time),
        ("Id", "id", Kind::Code),
    ];
    let facts = cells::facts(&columns, &client, visit.now);
    let command = format!("chancery clients show {}", place.name);
    let what = (
        "One OAuth client, and the key that it is known by.",
        command,
    );
    let mut page =
        Page::new(&place.name, &place.path, what).with(Section::Facts(String::new(), facts));
    if let Some(pem) = client["pem"].as_str() {
        page = page.with(Section::Text("Public key".to_owned(), pem.to_owned()));
    }
    Ok(page)
}
