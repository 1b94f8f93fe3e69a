//! A real Postgres: one cluster for a run, or one of a test's own; a database of a test's own in it.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use chancery::cli::dev::{Cluster, DataDir};
use sha2::{Digest, Sha256};
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::keeper::{self, Kept};
use super::pki::Pki;
use super::{Deployment, Scratch, is_long, skip};

/// Where a cluster is, and how one gets there.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Place {
    pub(crate) socket: PathBuf,
    pub(crate) port: u16,
    /// The folder of the certificates, where it speaks TLS.
    pub(crate) tls: Option<PathBuf>,
}

impl Place {
    /// Of a cluster that listens on its socket only.
    pub(crate) fn of(cluster: &Cluster) -> Self {
        let url = cluster.url();
        let member = |name: &str| {
            let (_, rest) = url.split_once(&format!("{name}=")).unwrap();
            rest.split('&').next().unwrap().to_owned()
        };
        Self {
            socket: member("host").into(),
            port: member("port").parse().unwrap(),
            tls: None,
        }
    }

    /// As most tests go there: over TLS where it is spoken, over the socket where the counts are long.
    pub(crate) fn url(&self, database: &str) -> String {
        match &self.tls {
            Some(_) if !is_long() => self.over_tls(database),
            _ => self.over_socket(database),
        }
    }

    pub(crate) fn over_socket(&self, database: &str) -> String {
        let Self { socket, port, .. } = self;
        let socket = socket.display();
        format!("postgres:///{database}?host={socket}&port={port}&user=chancery&sslmode=disable")
    }

    pub(crate) fn over_tls(&self, database: &str) -> String {
        let pki = Pki::at(self.tls.as_ref().expect("this cluster speaks TLS"));
        let [authority, certificate, key] = [
            pki.authority(),
            pki.certificate("client"),
            pki.key("client"),
        ];
        format!(
            "postgres://chancery@127.0.0.1:{}/{database}?sslmode=verify-full&sslrootcert={}&sslcert={}&sslkey={}",
            self.port,
            authority.display(),
            certificate.display(),
            key.display(),
        )
    }
}

/// A Postgres cluster: the one of the run, or one of a test's own that it may stop.
pub(crate) struct Postgres {
    place: Place,
    own: Option<Own>,
    /// The cluster of the run stays while somebody holds it.
    _kept: Option<Kept>,
}

struct Own {
    cluster: Option<Cluster>,
    dir: Scratch,
}

impl Postgres {
    /// Starts one of its own, which writes to the disk what it says is written. `None`: Postgres is not
    /// installed, and that was said.
    pub(crate) fn start() -> Option<Self> {
        let dir = Scratch::new();
        let data = DataDir::open(&dir.path().join("d")).unwrap();
        match Cluster::start(&data) {
            Ok(cluster) => Some(Self {
                place: Place::of(&cluster),
                own: Some(Own {
                    cluster: Some(cluster),
                    dir,
                }),
                _kept: None,
            }),
            Err(error) => {
                skip(&format!("{error:#}"));
                None
            }
        }
    }

