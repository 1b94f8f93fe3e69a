//! `chancery bench`: what it prints adds up, and what it starts ends.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::stand::Stand;
use crate::support::{Scratch, skip};

fn bench(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chancery"));
    command.arg("bench").args(args).stdin(Stdio::null());
    command
}

/// Against a service that runs; the JSON.
fn against(stand: &Stand, token: &Path, args: &[&str]) -> Value {
    let output = bench(args)
        .args(["--warm-up", "0", "--json", "-", "--url", &stand.server.base])
        .args(["--wallet", "d-w", "--token-file"])
        .arg(token)
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn row<'a>(report: &'a Value, name: &str) -> &'a Value {
    let mut rows = report["rows"].as_array().unwrap().iter();
    let row = rows.find(|row| row["name"] == name);
    row.unwrap_or_else(|| panic!("no {name} in {report:#}"))
}

#[tokio::test]
async fn what_is_counted_is_what_was_signed() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let token = stand.deployment.dir.write("t", &stand.trader.token);
    let (before, _) = stand.signed().await;
    let args = [
        "--seconds",
        "0.3",
        "--connections",
        "3",
        "--batch",
        "4",
        "--client",
        "d-c",
    ];
    let report = against(&stand, &token, &args);
    let mut signed = 0;
    for (name, each) in [
        ("order", 1),
        ("batch of 4", 4),
        ("assertion", 1),
        ("lookup", 0),
        ("replay", 0),
    ] {
        let row = row(&report, &format!("{name}, 3 connections"));
        let requests = row["requests"].as_i64().unwrap();
        assert!(requests > 0, "{row:#}");
        assert_eq!(row["loop"], "closed");
        assert_eq!(
            (&row["refused"], &row["lost"]),
            (&0.into(), &0.into()),
            "{row:#}"
        );
        let histogram = row["histogram_us"].as_array().unwrap();
        let counted: i64 = histogram.iter().map(|it| it[1].as_i64().unwrap()).sum();
        assert_eq!(counted, requests);
        let latency = |name: &str| row["latency_us"][name].as_f64().unwrap();
        assert!(latency("p50") <= latency("p99") && latency("p99") <= latency("max"));
        signed += each * requests;
    }
    // One for the look-ups, and one on each connection to be repeated.
    let (after, ended) = stand.signed().await;
    assert_eq!(after - before, signed + 1 + 3);
    assert_eq!(after, ended);
    let ratios = report["ratios"].as_array().unwrap();
    assert!(
        ratios.is_empty(),
        "nothing is known of the machine behind it"
    );
    let left_out = report["left_out"].to_string();
    assert!(
        left_out.contains("l2") && left_out.contains("token"),
        "{left_out}"
    );
}

#[tokio::test]
async fn an_open_loop_asks_at_its_rate_and_a_flood_says_what_goes_on() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let token = stand.deployment.dir.write("t", &stand.trader.token);
    let args = ["--operation", "order", "--batch", "0", "--connections", "8"];
    let open = [&args[..], &["--rate", "40", "--seconds", "1"]].concat();
    let open = against(&stand, &token, &open);
    let row = row(&open, "order, 8 connections");
    assert_eq!((&row["loop"], &row["rate"]), (&"open".into(), &40.0.into()));
    let due = row["requests"].as_i64().unwrap() + row["unsent"].as_i64().unwrap();
    assert_eq!(due, 40, "{row:#}");
    let p99 = |of: &str| row[of]["p99"].as_f64().unwrap();
    assert!(p99("latency_us") >= p99("since_sent_us"), "{row:#}");

    let flood = [
        "--overload",
        "3",
        "--overload-connections",
        "12",
        "--seconds",
        "0.4",
    ];
    let flood = against(&stand, &token, &[&args[..], &flood].concat());
    let during = self::row(&flood, "order, 3 × as much");
    assert_eq!(during["loop"], "flood");
    assert!(during["unsent"].as_u64() > Some(0), "{during:#}");
    let ratios = flood["ratios"].as_array().unwrap();
    for kind in [
        "goodput-of-peak",
        "p99-ms-of-accepted",
        "ms-until-as-before",
    ] {
        let ratio = ratios.iter().find(|it| it["kind"] == kind);
        let value = ratio.and_then(|it| it["value"].as_f64());
        assert!(value.is_some_and(|it| it > 0.0), "{kind}: {ratios:#?}");
    }
}

