//! Keys whose process died while they were made: found, then finished or destroyed.

use serde_json::{Value, json};

use crate::kms::{CREDENTIALS, World};
use crate::stand::{Stand, refused};
use crate::support::{Caller, Server};

fn key(name: &str, backend: &str) -> Value {
    json!({
        "name": name, "purpose": "wallet", "backend": backend, "environment": "dev01", "owner": "d",
    })
}

/// Asks a server for a key that dies of it.
async fn die(mut mortal: Server, operator: &Caller, asked: &Value) {
    let operator = mortal.caller(&operator.token);
    let died = operator.post_as("first", "/v1/keys", asked).await;
    assert!(died.is_err(), "{died:?}");
    assert!(mortal.wait_killed(), "{}", mortal.log());
}

/// The only orphan: what its device holds of it.
async fn orphan(operator: &Caller) -> Value {
    let orphans = operator.get("/v1/orphans").await;
    assert_eq!(orphans.status, 200, "{}", orphans.text);
    let [orphan] = orphans.json.as_array().unwrap().as_slice() else {
        panic!("{}", orphans.text);
    };
    orphan.clone()
}

async fn no_orphan(operator: &Caller) {
    let orphans = operator.get("/v1/orphans").await;
    assert_eq!(orphans.json, json!([]), "{}", orphans.text);
}

/// Lets the time be over in which a device may still be at it.
async fn later(stand: &Stand, name: &str) {
    let sql = "update keys set created_at = created_at - interval '10 minutes' where name = $1";
    let done = sqlx::query(sql)
        .bind(name)
        .execute(&stand.database.pool)
        .await;
    done.unwrap();
    stand.deployment.restate().await;
}

async fn activate(operator: &Caller, name: &str) {
    let step = json!({ "to": "active", "reason": "test" });
    let path = format!("/v1/keys/{name}/steps");
    let moved = operator.post(&path, &step).await;
    assert_eq!(moved.status, 201, "{}", moved.text);
}

const WHY: &str = "the host lost power";

#[tokio::test]
async fn a_key_that_was_made_and_not_recorded_is_recovered() {
    let Some(stand) = Stand::durable("").await else {
        return;
    };
    let armed = [("CHANCERY_FAIL_POINT", "key-made:1")];
    let asked = key("lost", "soft");
    die(
        stand.deployment.serve(&armed).await,
        &stand.operator,
        &asked,
    )
    .await;

    let found = orphan(&stand.operator).await;
    assert_eq!(
        (&found["key"]["name"], &found["in_device"]),
        (&json!("lost"), &json!("made"))
    );
    let address = found["address"].as_str().unwrap();
    let complaint = stand.deployment.run(&["doctor"]).unwrap_err();
    assert!(complaint.contains("found something wrong"), "{complaint}");
    let early = json!({ "to": "active", "reason": "test" });
    let early = stand.operator.post("/v1/keys/lost/steps", &early).await;
    refused("no public key", &early, 409, "not-a-step", "not made");

    let why = json!({ "reason": WHY });
    let path = "/v1/keys/lost/recover";
    let trader = stand.trader.post(path, &why).await;
    refused("trader", &trader, 403, "denied", "create_key");
    let recovered = stand.operator.post_as("r", path, &why).await.unwrap();
    assert_eq!(recovered.status, 201, "{}", recovered.text);
    assert_eq!(recovered.json["address"], address);
    assert_eq!(recovered.json["state"], "pre-activation");
    let again = stand.operator.post_as("r", path, &why).await.unwrap();
    assert_eq!(again.text, recovered.text);
    let twice = stand.operator.post(path, &why).await;
    refused("whole", &twice, 409, "not-a-step", "on record");
    no_orphan(&stand.operator).await;
    activate(&stand.operator, "lost").await;
    let taken = stand.operator.post("/v1/keys", &asked).await;
    refused("taken", &taken, 409, "name-taken", "exists");
}

