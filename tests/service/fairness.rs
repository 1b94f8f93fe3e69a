//! No caller can stop another (P11), whatever one of them sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::rpc;
use crate::stand::{Stand, refused};
use crate::support::{self, Caller, order};

const PATIENCE: Duration = Duration::from_secs(30);

/// A request of this caller's with a body of which nothing comes; it has its place when this returns, or
/// its refusal.
async fn slow(caller: &Caller) -> (TcpStream, String) {
    let head = format!(
        "POST /v1/wallets/d-w/orders HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nIdempotency-Key: slow\r\n\
         Content-Type: application/json\r\nContent-Length: 400\r\nExpect: 100-continue\r\n\r\n",
        caller.token
    );
    let address = caller.base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut line = [0; 12];
    stream.read_exact(&mut line).await.unwrap();
    (stream, String::from_utf8_lossy(&line).into_owned())
}

#[tokio::test]
async fn a_thousand_slow_bodies_of_one_caller_leave_every_trader_served() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);

    let token = support::desk(&stand.operator, "e", "soft").await;
    let other = stand.server.caller(&token);
    let loafer = stand.another("loafer", "nobody", "auditor").await;
    let mut held = Vec::new();
    let mut turned_away = 0;
    for _ in 0..1_030 {
        let (stream, line) = slow(&loafer).await;
        match line.as_str() {
            "HTTP/1.1 100" => held.push(stream),
            "HTTP/1.1 429" => turned_away += 1,
            _ => panic!("{line}"),
        }
    }
    assert_eq!((held.len(), turned_away), (512, 518));
    let one_more = loafer.get("/v1/clients").await;
    refused(
        "one more",
        &one_more,
        429,
        "too-much-at-once",
        "you have 512 requests",
    );
    assert_eq!(one_more.headers["retry-after"], "1");
    for _ in 0..10 {
        stand.still_signs().await;
        let signed = other.post("/v1/wallets/e-w/orders", &order()).await;
        assert_eq!(signed.status, 200, "{}", signed.text);
    }
    drop(held);
    let free = async { while loafer.get("/v1/clients").await.status != 200 {} };
    timeout(PATIENCE, free).await.unwrap();
}

#[tokio::test]
async fn who_has_little_under_way_is_served_by_a_full_service() {
    let settings = "[http]\nlisten = \"127.0.0.1:0\"\nconcurrent_requests = 8";
    let Some(mut stand) = Stand::new(settings).await else {
        return;
    };
    let loafer = stand.another("loafer", "nobody", "auditor").await;
    let mut held = Vec::new();
    loop {
        let (stream, line) = slow(&loafer).await;
        if line != "HTTP/1.1 100" {
            break;
        }
        held.push(stream);
    }
    assert_eq!(held.len(), 8);
    refused(
        "full",
        &loafer.get("/v1/clients").await,
        503,
        "busy",
        "limit",
    );
    stand.still_signs().await;
}

#[tokio::test]
async fn bodies_that_wait_in_memory_are_counted_for_each_caller() {
    let settings = "[http]\nlisten = \"127.0.0.1:0\"\nbody_bytes_per_caller = 1000";
    let Some(mut stand) = Stand::new(settings).await else {
        return;
    };
    let mut large = order();
    large["tokenID"] = "1".repeat(1_000).into();
    let answer = stand.trader.post("/v1/wallets/d-w/orders", &large).await;
    refused(
        "large",
        &answer,
        429,
        "too-much-at-once",
        "more than 1000 bytes",
    );
    stand.still_signs().await;
}

#[tokio::test]
async fn long_texts_and_questions_without_a_right_leave_nothing_on_record() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let loafer = stand.another("loafer", "nobody", "trader").await;
    let leaves = async || stand.database.count("select count(*) from leaves").await;
    let before = leaves().await;
    let long = "a".repeat(60_000);
    for query in [
        format!("apiKey={long}"),
        format!("wallet={long}"),
        format!("nonce={long}"),
        "apiKey=%20".into(),
    ] {
        for caller in [&loafer, &stand.operator] {
            let answer = caller.get(&format!("/v1/nonces?{query}")).await;
            refused("long", &answer, 400, "malformed-query", "");
            assert!(answer.text.len() < 5_000, "{}", answer.text.len());
        }
    }
    let nothing = loafer.get("/v1/nonces?apiKey=a").await;
    assert_eq!((nothing.status, nothing.text.as_str()), (200, "[]"));
    assert_eq!(leaves().await, before);
}

/// How much of one caller's comes between two things of another's, who asks one after the other.
async fn between(stand: &Stand, wallet: &str) -> Vec<i64> {
    let sql = "select count(*) filter (where w.name <> $1) from (
                   select w.name, count(*) filter (where w.name = $1) over (order by i.id) as turn
                   from intents i join wallets w on w.id = i.subject_id
               ) w group by turn order by turn";
    let counts = sqlx::query_scalar(sql).bind(wallet);
    counts.fetch_all(&stand.database.pool).await.unwrap()
}

/// Sends batches of calls on many connections until it is told to stop.
fn flood(caller: &Caller, address: &str, stop: &Arc<AtomicBool>) -> JoinSet<()> {
    let mut calls = JoinSet::new();
    for connection in 0..40 {
        let (caller, stop) = (caller.clone(), stop.clone());
        let batch: Vec<Value> = (0..100)
            .map(|id| {
                let mut data = rpc::order(address);
                data["message"]["salt"] = json!((connection * 100 + id).to_string());
                json!({ "jsonrpc": "2.0", "id": id, "method": "eth_signTypedData_v4", "params": [address, data] })
            })
            .collect();
        let body = json!(batch).to_string();
        calls.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                rpc::post(&caller, &body).await;
            }
        });
    }
    calls
}

#[tokio::test]
async fn batches_on_many_connections_do_not_pass_anothers_orders() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let token = support::desk(&stand.operator, "e", "soft").await;
    let greedy = stand.server.caller(&token);
    let shown = greedy.get("/v1/wallets/e-w").await;
    let address = shown.json["address"].as_str().unwrap().to_owned();
    let stop = Arc::default();
    let flood = flood(&greedy, &address, &stop);
    let begun = "select count(*) from intents";
    timeout(PATIENCE, async {
        while stand.database.count(begun).await < 200 {}
    })
    .await
    .unwrap();
    for _ in 0..40 {
        let signed = stand.trader.post("/v1/wallets/d-w/orders", &order()).await;
        assert_eq!(signed.status, 200, "{}", signed.text);
    }
    stop.store(true, Ordering::Relaxed);
    flood.join_all().await;
    let between = between(&stand, "d-w").await;
    println!("between: {between:?}");
    let mut between = between[1..40].to_vec();
    between.sort_unstable();
    assert!(between.iter().sum::<i64>() > 40, "{between:?}: a flood");
    // Of the flood's four thousand calls only those pass that were under way, and what is begun
    // meanwhile.
    assert!(between[20] <= 100, "{between:?}");
}
