//! Ways in: who a request is for, who sends it, and by what they are known.

mod certificates;
mod jwts;
mod secure;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::stand::{Stand, refused};
use crate::support::{Answer, Caller, order};
use secure::Secure;

#[tokio::test]
async fn no_web_page_drives_the_service() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let orders = format!("{}/v1/wallets/d-w/orders", stand.server.base);
    let post = async |name: &'static str, value: &str| {
        let request = stand.trader.http.post(&orders).json(&order());
        let request = request
            .header("idempotency-key", "page")
            .header(name, value);
        stand.trader.send(request).await.unwrap()
    };
    for host in [
        "evil.example",
        "evil.example:7300",
        "localhost.evil.example",
    ] {
        let answer = post("host", host).await;
        refused(host, &answer, 421, "host-not-known", "is not");
        let read = stand
            .trader
            .http
            .get(format!("{}/v1/keys", stand.server.base));
        let read = stand.trader.send(read.header("host", host)).await.unwrap();
        refused(host, &read, 421, "host-not-known", "is not");
    }
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:1"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let answer = post(name, value).await;
        refused(value, &answer, 403, "foreign-site", "another site");
    }
    // In the protocol of whoever reads it.
    let rpc = stand.trader.http.post(format!("{}/rpc", stand.server.base));
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_accounts" });
    let rpc = rpc.header("origin", "http://evil.example").json(&call);
    let answer = stand.trader.send(rpc).await.unwrap();
    assert!(answer.json["error"]["code"].is_i64(), "{}", answer.text);
    assert_eq!(stand.signed().await, (0, 0));

    let own = stand.server.base.clone();
    for (name, value) in [("origin", own.as_str()), ("sec-fetch-site", "same-origin")] {
        let answer = post(name, value).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    // Who watches the service knows its address only.
    let health = stand.trader.http.get(format!("{own}/healthz"));
    let health = Answer::of(health.header("host", "10.0.0.7:7300")).await;
    assert_eq!(health.unwrap().status, 200);
}

/// The credentials of a caller, as an operator sees them.
async fn credentials(operator: &Caller, of: &str) -> Vec<Value> {
    let shown = operator.get(&format!("/v1/callers/{of}")).await;
    assert_eq!(shown.status, 200, "{}", shown.text);
    shown.json["credentials"].as_array().unwrap().clone()
}

async fn revoke(operator: &Caller, of: &str, id: &Value) -> Answer {
    let id = id.as_str().unwrap();
    let path = format!("/v1/callers/{of}/credentials/{id}/revoke");
    operator.post(&path, &json!({})).await
}