    /// The one that all tests of a run share, started by the first of them.
    pub(crate) fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Some(running);
        }
        let (kept, place) = match keeper::hold() {
            Ok(held) => held,
            Err(why) => {
                skip(&why);
                return None;
            }
        };
        let postgres = Arc::new(Self {
            place,
            own: None,
            _kept: Some(kept),
        });
        *shared = Arc::downgrade(&postgres);
        Some(postgres)
    }

    /// A fresh database with today's schema.
    pub(crate) async fn database(&self) -> Database {
        let template = self.template().await;
        self.create(&format!("template {template}")).await
    }

    /// A fresh, empty database.
    pub(crate) async fn empty_database(&self) -> Database {
        self.create("").await
    }

    async fn create(&self, from: &str) -> Database {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("{}{}_{id}", keeper::PREFIX, std::process::id());
        let mut connection = self.connect().await;
        run(&format!("create database {name} {from}"), &mut connection).await;
        let url = self.place.url(&name);
        Database {
            pool: PgPool::connect(&url).await.unwrap(),
            url,
            name,
            place: self.place.clone(),
        }
    }

    /// The name of the database that others are copied from, made by whoever is first.
    async fn template(&self) -> String {
        let name = format!("template_{}", &migrations()[..16]);
        let exists = "select exists (select from pg_database where datname = $1)";
        let mut connection = self.connect().await;
        // Held until the connection is closed. Nobody looks while somebody makes it.
        run("select pg_advisory_lock(1)", &mut connection).await;
        let exists = sqlx::query_scalar(exists).bind(&name);
        let exists: bool = exists.fetch_one(&mut connection).await.unwrap();
        if !exists {
            let unfinished = format!("un{name}");
            run(
                &format!("drop database if exists {unfinished}"),
                &mut connection,
            )
            .await;
            run(&format!("create database {unfinished}"), &mut connection).await;
            let deployment = Deployment::new(&self.place.url(&unfinished));
            deployment.run(&["migrate"]).unwrap();
            let rename = format!("alter database {unfinished} rename to {name}");
            run(&rename, &mut connection).await;
        }
        name
    }

    async fn connect(&self) -> PgConnection {
        let url = self.place.over_socket("chancery");
        PgConnection::connect(&url).await.unwrap()
    }

    /// Stops it, and whoever uses it notices.
    pub(crate) fn stop(mut self) {
        self.own().cluster.take().unwrap().stop().unwrap();
    }

    /// Stops it in the middle of whatever it does, as `pg_ctl stop -m immediate` does.
    pub(crate) fn crash(&mut self) {
        let lock = self.own().dir.path().join("d/pg/postmaster.pid");
        let lock = std::fs::read_to_string(lock).unwrap();
        let pid = lock.lines().next().unwrap().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::QUIT).unwrap();
        drop(self.own().cluster.take()); // waits until it is gone
    }

    /// Starts it again on the same data.
    pub(crate) fn start_again(&mut self) {
        self.start_with(&[]);
    }

    /// The same with settings of the server.
    pub(crate) fn start_with(&mut self, more: &[&str]) {
        let data = DataDir::open(&self.own().dir.path().join("d")).unwrap();
        let cluster = Cluster::start_with(&data, more).unwrap();
        assert_eq!(Place::of(&cluster).socket, self.place.socket);
        self.own().cluster = Some(cluster);
    }

    /// Kills all of its processes at once, as the end of a machine does.
    pub(crate) fn kill(&mut self) {
        let lock = self.own().dir.path().join("d/pg/postmaster.pid");
        let lock = std::fs::read_to_string(lock).unwrap();
        let postmaster = lock.lines().next().unwrap().trim();
        let children = format!("/proc/{postmaster}/task/{postmaster}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        for pid in std::iter::once(postmaster).chain(children.split_whitespace()) {
            let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        drop(self.own().cluster.take());
    }

    /// A streaming standby of it, without which it commits nothing from now on.
    pub(crate) async fn standby(&self) -> Self {
        let dir = Scratch::new();
        DataDir::open(&dir.path().join("d")).unwrap();
        let mut standby = Self {
            place: self.place.clone(),
            own: Some(Own { cluster: None, dir }),
            _kept: None,
        };
        standby.follow(self).await;
        standby
    }

    /// Makes it anew as a standby of another, which commits nothing without it from now on. It has to be down.
    pub(crate) async fn follow(&mut self, primary: &Self) {
        let data = self.own().dir.path().join("d");
        let pg = data.join("pg");
        drop(std::fs::remove_dir_all(&pg));
        let from = format!(
            "host={} port={} user=chancery application_name=standby",
            primary.place.socket.display(),
            primary.place.port
        );
        let copied = std::process::Command::new("pg_basebackup")
            .arg(format!("--dbname={from}"))
            .arg(format!("--pgdata={}", pg.display()))
            .args(["--checkpoint=fast", "--wal-method=stream"])
            .output()
            .unwrap();
        assert!(copied.status.success(), "{copied:?}");
        std::fs::write(pg.join("standby.signal"), "").unwrap();
        // What the copy says of standbys is the other's.
        std::fs::write(pg.join("postgresql.auto.conf"), "").unwrap();
        let owner = std::fs::metadata(&primary.place.socket).unwrap();
        give_to(&pg, owner.uid(), owner.gid());
        let conninfo = format!("primary_conninfo={from}");
        let cluster = Cluster::start_with(&DataDir::open(&data).unwrap(), &[&conninfo]).unwrap();
        self.place = Place::of(&cluster);
        self.own().cluster = Some(cluster);
        let mut primary = primary.connect().await;
        run(
            "alter system set synchronous_standby_names = 'standby'",
            &mut primary,
        )
        .await;
        run("select pg_reload_conf()", &mut primary).await;
        let is_there = "select count(*) from pg_stat_replication where sync_state = 'sync'";
        loop {
            let there = sqlx::query_scalar::<_, i64>(is_there);
            if there.fetch_one(&mut primary).await.unwrap() == 1 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Makes a standby the primary.
    pub(crate) async fn promote(&self) {
        run("select pg_promote()", &mut self.connect().await).await;
    }

    /// The folder of its socket.
    pub(crate) fn socket(&self) -> &Path {
        &self.place.socket
    }

    /// A way to the database of that name, on whichever of the two is the primary.
    pub(crate) fn or(&self, other: &Self, database: &Database) -> String {
        let hosts = [self, other].map(|it| it.place.socket.display().to_string());
        let [one, two] = hosts.map(|host| host.replace('/', "%2F"));
        let name = &database.name;
        format!("postgres://chancery@{one},{two}/{name}?sslmode=disable")
    }

    /// The database of that name as it is here.
    pub(crate) async fn copy_of(&self, database: &Database) -> Database {
        let url = self.place.url(&database.name);
        Database {
            pool: PgPool::connect(&url).await.unwrap(),
            url,
            name: database.name.clone(),
            place: self.place.clone(),
        }
    }

    fn own(&mut self) -> &mut Own {
        let own = self.own.as_mut();
        own.expect("a test stops a cluster of its own, and nobody else's")
    }
}

fn give_to(path: &Path, uid: u32, gid: u32) {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid)).unwrap();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            give_to(&entry.unwrap().path(), uid, gid);
        }
    }
}

