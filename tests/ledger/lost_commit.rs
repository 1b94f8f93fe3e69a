//! The connection breaks at a commit, before it or after it.

use std::time::Duration;

use crate::Stand;
use crate::proxy::{Cut, Proxy};
use crate::support::load::{Load, Request, settled};
use crate::support::{Deployment, Postgres, count, invariants};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_found_out() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let mut stand = Stand::new(&postgres, "").await;
    let proxy = Proxy::start(&stand.database.over_socket());
    let through = proxy.url(&stand.database.over_socket());
    redirect(&mut stand.deployment, &through);
    let server = stand.deployment.serve(&[]).await;
    let trader = server.caller(&stand.trader.token);

    let cuts = count(60, 1_000);
    let load = Load::start(&trader, 8);
    for n in 0..cuts {
        load.go_on().await;
        proxy.cut(match n % 30 {
            29 => Cut::HalfOpen,
            n if n % 3 == 0 => Cut::Before,
            n if n % 3 == 1 => Cut::After,
            _ => Cut::AnswerLost,
        });
        while proxy.is_armed() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    let given = load.stop().await;
    settled(&stand.database).await;
    let counts = invariants::check(&stand.database, &stand.deployment, &given).await;
    println!("{cuts} cuts, {} answers, {counts:?}", given.len());
}

/// A commit that got through is a success to whoever waits: nobody is sent away to ask again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_got_through_is_answered_at_once() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let mut stand = Stand::new(&postgres, "").await;
    let proxy = Proxy::start(&stand.database.over_socket());
    let through = proxy.url(&stand.database.over_socket());
    redirect(&mut stand.deployment, &through);
    let server = stand.deployment.serve(&[]).await;
    let trader = server.caller(&stand.trader.token);

    for _ in 0..count(5, 50) {
        proxy.cut(Cut::AnswerLost);
        let first = Request::nth(0).attempt(&trader).await.unwrap();
        assert!(first.is_some() && !proxy.is_armed(), "{}", server.log());
    }
}

/// A server that crashes before a transaction reaches its disk gives the number out again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_transaction_of_the_same_number_is_not_taken_for_it() {
    let Some(mut postgres) = Postgres::start() else {
        return;
    };
    let mut stand = Stand::new(&postgres, "").await;
    let proxy = Proxy::start(&stand.database.over_socket());
    let through = proxy.url(&stand.database.over_socket());
    redirect(&mut stand.deployment, &through);
    let server = stand.deployment.serve(&[]).await;
    let trader = server.caller(&stand.trader.token);
    let request = Request::nth(0);
    request.insist(&trader).await.unwrap();

    let mut given = Vec::new();
    for _ in 0..count(3, 20) {
        let request = Request::nth(0);
        proxy.cut(Cut::HalfOpen);
        let asking = tokio::spawn({
            let (request, trader) = (request.clone(), trader.clone());
            async move { request.attempt(&trader).await.unwrap() }
        });
        while proxy.is_armed() {
            tokio::task::yield_now().await;
        }
        postgres.crash();
        postgres.start_again();
        for _ in 0..100 {
            let next = "select pg_current_xact_id()::text::bigint";
            stand.database.count(next).await;
        }
        given.extend(asking.await.unwrap());
        given.push(request.insist(&trader).await.unwrap());
    }
    settled(&stand.database).await;
    let counts = invariants::check(&stand.database, &stand.deployment, &given).await;
    println!("{counts:?}");
}

fn redirect(deployment: &mut Deployment, url: &str) {
    url.clone_into(&mut deployment.database_url);
    deployment.configure("");
}
