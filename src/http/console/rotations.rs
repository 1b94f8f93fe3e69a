//! A rotation: its steps as a ladder, what is next as forms, and what to write to the counterparty.

use serde_json::Value;

use super::Place;
use super::asking::Visit;
use super::cells::{self, Column, Kind, shown};
use super::page::{Field, Form, Page, Refused, Rung, Section, Table};
use super::things::resource;
use crate::percent::encoded;
use crate::policy::Action;

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
    let mut facts = cells::facts(&columns, &rotation, visit.now);
    let time = cells::left(&rotation, ("opened_at", "target_at"), visit.now);
    facts.push(("Time".to_owned(), time));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let parts = status["parts"].as_array().into_iter().flatten();
    let rungs = parts.map(|part| Rung {
        title: text(&part["title"]),
        progress: text(&part["progress"]),
    });
    let mut page = Page::new("Rotation", &place.path, what)
        .with(Section::Ladder(rungs.collect()))
        .with(Section::Facts(String::new(), facts));
    if let Some(letter) = letter(visit, &rotation).await {
        page = page.with(Section::Text("What to write to them".to_owned(), letter));
    }
    for form in next(visit, place, &rotation).await {
        page = page.with(form);
    }
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
    let none = "No step was taken.";
    let page = page.with(table(&steps, &rotation["steps"], "Steps", none));
    let none = "No probe was made.";
    Ok(page.with(table(&probes, &rotation["probes"], "Probes", none)))
}

/// What can be done now: a form each.
async fn next(visit: &Visit, place: &Place, rotation: &Value) -> Vec<Section> {
    let next = rotation["status"]["next"].as_array();
    let next = next.map_or(&[][..], Vec::as_slice);
    let of = if let Some(client) = rotation["client"].as_str() {
        ("Client", format!("/v1/clients/{}", encoded(client)))
    } else {
        let wallet = rotation["wallet"].as_str().unwrap_or_default();
        ("Wallet", format!("/v1/wallets/{}", encoded(wallet)))
    };
    let Ok(subject) = visit.get(&of.1).await else {
        return Vec::new();
    };
    let on = resource(of.0, &subject);
    let mut forms = Vec::new();
    for it in next {
        let text = |name: &str| it[name].as_str().unwrap_or_default();
        let step = text("step");
        let mut fields = vec![Field::fixed("step", step)];
        fields.extend(asked(step, &on_which(rotation)));
        if it["key"].is_string() {
            fields.push(Field::fixed("key", text("key")));
        }
        let title = shown(&sentence(text("what")));
        let form = Form {
            about: "It can be sent again: what was done already is found, and not done twice.",
            fields,
            button: "Do it",
            stops: matches!(step, "abandon" | "roll-back"),
            ..Form::post(&title, format!("{}/steps", place.api), &place.path)
        };
        let form = Section::Form(form);
        forms.push(match step {
            // The key, which decides, is not the client's to know.
            "probe" => form,
            _ => visit.if_may(Action::RotateKey, &on, form).await,
        });
    }
    if forms.is_empty() {
        forms.push(Section::Words("Nothing is left to do.".to_owned()));
    }
    forms
}

/// The name of a new wallet that suggests itself.
fn on_which(rotation: &Value) -> String {
    let old = rotation["wallet"].as_str().unwrap_or_default();
    format!("{old}-2")
}

/// What a step asks for.
fn asked(step: &str, successor: &str) -> Vec<Field> {
    match step {
        "submit" => vec![
            Field::text("channel", "By which way it was sent"),
            Field::text("reference", "Their case or ticket"),
            Field::text(
                "pem_sha256",
                "SHA-256 of the file that was sent, if you have it",
            ),
        ],
        "confirm" => vec![
            Field::text("fingerprint", "The fingerprint as they quote it"),
            Field::text("reference", "Their message"),
            Field::text("kid", "The kid that they gave it, if they did"),
            Field::text(
                "expires_at",
                "When they let it expire, if they said (RFC 3339)",
            ),
        ],
        "ask-removal" => vec![
            Field::text("channel", "By which way they were asked"),
            Field::text("reference", "Their case or ticket"),
        ],
        "profile" => vec![
            Field::text("wallet.name", "The new wallet's name").with(successor),
            Field::text(
                "wallet.funder",
                "Who pays, if that does not follow from the key",
            ),
            Field::text("reason", "Why"),
        ],
        "credential" => vec![
            Field::text("nonce", "Nonce (0 unless it is said)"),
            Field::text("without", "Or do without, for this reason"),
        ],
        "cut-over" => vec![
            Field::text("stops:list", "Other wallets of the old key that stop, too"),
            Field::text("reason", "Why now"),
        ],
        "drain" => vec![Field::text(
            "said",
            "Or why no order is open (it takes a second person)",
        )],
        "switch" | "close" | "abandon" | "roll-back" => vec![Field::text("reason", "Why")],
        _ => Vec::new(),
    }
}

/// With a capital.
fn sentence(what: &str) -> String {
    let mut rest = what.chars();
    let first = rest.next().map(|it| it.to_uppercase().to_string());
    format!("{}{}", first.unwrap_or_default(), rest.as_str())
}

/// What to write to the counterparty, exactly, where it is their turn or ours to write.
async fn letter(visit: &Visit, rotation: &Value) -> Option<String> {
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    let client = text(&rotation["client_id"]);
    let fingerprint = |key: &str| text(&rotation[key]["fingerprint"]);
    match rotation["state"].as_str()? {
        "generated" | "submitted" if !client.is_empty() => {
            let key = text(&rotation["new_key"]["name"]);
            let path = format!("/v1/keys/{}/bundle", encoded(&key));
            let bundle = visit.get(&path).await.ok()?;
            Some(format!(
                "Please register this public key for client {client}, beside the one that is there.\n\n{}\n\
                 SHA-256 of the key (SubjectPublicKeyInfo), in hexadecimal:\n{}\n\
                 Its RFC 7638 thumbprint:\n{}\n\n\
                 When it is registered, please quote its SHA-256 or its thumbprint as you see it. The key with\n\
                 SHA-256 {}\nstays in use until we ask you to remove it.\n",
                text(&bundle["pem"]),
                text(&bundle["fingerprint"]),
                text(&bundle["thumbprint"]),
                fingerprint("old_key"),
            ))
        }
        "switched" | "removal-asked" if !client.is_empty() => Some(format!(
            "Please remove this key of client {client}. Its SHA-256 (SubjectPublicKeyInfo), in hexadecimal:\n{}\n\n\
             The key that stays, and that we sign with, has\n{}\n\n\
             Please tell us when it is removed. We try both keys after that.\n",
            fingerprint("old_key"),
            fingerprint("new_key"),
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_asked_for_in_a_sentence() {
        assert_eq!(
            sentence("give up; the old key stays"),
            "Give up; the old key stays"
        );
        assert_eq!(sentence(""), "");
    }
}
