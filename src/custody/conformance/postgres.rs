//! A private Postgres for one test: the one in `CHANCERY_TEST_DATABASE`, or one of our own.

use std::path::{Path, PathBuf};
use std::process::Command;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use super::skipped;

/// A Postgres server of our own; it ends with this.
struct Server {
    binaries: PathBuf,
    directory: PathBuf,
}

/// Runs `body` with an empty keystore's table in a schema of its own.
pub(crate) fn run(body: impl AsyncFnOnce(PgPool)) {
    let given = std::env::var_os("CHANCERY_TEST_DATABASE");
    let (url, _server) = match given {
        Some(url) => (url.into_string().unwrap(), None),
        None => match Server::start() {
            Some(server) => (server.url(), Some(server)),
            None => return skipped("no Postgres"),
        },
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let schema = format!("test_{}", uuid::Uuid::now_v7().simple());
        let options: PgConnectOptions = url.parse().unwrap();
        let options = options.options([("search_path", &schema)]);
        let pool = PgPoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await
            .unwrap();
        let table = include_str!("../../../migrations/20261121000500_create_sealed_keys.sql");
        for sql in [format!("create schema {schema}"), table.to_owned()] {
            let sql = sqlx::AssertSqlSafe(sql);
            sqlx::raw_sql(sql).execute(&pool).await.unwrap();
        }
        body(pool.clone()).await;
        let sql = sqlx::AssertSqlSafe(format!("drop schema {schema} cascade"));
        sqlx::raw_sql(sql).execute(&pool).await.unwrap();
        pool.close().await;
    });
}

impl Server {
    /// Starts one, or tells that Postgres is not installed.
    fn start() -> Option<Self> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
        let mut versions: Vec<PathBuf> = versions.flatten().map(|entry| entry.path()).collect();
        versions.sort();
        let binaries = versions.pop()?.join("bin");
        // A short path: a socket's may have 107 bytes.
        let directory = std::env::temp_dir().join(format!("cpg-{}", uuid::Uuid::now_v7().simple()));
        let mut install = Command::new("install");
        install.args(["-d", "-m", "700"]);
        if is_root() {
            install.args(["-o", "postgres", "-g", "postgres"]);
        }
        assert!(install.arg(&directory).status().unwrap().success());

        let server = Self {
            binaries,
            directory,
        };
        let data = server.directory.join("data");
        server.call(
            "initdb",
            &data,
            &[
                "-U",
                "chancery",
                "--auth=trust",
                "--no-locale",
                "-E",
                "UTF8",
            ],
        );
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories={}",
            server.directory.display()
        );
        let log = server.directory.join("log");
        let log = log.to_str().unwrap();
        server.call(
            "pg_ctl",
            &data,
            &["-s", "-w", "-t", "30", "-l", log, "-o", &options, "start"],
        );
        Some(server)
    }

    fn url(&self) -> String {
        let directory = self.directory.display();
        format!("postgres:///postgres?host={directory}&user=chancery")
    }

    /// Runs a Postgres program, which refuses to be run by root.
    fn call(&self, program: &str, data: &Path, arguments: &[&str]) {
        let program = self.binaries.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        let command = command.current_dir("/").arg("-D").arg(data).args(arguments);
        let status = command.stdout(std::process::Stdio::null()).status();
        assert!(status.unwrap().success(), "{command:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.directory.join("data");
        self.call("pg_ctl", &data, &["-s", "-m", "fast", "-w", "stop"]);
        std::fs::remove_dir_all(&self.directory).unwrap();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
