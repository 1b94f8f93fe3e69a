//! The policy of a service, and trying others out: what a file means, before anybody has to live with it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::Service;
use super::list::List;
use super::{print_as_it_is, print_json, print_line};
use crate::guarded_file;
use crate::keys::Reason;
use crate::policy::{Policy, PolicyReplacement, Suite, differences};

/// What is done.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the policy that decides, or one that did
    Show {
        /// The version with which it came; the newest unless it is given.
        version: Option<u64>,
        /// Print the text and nothing else.
        #[arg(long)]
        text: bool,
        #[command(flatten)]
        service: Service,
    },
    /// List the policies that ever decided
    History {
        #[command(flatten)]
        list: List,
    },
    /// Have a file's policy take the place of the one that decides, once others have approved it
    Propose {
        /// The Cedar file.
        file: PathBuf,
        /// Why, for the record.
        #[arg(long)]
        reason: Reason,
        /// The digest of the policy that the file was made of; the one that decides unless it is given.
        #[arg(long, value_name = "DIGEST")]
        replaces: Option<String>,
        #[command(flatten)]
        service: Service,
    },
    /// Say whether a policy file parses and fits the schema, and what it hangs on
    Check {
        /// The Cedar file.
        file: PathBuf,
    },
    /// Ask a policy the requests that are kept beside it, and compare the answers
    Test {
        /// The Cedar file.
        file: PathBuf,
        /// The requests; NAME.tests.toml beside NAME.cedar unless it is given.
        #[arg(long, value_name = "FILE")]
        tests: Option<PathBuf>,
    },
    /// Name requests that become permitted or denied from one policy to another
    Diff {
        /// The policy as it is, and as it would be.
        #[arg(required = true, num_args = 1..=2, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// As it is, is what decides: one file only is given.
        #[arg(long)]
        active: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: Service,
    },
    /// Ask the service which rule decides on a request, and what is missing for a yes
    Explain {
        #[command(flatten)]
        question: Question,
        #[command(flatten)]
        service: Service,
    },
    /// Prove what a policy can never permit, by the program chancery-prove
    Prove {
        /// The Cedar file.
        file: PathBuf,
        /// What is to hold; invariants/*.cedar beside the file unless they are given.
        invariants: Vec<PathBuf>,
    },
}

/// A request that somebody would make.
#[derive(Debug, Args)]
pub(super) struct Question {
    /// Who would ask: a caller's name.
    #[arg(long)]
    caller: String,
    /// What for: `sign_order`.
    #[arg(long)]
    action: String,
    /// On what: wallet:NAME, client:NAME or key:NAME; on the service unless it is given.
    #[arg(long)]
    resource: Option<String>,
    /// What would be at stake: {"side": "BUY", "notional": 1000000}.
    #[arg(long, value_name = "JSON")]
    context: Option<String>,
    /// On which day, to the second: 2026-11-30T12:00:00Z. Now unless it is given.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// Runs it.
pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Show {
            version,
            text,
            service,
        } => show(version, text, &service).await,
        Command::History { list } => {
            let members = ["version", "digest", "stated_by_name", "stated_at", "reason"];
            list.print("/v1/policies", &members).await
        }
        Command::Propose {
            file,
            reason,
            replaces,
            service,
        } => propose(&file, &reason, replaces, &service).await,
        Command::Check { file } => check(&file),
        Command::Test { file, tests } => test(&file, tests),
        Command::Diff {
            files,
            active,
            json,
            service,
        } => {
            let (old, new) = match (files.as_slice(), active) {
                ([new], true) => (active_policy(&service).await?, new),
                ([old, new], false) => (Policy::load(old)?, new),
                _ => bail!("OLD and NEW are wanted, or --active and NEW"),
            };
            diff(&old, &Policy::load(new)?, json)
        }
        Command::Explain { question, service } => explain(question, &service).await,
        Command::Prove { file, invariants } => prove(&file, &invariants),
    }
}

async fn show(version: Option<u64>, text: bool, service: &Service) -> anyhow::Result<()> {
    let path = version.map(|it| format!("/v1/policies/{it}"));
    let path = path.unwrap_or_else(|| "/v1/policy".to_owned());
    let shown = service.client()?.get(&path).await?;
    if !text {
        return print_json(&shown);
    }
    print_as_it_is(text_of(&shown)?); // its digest is that of every byte
    Ok(())
}

fn text_of(shown: &Value) -> anyhow::Result<&str> {
    shown["text"].as_str().context("the answer has no text")
}

