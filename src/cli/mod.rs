//! The command line: one file per command.
//!
//! `serve`, `migrate`, `callers bootstrap` and `doctor` work on the configuration they are given; the
//! others speak the same API as everybody else, with a caller's token.

mod adopt;
mod approvals;
mod attestation;
mod audit;
mod bench;
mod builder_key;
mod callers;
mod client;
mod clients;
mod compromised;
mod credentials;
mod custody;
mod destination;
pub mod dev;
mod doctor;
mod due;
mod exchange;
mod exchange_shown;
mod explain;
mod halt;
mod health;
mod import;
mod init;
mod isolation;
mod key_place;
mod keys;
mod known_by;
mod limits;
mod list;
mod memory;
mod migrate;
mod nonce_search;
mod notices;
mod operations;
mod people;
mod policy;
mod recipients;
mod relayer;
mod rotations;
mod serve;
mod signatures;
mod table;
mod wallets;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::Config;
use crate::environment;
use crate::telemetry::{self, LogFormat};

/// What is logged unless it is said. The pool of connections calls a standby an error; the ledger says itself what it
/// does not take.
const FILTER: &str = "info,sqlx=warn,sqlx_core::pool::inner=off";

/// Key custody and signing for Polymarket orders and Exchange API client assertions.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// What to log, as `tracing` filters say it.
    #[arg(
        long,
        global = true,
        default_value = FILTER,
        value_name = "FILTER"
    )]
    log: String,
    /// How to log.
    #[arg(long, global = true, default_value = "text", value_enum)]
    log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole thing on this machine: private database, private token, demo wallet and client
    Dev(dev::Options),
    /// Set the service up: configuration, keys, roles and database, the first operator
    Init(init::Options),
    /// Serve the API
    Serve(ConfigFile),
    /// Bring the database's schema up to date
    Migrate(migrate::Options),
    /// Make, list, show and move keys
    #[command(subcommand)]
    Keys(keys::Command),
    /// Make, list and show wallets
    #[command(subcommand)]
    Wallets(wallets::Command),
    /// Make, derive, recover and delete API keys of the CLOB; look their nonces up
    #[command(subcommand)]
    Credentials(credentials::Command),
    /// Make, list and show OAuth clients
    #[command(subcommand)]
    Clients(clients::Command),
    /// Scopes, endpoints, environments and refusals of the Exchange API
    #[command(subcommand)]
    Exchange(exchange::Command),
    /// The devices, and replacing what they seal with: master key, sealing keys, PINs
    #[command(subcommand)]
    Custody(custody::Command),
    /// Replace keys, step by step, and see where that stands
    #[command(subcommand)]
    Rotations(rotations::Command),
    /// Make, list, show and revoke callers; make the first operator
    #[command(subcommand)]
    Callers(callers::Command),
    /// Who may do what: show it, replace it; try a policy out: check it, test it, compare it
    #[command(subcommand)]
    Policy(policy::Command),
    /// Stop what is signed and handed out, and let it go on
    #[command(subcommand)]
    Halt(halt::Command),
    /// How much callers may do: list, show, set and remove limits
    #[command(subcommand)]
    Limits(limits::Command),
    /// What wallets do besides trading: set-up, positions, withdrawals; sign, list and settle operations
    #[command(subcommand)]
    Operations(operations::Command),
    /// Whom wallets may send to: list, add and remove recipients
    #[command(subcommand)]
    Recipients(recipients::Command),
    /// Have operations carried out by the relayer: deploy, submit, list
    #[command(subcommand)]
    Relayer(relayer::Command),
    /// What waits for approval: list, show, approve, reject, withdraw
    #[command(subcommand)]
    Approvals(approvals::Command),
    /// Who was told of approvals, deadlines, halts and alarms: list, test, receive
    #[command(subcommand)]
    Notices(notices::Command),
    /// People who approve, their keys, and whose callers are
    #[command(subcommand)]
    People(people::Command),
    /// Show and find what was signed
    #[command(subcommand)]
    Signatures(signatures::Command),
    /// Prove what is in the audit log, export it, and verify both offline
    #[command(subcommand)]
    Audit(audit::Command),
    /// Say why a CLOB refuses an order, signed here or elsewhere
    Explain(explain::Options),
    /// Measure how fast the service signs, beside what it stands on
    Bench(bench::Options),
    /// Print the `OpenAPI` document
    Openapi,
    /// Print completions for a shell: source <(chancery completions bash)
    Completions {
        /// Which shell.
        shell: Shell,
    },
    /// Write manual pages into a directory: chancery man /usr/local/share/man/man1
    Man {
        /// The directory.
        directory: PathBuf,
    },
    /// Check a configuration against its database, devices and files, and say what to do
    Doctor(doctor::Options),
    /// Show how a replica is: database, writer, clock, evidence, devices
    Health(health::Options),
}

