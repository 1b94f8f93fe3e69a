//! What waits for others: in words, from the very text whose hash is signed, and what becomes of it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::Place;
use super::asking::Visit;
use super::cells::{self, Cell, Column, Kind, shown};
use super::form::METHODS;
use super::page::{Approve, Field, Form, Input, Page, Refused, Register, Section, Table, WHOLE};
use super::policies;
use crate::http::problem::Problem;
use crate::people::Person;
use crate::policy::{Action, Resource};

/// From when until when a proposal waits.
const TIME: (&str, &str) = ("proposed_at", "expires_at");

pub(super) async fn list(visit: &Visit, place: &Place) -> Result<Page, Refused> {
    let answer = visit.look(&place.list()).await?;
    let rows = answer.body.as_array().into_iter().flatten().map(|it| {
        let text = |name: &str| it[name].as_str().unwrap_or_default();
        vec![
            Cell::link(format!("{}/{}", place.path, text("id")), text("sentence")),
            Cell::state(text("state")),
            Cell::text(text("requester")),
            time_left(visit, it),
            Cell::of(Kind::Text, &it["missing"], visit.now),
        ]
    });
    let table = Table {
        title: String::new(),
        heads: vec!["What", "State", "Asked by", "Time", "Missing"],
        rows: rows.collect(),
        empty: "Nothing waits for approval.",
        next: answer.next,
    };
    let others = match place.asked("all") {
        "true" => Cell::link(&place.path, "Only what waits"),
        _ => Cell::link(
            format!("{}?all=true&limit=100", place.path),
            "What is over, too",
        ),
    };
    let yours = Cell::link(format!("{}/passkey", place.path), "Your passkeys");
    let what = (
        "What people have asked for that loosens something, and others have to agree to.",
        "chancery approvals list",
    );
    Ok(Page::new("Approvals", &place.path, what)
        .with(Section::Table(table))
        .with(Section::Facts(
            String::new(),
            vec![("More".to_owned(), Cell::List(vec![others, yours]))],
        )))
}

fn time_left(visit: &Visit, proposal: &Value) -> Cell {
    match proposal["state"].as_str() {
        Some("waiting" | "approved") => cells::left(proposal, TIME, visit.now),
        _ => Cell::Nothing,
    }
}

pub(super) async fn one(visit: &Visit, place: &Place) -> Result<Page, Refused> {
    let proposal = visit.get(&place.api).await?;
    // From the text whose hash is signed, and from nothing else.
    let document = proposal["document"].as_str().unwrap_or_default();
    let said: Value = serde_json::from_str(document).unwrap_or_default();
    let text = |it: &Value| {
        it.as_str()
            .map_or_else(|| it.to_string(), ToOwned::to_owned)
    };
    let asks = format!(
        "{} asks to {}",
        text(&said["requester"]["person_name"]),
        text(&said["sentence"])
    );
    let command = format!("chancery approvals show {}", place.name);
    let what = (
        "One proposal: what it would do, who has agreed, and who has to.",
        command,
    );
    let mut page = Page::new("Proposal", &place.path, what).with(Section::Sentence(shown(&asks)));
    let effects = said["effects"].as_array().map_or(&[][..], Vec::as_slice);
    for loosened in effects
        .iter()
        .filter_map(|it| loosens(it["action"].as_str()?))
    {
        page = page.with(Section::Words(format!(
            "Others have to agree, since {loosened}."
        )));
    }
    page = page
        .with(Section::Facts(
            String::new(),
            facts(visit, &proposal, &said),
        ))
        .with(changes(effects));
    let replaced = effects.iter().find(|it| it["action"] == "replace-policy");
    if let Some(replaced) = replaced {
        let new = said["request"]["body"]["text"].as_str().unwrap_or_default();
        for section in policies::change(visit, new, &replaced["details"]).await {
            page = page.with(section);
        }
    }
    page = decide(visit, place, (&proposal, &said), page).await?;
    let request = &said["request"];
    let line = format!("{} {}", text(&request["method"]), text(&request["path"]));
    let whole = vec![
        ("Request".to_owned(), Cell::Code(shown(&line))),
        (
            "With".to_owned(),
            Cell::Code(shown(&request["body"].to_string())),
        ),
        (
            "On record it would be".to_owned(),
            Cell::Code(shown(&said["effects"].to_string())),
        ),
        (
            "Hash".to_owned(),
            Cell::of(Kind::Code, &proposal["hash"], visit.now),
        ),
    ];
    Ok(page.with(Section::Facts("What is signed".to_owned(), whole)))
}

