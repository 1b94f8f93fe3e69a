//! How keys end: not while something depends on them, not at once, and then for good.

use serde_json::{Value, json};

use crate::stand::{Stand, refused};
use crate::support::{Deployment, Postgres, desk, order};

const SOON: &str = "[cryptoperiods]\nlook_every_s = 1";

/// Moves the wallet key `d-wk` to a state in which it can be destroyed.
async fn step(stand: &Stand, key: &str, to: &str) {
    let step = json!({ "to": to, "reason": "test" });
    let path = format!("/v1/keys/{key}/steps");
    let moved = stand.operator.post(&path, &step).await;
    assert_eq!(moved.status, 201, "{}", moved.text);
}

async fn obstacles(stand: &Stand, key: &str) -> Vec<String> {
    let path = format!("/v1/keys/{key}/destruction");
    let status = stand.operator.get(&path).await;
    assert_eq!(status.status, 200, "{}", status.text);
    let all = status.json["obstacles"].as_array().unwrap();
    let kind = |it: &Value| it["kind"].as_str().unwrap().to_owned();
    all.iter().map(kind).collect()
}

/// Lets the waiting period of everything be over.
async fn wait_is_over(stand: &Stand) {
    let sql = "update destructions set not_before = now() - interval '1 second'
               where ended_at is null and begun_at is null";
    let done = sqlx::query(sql).execute(&stand.database.pool).await;
    done.unwrap();
}

#[tokio::test]
async fn a_key_is_destroyed_when_nothing_depends_on_it_and_it_has_waited() {
    let Some(stand) = Stand::new(SOON).await else {
        return;
    };
    let signed = stand.trader.post("/v1/wallets/d-w/orders", &order()).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    let asked = json!({ "reason": "the desk is closed" });
    let path = "/v1/keys/d-wk/destruction";
    let early = stand.operator.post(path, &asked).await;
    refused("active", &early, 409, "not-a-step", "active");

    step(&stand, "d-wk", "deactivated").await;
    assert_eq!(obstacles(&stand, "d-wk").await, ["open-orders", "in-use"]);
    let with = stand.operator.post(path, &asked).await;
    refused("in use", &with, 409, "key-in-use", "wallet d-w");
    let said = json!({ "reason": "swept by ann and bob" });
    let closed = stand.operator.post("/v1/wallets/d-w/close", &said).await;
    assert_eq!(closed.status, 201, "{}", closed.text);
    assert!(closed.json["closed_at"].is_string());

    // An order of version 2 rests for ever, as far as anybody here knows.
    let with = stand.operator.post(path, &asked).await;
    refused("an order", &with, 409, "key-in-use", "open-orders");
    let all = json!({ "reason": "x", "accept": ["in-use"] });
    let all = stand.operator.post(path, &all).await;
    refused("accepted", &all, 422, "invalid-field", "in-use");

    let accepted = json!({ "reason": "the market was resolved", "accept": ["open-orders"] });
    let asked = stand.operator.post_as("a", path, &accepted).await.unwrap();
    assert_eq!(asked.status, 201, "{}", asked.text);
    let again = stand.operator.post_as("a", path, &accepted).await.unwrap();
    assert_eq!(again.text, asked.text);
    let wait = "select extract(epoch from not_before - requested_at) from destructions";
    let hours = stand.database.count(wait).await / 3600;
    assert!((71..=72).contains(&hours), "{hours}");

    let back = json!({ "reason": "an objection" });
    let back = stand.operator.post(&format!("{path}/cancel"), &back).await;
    assert_eq!(
        (back.status, &back.json["state"]),
        (201, &json!("deactivated"))
    );
    wait_is_over(&stand).await;
    let asked = stand.operator.post(path, &accepted).await;
    assert_eq!(asked.status, 201, "{}", asked.text);
    let there =
        "select count(*) from sealed_keys s join keys k on k.id = s.key_id where k.name = 'd-wk'";
    assert_eq!(stand.database.count(there).await, 1);
    wait_is_over(&stand).await;
    stand.database.becomes(there, 0).await;
    let destroyed = "select count(*) from keys where name = 'd-wk' and state = 'destroyed'";
    stand.database.becomes(destroyed, 1).await;

    let status = stand.operator.get(path).await.json;
    let certificate = &status["destruction"]["certificate"];
    assert_eq!(status["destruction"]["outcome"], "destroyed");
    assert_eq!(
        certificate["device"]["answer"], "destroyed",
        "{certificate}"
    );
    assert_eq!(certificate["device"]["found_afterwards"], false);
    assert_eq!(certificate["requested"]["accepted"], json!(["open-orders"]));
    let shown = stand.operator.get("/v1/keys/d-wk").await.json;
    assert_eq!(shown["fingerprint"], certificate["fingerprint"]);
    assert_eq!(
        stand.database.count(&leaves("certify-destruction")).await,
        1
    );
    let by_itself =
        "select count(*) from key_transitions where to_state = 'destroyed' and actor_id is null";
    assert_eq!(stand.database.count(by_itself).await, 1);
    let late = json!({ "reason": "too late" });
    let late = stand.operator.post(&format!("{path}/cancel"), &late).await;
    refused("destroyed", &late, 409, "not-a-step", "destroyed");
}

