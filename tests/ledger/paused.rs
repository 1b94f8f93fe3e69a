//! A replica that is stopped in the middle of a group keeps no right alive, and nobody waiting.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Stand;
use crate::support::load::settled;
use crate::support::{Answer, Postgres, Server, count, invariants, order};
use crate::tightening::{released_after, sign_in_loops};

/// How many sessions have been in the gate for a while without a word.
const STANDING_STILL: &str = "select count(*) from pg_locks join pg_stat_activity using (pid)
     where locktype = 'advisory' and granted and datname = current_database()
       and state = 'idle in transaction' and state_change < clock_timestamp() - interval '100 ms'";

/// Stops a replica with a transaction open in the gate: a group of signatures is one call, which the
/// server ends by itself, but a change by an operator has several statements.
async fn stop_in_mid_change(stand: &Stand, replica: &Server, trial: usize) {
    let operator = replica.caller(&stand.operator.token);
    let mut changes = tokio::task::JoinSet::new();
    changes.spawn(async move {
        for n in 0.. {
            let name = format!("c{trial}-{n}");
            let caller = json!({ "name": name, "owner": "d", "roles": ["trader"] });
            drop(operator.post_as(&name, "/v1/callers", &caller).await);
        }
    });
    for round in 0..200 {
        replica.freeze();
        tokio::time::sleep(Duration::from_millis(150)).await;
        if stand.database.count(STANDING_STILL).await > 0 {
            return;
        }
        replica.resume();
        tokio::time::sleep(Duration::from_millis(round * 7 % 20)).await;
    }
    panic!("it was never stopped in mid-change");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_is_taken_away_within_5_s_while_a_replica_stands_still() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let stand = Stand::new(&postgres, "").await;
    let second = stand.deployment.serve(&[]).await;
    let third = stand.deployment.serve(&[]).await;
    let key = "select id from keys where name = 'd-wk'";
    let signed = "select count(*) from ends where outcome = 'released'";
    let trials = count(4, 100);
    let mut slowest = Duration::ZERO;
    for trial in 0..trials {
        let name = format!("t{trial}");
        let trader = json!({ "name": name, "owner": "d", "roles": ["trader"] });
        let made = stand.operator.post("/v1/callers", &trader).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let token = made.json["token"].as_str().unwrap();
        let traders = [&stand.server, &second, &third].map(|server| server.caller(token));
        let over = Arc::default();
        let goal = stand.database.count(signed).await + 32;
        let loops = sign_in_loops(&traders, &over);
        while stand.database.count(signed).await < goal {
            tokio::task::yield_now().await;
        }
        stop_in_mid_change(&stand, &third, trial).await;
        let suspends = trial % 2 == 0;
        let (path, body) = if suspends {
            let step = json!({ "to": "suspended", "reason": "test" });
            ("/v1/keys/d-wk/steps".to_owned(), step)
        } else {
            (format!("/v1/callers/{name}/revoke"), json!({}))
        };
        let asked = Instant::now();
        let answer = stand.operator.post(&path, &body).await;
        slowest = slowest.max(asked.elapsed());
        over.store(true, Ordering::SeqCst);
        assert_eq!(answer.status, 201, "{}", answer.text);
        third.resume();
        for answer in loops.join_all().await {
            assert!(
                is_told(&answer, suspends),
                "{} {}",
                answer.status,
                answer.text
            );
        }
        if suspends {
            assert_eq!(released_after(&stand, "key_id", key).await, 0);
            let step = json!({ "to": "active", "reason": "test" });
            let moved = stand.operator.post("/v1/keys/d-wk/steps", &step).await;
            assert_eq!(moved.status, 201, "{}", moved.text);
        } else {
            let caller = format!("select id from callers where name = '{name}'");
            assert_eq!(released_after(&stand, "caller_id", &caller).await, 0);
        }
    }
    settled(&stand.database).await;
    let counts = invariants::check(&stand.database, &stand.deployment, &[]).await;
    println!("{trials} trials, the slowest took {slowest:?}, {counts:?}");
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
}

/// Whether the answer says what was answer away.
fn is_told(answer: &Answer, suspends: bool) -> bool {
    let told = (answer.status, answer.problem());
    if suspends {
        [(409, "key-not-active"), (409, "key-epoch-changed")].contains(&told)
    } else {
        told == (401, "not-authenticated")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_works_in_the_gate_is_waited_for_and_no_row_is_blamed() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let stand = Stand::new(&postgres, "").await;
    // As long as four waits of a second and then some, and never silent.
    let works = "begin; select pg_advisory_xact_lock(x'6368616e63657279'::bigint); select pg_sleep(6); commit";
    let mut session = stand.database.pool.acquire().await.unwrap();
    let working = tokio::spawn(async move { sqlx::raw_sql(works).execute(&mut *session).await });
    let stands = "select count(*) from pg_locks join pg_database d on d.oid = database
                  where datname = current_database() and locktype = 'advisory' and granted";
    stand.database.becomes(stands, 1).await;
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let trader = stand.trader.clone();
        asked.spawn(async move { trader.post("/v1/wallets/d-w/orders", &order()).await });
    }
    for answer in asked.join_all().await {
        assert!(
            [200, 503, 504].contains(&answer.status),
            "{} {}",
            answer.status,
            answer.text
        );
    }
    working.await.unwrap().unwrap();
    stand.server.heard("the gate is waited for").await;
    let log = stand.server.log();
    assert!(!log.contains("a group aborted"), "{log}");
    settled(&stand.database).await;
    let signed = stand.trader.post("/v1/wallets/d-w/orders", &order()).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
}