fn facts(visit: &Visit, proposal: &Value, said: &Value) -> Vec<(String, Cell)> {
    let columns: [Column; 5] = [
        ("State", "state", Kind::State),
        ("Asked by", "requester", Kind::Text),
        ("Asked", "proposed_at", Kind::Time),
        ("Approvals needed", "needed", Kind::Text),
        ("Missing", "missing", Kind::Text),
    ];
    let mut facts = cells::facts(&columns, proposal, visit.now);
    let why = Cell::of(Kind::Text, &said["request"]["body"]["reason"], visit.now);
    facts.push(("Why".to_owned(), why));
    let given = proposal["approvals"].as_array().into_iter().flatten();
    let given: Vec<_> = given.map(agreed).collect();
    if !given.is_empty() {
        facts.push(("Approved by".to_owned(), Cell::List(given)));
    }
    facts.push(("Time".to_owned(), time_left(visit, proposal)));
    let ended = Cell::of(Kind::Text, &proposal["reason"], visit.now);
    facts.push(("Ended, because".to_owned(), ended));
    facts.retain(|(_, cell)| *cell != Cell::Nothing);
    facts
}

/// Somebody's word, and whether it counts still.
fn agreed(approval: &Value) -> Cell {
    let person = approval["person"].as_str().unwrap_or_default();
    let more = match approval["counts"].as_bool() {
        Some(true) => "",
        _ => " (does not count any more)",
    };
    Cell::text(format!("{person}{more}"))
}

/// What was, and what would be.
fn changes(effects: &[Value]) -> Section {
    /// What a leaf calls what was, and what comes in its place.
    const PAIRS: [(&str, &str); 3] = [("from", "to"), ("was", "ends_at"), ("before", "after")];
    /// What says which and why, and is no change.
    const NOT_CHANGED: [&str; 2] = ["name", "reason"];
    let value = |it: &Value| match it {
        Value::Null => Cell::Nothing,
        Value::String(text) => Cell::text(text),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let texts = items.iter().filter_map(Value::as_str);
            Cell::List(texts.map(Cell::text).collect())
        }
        other => Cell::text(other.to_string()),
    };
    let mut rows = Vec::new();
    for effect in effects {
        let details = &effect["details"];
        let action = effect["action"]
            .as_str()
            .unwrap_or_default()
            .replace('-', " ");
        let pair = PAIRS.iter().find(|it| details.get(it.0).is_some());
        if let Some((was, to)) = pair {
            let (was, to) = (&details[*was], &details[*to]);
            let members = [was, to].into_iter().filter_map(Value::as_object);
            let mut names: Vec<_> = members.flat_map(|it| it.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in &names {
                let (was, to) = (&was[name.as_str()], &to[name.as_str()]);
                if was != to {
                    rows.push(vec![Cell::text(name.as_str()), value(was), value(to)]);
                }
            }
            if names.is_empty() {
                rows.push(vec![Cell::text(&action), value(was), value(to)]);
            }
        }
        for (name, it) in details.as_object().into_iter().flatten() {
            let is_in_pair = pair.is_some_and(|(was, to)| name == was || name == to);
            if !is_in_pair && !it.is_null() && !NOT_CHANGED.contains(&name.as_str()) {
                rows.push(vec![
                    Cell::text(name.replace('_', " ")),
                    Cell::Nothing,
                    value(it),
                ]);
            }
        }
    }
    Section::Table(Table {
        title: "What changes".to_owned(),
        heads: vec!["What", "Before", "After"],
        rows,
        empty: "What it does is known only once it is begun.",
        next: None,
    })
}

/// What something loosens.
fn loosens(action: &str) -> Option<&'static str> {
    Some(match action {
        "step-key" => "the key could sign in its new state, or is gone for ever",
        "set-cryptoperiod" => "the key could sign for longer",
        "create-key" | "adopt-key" | "import-key" => "there would be another key that signs",
        "create-caller" => "somebody new could ask for signatures",
        "issue-caller-token" | "add-caller-credential" => {
            "there would be another secret that lets somebody in"
        }
        "assign-caller" => "a caller could speak for a person",
        "register-person" | "register-approver-key" | "set-person-roles" => {
            "somebody could approve what they could not approve before"
        }
        "replace-policy" => "requests could be permitted that are denied now",
        "set-limits" | "remove-limits" => "more could be spent or signed than now",
        "lift-halt" => "what was stopped would be signed again",
        "add-recipient" => "money could leave for an address that it could not go to",
        "sign-operation" => "it moves what a wallet holds, or who may",
        "reveal-credential" => "a secret would leave the service",
        _ => return None,
    })
}

