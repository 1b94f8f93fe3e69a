//! The cluster of a run: a process that keeps it as long as somebody holds it, and no longer.
//!
//! Each test is a process of its own, and none of them outlives the others for certain. So the first
//! one starts a keeper, the same program again, outside its process group. Whoever uses the cluster
//! holds a lock that the kernel takes away with the process, however that ends; the keeper tries to
//! get that lock for itself, and when it has it for a while, it stops the cluster and ends.

use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use chancery::cli::dev::{Cluster, DataDir};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::Scratch;
use super::pki::Pki;
use super::postgres::Place;

/// How the name of a test's database starts; its process's number follows.
pub(crate) const PREFIX: &str = "of";

/// What the keeper finds in its environment: the folder of the locks.
const VARIABLE: &str = "CHANCERY_TEST_KEEPER";

/// The name of the keeper among the tests.
const KEEP: &str = "support::keeper::keep";

/// The cluster is started within this, on a busy machine.
const START: Duration = Duration::from_mins(2);

/// Without a user for so long, the cluster is stopped. From one test to the next it takes a moment.
const IDLE: Duration = Duration::from_secs(3);

const PAUSE: Duration = Duration::from_millis(50);

/// How often users and their databases are looked after.
const SWEEP: Duration = Duration::from_millis(500);

