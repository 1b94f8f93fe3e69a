//! Copies of the log as it grows: each leaf arrives, in order, whoever is away or dies meanwhile.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::doctor::{doctor, says};
use crate::evidence::{said, until};
use crate::stand::{Stand, refused};
use crate::support::order;
use crate::support::receiver::{Does, Receiver};

fn copy(name: &str, to: &str, more: &str) -> String {
    format!("[[evidence.copies]]\nname = \"{name}\"\nto = \"{to}\"\n{more}\n")
}

/// Indexes as they came, and that each that is new follows the one before.
fn in_order(indexes: impl IntoIterator<Item = u64>) -> u64 {
    let mut next = 0;
    for index in indexes {
        assert!(index <= next, "{index} came before {next}");
        next = next.max(index + 1);
    }
    next
}

async fn leaves(stand: &Stand) -> u64 {
    let leaves = stand.database.count("select count(*) from leaves").await;
    leaves.cast_unsigned()
}

async fn sign(stand: &Stand, server: &crate::support::Server) {
    let trader = server.caller(&stand.trader.token);
    let signed = trader.post("/v1/wallets/d-w/orders", &order()).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |it| it.0).to_owned();
    let lines = whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

#[tokio::test]
async fn a_file_is_an_export_that_grows_and_goes_on_where_it_ended() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let (file, checkpoint) = (
        stand.deployment.file("copy.jsonl"),
        stand.deployment.file("checkpoint"),
    );
    let published = format!(
        "[evidence]\ncheckpoint_every_ms = 100\ncheckpoint_file = \"{}\"\n",
        checkpoint.display()
    );
    let to = format!("file:{}", file.display());
    stand
        .deployment
        .configure(&(published + &copy("disk", &to, "")));
    assert_eq!(stand.server.terminate(), Some(0));
    // Two replicas share the file. They are killed, and the last line is torn.
    let first = stand.deployment.serve(&[]).await;
    let second = stand.deployment.serve(&[]).await;
    for _ in 0..5 {
        sign(&stand, &first).await;
        sign(&stand, &second).await;
    }
    let all = leaves(&stand).await;
    let whole = async || (lines(&file).len() as u64 > all).then_some(());
    until("a copy of all", whole).await;
    drop((first, second));
    let mut torn = std::fs::read(&file).unwrap();
    torn.extend(b"{\"index\":4");
    std::fs::write(&file, torn).unwrap();
    let server = stand.deployment.serve(&[]).await;
    for _ in 0..3 {
        sign(&stand, &server).await;
    }
    let all = leaves(&stand).await;
    let whole = async || (lines(&file).len() as u64 > all).then_some(());
    until("a copy of all", whole).await;
    let copied = lines(&file);
    let indexes = copied[1..].iter().map(|it| it["index"].as_u64().unwrap());
    assert!(indexes.eq(0..all), "each once, and in order");

    // It verifies as it is, and the checkpoint that was kept covers what came since its first line.
    until("a checkpoint of all", async || {
        let note = std::fs::read_to_string(&checkpoint).unwrap();
        let size: u64 = note.lines().nth(1)?.parse().ok()?;
        (size >= all).then_some(())
    })
    .await;
    let (_, report) = doctor(&stand.deployment, &[]);
    says(&report, "copy of the log", "ok", "0 are not in it yet");
    let auditor = stand
        .another_at(&server, "audit", "auditors", "auditor")
        .await;
    let key = auditor.get("/v1/log").await.json["key"].clone();
    drop(server);
    let (file, checkpoint) = (file.display().to_string(), checkpoint.display().to_string());
    let key = key.as_str().unwrap();
    let args = [
        "audit",
        "verify",
        &file,
        "--key",
        key,
        "--checkpoint",
        &checkpoint,
    ];
    let (good, report) = said(&args);
    assert!(good, "{report}");

    // The file of another log is not written to.
    let other = Stand::new(&copy("disk", &to, "")).await.unwrap();
    other.server.heard("leaves are not copied for now").await;
    let log = other.server.log();
    assert!(log.contains("no copy of this log"), "{log}");
}