/// What whoever looks at it can do.
async fn decide(
    visit: &Visit,
    place: &Place,
    (proposal, said): (&Value, &Value),
    page: Page,
) -> Result<Page, Refused> {
    let state = proposal["state"].as_str().unwrap_or_default();
    if state == "approved" {
        return Ok(page.with(carry_out(visit, place, (proposal, said))));
    }
    if state != "waiting" {
        return Ok(page);
    }
    let person = theirs(visit).await?;
    let asked = proposal["requester"].as_str();
    let is_own = person
        .as_ref()
        .is_some_and(|it| asked == Some(it.name.as_str()));
    let ending = |title, about, what, button| Form {
        about,
        fields: vec![Field::text("reason", "Why")],
        button,
        stops: true,
        ..Form::post(title, format!("{}/{what}", place.api), &place.path)
    };
    if is_own {
        let about = "You asked for it: others approve it. It is over at once, and nothing is done.";
        let form = ending("Withdraw", about, "withdraw", "Withdraw it");
        return Ok(page.with(Section::Form(form)));
    }
    let party = visit.console.app.proposals.rules().passkeys.as_ref();
    let approve = match party {
        Some(party) => Section::Approve(Approve {
            proposal: place.name.clone(),
            hash: proposal["hash"].as_str().unwrap_or_default().to_owned(),
            passkeys: person.map_or(String::new(), |it| it.passkeys().join(" ")),
            party: party.rp_id.clone(),
        }),
        None => Section::Words(format!(
            "Passkeys are not set up here: chancery approvals approve {} --ssh-key FILE.",
            place.name
        )),
    };
    let about = "One person is enough. It is over at once, and nothing is done.";
    let form = Section::Form(ending("Reject", about, "reject", "Reject it"));
    let on = Resource::service();
    if !visit.may(Action::Approve, &on) {
        return Ok(page.with(visit.if_may(Action::Approve, &on, form).await));
    }
    Ok(page.with(approve).with(form))
}

/// The same request once more, for whoever asked. What was a secret in it is not known here.
fn carry_out(visit: &Visit, place: &Place, (proposal, said): (&Value, &Value)) -> Section {
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    if proposal["caller"] != visit.who.caller.id.to_string() {
        let whoever = "Enough have agreed: whoever asked for it can carry it out now.";
        return Section::Words(whoever.to_owned());
    }
    let request = &said["request"];
    let path = text(&request["path"]);
    let method = METHODS.into_iter().find(|it| request["method"] == *it);
    let is_secret = asks_with_secret(&request["body"]) || answers_secret(&path);
    let Some(method) = method.filter(|_| !is_secret) else {
        let again = "Enough have agreed: repeat the command under the same --idempotency-key, which is below.";
        return Section::Facts(
            again.to_owned(),
            vec![(
                "Key".to_owned(),
                Cell::of(Kind::Code, &proposal["idempotency_key"], visit.now),
            )],
        );
    };
    Section::Form(Form {
        about: "Enough have agreed. It is done once, as it was shown; if it would be something else by now, nothing is done.",
        method,
        key: text(&proposal["idempotency_key"]),
        fields: vec![Field::of(WHOLE, "", Input::Hidden).with(&request["body"].to_string())],
        button: "Carry it out",
        ..Form::post("Carry it out", path.clone(), &place.path)
    })
}

/// Whether something was left out of a body.
fn asks_with_secret(body: &Value) -> bool {
    body.to_string().contains("\"[a secret]\"")
}

/// Whether the answer is a secret, which is for whoever calls and not for a page.
fn answers_secret(path: &str) -> bool {
    path.starts_with("/v1/callers") || path.ends_with("/reveal")
}

pub(super) async fn passkeys(visit: &Visit, place: &Place) -> Result<Page, Refused> {
    let what = (
        "What you approve with in a browser.",
        "chancery people list",
    );
    let page = Page::new("Your passkeys", &place.path, what);
    let Some(person) = theirs(visit).await? else {
        let none = "You belong to no person: an operator has to make you one's.";
        return Ok(page.with(Section::Words(none.to_owned())));
    };
    let keys = serde_json::to_value(&person.keys).unwrap_or_default();
    let columns: [Column; 5] = [
        ("Key", "name", Kind::Text),
        ("Kind", "kind", Kind::Text),
        ("Fingerprint", "fingerprint", Kind::Code),
        ("Since", "created_at", Kind::Time),
        ("Revoked", "revoked_at", Kind::Time),
    ];
    let none = "You can approve nothing yet.";
    let page = page.with(Section::Table(Table::of(
        &columns,
        &keys,
        (visit.now, none),
    )));
    let Some(party) = &visit.console.app.proposals.rules().passkeys else {
        let none =
            "Passkeys are not set up here: [approvals] passkeys names the domain and the origin.";
        return Ok(page.with(Section::Words(none.to_owned())));
    };
    Ok(page.with(Section::Register(Register {
        id: URL_SAFE_NO_PAD.encode(person.id.uuid().as_bytes()),
        person: person.name,
        party: party.rp_id.clone(),
    })))
}

/// The person whose the caller is.
async fn theirs(visit: &Visit) -> Result<Option<Person>, Refused> {
    let people = &visit.console.app.people;
    let said = |error| Refused::of(&Problem::from(error));
    match people.of_caller(visit.who.caller.id).await.map_err(said)? {
        Some(name) => Ok(Some(people.show(&name).await.map_err(said)?)),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests;