#[tokio::test]
async fn a_key_that_is_asked_for_again_in_the_same_words_is_finished() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let operator = &stand.operator;
    for (point, in_device) in [("key-made:1", "made"), ("key-on-record:1", "nothing")] {
        let asked = key(in_device, "soft");
        let armed = [("CHANCERY_FAIL_POINT", point)];
        die(stand.deployment.serve(&armed).await, operator, &asked).await;
        let found = orphan(operator).await;
        assert_eq!(found["in_device"], in_device);
        if in_device == "nothing" {
            let why = json!({ "reason": WHY });
            let none = operator.post("/v1/keys/nothing/recover", &why).await;
            refused("nothing", &none, 409, "not-a-step", "not made");
            // The device may still be at it: a second pair of the same id is not made.
            let early = operator.post_as("first", "/v1/keys", &asked).await.unwrap();
            refused("early", &early, 409, "in-flight", "still be at it");
            assert!(early.headers.contains_key("retry-after"));
            later(&stand, in_device).await;
        }
        let mut other = asked.clone();
        other["owner"] = "e".into();
        let other = operator.post("/v1/keys", &other).await;
        refused("another key", &other, 409, "name-taken", "exists");

        let made = operator.post_as("first", "/v1/keys", &asked).await.unwrap();
        assert_eq!(made.status, 201, "{}", made.text);
        assert_eq!(made.json["id"], found["key"]["id"]);
        let again = operator.post_as("first", "/v1/keys", &asked).await.unwrap();
        assert_eq!(again.text, made.text);
        no_orphan(operator).await;
        activate(operator, in_device).await;
        // The key of the next round is another.
        let sql = "delete from idempotency_keys where key = 'first'";
        sqlx::query(sql)
            .execute(&stand.database.pool)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_key_that_was_never_finished_is_destroyed_and_leaves_a_certificate() {
    let Some(stand) = Stand::new("[cryptoperiods]\nlook_every_s = 1").await else {
        return;
    };
    for (point, name) in [("key-made:1", "made"), ("key-on-record:1", "nothing")] {
        let armed = [("CHANCERY_FAIL_POINT", point)];
        let server = stand.deployment.serve(&armed).await;
        die(server, &stand.operator, &key(name, "soft")).await;
        let path = format!("/v1/keys/{name}/destruction");
        let why = json!({ "reason": WHY });
        let asked = stand.operator.post(&path, &why).await;
        assert_eq!(asked.status, 201, "{}", asked.text);
        let sql = "update destructions set not_before = now() - interval '1 second'
                   where ended_at is null and begun_at is null";
        sqlx::query(sql)
            .execute(&stand.database.pool)
            .await
            .unwrap();
        let gone =
            format!("select count(*) from keys where name = '{name}' and state = 'destroyed'");
        stand.database.becomes(&gone, 1).await;
        let left = "select count(*) from sealed_keys s join keys k on k.id = s.key_id
                    where k.state = 'destroyed'";
        assert_eq!(stand.database.count(left).await, 0);
        let shown = stand.operator.get(&path).await;
        assert!(
            shown.json["destruction"]["certificate"].is_object(),
            "{}",
            shown.text
        );
        no_orphan(&stand.operator).await;
    }
}

#[tokio::test]
async fn a_key_that_kms_made_is_found_by_its_tag_and_recovered() {
    let Some(world) = World::open("").await else {
        return;
    };
    let mut environment = CREDENTIALS.to_vec();
    environment.push(("CHANCERY_FAIL_POINT", "key-made:1"));
    let mortal = world.deployment.serve(&environment).await;
    die(mortal, &world.operator, &key("lost", "kms")).await;
    let found = orphan(&world.operator).await;
    assert_eq!(found["in_device"], "made");
    let arn = found["device_ref"].as_str().unwrap();
    assert!(arn.starts_with("arn:aws:kms:"), "{arn}");
    let why = json!({ "reason": WHY });
    let recovered = world.operator.post("/v1/keys/lost/recover", &why).await;
    assert_eq!(recovered.status, 201, "{}", recovered.text);
    assert_eq!(recovered.json["device_ref"], arn);
    assert_eq!(recovered.json["address"], found["address"]);
    no_orphan(&world.operator).await;
    activate(&world.operator, "lost").await;
}
