//! P9: the log proves itself, to those who have its key and no trust in those who run it.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::doctor::{doctor, says};
use crate::stand::{Stand, refused};
use crate::support::{Caller, Database, order};

fn chancery(args: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_chancery");
    Command::new(program).args(args).output().unwrap()
}

/// What a command prints, and whether it was content.
pub(crate) fn said(args: &[&str]) -> (bool, String) {
    let output = chancery(args);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.success(),
        text(&output.stdout) + &text(&output.stderr),
    )
}

/// What a backup holds of the log.
const LOG: [&str; 6] = [
    "leaves",
    "log_batches",
    "log_nodes",
    "checkpoints",
    "log_head",
    "log_runs",
];

/// Keeps the log as a backup does, all of one moment; says how many leaves it has.
pub(crate) async fn back_up(database: &Database) -> i64 {
    let copies = LOG.map(|table| format!("create table {table}_before as table {table};"));
    let copies = copies.concat();
    let backup = format!("begin isolation level repeatable read; {copies} commit");
    database.run(&backup).await;
    database.count("select count(*) from leaves_before").await
}

/// Brings back what was kept.
pub(crate) async fn put_back(database: &Database) {
    for table in LOG {
        let back = format!("truncate {table}; insert into {table} select * from {table}_before");
        database.falsify(table, &back).await;
    }
}

pub(crate) async fn until<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(it) = found().await {
            return it;
        }
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "{what} did not come"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Signs an order, and waits until a published checkpoint covers it.
pub(crate) async fn proved(stand: &Stand, auditor: &Caller) -> (String, Vec<Value>) {
    let signed = stand.trader.post("/v1/wallets/d-w/orders", &order()).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    let id = signed.json["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/signatures/{id}/proofs");
    let proofs = until("a proof", async || {
        let proofs = auditor.get(&path).await;
        assert_eq!(proofs.status, 200, "{}", proofs.text);
        let proofs = proofs.json.as_array().unwrap().clone();
        let is_whole = proofs.len() == 2 && proofs.iter().all(|it| it["proof"].is_string());
        is_whole.then_some(proofs)
    });
    let proofs = proofs.await;
    (id, proofs)
}

