//! What is measured: a private Postgres, a private token, and `chancery serve`, all in one directory.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chancery::cli::dev::{Cluster, DataDir};
use serde_json::{Value, json};

use crate::devices::{Device, Kind};

/// A directory with a short path, which Postgres's user may pass; gone in the end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let name = uuid::Uuid::new_v4().simple().to_string();
        let path = PathBuf::from(format!("/tmp/chancery-bench-{}", &name[..12]));
        DirBuilder::new().mode(0o755).create(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Where the token's configuration is, if there is a token.
pub(crate) fn softhsm_conf(dir: &Path) -> PathBuf {
    dir.join("token/softhsm2.conf")
}

/// Makes a database, a token, a demo wallet, client and trader.
pub(crate) fn set_up(program: &Path, dir: &Path) -> anyhow::Result<()> {
    let mut dev = Command::new(program);
    dev.args(["dev", "--once", "--data-dir"]).arg(dir);
    let status = dev.stdout(Stdio::null()).status()?;
    ensure!(
        status.success(),
        "`chancery dev --once` ended with {status}"
    );
    Ok(())
}

/// A running service and what it stands on.
pub(crate) struct Stage {
    cluster: Cluster,
    url: String,
    postmaster: u32,
    devices: Vec<Device>,
    server: Server,
    address: String,
    operator: String,
    trader: String,
    http: reqwest::Client,
}

/// A key of a desk.
pub(crate) struct Key {
    pub(crate) id: uuid::Uuid,
    /// The device's own name for it.
    pub(crate) device_ref: Option<String>,
    pub(crate) is_rsa: bool,
}

/// Killed when it is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Stage {
    /// Starts what [`set_up`] made, with these devices as far as they are there.
    pub(crate) async fn start(
        program: &Path,
        dir: &Path,
        wanted: impl Iterator<Item = Kind>,
    ) -> anyhow::Result<Self> {
        let data = DataDir::open(dir)?;
        let cluster = Cluster::start(&data)?;
        let pid = std::fs::read_to_string(dir.join("pg/postmaster.pid"))?;
        let file = dir.join("config.toml");
        let mut config = std::fs::read_to_string(&file)?;
        let mut devices = Vec::new();
        for kind in wanted {
            if let Some(device) = Device::prepare(kind, dir).await? {
                config.push_str(&device.section);
                devices.push(device);
            }
        }
        std::fs::write(&file, config)?;

        let log = dir.join("serve.log");
        let mut serve = Command::new(program);
        serve.args(["serve", "--log-format", "json", "--config"]);
        serve.arg(file);
        let mut server = Server(serve.stderr(File::create(&log)?).spawn()?);
        let address = listening(&mut server.0, &log).await?;

        let read = |name| std::fs::read_to_string(dir.join(name));
        let stage = Self {
            url: cluster.url(),
            cluster,
            postmaster: pid.lines().next().unwrap_or_default().parse()?,
            devices,
            server,
            address,
            operator: read("operator.token")?.trim().to_owned(),
            trader: read("trader.token")?.trim().to_owned(),
            http: reqwest::Client::new(),
        };
        // The demo's is there.
        for device in stage.devices.iter().filter(|it| it.kind != Kind::Token) {
            stage.provision(device).await?;
        }
        Ok(stage)
    }

    /// A wallet and a client in the device, for the demo's trader.
    async fn provision(&self, device: &Device) -> anyhow::Result<()> {
        let desk = device.kind.desk();
        for purpose in ["wallet", "client"] {
            let key = format!("{desk}-{purpose}-key");
            let body = json!({
                "name": key, "purpose": purpose, "backend": device.backend,
                "environment": "dev01", "owner": "dev",
            });
            self.post("/v1/keys", &body).await?;
            let step = json!({ "to": "active", "reason": "benchmark" });
            self.post(&format!("/v1/keys/{key}/steps"), &step).await?;
            let mut body =
                json!({ "name": format!("{desk}-{purpose}"), "key": key, "owner": "dev" });
            if purpose == "wallet" {
                body["chainId"] = json!(137);
            } else {
                body["client_id"] = json!(format!("{desk}-client-id"));
            }
            self.post(&format!("/v1/{purpose}s"), &body).await?;
        }
        Ok(())
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        let request = self.http.post(format!("http://{}{path}", self.address));
        let key = uuid::Uuid::new_v4().to_string();
        let request = request.header("idempotency-key", key).json(body);
        let answer = request.bearer_auth(&self.operator).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{path}: {text}");
        Ok(())
    }

    /// The key by this name.
    pub(crate) async fn key(&self, name: &str) -> anyhow::Result<Key> {
        let request = self
            .http
            .get(format!("http://{}/v1/keys/{name}", self.address));
        let answer = request.bearer_auth(&self.operator).send().await?;
        let key: Value = answer.error_for_status()?.json().await?;
        Ok(Key {
            id: key["id"].as_str().context("a key has an id")?.parse()?,
            device_ref: key["device_ref"].as_str().map(str::to_owned),
            is_rsa: key["algorithm"] != "secp256k1",
        })
    }

    pub(crate) fn database_url(&self) -> &str {
        &self.url
    }

    pub(crate) fn devices(&self) -> &[Device] {
        &self.devices
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The token of somebody who may ask for orders and assertions.
    pub(crate) fn trader(&self) -> &str {
        &self.trader
    }

    /// What was used of the processors up to now. `None` where there is no `/proc`.
    pub(crate) fn used(&self) -> Option<Used> {
        let mut postgres = Duration::ZERO;
        for entry in std::fs::read_dir("/proc").ok()?.flatten() {
            let pid = entry.file_name().to_string_lossy().parse().ok();
            let Some(process) = pid.and_then(Process::read) else {
                continue;
            };
            if process.pid == self.postmaster {
                postgres += process.own + process.of_children;
            } else if process.parent == self.postmaster {
                postgres += process.own;
            }
        }
        Some(Used {
            service: Process::read(self.server.0.id())?.own,
            postgres,
            load: Process::read(std::process::id())?.own,
        })
    }

    /// Ends everything in good order.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        drop(self.server);
        self.cluster.stop()
    }
}

