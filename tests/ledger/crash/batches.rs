//! A batch whose process dies is whole when it is repeated: each order is released once.

use std::time::Duration;

use serde_json::{Value, json};

use super::SHORT;
use crate::Stand;
use crate::support::load::settled;
use crate::support::{Caller, Postgres, order};

/// Orders in the batch.
const ORDERS: usize = 7;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_a_crash_cut_short_is_completed_by_its_repetition() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    // Its server ends here: those that are killed are started one by one.
    let Stand {
        database,
        deployment,
        trader: Caller { token, .. },
        ..
    } = Stand::new(&postgres, SHORT).await;
    let orders: Vec<Value> = (0..ORDERS)
        .map(|at| {
            let mut order = order();
            order["size"] = json!(format!("{}", 10 + at));
            order
        })
        .collect();
    let batch = json!({ "orders": orders });
    let path = "/v1/wallets/d-w/orders/batch";
    for point in chancery::fail::POINTS {
        // Points of a group are passed once for the batch, the others once for each order.
        let once = [
            "accepted",
            "intent-joined",
            "intent-before-commit",
            "intent-after-commit",
        ];
        let pass = if once.contains(&point) || point.contains("commit") {
            1
        } else {
            3
        };
        let armed = format!("{point}:{pass}");
        let mut server = deployment.serve(&[("CHANCERY_FAIL_POINT", &armed)]).await;
        let lost = server.caller(&token).post_as(point, path, &batch).await;
        assert!(lost.is_err(), "{point}: {lost:?}");
        assert!(server.wait_killed(), "{point}");

        let server = deployment.serve(&[]).await;
        let trader = server.caller(&token);
        let repeated = async {
            loop {
                let answer = trader.post_as(point, path, &batch).await.unwrap();
                assert_eq!(answer.status, 200, "{point}: {}", answer.text);
                let outcomes = answer.json["orders"].as_array().unwrap().clone();
                if outcomes.iter().all(|it| it["status"] == 200) {
                    return outcomes;
                }
                tokio::time::sleep(Duration::from_millis(50)).await; // a lease has to end
            }
        };
        let repeated = tokio::time::timeout(Duration::from_mins(1), repeated).await;
        let whole = repeated.unwrap_or_else(|_| panic!("{point}: {}", server.log()));
        let again = trader.post_as(point, path, &batch).await.unwrap();
        for (at, (one, other)) in whole
            .iter()
            .zip(again.json["orders"].as_array().unwrap())
            .enumerate()
        {
            assert_eq!(one["order"], other["order"], "{point} {at}");
        }
        settled(&database).await;
        let released = format!(
            "select count(*) from idempotency_keys k join ends e on e.intent_id = k.intent_id
             where e.outcome = 'released' and k.key like '{point} %'"
        );
        assert_eq!(database.count(&released).await, 7, "{point}");
        let open = "select count(*) from signatures where outcome is null";
        assert_eq!(database.count(open).await, 0, "{point}");
    }
}