fn indexes(receiver: &Receiver) -> Vec<u64> {
    let mut all = Vec::new();
    for post in receiver.seen() {
        assert_eq!(post.headers["content-type"], "application/x-ndjson");
        assert_eq!(post.headers["authorization"], "Bearer let-me-in");
        for line in post.body.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            assert!(line["leaf"].is_string() && line["event"]["kind"].is_string());
            all.push(line["index"].as_u64().unwrap());
        }
    }
    all
}

#[tokio::test]
async fn a_server_is_told_each_leaf_and_whoever_may_not_do_without_it_waits() {
    let receiver = Receiver::start().await;
    for _ in 0..3 {
        receiver.next(Does::Answers(503, String::new()));
        receiver.next(Does::Breaks);
    }
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let token = stand.deployment.dir.write("siem.token", "let-me-in\n");
    let more = format!("token_file = \"{}\"\n", token.display());
    let config = |more: &str| copy("siem", &receiver.url, more);
    stand.deployment.configure(&config(&more));
    assert_eq!(stand.server.terminate(), Some(0));
    let first = stand.deployment.serve(&[]).await;
    let second = stand.deployment.serve(&[]).await;
    for _ in 0..5 {
        sign(&stand, &first).await;
        sign(&stand, &second).await;
    }
    let all = leaves(&stand).await;
    until("all of them", async || {
        (in_order(indexes(&receiver)) >= all).then_some(())
    })
    .await;
    let noted = "select next from log_copies where name = 'siem'";
    until("a note of it", async || {
        let next = stand.database.count(noted).await.cast_unsigned();
        (next >= all).then_some(())
    })
    .await;
    let before = indexes(&receiver).len();
    drop((first, second));

    // What it has is not sent again by whoever comes after.
    let block = format!("{more}late_after_s = 2\nwhen_late = \"block\"\n");
    stand.deployment.configure(&config(&block));
    let server = stand.deployment.serve(&[]).await;
    sign(&stand, &server).await;
    let all = leaves(&stand).await;
    until("all of them", async || {
        (in_order(indexes(&receiver)) >= all).then_some(())
    })
    .await;
    let seen = indexes(&receiver);
    let new: BTreeSet<u64> = seen[before..].iter().copied().collect();
    assert!(new.len() < 8, "{new:?}");

    // Away: whoever may not do without it does not sign; then it catches up, and all goes on.
    for _ in 0..1_000 {
        receiver.next(Does::Answers(500, String::new()));
    }
    let trader = server.caller(&stand.trader.token);
    let path = "/v1/wallets/d-w/orders";
    let late = until("a refusal", async || {
        let answer = trader.post(path, &order()).await;
        (answer.status != 200).then_some(answer)
    });
    let late = late.await;
    refused(
        "a copy is late",
        &late,
        503,
        "evidence-late",
        "the copy siem: it answered 500",
    );
    server.heard("a copy of the log is late").await;
    let ready = trader.get("/readyz").await;
    assert_eq!(ready.status, 503, "{}", ready.text);
    drop(server);
    let alarm = format!("{more}late_after_s = 1\n");
    stand.deployment.configure(&config(&alarm));
    let server = stand.deployment.serve(&[]).await;
    server.heard("a copy of the log is late").await;
    sign(&stand, &server).await;
    receiver.forget();
    let all = leaves(&stand).await;
    until("all of them", async || {
        (in_order(indexes(&receiver)) >= all).then_some(())
    })
    .await;
}

