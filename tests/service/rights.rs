//! Deny by default (P5): every operation of the document refuses a caller without rights, and the
//! refusal is on record.

use std::collections::BTreeMap;
use std::time::Duration;

use chancery::audit::{Event, Leaf};
use serde_json::{Map, Value, json};

use crate::stand::Stand;
use crate::support::{Answer, Caller};

/// Operations that anybody who is recognised may use: they answer what is no secret, or what of it the
/// caller may see, which is nothing here. Each with what a caller without rights gets.
const READS: [(&str, u16); 30] = [
    ("explain_order", 200),
    ("explain_refusal", 200),
    ("find_endpoints", 200),
    ("find_nonces", 200),
    ("find_signatures", 200),
    ("list_clients", 200),
    ("list_due", 200),
    ("list_environments", 200),
    ("list_key_steps", 404),
    ("list_keys", 200),
    ("list_operations", 404),
    ("list_rotations", 200),
    ("list_scopes", 200),
    ("list_session_keys", 404),
    ("list_submissions", 404),
    ("list_wallets", 200),
    ("read_token_scopes", 422),
    ("show_attestation", 404),
    ("show_bundle", 404),
    ("show_client", 404),
    ("show_client_scopes", 404),
    ("show_destruction", 404),
    ("show_jwks", 404),
    ("show_key", 404),
    ("show_operation", 404),
    ("show_operation_catalogue", 200),
    ("show_readiness", 404),
    ("show_emptying", 404),
    ("show_rotation", 404),
    ("show_wallet", 404),
];

/// The same, of things that there are none of on this stand.
const READS_OF_NOTHING: [&str; 4] = [
    "prove_signature",
    "show_search",
    "show_signature",
    "step_search",
];

const NOBODYS: &str = "01890000-0000-7000-8000-000000000000";

#[tokio::test]
async fn every_operation_refuses_who_has_no_right_and_puts_that_on_record() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let rotation = json!({
        "client": "d-c", "new_key": "d-ck-2", "target_at": in_a_month(), "reason": "test",
    });
    let rotation = stand.operator.post("/v1/rotations", &rotation).await;
    assert_eq!(rotation.status, 201, "{}", rotation.text);
    let wallet = stand.operator.get("/v1/wallets/d-w").await;
    let address = wallet.json["address"].as_str().unwrap();
    let parameters: BTreeMap<&str, &str> = [
        ("wallet", "d-w"),
        ("client", "d-c"),
        ("key", "d-wk"),
        ("caller", "d-trader"),
        ("device", "soft"),
        ("rotation", rotation.json["id"].as_str().unwrap()),
        ("apiKey", "x"),
        ("credential", NOBODYS),
        ("search", NOBODYS),
        ("sealing_key", NOBODYS),
        ("signature", NOBODYS),
        ("token", NOBODYS),
        ("halt", NOBODYS),
        ("export", NOBODYS),
        ("version", "1"),
        ("person", "x"),
        ("proposal", NOBODYS),
        ("approver_key", NOBODYS),
        ("recipient", "x"),
        ("leaf", "0"),
        ("operation", NOBODYS),
        ("scope", "global"),
        ("id", "all"),
    ]
    .into();

    let document = serde_json::to_value(chancery::http::openapi()).unwrap();
    let mut nobody = stand.another("nobody", "x", "credential-holder").await;
    let mut asked = 0;
    let mut wrong = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            if ["healthz", "readyz"].contains(&id) {
                continue; // without a token
            }
            asked += 1;
            if asked % 10 == 0 {
                // Each caller has so many leaves before they are counted.
                nobody = stand
                    .another(&format!("nobody-{asked}"), "x", "credential-holder")
                    .await;
            }
            let mut url = path.clone();
            for (name, value) in &parameters {
                url = url.replace(&format!("{{{name}}}"), value);
            }
            assert!(!url.contains('{'), "{id}: {url}");
            if id == "find_signatures" {
                url.push_str("?idempotency_key=x");
            }
            if id == "explain_policy" {
                url.push_str("?caller=d-trader&action=view");
            }
            if id == "identify" {
                url.push_str("?text=x");
            }
            if id == "show_range" {
                url.push_str("?until=2026-01-01T00:00:00Z");
            }
            if id == "list_signers" {
                url.push_str("?key=d-wk");
            }
            if id == "show_consistency" {
                url.push_str("?from=0&to=1");
            }
            let body = body(id, address, &document, operation);
            let denied = denied(&stand).await;
            let answer = ask(&nobody, method, &url, body.as_ref()).await;
            let read = READS.iter().find(|(read, _)| *read == id);
            let is_right = match read {
                _ if READS_OF_NOTHING.contains(&id) => answer.status == 404,
                Some((_, status)) => answer.status == *status,
                None => is_refusal(id, &answer) && is_noted(&stand, denied + 1).await,
            };
            if !is_right {
                wrong.push(format!("{id}: {} {}", answer.status, answer.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(asked > 70, "{asked}");
    assert_eq!(stand.signed().await, (0, 0));
}

#[tokio::test]
async fn an_idempotency_key_is_taken_and_wanted_where_the_document_says() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let wallet = stand.operator.get("/v1/wallets/d-w").await;
    let address = wallet.json["address"].as_str().unwrap();
    let document = serde_json::to_value(chancery::http::openapi()).unwrap();
    let nobody = stand.another("nobody", "x", "credential-holder").await;
    let mut count = BTreeMap::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            let parameters = operation["parameters"].as_array();
            let documented = parameters
                .into_iter()
                .flatten()
                .find(|it| it["name"] == "Idempotency-Key")
                .map(|it| it["required"] == true);
            *count.entry(documented).or_insert(0) += 1;
            // Names are names, and ids ids: who has neither is refused before.
            let ids = [
                "{credential}",
                "{export}",
                "{rotation}",
                "{sealing_key}",
                "{search}",
                "{signature}",
                "{token}",
                "{operation}",
            ];
            let url = ids
                .iter()
                .fold(path.clone(), |url, id| url.replace(id, NOBODYS));
            let url = url.replace(['{', '}'], "");
            let body = body(id, address, &document, operation);
            let with = async |key: Option<&str>| {
                let request = request(&nobody, method, &url, body.as_ref());
                let request = match key {
                    Some(key) => request.header("idempotency-key", key),
                    None => request,
                };
                nobody.send(request).await.unwrap().problem().to_owned()
            };
            let without = with(None).await;
            let is_wanted = without == "idempotency-key-missing";
            let is_taken = is_wanted || with(Some(&"k".repeat(300))).await == "malformed-header";
            let takes = is_taken.then_some(is_wanted);
            assert_eq!(takes, documented, "{id}: {without}");
        }
    }
    assert!(
        count[&Some(true)] > 25 && count[&Some(false)] == 3,
        "{count:?}"
    );
}