#[tokio::test]
async fn a_key_comes_back_from_its_destruction_as_what_it_was() {
    let Some(stand) = Stand::new("[cryptoperiods]\nlook_every_s = 3600").await else {
        return;
    };
    let operator = &stand.operator;
    let why = json!({ "reason": "test" });
    let to = |state: &str| json!({ "to": state, "reason": "test" });
    let make = async |name: &str| {
        let key = json!({ "name": name, "purpose": "wallet", "backend": "soft", "environment": "dev01", "owner": "d" });
        assert_eq!(operator.post("/v1/keys", &key).await.status, 201);
    };
    let has_destroyed = async |name: &str| {
        let path = format!("/v1/keys/{name}/destruction");
        let asked = operator.post(&path, &why).await;
        assert_eq!(asked.status, 201, "{}", asked.text);
        asked.json["before"].clone()
    };
    let is_back = async |name: &str, state: &str| {
        let path = format!("/v1/keys/{name}/destruction/cancel");
        let back = operator.post(&path, &why).await;
        assert_eq!((back.status, &back.json["state"]), (201, &json!(state)));
    };

    // Never used: as new, also the second time, and it can be used then.
    make("spare").await;
    for _ in 0..2 {
        assert_eq!(has_destroyed("spare").await, "pre-activation");
        is_back("spare", "pre-activation").await;
    }
    step(&stand, "spare", "active").await;

    // Ever used: never new again, whoever asks, the service or the database.
    step(&stand, "spare", "deactivated").await;
    assert_eq!(has_destroyed("spare").await, "deactivated");
    let new = operator
        .post("/v1/keys/spare/steps", &to("pre-activation"))
        .await;
    refused("as new", &new, 409, "not-a-step", "was deactivated before");
    let by_force = "insert into key_transitions (key_id, epoch, from_state, to_state, approval, reason)
                    select id, epoch + 1, state, 'pre-activation', 'test', 'test' from keys where name = 'spare'";
    let by_force = sqlx::query(by_force).execute(&stand.database.pool).await;
    let error = by_force.unwrap_err();
    let constraint = error.as_database_error().and_then(|it| it.constraint());
    assert_eq!(
        constraint,
        Some("key_transitions_only_unused_keys_begin_again")
    );
    is_back("spare", "deactivated").await;

    // Compromised: that is never forgotten.
    make("leaked").await;
    step(&stand, "leaked", "compromised").await;
    assert_eq!(has_destroyed("leaked").await, "compromised");
    let less = operator
        .post("/v1/keys/leaked/steps", &to("deactivated"))
        .await;
    refused(
        "as less",
        &less,
        409,
        "not-a-step",
        "was compromised before",
    );
    is_back("leaked", "compromised").await;
}

/// How many leaves have this action.
fn leaves(action: &str) -> String {
    let action = hex::encode(action);
    format!("select count(*) from leaves where position('\\x{action}'::bytea in leaf) > 0")
}

