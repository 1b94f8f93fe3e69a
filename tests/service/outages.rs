//! What the service stands on goes away: a named problem, nothing signed without its record, and
//! everything works again when it is back.

use std::process::Command;
use std::time::Duration;

use chancery::cli::dev::{Cluster, DataDir, SoftToken};
use serde_json::json;

use crate::stand::refused;
use crate::support::{Deployment, Postgres, Scratch, desk, order, skip};

const ORDERS: &str = "/v1/wallets/d-w/orders";

#[tokio::test]
async fn without_postgres_nothing_is_signed_and_the_service_waits_for_it() {
    let scratch = Scratch::new();
    let data = DataDir::open(&scratch.path().join("d")).unwrap();
    let cluster = match Cluster::start(&data) {
        Ok(cluster) => cluster,
        Err(error) => return skip(&format!("{error:#}")),
    };
    let deployment = Deployment::new(&cluster.url());
    let operator = deployment.bootstrap();
    let mut server = deployment.serve(&[]).await;
    let trader = server.caller(&desk(&server.caller(&operator), "d", "soft").await);
    let first = trader.post_as("before", ORDERS, &order()).await.unwrap();
    assert_eq!(first.status, 200, "{}", first.text);

    cluster.stop().unwrap();
    let answer = trader.post_as("while", ORDERS, &order()).await.unwrap();
    refused("stopped", &answer, 503, "ledger-unavailable", "");
    assert!(answer.headers.contains_key("retry-after"));
    assert!(server.is_alive());
    assert_eq!(trader.get("/healthz").await.status, 200);
    let ready = trader.get("/readyz").await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json["checks"]["ledger"], "unavailable");

    let cluster = Cluster::start(&data).unwrap();
    let again = trader.post_as("while", ORDERS, &order()).await.unwrap();
    assert_eq!(again.status, 200, "{}", again.text);
    assert!(!again.headers.contains_key("idempotency-replayed"));
    let replayed = trader.post_as("before", ORDERS, &order()).await.unwrap();
    assert_eq!(replayed.text, first.text);
    let back = async { while trader.get("/readyz").await.status != 200 {} }; // looked at once a second
    tokio::time::timeout(Duration::from_secs(10), back)
        .await
        .unwrap();
    assert_eq!(server.terminate(), Some(0));
    cluster.stop().unwrap();
}

#[tokio::test]
async fn a_wrong_pin_and_a_missing_library_stop_their_device_only() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database().await;
    let deployment = Deployment::new(&database.url);
    let token = match SoftToken::prepare(deployment.dir.path()) {
        Ok(token) => token,
        Err(error) => return skip(&format!("{error:#}")),
    };
    let read = |file| std::fs::read_to_string(file).unwrap();
    let pin = read(&token.pin_file);
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", token.label])
        .args(["--pin", &pin, "--so-pin", &read(&token.so_pin_file)])
        .env("SOFTHSM2_CONF", &token.conf)
        .output();
    match made {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(error) => return skip(&format!("softhsm2-util: {error}")),
    }
    let device = |name: &str, module: &str, pin_file: &str| {
        format!(
            "[custody.{name}]\nkind = \"pkcs11\"\nmodule = \"{module}\"\ntoken_label = \"{}\"\npin_file = \"{pin_file}\"\n",
            token.label
        )
    };
    let module = token.module.display().to_string();
    let wrong_pin = "canary-31415926";
    let wrong = deployment.dir.write("wrong-pin", wrong_pin);
    let right = token.pin_file.display().to_string();
    let devices = |pin_file: &str| {
        device("hsm", &module, pin_file) + &device("gone", "/nowhere/libgone.so", pin_file)
    };
    deployment.configure(&devices(&wrong.display().to_string()));
    let operator_token = deployment.bootstrap();
    let conf = token.conf.display().to_string();
    let environment = [("SOFTHSM2_CONF", conf.as_str())];

    let mut server = deployment.serve(&environment).await;
    let operator = server.caller(&operator_token);
    for (device, name, detail) in [
        ("hsm", "k1", "operator"),
        ("hsm", "k2", "operator"),
        ("gone", "k3", "answer"),
    ] {
        let key = json!({
            "name": name, "purpose": "wallet", "backend": device, "environment": "dev01", "owner": "d",
        });
        let answer = operator.post("/v1/keys", &key).await;
        refused(name, &answer, 503, "device-unavailable", detail);
        assert!(answer.headers.contains_key("retry-after"), "{name}");
        assert!(!answer.text.contains("nowhere"), "{}", answer.text);
    }
    let ready = operator.get("/readyz").await;
    assert_eq!(ready.status, 200, "{}", ready.text);
    assert_eq!(ready.json["checks"]["custody"], "partly");
    for named in ["hsm", "gone", "soft"] {
        assert!(!ready.text.contains(named), "{}", ready.text);
    }
    let trader = server.caller(&desk(&operator, "d", "soft").await);
    assert_eq!(trader.get("/v1/health").await.status, 403);
    let health = operator.get("/v1/health").await;
    let trouble = |what: &str| {
        let checks = health.json["checks"].as_array().unwrap();
        let check = checks.iter().find(|it| it["what"] == what).unwrap();
        check["trouble"].as_str().map(ToOwned::to_owned)
    };
    assert_eq!(health.json["ready"], true, "{}", health.text);
    assert!(trouble("custody.hsm").unwrap().contains("PIN"));
    assert!(trouble("custody.gone").is_some());
    for well in ["custody.soft", "ledger", "writer", "clock", "evidence"] {
        assert_eq!(trouble(well), None, "{}", health.text);
    }
    assert!(!health.text.contains(wrong_pin), "{}", health.text);
    let answer = trader.post(ORDERS, &order()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(server.is_alive());
    server.heard("refused the PIN").await;
    let log = server.log();
    assert!(!log.contains(wrong_pin) && !log.contains(&pin), "{log}");
    assert_eq!(server.terminate(), Some(0));

    // The PIN is put right, and the device signs after a restart.
    deployment.configure(&devices(&right));
    let server = deployment.serve(&environment).await;
    let operator = server.caller(&operator_token);
    let trader = server.caller(&desk(&operator, "h", "hsm").await);
    let answer = trader.post("/v1/wallets/h-w/orders", &order()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let key = operator.get("/v1/keys/h-wk").await;
    assert_eq!(key.json["attributes"]["never-extractable"], true);
    let answer = trader.post("/v1/clients/h-c/assertions", &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}