#[tokio::test]
async fn leaves_and_counts_are_the_refusals_of_each_caller() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let (loud, quiet) = (
        stand.another("loud", "x", "credential-holder").await,
        stand.another("quiet", "x", "credential-holder").await,
    );
    for _ in 0..120 {
        let refused = loud.get("/v1/callers").await;
        assert_eq!(refused.problem(), "denied", "{}", refused.text);
    }
    let refused = quiet.get("/v1/callers").await;
    assert_eq!(refused.problem(), "denied", "{}", refused.text);
    let each = |who: &str, kind: &str| {
        format!(
            "select count(*) from leaves where kind = '{kind}'
             and subject_id = (select id from callers where name = '{who}')"
        )
    };
    let (loud, quiet) = (each("loud", "denied"), each("quiet", "denied"));
    stand.database.becomes(&quiet, 1).await; // nobody hides what another tries
    stand.database.becomes(&loud, 20).await;
    assert_eq!(stand.server.terminate(), Some(0)); // the rest is counted each minute, and at the end
    let database = &stand.database;
    database.becomes(&loud, 20).await;
    database.becomes(&each("loud", "denials"), 1).await;
    database.becomes(&each("quiet", "denials"), 0).await;
    let leaf: Vec<u8> = sqlx::query_scalar("select leaf from leaves where kind = 'denials'")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    let Event::Denials(rest) = Leaf::from_bytes(&leaf).unwrap().event else {
        panic!("{leaf:?}");
    };
    assert_eq!(rest.refusals, 100);
}