/// A syslog server that may hang up after so many bytes of a connection.
struct Syslog {
    address: String,
    connections: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Syslog {
    async fn start(ends: &'static [usize]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let connections: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let kept = connections.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let number = {
                    let mut all = kept.lock().unwrap();
                    all.push(Vec::new());
                    all.len() - 1
                };
                let end = ends.get(number).copied().unwrap_or(usize::MAX);
                let kept = kept.clone();
                tokio::spawn(async move {
                    let (mut some, mut taken) = ([0; 4096], 0);
                    while taken < end {
                        match stream.read(&mut some).await {
                            Ok(read) if read > 0 => {
                                kept.lock().unwrap()[number].extend(&some[..read]);
                                taken += read;
                            }
                            _ => return,
                        }
                    }
                });
            }
        });
        Self {
            address,
            connections,
        }
    }

    /// Whole messages, connection by connection.
    fn messages(&self) -> Vec<Vec<String>> {
        let all = self.connections.lock().unwrap();
        let read = |mut bytes: &[u8]| {
            let mut messages = Vec::new();
            while let Some(space) = bytes.iter().position(|it| *it == b' ') {
                let length: usize = std::str::from_utf8(&bytes[..space])
                    .unwrap()
                    .parse()
                    .unwrap();
                let Some(message) = bytes.get(space + 1..space + 1 + length) else {
                    break;
                };
                messages.push(String::from_utf8(message.to_vec()).unwrap());
                bytes = &bytes[space + 1 + length..];
            }
            messages
        };
        all.iter().map(|it| read(it)).collect()
    }
}

#[tokio::test]
async fn a_syslog_server_gets_what_a_broken_connection_lost_once_more() {
    let syslog = Syslog::start(&[3_000, 9_000]).await;
    let to = format!("syslog+tcp://{}", syslog.address);
    let Some(stand) = Stand::new(&copy("siem", &to, "")).await else {
        return;
    };
    let all = until("all of them", async || {
        sign(&stand, &stand.server).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let all = leaves(&stand).await;
        let connections = syslog.messages();
        let indexes = connections.iter().flatten().map(|message| {
            let (head, told) = message.split_once('{').unwrap();
            let told: Value = serde_json::from_str(&format!("{{{told}")).unwrap();
            let kind = told["event"]["kind"].as_str().unwrap();
            assert!(head.starts_with("<110>1 20"), "{head}");
            assert!(
                head.ends_with(&format!("Z - chancery - {kind} - ")),
                "{head}"
            );
            told["index"].as_u64().unwrap()
        });
        let next = in_order(indexes);
        (connections.len() > 2 && next >= all).then_some(all)
    })
    .await;
    assert!(all > 10, "{all}");
}

#[tokio::test]
async fn leaves_go_nowhere_in_the_clear_and_a_copy_that_cannot_be_is_no_start() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    for (to, more, why) in [
        ("http://siem.example.com/", "", "http only to this machine"),
        (
            "syslog+tcp://siem.example.com:601",
            "",
            "only to this machine",
        ),
        ("syslog://127.0.0.1", "", "syslog+tls"),
        ("/var/lib/copy", "", "file:/path"),
        (
            "file:/tmp/never",
            "token_file = \"/etc/hostname\"",
            "only an HTTP server",
        ),
        (
            "https://siem.example.com",
            "token_file = \"/no/such\"",
            "/no/such",
        ),
    ] {
        stand.deployment.configure(&copy("siem", to, more));
        let refused = stand.deployment.run(&["serve"]).unwrap_err();
        assert!(refused.contains(why), "{to}: {refused}");
    }
    let twice = copy("a", "file:/tmp/never", "") + &copy("a", "file:/tmp/never", "");
    stand.deployment.configure(&twice);
    let refused = stand.deployment.run(&["serve"]).unwrap_err();
    assert!(refused.contains("the name is taken"), "{refused}");
    let nowhere = copy("disk", "file:/no/such/folder/copy", "");
    stand.deployment.configure(&nowhere);
    let (_, report) = doctor(&stand.deployment, &[]);
    says(&report, "copy of the log", "wrong", "disk: ");
}
