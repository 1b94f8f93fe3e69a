//! What watches the service sees what it looks for, and nothing that it must not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Deployment, Postgres, Server, desk, order, skip};

const RULES: &str = include_str!("../../deploy/prometheus/rules.yml");
const DASHBOARD: &str = include_str!("../../deploy/grafana/chancery.json");
const ALERTS: &str = include_str!("../../deploy/guide/alerts.md");

/// Where the metrics of a service are.
pub(crate) async fn address(server: &Server) -> String {
    server.heard("\"message\":\"metrics\"").await;
    let log = server.log();
    let events = log
        .lines()
        .filter_map(|it| serde_json::from_str::<Value>(it).ok());
    let mut told = events.filter(|it| it["message"] == "metrics");
    told.next().unwrap()["listen"].as_str().unwrap().to_owned()
}

/// The page, once it has this on it.
pub(crate) async fn page_with(address: &str, what: &str) -> String {
    let looked = async {
        loop {
            let page = reqwest::get(format!("http://{address}/metrics"))
                .await
                .unwrap();
            assert_eq!(page.status(), 200);
            let kind = page.headers()["content-type"].to_str().unwrap();
            assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
            let text = page.text().await.unwrap();
            if text.contains(what) {
                return text;
            }
        }
    };
    let looked = tokio::time::timeout(Duration::from_secs(20), looked).await;
    looked.unwrap_or_else(|_| panic!("{what} did not come"))
}

/// The names of a page, each with the labels that its numbers have.
fn on_page(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut known = BTreeMap::<String, BTreeSet<String>>::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            let suffixes: &[&str] = if kind == "histogram" {
                &["_bucket", "_sum", "_count"]
            } else {
                &[""]
            };
            for suffix in suffixes {
                known.entry(format!("{name}{suffix}")).or_default();
            }
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            let labels = known.get_mut(name).unwrap_or_else(|| panic!("{line}"));
            labels.extend(labels_in(&line[name.len()..]));
        }
    }
    known
}

/// The names of the labels in braces, if the text begins with these.
fn labels_in(text: &str) -> Vec<String> {
    let Some(inside) = text.strip_prefix('{') else {
        return Vec::new();
    };
    let inside = inside.split('}').next().unwrap();
    let parts = inside
        .split(',')
        .filter_map(|it| it.split(['=', '!']).next());
    let parts = parts.filter(|it| !it.is_empty());
    parts.map(str::to_owned).collect()
}

/// What a text names of this service, each with the labels that it wants there.
fn named(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut named = BTreeMap::<String, BTreeSet<String>>::new();
    for start in ["chancery_", "process_"] {
        for (at, _) in text.match_indices(start) {
            let before = text[..at].chars().next_back().unwrap_or(' ');
            if before.is_alphanumeric() || before == '_' {
                continue;
            }
            let is_of_name = |it: char| it.is_ascii_lowercase() || it == '_';
            let rest = &text[at..];
            let end = rest.find(|it| !is_of_name(it)).unwrap_or(rest.len());
            let wanted = named.entry(rest[..end].to_owned()).or_default();
            wanted.extend(labels_in(&rest[end..]));
        }
    }
    named
}

/// All expressions of a dashboard.
fn expressions(of: &Value, found: &mut String) {
    match of {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let (true, Some(text)) = (name == "expr" || name == "query", value.as_str()) {
                    found.push_str(text);
                    found.push('\n');
                }
                expressions(value, found);
            }
        }
        Value::Array(all) => all.iter().for_each(|it| expressions(it, found)),
        _ => {}
    }
}

