//! What holds of the ledger whatever has happened, and that every answer that was given is on record there.

use std::collections::HashMap;

use chancery::app::App;
use chancery::config::Config;
use chancery::invariants::{self, Report};
use chancery::ledger::{Ledger, Settings};

use super::{Database, Deployment};

/// An answer that a client received: under which idempotency key, and its body.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) key: String,
    pub(crate) body: String,
}

/// What is on record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) intents: usize,
    pub(crate) released: usize,
    pub(crate) refused: usize,
    pub(crate) abandoned: usize,
}

/// Checks the whole database, as `chancery doctor --invariants` does, and that every answer that was given is on
/// record there, byte for byte. No intent is open: the caller of this has waited for that.
pub(crate) async fn check(database: &Database, deployment: &Deployment, given: &[Given]) -> Counts {
    let mut under: HashMap<String, String> = HashMap::new();
    let report = report(database, deployment, |released| {
        if let Some(key) = &released.idempotency_key {
            let earlier = under.insert(key.clone(), released.body.clone());
            assert!(earlier.is_none(), "two releases under {key}");
        }
    });
    let report = report.await;
    assert!(report.kept, "{report:#?}");
    assert_eq!(report.open, 0, "every intent has its end");
    for Given { key, body } in given {
        assert_eq!(
            under.get(key),
            Some(body),
            "what was answered under {key} is on record"
        );
    }
    let [released, refused, abandoned] = [report.released, report.refused, report.abandoned]
        .map(|count| usize::try_from(count).unwrap());
    Counts {
        intents: released + refused + abandoned,
        released,
        refused,
        abandoned,
    }
}

/// What is found of this database, wherever the deployment's own is.
pub(crate) async fn report(
    database: &Database,
    deployment: &Deployment,
    released: impl FnMut(&invariants::Released),
) -> Report {
    let config = Config::load(&deployment.file("config.toml")).unwrap();
    let settings = Settings {
        url: database.over_socket(),
        ..config.ledger.clone()
    };
    let ledger = Ledger::open(&settings, None).unwrap();
    let sealing = App::keyring(&config).unwrap();
    let report = invariants::check(&ledger, &sealing, released).await;
    report.unwrap()
}
