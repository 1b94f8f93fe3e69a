//! Programs that are started, until they have said what is waited for.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Makes a database, a token, a demo wallet, client and trader.
pub(super) async fn set_up(program: &Path, dir: &Path) -> anyhow::Result<()> {
    let mut dev = Command::new(program);
    dev.args(["dev", "--once", "--data-dir"]).arg(dir);
    let said = std::env::temp_dir().join(format!("chancery-bench-{}", uuid::Uuid::new_v4()));
    let said = OnlyFor(said);
    let output = File::create(&said.0)?;
    dev.stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(output);
    let mut dev = Program {
        child: dev.spawn()?,
        // It stops what it started.
        end: Signal::INT,
    };
    loop {
        if let Some(status) = dev.child.try_wait()? {
            let said = || std::fs::read_to_string(&said.0).unwrap_or_default();
            ensure!(
                status.success(),
                "`chancery dev --once` ended with {status}: {}",
                said()
            );
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A file that is gone with this.
struct OnlyFor(PathBuf);

impl Drop for OnlyFor {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The address in the service's own words, once it serves.
pub(super) async fn listening(server: &mut Child, log: &Path) -> anyhow::Result<String> {
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
        if start.elapsed() > Duration::from_mins(1) {
            bail!("`chancery serve` does not start: {text}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Told to end when it is dropped, and waited for.
pub(super) struct Program {
    pub(super) child: Child,
    pub(super) end: Signal,
}

impl Drop for Program {
    fn drop(&mut self) {
        let start = Instant::now();
        let _ = kill_process(Pid::from_child(&self.child), self.end);
        while start.elapsed() < Duration::from_secs(20) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