#[test]
fn a_world_of_its_own_is_measured_beside_its_floors_and_is_gone_afterwards() {
    let scratch = Scratch::new();
    let file = |name: &str| scratch.path().join(name);
    let args = [
        "--backend",
        "token,sealed",
        "--operation",
        "order,lookup",
        "--batch",
        "2",
        "--connections",
        "1,2",
        "--seconds",
        "0.3",
        "--warm-up",
        "0",
    ];
    let mut command = bench(&args);
    command
        .arg("--json")
        .arg(file("json"))
        .arg("--svg")
        .arg(file("svg"));
    let Some(output) = ran(command.output().unwrap()) else {
        return;
    };
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("closed loop"), "{said}");
    let report: Value = serde_json::from_slice(&std::fs::read(file("json")).unwrap()).unwrap();
    assert!(report["ready_ms"].as_f64() > Some(0.0));
    let directory = report["directory"].as_str().unwrap();
    assert!(!Path::new(directory).exists(), "{directory} is still there");
    assert!(row(&report, "commit of one row, one at a time")["requests"].as_u64() > Some(0));
    let kinds = |row: &str| {
        let ratios = report["ratios"].as_array().unwrap().iter();
        let of_row = ratios.filter(|it| it["row"] == row);
        of_row
            .map(|it| it["kind"].as_str().unwrap())
            .collect::<Vec<_>>()
    };
    let sealed = row(&report, "order, sealed, 2 connections");
    assert!(sealed["cpu_us_each"]["service"].is_number(), "{sealed:#}");
    let lookup = kinds("lookup, sealed, 2 connections");
    assert!(lookup.contains(&"cost-beside-an-order"), "{report:#}");
    if report["left_out"].to_string().contains("SoftHSM2") {
        skip("SoftHSM2 is not installed");
    } else {
        let alone = kinds("order, token, 1 connections");
        assert!(
            alone.contains(&"ms-over-device-and-two-commits"),
            "{report:#}"
        );
        let both = kinds("batch of 2, token, 2 connections");
        assert!(both.contains(&"share-of-device"), "{report:#}");
        let device = row(&report, "C_Sign for order, token, 1 sessions");
        assert!(device["requests"].as_u64() > Some(0), "{device:#}");
    }
    let svg = std::fs::read_to_string(file("svg")).unwrap();
    assert!(
        svg.starts_with("<svg") && svg.contains("order, sealed, 2 connections"),
        "{svg}"
    );
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    let args = [
        "--backend",
        "sealed",
        "--operation",
        "order",
        "--seconds",
        "60",
    ];
    let mut child = bench(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let place = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let place = line.split_once("everything is in ")?.1;
        Some(place.split_once(" until")?.0.to_owned())
    });
    let Some(place) = place else {
        return drop(ran(child.wait_with_output().unwrap()));
    };
    assert!(Path::new(&place).join("pg/postmaster.pid").exists());
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("stopped before the end"),
        "{said}"
    );
    assert!(!Path::new(&place).exists(), "{place} is still there");
}

#[test]
fn what_cannot_be_measured_is_refused_with_what_to_do() {
    let scratch = Scratch::new();
    let token = scratch.write("token", "secret");
    let token = token.to_str().unwrap();
    let url = ["--url", "http://127.0.0.1:1"];
    for (args, said) in [
        (&["--connections", "0"][..], "1 to 100000 is wanted"),
        (&["--seconds", "0"], "a number above 0 is wanted"),
        (&["--rate", "1", "--overload"], "cannot be used with"),
        (
            &["--backend", "paper"],
            "possible values: token, sealed, kms, second",
        ),
        (
            &[&url[..], &["--backend", "sealed"]].concat(),
            "cannot be used with",
        ),
        (&url, "--token-file"),
        (
            &[&url[..], &["--token-file", token]].concat(),
            "name a wallet of that service",
        ),
        (
            &[
                "--url",
                "https://127.0.0.1:1",
                "--token-file",
                token,
                "--wallet",
                "w",
            ],
            "ask the service at its own address",
        ),
        (
            &[
                "--url",
                "http://10.0.0.1:1",
                "--token-file",
                token,
                "--wallet",
                "w",
            ],
            "in clear text",
        ),
    ] {
        let output = bench(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{args:?}");
        assert!(text.contains(said), "{args:?}: {text}");
    }
}

/// What it printed. `None`: it cannot run here, and that was said.
fn ran(output: Output) -> Option<Output> {
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("not installed"), "{said}");
        skip(&said);
        return None;
    }
    Some(output)
}
