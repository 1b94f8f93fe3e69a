//! A private Postgres for one test, with today's schema.

use crate::cli::dev::{Cluster, DataDir, scratch};
use crate::ledger::{Ledger, Settings};

use super::skipped;

/// Runs `body` on an empty ledger of its own.
pub(crate) fn run(body: impl AsyncFnOnce(Ledger)) {
    let scratch = scratch();
    let data = DataDir::open(&scratch.path().join("data")).unwrap();
    let cluster = match Cluster::start_with(&data, &["fsync=off"]) {
        Ok(cluster) => cluster,
        Err(error) => return skipped(&format!("no Postgres: {error:#}")),
    };
    let settings: Settings =
        toml::from_str(&format!("url = {:?}\nconnections = 4", cluster.url())).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let ledger = Ledger::open(&settings, None).unwrap();
        ledger.migrate().await.unwrap();
        body(ledger).await;
    });
    cluster.stop().unwrap();
}
