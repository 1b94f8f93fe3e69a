//! Each device as it describes itself, and each key in it.

use std::collections::BTreeSet;

use super::{DEVICE, LEDGER, Report, text};
use crate::app::App;
use crate::attestation::{self, Verdict};
use crate::clock::Clock;
use crate::config::Config;
use crate::custody::{CustodyError, Description, Vault};
use crate::keys::{self, Key, KeyState, Origin};
use crate::ledger::Ledger;
use crate::name::Name;

const DRIFTED: &str = "chancery keys step NAME suspended stops it until you know why; chancery keys attest NAME states it";
/// So many keys that no record names are listed.
const LISTED: usize = 10;

/// Each device, and each key in it: is it there, and is it the one on record?
pub(super) async fn check(
    report: &mut Report,
    config: &Config,
    ledger: &Ledger,
    schema_fits: bool,
) {
    let vault = match App::vault(config, ledger) {
        Ok(vault) => vault,
        Err(error) => {
            report.check("custody", Err(text(error)), DEVICE);
            return;
        }
    };
    let keys = if schema_fits {
        keys::as_they_are(ledger).await.map_err(text)
    } else {
        Err("the schema does not fit".to_owned())
    };
    for name in vault.names() {
        device(report, &vault, name, keys.as_deref().ok()).await;
    }
    match keys {
        Ok(keys) => {
            // Of one that is destroyed there is nothing to be found.
            for key in keys.iter().filter(|it| it.state != KeyState::Destroyed) {
                one(report, &vault, key).await;
            }
        }
        Err(error) if schema_fits => {
            report.check("keys", Err(error), LEDGER);
        }
        Err(_) => {} // said already
    }
}

async fn device(report: &mut Report, vault: &Vault, name: &Name, keys: Option<&[Key]>) {
    let what = format!("custody.{name}");
    let described = match vault.backend(name) {
        Ok(device) => match device.describes() {
            Some(describer) => describer.describe().await,
            None => device.health().await.map(|()| Description::default()),
        },
        Err(error) => Err(error),
    };
    let described = match described {
        Ok(described) => described,
        Err(error) => {
            report.check(&what, Err(text(error)), DEVICE);
            return;
        }
    };
    let facts = described.facts.iter().map(|fact| format!("; {fact}"));
    report.check(
        &what,
        Ok(format!("answers{}", facts.collect::<String>())),
        DEVICE,
    );
    for trouble in described.troubles {
        let advice =
            "look with the vendor's tool; keys of that kind do not work until it is mended";
        report.check(&what, Err(trouble), advice);
    }
    let (Some(held), Some(keys)) = (described.keys, keys) else {
        return;
    };
    // A key that was adopted goes by another name, and cannot be told from somebody else's here.
    let ours: BTreeSet<String> = keys.iter().map(|key| key.id.to_string()).collect();
    let adopted = keys
        .iter()
        .filter(|key| key.backend == *name && key.device_ref.is_some());
    let strange: Vec<_> = held.into_iter().filter(|key| !ours.contains(key)).collect();
    if strange.len() > adopted.count() {
        let shown: Vec<_> = strange.iter().take(LISTED).map(String::as_str).collect();
        let detail = format!(
            "it holds {} private keys that no record names by id: {}",
            strange.len(),
            shown.join(", ")
        );
        let advice = "somebody else's, adopted by another name, or lost with a database that was restored: compare, then adopt or destroy them";
        report.unknown(&what, &detail, advice);
    }
}

async fn one(report: &mut Report, vault: &Vault, key: &Key) {
    let what = format!("key {}", key.name);
    if key.public_key.is_none() {
        let (detail, advice) = unfinished(vault, key).await;
        report.check(&what, Err(detail), &advice);
        return;
    }
    if key.state == KeyState::DestroyPending {
        let advice = format!(
            "chancery keys destruction {} says when, and how to object",
            key.name
        );
        report.unknown(&what, "is waiting to be destroyed", &advice);
        return;
    }
    let verdict = match attestation::look(vault, key, &Clock::system()).await {
        Ok(look) if look.verdict == Verdict::AsRecorded => {
            Ok(format!("{}, as recorded", key.state.name()))
        }
        Ok(look) => {
            let findings = look.findings.iter().map(|it| it.detail.as_str());
            Err(findings.collect::<Vec<_>>().join("; "))
        }
        Err(error) => Err(text(error)),
    };
    report.check(&what, verdict, DRIFTED);
}

/// What there is of a key whose making did not come to its end, and what to do.
async fn unfinished(vault: &Vault, key: &Key) -> (String, String) {
    let name = &key.name;
    if key.origin == Origin::Imported {
        let detail = "its import is not complete".to_owned();
        let advice = format!(
            "chancery keys import {name}, as before, or chancery keys destroy {name} --reason …"
        );
        return (detail, advice);
    }
    let found = match vault.backend(&key.backend) {
        Ok(device) => device.inspect(&key.place()).await,
        Err(error) => Err(error),
    };
    let detail = match found {
        Ok(found) => match found.device_ref {
            Some(device_ref) => format!("made as {device_ref}, and never recorded"),
            None => "made, and never recorded".to_owned(),
        },
        Err(CustodyError::NotFound { found: 0, .. }) => {
            let advice =
                format!("create it again in the same words, or chancery keys destroy {name}");
            return ("on record, and its device never made it".to_owned(), advice);
        }
        Err(error) => text(error),
    };
    (
        detail,
        format!("chancery keys recover {name}, or destroy it"),
    )
}