/// The cluster stays while this is there.
pub(crate) struct Kept(#[expect(dead_code, reason = "it holds by being open")] File);

/// Where keeper and users meet.
struct Folder(PathBuf);

impl Folder {
    fn open(&self, lock: &str) -> File {
        let mut file = OpenOptions::new();
        let file = file.create(true).truncate(false).write(true);
        file.open(self.0.join(lock)).unwrap()
    }

    /// Locked by whoever starts a keeper.
    fn start(&self) -> File {
        self.open("start.lock")
    }

    /// Shared by all users of the cluster.
    fn users(&self) -> File {
        self.open("users.lock")
    }

    /// Locked by the keeper, as long as it is there.
    fn keeper(&self) -> File {
        self.open("keeper.lock")
    }

    /// Written by the keeper, when the cluster can be used.
    fn place(&self) -> PathBuf {
        self.0.join("place.json")
    }

    /// Names what a keeper has to remove, if it comes to that.
    fn debris(&self) -> PathBuf {
        self.0.join("debris")
    }

    fn log(&self) -> PathBuf {
        self.0.join("keeper.log")
    }
}

/// Holds the cluster of the run; starts it where there is none. An error: why there is none.
pub(crate) fn hold() -> Result<(Kept, Place), String> {
    let folder = Folder(Path::new(env!("CARGO_TARGET_TMPDIR")).join("postgres"));
    std::fs::create_dir_all(&folder.0).unwrap();
    let start = folder.start();
    start.lock().unwrap();
    let users = folder.users();
    users.lock_shared().unwrap(); // a keeper that is about to end has done so then
    let keeper = folder.keeper();
    if keeper.try_lock().is_ok() {
        let _ = std::fs::remove_file(folder.place());
        keeper.unlock().unwrap();
        start_keeper(&folder)?;
    }
    let place = std::fs::read(folder.place()).unwrap();
    Ok((Kept(users), serde_json::from_slice(&place).unwrap()))
}

#[expect(
    clippy::zombie_processes,
    reason = "it outlives the test that starts it"
)]
fn start_keeper(folder: &Folder) -> Result<(), String> {
    let log = File::create(folder.log()).unwrap();
    let mut keeper = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", KEEP, "--ignored", "--nocapture"])
        .env(VARIABLE, &folder.0)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .process_group(0) // what ends a test ends no others' cluster
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while !folder.place().exists() {
        let ended = keeper.try_wait().unwrap();
        if ended.is_some() || begun.elapsed() > START {
            let _ = keeper.kill();
            let _ = keeper.wait();
            let log = std::fs::read_to_string(folder.log()).unwrap();
            return Err(log.trim().to_owned());
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Not a promise: the process that keeps the cluster.
#[test]
#[ignore = "is started by the first test that needs Postgres"]
fn keep() {
    let Some(folder) = std::env::var_os(VARIABLE) else {
        return;
    };
    let folder = Folder(folder.into());
    let lock = folder.keeper();
    if lock.try_lock().is_err() {
        return;
    }
    if let Ok(debris) = std::fs::read_to_string(folder.debris()) {
        let _ = std::fs::remove_dir_all(debris);
    }
    let dir = Scratch::new();
    std::fs::write(folder.debris(), dir.path().to_str().unwrap()).unwrap();
    let data = DataDir::open(&dir.path().join("d")).unwrap();
    let (cluster, port) = start(&data);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (place, mut connection) = runtime.block_on(speak_tls(&cluster, port, dir.path()));
    let unfinished = folder.place().with_extension("new");
    std::fs::write(&unfinished, serde_json::to_vec(&place).unwrap()).unwrap();
    std::fs::rename(unfinished, folder.place()).unwrap();

    let users = folder.users();
    let mut used = Instant::now();
    loop {
        thread::sleep(SWEEP);
        runtime.block_on(sweep(&mut connection));
        if users.try_lock().is_err() {
            used = Instant::now();
        } else if used.elapsed() < IDLE {
            users.unlock().unwrap();
        } else {
            break; // whoever comes now waits until this process is gone
        }
    }
    std::fs::remove_file(folder.place()).unwrap();
    drop(connection);
    cluster.stop().unwrap();
    drop((runtime, dir));
    drop(lock);
    drop(users); // last: whoever has it next finds the keeper's place free
}

/// The cluster, and its port. It forgets all when the machine does: no test here is about that.
fn start(data: &DataDir) -> (Cluster, u16) {
    loop {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let port_is = format!("port={port}");
        let settings = [
            "listen_addresses=127.0.0.1",
            &port_is,
            "max_connections=400",
            "fsync=off",
            "full_page_writes=off",
            "max_wal_size=512MB",
        ];
        match Cluster::start_with(data, &settings) {
            Ok(cluster) => return (cluster, port),
            // Somebody else was faster.
            Err(error) if format!("{error:#}").contains("Address already in use") => {}
            Err(error) => {
                eprintln!("{error:#}");
                std::process::exit(1);
            }
        }
    }
}

/// Lets the cluster speak TLS, to those who show a certificate.
async fn speak_tls(cluster: &Cluster, port: u16, dir: &Path) -> (Place, PgConnection) {
    let place = Place {
        port,
        tls: Some(dir.join("tls")),
        ..Place::of(cluster)
    };
    let pki = Pki::make(&dir.join("tls"), "127.0.0.1", "chancery");
    let pg = dir.join("d/pg");
    let owner = std::fs::metadata(&pg).unwrap();
    let mut sql = Vec::new();
    for (setting, file) in [
        ("ssl_ca_file", pki.authority()),
        ("ssl_cert_file", pki.certificate("server")),
        ("ssl_key_file", pki.key("server")),
    ] {
        let name = file.file_name().unwrap().to_str().unwrap();
        std::fs::copy(&file, pg.join(name)).unwrap();
        chown(pg.join(name), Some(owner.uid()), Some(owner.gid())).unwrap();
        sql.push(format!("alter system set {setting} = '{name}'"));
    }
    let rules = "local all all trust\nhostssl all all 127.0.0.1/32 cert\n";
    std::fs::write(pg.join("pg_hba.conf"), rules).unwrap();
    sql.extend(["alter system set ssl = on", "select pg_reload_conf()"].map(str::to_owned));
    let mut connection = PgConnection::connect(&place.over_socket("chancery"))
        .await
        .unwrap();
    for sql in sql {
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection);
        done.await.unwrap();
    }
    let begun = Instant::now();
    while let Err(error) = PgConnection::connect(&place.over_tls("chancery")).await {
        assert!(begun.elapsed() < START, "it does not speak TLS: {error}");
        tokio::time::sleep(PAUSE).await;
    }
    (place, connection)
}

/// Drops the databases of tests that are gone.
async fn sweep(connection: &mut PgConnection) {
    let all = sqlx::query_scalar("select datname::text from pg_database");
    let all: Vec<String> = all.fetch_all(&mut *connection).await.unwrap_or_default();
    for name in all {
        let process = name
            .strip_prefix(PREFIX)
            .and_then(|it| it.split('_').next());
        let process = process.and_then(|it| rustix::process::Pid::from_raw(it.parse().ok()?));
        let Some(process) = process else { continue };
        if rustix::process::test_kill_process(process).is_err() {
            let sql = format!("drop database if exists {name} with (force)");
            let drop = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection);
            if let Err(error) = drop.await {
                println!("{name} stays: {error}");
            }
        }
    }
}