/// Writes the export that the command makes of what the API tells, once something is published.
pub(crate) async fn export(auditor: &Caller, file: &Path) {
    let token_file = file.with_extension("token");
    std::fs::write(&token_file, &auditor.token).unwrap();
    let base = auditor.base.clone();
    let (token_file, file) = (token_file.display().to_string(), file.display().to_string());
    until("an export", async || {
        let (file, base, token_file) = (file.clone(), base.clone(), token_file.clone());
        let done = tokio::task::spawn_blocking(move || {
            said(&[
                "audit",
                "export",
                &file,
                "--url",
                &base,
                "--token-file",
                &token_file,
            ])
        });
        let (good, text) = done.await.unwrap();
        assert!(good || text.contains("nothing is published yet"), "{text}");
        good.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_signature_is_proved_offline_and_an_export_verifies() {
    let Some(stand) =
        Stand::new("[evidence]\norigin = \"chancery.test/log\"\ncheckpoint_every_ms = 200").await
    else {
        return;
    };
    let auditor = stand.another("audit", "auditors", "auditor").await;
    let (_, proofs) = proved(&stand, &auditor).await;
    assert_eq!(
        (&proofs[0]["kind"], &proofs[1]["kind"]),
        (&json!("intent"), &json!("released"))
    );
    // Its own trader may prove it, another desk may not know of it.
    let log = auditor.get("/v1/log").await;
    assert_eq!(log.status, 200, "{}", log.text);
    assert_eq!(log.json["origin"], "chancery.test/log");
    let key = log.json["key"].as_str().unwrap();
    let hidden = stand.trader.get("/v1/log").await;
    refused("the whole log", &hidden, 403, "denied", "view_log");

    let file = stand.deployment.file("order.tlog-proof");
    let name = file.display().to_string();
    for proof in &proofs {
        let text = proof["proof"].as_str().unwrap();
        std::fs::write(&file, text).unwrap();
        let (good, shown) = said(&["audit", "verify-proof", &name, "--key", key]);
        assert!(good, "{shown}");
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["leaf"]["kind"], proof["kind"]);
        // The leaf, a hash, the root, the index.
        for (line, with) in [("extra ", "extra A"), ("index ", "index 1")] {
            std::fs::write(&file, text.replacen(line, with, 1)).unwrap();
            let (good, shown) = said(&["audit", "verify-proof", &name, "--key", key]);
            assert!(!good, "{line}: {shown}");
        }
        let other = "chancery.test/log+00000000+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        assert!(!said(&["audit", "verify-proof", &name, "--key", other]).0);
    }

    let file = stand.deployment.file("export.jsonl");
    export(&auditor, &file).await;
    let whole = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let checkpoint = stand.deployment.file("kept.checkpoint");
    let head: Value = serde_json::from_str(lines[0]).unwrap();
    std::fs::write(&checkpoint, head["checkpoint"].as_str().unwrap()).unwrap();
    let (name, kept) = (file.display().to_string(), checkpoint.display().to_string());
    let verify = || {
        said(&[
            "audit",
            "verify",
            &name,
            "--key",
            key,
            "--checkpoint",
            &kept,
        ])
    };
    let (good, report) = verify();
    assert!(good, "{report}");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(
        (&report["released"], &report["open"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(report["covered"], json!(lines.len() - 1));

    // An interrupted export is gone on with, and comes to the same bytes.
    let cut = whole.len() - lines.last().unwrap().len() / 2;
    std::fs::write(&file, &whole[..cut]).unwrap();
    export(&auditor, &file).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), whole);

    // What does not follow from the lines: the checkpoint that was kept elsewhere.
    let shorter = lines[..lines.len() - 1].join("\n");
    std::fs::write(&file, shorter).unwrap();
    let (good, report) = verify();
    assert!(!good && report.contains("\"cut\""), "{report}");
}

#[tokio::test]
async fn an_older_database_is_not_served() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let published = stand.deployment.file("checkpoint");
    let evidence = format!(
        "[evidence]\ncheckpoint_every_ms = 200\ncheckpoint_file = \"{}\"",
        published.display()
    );
    stand.deployment.configure(&evidence);
    assert_eq!(stand.server.terminate(), Some(0));
    let server = stand.deployment.serve(&[]).await;
    let trader = server.caller(&stand.trader.token);
    until("a checkpoint", async || published.exists().then_some(())).await;
    let kept = back_up(&stand.database).await;
    let signed = trader.post("/v1/wallets/d-w/orders", &order()).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    until("a checkpoint of more than the backup holds", async || {
        let now = std::fs::read_to_string(&published).unwrap();
        let size: i64 = now.lines().nth(1).unwrap().parse().unwrap();
        (size > kept).then_some(())
    })
    .await;
    drop(server);
    put_back(&stand.database).await;
    let refused = stand.deployment.run(&["serve"]).unwrap_err();
    assert!(
        refused.contains("audit-rollback") && refused.contains("an older one"),
        "{refused}"
    );
    let (_, report) = doctor(&stand.deployment, &[]);
    says(&report, "audit log", "wrong", "audit-rollback");

    // A log of the same length that says something else is no better.
    let aside = stand.deployment.file("checkpoint.aside");
    std::fs::rename(&published, &aside).unwrap();
    let server = stand.deployment.serve(&[]).await;
    let trader = server.caller(&stand.trader.token);
    let signed = trader.post("/v1/wallets/d-w/orders", &order()).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    until("another story", async || published.exists().then_some(())).await;
    drop(server);
    std::fs::rename(&aside, &published).unwrap();
    let refused = stand.deployment.run(&["serve"]).unwrap_err();
    assert!(refused.contains("audit-rollback"), "{refused}");
}

#[tokio::test]
async fn nothing_is_signed_while_what_was_signed_is_not_published_in_time() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let published = stand.deployment.file("away/checkpoint");
    std::fs::create_dir(published.parent().unwrap()).unwrap();
    let evidence = format!(
        "[evidence]\ncheckpoint_every_ms = 100\nunpublished_at_most_s = 2\ncheckpoint_file = \"{}\"",
        published.display()
    );
    stand.deployment.configure(&evidence);
    let server = stand.deployment.serve(&[]).await;
    let trader = server.caller(&stand.trader.token);
    until("a checkpoint", async || published.exists().then_some(())).await;
    let (_, report) = doctor(&stand.deployment, &[]);
    says(
        &report,
        "audit log",
        "ok",
        "leaves, which begin with what was published",
    );
    let gone = stand.deployment.file("gone");
    std::fs::rename(published.parent().unwrap(), &gone).unwrap();
    let path = "/v1/wallets/d-w/orders";
    let late = until("a refusal", async || {
        let answer = trader.post(path, &order()).await;
        (answer.status != 200).then_some(answer)
    });
    refused(
        "the place is away",
        &late.await,
        503,
        "evidence-late",
        "no published checkpoint",
    );
    let batch = json!({ "orders": [order(), order()] });
    let batch = trader.post("/v1/wallets/d-w/orders/batch", &batch).await;
    assert!(batch.text.contains("evidence-late"), "{}", batch.text);
    let ready = trader.get("/readyz").await;
    assert_eq!(
        (ready.status, &ready.json["checks"]["evidence"]),
        (503, &json!("unavailable"))
    );
    std::fs::rename(&gone, published.parent().unwrap()).unwrap();
    until("a signature", async || {
        let answer = trader.post(path, &order()).await;
        (answer.status == 200).then_some(())
    })
    .await;

    // A leaf that is taken away before it has its place leaves a gap, and the service sees it.
    let hole =
        "insert into writers (boot, writer, version) values (gen_random_uuid(), 'hole', '0');
        insert into leaves (run, batch, position, subject_id, kind, leaf_hash, leaf)
        select max(run), 2, 0, gen_random_uuid(), 'admin', sha256('\\x00'), '' from writers";
    stand.database.run(hole).await;
    let late = until("a refusal", async || {
        let answer = trader.post(path, &order()).await;
        (answer.status != 200).then_some(answer)
    });
    refused("a gap", &late.await, 503, "evidence-late", "audit-gap");
    let (_, report) = doctor(&stand.deployment, &[]);
    says(&report, "audit log", "wrong", "audit-gap");
    server.heard("the audit log does not prove itself").await;
}
