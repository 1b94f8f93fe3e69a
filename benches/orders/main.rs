//! `cargo bench --bench orders`: how fast the service signs, beside what it stands on.
//!
//! It prepares a directory with `chancery dev --once`, serves from it with `chancery serve` as a
//! process of its own, and asks for orders and assertions over keep-alive connections: out of the
//! `SoftHSM2` token and out of the sealed keystore. In the same run it measures the floors: `C_Sign`
//! through the same module, a commit of one row, and an HTTP request that does nothing. Everything
//! shares the machine's processors, so the ratios are the result, not the figures.
//!
//! It leaves nothing behind. The first process makes the directory, starts itself again with
//! `SOFTHSM2_CONF` set (the module reads it, and a process with threads cannot set it), and removes
//! the directory when that is done.
#![expect(
    clippy::print_stdout,
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "it measures, and prints what it measured"
)]

mod floors;
mod load;
mod stage;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;

use floors::Device;
use load::{Measured, Plan};
use stage::{Scratch, Stage};

/// How to measure.
#[derive(Debug, Parser)]
struct Options {
    /// Seconds for each point.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Seconds before each point that do not count.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// How many connections.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64])]
    connections: Vec<usize>,
    /// Only the points whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Another build of the program, to compare with.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_chancery"))]
    program: PathBuf,
    /// Where to serve from; set by the first process for the second.
    #[arg(long, hide = true)]
    stage: Option<PathBuf>,
    /// `cargo bench` says this to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match &options.stage {
        None => prepare(&options),
        Some(stage) => measure(&options, stage),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn prepare(options: &Options) -> anyhow::Result<()> {
    let scratch = Scratch::new()?;
    stage::set_up(&options.program, scratch.path())?;
    let mut again = std::process::Command::new(std::env::current_exe()?);
    again.args(std::env::args_os().skip(1));
    again.arg("--stage").arg(scratch.path());
    again.env("SOFTHSM2_CONF", stage::softhsm_conf(scratch.path()));
    let status = again.status()?;
    anyhow::ensure!(status.success(), "the measurement ended with {status}");
    Ok(())
}

/// One thread for the load, so that it takes little from what it measures.
#[tokio::main(flavor = "current_thread")]
async fn measure(options: &Options, dir: &Path) -> anyhow::Result<()> {
    let point = Duration::from_secs_f64(options.seconds);
    let stage = Stage::start(&options.program, dir).await?;

    println!("{:34}{}", "", Measured::HEADINGS);
    let wanted = |name: &str| name.contains(&options.only);
    let commit = floors::commit(stage.database_url(), point).await?;
    println!("{:34}{commit}", "commit of one row, one at a time");
    let mut devices = Vec::new();
    if let Some(token) = stage.token() {
        for (operation, key) in [
            ("order", "demo-wallet-key"),
            ("assertion", "demo-client-key"),
        ] {
            let key = stage.key(key).await?;
            for sessions in [1, 2, 4] {
                let name = format!("C_Sign for {operation}, {sessions} sessions");
                if !wanted(&name) {
                    continue;
                }
                let signed =
                    floors::sign(token, &key, sessions, point).with_context(|| name.clone())?;
                println!("{name:34}{signed}");
                devices.push(Device {
                    operation,
                    sessions,
                    signed,
                });
            }
        }
    }

    let mut ratios = Vec::new();
    for plan in plans(&stage) {
        for connections in &options.connections {
            let name = format!("{}, {connections} connections", plan.name);
            if !wanted(&name) {
                continue;
            }
            let warm_up = Duration::from_secs_f64(options.warm_up);
            load::run(&stage, &plan, *connections, warm_up).await?;
            let measured = load::run(&stage, &plan, *connections, point).await?;
            println!("{name:34}{measured}");
            if plan.is_batch() {
                let orders = measured.a_second() * plan.signatures as f64;
                println!("{:34}{orders:8.0} orders/s", "");
            }
            if plan.in_token {
                ratios.extend(ratio(
                    &name,
                    &plan,
                    *connections,
                    &measured,
                    &devices,
                    &commit,
                ));
            }
        }
    }
    println!();
    for ratio in ratios {
        println!("{ratio}");
    }
    stage.stop()
}

/// What is asked for: each kind of signature out of each device, and nothing at all.
fn plans(stage: &Stage) -> Vec<Plan> {
    let mut plans = vec![Plan::nothing()];
    for (device, prefix, in_token) in [("token", "demo", true), ("sealed", "soft", false)] {
        if in_token && stage.token().is_none() {
            continue;
        }
        let wallet = format!("/v1/wallets/{prefix}-wallet/orders");
        plans.push(Plan::new(
            "order",
            format!("order, {device}"),
            wallet,
            ORDER,
            in_token,
        ));
        for size in [1, 15, 100] {
            let name = format!("batch of {size}, {device}");
            let path = format!("/v1/wallets/{prefix}-wallet/orders/batch");
            plans.push(Plan::batch(size, name, path, ORDER, in_token));
        }
        let client = format!("/v1/clients/{prefix}-client/assertions");
        plans.push(Plan::new(
            "assertion",
            format!("assertion, {device}"),
            client,
            "{}",
            in_token,
        ));
    }
    plans
}

/// The service beside its device: one connection against the sum of what cannot be avoided, many
/// against the most that the device gives.
fn ratio(
    name: &str,
    plan: &Plan,
    connections: usize,
    measured: &Measured,
    devices: &[Device],
    commit: &Measured,
) -> Option<String> {
    let mine = || {
        devices
            .iter()
            .filter(|device| device.operation == plan.operation)
    };
    if connections == 1 && !plan.is_batch() {
        let alone = mine().find(|device| device.sessions == 1)?;
        let floor = alone.signed.p50() + commit.p50() * 2;
        let over = measured.p50().saturating_sub(floor);
        return Some(format!(
            "{name}: p50 {:.2} ms; device and two commits {:.2} ms; {:.2} ms over",
            load::ms(measured.p50()),
            load::ms(floor),
            load::ms(over),
        ));
    }
    let best = mine()
        .map(|device| device.signed.a_second())
        .fold(0.0, f64::max);
    (best > 0.0).then(|| {
        format!(
            "{name}: {:.0} % of the device's best {best:.0}/s",
            100.0 * measured.a_second() * plan.signatures as f64 / best
        )
    })
}

/// A limit order that can be signed.
const ORDER: &str = r#"{"tokenID":"71321045679252212594626385532706912750332728571942532289631379312455583992563","side":"BUY","price":"0.56","size":"21.04","tickSize":"0.01","negRisk":false}"#;
