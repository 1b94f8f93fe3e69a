//! Nothing passes the gate after a halt: trials over three replicas under load.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::json;

use crate::Stand;
use crate::support::{Postgres, count, order};
use crate::tightening::sign_in_loops;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_signed_or_released_after_a_halt_on_any_of_three_replicas() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let stand = Stand::new(&postgres, "").await;
    let (second, third) = (
        stand.deployment.serve(&[]).await,
        stand.deployment.serve(&[]).await,
    );
    let token = &stand.trader.token;
    let traders = [
        stand.trader.clone(),
        second.caller(token),
        third.caller(token),
    ];
    let halts = [
        json!({ "on": "everything", "reason": "test" }),
        json!({ "on": "wallet", "name": "d-w", "reason": "test" }),
        json!({ "on": "key", "name": "d-wk", "reason": "test" }),
        json!({ "on": "caller", "name": "d-trader", "reason": "test" }),
        json!({ "on": "market", "tokens": [order()["tokenID"]], "reason": "test" }),
    ];
    let signed = "select count(*) from ends where outcome = 'released'";
    let trials = count(10, 1_000);
    let (mut after, mut stopped) = (0, 0);
    for halt in halts.iter().cycle().take(trials) {
        let over = Arc::default();
        let goal = stand.database.count(signed).await + 16;
        let loops = sign_in_loops(&traders, &over);
        while stand.database.count(signed).await < goal {
            tokio::task::yield_now().await;
        }
        let set = stand.operator.post("/v1/halts", halt).await;
        over.store(true, Ordering::SeqCst);
        assert_eq!(set.status, 201, "{}", set.text);
        for answer in loops.join_all().await {
            assert_eq!(
                (answer.status, answer.problem()),
                (403, "halted"),
                "{}",
                answer.text
            );
            stopped += 1;
        }
        let id = set.json["id"].as_str().unwrap();
        // Transactions get their numbers behind the gate, so the numbers have the gate's order.
        let later = format!(
            "select count(*) from leaves where kind in ('intent', 'released', 'token') and xmin::text::bigint >
             (select xmin::text::bigint from authority where kind = 'halt' and id = '{id}')"
        );
        after += stand.database.count(&later).await;
        let path = format!("/v1/halts/{id}/lift");
        let lifted = stand
            .operator
            .post(&path, &json!({ "reason": "over" }))
            .await;
        assert_eq!(lifted.status, 201, "{}", lifted.text);
    }
    println!(
        "{trials} halts over three replicas, {stopped} requests stopped, {after} leaves after a halt"
    );
    assert_eq!(after, 0);
}
