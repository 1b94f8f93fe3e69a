//! `/rpc` speaks JSON-RPC, whatever comes and whatever stands in the way.

use base64::Engine;
use reqwest::Method;
use serde_json::{Value, json};

use crate::rpc::{address, post, refused};
use crate::stand::Stand;
use crate::support::Answer;

const ACCOUNTS: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_accounts"}"#;

#[tokio::test]
async fn an_id_comes_back_as_it_was_sent_and_parameters_may_be_left_out() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let address = address(&stand).await;
    for (sent, method, result) in [
        ("42", "eth_accounts", json!([address])),
        ("\"a\\u0062\"", "eth_requestAccounts", json!([address])),
        ("null", "eth_chainId", json!("0x89")),
        ("18446744073709551616123", "net_version", json!("137")),
        ("-1.50", "net_version", json!("137")),
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{sent},"method":"{method}"}}"#);
        let answer = post(&stand.trader, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.headers["content-type"], "application/json");
        let id = format!("\"id\":{sent},");
        assert!(answer.text.contains(&id), "{}", answer.text);
        assert_eq!(answer.json["result"], result, "{}", answer.text);
    }
}

/// Bodies that are no call: what comes back has no id.
const BODIES: [(&str, i64); 13] = [
    ("", -32700),
    ("{", -32700),
    ("{}{}", -32700),
    ("\u{fffd}", -32700),
    ("[]", -32600),
    ("1", -32600),
    ("null", -32600),
    ("{}", -32600),
    (
        r#"{"jsonrpc":"2.0","id":{},"method":"eth_accounts"}"#,
        -32600,
    ),
    (
        r#"{"jsonrpc":"2.0","id":[1],"method":"eth_accounts"}"#,
        -32600,
    ),
    (
        r#"{"jsonrpc":"2.0","id":true,"method":"eth_accounts"}"#,
        -32600,
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"id":1,"method":"eth_accounts"}"#,
        -32600,
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"a"}"#,
        -32600,
    ),
];

