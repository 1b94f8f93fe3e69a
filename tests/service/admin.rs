//! Operators' work: each write once, keys along their edges, tokens shown once, secrets nowhere.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chancery::sealing::Keyring;
use k256::pkcs8::DecodePrivateKey as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::Row as _;

use crate::stand::{Stand, refused};
use crate::support::{Database, Deployment, Postgres, desk, order};

#[tokio::test]
async fn a_repeated_write_gets_its_answer_and_changes_nothing() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let key = json!({ "name": "k", "purpose": "wallet", "backend": "soft", "environment": "dev01", "owner": "d" });
    let step = json!({ "to": "active", "reason": "test" });
    let wallet = json!({ "name": "w", "owner": "d", "key": "k", "chainId": 80002 });
    let client = json!({ "name": "c", "owner": "d", "key": "d-ck", "client_id": "other" });
    let caller = json!({ "name": "x", "owner": "d", "roles": ["trader"] });
    let leaves = async || stand.database.count("select count(*) from leaves").await;
    for (number, (path, body, member)) in [
        ("/v1/keys", key, "owner"),
        ("/v1/keys/k/steps", step, "reason"),
        ("/v1/wallets", wallet, "owner"),
        ("/v1/clients", client, "owner"),
        ("/v1/callers", caller, "owner"),
        (
            "/v1/callers/x/tokens",
            json!({ "token_days": 2 }),
            "token_days",
        ),
        ("/v1/callers/x/revoke", json!({}), ""),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("write-{number}");
        let post = async |body: &Value| stand.operator.post_as(&name, path, body).await.unwrap();
        let first = post(&body).await;
        assert_eq!(first.status, 201, "{path}: {}", first.text);
        assert!(!first.headers.contains_key("idempotency-replayed"));
        let written = leaves().await;
        let again = post(&body).await;
        assert_eq!((again.status, &again.text), (201, &first.text), "{path}");
        assert_eq!(again.headers["idempotency-replayed"], "true");
        if !member.is_empty() {
            let mut other = body.clone();
            other[member] = if member == "token_days" {
                json!(3)
            } else {
                json!("e")
            };
            let reused = post(&other).await;
            refused(
                path,
                &reused,
                409,
                "idempotency-key-reused",
                "Idempotency-Key",
            );
        }
        assert_eq!(leaves().await, written, "{path}: on record once");
    }
}

#[tokio::test]
async fn a_name_is_given_once() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let key = json!({ "name": "d-wk", "purpose": "wallet", "backend": "soft", "environment": "dev01", "owner": "d" });
    let wallet = json!({ "name": "d-w", "owner": "d", "key": "d-wk", "chainId": 137 });
    let client = json!({ "name": "d-c", "owner": "d", "key": "d-ck", "client_id": "new" });
    let same_id = json!({ "name": "c2", "owner": "d", "key": "d-ck", "client_id": "d-client" });
    let caller = json!({ "name": "d-trader", "owner": "d", "roles": ["trader"] });
    for (path, body, detail) in [
        ("/v1/keys", key, "key"),
        ("/v1/wallets", wallet, "wallet"),
        ("/v1/clients", client, "client"),
        ("/v1/clients", same_id, "client_id"),
        ("/v1/callers", caller, "caller"),
    ] {
        let taken = stand.operator.post(path, &body).await;
        refused(path, &taken, 409, "name-taken", detail);
    }
}

