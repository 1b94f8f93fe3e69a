//! A dry run goes the way of the request and signs nothing.

use chancery::audit::leaf::{Event, Leaf};
use serde_json::{Value, json};

use crate::l2;
use crate::stand::{Stand, refused, with};
use crate::support::{Answer, Caller, order};

const ORDERS: &str = "/v1/wallets/d-w/orders";
const ASSERTIONS: &str = "/v1/clients/d-c/assertions";

fn dry() -> Value {
    with("dryRun", json!(true))
}

/// What was said would be signed.
#[track_caller]
fn told<'a>(answer: &'a Answer, operation: &str) -> &'a Value {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let said = &answer.json;
    assert_eq!(said["dryRun"], true, "{}", answer.text);
    assert_eq!(said["operation"], operation, "{}", answer.text);
    let digest = said["digest"].as_str().unwrap();
    assert!(digest.len() == 66 && digest.starts_with("0x"), "{digest}");
    assert!(said["record"].is_object(), "{}", answer.text);
    for member in ["id", "signature", "client_assertion"] {
        assert!(said[member].is_null(), "{member}: {}", answer.text);
    }
    said
}

/// The leaves of dry runs: of what, and the digest that was told.
async fn on_record(stand: &Stand, wanted: usize) -> Vec<(String, String)> {
    for _ in 0..100 {
        let leaves = "select leaf from leaves where kind = 'dry-run' order by batch, position";
        let leaves = sqlx::query_scalar::<_, Vec<u8>>(leaves);
        let leaves = leaves.fetch_all(&stand.database.pool).await.unwrap();
        if leaves.len() >= wanted {
            let runs = leaves.iter().map(|leaf| {
                let Event::DryRun(run) = Leaf::from_bytes(leaf).unwrap().event else {
                    panic!("no dry run");
                };
                (run.action, format!("0x{}", hex::encode(run.digest)))
            });
            return runs.collect();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("dry runs are not on record");
}

async fn limit(stand: &Stand, most: &str) {
    let limits = json!({ "notional_1h": most });
    crate::limited::set(stand, "caller/d-trader", limits).await;
}

async fn post_as(who: &Caller, key: &str, body: &Value) -> Answer {
    who.post_as(key, ORDERS, body).await.unwrap()
}

#[tokio::test]
async fn it_says_what_would_be_signed_and_by_what_and_leaves_nothing_but_a_leaf() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    limit(&stand, "40000000").await;
    l2::trading_key(&stand, l2::KEY).await;
    let jtis = stand.database.count("select count(*) from jtis").await;

    let first = post_as(&stand.trader, "k", &dry()).await;
    let said = told(&first, "order");
    let wallet = stand.trader.get("/v1/wallets/d-w").await.json;
    let key = stand.trader.get("/v1/keys/d-wk").await.json;
    assert_eq!(said["key"], key["id"]);
    assert_eq!(said["record"]["order"]["maker"], wallet["funder"], "{said}");
    assert!(!said["rules"].as_array().unwrap().is_empty(), "{said}");
    let bound = &said["limits"][0];
    assert_eq!(bound["limit"], "notional_1h", "{said}");
    assert_eq!(
        (&bound["used"], &bound["left"]),
        (&json!("0"), &json!("40000000"))
    );
    assert_eq!(bound["scope"], "caller");

    // Once more under the same key: nothing was kept, and nothing counted.
    let again = post_as(&stand.trader, "k", &dry()).await;
    assert_eq!(told(&again, "order")["limits"], said["limits"]);
    assert_ne!(again.json["digest"], said["digest"], "another salt");
    assert!(!again.headers.contains_key("idempotency-replayed"));

    let assertion = stand
        .trader
        .post(ASSERTIONS, &json!({ "dryRun": true }))
        .await;
    told(&assertion, "assertion");
    assert_eq!(assertion.headers["cache-control"], "no-store");
    let request = json!({ "method": "GET", "path": "/data/orders", "dryRun": true });
    let headers = stand
        .trader
        .post("/v1/wallets/d-w/l2-headers", &request)
        .await;
    told(&headers, "l2-headers");
    assert!(!headers.text.contains(l2::SECRET), "{}", headers.text);

    assert_eq!(stand.signed().await, (0, 0));
    let counted = stand.database.count("select count(*) from jtis").await;
    assert_eq!(counted, jtis, "no jti is taken");
    let told = [&first, &again, &assertion, &headers].map(|it| it.json["digest"].clone());
    let actions = [
        "sign_order",
        "sign_order",
        "issue_assertion",
        "issue_l2_headers",
    ];
    let wanted = actions
        .iter()
        .zip(&told)
        .map(|(action, digest)| ((*action).to_owned(), digest.as_str().unwrap().to_owned()));
    let wanted: Vec<_> = wanted.collect();
    assert_eq!(on_record(&stand, 4).await, wanted);

    // The key stands for nothing yet.
    let signed = post_as(&stand.trader, "k", &order()).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    assert!(
        signed.json["order"]["signature"].is_string(),
        "{}",
        signed.text
    );
    stand.still_signs().await;
}

#[tokio::test]
async fn in_a_batch_what_is_tried_out_is_not_signed_and_the_rest_is() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let mut off = dry();
    off["price"] = "0.567".into();
    let batch = json!({ "orders": [dry(), order(), off, dry()] });
    let path = "/v1/wallets/d-w/orders/batch";
    let done = stand.trader.post_as("k", path, &batch).await.unwrap();
    assert_eq!(done.status, 200, "{}", done.text);
    let orders = done.json["orders"].as_array().unwrap();
    for tried in [&orders[0], &orders[3]] {
        assert_eq!(tried["status"], 200, "{}", done.text);
        assert_eq!(tried["dryRun"]["operation"], "order", "{}", done.text);
        assert!(tried.get("order").is_none(), "{}", done.text);
    }
    let signature = &orders[1]["order"]["order"]["signature"];
    assert!(signature.is_string(), "{}", done.text);
    assert_eq!(orders[2]["status"], 422, "{}", done.text);
    assert_eq!(stand.signed().await.0, 1);
    // Once more under its key: the signed one is the same, and the others are tried out again.
    let again = stand.trader.post_as("k", path, &batch).await.unwrap();
    assert_eq!(again.json["orders"][1]["replayed"], true, "{}", again.text);
    assert_eq!(
        again.json["orders"][0]["dryRun"]["dryRun"], true,
        "{}",
        again.text
    );
    assert_eq!(stand.signed().await.0, 1);
}