async fn active_policy(service: &Service) -> anyhow::Result<Policy> {
    let shown = service.client()?.get("/v1/policy").await?;
    Ok(text_of(&shown)?.parse()?)
}

async fn propose(
    file: &Path,
    reason: &Reason,
    replaces: Option<String>,
    service: &Service,
) -> anyhow::Result<()> {
    let shown = file.display();
    let text = guarded_file::read_rules(file).with_context(|| format!("cannot read {shown}"))?;
    let policy: Policy = text.parse()?;
    let client = service.client()?;
    let replaces = if let Some(digest) = replaces {
        digest
    } else {
        let now = client.get("/v1/policy").await?;
        now["digest"].as_str().unwrap_or_default().to_owned()
    };
    if replaces == hex::encode(policy.digest()) {
        bail!("{shown} is the policy already");
    }
    let reason = reason.clone();
    let body = PolicyReplacement {
        text,
        reason,
        replaces,
    };
    let mut done = client.post("/v1/policies", &body).await?;
    if let Some(members) = done.as_object_mut() {
        members.remove("text");
    }
    print_json(&done)
}

fn check(file: &Path) -> anyhow::Result<()> {
    let policy = Policy::load(file)?;
    print_line(&format!("{} fits the schema", file.display()));
    print_line(&format!("digest  {}", hex::encode(policy.digest())));
    let roles: Vec<_> = policy.roles().iter().map(String::as_str).collect();
    print_line(&format!("roles   {}", roles.join(", ")));
    for (action, names) in policy.looks_at() {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        print_line(&format!("{action} looks at {}", names.join(", ")));
    }
    Ok(())
}

fn test(file: &Path, tests: Option<PathBuf>) -> anyhow::Result<()> {
    let policy = Policy::load(file)?;
    let tests = tests.unwrap_or_else(|| file.with_extension("tests.toml"));
    let text = guarded_file::read_rules(&tests)
        .with_context(|| format!("cannot read {}", tests.display()))?;
    let suite: Suite = toml::from_str(&text).with_context(|| tests.display().to_string())?;
    let failures = suite.failures(&policy);
    for failure in &failures {
        print_line(&format!("FAILED  {failure}"));
    }
    let count = suite.tests.len();
    if count == 0 {
        bail!("{} has no tests", tests.display());
    }
    if !failures.is_empty() {
        bail!("{} of {count} tests failed", failures.len());
    }
    print_line(&format!("{count} tests passed"));
    Ok(())
}

fn diff(old: &Policy, new: &Policy, json: bool) -> anyhow::Result<()> {
    let differences = differences(old, new);
    if json {
        return print_json(&differences);
    }
    for difference in &differences.found {
        let word = if difference.permitted {
            "permitted"
        } else {
            "denied   "
        };
        let more = match difference.more {
            0 => String::new(),
            more => format!("  (and {more} like it)"),
        };
        print_line(&format!("{word}  {}{more}", difference.request));
    }
    let (found, asked) = (differences.found.len(), differences.asked);
    print_line(&format!(
        "{found} kinds of requests differ, of {asked} requests tried"
    ));
    if !differences.cut.is_empty() {
        let cut = differences.cut.join(", ");
        print_line(&format!("not every combination was tried of {cut}"));
    }
    Ok(())
}

async fn explain(question: Question, service: &Service) -> anyhow::Result<()> {
    let said = [
        ("caller", Some(question.caller)),
        ("action", Some(question.action)),
        ("resource", question.resource),
        ("context", question.context),
        ("at", question.at),
    ];
    let said = said.into_iter().filter_map(|(name, it)| Some((name, it?)));
    let query = reqwest::Url::parse_with_params("http://query/", said)?;
    let path = format!("/v1/policy/explain?{}", query.query().unwrap_or_default());
    service.show(&path).await
}

/// The prover is a program of its own: the service has nothing of it among its dependencies.
fn prove(file: &Path, invariants: &[PathBuf]) -> anyhow::Result<()> {
    drop(Policy::load(file)?);
    let program = "chancery-prove";
    let done = std::process::Command::new(program)
        .arg(file)
        .args(invariants)
        .status()
        .with_context(|| {
            format!("{program} cannot be run: cargo install --locked --path deploy/prover")
        })?;
    match done.code() {
        Some(0) => Ok(()),
        Some(1) => bail!("{} does not hold what is to hold", file.display()),
        _ => bail!("it cannot be told"),
    }
}