#[tokio::test]
async fn a_key_goes_along_its_edges_and_signs_in_one_state_only() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let key = json!({ "name": "k", "purpose": "wallet", "backend": "soft", "environment": "dev01", "owner": "d" });
    let made = stand.operator.post("/v1/keys", &key).await;
    assert_eq!(made.json["state"], "pre-activation", "{}", made.text);
    let wallet = json!({ "name": "w", "owner": "d", "key": "k", "chainId": 137 });
    let made = stand.operator.post("/v1/wallets", &wallet).await;
    assert_eq!(made.status, 201, "{}", made.text);

    let mut state = "pre-activation";
    let mut epoch = 0;
    for (to, goes) in [
        ("retiring", false),
        ("active", true),
        ("active", false),
        ("pre-activation", false),
        ("retiring", true),
        ("active", true),
        ("suspended", true),
        ("retiring", false),
        ("active", true),
        ("destroyed", false),
        ("destroy-pending", false),
        ("deactivated", true),
        ("active", false),
        ("compromised", true),
        ("active", false),
        ("deactivated", false),
    ] {
        let order = stand.trader.post("/v1/wallets/w/orders", &order()).await;
        if state == "active" {
            assert_eq!(order.status, 200, "{}", order.text);
        } else {
            refused(state, &order, 409, "key-not-active", state);
        }
        let step = json!({ "to": to, "reason": "test" });
        let moved = stand.operator.post("/v1/keys/k/steps", &step).await;
        if goes {
            (state, epoch) = (to, epoch + 1);
            assert_eq!(moved.status, 201, "{state} to {to}: {}", moved.text);
        } else {
            refused(to, &moved, 409, "not-a-step", to);
        }
        let key = stand.operator.get("/v1/keys/k").await.json;
        assert_eq!(
            (&key["state"], &key["epoch"]),
            (&json!(state), &json!(epoch))
        );
    }
    let steps =
        "select count(*) from key_transitions t join keys k on k.id = t.key_id where k.name = 'k'";
    assert_eq!(stand.database.count(steps).await, epoch);
}

#[tokio::test]
async fn one_of_two_steps_from_the_same_state_is_taken() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let step = |to: &str| json!({ "to": to, "reason": "test" });
    let (retire, deactivate) = (step("retiring"), step("compromised"));
    let path = "/v1/keys/d-wk/steps";
    let (one, other) = tokio::join!(
        stand.operator.post(path, &retire),
        stand.operator.post(path, &deactivate),
    );
    // In turn both go; from the same state one has to look again.
    for answer in [&one, &other] {
        let fine = answer.status == 201
            || ["key-changed", "not-a-step", "authority-changed"].contains(&answer.problem());
        assert!(fine, "{}", answer.text);
    }
    let taken = [one, other].iter().filter(|it| it.status == 201).count();
    let key = stand.operator.get("/v1/keys/d-wk").await.json;
    assert_eq!(key["epoch"], 1 + taken);
}

#[tokio::test]
async fn the_first_operator_is_made_once_and_a_token_is_kept_as_a_hash() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let refusal = stand.deployment.run(&["callers", "bootstrap"]);
    assert!(refusal.unwrap_err().contains("earlier bootstrap"));
    let refusal = stand.deployment.run(&["callers", "bootstrap", "second"]);
    assert!(refusal.is_err());

    let issue = json!({ "token_days": 1 });
    let path = "/v1/callers/d-trader/tokens";
    let issued = stand.operator.post(path, &issue).await;
    let new = stand.server.caller(issued.json["token"].as_str().unwrap());
    assert_ne!(new.token, stand.trader.token);
    for caller in [&new, &stand.trader] {
        assert_eq!(caller.get("/v1/wallets/d-w").await.status, 200);
    }
    let rows = dump(&stand.database).await;
    for caller in [&new, &stand.trader, &stand.operator] {
        assert!(!rows.contains(&caller.token));
        let hash = hex::encode(Sha256::digest(&caller.token));
        assert!(rows.contains(&hash), "only its hash");
    }
}

