//! A key's states: which steps there are, and whose they are. The model below is written down once
//! more, by hand, and every (state, state, role) is tried against the service and the database.

use chancery::custody::PublicKey;
use k256::SecretKey;
use k256::elliptic_curve::rand_core::OsRng;
use serde_json::json;
use sqlx::PgPool;

use crate::stand::{Stand, refused};
use crate::support::Caller;

const STATES: [&str; 8] = [
    "pre-activation",
    "active",
    "retiring",
    "suspended",
    "deactivated",
    "compromised",
    "destroy-pending",
    "destroyed",
];

const ALL_DUTIES: [&str; 3] = ["custodian", "key-operator", "security-officer"];
const STOPPED_BY: [&str; 2] = ["custodian", "security-officer"];

/// Each step, and the roles that may take it besides `operator`. `destroyed` is the service's own.
const MODEL: [(&str, &str, &[&str]); 21] = [
    ("pre-activation", "active", &["key-operator"]),
    ("pre-activation", "compromised", &STOPPED_BY),
    ("pre-activation", "destroy-pending", &["custodian"]),
    ("active", "retiring", &["key-operator"]),
    ("active", "suspended", &ALL_DUTIES),
    ("active", "deactivated", &["key-operator"]),
    ("active", "compromised", &STOPPED_BY),
    ("retiring", "active", &["key-operator"]),
    ("retiring", "suspended", &ALL_DUTIES),
    ("retiring", "deactivated", &["key-operator"]),
    ("retiring", "compromised", &STOPPED_BY),
    ("suspended", "active", &["security-officer"]),
    ("suspended", "deactivated", &["key-operator"]),
    ("suspended", "compromised", &STOPPED_BY),
    ("deactivated", "compromised", &STOPPED_BY),
    ("deactivated", "destroy-pending", &["custodian"]),
    ("compromised", "destroy-pending", &["custodian"]),
    ("destroy-pending", "deactivated", &ALL_DUTIES),
    ("destroy-pending", "compromised", &ALL_DUTIES),
    ("destroy-pending", "pre-activation", &ALL_DUTIES),
    ("destroy-pending", "destroyed", &[]),
];

/// The way from the beginning to a state.
fn way(state: &str) -> &'static [&'static str] {
    match state {
        "active" => &["active"],
        "retiring" => &["active", "retiring"],
        "suspended" => &["active", "suspended"],
        "deactivated" => &["active", "deactivated"],
        "compromised" => &["compromised"],
        "destroy-pending" => &["destroy-pending"],
        "destroyed" => &["destroy-pending", "destroyed"],
        _ => &[],
    }
}

/// A key without a device behind it, in this state.
async fn plant(pool: &PgPool, name: &str, state: &str) {
    let id = uuid::Uuid::now_v7();
    let key = "insert into keys (id, name, purpose, algorithm, backend, environment, owner, origin,
                                 public_key, cryptoperiod_ends_at)
               select $1, $2, purpose, algorithm, backend, environment, owner, origin, $3,
                      now() + interval '100 days' from keys where name = 'd-wk'";
    let secret = SecretKey::random(&mut OsRng);
    let public = PublicKey::Secp256k1(secret.public_key()).to_spki_der();
    let planted = sqlx::query(key).bind(id).bind(name).bind(public);
    let planted = planted.execute(pool);
    planted.await.unwrap();
    let mut from = "pre-activation";
    for (epoch, to) in (1_i64..).zip(way(state)) {
        if *to == "destroyed" {
            let begun = "update destructions set begun_at = now() where key_id = $1";
            sqlx::query(begun).bind(id).execute(pool).await.unwrap();
        }
        step(pool, id, epoch, from, to).await.unwrap();
        if *to == "destroy-pending" {
            let asked = "insert into destructions (key_id, epoch, requested_by, reason, approval,
                                                   accepted, not_before)
                         select $1, $2, id, 'test', 'test', '{}', now() from callers limit 1";
            let asked = sqlx::query(asked).bind(id).bind(epoch).execute(pool);
            asked.await.unwrap();
        }
        from = to;
    }
}

/// A step as the service's statements take it.
async fn step(
    pool: &PgPool,
    id: uuid::Uuid,
    epoch: i64,
    from: &str,
    to: &str,
) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    let transition =
        "insert into key_transitions (key_id, epoch, from_state, to_state, approval, reason)
                      values ($1, $2, $3, $4, 'test', 'test')";
    let transition = sqlx::query(transition).bind(id).bind(epoch).bind(from);
    transition.bind(to).execute(&mut *tx).await?;
    let moved = "update keys set state = $3, epoch = $2 where id = $1";
    let moved = sqlx::query(moved).bind(id).bind(epoch).bind(to);
    moved.execute(&mut *tx).await?;
    tx.commit().await
}