/// The address in the service's own words, once it serves.
async fn listening(server: &mut Child, log: &Path) -> anyhow::Result<String> {
    let start = Instant::now();
    loop {
        let text = std::fs::read_to_string(log)?;
        let events = text.lines().map(serde_json::from_str::<Value>);
        for event in events.filter_map(Result::ok) {
            if event["message"] == "serving" {
                return Ok(event["listen"].as_str().unwrap_or_default().to_owned());
            }
        }
        let ended = server.try_wait()?;
        ensure!(ended.is_none(), "`chancery serve` ended: {text}");
        ensure!(
            start.elapsed() < Duration::from_secs(30),
            "`chancery serve` does not start: {text}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Processor time.
pub(crate) struct Used {
    pub(crate) service: Duration,
    pub(crate) postgres: Duration,
    pub(crate) load: Duration,
}

impl Used {
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            service: self.service.saturating_sub(before.service),
            postgres: self.postgres.saturating_sub(before.postgres),
            load: self.load.saturating_sub(before.load),
        }
    }
}

/// A line of `/proc/PID/stat` (`proc(5)`).
struct Process {
    pid: u32,
    parent: u32,
    own: Duration,
    of_children: Duration,
}

impl Process {
    fn read(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in brackets may hold anything; state is the first field after it, number 3.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        // USER_HZ is 100 on every Linux there is.
        let time = |ticks: u64| Duration::from_millis(ticks * 10);
        Some(Self {
            pid,
            parent: fields.get(4 - 3)?.parse().ok()?,
            own: time(ticks(14)? + ticks(15)?),
            of_children: time(ticks(16)? + ticks(17)?),
        })
    }
}
