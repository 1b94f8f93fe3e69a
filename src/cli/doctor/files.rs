//! Files that hold secrets: nobody else reads them, nobody else writes them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::Report;
use crate::config::Config;

/// What others may not do: read, write or run it; nor may the group write it.
const TOO_MUCH: u32 = 0o027;

/// Checks the mode of each.
pub(super) fn check(report: &mut Report, config: &Config) {
    one(report, "sealing key file", &config.sealing.key_file);
    for file in &config.sealing.former_key_files {
        one(report, "former sealing key file", file);
    }
    if let Some(file) = &config.ledger.password_file {
        one(report, "ledger password file", file);
    }
    for (name, settings) in &config.custody {
        for (what, file) in settings.secret_files() {
            one(report, &format!("custody.{name} {what}"), file);
        }
    }
}

fn one(report: &mut Report, what: &str, file: &Path) {
    let shown = file.display();
    let verdict = match std::fs::metadata(file) {
        Err(error) => Err(format!("{shown}: {error}")),
        Ok(found) => {
            let mode = found.permissions().mode() & 0o7777;
            let said = format!("{shown}, mode {mode:04o}");
            if mode & TOO_MUCH == 0 {
                Ok(said)
            } else {
                Err(said)
            }
        }
    };
    let advice =
        format!("put the secret there; chmod 0400 {shown}, and let its owner be the service");
    report.check(what, verdict, &advice);
}
