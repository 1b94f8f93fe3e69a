//! What the service promises while processes die, and Postgres, its connections, its twins and the CLOB do their worst.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test that cannot go on stops, has tasks of its own, waits by itself, and says how much it has seen"
)]

/// A test for each point at which a process is killed, by `kill_at` beside it, and one that finds what is left out.
macro_rules! points {
    ($all:expr; $($test:ident $point:literal)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                kill_at($point).await;
            }
        )*

        #[test]
        fn every_point_has_its_test() {
            let tested: std::collections::BTreeSet<_> = [$($point),*].into();
            assert_eq!(tested, $all.into_iter().collect());
        }
    };
}

mod carried_over;
mod connections;
mod crash;
mod failover;
mod faults;
mod halting;
mod isolation;
mod limited;
mod lost_commit;
mod model;
mod paused;
mod pooler;
mod proxy;
mod race;
mod readiness;
mod refused;
mod rolling;
mod standby;
mod stopped;
#[path = "../support/mod.rs"]
mod support;
mod tightening;
mod told;
mod zombie;

use support::{Caller, Database, Deployment, Postgres, Server, desk};

/// A desk `d` on a database of its own, and a server for it.
struct Stand {
    database: Database,
    deployment: Deployment,
    server: Server,
    operator: Caller,
    trader: Caller,
}

impl Stand {
    async fn new(postgres: &Postgres, more: &str) -> Self {
        let database = postgres.database().await;
        let deployment = Deployment::new(&database.url);
        Self::start(database, deployment, more).await
    }

    async fn start(database: Database, deployment: Deployment, more: &str) -> Self {
        deployment.configure(more);
        let operator = deployment.bootstrap();
        let server = deployment.serve(&[]).await;
        let operator = server.caller(&operator);
        let trader = server.caller(&desk(&operator, "d", "soft").await);
        Self {
            database,
            deployment,
            server,
            operator,
            trader,
        }
    }
}