/// Whether there are so many leaves of refusals, at once or in a moment.
async fn is_noted(stand: &Stand, leaves: i64) -> bool {
    for _ in 0..50 {
        if denied(stand).await == leaves {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

async fn denied(stand: &Stand) -> i64 {
    let sql = "select count(*) from leaves where kind = 'denied'";
    stand.database.count(sql).await
}

fn is_refusal(id: &str, answer: &Answer) -> bool {
    match id {
        // In the protocols of others.
        "call_rpc" => answer.json["error"]["code"].is_i64(),
        "exchange_token" => answer.json["error"] == "unauthorized_client",
        "sign" => answer.status == 409,
        _ => matches!(
            (answer.status, answer.problem()),
            (403, "denied") | (404, "not-found")
        ),
    }
}

async fn ask(who: &Caller, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let request = request(who, method, path, body);
    let request = request.header("idempotency-key", uuid::Uuid::new_v4().to_string());
    who.send(request).await.unwrap()
}

fn request(
    who: &Caller,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> reqwest::RequestBuilder {
    let url = format!("{}{path}", who.base);
    let request = match method {
        "get" => who.http.get(url),
        "delete" => who.http.delete(url),
        "post" => who.http.post(url),
        "put" => who.http.put(url),
        other => panic!("{other}"),
    };
    match body {
        Some(body) => request.json(body),
        None => request,
    }
}

/// A body that is well formed, so that it is the policy that refuses.
fn body(id: &str, address: &str, document: &Value, operation: &Value) -> Option<Value> {
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    match id {
        "call_rpc" => return Some(login(address)),
        "exchange_token" => {
            return Some(json!({ "grant_type": "client_credentials", "client_id": "d-c" }));
        }
        _ if schema.is_null() => return None,
        _ => {}
    }
    let mut body = sample(document, schema);
    let more = match id {
        "declare_nonces" => json!({ "nonces": ["1"] }),
        "get_token" => return Some(json!({})),
        "issue_token" => return Some(json!({ "token_days": 1 })),
        "sign_operations" => {
            return Some(json!({ "operations": [{ "op": "revoke_all" }], "nonce": "0" }));
        }
        "open_rotation" => json!({ "client": "d-c" }),
        "set_halt" => return Some(json!({ "on": "everything", "reason": "test" })),
        "set_limits" => return Some(json!({ "order_notional": "1" })),
        "step_rotation" => return Some(json!({ "step": "generate" })),
        "step_key" => return Some(json!({ "to": "suspended", "reason": "test" })),
        _ => json!({}),
    };
    let members = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(members);
    Some(body)
}

/// What a client of the CLOB signs to log in.
fn login(address: &str) -> Value {
    let field = |name: &str, kind: &str| json!({ "name": name, "type": kind });
    let data = json!({
        "types": {
            "EIP712Domain": [field("name", "string"), field("version", "string"), field("chainId", "uint256")],
            "ClobAuth": [
                field("address", "address"), field("timestamp", "string"),
                field("nonce", "uint256"), field("message", "string"),
            ],
        },
        "primaryType": "ClobAuth",
        "domain": { "name": "ClobAuthDomain", "version": "1", "chainId": 137 },
        "message": {
            "address": address, "timestamp": now_s().to_string(), "nonce": 0,
            "message": "This message attests that I control the given wallet",
        },
    });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_signTypedData_v4", "params": [address, data] })
}

/// The least that a schema of the document takes: its examples, and what is required.
fn sample(document: &Value, schema: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return sample(document, &document["components"]["schemas"][name]);
    }
    if let Some(given) = ["example", "default", "const"]
        .iter()
        .find_map(|it| schema.get(*it))
    {
        return given.clone();
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    for choice in ["oneOf", "anyOf"] {
        let of = schema[choice].as_array().into_iter().flatten();
        if let Some(first) = of.into_iter().find(|it| it["type"] != "null") {
            return sample(document, first);
        }
    }
    if let Some(all) = schema["allOf"].as_array() {
        let parts = all.iter().map(|it| sample(document, it));
        let members = parts.filter_map(|it| it.as_object().cloned()).flatten();
        return Value::Object(members.collect());
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.clone(),
        kind => vec![kind.clone()],
    };
    let kind = kinds
        .iter()
        .find(|it| **it != "null")
        .and_then(Value::as_str);
    match kind.unwrap_or("object") {
        "array" => json!([sample(document, &schema["items"])]),
        "integer" => schema.get("minimum").cloned().unwrap_or(json!(1)),
        "boolean" => json!(true),
        "string" if schema["format"] == "date-time" => json!(in_a_month()),
        "string" => json!("x"),
        _ => {
            let mut members = Map::new();
            for name in schema["required"].as_array().into_iter().flatten() {
                let name = name.as_str().unwrap();
                members.insert(
                    name.to_owned(),
                    sample(document, &schema["properties"][name]),
                );
            }
            Value::Object(members)
        }
    }
}

fn now_s() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

fn in_a_month() -> String {
    let at = time::OffsetDateTime::from_unix_timestamp(now_s() + 30 * 24 * 3600).unwrap();
    at.format(&time::format_description::well_known::Rfc3339)
        .unwrap()
}
