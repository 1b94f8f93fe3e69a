//! A request can be followed through the service and beyond it, and what is told of it is no secret.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::builder_sdk::{installed, python_packages, run};
use crate::kms::World;
use crate::stand::Stand;
use crate::support::receiver::{Does, Receiver};
use crate::support::{Caller, order};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What a collector got so far, as OpenTelemetry's own definitions read it. `None`: they cannot be had.
fn spans(collector: &Receiver) -> Option<Vec<Value>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/otlp");
    let wanted = folder.join("requirements.txt");
    let dir = installed("otlp", &wanted, |dir| python_packages(dir, &wanted))?;
    let bodies = collector.seen().into_iter();
    let bodies = bodies.map(|post| serde_json::from_str::<Value>(&post.body).unwrap());
    let mut python = Command::new("python3");
    python
        .arg(folder.join("read.py"))
        .env("PYTHONPATH", dir.join("packages"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Some(run(python, &bodies.collect::<Value>()))
}

/// Waits for a span by its name, and gives all that came of its trace by then.
async fn traced(collector: &Receiver, trace: &str, name: &str) -> Option<Vec<Value>> {
    for _ in 0..100 {
        let mut all = spans(collector)?;
        all.retain(|it| it["trace"] == trace);
        if all.iter().any(|it| it["name"] == name) {
            return Some(all);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no {name}: {:#?}", spans(collector));
}

fn named<'a>(spans: &'a [Value], name: &str) -> &'a Value {
    let found = spans.iter().find(|it| it["name"] == name);
    found.unwrap_or_else(|| panic!("no {name}: {spans:#?}"))
}

/// Posts something under a trace of the sender's.
async fn post(caller: &Caller, base: &str, path: &str, body: &Value, sent: &str) -> u16 {
    let request = caller.http.post(format!("{base}{path}")).json(body);
    let request = request
        .bearer_auth(&caller.token)
        .header("idempotency-key", "one")
        .header("traceparent", sent);
    request.send().await.unwrap().status().as_u16()
}

/// The `traceparent`s that somebody was asked under.
fn parents(asked: &Receiver) -> Vec<String> {
    let seen = asked.seen().into_iter();
    seen.filter_map(|post| post.headers.get("traceparent").cloned())
        .collect()
}

#[tokio::test]
async fn a_request_is_followed_to_the_clob_and_the_token_endpoint() {
    let (collector, venue, issuer) = (
        Receiver::start().await,
        Receiver::start().await,
        Receiver::start().await,
    );
    let more = format!(
        "[telemetry]\ntraces_url = \"{}\"\n[clob.polygon]\nurl = \"{}\"\n\
         [oauth.environments.near]\nissuer = \"https://near.example/\"\ntoken_endpoint = \"{}\"\ntoken_audience = \"https://api.near\"\n",
        collector.url, venue.url, issuer.url
    );
    let Some(stand) = Stand::new(&more).await else {
        return;
    };
    let base = &stand.server.base;
    let path = "/v1/wallets/d-w/orders";
    let mut wanted = order();
    wanted["version"] = json!(2);
    let status = post(&stand.trader, base, path, &wanted, SENT).await;
    assert_eq!(status, 200);
    let Some(all) = traced(&collector, TRACE, "POST /v1/wallets/{wallet}/orders").await else {
        return;
    };
    let request = named(&all, "POST /v1/wallets/{wallet}/orders");
    assert_eq!(request["parent"], "b7ad6b7169203331");
    assert_eq!(
        (&request["kind"], &request["status"]),
        (&json!(2), &json!(0))
    );
    assert_eq!(request["facts"]["http.response.status_code"], 200);
    assert_eq!(request["service"]["service.name"], "chancery");
    assert_eq!(request["service"]["service.instance.id"], "test");
    assert_eq!(
        request["moments"],
        json!(["intent-on-record", "device-done", "end-on-record"])
    );
    // The CLOB was asked about the market, under the call's own span.
    let call = named(&all, "GET");
    assert_eq!(
        (&call["parent"], &call["kind"]),
        (&request["span"], &json!(3))
    );
    assert_eq!(call["facts"]["server.address"], "127.0.0.1");
    let asked = parents(&venue);
    assert!(!asked.is_empty(), "the CLOB was asked");
    for parent in &asked {
        let known = all.iter().any(|it| {
            let span = it["span"].as_str().unwrap();
            *parent == format!("00-{TRACE}-{span}-01")
        });
        assert!(known, "{parent}");
    }
    // The log and the trace name each other.
    stand.server.heard(TRACE).await;

    // What goes wrong says so, and a sender who makes no sense begins a trace of its own.
    let status = post(
        &stand.trader,
        base,
        "/v1/wallets/none/orders",
        &order(),
        "00-nonsense",
    )
    .await;
    assert_eq!(status, 404);
    let refused = async {
        loop {
            let all = spans(&collector).unwrap();
            let found = all
                .iter()
                .find(|it| it["facts"]["error.type"] == "not-found");
            if let Some(found) = found {
                return found.clone();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let refused = tokio::time::timeout(Duration::from_secs(10), refused);
    let refused = refused.await.unwrap();
    assert_eq!(refused["parent"], "");
    assert_ne!(refused["trace"], TRACE);

    // Nothing that is a secret, and nobody's health.
    let said = collector.seen().into_iter().map(|it| it.body);
    let said = said.collect::<String>();
    for secret in [
        stand.trader.token.as_str(),
        "7132104567925",
        "/hook",
        "/readyz",
    ] {
        assert!(!said.contains(secret), "{secret}");
    }
    assert!(!collector.seen()[0].headers.contains_key("traceparent"));
}

#[tokio::test]
async fn a_signature_is_followed_to_kms() {
    let collector = Receiver::start().await;
    let more = format!("[telemetry]\ntraces_url = \"{}\"\n", collector.url);
    let Some(world) = World::open(&more).await else {
        return;
    };
    let path = "/v1/wallets/k-w/orders";
    let base = &world.server.base;
    assert_eq!(post(&world.in_kms, base, path, &order(), SENT).await, 200);
    let Some(all) = traced(&collector, TRACE, "POST /v1/wallets/{wallet}/orders").await else {
        return;
    };
    let sign = named(&all, "sign");
    assert_eq!(sign["facts"]["chancery.custody.backend"], "kms");
    let request = named(&all, "POST /v1/wallets/{wallet}/orders");
    assert_eq!(sign["parent"], request["span"]);
    let span = sign["span"].as_str().unwrap();
    assert_eq!(
        world.proxy.traces("Sign"),
        [format!("00-{TRACE}-{span}-01")]
    );
}

#[tokio::test]
async fn a_collector_that_is_away_stops_nobody_and_what_it_did_not_take_is_counted() {
    let collector = Receiver::start().await;
    for _ in 0..1_000 {
        collector.next(Does::Answers(400, String::new()));
    }
    let more = format!(
        "[metrics]\nlisten = \"127.0.0.1:0\"\n[telemetry]\ntraces_url = \"{}\"\n",
        collector.url
    );
    let Some(mut stand) = Stand::new(&more).await else {
        return;
    };
    stand.still_signs().await;
    stand.server.heard("traces are lost").await;
    collector.forget();
    stand.trader.get("/v1/wallets").await;
    stand.server.heard("the collector takes traces again").await;
    let address = crate::metrics::address(&stand.server).await;
    let metrics = crate::metrics::page_with(&address, "chancery_spans_sent_total").await;
    let count = |name: &str| {
        let line = metrics.lines().find(|it| it.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert!(count("chancery_spans_lost_total ") >= 1.0, "{metrics}");
    assert!(count("chancery_spans_sent_total ") >= 1.0, "{metrics}");
}

/// Where no traces are sent, who is asked hears of the sender's all the same.
#[tokio::test]
async fn a_trace_is_passed_on_where_none_is_recorded() {
    let venue = Receiver::start().await;
    let more = format!("[clob.polygon]\nurl = \"{}\"\n", venue.url);
    let Some(stand) = Stand::new(&more).await else {
        return;
    };
    let (trader, base) = (&stand.trader, &stand.server.base);
    let path = "/v1/wallets/d-w/orders";
    let mut wanted = order();
    wanted["version"] = json!(2);
    assert_eq!(post(trader, base, path, &wanted, SENT).await, 200);
    let asked = parents(&venue);
    assert!(
        !asked.is_empty() && asked.iter().all(|it| it == SENT),
        "{asked:?}"
    );
    let before = venue.seen().len();
    wanted["tokenID"] = json!("1");
    let (trader, body) = (&stand.trader, &wanted);
    assert_eq!(trader.post(path, body).await.status, 200);
    assert!(venue.seen().len() > before, "the CLOB was asked");
    assert_eq!(parents(&venue), asked, "nobody began a trace");
}
