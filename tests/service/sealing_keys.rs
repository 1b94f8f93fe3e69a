//! The keys that seal are replaced while the service runs, and their loss is told as what it is.

use std::process::Command;

use serde_json::{Value, json};

use crate::l2::{GIVE, KEY, given};
use crate::stand::{Stand, refused};
use crate::support::{Caller, Deployment, Server, order};

/// Writes the configuration with these key files: the first seals, the others only open.
fn keys(deployment: &Deployment, which: &str, files: &[&str]) {
    let (setting, former) = match which {
        "sealing.key" => ("key_file", "former_key_files"),
        _ => ("master_key_file", "former_master_key_files"),
    };
    let path = |name: &&str| deployment.file(name).display().to_string();
    let paths: Vec<String> = files.iter().map(path).collect();
    let text = std::fs::read_to_string(deployment.file("config.toml")).unwrap();
    let was = format!("{setting} = \"");
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with(&was) {
            lines.push(format!("{setting} = {:?}", paths[0]));
            lines.push(format!("{former} = {:?}", &paths[1..]));
        } else if !line.starts_with(former) {
            lines.push(line.to_owned());
        }
    }
    deployment.dir.write("config.toml", &lines.join("\n"));
}

fn new_key_file(deployment: &Deployment, name: &str) {
    let made = Command::new(env!("CARGO_BIN_EXE_chancery"))
        .args(["custody", "new-key-file"])
        .arg(deployment.file(name))
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

/// `chancery custody …` against a server.
fn custody(stand: &Stand, server: &Server, args: &[&str]) -> String {
    let token = stand
        .deployment
        .dir
        .write("op.token", &stand.operator.token);
    let done = Command::new(env!("CARGO_BIN_EXE_chancery"))
        .arg("custody")
        .args(args)
        .args(["--url", &server.base, "--token-file"])
        .arg(token)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

async fn signs(trader: &Caller) {
    let signed = trader.post("/v1/wallets/d-w/orders", &order()).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
}

async fn makes_headers(trader: &Caller) {
    let ask = json!({ "method": "POST", "path": "/order", "body": "{}" });
    let path = "/v1/wallets/d-w/builder-headers";
    let made = trader.post(path, &ask).await;
    assert_eq!(made.status, 200, "{}", made.text);
}

async fn make_key(operator: &Caller, name: &str) -> u16 {
    let key = json!({
        "name": name, "purpose": "wallet", "backend": "soft", "environment": "dev01", "owner": "d",
    });
    operator.post("/v1/keys", &key).await.status
}

/// What rests under each key of the keystore: keys and secrets, the one that seals first.
async fn rests(operator: &Caller) -> Vec<(i64, i64)> {
    let all = operator.get("/v1/custody").await;
    assert_eq!(all.status, 200, "{}", all.text);
    let count = |value: &Value| value.as_i64().unwrap();
    all.json["devices"][0]["sealing_keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| (count(&key["keys"]), count(&key["secrets"])))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_master_key_is_replaced_while_replicas_sign() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let given = stand.operator.post(GIVE, &given(KEY)).await;
    assert_eq!(given.status, 201, "{}", given.text);
    new_key_file(&stand.deployment, "new.key");

    // One replica seals with the new key already, the other still with the old one; both know both.
    keys(
        &stand.deployment,
        "keystore.key",
        &["keystore.key", "new.key"],
    );
    let behind = stand.deployment.serve(&[]).await;
    keys(
        &stand.deployment,
        "keystore.key",
        &["new.key", "keystore.key"],
    );
    let ahead = stand.deployment.serve(&[]).await;
    stand.server.terminate();
    let as_operator = |server: &Server| server.caller(&stand.operator.token);
    assert_eq!(make_key(&as_operator(&ahead), "made-ahead").await, 201);
    assert_eq!(make_key(&as_operator(&behind), "made-behind").await, 201);
    for server in [&ahead, &behind] {
        signs(&server.caller(&stand.trader.token)).await;
        makes_headers(&server.caller(&stand.trader.token)).await;
    }
    assert_eq!(rests(&as_operator(&ahead)).await, [(1, 0), (3, 1)]);

    // Killed on every line that matters, with a key under one or the other each time.
    for (point, left) in [
        ("resealed:1", [(1, 0), (3, 1)]),
        ("write-before-commit:1", [(1, 0), (3, 1)]),
        ("write-after-commit:1", [(2, 0), (2, 1)]),
    ] {
        let mut mortal = stand
            .deployment
            .serve(&[("CHANCERY_FAIL_POINT", point)])
            .await;
        let ask = json!({ "at_most": 1 });
        let path = "/v1/custody/soft/reseal";
        let died = as_operator(&mortal).post_as("one", path, &ask).await;
        assert!(died.is_err() && mortal.wait_killed(), "{point}");
        assert_eq!(rests(&as_operator(&ahead)).await, left, "{point}");
        signs(&behind.caller(&stand.trader.token)).await;
    }
    let (ask, operator) = (json!({ "at_most": 1 }), as_operator(&ahead));
    let again = operator.post_as("one", "/v1/custody/soft/reseal", &ask);
    let again = again.await.unwrap();
    assert_eq!(
        again.json["resealed"], 1,
        "the answer of the one that died: {}",
        again.text
    );
    assert_eq!(rests(&as_operator(&ahead)).await, [(2, 0), (2, 1)]);

    let said = custody(&stand, &ahead, &["reseal", "soft"]);
    assert!(said.contains("3 sealed anew, 0 could not be"), "{said}");
    assert!(
        said.contains("former: nothing rests under it, it can go"),
        "{said}"
    );
    assert_eq!(rests(&as_operator(&ahead)).await, [(4, 1), (0, 0)]);
    let said = custody(&stand, &ahead, &["reseal", "soft"]);
    assert!(said.contains("0 sealed anew, 0 could not be"), "{said}");
    for server in [&ahead, &behind] {
        signs(&server.caller(&stand.trader.token)).await;
        makes_headers(&server.caller(&stand.trader.token)).await;
    }

    // The former file is gone, and nobody misses it.
    keys(&stand.deployment, "keystore.key", &["new.key"]);
    std::fs::remove_file(stand.deployment.file("keystore.key")).unwrap();
    let alone = stand.deployment.serve(&[]).await;
    signs(&alone.caller(&stand.trader.token)).await;
    makes_headers(&alone.caller(&stand.trader.token)).await;
    let leaves = "select count(*) from leaves where kind = 'admin'
                  and position('reseal'::bytea in leaf) > 0";
    assert!(stand.database.count(leaves).await >= 3);
}

#[tokio::test]
async fn a_wrong_or_lost_master_key_is_told_and_damages_nothing() {
    let Some(mut stand) = Stand::durable("").await else {
        return;
    };
    let given = stand.operator.post(GIVE, &given(KEY)).await;
    assert_eq!(given.status, 201, "{}", given.text);
    let digest =
        "select hashtext(string_agg(sealed::text || key_id, '' order by key_id)) from sealed_keys";
    let before = stand.database.count(digest).await;
    stand.server.terminate();
    new_key_file(&stand.deployment, "wrong.key");
    keys(&stand.deployment, "keystore.key", &["wrong.key"]);

    let server = stand.deployment.serve(&[]).await;
    let (operator, trader) = (
        server.caller(&stand.operator.token),
        server.caller(&stand.trader.token),
    );
    let signed = trader.post("/v1/wallets/d-w/orders", &order()).await;
    refused("an order", &signed, 503, "sealing-key-missing", "not there");
    let ask = json!({ "method": "POST", "path": "/order", "body": "{}" });
    let headers = trader.post("/v1/wallets/d-w/builder-headers", &ask).await;
    refused("headers", &headers, 503, "sealing-key-missing", "not there");
    assert_eq!(make_key(&operator, "lost-at-once").await, 503);
    let ready = operator.get("/readyz").await;
    assert_eq!(
        ready.json["checks"]["custody"], "unavailable",
        "{}",
        ready.text
    );
    let step = operator.post("/v1/custody/soft/reseal", &json!({})).await;
    assert_eq!(step.json["resealed"], 0, "{}", step.text);
    assert_eq!(
        step.json["stuck"].as_array().unwrap().len(),
        2,
        "{}",
        step.text
    );
    let complaint = stand.deployment.run(&["doctor"]).unwrap_err();
    assert!(complaint.contains("found something wrong"), "{complaint}");
    assert_eq!(stand.database.count(digest).await, before);

    // The file itself is gone: no start, and the file is named.
    keys(&stand.deployment, "keystore.key", &["lost.key"]);
    let complaint = stand.deployment.run(&["serve"]).unwrap_err();
    assert!(complaint.contains("lost.key"), "{complaint}");

    keys(&stand.deployment, "keystore.key", &["keystore.key"]);
    let server = stand.deployment.serve(&[]).await;
    signs(&server.caller(&stand.trader.token)).await;
    makes_headers(&server.caller(&stand.trader.token)).await;
}

#[tokio::test]
async fn the_services_own_key_is_replaced_and_answers_are_still_repeated() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let caller = json!({ "name": "x", "owner": "d", "roles": ["trader"] });
    let answer = async |server: &Server| {
        let operator = server.caller(&stand.operator.token);
        operator.post_as("k", "/v1/callers", &caller).await.unwrap()
    };
    let first = answer(&stand.server).await;
    assert_eq!(first.status, 201, "{}", first.text);
    new_key_file(&stand.deployment, "new.key");
    keys(
        &stand.deployment,
        "sealing.key",
        &["new.key", "sealing.key"],
    );
    let server = stand.deployment.serve(&[]).await;
    assert_eq!(answer(&server).await.text, first.text);

    let said = custody(&stand, &server, &["reseal-answers"]);
    assert!(said.contains("0 could not be"), "{said}");
    let listed = server
        .caller(&stand.operator.token)
        .get("/v1/custody")
        .await;
    let service = listed.json["service"].as_array().unwrap();
    assert_eq!(service.len(), 2, "{}", listed.text);
    // One more each time: the answer to the request that sealed them anew.
    assert!(
        service[0]["answers"].as_i64().unwrap() > 8,
        "{}",
        listed.text
    );
    assert_eq!(service[1]["answers"], 0, "{}", listed.text);

    keys(&stand.deployment, "sealing.key", &["new.key"]);
    let server = stand.deployment.serve(&[]).await;
    assert_eq!(answer(&server).await.text, first.text);
    stand.server.terminate();

    // Without the right key nothing is served, for what proves the log and what decides rests under it.
    keys(&stand.deployment, "sealing.key", &["sealing.key"]);
    let refused = stand.deployment.run(&["serve"]).unwrap_err();
    assert!(refused.contains("a key that [sealing] names"), "{refused}");
    assert_eq!(
        stand
            .database
            .count("select count(*) from callers where name = 'x'")
            .await,
        1
    );
}