/// Takes a step by the way that there is for it.
async fn ask(caller: &Caller, key: &str, to: &str) -> crate::support::Answer {
    let reason = json!({ "reason": "test" });
    let step = json!({ "to": to, "reason": "test" });
    match to {
        "destroy-pending" => {
            let path = format!("/v1/keys/{key}/destruction");
            caller.post(&path, &reason).await
        }
        _ => caller.post(&format!("/v1/keys/{key}/steps"), &step).await,
    }
}

#[tokio::test]
async fn every_step_is_an_edge_and_somebody_s() {
    let Some(stand) = Stand::new("[cryptoperiods]\nlook_every_s = 3600").await else {
        return;
    };
    let pool = &stand.database.pool;
    let mut people = vec![("operator", stand.operator.clone())];
    for role in ["custodian", "key-operator", "security-officer", "auditor"] {
        people.push((role, stand.another(role, "d", role).await));
    }
    let mut number = 0;
    let mut taken = 0;
    for from in STATES {
        for to in STATES {
            let edge = MODEL.iter().find(|(a, b, _)| (*a, *b) == (from, to));
            let mut key = String::new();
            let mut fresh = false;
            for (role, caller) in &people {
                if !fresh {
                    number += 1;
                    key = format!("k-{number}");
                    plant(pool, &key, from).await;
                    stand.deployment.restate().await;
                    fresh = true;
                }
                let what = format!("{role}: {from} to {to}");
                let answer = ask(caller, &key, to).await;
                let theirs = edge.is_some_and(|(_, _, roles)| roles.contains(role));
                let operator = *role == "operator";
                let by_hand = edge.is_some() && to != "destroyed";
                if by_hand && (operator || theirs) {
                    assert_eq!(answer.status, 201, "{what}: {}", answer.text);
                    (fresh, taken) = (false, taken + 1);
                } else if operator {
                    refused(&what, &answer, 409, "not-a-step", "");
                } else {
                    // What is no step may be denied or refused: nothing happens.
                    let no = [(403, "denied"), (409, "not-a-step")];
                    let is = (answer.status, answer.problem());
                    assert!(no.contains(&is), "{what}: {}", answer.text);
                    assert!(edge.is_none() || to == "destroyed" || is.0 == 403, "{what}");
                }
                let state = if fresh { from } else { to };
                let seen = caller.get(&format!("/v1/keys/{key}")).await;
                assert_eq!(seen.json["state"], state, "{what}");
            }
        }
    }
    let roles: usize = MODEL[..20]
        .iter()
        .map(|(_, _, roles)| roles.len() + 1)
        .sum();
    assert_eq!(taken, roles);

    let trader = ask(&stand.trader, "d-wk", "suspended").await;
    refused("a trader", &trader, 403, "denied", "step_key");
    let other = stand.another("other", "e", "trader").await;
    refused(
        "another desk's",
        &ask(&other, "d-wk", "suspended").await,
        404,
        "not-found",
        "key",
    );
}

#[tokio::test]
async fn the_database_knows_the_edges_too() {
    let Some(stand) = Stand::new("[cryptoperiods]\nlook_every_s = 3600").await else {
        return;
    };
    let pool = &stand.database.pool;
    for (number, from) in STATES.into_iter().enumerate() {
        for to in STATES {
            let name = format!("k-{number}-{to}");
            plant(pool, &name, from).await;
            let row = sqlx::query_as("select id, epoch from keys where name = $1");
            let (id, epoch): (uuid::Uuid, i64) = row.bind(&name).fetch_one(pool).await.unwrap();
            let took = step(pool, id, epoch + 1, from, to).await;
            let edge = MODEL.iter().any(|(a, b, _)| (*a, *b) == (from, to));
            // Nothing is destroyed that nobody asked a device to destroy.
            let expected = edge && to != "destroyed";
            assert_eq!(took.is_ok(), expected, "{from} to {to}: {took:?}");
            let free = "update keys set state = $2 where id = $1 and state <> $2";
            let free = sqlx::query(free).bind(id).bind(to).execute(pool).await;
            let same = from == to || expected;
            assert_eq!(free.is_ok(), same, "{from} to {to} without a record");
        }
    }
}
