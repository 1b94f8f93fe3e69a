//! `cargo bench --bench orders`: how fast the service signs, beside what it stands on.
//!
//! It prepares a directory with `chancery dev --once`, serves from it with `chancery serve` as a
//! process of its own, and asks for orders and assertions over keep-alive connections: out of the
//! `SoftHSM2` token, the sealed keystore, an emulated KMS, and a second token if the environment names
//! one. In the same run it measures the floors: `C_Sign` through the same module, `Sign` of the same
//! KMS, a commit of one row, and an HTTP request that does nothing. Everything shares the machine's
//! processors, so the ratios are the result, not the figures.
//!
//! With every device, once `tests/pkcs11/opencryptoki build` has made the second:
//! `tests/pkcs11/opencryptoki run cargo bench --bench orders -- --seconds 4`.
//!
//! It leaves nothing behind. The first process makes the directory, starts itself again with
//! `SOFTHSM2_CONF` set (the module reads it, and a process with threads cannot set it) and credentials
//! that are good for the emulated KMS and for nothing else, and removes the directory when that is done.
#![expect(
    clippy::print_stdout,
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "it measures, and prints what it measured"
)]

mod devices;
mod floors;
#[path = "../../tests/support/kms.rs"]
mod kms_server;
mod load;
mod stage;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;

use devices::{Kind, Raw};
use floors::Floor;
use load::{Measured, Plan};
use stage::{Scratch, Stage};

/// How fast the service signs, beside what it stands on.
///
/// Rows name their device, so that `--only` picks one, and only what is picked is started:
///
/// token: `SoftHSM2`, `C_Sign` beside the service.
/// sealed: the sealed keystore.
/// kms: the KMS that tests use, `Sign` beside the service. The service's pace, which keeps an account's
/// quota, is set out of the way. No batches.
/// second: another PKCS#11 token, which `PKCS11_MODULE`, `TOKEN_LABEL` and `PIN_FILE` name in the
/// environment, as `tests/pkcs11/opencryptoki run cargo bench --bench orders` sets them.
///
/// What is not there is skipped, with the reason.
#[derive(Debug, Parser)]
#[command(verbatim_doc_comment)]
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
    /// Only the points whose name contains this, such as `kms` or `order, second`.
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
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        again.env(name, "test");
    }
    again.env("AWS_EC2_METADATA_DISABLED", "true");
    for name in ["AWS_PROFILE", "AWS_SESSION_TOKEN"] {
        again.env_remove(name);
    }
    let status = again.status()?;
    anyhow::ensure!(status.success(), "the measurement ended with {status}");
    Ok(())
}

/// One thread for the load, so that it takes little from what it measures.
#[tokio::main(flavor = "current_thread")]
async fn measure(options: &Options, dir: &Path) -> anyhow::Result<()> {
    let point = Duration::from_secs_f64(options.seconds);
    let wanted = |name: &str| name.contains(&options.only);
    let has_rows = |kind: &Kind| {
        let raw = OPERATIONS.iter().flat_map(|(operation, _)| {
            let row = |at_once: &usize| kind.raw_row(operation, *at_once);
            kind.at_once().iter().map(row)
        });
        let plans = plans(*kind);
        let asked = plans
            .iter()
            .flat_map(|plan| options.connections.iter().map(|many| plan.row(*many)));
        raw.chain(asked).any(|name| wanted(&name))
    };
    let kinds = Kind::ALL.into_iter().filter(has_rows);
    let stage = Stage::start(&options.program, dir, kinds).await?;

    println!("{:42}{}", "", Measured::HEADINGS);
    let commit = floors::commit(stage.database_url(), point).await?;
    println!("{:42}{commit}", "commit of one row, one at a time");
    let floors = floors(&stage, point, wanted).await?;

    let mut ratios = Vec::new();
    let devices = stage.devices().iter();
    let asked = devices.flat_map(|device| plans(device.kind));
    for plan in std::iter::once(Plan::nothing()).chain(asked) {
        for connections in &options.connections {
            let name = plan.row(*connections);
            if !wanted(&name) {
                continue;
            }
            let warm_up = Duration::from_secs_f64(options.warm_up);
            load::run(&stage, &plan, *connections, warm_up).await?;
            let measured = load::run(&stage, &plan, *connections, point)
                .await
                .with_context(|| name.clone())?;
            println!("{name:42}{measured}");
            if plan.is_batch() {
                let orders = measured.a_second() * plan.signatures as f64;
                println!("{:42}{orders:8.0} orders/s", "");
            }
            ratios.extend(ratio(&plan, *connections, &measured, &floors, &commit));
        }
    }
    println!();
    for ratio in ratios {
        println!("{ratio}");
    }
    stage.stop()
}

/// Each kind of signature, and its key's name after the desk's.
const OPERATIONS: [(&str, &str); 2] = [("order", "wallet-key"), ("assertion", "client-key")];

/// How fast each device signs by itself.
async fn floors(
    stage: &Stage,
    point: Duration,
    wanted: impl Fn(&str) -> bool,
) -> anyhow::Result<Vec<Floor>> {
    let mut floors = Vec::new();
    for device in stage.devices() {
        let kind = device.kind;
        for (operation, key) in OPERATIONS {
            let key = stage.key(&format!("{}-{key}", kind.desk())).await?;
            for at_once in kind.at_once().iter().copied() {
                let name = kind.raw_row(operation, at_once);
                if !wanted(&name) {
                    continue;
                }
                let signed = match &device.raw {
                    Raw::Pkcs11(token) => floors::sign(token, &key, at_once, point),
                    Raw::Kms(kms) => floors::sign_in_kms(kms, &key, at_once, point).await,
                    Raw::Nothing => continue,
                };
                let signed = signed.with_context(|| name.clone())?;
                println!("{name:42}{signed}");
                floors.push(Floor {
                    device: kind,
                    operation,
                    at_once,
                    signed,
                });
            }
        }
    }
    Ok(floors)
}

/// What is asked for out of a device.
fn plans(kind: Kind) -> Vec<Plan> {
    let (device, desk) = (kind.name(), kind.desk());
    let wallet = format!("/v1/wallets/{desk}-wallet/orders");
    let name = format!("order, {device}");
    let mut plans = vec![Plan::new("order", name, wallet.clone(), ORDER, kind)];
    for size in kind.batches() {
        let name = format!("batch of {size}, {device}");
        let path = format!("{wallet}/batch");
        plans.push(Plan::batch(*size, name, path, ORDER, kind));
    }
    let client = format!("/v1/clients/{desk}-client/assertions");
    let name = format!("assertion, {device}");
    plans.push(Plan::new("assertion", name, client, "{}", kind));
    plans
}

/// The service beside its device: one connection against the sum of what cannot be avoided, many
/// against the most that the device gives.
fn ratio(
    plan: &Plan,
    connections: usize,
    measured: &Measured,
    floors: &[Floor],
    commit: &Measured,
) -> Option<String> {
    let name = plan.row(connections);
    let mine = || {
        let of_plan =
            |floor: &&Floor| Some(floor.device) == plan.device && floor.operation == plan.operation;
        floors.iter().filter(of_plan)
    };
    if connections == 1 && !plan.is_batch() {
        let alone = mine().find(|floor| floor.at_once == 1)?;
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
        .map(|floor| floor.signed.a_second())
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