#[tokio::test]
async fn serve_refuses_what_nobody_has_accepted() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.empty_database().await;
    let deployment = Deployment::new(&database.url);
    let config = std::fs::read_to_string(deployment.file("config.toml")).unwrap();
    let refuses = |what: &str, says: &str| {
        let said = deployment.run(&["serve"]).expect_err(what);
        assert!(said.contains(says), "{what}: {said}");
    };
    refuses("an empty database", "chancery migrate");
    deployment.run(&["migrate"]).unwrap();

    for (from, to, says) in [
        (
            "accept_keys_in_software = true",
            "",
            "accept_keys_in_software",
        ),
        ("127.0.0.1:0", "0.0.0.0:0", "loopback"),
        ("127.0.0.1:0", "[::]:0", "loopback"),
        ("[ledger]", "[ledger]\ntypo = 1", "typo"),
        ("policy.cedar", "no-such.cedar", "no-such.cedar"),
        ("sealing.key", "no-such.key", "sealing key"),
    ] {
        assert!(config.contains(from), "{from}");
        deployment
            .dir
            .write("config.toml", &config.replacen(from, to, 1));
        refuses(to, says);
    }
    deployment.dir.write("config.toml", &config);
    for text in [
        "permit (",
        "permit (principal, action == Action::\"sign\", resource);",
    ] {
        deployment.dir.write("policy.cedar", text);
        refuses(text, "policy");
    }
    deployment.dir.write("policy.cedar", crate::support::POLICY);

    let alter = async |sql: &'static str| {
        sqlx::query(sql).execute(&database.pool).await.unwrap();
    };
    alter("create table kept as select * from _sqlx_migrations").await;
    alter("delete from _sqlx_migrations where version = (select max(version) from kept)").await;
    refuses("an older schema", "older than this program");
    alter("truncate _sqlx_migrations").await;
    alter("insert into _sqlx_migrations select * from kept").await;
    alter("update _sqlx_migrations set version = 99991231235959 where version = (select max(version) from kept)").await;
    alter("insert into _sqlx_migrations select * from kept where version = (select max(version) from kept)").await;
    refuses("a newer schema", "newer than this program");
    alter("delete from _sqlx_migrations where version = 99991231235959").await;
    deployment.serve(&[]).await;
}

/// Secrets are looked for in every output, at the most talkative level (P1).
#[tokio::test]
async fn no_secret_is_in_any_output() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database().await;
    let deployment = Deployment::new(&database.url);
    let operator_token = deployment.bootstrap();
    let mut server = deployment.serve_at("trace", &[]).await;
    let operator = server.caller(&operator_token);
    let trader = server.caller(&desk(&operator, "d", "soft").await);
    let mut answers = Vec::new();
    for body in [order(), json!({ "price": 1 }), json!({})] {
        answers.push(trader.post("/v1/wallets/d-w/orders", &body).await.text);
    }
    let issued = trader
        .post_as("a", "/v1/clients/d-c/assertions", &json!({}))
        .await
        .unwrap();
    assert_eq!(issued.status, 200, "{}", issued.text);
    let assertion = issued.json["client_assertion"].as_str().unwrap().to_owned();
    let mistyped = server.caller(&format!("{}x", trader.token));
    answers.push(mistyped.get("/v1/wallets").await.text);
    for path in [
        "/v1/keys",
        "/v1/wallets",
        "/v1/clients",
        "/v1/callers",
        "/v1/signatures?idempotency_key=a",
        "/readyz",
    ] {
        answers.push(operator.get(path).await.text);
        answers.push(trader.get(path).await.text);
    }
    assert_eq!(server.terminate(), Some(0));
    let log = server.log();
    assert!(log.contains("DEBUG"), "it talks");
    let rows = dump(&database).await;
    assert!(rows.contains("d-trader"), "rows were read");

    let key_file = |name| {
        let text = std::fs::read_to_string(deployment.file(name)).unwrap();
        hex::decode(text.trim()).unwrap()
    };
    let mut secrets = vec![
        ("the operator's token", operator_token.clone().into_bytes()),
        ("the trader's token", trader.token.clone().into_bytes()),
        ("the sealing key", key_file("sealing.key")),
        ("the master key", key_file("keystore.key")),
        (
            "the assertion's signature",
            URL_SAFE_NO_PAD
                .decode(assertion.rsplit('.').next().unwrap())
                .unwrap(),
        ),
    ];
    for token in [&operator_token, &trader.token] {
        let random = token.trim_start_matches("chancery_")[..43].to_owned();
        secrets.push(("a token's bits", URL_SAFE_NO_PAD.decode(random).unwrap()));
    }
    secrets.push(("the wallet's key", wallet_key(&deployment, &database).await));
    for (what, secret) in &secrets {
        for form in forms(secret) {
            assert!(!log.contains(&form), "{what} is in the log as {form}");
            assert!(!rows.contains(&form), "{what} is in the database as {form}");
            for answer in &answers {
                assert!(!answer.contains(&form), "{what} is in an answer: {answer}");
            }
        }
    }
}

