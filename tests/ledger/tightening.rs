//! Once a right is taken away, nothing more is released under it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tokio::task::JoinSet;

use crate::Stand;
use crate::support::{Answer, Caller, Postgres, count, invariants, order};

const PATH: &str = "/v1/wallets/d-w/orders";

/// Many who sign in a loop until they are refused; a 200 to a request that was begun after
/// `taken` is a failure. What they were refused with; whoever is told that the service is unavailable
/// asks again.
pub(crate) fn sign_in_loops(traders: &[Caller], taken: &Arc<AtomicBool>) -> JoinSet<Answer> {
    let mut tasks = JoinSet::new();
    for n in 0..16 {
        let (trader, taken) = (traders[n % traders.len()].clone(), taken.clone());
        tasks.spawn(async move {
            loop {
                let late = taken.load(Ordering::SeqCst);
                let answer = trader.post(PATH, &order()).await;
                match answer.status {
                    200 => {}
                    503 | 504 => continue,
                    _ => return answer,
                }
                assert!(!late, "signed after it was taken away: {}", answer.text);
            }
        });
    }
    tasks
}

/// How many releases passed the gate after the last change of this thing. Transactions get their
/// numbers behind the gate, so the numbers have the gate's order.
pub(crate) async fn released_after(stand: &Stand, column: &str, subject: &str) -> i64 {
    let number = "xmin::text::bigint";
    let change = format!(
        "select max(a.{number}) from leaves a where a.kind = 'admin' and a.subject_id = ({subject})"
    );
    let sql = format!(
        "select count(*) from leaves r join intents i on i.id = r.subject_id
         where r.kind = 'released' and i.{column} = ({subject}) and r.{number} > ({change})"
    );
    stand.database.count(&sql).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_key_releases_nothing_more() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let stand = Stand::new(&postgres, "").await;
    let second = stand.deployment.serve(&[]).await;
    let traders = [stand.trader.clone(), second.caller(&stand.trader.token)];
    let key = "select id from keys where name = 'd-wk'";
    let rounds = count(5, 100);
    let signed = "select count(*) from ends where outcome = 'released'";
    for _ in 0..rounds {
        let over = Arc::default();
        let goal = stand.database.count(signed).await + 32;
        let loops = sign_in_loops(&traders, &over);
        while stand.database.count(signed).await < goal {
            tokio::task::yield_now().await;
        }
        let step = json!({ "to": "suspended", "reason": "test" });
        let moved = stand.operator.post("/v1/keys/d-wk/steps", &step).await;
        over.store(true, Ordering::SeqCst);
        assert_eq!(moved.status, 201, "{}", moved.text);
        for answer in loops.join_all().await {
            let named = ["key-not-active", "key-epoch-changed"].contains(&answer.problem());
            assert!(answer.status == 409 && named, "{}", answer.text);
        }
        assert_eq!(released_after(&stand, "key_id", key).await, 0);
        let step = json!({ "to": "active", "reason": "test" });
        let moved = stand.operator.post("/v1/keys/d-wk/steps", &step).await;
        assert_eq!(moved.status, 201, "{}", moved.text);
    }
    let counts = invariants::check(&stand.database, &stand.deployment, &[]).await;
    println!("{rounds} rounds, {counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_caller_is_released_nothing_more() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let stand = Stand::new(&postgres, "").await;
    let second = stand.deployment.serve(&[]).await;
    let rounds = count(5, 100);
    let signed = "select count(*) from ends where outcome = 'released'";
    for round in 0..rounds {
        let name = format!("t{round}");
        let trader = json!({ "name": name, "owner": "d", "roles": ["trader"] });
        let made = stand.operator.post("/v1/callers", &trader).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let token = made.json["token"].as_str().unwrap();
        let traders = [stand.server.caller(token), second.caller(token)];
        let over = Arc::default();
        let goal = stand.database.count(signed).await + 32;
        let loops = sign_in_loops(&traders, &over);
        while stand.database.count(signed).await < goal {
            tokio::task::yield_now().await;
        }
        let revoke = format!("/v1/callers/{name}/revoke");
        let revoked = stand.operator.post(&revoke, &json!({})).await;
        over.store(true, Ordering::SeqCst);
        assert_eq!(revoked.status, 201, "{}", revoked.text);
        for answer in loops.join_all().await {
            let told = (answer.status, answer.problem());
            assert_eq!(told, (401, "not-authenticated"), "{}", answer.text);
        }
        let caller = format!("select id from callers where name = '{name}'");
        assert_eq!(released_after(&stand, "caller_id", &caller).await, 0);
    }
    let counts = invariants::check(&stand.database, &stand.deployment, &[]).await;
    println!("{rounds} rounds, {counts:?}");
}

/// How somebody asks, over and over.
#[derive(Clone, Copy)]
enum Asking {
    /// For an order that was signed before.
    Replay,
    /// For its record.
    LookUp,
    /// For another token of somebody else.
    Write,
}

impl Asking {
    async fn ask(self, who: &Caller) -> Answer {
        match self {
            Self::Replay => who.post_as("once", PATH, &order()).await.unwrap(),
            Self::LookUp => who.get("/v1/signatures?idempotency_key=once").await,
            Self::Write => {
                let days = json!({ "token_days": 1 });
                who.post("/v1/callers/d-trader/tokens", &days).await
            }
        }
    }

    /// Whether they got what they asked for.
    fn is_given(self, answer: &Answer) -> bool {
        match self {
            Self::Replay => answer.status == 200,
            Self::LookUp => answer.status == 200 && !answer.json[0]["answer"].is_null(),
            Self::Write => answer.status == 201,
        }
    }
}

/// Many who ask in a loop until they are not given it; what is given to a request that was begun after
/// `taken` is a failure. The answers with which the loops ended.
fn ask_in_loops(asking: &[(Asking, Caller)], taken: &Arc<AtomicBool>) -> JoinSet<Answer> {
    let mut tasks = JoinSet::new();
    for n in 0..16 {
        let ((asking, who), taken) = (asking[n % asking.len()].clone(), taken.clone());
        tasks.spawn(async move {
            loop {
                let late = taken.load(Ordering::SeqCst);
                let answer = asking.ask(&who).await;
                if !asking.is_given(&answer) {
                    return answer;
                }
                assert!(!late, "given after it was taken away: {}", answer.text);
            }
        });
    }
    tasks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_signed_is_told_to_nobody_whose_right_is_taken_away() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let stand = Stand::new(&postgres, "").await;
    let second = stand.deployment.serve(&[]).await;
    for round in 0..count(5, 100) {
        let name = format!("t{round}");
        let trader = json!({ "name": name, "owner": "d", "roles": ["trader"] });
        let made = stand.operator.post("/v1/callers", &trader).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let token = made.json["token"].as_str().unwrap();
        let callers = [stand.server.caller(token), second.caller(token)];
        let signed = Asking::Replay.ask(&callers[0]).await;
        assert_eq!(signed.status, 200, "{}", signed.text);
        let asking: Vec<_> = callers
            .iter()
            .flat_map(|who| [(Asking::Replay, who.clone()), (Asking::LookUp, who.clone())])
            .collect();
        for (how, who) in &asking {
            let given = how.ask(who).await;
            assert!(how.is_given(&given), "{}", given.text);
        }
        // By turns, the caller and the key.
        let (path, body) = if round % 2 == 0 {
            (format!("/v1/callers/{name}/revoke"), json!({}))
        } else {
            let step = json!({ "to": "suspended", "reason": "test" });
            ("/v1/keys/d-wk/steps".to_owned(), step)
        };
        let over = Arc::default();
        let loops = ask_in_loops(&asking, &over);
        let done = stand.operator.post(&path, &body).await;
        over.store(true, Ordering::SeqCst);
        assert_eq!(done.status, 201, "{}", done.text);
        for answer in loops.join_all().await {
            let told = (answer.status, answer.problem());
            if round % 2 == 0 {
                assert_eq!(told, (401, "not-authenticated"), "{}", answer.text);
            } else if answer.status == 200 {
                assert_eq!(answer.json[0]["withheld"], "suspended", "{}", answer.text);
            } else {
                let named = ["key-not-active", "key-epoch-changed"].contains(&answer.problem());
                assert!(answer.status == 409 && named, "{}", answer.text);
            }
        }
        if round % 2 != 0 {
            let step = json!({ "to": "active", "reason": "test" });
            let moved = stand.operator.post("/v1/keys/d-wk/steps", &step).await;
            assert_eq!(moved.status, 201, "{}", moved.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_operator_changes_nothing_more_on_any_replica() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let stand = Stand::new(&postgres, "").await;
    let second = stand.deployment.serve(&[]).await;
    for round in 0..count(5, 100) {
        let name = format!("o{round}");
        let operator = json!({ "name": name, "owner": "d", "roles": ["operator"] });
        let made = stand.operator.post("/v1/callers", &operator).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let token = made.json["token"].as_str().unwrap();
        let asking = [stand.server.caller(token), second.caller(token)];
        let asking = asking.map(|who| (Asking::Write, who));
        for (how, who) in &asking {
            let given = how.ask(who).await; // and each replica remembers who they are
            assert!(how.is_given(&given), "{}", given.text);
        }
        let over = Arc::default();
        let loops = ask_in_loops(&asking, &over);
        let revoke = format!("/v1/callers/{name}/revoke");
        let revoked = stand.operator.post(&revoke, &json!({})).await;
        over.store(true, Ordering::SeqCst);
        assert_eq!(revoked.status, 201, "{}", revoked.text);
        for answer in loops.join_all().await {
            let told = (answer.status, answer.problem());
            assert_eq!(told, (401, "not-authenticated"), "{}", answer.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_caller_is_told_nothing_more_by_a_replica_that_remembers_them() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let stand = Stand::new(&postgres, "").await;
    let second = stand.deployment.serve(&[]).await;
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_accounts" });
    let mut wrong = order();
    wrong["price"] = json!("much");
    for round in 0..count(3, 20) {
        let name = format!("t{round}");
        let trader = json!({ "name": name, "owner": "d", "roles": ["trader"] });
        let made = stand.operator.post("/v1/callers", &trader).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let there = second.caller(made.json["token"].as_str().unwrap());
        assert_eq!(there.post(PATH, &order()).await.status, 200);
        let ask = async || {
            let reads = [
                "/v1/wallets",
                "/v1/wallets/d-w",
                "/v1/wallets/nobodys",
                "/v1/callers",
                "/v1/signatures?idempotency_key=x",
                "/v1/exchange/scopes",
            ];
            let mut answers = Vec::new();
            for path in reads {
                answers.push(there.get(path).await);
            }
            answers.push(there.post("/rpc", &call).await);
            answers.push(there.post(PATH, &wrong).await);
            answers.push(there.post("/v1/wallets/nobodys/orders", &order()).await);
            answers.push(there.post(PATH, &order()).await);
            answers
        };
        let told = ask().await.into_iter().map(|it| it.status);
        let told: Vec<_> = told.collect();
        assert_eq!(told, [200, 200, 404, 403, 200, 200, 200, 422, 404, 200]);
        let revoke = format!("/v1/callers/{name}/revoke");
        let revoked = stand.operator.post(&revoke, &json!({})).await;
        assert_eq!(revoked.status, 201, "{}", revoked.text);
        for answer in ask().await {
            assert_eq!(answer.status, 401, "{}", answer.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wallet_that_a_replica_remembers_signs_as_its_key_stands_now() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let stand = Stand::new(&postgres, "").await;
    let second = stand.deployment.serve(&[]).await;
    let there = second.caller(&stand.trader.token);
    let step = async |to: &str| {
        let step = json!({ "to": to, "reason": "test" });
        let moved = stand.operator.post("/v1/keys/d-wk/steps", &step).await;
        assert_eq!(moved.status, 201, "{}", moved.text);
    };
    let batch = json!({ "orders": [order(), order(), order()] });
    let path = format!("{PATH}/batch");
    for _ in 0..3 {
        assert_eq!(there.post(PATH, &order()).await.status, 200);
        step("suspended").await;
        let refused = there.post(PATH, &order()).await;
        let told = (refused.status, refused.problem());
        assert_eq!(told, (409, "key-not-active"), "{}", refused.text);
        step("active").await;
        let signed = there.post(PATH, &order()).await;
        assert_eq!(signed.status, 200, "at once: {}", signed.text);
        step("suspended").await;
        step("active").await;
        let signed = there.post(&path, &batch).await;
        let all = signed.json["orders"].as_array().unwrap();
        let statuses: Vec<_> = all.iter().map(|it| it["status"].as_u64()).collect();
        assert_eq!(statuses, [Some(200); 3], "{}", signed.text);
        assert!(all.iter().all(|it| it["replayed"] == false));
    }
    let sql = "select count(*) from leaves where kind = 'released'";
    let signed = there.post(PATH, &order()).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    let before = stand.database.count(sql).await;
    step("compromised").await;
    let close = json!({ "reason": "nothing is left" });
    let closed = stand.operator.post("/v1/wallets/d-w/close", &close).await;
    assert_eq!(closed.status, 201, "{}", closed.text);
    let refused = there.post(PATH, &order()).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    let refused = there.post(&path, &batch).await;
    let all = refused.json["orders"].as_array().unwrap();
    assert!(all.iter().all(|it| it["status"] == 409), "{}", refused.text);
    assert_eq!(stand.database.count(sql).await, before);
}
