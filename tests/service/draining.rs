//! A replica that is told to stop cuts off nothing that it has begun, takes nothing new, and ends in time.

use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::stand::Stand;
use crate::support::load::Request;
use crate::support::{Answer, Caller};

/// How many ask while it stops.
const ASKING: usize = 24;

/// Somebody works in the gate for so long, and every group waits for that.
async fn occupy(stand: &Stand, seconds: u32) -> tokio::task::JoinHandle<()> {
    let works = format!(
        "begin; select pg_advisory_xact_lock(x'6368616e63657279'::bigint); select pg_sleep({seconds}); commit"
    );
    let mut session = stand.database.pool.acquire().await.unwrap();
    let working = tokio::spawn(async move {
        let works = sqlx::raw_sql(sqlx::AssertSqlSafe(works));
        works.execute(&mut *session).await.unwrap();
    });
    stand.database.becomes(&at_the_gate("granted"), 1).await;
    working
}

/// How many are in the gate, or before it.
fn at_the_gate(which: &str) -> String {
    format!(
        "select count(*) from pg_locks join pg_database d on d.oid = database
         where datname = current_database() and locktype = 'advisory'
           and (classid, objid, objsubid) = (x'6368616e'::int, x'63657279'::int, 1) and {which}"
    )
}

/// Requests that are under way and wait.
async fn ask(stand: &Stand) -> JoinSet<(Request, reqwest::Result<Answer>)> {
    let mut asked = JoinSet::new();
    for n in 0..ASKING {
        let (request, trader) = (
            Request::nth(n),
            Caller {
                http: reqwest::Client::new(),
                ..stand.trader.clone()
            },
        );
        asked.spawn(async move {
            let answer = request.send(&trader).await;
            (request, answer)
        });
    }
    while stand.database.count(&at_the_gate("not granted")).await == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await; // and the rest is read, too
    asked
}

fn address(stand: &Stand) -> String {
    stand.server.base.trim_start_matches("http://").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_begun_is_answered_and_covered_and_nothing_new_is_taken() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let checkpoint = stand.deployment.file("checkpoint");
    // Nothing is published before the stop, but at the start.
    let settings = format!(
        "[evidence]\ncheckpoint_every_ms = 600000\nunpublished_at_most_s = 1200\ncheckpoint_file = \"{}\"",
        checkpoint.display()
    );
    stand.deployment.configure(&settings);
    stand.server = stand.deployment.serve(&[]).await;
    stand.trader = stand.server.caller(&stand.trader.token);
    let mut idle = TcpStream::connect(address(&stand)).await.unwrap();
    let working = occupy(&stand, 2).await;
    let asked = ask(&stand).await;

    let told = Instant::now();
    stand.server.tell_to_stop();
    let refused = async {
        while TcpStream::connect(address(&stand)).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let refused = tokio::time::timeout(Duration::from_secs(10), refused).await;
    refused.expect("it takes no new connection");
    let mut nothing = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), idle.read_to_end(&mut nothing)).await;
    assert!(
        read.is_ok() && nothing.is_empty(),
        "who asks nothing is let go"
    );
    for (_, answer) in asked.join_all().await {
        let answer = answer.expect("it was begun, and is answered");
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    working.await.unwrap();
    assert_eq!(stand.server.stopped().await, Some(0));
    assert!(
        told.elapsed() < Duration::from_secs(30),
        "{:?}",
        told.elapsed()
    );
    let log = stand.server.log();
    assert!(log.contains("\"stopped\""), "{log}");
    assert!(
        !log.contains("cut off") && !log.contains("left behind"),
        "{log}"
    );

    let open = "select count(*) from signatures where outcome is null";
    assert_eq!(stand.database.count(open).await, 0);
    let leaves = stand.database.count("select count(*) from leaves").await;
    let published = std::fs::read_to_string(checkpoint).unwrap();
    let covered = published.lines().nth(1).unwrap();
    assert_eq!(
        covered,
        leaves.to_string(),
        "the last checkpoint covers all"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_too_long_is_left_behind_and_nothing_is_lost_by_that() {
    let settings = "[http]\nlisten = \"127.0.0.1:0\"\nshutdown_timeout_ms = 1000";
    let Some(mut stand) = Stand::new(settings).await else {
        return;
    };
    let working = occupy(&stand, 5).await;
    let asked = ask(&stand).await;
    let told = Instant::now();
    stand.server.tell_to_stop();
    assert_eq!(stand.server.stopped().await, Some(0));
    // Twice as long, and what it takes to notice that on a busy machine: that it was cut off the log says.
    assert!(
        told.elapsed() < Duration::from_secs(15),
        "{:?}",
        told.elapsed()
    );
    assert!(
        stand.server.log().contains("cut off"),
        "{}",
        stand.server.log()
    );
    working.await.unwrap();

    stand.server = stand.deployment.serve(&[]).await;
    let trader = stand.server.caller(&stand.trader.token);
    for (request, answer) in asked.join_all().await {
        assert!(answer.is_err(), "{answer:?}");
        let given = tokio::time::timeout(Duration::from_mins(1), request.insist(&trader)).await;
        given.expect("its key brings its answer").unwrap();
    }
    let given = "select count(*) from ends where outcome = 'released'";
    let given = stand.database.count(given).await;
    assert_eq!(
        given,
        i64::try_from(ASKING).unwrap(),
        "none was signed twice"
    );
}