/// How bytes end up in text.
fn forms(secret: &[u8]) -> Vec<String> {
    let mut forms = vec![
        hex::encode(secret),
        hex::encode_upper(secret),
        STANDARD.encode(secret).trim_end_matches('=').to_owned(),
        URL_SAFE_NO_PAD.encode(secret),
        format!("{secret:?}").trim_matches(['[', ']']).to_owned(),
    ];
    forms.extend(std::str::from_utf8(secret).map(ToOwned::to_owned));
    forms
}

/// The private key of `d-wk`, taken out of the keystore with its master key.
async fn wallet_key(deployment: &Deployment, database: &Database) -> Vec<u8> {
    let row = sqlx::query(
        "select k.id, s.sealed from keys k join sealed_keys s on s.key_id = k.id where k.name = 'd-wk'",
    )
    .fetch_one(&database.pool)
    .await
    .unwrap();
    let master = Keyring::from_files(&deployment.file("keystore.key"), &[]).unwrap();
    let id: uuid::Uuid = row.get("id");
    let aad = [id.as_bytes().as_slice(), b"secp256k1"].concat();
    let der = master.open(&aad, row.get::<&[u8], _>("sealed")).unwrap();
    let key = k256::SecretKey::from_pkcs8_der(&der).unwrap();
    key.to_bytes().to_vec()
}

#[tokio::test]
async fn a_key_is_for_an_environment_that_there_is() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let make = async |name: &str, purpose: &str, environment: &str| {
        let key = json!({
            "name": name, "purpose": purpose, "backend": "soft", "environment": environment, "owner": "d",
        });
        stand.operator.post("/v1/keys", &key).await
    };
    let typo = make("typo", "client", "dev10").await;
    refused("a client's", &typo, 422, "invalid-field", "there is dev01");
    let none = "select count(*) from keys where name = 'typo'";
    assert_eq!(stand.database.count(none).await, 0);
    // A wallet needs no such section, and is told.
    let odd = make("odd", "wallet", "dev10").await;
    assert_eq!(odd.status, 201, "{}", odd.text);
    let warning = odd.json["warnings"][0].as_str().unwrap();
    assert!(warning.contains("[oauth.environments.dev10]"), "{warning}");
    let right = make("right", "client", "dev01").await;
    assert_eq!(right.status, 201, "{}", right.text);
    assert!(right.json["warnings"].is_null(), "{}", right.text);
}

/// All rows of all tables as text.
async fn dump(database: &Database) -> String {
    let tables: Vec<String> =
        sqlx::query_scalar("select tablename::text from pg_tables where schemaname = 'public'")
            .fetch_all(&database.pool)
            .await
            .unwrap();
    assert!(tables.len() > 10, "{tables:?}");
    let mut text = String::new();
    for table in tables {
        let sql = sqlx::AssertSqlSafe(format!("select t::text from {table} t"));
        let rows: Vec<String> = sqlx::query_scalar(sql)
            .fetch_all(&database.pool)
            .await
            .unwrap();
        text += &rows.join("\n");
    }
    text
}