#[tokio::test]
async fn what_rules_and_dashboard_name_is_there_to_be_seen() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database().await;
    let deployment = Deployment::new(&database.url);
    let copy = deployment.file("copy.jsonl");
    deployment.configure(&format!(
        "[metrics]\nlisten = \"127.0.0.1:0\"\nlook_every_s = 1\n\
         [[evidence.copies]]\nname = \"disk\"\nto = \"file:{}\"",
        copy.display()
    ));
    let operator = deployment.bootstrap();
    let server = deployment.serve(&[]).await;
    let operator = server.caller(&operator);
    let token = desk(&operator, "canary", "soft").await;
    let trader = server.caller(&token);
    let limit = json!({ "notional_24h": "100000000" });
    let set = operator.put("/v1/limits/wallet/canary-w", &limit).await;
    assert!(set.status < 300, "{}", set.text);
    let orders = "/v1/wallets/canary-w/orders";
    let signed = trader.post_as("one", orders, &order()).await.unwrap();
    assert_eq!(signed.status, 200, "{}", signed.text);
    let refused = trader.get("/v1/log").await;
    assert_eq!(refused.problem(), "denied");

    let address = address(&server).await;
    // 11.7824 of 100 dollars.
    let used = "chancery_limit_used_ratio{scope=\"wallet\",limit=\"notional_24h\"} 0.117";
    let page = page_with(&address, used).await;
    for line in [
        "chancery_signatures_total{operation=\"sign_order\",backend=\"soft\",outcome=\"released\"} 1",
        "chancery_device_duration_seconds_count{operation=\"sign_order\",backend=\"soft\"} 1",
        "chancery_requests_total{operation=\"sign_order\",status=\"2xx\"} 1",
        "chancery_refusals_total{problem=\"denied\"} 1",
        "chancery_device_up{backend=\"soft\"} 1.0",
        "chancery_ledger_up 1.0",
        "chancery_rotations{state=\"overdue\"} 0.0",
        "chancery_halts 0.0",
    ] {
        assert!(page.lines().any(|it| it == line), "{line}: {page}");
    }
    let ends = "chancery_key_ends_timestamp_seconds{key=\"canary-wk\",purpose=\"wallet\"} ";
    assert!(page.contains(ends), "{page}");

    let mut dashboard = String::new();
    expressions(&serde_json::from_str(DASHBOARD).unwrap(), &mut dashboard);
    let expressions = RULES
        .lines()
        .filter(|it| it.trim_start().starts_with("expr:"));
    let rules: Vec<&str> = expressions.collect();
    let known = on_page(&page);
    // What Prometheus adds to whatever it reads.
    let added = ["instance", "job"];
    for (of, least, text) in [
        ("rules", 20, rules.join("\n")),
        ("dashboard", 25, dashboard),
    ] {
        let named = named(&text);
        assert!(named.len() >= least, "{of}: {named:?}");
        for (name, wanted) in named {
            let labels = known.get(&name).unwrap_or_else(|| panic!("{of}: {name}"));
            let wanted = wanted.iter().filter(|it| !added.contains(&it.as_str()));
            for label in wanted.filter(|_| !labels.is_empty()) {
                assert!(labels.contains(label), "{of}: {name} has no {label}");
            }
        }
    }
    // Nobody's name but that of keys and devices, and no secret.
    for secret in [
        token.as_str(),
        "canary-trader",
        "canary-w\"",
        "7132104567925",
    ] {
        assert!(!page.contains(secret), "{secret}: {page}");
    }

    let http = reqwest::Client::new();
    let rebound = http.get(format!("http://{address}/metrics"));
    let rebound = rebound.header("host", "evil.example").send().await.unwrap();
    assert_eq!(rebound.status(), 421);
    for path in ["healthz", "readyz"] {
        let health = http.get(format!("http://{address}/{path}")).send().await;
        assert_eq!(health.unwrap().status(), 200, "{path}");
    }
    let elsewhere = http.get(format!("http://{address}/v1/keys")).send().await;
    assert_eq!(elsewhere.unwrap().status(), 404);
    assert_eq!(operator.get("/metrics").await.status, 404);

    let file = deployment.dir.write("metrics", &page);
    let check = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::fs::File::open(file).unwrap())
        .output();
    let Ok(check) = check else {
        return skip("promtool is not installed");
    };
    assert!(check.status.success(), "{check:?}");
}

#[test]
fn each_alert_fires_on_its_series_and_on_no_other() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus");
    for command in [
        ["check", "rules", "rules.yml"],
        ["test", "rules", "rules.test.yml"],
    ] {
        let run = Command::new("promtool")
            .args(command)
            .current_dir(&rules)
            .output();
        let Ok(run) = run else {
            return skip("promtool is not installed");
        };
        assert!(run.status.success(), "{run:?}");
    }
}

#[test]
fn each_alert_has_a_test_and_a_paragraph_that_says_what_to_do() {
    let tests = include_str!("../../deploy/prometheus/rules.test.yml");
    let alerts = RULES
        .lines()
        .filter_map(|it| it.trim().strip_prefix("- alert: "));
    let alerts: Vec<&str> = alerts.collect();
    assert!(alerts.len() > 20, "{alerts:?}");
    for alert in &alerts {
        for name in [
            format!("- name: {alert}\n"),
            format!("- name: {alert}, all is well\n"),
        ] {
            assert!(tests.contains(&name), "{name}");
        }
        let paragraph = ALERTS.split(&format!("### {alert}\n\n")).nth(1);
        let paragraph = paragraph.unwrap_or_else(|| panic!("{alert}"));
        assert!(
            paragraph.split("\n\n").next().unwrap().len() > 60,
            "{alert}"
        );
        let link = format!("deploy/guide/alerts.md#{}\n", alert.to_lowercase());
        assert!(RULES.contains(&link), "{link}");
    }
    let paragraphs = ALERTS.lines().filter(|it| it.starts_with("### ")).count();
    assert_eq!(paragraphs, alerts.len());
}
