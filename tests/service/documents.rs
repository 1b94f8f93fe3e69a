//! What the service says about itself: the OpenAPI document and the problem catalogue.
//! `UPDATE_SNAPSHOTS=1` writes them anew.

use std::collections::BTreeSet;
use std::path::Path;

use chancery::keys::KeyState;
use serde_json::Value;

use crate::support::Postgres;

#[test]
fn the_documents_change_only_on_purpose() {
    let openapi = serde_json::to_value(chancery::http::openapi()).unwrap();
    let problems = serde_json::to_value(chancery::http::problem::CATALOGUE).unwrap();
    for (name, document) in [("openapi.json", openapi), ("problems.json", problems)] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/snapshots")
            .join(name);
        let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
        if std::env::var("UPDATE_SNAPSHOTS").is_ok_and(|value| value == "1") {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &text).unwrap();
        }
        let known = std::fs::read_to_string(&file).unwrap_or_default();
        let first = known
            .lines()
            .zip(text.lines())
            .position(|(known, now)| known != now);
        assert!(
            known == text,
            "{name} differs from line {first:?}; if that is meant, UPDATE_SNAPSHOTS=1 writes it"
        );
    }
}

#[test]
fn the_document_is_openapi_3_1_and_names_its_handlers() {
    let document = serde_json::to_value(chancery::http::openapi()).unwrap();
    let version = document["openapi"].as_str().unwrap();
    assert!(version.starts_with("3.1."), "{version}");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));

    let mut handlers = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            for line in text.lines() {
                let name = line.strip_prefix("pub(super) async fn ");
                handlers.extend(name.map(|it| it.split('(').next().unwrap().to_owned()));
            }
        }
    }
    let mut ids = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(handlers.contains(id), "{method} {path}: {id}");
            assert!(ids.insert(id.to_owned()), "{id} twice");
            assert!(operation["summary"].is_string(), "{id} says what it does");
            let open = path == "/healthz" || path == "/readyz";
            assert_eq!(operation["security"].is_array(), open, "{id}");
            let refusals = &operation["responses"]["default"]["content"];
            let form = match path.as_str() {
                // In the caller's protocol, with the problem in it or a way to it.
                "/rpc" | "/oauth/token" => "application/json",
                _ => "application/problem+json",
            };
            assert!(open || refusals[form].is_object(), "{id} can be refused");
        }
    }
    assert!(ids.len() > 15, "{ids:?}");

    let mut names = BTreeSet::new();
    references(&document, &mut names);
    for name in &names {
        let name = name.strip_prefix("#/components/schemas/").unwrap();
        assert!(
            document["components"]["schemas"][name].is_object(),
            "{name}"
        );
    }
}

#[test]
fn an_order_made_of_the_examples_can_be_built() {
    let document = serde_json::to_value(chancery::http::openapi()).unwrap();
    let schema = &document["components"]["schemas"]["OrderRequest"];
    let mut order = serde_json::Map::new();
    for name in schema["required"].as_array().unwrap() {
        let name = name.as_str().unwrap();
        let property = &schema["properties"][name];
        let example = match (name, &property["example"]) {
            ("side", _) => Value::from("BUY"),
            ("negRisk", _) => Value::from(false),
            (_, example) => example.clone(),
        };
        assert!(!example.is_null(), "{name} has an example");
        order.insert(name.to_owned(), example);
    }
    let properties = schema["properties"].as_object().unwrap();
    for (name, property) in properties {
        if let Some(example) = property.get("example") {
            let mut order = order.clone();
            order.insert(name.clone(), example.clone());
            let parsed = serde_json::from_value::<chancery::clob::OrderRequest>(order.into());
            assert!(parsed.is_ok(), "{name}: {parsed:?}");
        }
    }
}

#[test]
fn the_document_has_the_codes_that_are_answered() {
    let document = serde_json::to_value(chancery::http::openapi()).unwrap();
    for name in ["Code", "ExchangeCode"] {
        let codes = document["components"]["schemas"][name]["enum"].as_array();
        let codes = codes.unwrap_or_else(|| panic!("{name}"));
        assert!(codes.len() > 25, "{name}");
        for code in codes {
            let text = code.as_str().unwrap();
            let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(text.chars().all(is_plain), "{name}: {text}");
        }
    }
}

/// The database refuses what the code refuses.
#[tokio::test]
async fn the_steps_of_a_key_are_the_same_in_the_code_and_in_the_database() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database().await;
    let deployment = crate::support::Deployment::new(&database.url);
    deployment.run(&["migrate"]).unwrap();
    let rows: Vec<(String, String)> =
        sqlx::query_as("select from_state, to_state from key_state_edges")
            .fetch_all(&database.pool)
            .await
            .unwrap();
    let recorded: BTreeSet<_> = rows.into_iter().collect();
    let mut coded = BTreeSet::new();
    for from in KeyState::ALL {
        for to in KeyState::ALL {
            if from.step(to).is_ok() {
                coded.insert((from.name().to_owned(), to.name().to_owned()));
            }
        }
    }
    assert_eq!(recorded, coded);
    let names: Vec<String> = sqlx::query_scalar("select name from key_states")
        .fetch_all(&database.pool)
        .await
        .unwrap();
    let coded: BTreeSet<_> = KeyState::ALL.map(|it| it.name().to_owned()).into();
    assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), coded);
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "$ref" => {
                        found.insert(text.clone());
                    }
                    value => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}
