//! What is decided by: the text, what it says to a request, and what would change with another one.

use serde_json::{Map, Value};

use super::Place;
use super::asking::Visit;
use super::cells::{self, Cell, Column, Kind, shown};
use super::difference;
use super::page::{Field, Page, Refused, Search, Section, Source, Table};
use crate::percent::encoded;
use crate::policy::{Action, Policy, differences};

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
    let mut facts = cells::facts(&POLICY, &policy, visit.now);
    let ask = Cell::link("/policy/explain", "try a request");
    facts.push(("What it says".to_owned(), ask));
    let mut columns = POLICY;
    columns[0].2 = Kind::Link("/policies/");
    let none = "There was no other before.";
    let versions = super::things::listed(visit, ("Versions", none), &columns, versions);
    let what = (
        "What decides on all replicas: who may do what.",
        "chancery policy show",
    );
    Ok(Page::new("Policy", &place.path, what)
        .with(Section::Facts(String::new(), facts))
        .with(source(&policy))
        .with(versions))
}

pub(super) async fn version(visit: &Visit, place: &Place) -> Result<Page, Refused> {
    let policy = visit.get(&place.api).await?;
    let facts = cells::facts(&POLICY, &policy, visit.now);
    let command = format!("chancery policy show {}", place.name);
    let what = ("A policy that decides, or did.", command);
    Ok(
        Page::new(format!("Policy {}", place.name), &place.path, what)
            .under("/policy")
            .with(Section::Facts(String::new(), facts))
            .with(source(&policy)),
    )
}

/// The policy's text, with numbers for its lines.
fn source(policy: &Value) -> Section {
    let text = policy["text"].as_str().unwrap_or_default();
    Section::Source(Source {
        title: "In Cedar",
        lines: text.lines().map(shown).collect(),
    })
}

pub(super) async fn explain(visit: &Visit, place: &Place) -> Result<Page, Refused> {
    let command = "chancery policy explain --caller CALLER --action ACTION";
    let what = (
        "What the policy says to a request, by which rules, and what is missing. Nothing is done.",
        command,
    );
    let actions: Vec<&'static str> = Action::ALL.iter().map(|it| it.name()).collect();
    let asked = |name: &str, label: &str| Field::text(name, label).with(place.asked(name));
    let search = Search {
        path: "/policy/explain",
        fields: vec![
            asked("caller", "Who asks"),
            Field::choice("action", "What for", &actions).with(place.asked("action")),
            asked(
                "resource",
                "On what (wallet:NAME, client:NAME, key:NAME; else the service)",
            ),
            asked("context", "What is at stake (name=value, name=value)"),
            asked("at", "When (RFC 3339, now unless it is said)"),
        ],
        button: "Ask",
    };
    let page = Page::new("Try a request", &place.path, what)
        .under("/policy")
        .with(Section::Search(search));
    if place.asked("caller").is_empty() {
        return Ok(page);
    }
    let context = context(place.asked("context")).to_string();
    let members = ["caller", "action", "resource", "at"].map(|it| (it, place.asked(it)));
    let members = members.into_iter().chain([("context", context.as_str())]);
    let query: Vec<String> = members
        .filter(|(_, value)| !value.is_empty() && *value != "{}")
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    let said = match visit
        .get(&format!("{}?{}", place.api, query.join("&")))
        .await
    {
        Ok(said) => said,
        Err(refused) => return Ok(page.with(Section::Refused(refused))),
    };
    Ok(answered(visit, page, &said).await)
}

/// What somebody wrote as `name=value, name=value`, or as JSON.
fn context(text: &str) -> Value {
    if let Ok(Value::Object(members)) = serde_json::from_str(text) {
        return members.into();
    }
    let pairs = text.split(',').filter_map(|it| it.split_once('='));
    let pairs = pairs.map(|(name, value)| {
        let value = value.trim();
        let plain = serde_json::from_str(value).ok();
        let plain = plain.filter(|it: &Value| it.is_i64() || it.is_boolean());
        (
            name.trim().to_owned(),
            plain.unwrap_or_else(|| value.into()),
        )
    });
    Value::Object(pairs.collect::<Map<_, _>>())
}

