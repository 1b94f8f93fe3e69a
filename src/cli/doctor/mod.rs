//! `chancery doctor`: checks a configuration against what it names, and says what to do.

mod administrators;
mod devices;
mod files;
mod log;
mod notices;
mod policy;
mod promises;

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::memory::Memory;
use super::{ConfigFile, print_json, print_line};
use crate::app::App;
use crate::authority::Authority;
use crate::clob::venue::Venues;
use crate::clock::Clock;
use crate::collector::Collector;
use crate::config::Config;
use crate::ledger::Ledger;
use crate::oauth::clients;
use crate::oauth::discovery::{self, Undiscovered};
use crate::sealing::Keyring;
use crate::{callers, http, invariants, sessions, statements};

const LEDGER: &str = "start Postgres, or correct [ledger] url and password_file";
const DEVICE: &str = "a token: look at module, the token's name and pin_file (SoftHSM2 also wants SOFTHSM2_CONF); KMS: region, endpoint_url, sealing_key, the host's credentials and their rights";

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) file: ConfigFile,
    /// Print one JSON document for programs, at the end.
    #[arg(long)]
    pub(super) json: bool,
    /// Look at every row and leaf, too: whether what is on record keeps the promises.
    #[arg(long)]
    pub(super) invariants: bool,
}

/// What was found so far.
struct Report {
    json: bool,
    checks: Vec<Check>,
    /// What every row and leaf has shown.
    promises: Option<invariants::Report>,
}

/// One thing that was looked at.
#[derive(serde::Serialize)]
struct Check {
    what: String,
    verdict: Verdict,
    detail: String,
    /// What to do, unless it is all right.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    Ok,
    Wrong,
    /// It could not be found out, or is for people to judge.
    Unknown,
}

impl Report {
    /// Notes what was found, and what to do where it is wrong.
    fn check(&mut self, what: &str, result: Result<String, String>, advice: &str) -> bool {
        let is_ok = result.is_ok();
        match result {
            Ok(detail) => self.note(what, Verdict::Ok, &detail, None),
            Err(detail) => self.note(what, Verdict::Wrong, &detail, Some(advice)),
        }
        is_ok
    }

    /// Notes what could not be found out, which may be all right.
    fn unknown(&mut self, what: &str, detail: &str, advice: &str) {
        self.note(what, Verdict::Unknown, detail, Some(advice));
    }

    fn note(&mut self, what: &str, verdict: Verdict, detail: &str, advice: Option<&str>) {
        if !self.json {
            let mark = match verdict {
                Verdict::Ok => "ok    ",
                Verdict::Wrong => "WRONG ",
                Verdict::Unknown => "?     ",
            };
            print_line(&format!("{mark} {what}: {detail}"));
            if let Some(advice) = advice {
                print_line(&format!("       {advice}"));
            }
        }
        self.checks.push(Check {
            what: what.to_owned(),
            verdict,
            detail: detail.to_owned(),
            advice: advice.map(str::to_owned),
        });
    }

    /// Ends the report; an error where something is wrong.
    fn end(&self) -> anyhow::Result<()> {
        let wrong = self.checks.iter().filter(|it| it.verdict == Verdict::Wrong);
        let wrong = wrong.count();
        if self.json {
            let mut all = json!({ "ok": wrong == 0, "checks": self.checks });
            if let Some(promises) = &self.promises {
                all["promises"] = json!(promises);
            }
            print_json(&all)?;
        }
        if wrong > 0 {
            bail!("{wrong} of the checks found something wrong");
        }
        Ok(())
    }
}

