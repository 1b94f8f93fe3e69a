//! What is measured: a private Postgres, a private token, and `chancery serve`, all in one directory.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::Signal;

use super::super::client::Client;
use super::super::dev::beside::{CLOB, Running};
use super::super::dev::{Cluster, DataDir, SoftToken};
use super::device::{Device, Elsewhere, Kind};
use super::floor::{Ask, Key, What};
use super::load::Target;
use super::plan::Desk;
use super::processes::{self, Used};
use super::settings::Settings;
use super::started::{Program, listening, set_up};
use super::{endpoint, floor};
use crate::config::Config;

/// A running service and what it stands on. What is first here ends first.
pub(super) struct World {
    server: Program,
    _clob: Option<Running>,
    cluster: Cluster,
    pub(super) config: Config,
    file: PathBuf,
    dir: PathBuf,
    pub(super) devices: Vec<Device>,
    /// What is left out, and why.
    pub(super) left_out: Vec<String>,
    pub(super) operator: Client,
    pub(super) trader: Client,
    pub(super) target: Target,
    pub(super) desks: Vec<Desk>,
    /// From its start until it served.
    pub(super) ready: Duration,
    pub(super) has_clob: bool,
    /// Keys in devices that are not in the directory.
    pub(super) elsewhere: Vec<(&'static str, Key)>,
    postmaster: u32,
    scratch: Option<Scratch>,
}

/// The chain of the wallets that have API keys.
pub(super) const AMOY: u64 = 80_002;

/// What to start.
pub(super) struct WorldPlan<'a> {
    pub(super) program: &'a Path,
    pub(super) data_dir: Option<&'a Path>,
    pub(super) devices: &'a [Kind],
    pub(super) elsewhere: &'a Elsewhere,
    /// Whether a CLOB and a token endpoint are of use.
    pub(super) clob: bool,
    pub(super) tokens: bool,
}

impl World {
    /// Makes it, or finds what `chancery dev` made, and serves from it.
    pub(super) async fn start(wanted: &WorldPlan<'_>) -> anyhow::Result<Self> {
        let scratch = match wanted.data_dir {
            Some(_) => None,
            None => Some(Scratch::new()?),
        };
        let dir = wanted
            .data_dir
            .or(scratch.as_ref().map(|it| it.0.as_path()));
        let dir = dir.context("there is a directory")?;
        if !dir.join("config.toml").exists() {
            set_up(wanted.program, dir).await?;
        }
        let dir = dir.canonicalize()?;
        let data = DataDir::open(&dir)?;
        let cluster = Cluster::start(&data)?;
        let pid = std::fs::read_to_string(dir.join("pg/postmaster.pid"))?;
        let mut left_out = Vec::new();
        let clob = match wanted
            .clob
            .then(|| Running::start(&CLOB, &dir, 0, &[format!("--chain-id={AMOY}")]))
            .transpose()
        {
            Ok(clob) => clob,
            Err(why) => {
                left_out.push(format!("l2: there is no CLOB for demonstration: {why:#}"));
                None
            }
        };
        let mut settings = Settings::read(&dir.join("config.toml"))?;
        settings.set("http", "listen", "127.0.0.1:0");
        settings.set("ledger", "url", &cluster.url());
        // An order is what its request says: nothing is looked up.
        settings.remove("clob.polygon");
        if let Some(clob) = &clob {
            settings.set("clob.amoy", "url", clob.url());
        }
        if wanted.tokens {
            let url = endpoint::start()?;
            let section = "oauth.environments.bench";
            settings.set(section, "issuer", &url);
            settings.set(section, "token_endpoint", &format!("{url}/token"));
            settings.set(section, "token_audience", "https://api.bench.invalid");
        }
        let mut devices = Vec::new();
        for kind in wanted.devices {
            match Device::find(*kind, &dir, wanted.elsewhere) {
                Ok(device) => {
                    settings.add(&device.section);
                    devices.push(device);
                }
                Err(why) => left_out.push(format!("{}: {why}", kind.name())),
            }
        }
        let file = dir.join("bench.toml");
        settings.write(&file)?;

        let log = dir.join("serve.log");
        let mut serve = Command::new(wanted.program);
        serve.args(["serve", "--log-format", "json", "--config"]);
        serve.arg(&file).stderr(File::create(&log)?);
        prepare(&mut serve, &dir);
        let start = Instant::now();
        let mut server = Program {
            child: serve.spawn()?,
            end: Signal::KILL,
        };
        let address = listening(&mut server.child, &log).await?;
        let ready = start.elapsed();
        let base = format!("http://{address}");
        let trader = std::fs::read_to_string(dir.join("trader.token"))?;
        Ok(Self {
            server,
            has_clob: clob.is_some(),
            _clob: clob,
            cluster,
            config: Config::load(&file)?,
            file,
            devices,
            left_out,
            operator: Client::new(&base, &dir.join("operator.token"))?,
            trader: Client::new(&base, &dir.join("trader.token"))?,
            target: Target {
                address,
                tokens: vec![trader.trim().to_owned()],
            },
            desks: Vec::new(),
            ready,
            elsewhere: Vec::new(),
            postmaster: pid.lines().next().unwrap_or_default().parse()?,
            dir,
            scratch,
        })
    }

    /// How fast a device signs by itself.
    pub(super) async fn floor(&self, backend: &str, what: What) -> anyhow::Result<floor::Told> {
        let ask = Ask {
            config: self.file.clone(),
            backend: backend.parse()?,
            what,
        };
        floor::ask(&ask, |command| prepare(command.as_std_mut(), &self.dir)).await
    }

    /// What was used of the processors up to now. `None` where there is no `/proc`.
    pub(super) fn used(&self) -> Option<Used> {
        Used::up_to_now(self.server.child.id(), self.postmaster)
    }

    /// The service's resident memory.
    pub(super) fn memory(&self) -> Option<u64> {
        processes::memory(self.server.child.id())
    }

    /// Where everything is.
    pub(super) fn place(&self) -> String {
        let until = if self.scratch.is_some() {
            " until the end"
        } else {
            ""
        };
        format!("{}{until}", self.dir.display())
    }

    pub(super) fn directory(&self) -> &Path {
        &self.dir
    }

    pub(super) fn postgres_version(&self) -> u32 {
        self.cluster.version()
    }

    /// Ends everything in good order. Nothing is left of a directory of our own, nor of keys that were
    /// made for it elsewhere.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        let mut forgotten = Ok(());
        if self.scratch.is_some() {
            for (backend, key) in std::mem::take(&mut self.elsewhere) {
                let id = key.id;
                let gone = self.floor(backend, What::Forget(vec![key])).await;
                let why = || format!("the key {id}, made in {backend} for this, is still there");
                forgotten = forgotten.and(gone.map(drop).with_context(why));
            }
        }
        drop(self.server);
        self.cluster.stop()?;
        forgotten
    }
}

/// A directory with a short path, which Postgres's user may pass; gone in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let name = uuid::Uuid::new_v4().simple().to_string();
        let path = PathBuf::from(format!("/tmp/chancery-bench-{}", &name[..12]));
        let made = DirBuilder::new().mode(0o755).create(&path);
        made.with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The environment of whoever opens the devices: the token's configuration, and credentials that are good
/// for an emulated KMS and for nothing else.
fn prepare(command: &mut Command, dir: &Path) {
    let conf = SoftToken::conf_in(dir);
    if conf.exists() {
        command.env("SOFTHSM2_CONF", conf);
    }
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        command.env(name, "test");
    }
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    for name in ["AWS_PROFILE", "AWS_SESSION_TOKEN"] {
        command.env_remove(name);
    }
}
