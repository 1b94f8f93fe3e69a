//! Nobody need read the log: without a reader, on a full device and into a pipe that stands still,
//! requests are answered as ever (P11).

use std::fs::File;
use std::io::{BufRead as _, BufReader, PipeReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{self, Caller, Deployment, Postgres, order};

/// A service whose standard error is this.
struct Served {
    child: Child,
    operator: Caller,
    _deployment: Deployment,
    _postgres: std::sync::Arc<Postgres>,
}

impl Served {
    async fn with(filter: &str, stderr: impl Into<Stdio>) -> Option<Self> {
        let postgres = Postgres::shared()?;
        let database = postgres.database().await;
        let deployment = Deployment::new(&database.url);
        // Nobody reads where it listens.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        deployment.configure(&format!("[http]\nlisten = \"{address}\""));
        let token = deployment.bootstrap();
        drop(free);
        let child = Command::new(env!("CARGO_BIN_EXE_chancery"))
            .args(["serve", "--log", filter, "--log-format", "json", "--config"])
            .arg(deployment.file("config.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let operator = Caller {
            base: format!("http://{address}"),
            token,
            http: reqwest::Client::new(),
        };
        let served = Self {
            child,
            operator,
            _deployment: deployment,
            _postgres: postgres,
        };
        let up = async {
            let health = format!("{}/healthz", served.operator.base);
            while served.operator.http.get(&health).send().await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), up)
            .await
            .expect("it listens");
        Some(served)
    }

    /// A desk is set up, and its orders are signed; health is said all the while.
    async fn works(&self, desk: &str) {
        let token = support::desk(&self.operator, desk, "soft").await;
        let trader = Caller {
            token,
            ..self.operator.clone()
        };
        for _ in 0..20 {
            let path = format!("/v1/wallets/{desk}-w/orders");
            let signed = trader.post(&path, &order()).await;
            assert_eq!(signed.status, 200, "{}", signed.text);
            assert_eq!(trader.get("/healthz").await.status, 200);
        }
    }

    fn terminate(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn orders_are_answered_when_the_reader_of_the_log_is_gone() {
    let (reader, writer) = std::io::pipe().unwrap();
    let Some(mut served) = Served::with("info", writer).await else {
        return;
    };
    served.works("before").await;
    drop(reader);
    served.works("after").await;
    assert_eq!(served.terminate(), Some(0));
}

#[tokio::test]
async fn orders_are_answered_when_the_log_is_on_a_full_device() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let Some(mut served) = Served::with("info", full).await else {
        return;
    };
    served.works("d").await;
    assert_eq!(served.terminate(), Some(0));
}

#[tokio::test]
async fn orders_are_answered_when_nobody_reads_the_log_and_what_is_lost_is_counted() {
    let (reader, writer) = std::io::pipe().unwrap();
    let Some(mut served) = Served::with("trace", writer).await else {
        return;
    };
    // More than the pipe and the buffer hold.
    for _ in 0..4_000 {
        assert_eq!(served.operator.get("/healthz").await.status, 200);
    }
    served.works("d").await;
    let reading = tokio::task::spawn_blocking(|| lost(reader));
    let (lost, _reader) = reading.await.unwrap();
    assert!(lost > 0);
    served.works("e").await;
    assert_eq!(served.terminate(), Some(0));
}

/// Reads until it is said how many events were lost. Every line is one event as it was written. The
/// rest is for nobody, who does not hang up.
fn lost(reader: PipeReader) -> (u64, BufReader<PipeReader>) {
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the log ended");
        let event: Value = serde_json::from_str(&line).unwrap();
        if let Some(lost) = event["lost"].as_u64() {
            return (lost, reader);
        }
    }
}
