//! The process is killed at every step of the signing path, and nothing is lost, doubled or left open.

mod batches;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::Stand;
use crate::support::invariants::{self, Given};
use crate::support::load::{Request, settled};
use crate::support::{Caller, Deployment, Postgres, Server, count};

/// How many clients ask at the same time.
const CLIENTS: usize = 8;

/// Leases are short, so that what a dead process left behind is soon free.
const SHORT: &str = "[signing]\nlease_ms = 500\ndeadline_ms = 450";

/// How often the point is passed before the process dies in this run. Sometimes so soon that what the
/// last one left is still under its lease, sometimes long after.
fn passes(run: usize) -> usize {
    1 + (run * 37) % 160
}

/// Asks until the server is dead. What was not answered stays with the client.
async fn ask(trader: &Caller, asked: &mut usize, pending: &mut Option<Request>) -> Vec<Given> {
    let mut given = Vec::new();
    loop {
        let request = pending.get_or_insert_with(|| Request::nth(*asked)).clone();
        let Ok(answer) = request.insist(trader).await else {
            return given;
        };
        // An answer that was read is repeated now and then: the bytes are the same.
        if asked.is_multiple_of(5) {
            given.extend(request.insist(trader).await.ok());
        }
        given.push(answer);
        *pending = None;
        *asked += 1;
    }
}

/// Kills servers at a point, one after the other. Each one answers what its predecessor left open.
async fn kill_at(point: &'static str) {
    assert!(chancery::fail::POINTS.contains(&point));
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

    let runs = count(8, 200);
    let mut clients: Vec<(usize, Option<Request>)> = (0..CLIENTS).map(|n| (n, None)).collect();
    let given = Arc::new(Mutex::new(Vec::new()));
    let mut after = 0;
    for run in 0..runs {
        let armed = format!("{point}:{}", passes(run));
        let mut server = deployment.serve(&[("CHANCERY_FAIL_POINT", &armed)]).await;
        let trader = server.caller(&token);
        let mut asking = tokio::task::JoinSet::new();
        for (mut asked, mut pending) in clients.drain(..) {
            let (trader, given) = (trader.clone(), given.clone());
            asking.spawn(async move {
                let answers = ask(&trader, &mut asked, &mut pending).await;
                given.lock().unwrap().extend(answers);
                (asked, pending)
            });
        }
        let all = tokio::time::timeout(Duration::from_mins(1), asking.join_all()).await;
        clients = all.unwrap_or_else(|_| panic!("not killed at {armed}: {}", server.log()));
        assert!(server.wait_killed(), "killed at {armed}: {}", server.log());
        after += clients.iter().filter(|(_, left)| left.is_some()).count();
        if run % 50 == 49 {
            check_with_a_fresh_server(&deployment, &database, &token, &mut clients, &given).await;
        }
    }
    check_with_a_fresh_server(&deployment, &database, &token, &mut clients, &given).await;
    let given = given.lock().unwrap().clone();
    let counts = invariants::check(&database, &deployment, &given).await;
    println!(
        "{point}: {runs} runs, {} answers, {after} after a repeat, {counts:?}",
        given.len()
    );
    assert!(counts.released > 0 && after > 0);
}

/// Has every request answered and every intent ended, and looks at the whole database.
async fn check_with_a_fresh_server(
    deployment: &Deployment,
    database: &crate::support::Database,
    token: &str,
    clients: &mut [(usize, Option<Request>)],
    given: &Mutex<Vec<Given>>,
) {
    let server: Server = deployment.serve(&[]).await;
    let trader = server.caller(token);
    for (_, pending) in clients {
        if let Some(request) = pending.take() {
            let answer = request.insist(&trader).await.unwrap();
            given.lock().unwrap().push(answer);
        }
    }
    settled(database).await;
    let given = given.lock().unwrap().clone();
    invariants::check(database, deployment, &given).await;
}

points! {
    chancery::fail::POINTS;
    accepted "accepted"
    intent_joined "intent-joined"
    intent_before_commit "intent-before-commit"
    intent_after_commit "intent-after-commit"
    intent_told "intent-told"
    device_before "device-before"
    device_after "device-after"
    checked "checked"
    release_joined "release-joined"
    release_before_commit "release-before-commit"
    release_after_commit "release-after-commit"
    release_told "release-told"
}
