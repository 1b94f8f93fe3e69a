//! Orders and assertions come back signed, once for each idempotency key.

use serde_json::json;

use crate::support::{Deployment, Postgres, desk, order};

#[tokio::test]
async fn one_key_one_request_one_answer() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database().await;
    let deployment = Deployment::new(&database.url);
    let operator_token = deployment.bootstrap();
    let server = deployment.serve(&[]).await;
    let trader = server.caller(&desk(&server.caller(&operator_token), "d", "soft").await);

    let first = trader
        .post_as("k1", "/v1/wallets/d-w/orders", &order())
        .await
        .unwrap();
    assert_eq!(first.status, 200, "{}", first.text);
    let again = trader
        .post_as("k1", "/v1/wallets/d-w/orders", &order())
        .await
        .unwrap();
    assert_eq!(again.text, first.text, "the same bytes");
    assert_eq!(again.headers["idempotency-replayed"], "true");

    let mut other = order();
    other["size"] = json!("21.05");
    let reused = trader
        .post_as("k1", "/v1/wallets/d-w/orders", &other)
        .await
        .unwrap();
    assert_eq!(
        (reused.status, reused.problem()),
        (409, "idempotency-key-reused")
    );

    assert_eq!(database.count("select count(*) from intents").await, 1);
    assert_eq!(
        database
            .count("select count(*) from ends where outcome = 'released'")
            .await,
        1
    );
}