/// Checks everything that can be checked, even after something is wrong.
pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
    let file = options.file.config.as_path();
    let mut report = Report {
        json: options.json,
        checks: Vec::new(),
        promises: None,
    };
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
        return report.end(); // nothing else can be checked without a configuration
    };
    files::check(&mut report, file, &config);

    let files = &config.sealing;
    let sealing = Keyring::from_files(&files.key_file, &files.former_key_files);
    let described =
        sealing.map(|ring| format!("{}, key {}", files.key_file.display(), ring.current()));
    report.check(
        "sealing key",
        described.map_err(text),
        "put 64 random hexadecimal digits into [sealing] key_file, mode 0640 root:chancery; a former key that is lost is left out of former_key_files",
    );
    let alone = if config.approvals.single_operator {
        "one operator may loosen alone, as the configuration says"
    } else {
        "what loosens waits for the approval of others"
    };
    report.check("approvals", Ok(alone.to_owned()), "");
    check_memory(&mut report);
    let address = config.http.listen;
    let way = match config.http.tls {
        Some(_) => "under TLS",
        None => "in clear text",
    };
    let listener = http::check(&config.http).map(|()| format!("{address}, {way}"));
    report.check(
        "listener",
        listener.map_err(text),
        "correct [http.tls] and its files, or listen on 127.0.0.1 or [::1]",
    );
    if let Some(address) = config.metrics.listen {
        let shown =
            http::check_metrics(&config.metrics).map(|()| format!("{address}, in clear text"));
        report.check(
            "metrics",
            shown.map_err(text),
            "listen on 127.0.0.1 or [::1], or accept that others read it",
        );
    }
    let ways = callers::check(&config.callers).map(|()| match &config.callers {
        it if it.trust_domains.is_empty() && it.jwt.is_empty() => "tokens".to_owned(),
        it => format!(
            "tokens, {} trust domains, {} issuers",
            it.trust_domains.len(),
            it.jwt.len()
        ),
    });
    report.check(
        "ways in",
        ways.map_err(text),
        "correct [callers] and the files it names",
    );
    if let Some(oidc) = &config.console.oidc {
        let console = sessions::check(&config.console, &config.callers.jwt);
        let console = console.map(|()| format!("people sign in at {}", oidc.issuer));
        report.check("console", console.map_err(text), "correct [console.oidc]");
    }

    let authority = check_database(&mut report, &config, options.invariants).await;
    let decides = policy::check(&mut report, &config, authority.as_ref());
    if let (Some(policies), Some(authority)) = (decides, authority) {
        administrators::check(&mut report, &config, authority, policies).await;
    }
    check_venues(&mut report, &config).await;
    check_environments(&mut report, &config).await;
    check_traces(&mut report, &config).await;
    report.end()
}

/// Of this process, which need not have the limits that the service has.
fn check_memory(report: &mut Report) {
    const ADVICE: &str = "systemd: LimitMEMLOCK=infinity and MemorySwapMax=0, as deploy/chancery.service has them; a container: memlock without limit. Or encrypt the swap, or have none";
    match Memory::lock() {
        Memory::MaySwap => report.unknown("memory", Memory::MaySwap.said(), ADVICE),
        other => {
            report.check("memory", Ok(other.said().to_owned()), ADVICE);
        }
    }
}

/// The collector takes traces, where there is one. Nothing is signed by it.
async fn check_traces(report: &mut Report, config: &Config) {
    const ADVICE: &str = "correct [telemetry], or let the host reach the collector: traces are lost, and nothing else";
    match Collector::open(&config.telemetry, &App::writer(config)) {
        Ok(None) => {}
        Ok(Some(collector)) => match collector.answers().await {
            Ok(()) => {
                report.check("traces", Ok("the collector takes them".to_owned()), ADVICE);
            }
            Err(error) => report.unknown("traces", &error, ADVICE),
        },
        Err(error) => {
            report.check("traces", Err(text(error)), ADVICE);
        }
    }
}

