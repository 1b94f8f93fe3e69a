//! A pooler between the service and Postgres: one that keeps sessions apart does, any other is refused.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Stand;
use crate::support::{Deployment, Postgres, Scratch, order, skip};

/// A `PgBouncer`.
struct Pooler {
    child: Child,
    port: u16,
    _dir: Scratch,
}

impl Pooler {
    /// One in this mode, in front of a cluster. `None`: it is not installed, and that was said.
    async fn start(mode: &str, postgres: &Postgres) -> Option<Self> {
        let dir = Scratch::new();
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = port.local_addr().unwrap().port();
        let socket = postgres.socket();
        let users = dir.write("users", "\"chancery\" \"\"\n");
        let settings = format!(
            "[databases]\n* = host={} port=5432\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = {mode}\ndefault_pool_size = 20\n",
            socket.display(),
            users.display(),
        );
        let settings = dir.write("pgbouncer.ini", &settings.replace("\n             ", "\n"));
        // It does not run as root, and whoever has the socket may use it.
        let owner = std::fs::metadata(socket).unwrap();
        let mut command = Command::new("setpriv");
        if rustix::process::geteuid().is_root() {
            command.arg(format!("--reuid={}", owner.uid()));
            command.arg(format!("--regid={}", owner.gid()));
            command.arg("--clear-groups");
        }
        let child = command
            .args(["--", "pgbouncer", "--quiet"])
            .arg(settings)
            .env("PATH", "/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            skip("setpriv is not installed");
            return None;
        };
        let mut pooler = Self {
            child,
            port,
            _dir: dir,
        };
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(pooler);
            }
            if pooler.child.try_wait().unwrap().is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        skip("PgBouncer is not installed, or does not start");
        None
    }

    fn url(&self, database: &str) -> String {
        let port = self.port;
        format!("postgres://chancery@127.0.0.1:{port}/{database}?sslmode=disable")
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PLAIN: &str = "accept_plain_loopback = true";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_keeps_sessions_apart_does() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let Some(pooler) = Pooler::start("session", &postgres).await else {
        return;
    };
    let database = postgres.database().await;
    let url = pooler.url(database.name());
    let deployment = Deployment::new(&url).with_ledger(PLAIN);
    let stand = Stand::start(database, deployment, "").await;
    let signed = stand.trader.post("/v1/wallets/d-w/orders", &order()).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    let set = "select count(*) from pg_stat_activity where application_name = 'chancery'";
    assert!(stand.database.count(set).await > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_lends_sessions_for_a_transaction_is_refused() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let Some(pooler) = Pooler::start("transaction", &postgres).await else {
        return;
    };
    let database = postgres.database().await;
    let direct = Deployment::new(&database.url);
    direct.bootstrap();
    let deployment = Deployment::new(&pooler.url(database.name())).with_ledger(PLAIN);
    deployment.configure("");
    for _ in 0..5 {
        let error = deployment.run(&["serve"]).unwrap_err();
        assert!(error.contains("in session mode"), "{error}");
    }
}
