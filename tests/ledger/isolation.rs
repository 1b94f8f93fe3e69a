//! What is wrong with one row of a group is not the others' trouble.

use serde_json::json;
use tokio::task::JoinSet;

use crate::Stand;
use crate::support::{Postgres, count, invariants, order};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_callers_bad_row_does_not_sink_its_group() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let stand = Stand::new(&postgres, "").await;
    // No request can break a constraint of ours; so there is one more, on one size.
    let planted = "alter table leaves add constraint planted
                   check (position('77770000'::bytea in leaf) = 0)";
    let planted = sqlx::raw_sql(planted).execute(&stand.database.pool);
    planted.await.unwrap();

    let careless = json!({ "name": "careless", "owner": "d", "roles": ["trader"] });
    let made = stand.operator.post("/v1/callers", &careless).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let careless = stand.server.caller(made.json["token"].as_str().unwrap());

    let rounds = count(10, 200);
    let mut given = Vec::new();
    for round in 0..rounds {
        let mut tasks = JoinSet::new();
        for n in 0..32 {
            let bad = n == round % 32;
            let trader = if bad { &careless } else { &stand.trader };
            let (trader, key) = (trader.clone(), format!("{round}-{n}"));
            let mut body = order();
            if bad {
                body["size"] = json!("77.77");
            }
            tasks.spawn(async move {
                let path = "/v1/wallets/d-w/orders";
                let answer = trader.post_as(&key, path, &body).await.unwrap();
                (key, bad, answer)
            });
        }
        for (key, bad, answer) in tasks.join_all().await {
            if bad {
                assert_eq!(answer.status / 100, 5, "{}", answer.text);
            } else {
                assert_eq!(answer.status, 200, "{}", answer.text);
                let body = answer.text;
                given.push(invariants::Given { key, body });
            }
        }
    }
    stand.server.heard("a group aborted").await; // it was in a group
    let log = stand.server.log();
    let one_by_one = "a caller's rows aborted";
    assert!(!log.contains(one_by_one), "the other's rows went together");
    let counts = invariants::check(&stand.database, &stand.deployment, &given).await;
    println!("{rounds} rounds, {counts:?}");
    assert_eq!(counts.intents, rounds * 31);
}
