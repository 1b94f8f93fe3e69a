//! What wallets did on their chains: operations that were signed, and what the relayer was asked for.

use serde_json::Value;

use super::Place;
use super::asking::Visit;
use super::cells::{self, Cell, Column, Kind};
use super::page::{Field, Form, Page, Refused, Section, Table};
use super::things::{listed, resource};
use crate::policy::Action;

const OPERATIONS: [Column; 6] = [
    ("Kind", "kind", Kind::Text),
    ("State", "state", Kind::State),
    ("Nonce", "nonce", Kind::Code),
    ("Pays", "recipient", Kind::Code),
    ("Leaves (millionths)", "outflow", Kind::Text),
    ("Signed", "at", Kind::Time),
];

const SUBMISSIONS: [Column; 7] = [
    ("Kind", "kind", Kind::Text),
    ("State", "state", Kind::State),
    ("Nonce", "nonce", Kind::Code),
    ("At the relayer", "transactionID", Kind::Code),
    ("Progress", "progress", Kind::State),
    ("Trouble", "trouble", Kind::Text),
    ("Changed", "changedAt", Kind::Time),
];

const SESSION_KEYS: [Column; 4] = [
    ("Session key", "key", Kind::Link("/keys/")),
    ("Address", "address", Kind::Code),
    ("State", "state", Kind::State),
    ("Until", "validUntil", Kind::Time),
];

pub(super) async fn operations(visit: &Visit, place: &Place) -> Result<Page, Refused> {
    let wallet = place.api.trim_end_matches("/operations");
    let (submissions, keys) = (
        format!("{wallet}/submissions"),
        format!("{wallet}/session-keys"),
    );
    let asked = match &place.query {
        Some(query) => format!("{}?{query}", place.api),
        None => place.api.clone(),
    };
    let on = resource("Wallet", &visit.get(wallet).await?);
    let seen = (Action::ViewSignatures, &on);
    let (operations, submissions, keys) = tokio::join!(
        visit.get(&asked),
        visit.get_if(seen, &submissions),
        visit.get(&keys),
    );
    let operations = operations?;
    let mut columns = OPERATIONS.to_vec();
    columns.push(("Transaction", "transactionHash", Kind::Code));
    let items = operations.as_array().map_or(&[][..], Vec::as_slice);
    let rows = items.iter().map(|it| {
        let id = it["id"].as_str().unwrap_or_default();
        let mut row = vec![Cell::link(format!("{}/{id}", place.path), "show")];
        row.extend(cells::row(&columns, it, visit.now));
        row
    });
    let mut heads = vec!["Operation"];
    heads.extend(columns.iter().map(|it| it.0));
    let last = items.last().filter(|_| items.len() >= 100);
    let next = last.and_then(|it| Some(format!("{}?before={}", place.path, it["id"].as_str()?)));
    let table = Table {
        title: "Signed".to_owned(),
        heads,
        rows: rows.collect(),
        empty: "No operation of it was signed: chancery operations sign makes the first.",
        next,
    };
    let what = (
        "What a wallet did on its chain, and what the relayer was asked for.",
        format!("chancery operations list {}", place.name),
    );
    let title = format!("Operations of {}", place.name);
    let none = "The relayer was asked for nothing.";
    let submissions = listed(visit, ("At the relayer", none), &SUBMISSIONS, submissions);
    let none = "It has no session keys.";
    let keys = listed(visit, ("Session keys", none), &SESSION_KEYS, keys);
    Ok(Page::new(title, &place.path, what)
        .with(Section::Table(table))
        .with(submissions)
        .with(keys))
}

pub(super) async fn operation(visit: &Visit, place: &Place) -> Result<Page, Refused> {
    let operation = visit.get(&place.api).await?;
    let mut facts = cells::facts(&OPERATIONS, &operation, visit.now);
    let more: [Column; 8] = [
        ("Counted for", "counted", Kind::Code),
        ("Counter", "counter", Kind::Text),
        ("Chain", "chainId", Kind::Text),
        ("Replaces", "replaces", Kind::Code),
        ("Transaction", "transactionHash", Kind::Code),
        ("Expires", "expiresAt", Kind::Time),
        ("Settled", "settledAt", Kind::Time),
        ("Id", "id", Kind::Code),
    ];
    facts.extend(cells::facts(&more, &operation, visit.now));
    let log = format!("/audit/events?signature={}", place.name);
    facts.push(("In the log".to_owned(), Cell::link(log, "its leaves")));
    let what = (
        "One operation: what was signed, and what became of it.",
        format!(
            "chancery operations show {} {}",
            wallet_of(place),
            place.name
        ),
    );
    let record = &operation["signature"]["record"];
    let record = serde_json::to_string_pretty(record).unwrap_or_default();
    let page = Page::new("Operation", &place.path, what)
        .with(Section::Facts(String::new(), facts))
        .with(Section::Text("What was signed".to_owned(), record));
    Ok(page.with(settle(visit, place, &operation).await))
}

fn wallet_of(place: &Place) -> &str {
    place.path.split('/').nth(2).unwrap_or_default()
}

async fn settle(visit: &Visit, place: &Place, operation: &Value) -> Section {
    if operation["settledAt"].is_string() {
        return Section::Words("What became of it is on record.".to_owned());
    }
    let form = Form {
        about: "The service cannot see the chain. That it was executed is taken at your word; that it can happen no more takes a second person.",
        fields: vec![
            Field::choice("outcome", "It is", &["executed", "dead"]),
            Field::text("evidence", "Who looked, and where"),
            Field::text("transactionHash", "The transaction that carried it out"),
            Field::text("nextNonce", "The nonce that is the next one by now"),
        ],
        button: "Put it on record",
        ..Form::post(
            "What became of it",
            format!("{}/outcome", place.api),
            &place.path,
        )
    };
    let wallet = visit
        .get(&format!("/v1/wallets/{}", wallet_of(place)))
        .await;
    let Ok(wallet) = wallet else {
        return Section::Words("What became of it is not on record yet.".to_owned());
    };
    let on = resource("Wallet", &wallet);
    visit
        .if_may(Action::SettleOperation, &on, Section::Form(form))
        .await
}
