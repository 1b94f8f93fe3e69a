//! What the service stands on, by itself: the device, and a commit.
//!
//! A device is asked by a process of its own, this program once more: the module finds its configuration
//! in the environment, which a process with threads cannot change, and what it uses of the processors is
//! told apart.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::processes;
use crate::app::App;
use crate::config::Config;
use crate::custody::{self, Algorithm, DeviceRef, Place, Trial};
use crate::name::Name;

/// What a process is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ask {
    pub(super) config: PathBuf,
    /// The device's section.
    pub(super) backend: Name,
    pub(super) what: What,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum What {
    /// How fast the device signs by itself.
    Sign {
        algorithm: Algorithm,
        at_once: usize,
        time: Duration,
    },
    /// That keys go, which somebody else's device holds.
    Forget(Vec<Key>),
}

/// A key of the service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) id: uuid::Uuid,
    pub(super) algorithm: Algorithm,
    pub(super) device_ref: Option<String>,
}

/// What it answers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) latencies: Vec<Duration>,
    pub(super) time: Duration,
    pub(super) spent: Duration,
}

/// Asks a process, which `prepare` gives its environment.
pub(super) async fn ask(
    ask: &Ask,
    prepare: impl FnOnce(&mut tokio::process::Command),
) -> anyhow::Result<Told> {
    let mut command = tokio::process::Command::new(std::env::current_exe()?);
    command.args(["bench", "--floor", "--log", "error"]);
    prepare(&mut command);
    let asked = serde_json::to_string(ask)?;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take().context("it listens")?;
    tokio::io::AsyncWriteExt::write_all(&mut stdin, asked.as_bytes()).await?;
    drop(stdin);
    let output = child.wait_with_output().await?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Answers, in the process that was asked.
pub(super) async fn answer() -> anyhow::Result<()> {
    let mut asked = String::new();
    std::io::stdin().read_to_string(&mut asked)?;
    let ask: Ask = serde_json::from_str(&asked)?;
    let config = Config::load(&ask.config)?;
    let settings = config.custody.get(&ask.backend);
    let settings = settings.context("the configuration has no such device")?;
    let device = custody::open(&ask.backend, settings, &App::ledger(&config)?)?;
    let mut told = Told::default();
    match ask.what {
        What::Sign {
            algorithm,
            at_once,
            time,
        } => {
            let trial = Trial {
                algorithm,
                at_once,
                time,
                spent: processes::own,
            };
            let on_trial = device.on_trial();
            let on_trial = on_trial.context("it has no speed of its own")?;
            let tried = on_trial.try_out(trial).await?;
            told = Told {
                latencies: tried.latencies,
                time: tried.time,
                spent: tried.spent,
            };
        }
        What::Forget(keys) => {
            for key in keys {
                let device_ref = key.device_ref.map(DeviceRef::try_from).transpose()?;
                let place = Place {
                    id: key.id.into(),
                    algorithm: key.algorithm,
                    device_ref,
                };
                device.destroy(&place).await?;
            }
        }
    }
    let told = serde_json::to_vec(&told)?;
    std::io::stdout().write_all(&told)?;
    Ok(())
}

/// How long a commit takes, one at a time.
pub(super) async fn commits(config: &Config, time: Duration) -> anyhow::Result<Vec<Duration>> {
    Ok(App::ledger(config)?.try_commits(time).await?)
}