#[tokio::test]
async fn one_token_is_revoked_on_all_replicas_and_the_others_stay() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let other = stand.deployment.serve(&[]).await;
    let issued = json!({ "token_days": 1 });
    let issued = stand
        .operator
        .post("/v1/callers/d-trader/tokens", &issued)
        .await;
    let second = stand.server.caller(issued.json["token"].as_str().unwrap());
    let path = "/v1/wallets/d-w/orders";
    let signed = second.post_as("second", path, &order()).await.unwrap();
    assert_eq!(signed.status, 200, "{}", signed.text);

    let all = credentials(&stand.operator, "d-trader").await;
    assert_eq!(all.len(), 2, "{all:?}");
    for one in &all {
        assert_eq!(one["kind"], "token");
        assert_eq!(
            (&one["identity"], &one["revoked_at"]),
            (&Value::Null, &Value::Null)
        );
    }
    let shown = stand.operator.get("/v1/callers/d-trader").await.text;
    assert!(
        !shown.contains(&second.token) && !shown.contains("chancery_"),
        "{shown}"
    );
    // With which it was signed.
    let found = second
        .get("/v1/signatures?idempotency_key=second")
        .await
        .json;
    assert_eq!(found[0]["credential"], all[0]["id"], "{found}");
    assert_eq!(found[0]["credential_kind"], "token");

    let elsewhere = other.caller(&second.token);
    assert_eq!(elsewhere.get("/v1/wallets").await.status, 200);
    let revoked = revoke(&stand.operator, "d-trader", &all[0]["id"]).await;
    assert_eq!(revoked.status, 201, "{}", revoked.text);
    for gone in [&second, &elsewhere] {
        let answer = gone.post_as("second", path, &order()).await.unwrap();
        refused("revoked", &answer, 401, "not-authenticated", "");
        assert_eq!(gone.get("/v1/wallets").await.status, 401);
    }
    let first = other.caller(&stand.trader.token);
    for stays in [&stand.trader, &first] {
        let answer = stays.post(path, &order()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    // Again, of somebody else, and of nobody.
    let again = revoke(&stand.operator, "d-trader", &all[0]["id"]).await;
    assert_eq!(again.status, 201, "{}", again.text);
    let wrong = revoke(&stand.operator, "operator", &all[1]["id"]).await;
    refused("another's", &wrong, 404, "not-found", "credential");
    let denied = revoke(&stand.trader, "d-trader", &all[1]["id"]).await;
    refused("a trader", &denied, 403, "denied", "");
    assert_eq!(stand.trader.get("/v1/wallets").await.status, 200);
}

#[tokio::test]
async fn the_last_who_can_manage_callers_stays_by_whatever_name() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let operator = &stand.operator;
    let id = operator.get("/v1/callers/operator").await.json["id"].clone();
    let token = credentials(operator, "operator").await[0]["id"].clone();
    for name in ["operator", id.as_str().unwrap()] {
        let last = operator
            .post(&format!("/v1/callers/{name}/revoke"), &json!({}))
            .await;
        refused(name, &last, 409, "last-administrator", "the last who");
        let last = revoke(operator, name, &token).await;
        refused(name, &last, 409, "last-administrator", "the last who");
    }
    // Another credential of theirs will do, if it is one that lets them in here.
    let new = json!({ "kind": "spiffe", "spiffe_id": "spiffe://a/operator", "days": 1 });
    let added = operator
        .post("/v1/callers/operator/credentials", &new)
        .await;
    assert_eq!(added.status, 201, "{}", added.text);
    let last = revoke(operator, "operator", &token).await;
    refused(
        "no way in",
        &last,
        409,
        "last-administrator",
        "the last who",
    );
    let issued = json!({ "token_days": 1 });
    let issued = operator.post("/v1/callers/operator/tokens", &issued).await;
    assert_eq!(issued.status, 201, "{}", issued.text);
    let revoked = revoke(operator, "operator", &token).await;
    assert_eq!(revoked.status, 201, "{}", revoked.text);
    let gone = operator.get("/v1/callers").await;
    refused("revoked", &gone, 401, "not-authenticated", "");
}

#[tokio::test]
async fn a_credential_is_one_callers_and_ends() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let operator = &stand.operator;
    stand.another("second", "d", "trader").await;
    let add = async |of: &str, new: Value| {
        let path = format!("/v1/callers/{of}/credentials");
        operator.post(&path, &new).await
    };
    let digits = "ab".repeat(32);
    for (what, new) in [
        (
            "spiffe",
            json!({ "kind": "spiffe", "spiffe_id": "spiffe://a/b", "days": 1 }),
        ),
        (
            "certificate",
            json!({ "kind": "certificate", "sha256": digits, "days": 366 }),
        ),
        (
            "jwt",
            json!({ "kind": "jwt", "issuer": "https://i", "subject": "s", "days": 90 }),
        ),
    ] {
        let added = add("d-trader", new.clone()).await;
        assert_eq!(added.status, 201, "{what}: {}", added.text);
        for of in ["d-trader", "second"] {
            let taken = add(of, new.clone()).await;
            refused(what, &taken, 409, "credential-taken", "revoke");
        }
        let revoked = revoke(operator, "d-trader", &added.json["credential"]).await;
        assert_eq!(revoked.status, 201, "{what}: {}", revoked.text);
        let given = add("second", new).await;
        assert_eq!(given.status, 201, "{what}: {}", given.text);
    }
    for (new, detail) in [
        (
            json!({ "kind": "spiffe", "spiffe_id": "spiffe://a", "days": 1 }),
            "spiffe_id: it has no path",
        ),
        (
            json!({ "kind": "spiffe", "spiffe_id": "spiffe://a/b/../c", "days": 1 }),
            "spiffe_id",
        ),
        (
            json!({ "kind": "certificate", "sha256": "ab", "days": 1 }),
            "sha256",
        ),
        (
            json!({ "kind": "jwt", "issuer": "", "subject": "s", "days": 1 }),
            "issuer",
        ),
        (
            json!({ "kind": "jwt", "issuer": "i", "subject": "s", "days": 0 }),
            "days",
        ),
        (
            json!({ "kind": "jwt", "issuer": "i", "subject": "s", "days": 367 }),
            "days",
        ),
        (json!({ "kind": "token", "days": 1 }), "kind"),
        (
            json!({ "kind": "spiffe", "spiffe_id": "spiffe://a/c", "days": 1, "for": "ever" }),
            "for",
        ),
    ] {
        let answer = add("d-trader", new.clone()).await;
        refused(&new.to_string(), &answer, 422, "invalid-field", detail);
    }
    let nobody = json!({ "kind": "spiffe", "spiffe_id": "spiffe://a/c", "days": 1 });
    let nobody = add("nobody", nobody).await;
    refused("nobody", &nobody, 404, "not-found", "caller");
}