#[tokio::test]
async fn it_is_refused_as_the_request_itself_would_be() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let auditor = stand.another("auditor", "d", "auditor").await;
    let stranger = stand.another("stranger", "e", "trader").await;
    let both = async |who: &Caller, wanted: (u16, &str)| {
        for body in [dry(), order()] {
            let answer = who.post(ORDERS, &body).await;
            refused("either", &answer, wanted.0, wanted.1, "");
        }
    };
    both(&auditor, (403, "denied")).await;
    both(&stranger, (404, "not-found")).await;
    let wrong = stand
        .trader
        .post(ORDERS, &with("dryRun", json!("true")))
        .await;
    refused("no boolean", &wrong, 422, "invalid-field", "dryRun");
    let mut off = dry();
    off["price"] = "0.567".into();
    let off = stand.trader.post(ORDERS, &off).await;
    refused("off the tick", &off, 422, "order-refused", "price");

    limit(&stand, "1").await;
    for body in [dry(), order()] {
        let answer = stand.trader.post(ORDERS, &body).await;
        refused("either", &answer, 403, "limit-exceeded", "notional_1h");
        assert_eq!(answer.json["limit"]["value"], "1", "{}", answer.text);
    }
    let halt = json!({ "on": "wallet", "name": "d-w", "reason": "test" });
    let set = stand.operator.post("/v1/halts", &halt).await;
    assert_eq!(set.status, 201, "{}", set.text);
    both(&stand.trader, (403, "halted")).await;
    let lift = format!("/v1/halts/{}/lift", set.json["id"].as_str().unwrap());
    let lifted = stand
        .operator
        .post(&lift, &json!({ "reason": "over" }))
        .await;
    assert_eq!(lifted.status, 201, "{}", lifted.text);

    limit(&stand, "40000000").await;
    told(&stand.trader.post(ORDERS, &dry()).await, "order");
    let suspend = json!({ "to": "suspended", "reason": "test" });
    let suspended = stand.operator.post("/v1/keys/d-wk/steps", &suspend).await;
    assert!(suspended.status < 300, "{}", suspended.text);
    both(&stand.trader, (409, "key-not-active")).await;
    assert_eq!(stand.signed().await, (0, 0));
}
