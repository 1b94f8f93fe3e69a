//! The private Postgres cluster: made once, run as long as the command, stopped with it.
//!
//! It listens on a Unix socket only, in a directory that is closed to other users; whoever gets to
//! the socket is the superuser `chancery`. `fsync` stays on: what the ledger promises about a lost
//! machine holds here too.
//!
//! # Why
//! **A child of ours, not of `pg_ctl`.** A cluster that outlives the command would be found by the
//! next one in an unknown state. As a child it is stopped on `Drop`, and on Linux the kernel stops
//! it when we are killed. Elsewhere the next start finds the orphan and stops it. Given up: two
//! commands cannot share a cluster; the lock on the [`DataDir`] says so.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::data_dir::DataDir;
use super::orphan::stop_orphan;
use super::server::{Server, run};
use super::socket_dir::{PORT, socket_dir};

/// The role and the database.
const NAME: &str = "chancery";
/// Time for crash recovery.
const START: Duration = Duration::from_mins(2);
/// Time for the last checkpoint.
const STOP: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(10);

/// A running cluster. It is stopped when this is dropped. Starting and stopping block the thread.
#[derive(Debug)]
pub struct Cluster {
    postmaster: Child,
    socket_dir: PathBuf,
    version: u32,
    /// The postmaster's parent is a thread that waits for this to be dropped.
    _parent: mpsc::Sender<()>,
    _lock: File,
}

impl Cluster {
    /// Starts the cluster in `data`, and makes it first if there is none.
    pub fn start(data: &DataDir) -> Result<Self> {
        Self::start_with(data, &[])
    }

    /// The same with settings of the server, `name=value`, that go before ours. With `fsync=off` it is
    /// made without waiting for the disk, too.
    pub fn start_with(data: &DataDir, more: &[&str]) -> Result<Self> {
        let pg = data.path().join("pg");
        let server = Server::find(&pg)?;
        server.check_way_to(data.path())?;
        if !pg.exists() {
            make(&server, &pg, !more.contains(&"fsync=off"))
                .context("cannot make the Postgres cluster")?;
        }
        stop_orphan(&server, &pg).context("cannot stop the Postgres of an earlier run")?;

        let socket_dir = socket_dir(&server, &data.path().join("run"))?;
        let log = data.path().join("postgres.log");
        let mut log = File::options()
            .create(true)
            .append(true)
            .read(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let earlier = log.seek(SeekFrom::End(0))?;

        let mut command = server.tied_program("postgres");
        command
            .arg("-D")
            .arg(&pg)
            .args(settings(&socket_dir, more))
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?)
            // Ctrl-C in a terminal is for us: requests under way still need the ledger.
            .process_group(0);
        let (postmaster, parent) = spawn(command).context("cannot start postgres")?;
        let mut cluster = Self {
            postmaster,
            socket_dir,
            version: server.version(),
            _parent: parent,
            _lock: data.hold()?,
        };
        if let Err(error) = cluster.wait_until_ready(&pg) {
            let mut said = String::new();
            log.seek(SeekFrom::Start(earlier))?;
            log.read_to_string(&mut said)?;
            return Err(error.context(format!("Postgres says: {}", said.trim())));
        }
        Ok(cluster)
    }

    /// Where the database is, for a pool. Everything is said, so that no `PG…` variable is asked.
    pub fn url(&self) -> String {
        format!(
            "postgres:///{NAME}?host={}&port={PORT}&user={NAME}&sslmode=disable",
            self.socket_dir.display()
        )
    }

    /// The server's major version.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Stops the cluster and says whether that went well.
    pub fn stop(mut self) -> Result<()> {
        self.halt()
    }

    /// Open connections are closed, open transactions rolled back. A cluster that has stopped stays so.
    fn halt(&mut self) -> Result<()> {
        let steps = [
            (Signal::INT, STOP),
            (Signal::QUIT, Duration::from_secs(5)),
            (Signal::KILL, Duration::from_secs(5)),
        ];
        for (signal, time) in steps {
            if self.postmaster.try_wait()?.is_none() {
                kill_process(Pid::from_child(&self.postmaster), signal)?;
            }
            if let Some(status) = self.wait(time)? {
                self.leave_socket_dir();
                if !status.success() {
                    bail!(
                        "Postgres did not stop cleanly ({status}); it will recover at the next start"
                    );
                }
                return Ok(());
            }
        }
        bail!("Postgres does not stop")
    }