async fn answered(visit: &Visit, page: Page, said: &Value) -> Page {
    let version = said["version"].as_i64();
    let path = match version {
        Some(version) => format!("/policies/{version}"),
        None => "/policy".to_owned(),
    };
    let text = visit.get(&format!("/v1{path}")).await;
    let text = text.map_or(String::new(), |it| {
        it["text"].as_str().unwrap_or_default().to_owned()
    });
    let rule = |name: &Value| {
        let name = name.as_str().unwrap_or_default();
        match line_of(&text, name) {
            Some(line) => Cell::link(format!("{path}#L{line}"), format!("{name} (line {line})")),
            None => Cell::text(name),
        }
    };
    let rules = |it: &Value| Cell::List(it.as_array().into_iter().flatten().map(rule).collect());
    let is_permitted = said["permitted"] == Value::Bool(true);
    let (word, tone) = if is_permitted {
        ("permitted", "good")
    } else {
        ("denied", "bad")
    };
    let word = word.to_owned();
    let mut facts = vec![("The policy says".to_owned(), Cell::State { word, tone })];
    match said["rules"].as_array().map_or(0, Vec::len) {
        0 => facts.push(("By rules".to_owned(), Cell::text("none permits it"))),
        _ => facts.push(("By rules".to_owned(), rules(&said["rules"]))),
    }
    let columns: [Column; 5] = [
        ("Stopped by a halt", "halt", Kind::Text),
        ("Trouble", "trouble", Kind::Text),
        ("Taken as it is today", "of_today", Kind::Text),
        ("Version", "version", Kind::Link("/policies/")),
        ("SHA-256 of the policy", "policy", Kind::Code),
    ];
    for (member, says) in [("revoked", "revoked"), ("made_later", "made only later")] {
        if said[member] == Value::Bool(true) {
            let says = format!("{says}: nothing is permitted, whatever the policy says");
            facts.push(("The caller is".to_owned(), Cell::text(says)));
        }
    }
    facts.extend(cells::facts(&columns, said, visit.now));
    let page = page.with(Section::Facts("Answer".to_owned(), facts));
    let missing = said["missing"].as_array().into_iter().flatten();
    let rows: Vec<_> = missing
        .map(|it| {
            vec![
                rule(&it["rule"]),
                Cell::of(Kind::Code, &it["conditions"], visit.now),
            ]
        })
        .collect();
    if rows.is_empty() {
        return page;
    }
    page.with(Section::Table(Table {
        title: "What is missing for the rules that come nearest".to_owned(),
        heads: vec!["Rule", "Does not hold"],
        rows,
        empty: "",
        next: None,
    }))
}

/// The line in which a rule is named.
fn line_of(text: &str, rule: &str) -> Option<usize> {
    let named = format!("@id(\"{rule}\")");
    let found = text.lines().position(|it| it.contains(&named));
    found.map(|at| at + 1)
}

/// What changes with the policy that a proposal brings: in its text, and in what is permitted.
pub(super) async fn change(visit: &Visit, new: &str, details: &Value) -> Vec<Section> {
    let old = match visit.get("/v1/policy").await {
        Ok(old) => old,
        Err(refused) => return vec![Section::Refused(refused)],
    };
    if old["digest"] != details["from"] {
        let other = "The policy is another one by now than the one that it was made of: it cannot be carried out any more.";
        return vec![Section::Words(other.to_owned())];
    }
    let old = old["text"].as_str().unwrap_or_default().to_owned();
    let text = Section::Difference("The policy's text".to_owned(), difference::lines(&old, new));
    let app = &visit.console.app;
    let _turn = app.explaining.turn(visit.who.caller.id).await;
    let new = new.to_owned();
    let found = app.tasks.spawn_blocking(move || {
        let (old, new): (Policy, Policy) = (old.parse().ok()?, new.parse().ok()?);
        Some(differences(&old, &new))
    });
    let Ok(Some(found)) = found.await else {
        let unread = "What it permits could not be told: chancery policy diff --active FILE.";
        return vec![text, Section::Words(unread.to_owned())];
    };
    let rows = found.found.iter().map(|it| {
        let (word, tone) = if it.permitted {
            ("permitted", "look")
        } else {
            ("denied", "good")
        };
        let word = word.to_owned();
        let more = match it.more {
            0 => Cell::Nothing,
            more => Cell::text(format!("and {more} like it")),
        };
        vec![
            Cell::State { word, tone },
            Cell::text(it.request.to_string()),
            more,
        ]
    });
    let table = Table {
        title: "Requests with another answer".to_owned(),
        heads: vec!["Then", "Request", "More"],
        rows: rows.collect(),
        empty: "None was found.",
        next: None,
    };
    let cut = match found.cut.as_slice() {
        [] => String::new(),
        cut => format!(" Not every combination was tried of {}.", cut.join(", ")),
    };
    let tried = format!(
        "{} requests were tried, which is a search and no proof: chancery policy prove is one.{cut}",
        found.asked
    );
    vec![text, Section::Table(table), Section::Words(tried)]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rule_is_found_at_its_line() {
        let text = "// first\n@id(\"a\")\npermit(principal, action, resource);\n@id(\"b\") forbid(";
        assert_eq!((line_of(text, "a"), line_of(text, "b")), (Some(2), Some(4)));
        assert_eq!(line_of(text, "c"), None);
    }

    #[test]
    fn what_is_at_stake_is_read_as_people_write_it() {
        let said = json!({ "notional": 7, "fok": true, "token_id": "12x" });
        assert_eq!(context("notional=7, fok = true,token_id=12x"), said);
        assert_eq!(context(&said.to_string()), said);
        assert_eq!(context(""), json!({}));
    }
}
