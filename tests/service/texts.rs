//! Whatever text somebody sends, it is put on record as it is or refused by name, and no group aborts.

use serde_json::{Value, json};

use crate::l2::trading_key;
use crate::stand::{Stand, refused};
use crate::support::{Answer, Caller, order};

/// A character of each kind that Unicode, JSON or a database makes something of.
const CLASSES: [&str; 24] = [
    "\0",
    "\u{1}",
    "\t",
    "\u{1b}",
    "\u{7f}",
    "\u{80}",
    "\u{85}",
    "\u{a0}",
    "\u{ad}",
    "\u{300}",
    "\u{600}",
    "\u{200b}",
    "\u{2028}",
    "\u{202e}",
    "\u{d7ff}",
    "\u{e000}",
    "\u{fdd0}",
    "\u{feff}",
    "\u{fffd}",
    "\u{ffff}",
    "\u{10000}",
    "\u{1f600}",
    "\u{e0001}",
    "\u{10ffff}",
];

/// What JSON can write and text cannot be.
const BROKEN: [&str; 4] = [r"\ud800", r"\udc00", r"\udc00\ud800", r"\ud800\u0000"];

const L2: &str = "/v1/wallets/d-w/l2-headers";

/// A path, and what is posted there.
type Posted = (&'static str, Value);

/// Requests that are good as they are, and full of text: a trader's, and an operator's.
fn requests() -> (Vec<Posted>, Vec<Posted>) {
    let posted = json!({
        "order": { "salt": "7", "maker": "0x1", "tokenId": "1", "side": "BUY", "makerAmount": "1" },
        "owner": "k", "orderType": "GTC",
    });
    let mut whole = order();
    whole["orderType"] = json!("GTC");
    whole["owner"] = json!("k");
    let trader = vec![
        ("/v1/wallets/d-w/orders", whole.clone()),
        ("/v1/wallets/d-w/orders/batch", json!({ "orders": [whole] })),
        (
            L2,
            json!({ "method": "POST", "path": "/order", "body": posted.to_string() }),
        ),
        ("/v1/clients/d-c/assertions", json!({})),
        ("/v1/clients/d-c/tokens", json!({ "scope": "read:orders" })),
        (
            "/v1/orders/explain",
            json!({ "order": order(), "error": "invalid signature" }),
        ),
        (
            "/rpc",
            json!({ "jsonrpc": "2.0", "id": "1", "method": "eth_accounts", "params": ["a"] }),
        ),
    ];
    let operator = vec![
        (
            "/v1/keys",
            json!({ "name": "k", "purpose": "wallet", "backend": "soft", "environment": "dev01", "owner": "d" }),
        ),
        (
            "/v1/keys/adopt",
            json!({ "name": "k", "purpose": "wallet", "backend": "soft", "environment": "dev01", "owner": "d", "reason": "r" }),
        ),
        (
            "/v1/keys/spare/steps",
            json!({ "to": "active", "reason": "r" }),
        ),
        ("/v1/keys/spare/destruction", json!({ "reason": "r" })),
        (
            "/v1/wallets",
            json!({ "name": "w", "owner": "d", "key": "d-wk", "chainId": 137 }),
        ),
        ("/v1/wallets/d-w/nonces", json!({ "nonces": ["7"] })),
        (
            "/v1/wallets/d-w/builder-credentials",
            json!({ "apiKey": "a", "secret": "c2VjcmV0", "passphrase": "p" }),
        ),
        (
            "/v1/wallets/d-w/credentials",
            json!({ "mode": "create", "nonce": "0", "replaces": "k" }),
        ),
        (
            "/v1/clients",
            json!({ "name": "c", "owner": "d", "key": "d-ck", "client_id": "x" }),
        ),
        (
            "/v1/callers",
            json!({ "name": "x", "owner": "d", "roles": ["trader"] }),
        ),
        (
            "/v1/rotations",
            json!({ "client": "d-c", "new_key": "n", "target_at": "2030-01-01T00:00:00Z", "reason": "r" }),
        ),
    ];
    (trader, operator)
}

/// Where in a body there is text, as JSON pointers.
fn places(body: &Value) -> Vec<String> {
    let below = |name: String, value: &Value| -> Vec<String> {
        let below = places(value).into_iter();
        below.map(|place| format!("/{name}{place}")).collect()
    };
    match body {
        Value::String(_) => vec![String::new()],
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.flat_map(|(n, it)| below(n.to_string(), it)).collect()
        }
        Value::Object(members) => {
            let members = members.iter();
            members
                .flat_map(|(name, it)| below(name.clone(), it))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// The answer is no fault of the service's or its database's, and a refusal is a problem.
#[track_caller]
fn is_fair(what: &str, answer: &Answer) {
    // No CLOB and no authorization server is there to be asked.
    let elsewhere = ["venue-not-configured", "token-endpoint-unavailable"];
    let fair = answer.status < 500 || elsewhere.contains(&answer.problem());
    assert!(fair, "{what}: {} {}", answer.status, answer.text);
    if answer.status >= 400 && !what.starts_with("/rpc") {
        assert_eq!(
            answer.headers["content-type"], "application/problem+json",
            "{what}"
        );
    }
}

async fn send_raw(caller: &Caller, path: &str, body: String) -> Answer {
    let request = caller
        .http
        .post(format!("{}{path}", caller.base))
        .body(body);
    let request = request
        .header("content-type", "application/json")
        .header("idempotency-key", uuid::Uuid::new_v4().to_string());
    caller.send(request).await.unwrap()
}

#[tokio::test]
async fn no_text_in_a_body_aborts_a_group() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    trading_key(&stand, "k").await;
    let spare = json!({ "name": "spare", "purpose": "wallet", "backend": "soft", "environment": "dev01", "owner": "d" });
    let made = stand.operator.post("/v1/keys", &spare).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let (trader, operator) = requests();
    let mut sent = 0;
    for (caller, requests) in [(&stand.trader, trader), (&stand.operator, operator)] {
        for (path, body) in requests {
            for place in places(&body) {
                let was = body.pointer(&place).unwrap().as_str().unwrap().to_owned();
                for text in CLASSES
                    .iter()
                    .flat_map(|it| [(*it).to_owned(), format!("{was}{it}")])
                {
                    let mut body = body.clone();
                    *body.pointer_mut(&place).unwrap() = json!(text);
                    let answer = caller.post(path, &body).await;
                    let what = format!("{path}{place} {text:?}");
                    is_fair(&what, &answer);
                    if text.contains('\0') && path != "/rpc" {
                        assert_eq!(answer.status / 100, 4, "{what}: {}", answer.text);
                    }
                    sent += 1;
                }
                for broken in BROKEN {
                    let mut body = body.clone();
                    *body.pointer_mut(&place).unwrap() = json!("PLACE");
                    let body = body.to_string().replace("PLACE", broken);
                    let answer = send_raw(caller, path, body).await;
                    is_fair(&format!("{path}{place} {broken}"), &answer);
                    sent += 1;
                }
            }
        }
    }
    // A body inside a body, which the headers are for.
    for text in CLASSES
        .map(|it| json!(it).to_string())
        .into_iter()
        .chain(BROKEN.map(|it| format!("\"{it}\"")))
    {
        let body = format!(r#"{{"order":{{"salt":{text}}},"owner":"k","orderType":{text}}}"#);
        let body = json!({ "method": "POST", "path": "/order", "body": body });
        let answer = stand.trader.post(L2, &body).await;
        is_fair(&text, &answer);
        if text.contains("u0000") {
            refused(&text, &answer, 422, "invalid-field", "body");
        }
        sent += 1;
    }
    assert!(sent > 1_500, "{sent}");
    let log = stand.server.log();
    assert!(!log.contains("a group aborted"), "{log}");
    assert!(!log.contains("invalid byte sequence"), "{log}");
    stand.still_signs().await;
}

#[tokio::test]
async fn no_text_in_a_look_up_is_the_databases_fault() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let document = stand.trader.get("/openapi.json").await.json;
    let encode = |text: &str| {
        text.bytes()
            .fold(String::new(), |all, byte| format!("{all}%{byte:02X}"))
    };
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(operation) = item.get("get") else {
            continue;
        };
        let parameters = operation["parameters"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        for parameter in &parameters {
            let (name, place) = (parameter["name"].as_str().unwrap(), &parameter["in"]);
            if place == "header" {
                continue; // visible ASCII
            }
            for text in CLASSES
                .map(encode)
                .into_iter()
                .chain(["%ED%A0%80".to_owned(), "%FF".to_owned()])
            {
                let mut url = path.clone();
                if place == "path" {
                    url = url.replace(&format!("{{{name}}}"), &text);
                }
                let others = |path: String| {
                    path.replace("{wallet}", "d-w")
                        .replace("{client}", "d-c")
                        .replace("{key}", "d-wk")
                };
                url = others(url).replace(['{', '}'], "");
                if place == "query" {
                    url = format!("{url}?{name}={text}");
                }
                for caller in [&stand.trader, &stand.operator] {
                    let answer = caller.get(&url).await;
                    is_fair(&url, &answer);
                    let known = (answer.status, answer.problem());
                    if text == "%00" && place == "query" {
                        refused(&url, &answer, 400, "malformed-query", name);
                    } else if text == "%00" {
                        assert_eq!(known, (404, "not-found"), "{url}");
                    }
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 1_000, "{asked}");
    stand.still_signs().await;
}