#[tokio::test]
async fn a_version_1_order_is_open_until_it_expires() {
    let Some(stand) = Stand::new("[cryptoperiods]\nlook_every_s = 3600").await else {
        return;
    };
    let now = "select extract(epoch from now())::bigint";
    let mut body = order();
    body["version"] = json!(1);
    body["orderType"] = json!("GTD");
    body["feeRateBps"] = json!(0);
    body["expiration"] = json!(stand.database.count(now).await + 7200);
    let signed = stand.trader.post("/v1/wallets/d-w/orders", &body).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    step(&stand, "d-wk", "compromised").await;
    assert_eq!(obstacles(&stand, "d-wk").await, ["open-orders", "in-use"]);
    let expire = "update ends set expires_at = now() - interval '2 minutes'";
    stand.database.falsify("ends", expire).await;
    assert_eq!(obstacles(&stand, "d-wk").await, ["in-use"]);
    // One without an expiration never ends by itself.
    let never = "update ends set expires_at = null";
    stand.database.falsify("ends", never).await;
    assert_eq!(obstacles(&stand, "d-wk").await, ["open-orders", "in-use"]);
}

#[tokio::test]
async fn a_client_key_stays_while_it_may_be_registered_and_a_new_one_need_not() {
    let Some(stand) = Stand::new(SOON).await else {
        return;
    };
    step(&stand, "d-ck", "deactivated").await;
    assert_eq!(obstacles(&stand, "d-ck").await, ["in-use", "registered"]);

    let key = json!({ "name": "spare", "purpose": "wallet", "backend": "soft", "environment": "dev01", "owner": "d" });
    assert_eq!(stand.operator.post("/v1/keys", &key).await.status, 201);
    assert!(obstacles(&stand, "spare").await.is_empty());
    let asked = json!({ "reason": "never used" });
    let asked = stand
        .operator
        .post("/v1/keys/spare/destruction", &asked)
        .await;
    assert_eq!(asked.status, 201, "{}", asked.text);

    // The device has another key there: that one is not destroyed.
    let swap = "update sealed_keys s set public_key = o.public_key from keys k, keys o
                where k.name = 'spare' and s.key_id = k.id and o.name = 'd-wk'";
    sqlx::query(swap)
        .execute(&stand.database.pool)
        .await
        .unwrap();
    wait_is_over(&stand).await;
    let trouble = "select count(*) from destructions where trouble like '%another key%'";
    stand.database.becomes(trouble, 1).await;
    let there =
        "select count(*) from sealed_keys s join keys k on k.id = s.key_id where k.name = 'spare'";
    assert_eq!(stand.database.count(there).await, 1);
    let back = "update sealed_keys s set public_key = k.public_key from keys k
                where k.name = 'spare' and s.key_id = k.id";
    sqlx::query(back)
        .execute(&stand.database.pool)
        .await
        .unwrap();
    stand.database.becomes(there, 0).await;
}

#[tokio::test]
async fn a_destruction_that_has_begun_comes_to_its_end_and_one_that_has_not_can_be_stopped() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    for point in ["destruction-begun", "destruction-done"] {
        let database = postgres.database().await;
        let deployment = Deployment::new(&database.url);
        deployment.configure(SOON);
        let token = deployment.bootstrap();
        let mut server = deployment.serve(&[("CHANCERY_FAIL_POINT", point)]).await;
        let operator = server.caller(&token);
        desk(&operator, "d", "soft").await;
        let key = json!({ "name": "k", "purpose": "wallet", "backend": "soft", "environment": "dev01", "owner": "d" });
        assert_eq!(operator.post("/v1/keys", &key).await.status, 201);
        let asked = json!({ "reason": "test" });
        let asked = operator.post("/v1/keys/k/destruction", &asked).await;
        assert_eq!(asked.status, 201, "{}", asked.text);
        let over = "update destructions set not_before = now() - interval '1 second'";
        sqlx::query(over).execute(&database.pool).await.unwrap();
        assert!(server.wait_killed(), "{point}");
        let begun =
            "select count(*) from destructions where begun_at is not null and ended_at is null";
        assert_eq!(database.count(begun).await, 1, "{point}");

        // Whoever objects now is told that it is too late, before the end as well as after it.
        deployment.configure("[cryptoperiods]\nlook_every_s = 3600\n");
        let stopped = "update destructions set not_before = now() + interval '1 day'";
        sqlx::query(stopped).execute(&database.pool).await.unwrap();
        let server = deployment.serve(&[]).await;
        let destroyed = "select count(*) from keys where name = 'k' and state = 'destroyed'";
        database.becomes(destroyed, 1).await;
        assert_eq!(database.count(&leaves("begin-destruction")).await, 1);
        assert_eq!(database.count(&leaves("certify-destruction")).await, 1);
        let status = server
            .caller(&token)
            .get("/v1/keys/k/destruction")
            .await
            .json;
        let answer = &status["destruction"]["certificate"]["device"]["answer"];
        let gone = match point {
            "destruction-begun" => "destroyed",
            _ => "not there any more",
        };
        assert_eq!(answer, gone, "{status}");
    }
}