/// The rest of calls after their version and id: the error and the problem.
#[rustfmt::skip]
const CALLS: [(&str, i64, &str); 15] = [
    (r#""method":1"#, -32600, "malformed-body"),
    (r#""method":null"#, -32600, "malformed-body"),
    (r#""method":"eth_accounts","params":1"#, -32600, "malformed-body"),
    (r#""method":"eth_estimateGas""#, -32601, "rpc-method-unsupported"),
    (r#""method":"ETH_ACCOUNTS""#, -32601, "rpc-method-unsupported"),
    (r#""method":"eth_sign","params":["0x00","0x00"]"#, 4200, "rpc-method-unsupported"),
    (r#""method":"personal_sign","params":["0x00","0x00"]"#, 4200, "rpc-method-unsupported"),
    (r#""method":"eth_sendTransaction","params":[{}]"#, 4200, "rpc-method-unsupported"),
    (r#""method":"eth_signTransaction","params":[{}]"#, -32602, "typed-data-refused"),
    (r#""method":"eth_sendRawTransaction","params":["0x00"]"#, 4200, "rpc-method-unsupported"),
    (r#""method":"eth_signTypedData_v4","params":["0x0000000000000000000000000000000000000000","\"{}\""]"#, -32602, "typed-data-refused"),
    (r#""method":"eth_signTypedData_v4""#, -32602, "invalid-field"),
    (r#""method":"eth_signTypedData_v4","params":{}"#, -32602, "invalid-field"),
    (r#""method":"eth_signTypedData_v4","params":["0x00","{}"]"#, -32602, "invalid-field"),
    (r#""method":"eth_signTypedData","params":[[],"0x00"]"#, -32602, "invalid-field"),
];

#[tokio::test]
async fn what_is_no_call_is_an_error_of_the_right_code() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    for (body, code) in BODIES {
        let answer = post(&stand.trader, body).await;
        assert_eq!(
            (answer.status, &answer.json["id"]),
            (200, &Value::Null),
            "{body}"
        );
        refused(body, &answer.json, code, "malformed-body", "");
    }
    let old = r#"{"jsonrpc":"1.0","id":"x","method":"eth_accounts"}"#;
    refused(
        old,
        &post(&stand.trader, old).await.json,
        -32600,
        "malformed-body",
        "2.0",
    );
    for (rest, code, problem) in CALLS {
        let body = format!(r#"{{"jsonrpc":"2.0","id":"x",{rest}}}"#);
        let answer = post(&stand.trader, &body).await;
        assert_eq!(
            (answer.status, &answer.json["id"]),
            (200, &json!("x")),
            "{rest}"
        );
        refused(rest, &answer.json, code, problem, "");
    }
    assert_eq!(stand.signed().await, (0, 0));
}

#[tokio::test]
async fn a_batch_is_answered_in_its_order_and_a_notification_not_at_all() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let one = r#"{"jsonrpc":"2.0","id":7,"method":"eth_chainId"}"#;
    let nobody = r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#;
    let answer = post(&stand.trader, &format!("[{one}]")).await;
    let alone = json!([{ "jsonrpc": "2.0", "id": 7, "result": "0x89" }]);
    assert_eq!(answer.json, alone, "a batch of one is a batch");
    let answer = post(&stand.trader, &format!("[1,{nobody},{one},{{}}]")).await;
    let answers = answer.json.as_array().unwrap();
    let codes: Vec<_> = answers.iter().map(|it| &it["error"]["code"]).collect();
    assert_eq!(codes, [&json!(-32600), &Value::Null, &json!(-32600)]);
    for silent in [nobody.to_owned(), format!("[{nobody},{nobody}]")] {
        let answer = post(&stand.trader, &silent).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""), "{silent}");
    }
    let answer = post(&stand.trader, &format!("[{}]", [one; 100].join(","))).await;
    assert_eq!(answer.json.as_array().unwrap().len(), 100);
    let answer = post(&stand.trader, &format!("[{}]", [one; 101].join(","))).await;
    refused("101 calls", &answer.json, -32600, "malformed-body", "101");
}

#[tokio::test]
#[rustfmt::skip]
async fn every_status_has_a_json_rpc_body() {
    let Some(stand) = Stand::new("[http]\nlisten = \"127.0.0.1:0\"\nbody_limit_bytes = 1024").await
    else {
        return;
    };
    let bearer = format!("Bearer {}", stand.trader.token);
    let large = format!("{ACCOUNTS}{}", " ".repeat(9 * 1024));
    for (what, method, authorization, kind, body, status, code) in [
        ("nobody", Method::POST, "", "application/json", ACCOUNTS, 401, 4100),
        ("a stranger", Method::POST, "Bearer chancery_x", "application/json", ACCOUNTS, 401, 4100),
        ("a broken Basic", Method::POST, "Basic !", "application/json", ACCOUNTS, 401, 4100),
        ("no password", Method::POST, "Basic YQ==", "application/json", ACCOUNTS, 401, 4100),
        ("another scheme", Method::POST, "Digest a", "application/json", ACCOUNTS, 401, 4100),
        ("another method", Method::GET, &bearer, "application/json", "", 405, -32600),
        ("no JSON", Method::POST, &bearer, "text/plain", ACCOUNTS, 415, -32600),
        ("too large", Method::POST, &bearer, "application/json", &large, 413, -32600),
    ] {
        let request = stand.trader.http.request(method, format!("{}/rpc", stand.server.base));
        let mut request = request.header("content-type", kind).body(body.to_owned());
        if !authorization.is_empty() {
            request = request.header("authorization", authorization);
        }
        let answer = Answer::of(request).await.unwrap();
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
        assert_eq!(answer.headers["content-type"], "application/json", "{what}");
        assert!(answer.headers.contains_key("x-request-id"), "{what}");
        assert_eq!(answer.json["id"], Value::Null, "{what}");
        assert_eq!(answer.json["error"]["code"], code, "{what}: {}", answer.text);
        assert_eq!(answer.json["error"]["data"]["status"], status, "{what}");
    }
    let large = format!("{ACCOUNTS}{}", " ".repeat(7 * 1024));
    assert_eq!(post(&stand.trader, &large).await.status, 200, "eight times the limit of one request");
}

#[tokio::test]
async fn the_token_is_the_password_of_anybody_here_and_nowhere_else() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    for user in ["", "anybody", "a@b"] {
        let pair = format!("{user}:{}", stand.trader.token);
        let pair = base64::engine::general_purpose::STANDARD.encode(pair);
        let ask = |request: reqwest::RequestBuilder| {
            Answer::of(request.header("authorization", format!("Basic {pair}")))
        };
        let http = &stand.trader.http;
        let request = http.post(format!("{}/rpc", stand.server.base));
        let request = request.header("content-type", "application/json");
        let answer = ask(request.body(ACCOUNTS)).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        let elsewhere = http.get(format!("{}/v1/wallets", stand.server.base));
        assert_eq!(ask(elsewhere).await.unwrap().status, 401);
    }
}
