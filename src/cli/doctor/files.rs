//! Files that hold secrets: nobody else reads them. Those, and files that decide: nobody else writes them.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::Report;
use crate::config::Config;
use crate::guarded_file::weakness;

/// What others may not do: read, write or run it; nor may the group write it.
const TOO_MUCH: u32 = 0o027;

/// Checks owner and mode of each.
pub(super) fn check(report: &mut Report, file: &Path, config: &Config) {
    rules(report, "configuration file", file);
    rules(report, "policy file", &config.policy.file);
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

/// Whoever writes these decides what is signed.
fn rules(report: &mut Report, what: &str, file: &Path) {
    let shown = file.display();
    let looked = File::open(file).and_then(|file| weakness(&file));
    let verdict = match looked {
        Err(_) => return, // said where it is read
        Ok(None) => Ok(shown.to_string()),
        Ok(Some(weakness)) => Err(format!("{shown}: {weakness}")),
    };
    let advice = "only root, or who decides what is signed, writes it";
    report.check(what, verdict, advice);
}

fn one(report: &mut Report, what: &str, file: &Path) {
    let shown = file.display();
    let verdict = match std::fs::metadata(file) {
        Err(error) => Err(format!("{shown}: {error}")),
        Ok(found) => {
            let mode = found.permissions().mode() & 0o7777;
            let said = format!("{shown}, mode {mode:04o}");
            match File::open(file).and_then(|file| weakness(&file)) {
                Ok(Some(weakness)) => Err(format!("{said}: {weakness}")),
                _ if mode & TOO_MUCH == 0 => Ok(said),
                _ => Err(said),
            }
        }
    };
    let advice = format!(
        "put the secret there; chown root:chancery {shown} and chmod 0640, or 0400 where the service owns it"
    );
    report.check(what, verdict, &advice);
}