#[tokio::test]
async fn a_destruction_that_has_begun_cannot_be_cancelled() {
    let Some(stand) = Stand::new("[cryptoperiods]\nlook_every_s = 3600").await else {
        return;
    };
    let key = json!({ "name": "k", "purpose": "wallet", "backend": "soft", "environment": "dev01", "owner": "d" });
    assert_eq!(stand.operator.post("/v1/keys", &key).await.status, 201);
    let reason = json!({ "reason": "test" });
    let path = "/v1/keys/k/destruction";
    assert_eq!(stand.operator.post(path, &reason).await.status, 201);
    let begun = "update destructions set begun_at = now()";
    sqlx::query(begun)
        .execute(&stand.database.pool)
        .await
        .unwrap();
    let late = stand
        .operator
        .post(&format!("{path}/cancel"), &reason)
        .await;
    refused("begun", &late, 409, "destruction-begun", "no way back");
    let step = json!({ "to": "deactivated", "reason": "test" });
    let late = stand.operator.post("/v1/keys/k/steps", &step).await;
    refused("by a step", &late, 409, "destruction-begun", "no way back");
    let cancel = "update destructions set outcome = 'cancelled', ended_at = now()";
    let cancelled = sqlx::query(cancel).execute(&stand.database.pool).await;
    assert!(cancelled.is_err(), "the database knows it too");

    // That it is compromised can be said all the same. What its device did in between is no obstacle.
    let step = json!({ "to": "compromised", "reason": "test" });
    let moved = stand.operator.post("/v1/keys/k/steps", &step).await;
    assert_eq!(moved.status, 201, "{}", moved.text);
    let gone = "delete from sealed_keys s using keys k where k.id = s.key_id and k.name = 'k'";
    sqlx::query(gone)
        .execute(&stand.database.pool)
        .await
        .unwrap();
    let again = stand.operator.post(path, &reason).await;
    assert_eq!(again.status, 201, "{}", again.text);
    wait_is_over(&stand).await;
    let _replica = stand.deployment.serve(&[]).await; // it looks when it starts
    let destroyed = "select count(*) from keys where name = 'k' and state = 'destroyed'";
    stand.database.becomes(destroyed, 1).await;
    let status = stand.operator.get(path).await.json;
    let certificate = &status["destruction"]["certificate"];
    assert_eq!(
        certificate["device"]["answer"], "not there any more",
        "{status}"
    );
    assert_eq!(certificate["was_compromised"], true);
}

/// A derivation makes nothing at the venue, so it leaves nothing to be settled.
#[tokio::test]
async fn only_a_login_that_may_have_made_a_key_stands_in_the_way() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    step(&stand, "d-wk", "compromised").await;
    let account = "insert into accounts (id, chain_id, address)
         select gen_random_uuid(), 137, decode(substring(address from 3), 'hex') from (values ('{address}')) as it (address);
         insert into credential_nonces (account_id, nonce, origin, recorded_by)
         select a.id, 0, 'searched', c.id from accounts a, callers c limit 1";
    let key = stand.operator.get("/v1/keys/d-wk").await;
    let address = key.json["address"].as_str().unwrap();
    stand
        .database
        .run(&account.replace("{address}", address))
        .await;
    let login = "insert into logins (intent_id, account_id, nonce, wallet_id, caller_id, purpose, signed_for)
         select gen_random_uuid(), account_id, nonce, gen_random_uuid(), recorded_by, '{purpose}', 0
         from credential_nonces";
    for (purpose, expected) in [
        ("derive", vec!["in-use"]),
        ("create", vec!["unsettled-logins", "in-use"]),
    ] {
        stand
            .database
            .run(&login.replace("{purpose}", purpose))
            .await;
        assert_eq!(obstacles(&stand, "d-wk").await, expected, "{purpose}");
    }
}
