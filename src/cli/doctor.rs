//! `chancery doctor`: checks a configuration against what it names, and says what to do.

use std::path::Path;

use anyhow::bail;

use super::print_line;
use crate::app::App;
use crate::clob::venue::Venues;
use crate::clock::Clock;
use crate::config::Config;
use crate::custody::CustodyError;
use crate::keys::{self, KeyState};
use crate::oauth::discovery::{self, Undiscovered};
use crate::policy::Policy;
use crate::sealing::Keyring;

const LEDGER: &str = "start Postgres, or correct [ledger] url and password_file";
const DEVICE: &str = "a token: look at module, the token's name and pin_file (SoftHSM2 also wants SOFTHSM2_CONF); KMS: region, endpoint_url, sealing_key, the host's credentials and their rights";

struct Report {
    wrong: usize,
}

impl Report {
    /// Prints what was found, and what to do where it is wrong.
    fn check(&mut self, what: &str, result: Result<String, String>, advice: &str) -> bool {
        match result {
            Ok(detail) => {
                print_line(&format!("ok     {what}: {detail}"));
                true
            }
            Err(detail) => {
                self.wrong += 1;
                print_line(&format!("WRONG  {what}: {detail}"));
                print_line(&format!("       {advice}"));
                false
            }
        }
    }
}

/// Prints what could not be found out, which may be all right.
fn unknown(what: &str, detail: &str, advice: &str) {
    print_line(&format!("?      {what}: {detail}"));
    print_line(&format!("       {advice}"));
}

/// Checks everything that can be checked, even after something is wrong.
pub(super) async fn run(file: &Path) -> anyhow::Result<()> {
    let mut report = Report { wrong: 0 };
    let config = Config::load(file);
    let described = config
        .as_ref()
        .map(|_| file.display().to_string())
        .map_err(text);
    report.check(
        "configuration",
        described,
        "correct the file; deploy/config.example.toml has every setting",
    );
    let Ok(config) = config else {
        bail!("nothing else can be checked without a configuration")
    };

    let policy = Policy::load(&config.policy.file);
    let described = policy.map(|_| config.policy.file.display().to_string());
    report.check(
        "policy",
        described.map_err(text),
        "correct [policy] file, or the policy in it",
    );
    let files = &config.sealing;
    let sealing = Keyring::from_files(&files.key_file, &files.former_key_files);
    let described =
        sealing.map(|ring| format!("{}, key {}", files.key_file.display(), ring.current()));
    report.check(
        "sealing key",
        described.map_err(text),
        "put 64 random hexadecimal digits into [sealing] key_file, mode 0600; a former key that is lost is left out of former_key_files",
    );
    let single = if config.approvals.single_operator {
        Ok("one operator may loosen alone, as the configuration says".to_owned())
    } else {
        Err("serve needs [approvals] single_operator = true until approvals exist".to_owned())
    };
    report.check("approvals", single, "set it, if that is accepted");
    let address = config.http.listen;
    let loopback = address.ip().is_loopback().then(|| address.to_string());
    report.check(
        "listener",
        loopback.ok_or(format!("{address} is not a loopback address")),
        "listen on 127.0.0.1 or [::1], behind a proxy that speaks TLS",
    );

    match App::ledger(&config) {
        Err(error) => {
            report.check("ledger", Err(text(error)), LEDGER);
        }
        Ok(ledger) => {
            let answers = ledger.ping().await.map(|()| config.ledger.url.clone());
            if report.check("ledger", answers.map_err(text), LEDGER) {
                let schema = ledger
                    .check_schema()
                    .await
                    .map(|()| "up to date".to_owned());
                let fits = report.check(
                    "schema",
                    schema.map_err(text),
                    "run chancery migrate, or the program that fits",
                );
                check_clock(&mut report, &ledger).await;
                check_devices(&mut report, &config, &ledger, fits).await;
            }
        }
    }
    check_venues(&mut report, &config).await;
    check_environments(&mut report, &config).await;
    if report.wrong > 0 {
        bail!("{} of the checks found something wrong", report.wrong);
    }
    Ok(())
}

/// A clock that is off makes assertions that no server takes.
async fn check_clock(report: &mut Report, ledger: &crate::ledger::Ledger) {
    let verdict = match ledger.clock_offset_ms(&Clock::system()).await {
        Ok(ms) if ms.abs() <= 5_000 => Ok(format!("{ms} ms from the database's")),
        Ok(ms) => Err(format!("{ms} ms from the database's: synchronize both")),
        Err(error) => Err(text(error)),
    };
    report.check(
        "clock",
        verdict,
        "synchronize both clocks: assertions live a minute",
    );
}