/// Where the configuration is.
#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file.
    #[arg(
        long,
        short,
        default_value = "/etc/chancery/config.toml",
        value_name = "FILE"
    )]
    config: PathBuf,
}

impl ConfigFile {
    fn load(&self) -> anyhow::Result<Config> {
        Ok(Config::load(&self.config)?)
    }
}

/// Runs a command.
pub fn run(cli: Cli) -> ExitCode {
    let quiet = matches!(cli.command, Command::Dev(ref options) if options.once);
    let filter = if quiet { "warn" } else { &cli.log };
    let telemetry = match telemetry::start(cli.log_format, filter) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            remark(&format!("chancery: nothing can be logged: {error}"));
            return ExitCode::FAILURE;
        }
    };
    harden();
    let done = match cli.command {
        // Starts itself anew before there is a runtime.
        Command::Dev(options) => dev::run(&options),
        command => prepare(&command).and_then(|()| block_on(execute(command))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            telemetry.say(&format!("chancery: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// For commands that open devices: this may start the program anew.
fn prepare(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(file) => isolation::prepare(&file.load()?),
        Command::Callers(command) => match callers::devices_of(command) {
            Some(file) => isolation::prepare(&file.load()?),
            None => Ok(()),
        },
        // The doctor says itself what is wrong with a file.
        Command::Doctor(options) => options
            .file
            .load()
            .map_or(Ok(()), |it| isolation::prepare(&it)),
        _ => Ok(()),
    }
}

async fn execute(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Dev(options) => dev::run(&options),
        Command::Init(options) => init::run(&options).await,
        Command::Serve(file) => serve::run(&file.load()?).await,
        Command::Migrate(options) => migrate::run(&options).await,
        Command::Keys(command) => keys::run(command).await,
        Command::Wallets(command) => wallets::run(command).await,
        Command::Custody(command) => custody::run(command).await,
        Command::Rotations(command) => rotations::run(command).await,
        Command::Credentials(command) => credentials::run(command).await,
        Command::Clients(command) => clients::run(command).await,
        Command::Exchange(command) => exchange::run(command).await,
        Command::Callers(command) => callers::run(command).await,
        Command::Halt(command) => halt::run(command).await,
        Command::Limits(command) => limits::run(command).await,
        Command::Operations(command) => operations::run(command).await,
        Command::Recipients(command) => recipients::run(command).await,
        Command::Relayer(command) => relayer::run(command).await,
        Command::Approvals(command) => approvals::run(command).await,
        Command::Notices(command) => notices::run(command).await,
        Command::People(command) => people::run(command).await,
        Command::Explain(options) => explain::run(options).await,
        Command::Policy(command) => policy::run(command).await,
        Command::Signatures(command) => signatures::run(command).await,
        Command::Audit(command) => audit::run(command).await,
        Command::Bench(options) => bench::run(options).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "chancery", &mut script);
            print_line(&String::from_utf8(script)?);
            Ok(())
        }
        Command::Man { directory } => {
            clap_mangen::generate_to(Cli::command(), directory)?;
            Ok(())
        }
        Command::Openapi => print_json(&crate::http::openapi()),
        Command::Doctor(options) => doctor::run(&options).await,
        Command::Health(options) => health::run(options).await,
    }
}

/// No core dump, and no debugger of the same user: memory holds PINs and tokens (P1). And what is written here
/// is nobody else's to write: it would not be read again.
fn harden() {
    use rustix::fs::Mode;
    use rustix::process::{DumpableBehavior, Resource, Rlimit};
    let others_write = Mode::WGRP | Mode::WOTH;
    let usual = rustix::process::umask(others_write);
    rustix::process::umask(usual | others_write);
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = rustix::process::setrlimit(Resource::Core, none);
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Prints for programs and people alike.
fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print_line(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Prints a line of an answer. Whoever reads may have seen enough: `| head` is no fault, and what was
/// asked for is done by the time it is printed.
fn print_line(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

/// Prints a text with nothing behind it: what has a digest stays what it is.
fn print_as_it_is(text: &str) {
    drop(write!(std::io::stdout(), "{text}"));
}

/// Tells people something beside the answer, which programs do not read. Nobody need listen.
fn remark(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// A setting from the environment, for clap's defaults.
fn from_environment(name: &str, or: &str) -> String {
    environment::variable(name).unwrap_or_else(|| or.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_can_be_parsed() {
        Cli::command().debug_assert();
    }
}