async fn run(sql: &str, connection: &mut PgConnection) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
    done.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// A digest of the migrations, so that a template is never taken for another's.
fn migrations() -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    let mut digest = Sha256::new();
    for file in files {
        digest.update(std::fs::read(file).unwrap());
    }
    hex::encode(digest.finalize())
}

/// A database of a test's own.
pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) pool: PgPool,
    name: String,
    place: Place,
}

impl Database {
    /// Its URL over the socket, where nobody encrypts anything.
    pub(crate) fn over_socket(&self) -> String {
        self.place.over_socket(&self.name)
    }

    /// Its URL over TLS, whatever the others do.
    pub(crate) fn over_tls(&self) -> String {
        self.place.over_tls(&self.name)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// One number.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(format!("select ({sql})::bigint"));
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    /// Statements.
    pub(crate) async fn run(&self, sql: &str) {
        run(sql, &mut self.pool.acquire().await.unwrap()).await;
    }

    /// Changes rows that are evidence, as only the schema's owner can.
    pub(crate) async fn falsify(&self, table: &str, sql: &str) {
        let sql = format!(
            "alter table {table} disable trigger user; {sql}; alter table {table} enable trigger user"
        );
        self.run(&sql).await;
    }

    /// Waits until a number is this one, for what the service does by itself.
    pub(crate) async fn becomes(&self, sql: &str, number: i64) {
        for _ in 0..150 {
            if self.count(sql).await == number {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("{sql} is {}, not {number}", self.count(sql).await);
    }
}
