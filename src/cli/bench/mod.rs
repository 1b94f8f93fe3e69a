//! `chancery bench`: how fast the service signs, beside what it stands on.
//!
//! It makes a world in a directory of its own with `chancery dev --once`, serves from it with `chancery
//! serve` as a process of its own, and asks over keep-alive connections. In the same run it measures the
//! floors: the device through the same library and a commit of one row. Or it asks a service that runs
//! elsewhere, of which it knows the answers only.
//!
//! # Why
//! Load generator, service and database share the processors of one machine, so a figure says little by
//! itself: the ratios of one run are the result, and processor time for each order, which hardly depends on
//! what else runs.
#![expect(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "it measures; nothing here is money"
)]

mod device;
mod endpoint;
mod floor;
mod histogram;
mod load;
mod measure;
mod options;
mod overload;
mod plan;
mod processes;
mod provision;
mod ratios;
mod row;
mod settings;
mod started;
mod svg;
mod wire;
mod world;

use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::client::Client;
use crate::clock::Clock;
use device::Kind;
use load::Target;
use measure::Measure;
pub(super) use options::Options;
use plan::{Desk, Operation};
use world::{World, WorldPlan};

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    if options.floor {
        return floor::answer().await;
    }
    let stop = super::serve::stop_on_signal()?;
    allow_many_connections();
    if let Some(url) = &options.whose.url {
        let measured = stop.run_until_cancelled(Box::pin(running(&options, url)));
        return measured.await.unwrap_or_else(|| Err(stopped()));
    }
    let program = match &options.program {
        Some(program) => program.clone(),
        None => std::env::current_exe()?,
    };
    let devices = if options.backend.is_empty() {
        &Kind::ALL[..]
    } else {
        &options.backend
    };
    let operations = options.operations();
    let wanted = WorldPlan {
        program: &program,
        data_dir: options.data_dir.as_deref(),
        devices,
        elsewhere: &options.elsewhere,
        clob: operations.contains(&Operation::L2),
        tokens: operations.contains(&Operation::Token),
    };
    let started = stop
        .run_until_cancelled(Box::pin(World::start(&wanted)))
        .await;
    let mut world = started.unwrap_or_else(|| Err(stopped()))?;
    let measured = stop
        .run_until_cancelled(Box::pin(own(&options, &mut world)))
        .await;
    let measured = measured.unwrap_or_else(|| Err(stopped()));
    let ended = world.stop().await;
    measured.and(ended)
}

fn stopped() -> anyhow::Error {
    anyhow::anyhow!("stopped before the end")
}

/// In a world of its own.
async fn own(options: &Options, world: &mut World) -> anyhow::Result<()> {
    world
        .provision(&options.operations(), options.callers)
        .await?;
    ensure!(
        !world.desks.is_empty(),
        "there is no device to measure: {}",
        world.left_out.join("; ")
    );
    let mut measure = Measure {
        options,
        target: &world.target,
        desks: &world.desks,
        world: Some(world),
        rows: Vec::new(),
        ratios: Vec::new(),
        left_out: world.left_out.clone(),
    };
    finish(&mut measure).await
}

/// Against a service that runs.
async fn running(options: &Options, url: &str) -> anyhow::Result<()> {
    let whose = &options.whose;
    let address = address(url)?;
    let file = whose.token_file.clone().context("there is a token file")?;
    // It refuses what would show the token to others.
    let trader = Client::new(url, &file)?;
    let token = crate::guarded_file::read_secret(&file)?;
    let (wallet, client) = (whose.wallet.clone(), whose.client.clone());
    ensure!(
        wallet.is_some() || client.is_some(),
        "nothing to ask for: name a wallet of that service (--wallet), a client (--client), or both"
    );
    let signed = match &wallet {
        Some(wallet) if options.operations().contains(&Operation::Lookup) => {
            Some(provision::sign(&trader, wallet).await?)
        }
        _ => None,
    };
    let tokens = client.clone().filter(|_| options.names(Operation::Token));
    let desk = Desk {
        device: None,
        tokens: tokens.map(|client| (client, whose.scope.clone())),
        login: wallet.clone().filter(|_| options.names(Operation::L2)),
        signed,
        wallet,
        client,
    };
    let target = Target {
        address,
        tokens: vec![token.trim().to_owned()],
    };
    let mut measure = Measure {
        options,
        target: &target,
        desks: &[desk],
        world: None,
        rows: Vec::new(),
        ratios: Vec::new(),
        left_out: Vec::new(),
    };
    finish(&mut measure).await
}

async fn finish(measure: &mut Measure<'_>) -> anyhow::Result<()> {
    measure.begin();
    match measure.options.flood() {
        Some(flood) => overload::all(measure, flood).await?,
        None => measure.table().await?,
    }
    measure.conclude();
    write(measure)
}

/// Where plain HTTP is spoken.
fn address(url: &str) -> anyhow::Result<String> {
    let parsed = reqwest::Url::parse(url)?;
    let is_plain = parsed.scheme() == "http" && parsed.path() == "/";
    ensure!(
        is_plain,
        "{url}: TLS and prefixes of a proxy are not measured: ask the service at its own address, on its own host (http://127.0.0.1:7300)"
    );
    let host = parsed.host_str().context("a URL has a host")?;
    let port = parsed.port_or_known_default().unwrap_or(80);
    Ok(format!("{host}:{port}"))
}

fn write(measure: &Measure<'_>) -> anyhow::Result<()> {
    let options = measure.options;
    if let Some(file) = &options.svg {
        let title = format!(
            "chancery {}: latency, {}",
            env!("CARGO_PKG_VERSION"),
            match options.rate {
                Some(rate) => format!("open loop, {rate} requests a second"),
                None => "closed loop".to_owned(),
            }
        );
        put(file, &svg::draw(&title, &measure.rows))?;
    }
    if options.json_to_stdout() {
        return super::print_json(&all(measure));
    }
    match &options.json {
        Some(file) => put(file, &(serde_json::to_string_pretty(&all(measure))? + "\n")),
        None => Ok(()),
    }
}

fn put(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Everything, for programs.
fn all(measure: &Measure<'_>) -> Value {
    let options = measure.options;
    let system = rustix::system::uname();
    let rows: Vec<_> = measure.rows.iter().map(row::Row::json).collect();
    let ratios: Vec<_> = measure.ratios.iter().map(ratios::Ratio::json).collect();
    json!({
        "chancery": env!("CARGO_PKG_VERSION"),
        "ended": Clock::system().now().unix_timestamp(),
        "machine": {
            "cores": measure::cores(),
            "system": format!(
                "{} {} {}",
                system.sysname().to_string_lossy(),
                system.release().to_string_lossy(),
                system.machine().to_string_lossy()
            ),
            "postgres": measure.world.map(World::postgres_version),
        },
        "directory": measure.world.map(World::directory),
        "ready_ms": measure.world.map(|it| row::ms(it.ready)),
        "seconds": options.seconds,
        "warm_up": options.warm_up,
        "callers": options.callers,
        "rows": rows,
        "ratios": ratios,
        "left_out": measure.left_out,
    })
}

/// Each connection takes a descriptor here and one in the service, which inherits the limit.
fn allow_many_connections() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // With the usual limit there is room for a thousand.
    let _ = setrlimit(Resource::Nofile, limit);
}