/// The database, and the devices, whose keys it knows. Gives back what decides in it.
async fn check_database(report: &mut Report, config: &Config, all: bool) -> Option<Authority> {
    let ledger = match App::ledger(config) {
        Ok(ledger) => ledger,
        Err(error) => {
            report.check("ledger", Err(text(error)), LEDGER);
            return None;
        }
    };
    let answers = ledger.ping().await.map(|()| config.ledger.url.clone());
    if !report.check("ledger", answers.map_err(text), LEDGER) {
        return None;
    }
    let engine = ledger.check_engine().await;
    report.check(
        "engine",
        engine
            .map(|()| "sessions, locks and triggers do what they should".to_owned())
            .map_err(text),
        "connect to Postgres itself, or through a pooler in session mode",
    );
    let schema = ledger
        .check_schema()
        .await
        .map(|()| "up to date".to_owned());
    let fits = report.check(
        "schema",
        schema.map_err(text),
        "run chancery migrate, or the program that fits",
    );
    check_ledger(report, config, &ledger).await;
    check_clock(report, config, &ledger).await;
    let mut authority = None;
    if fits {
        authority = check_authority(report, config, &ledger).await;
        log::check(report, config, &ledger).await;
        check_kids(report, config, &ledger).await;
        notices::stuck(report, config, &ledger).await;
        if all {
            promises::check(report, config, &ledger).await;
        }
    }
    devices::check(report, config, &ledger, fits).await;
    notices::reach(report, config, ledger).await;
    authority
}

/// What the database says was committed, it has to keep; and it has to have room for all replicas.
async fn check_ledger(report: &mut Report, config: &Config, ledger: &Ledger) {
    let verdict = match ledger.careless_settings().await {
        Ok(none) if none.is_empty() => Ok("it keeps what it commits".to_owned()),
        Ok(careless) => Err(careless.join(", ")),
        Err(error) => Err(text(error)),
    };
    report.check(
        "ledger settings",
        verdict,
        "set them back: a signature whose record is lost in a crash was never recorded",
    );
    let each = config.ledger.all_connections();
    let verdict = match ledger.connections_there().await {
        Ok(there) => {
            let replicas = there / each;
            let said = format!(
                "a replica opens {each} at most and the server takes {there} of this role: enough for {replicas} replicas"
            );
            if replicas > 0 { Ok(said) } else { Err(said) }
        }
        Err(error) => Err(text(error)),
    };
    report.check(
        "ledger connections",
        verdict,
        "raise max_connections, or the role's or database's limit, or lower [ledger] connections",
    );
}

/// What decides proves itself, or somebody else has written to the database.
async fn check_authority(
    report: &mut Report,
    config: &Config,
    ledger: &Ledger,
) -> Option<Authority> {
    let sealing = App::keyring(config).ok()?; // which was said
    let authority = Authority::open(ledger.clone(), sealing).await;
    let version = authority.as_ref().map(|it| it.now().version().number());
    report.check(
        "authority",
        version
            .map(|version| format!("version {version} and all before it are as they were decided"))
            .map_err(text),
        "find out who wrote to the database, halt, and put it right: nothing is signed until then",
    );
    let authority = authority.ok()?;
    let verdict = match statements::compare(&authority).await {
        Ok((wrong, rows)) if wrong.is_empty() => Ok(format!("{rows} say what is stated")),
        Ok((wrong, _)) => Err(wrong.join("; ")),
        Err(error) => Err(text(error)),
    };
    report.check(
        "rows that decide",
        verdict,
        "find out who wrote to the database, halt, and put it right: such a row is refused until then",
    );
    Some(authority)
}

/// A clock that is off makes assertions that no server takes.
async fn check_clock(report: &mut Report, config: &Config, ledger: &Ledger) {
    let verdict = match ledger.clock_offset_ms(&Clock::system()).await {
        Ok(ms) if ms.unsigned_abs() <= config.clock.tolerated_ms.get() => {
            Ok(format!("{ms} ms from the database's"))
        }
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
                report.unknown(&what, &format!("{}: {error}", environment.issuer), ADVICE);
                continue;
            }
            Err(error) => Err(format!("{}: {error}", environment.issuer)),
        };
        report.check(&what, verdict, ADVICE);
    }
}

/// A `kid` that is written into the configuration names one key.
async fn check_kids(report: &mut Report, config: &Config, ledger: &Ledger) {
    let ambiguous = clients::ambiguous_kids(&config.oauth.environments, ledger).await;
    for detail in ambiguous.unwrap_or_default() {
        report.unknown(
            "kid",
            &detail,
            "record each key's own (chancery rotations confirm --kid), or set kid to omit or thumbprint",
        );
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
