//! Keys, and what signs with them.

use axum::http::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use super::Place;
use super::asking::Visit;
use super::cells::{self, Column, Kind};
use super::page::{Field, Form, Page, Refused, Rung, Section, Table};
use crate::percent::encoded;
use crate::policy::{Action, Resource};

pub(super) async fn key(visit: &Visit, place: &Place) -> Result<Page, Refused> {
    let (attestation, destruction) = (
        format!("{}/attestation", place.api),
        format!("{}/destruction", place.api),
    );
    let (key, attestation, destruction) = tokio::join!(
        visit.get(&place.api),
        visit.get(&attestation),
        visit.get(&destruction),
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
    let signers = format!("/audit/signers?key={}", encoded(&place.name));
    let signers = cells::Cell::link(signers, "now, or on a date");
    let signers = vec![("Who could sign with it".to_owned(), signers)];
    Ok(page
        .with(Section::Facts(String::new(), signers))
        .with(stop(visit, place, &key).await)
        .with(step(visit, place, &key).await))
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
fn resource(kind: &'static str, it: &Value) -> Resource {
    let text = |name: &str| it[name].as_str().unwrap_or_default();
    Resource::owned(kind, text("name"), text("owner"), text("environment"))
}

async fn stop(visit: &Visit, place: &Place, key: &Value) -> Section {
    let suspends = matches!(key["state"].as_str(), Some("active" | "retiring"));
    if !suspends {
        return Section::Words("It signs nothing in this state.".to_owned());
    }
    let form = Form {
        title: "Suspend",
        about: "At once, on all replicas; nobody has to agree. It can be made active again.",
        path: format!("{}/steps", place.api),
        then: place.path.clone(),
        key: Uuid::now_v7().to_string(),
        fields: vec![
            Field::fixed("to", "suspended"),
            Field::text("reason", "Why"),
        ],
        button: "Suspend this key",
        stops: true,
    };
    let on = resource("Key", key).open();
    visit
        .if_may(Action::StepKey, &on, Section::Form(form))
        .await
}

async fn step(visit: &Visit, place: &Place, key: &Value) -> Section {
    let mut states = vec!["active", "retiring", "deactivated", "compromised"];
    states.retain(|it| key["state"] != *it);
    let form = Form {
        title: "Another state",
        about: "What tightens is done at once; what loosens is proposed, and others have to approve it.",
        path: format!("{}/steps", place.api),
        then: place.path.clone(),
        key: Uuid::now_v7().to_string(),
        fields: vec![
            Field::choice("to", "To", &states),
            Field::text("reason", "Why"),
        ],
        button: "Ask for it",
        stops: false,
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
    Ok(page.with(credentials).with(nonces))
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

pub(super) async fn rotation(visit: &Visit, place: &Place) -> Result<Page, Refused> {
    let rotation = visit.get(&place.api).await?;
    let status = &rotation["status"];
    let columns: [Column; 10] = [
        ("Of client", "client", Kind::Link("/clients/")),
        ("Of wallet", "wallet", Kind::Link("/wallets/")),
        ("State", "state", Kind::State),
        ("Old key", "old_key", Kind::Link("/keys/")),
        ("New key", "new_key", Kind::Link("/keys/")),
        ("Waits for", "status.waits_for", Kind::Text),
        ("Missing", "status.missing", Kind::Text),
        ("Way back", "status.way_back", Kind::Text),
        ("Opened", "opened_at", Kind::Time),
        ("Due", "target_at", Kind::Time),
    ];
    let command = format!("chancery rotations show {}", place.name);
    let what = (
        "One rotation: what is done, what is next, and the evidence.",
        command,
    );
    let facts = cells::facts(&columns, &rotation, visit.now);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let parts = status["parts"].as_array().into_iter().flatten();
    let rungs = parts.map(|part| Rung {
        title: text(&part["title"]),
        progress: text(&part["progress"]),
    });
    let next: [Column; 2] = [
        ("Next", "what", Kind::Text),
        ("Command", "command", Kind::Code),
    ];
    let steps: [Column; 5] = [
        ("Step", "step", Kind::Text),
        ("To", "to", Kind::State),
        ("By", "by", Kind::Text),
        ("When", "at", Kind::Time),
        ("Evidence", "evidence", Kind::Code),
    ];
    let probes: [Column; 4] = [
        ("Probe of", "key", Kind::Text),
        ("Outcome", "outcome", Kind::State),
        ("When", "begun_at", Kind::Time),
        ("Error", "error", Kind::Text),
    ];
    let table = |columns: &[Column], of: &Value, title: &str, empty| {
        Section::Table(Table::of(columns, of, (visit.now, empty)).titled(title))
    };
    Ok(Page::new("Rotation", &place.path, what)
        .with(Section::Ladder(rungs.collect()))
        .with(Section::Facts(String::new(), facts))
        .with(table(
            &next,
            &status["next"],
            "What to do",
            "Nothing is left to do.",
        ))
        .with(table(
            &steps,
            &rotation["steps"],
            "Steps",
            "No step was taken.",
        ))
        .with(table(
            &probes,
            &rotation["probes"],
            "Probes",
            "No probe was made.",
        )))
}