    fn wait(&mut self, time: Duration) -> Result<Option<ExitStatus>> {
        let start = Instant::now();
        loop {
            let status = self.postmaster.try_wait()?;
            if status.is_some() || start.elapsed() > time {
                return Ok(status);
            }
            thread::sleep(PAUSE);
        }
    }

    fn wait_until_ready(&mut self, pg: &Path) -> Result<()> {
        let start = Instant::now();
        while !is_ready(pg, self.postmaster.id()) {
            if let Some(status) = self.postmaster.try_wait()? {
                bail!("Postgres ended while it started ({status})");
            }
            if start.elapsed() > START {
                bail!("Postgres was not ready after {} s", START.as_secs());
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Leaves nothing in `/run` or `/tmp`; a `run/` in the data directory may stay.
    fn leave_socket_dir(&self) {
        if !self.socket_dir.ends_with("run") {
            let _ = std::fs::remove_dir(&self.socket_dir);
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.halt() {
            tracing::warn!(error = format!("{error:#}"), "postgres did not stop well");
        }
    }
}

/// Makes the cluster beside its place and moves it there, so that `pg` is whole or absent.
fn make(server: &Server, pg: &Path, fsync: bool) -> Result<()> {
    let unfinished = pg.with_extension("new");
    if unfinished.exists() {
        std::fs::remove_dir_all(&unfinished)?;
    }
    server.private_dir(&unfinished)?;
    let mut initdb = server.program("initdb");
    initdb.arg("-D").arg(&unfinished).args([
        "--username",
        NAME,
        "--auth-local=trust",
        "--auth-host=reject",
        "--no-locale",
        "--encoding=UTF8",
        "--data-checksums",
    ]);
    if !fsync {
        initdb.arg("--no-sync");
    }
    run(&mut initdb, "")?;
    // Not `createdb`: it comes with the client, which need not be installed.
    let mut single = server.program("postgres");
    single.arg("--single").arg("-D").arg(&unfinished);
    single.arg("-c").arg(format!("fsync={fsync}"));
    run(
        single.arg("template1"),
        &format!("create database {NAME}\n"),
    )?;
    std::fs::rename(&unfinished, pg)?;
    Ok(())
}

/// `-c` arguments. On the command line, so that a release may change them for clusters it did not make.
fn settings(socket_dir: &Path, more: &[&str]) -> Vec<OsString> {
    let fixed = [
        "listen_addresses=",
        "unix_socket_permissions=0700",
        "fsync=on",
        "wal_compression=on",
        "max_wal_size=2GB",
        "checkpoint_timeout=15min",
        "cluster_name=chancery",
    ];
    // A list; `is_fit` keeps out what would divide it.
    let mut sockets = OsString::from("unix_socket_directories=");
    sockets.push(socket_dir);
    let port = format!("port={PORT}").into();
    fixed
        .into_iter()
        .map(Into::into)
        .chain([port, sockets])
        .chain(more.iter().map(Into::into)) // the last one counts
        .flat_map(|setting| ["-c".into(), setting])
        .collect()
}

/// Starts the postmaster from a thread that lives as long as the sender: the kernel's signal at the
/// death of a parent means the thread, and the caller's may be one of a pool.
fn spawn(mut command: Command) -> Result<(Child, mpsc::Sender<()>)> {
    let (give, take) = mpsc::channel();
    let (life, end) = mpsc::channel();
    thread::Builder::new()
        .name("postgres".to_owned())
        .spawn(move || {
            let _ = give.send(command.spawn());
            let _ = end.recv();
        })?;
    Ok((take.recv()??, life))
}

/// Line 1 of `postmaster.pid` is the process, line 8 its state (`pg_ctl` reads the same).
fn is_ready(pg: &Path, pid: u32) -> bool {
    let text = std::fs::read_to_string(pg.join("postmaster.pid")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.first().is_some_and(|line| *line == pid.to_string())
        && lines.get(7).is_some_and(|state| *state == "ready")
}

#[cfg(test)]
mod tests;