/// A CLOB that is configured answers, and its clock is ours: else it takes no login.
async fn check_venues(report: &mut Report, config: &Config) {
    const ADVICE: &str = "correct [clob] url, let the host reach it, or synchronize the clock";
    let venues = match Venues::open(&config.clob) {
        Ok(venues) => venues,
        Err(error) => {
            report.check("clob", Err(text(error)), ADVICE);
            return;
        }
    };
    for venue in venues.all() {
        let verdict = match venue.time().await {
            Ok(theirs) => {
                let ahead_s = Clock::system()
                    .unix_ms()
                    .div_euclid(1000)
                    .saturating_sub(theirs);
                let said = format!(
                    "{}, whose clock ours is {ahead_s} s ahead of",
                    venue.settings().url
                );
                if ahead_s.abs() <= 5 {
                    Ok(said)
                } else {
                    Err(said)
                }
            }
            Err(error) => Err(format!("{}: {error}", venue.settings().url)),
        };
        report.check(
            &format!("clob, chain {}", venue.chain().id()),
            verdict,
            ADVICE,
        );
    }
}

/// What an authorization server says of itself is compared with the configuration, and never taken
/// over; and its clock with ours, for assertions live a minute.
async fn check_environments(report: &mut Report, config: &Config) {
    const ADVICE: &str = "compare [oauth.environments] with the counterparty's documentation, let the host reach it, or synchronize the clock";
    for (name, environment) in &config.oauth.environments {
        let what = format!("environment {name}");
        let verdict = match discovery::ask(environment).await {
            Ok(found) => {
                let ahead_s = found.server_time.map(|at| Clock::system().unix_s() - at);
                let clock = ahead_s.map_or("it does not tell its time".to_owned(), |ahead_s| {
                    format!("our clock is {ahead_s} s ahead of its")
                });
                let wrong = found.contradicts(environment);
                if wrong.is_none() && ahead_s.is_none_or(|it| it.abs() <= 5) {
                    Ok(format!("{}; {clock}", environment.token_endpoint))
                } else {
                    Err(wrong.unwrap_or(clock))
                }
            }
            // A host that only signs assertions does not have to reach it.
            Err(Undiscovered::NoReply(error)) => {
                unknown(&what, &format!("{}: {error}", environment.issuer), ADVICE);
                continue;
            }
            Err(error) => Err(format!("{}: {error}", environment.issuer)),
        };
        report.check(&what, verdict, ADVICE);
    }
}

/// Each device, and each key in it: is it there, and is it the one on record?
async fn check_devices(
    report: &mut Report,
    config: &Config,
    ledger: &crate::ledger::Ledger,
    schema_fits: bool,
) {
    let vault = match App::vault(config, ledger) {
        Ok(vault) => vault,
        Err(error) => {
            report.check("custody", Err(text(error)), DEVICE);
            return;
        }
    };
    for (name, health) in vault.health().await {
        let health = health.map(|()| "answers".to_owned()).map_err(text);
        report.check(&format!("custody.{name}"), health, DEVICE);
    }
    if !schema_fits {
        return;
    }
    let keys = match keys::list(ledger).await {
        Ok(keys) => keys,
        Err(error) => {
            report.check("keys", Err(text(error)), LEDGER);
            return;
        }
    };
    // Of one that is destroyed there is nothing to be found.
    for key in keys
        .into_iter()
        .filter(|key| key.state != KeyState::Destroyed)
    {
        let verdict = match (&key.public_key, vault.backend(&key.backend)) {
            (_, Err(error)) => Err(text(error)),
            (None, Ok(device)) => match device.inspect(&key.place()).await {
                Ok(found) => Err(match found.device_ref {
                    Some(device_ref) => format!("made as {device_ref}, and never recorded: chancery keys recover, or destroy it"),
                    None => "made, and never recorded: chancery keys recover, or destroy it".to_owned(),
                }),
                Err(CustodyError::NotFound { found: 0, .. }) => {
                    Err("on record, and its device never made it: create it again in the same words, or destroy it".to_owned())
                }
                Err(error) => Err(text(error)),
            },
            (Some(recorded), Ok(device)) => match device.inspect(&key.place()).await {
                Ok(found) if found.public_key == *recorded && found.attributes == key.attributes => {
                    Ok(format!("{}, as recorded", key.state.name()))
                }
                Ok(found) if found.public_key == *recorded => {
                    Err("its attributes are not those recorded: suspend it and ask who changed them".to_owned())
                }
                Ok(_) => Err("its device holds another key under its id: suspend it".to_owned()),
                Err(error) => Err(text(error)),
            },
        };
        report.check(
            &format!("key {}", key.name),
            verdict,
            "chancery keys step NAME suspended stops it until you know why",
        );
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