#[tokio::test]
async fn the_service_speaks_tls_and_takes_a_new_certificate_without_dropping_anybody() {
    let Some(secure) = Secure::start("").await else {
        return;
    };
    let mut silent = secure.connect().await;
    let first = secure.certificate_of_service().await;
    let before = secure.operator();
    assert_eq!(before.get("/v1/callers").await.status, 200);
    assert!(secure.clear_text_is_refused().await);

    // The command line, too, which is told whose word counts.
    let listed = secure.command(&["callers", "list"], true);
    assert!(listed.unwrap().contains("operator"));
    let unknown = secure.command(&["callers", "list"], false).unwrap_err();
    assert!(unknown.contains("no answer"), "{unknown}");

    // Half of it, and one whose key is another: all stays.
    let pem = secure.service_pem();
    secure.write("tls.pem", &pem[..pem.len() / 2]);
    secure.heard("the new certificate is not taken").await;
    assert_eq!(secure.certificate_of_service().await, first);
    let (other, key) = secure.another_certificate();
    secure.write("tls.pem", &other);
    secure.heard("KeyMismatch").await;
    assert_eq!(secure.certificate_of_service().await, first);
    secure.write_secret("tls.key", &key);
    secure.hang_up();
    secure.heard("new connections have the certificate").await;
    assert_ne!(secure.certificate_of_service().await, first);
    // The connection from before goes on: its client would not take another one.
    assert_eq!(before.get("/v1/callers").await.status, 200);
    assert_eq!(secure.shown_to(&before).await, first);
    // Who opens a connection and says nothing has none.
    let patience = std::time::Duration::from_secs(10);
    let end = tokio::time::timeout(patience, silent.read(&mut [0; 16])).await;
    assert_eq!(end.expect("it is ended").unwrap_or(0), 0);
}

#[tokio::test]
async fn without_tls_nothing_listens_beyond_this_machine() {
    let Some(postgres) = crate::support::Postgres::shared() else {
        return;
    };
    let database = postgres.database().await;
    let deployment = crate::support::Deployment::new(&database.url);
    deployment.run(&["migrate"]).unwrap();
    let refusal = |http: &str| {
        deployment.configure(http);
        deployment.run(&["serve"]).unwrap_err()
    };
    let said = refusal("[http]\nlisten = \"0.0.0.0:0\"");
    assert!(said.contains("[http.tls]"), "{said}");
    let pki = secure::Pki::new();
    let (certificate, key) = pki.service();
    let at = |name: &str| deployment.file(name).display().to_string();
    deployment.dir.write("tls.pem", &certificate);
    deployment.dir.write("tls.key", &key);
    let tls = format!(
        "[http]\nlisten = \"127.0.0.1:0\"\n[http.tls]\ncertificate = \"{}\"\nkey = \"{}\"",
        at("tls.pem"),
        at("tls.key"),
    );
    for (mode, why) in [
        (0o644, "everybody may read it"),
        (0o620, "its group may write it"),
    ] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(deployment.file("tls.key"), mode).unwrap();
        let said = refusal(&tls);
        assert!(said.contains(why), "{said}");
    }
}
