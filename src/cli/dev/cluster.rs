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
mod tests {
    use std::fs::DirBuilder;
    use std::io::BufRead;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    use std::process::Stdio;

    use super::super::orphan::is_postmaster;
    use super::super::socket_dir::is_fit;
    use super::super::{can_run, scratch};
    use super::*;

    fn has_server() -> bool {
        can_run("PostgreSQL", Server::find(Path::new("/nowhere")).is_ok())
    }

    fn ask(cluster: &Cluster, question: &str) -> String {
        let server = Server::find(Path::new("/nowhere")).unwrap();
        let mut psql = server.program("psql");
        let output = psql.args(["-XAtc", question, &cluster.url()]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn a_second_start_finds_what_the_first_one_wrote() {
        if !has_server() {
            return;
        }
        let scratch = scratch();
        let data = DataDir::open(&scratch.path().join("data")).unwrap();
        let cluster = Cluster::start(&data).unwrap();
        ask(&cluster, "create table t as select 7 as n");
        let pid = cluster.postmaster.id();
        let pg = data.path().join("pg");
        assert!(is_postmaster(pid, &pg));
        cluster.stop().unwrap();
        assert!(!is_postmaster(pid, &pg));

        let cluster = Cluster::start(&data).unwrap();
        assert_eq!(ask(&cluster, "select n from t"), "7");
        assert_eq!(ask(&cluster, "show fsync"), "on");
        assert_eq!(ask(&cluster, "show listen_addresses"), "");
        assert_eq!(ask(&cluster, "show data_checksums"), "on");
        let place = "select current_user || '@' || current_database()";
        assert_eq!(ask(&cluster, place), "chancery@chancery");
        let pid = cluster.postmaster.id();
        drop(cluster);
        assert!(!is_postmaster(pid, &pg));
    }

    #[test]
    fn a_socket_with_an_unfit_path_goes_elsewhere() {
        if !has_server() {
            return;
        }
        assert!(!is_fit(Path::new("/with, comma")));
        let scratch = scratch();
        let long = scratch.path().join("long ".repeat(25));
        let data = DataDir::open(&long).unwrap();
        let cluster = Cluster::start(&data).unwrap();
        assert_eq!(ask(&cluster, "select 1"), "1");
        let dir = cluster.socket_dir.clone();
        assert_eq!(std::fs::read_link(data.path().join("run")).unwrap(), dir);
        assert_eq!(dir.metadata().unwrap().mode() & 0o777, 0o700);
        cluster.stop().unwrap();
        assert!(!dir.exists());
        Cluster::start(&data).unwrap();
    }

    #[test]
    fn a_half_made_cluster_is_made_again() {
        if !has_server() {
            return;
        }
        let scratch = scratch();
        let data = DataDir::open(scratch.path()).unwrap();
        std::fs::create_dir(scratch.path().join("pg.new")).unwrap();
        std::fs::write(scratch.path().join("pg.new/PG_VERSION"), "15").unwrap();
        let cluster = Cluster::start(&data).unwrap();
        assert_eq!(ask(&cluster, "select 1"), "1");
    }

    #[test]
    fn a_cluster_that_does_not_start_says_why() {
        if !has_server() {
            return;
        }
        let scratch = scratch();
        let data = DataDir::open(scratch.path()).unwrap();
        Cluster::start(&data).unwrap().stop().unwrap();
        let conf = scratch.path().join("pg/postgresql.conf");
        std::fs::write(conf, "nonsense = 1\n").unwrap();
        let error = format!("{:#}", Cluster::start(&data).unwrap_err());
        assert!(error.contains("nonsense"), "{error}");
    }

    #[test]
    fn a_parent_that_is_closed_to_the_server_is_named() {
        if !has_server() || !rustix::process::geteuid().is_root() {
            println!("skipped: only root steps down to another user");
            return;
        }
        let scratch = scratch();
        let closed = scratch.path().join("closed");
        DirBuilder::new().mode(0o700).create(&closed).unwrap();
        let data = DataDir::open(&closed.join("data")).unwrap();
        let error = Cluster::start(&data).unwrap_err().to_string();
        let named = format!("cannot pass through {},", closed.display());
        assert!(error.contains(&named), "{error}");
    }

    /// Not a promise: the process that the next test kills.
    #[test]
    #[ignore = "runs inside the next test"]
    fn run_until_killed() {
        let path = std::env::var_os("CHANCERY_TEST_DATA_DIR").unwrap();
        let cluster = Cluster::start(&DataDir::open(Path::new(&path)).unwrap()).unwrap();
        println!("\npostmaster {}", cluster.postmaster.id());
        let _ = std::io::stdin().lines().next();
    }

    #[test]
    fn a_killed_run_leaves_nothing_that_disturbs_the_next() {
        if !has_server() {
            return;
        }
        let scratch = scratch();
        let this = module_path!().split_once("::").unwrap().1;
        let mut first = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("{this}::run_until_killed")])
            .args(["--ignored", "--nocapture"])
            .env("CHANCERY_TEST_DATA_DIR", scratch.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(first.stdout.take().unwrap()).lines();
        let mut numbers = lines.filter_map(|line| {
            let line = line.unwrap();
            Some(line.strip_prefix("postmaster ")?.parse::<u32>().unwrap())
        });
        let orphan = numbers.next().unwrap();
        first.kill().unwrap();
        first.wait().unwrap();

        let data = DataDir::open(scratch.path()).unwrap();
        let cluster = Cluster::start(&data).unwrap();
        assert_eq!(ask(&cluster, "select 1"), "1");
        assert_ne!(cluster.postmaster.id(), orphan);
        assert!(!is_postmaster(orphan, &data.path().join("pg")));
    }
}
