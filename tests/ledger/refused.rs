//! Whoever writes the log has it for a moment, whatever becomes of the write: others go on.

use serde_json::json;

use crate::Stand;
use crate::proxy::{Cut, Proxy};
use crate::support::{Caller, Deployment, Postgres, order};

const ORDERS: &str = "/v1/wallets/d-w/orders";

async fn make_wallet(operator: &Caller, name: &str) -> (u16, String) {
    let wallet = json!({ "name": name, "key": "d-wk", "owner": "d", "chainId": 137 });
    let answer = operator.post("/v1/wallets", &wallet).await;
    (answer.status, answer.problem().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_write_over_tls_is_answered_at_once_and_orders_go_on() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database().await;
    let deployment = Deployment::new(&database.over_tls());
    let stand = Stand::start(database, deployment, "").await;
    let encrypted = "select count(*) from pg_stat_ssl s join pg_stat_activity a using (pid)
                     where a.datname = current_database() and a.application_name = 'chancery'";
    let all = stand.database.count(encrypted).await;
    let ssl = stand
        .database
        .count(&format!("{encrypted} and s.ssl"))
        .await;
    assert!(all > 0 && ssl == all, "{ssl} of {all}");

    for _ in 0..5 {
        let body = order();
        let (refused, signed) = tokio::join!(
            make_wallet(&stand.operator, "d-w"),
            stand.trader.post(ORDERS, &body),
        );
        assert_eq!(refused, (409, "name-taken".to_owned()));
        assert_eq!(signed.status, 200, "{}", signed.text);
    }
}

/// A network that swallows packets does not say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_falls_silent_stops_its_own_write_and_no_order() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let mut stand = Stand::new(&postgres, "").await;
    let proxy = Proxy::start(&stand.database.over_socket());
    stand.deployment.database_url = proxy.url(&stand.database.over_socket());
    stand.deployment.configure("");
    let server = stand.deployment.serve(&[]).await;
    let operator = server.caller(&stand.operator.token);
    let trader = server.caller(&stand.trader.token);

    proxy.cut_at("insert into wallets", Cut::Silence);
    let write = tokio::spawn(async move {
        let first = make_wallet(&operator, "w2").await;
        (first, make_wallet(&operator, "w2").await)
    });
    while proxy.is_armed() {
        tokio::task::yield_now().await;
    }
    let signed = trader.post(ORDERS, &order()).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    let (first, second) = write.await.unwrap();
    assert_eq!(first, (503, "ledger-unavailable".to_owned()));
    assert_eq!(second.0, 201, "nothing of the first was written");
}
