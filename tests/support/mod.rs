//! What the black-box tests stand on: a real Postgres, the real program, and HTTP.
#![allow(dead_code, reason = "each test binary uses its part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test that cannot go on stops, reads its own switches, and says what it skips"
)]

pub(crate) mod invariants;
mod keeper;
pub(crate) mod load;
pub(crate) mod pki;
mod postgres;
pub(crate) mod receiver;
pub(crate) mod relayer;
pub(crate) mod venue;

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chancery::app::App;
use chancery::clock::Clock;
use chancery::config::Config;
use serde_json::{Value, json};

pub(crate) use postgres::{Database, Postgres};

/// The policy of the start set.
pub(crate) const POLICY: &str = include_str!("../../deploy/policies/start.cedar");

/// Says that a test cannot run here, or fails where everything has to run.
pub(crate) fn skip(why: &str) {
    let required = std::env::var("CHANCERY_REQUIRE_ALL").is_ok_and(|value| value == "1");
    assert!(!required, "cannot run: {why}");
    println!("skipped: {why}");
}

/// Whether the long counts are asked for.
pub(crate) fn is_long() -> bool {
    std::env::var("CHANCERY_LONG").is_ok_and(|value| value == "1")
}

/// How often a repeated test repeats: `few`, or `many` where the long counts are asked for.
pub(crate) fn count(few: usize, many: usize) -> usize {
    if is_long() { many } else { few }
}

/// A directory with a short path that others may pass through; gone after the test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        use std::os::unix::fs::DirBuilderExt;
        let path = PathBuf::from(format!(
            "/tmp/ct-{}",
            &uuid::Uuid::new_v4().simple().to_string()[..12]
        ));
        std::fs::DirBuilder::new()
            .mode(0o755)
            .create(&path)
            .unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Files of a deployment: configuration, keys, policy. The device is the sealed keystore.
pub(crate) struct Deployment {
    pub(crate) dir: Scratch,
    pub(crate) database_url: String,
    /// More of `[ledger]`.
    ledger: String,
}

impl Deployment {
    pub(crate) fn new(database_url: &str) -> Self {
        let deployment = Self {
            dir: Scratch::new(),
            database_url: database_url.to_owned(),
            ledger: String::new(),
        };
        for name in ["sealing.key", "keystore.key"] {
            chancery::sealing::SealingKey::create_file(&deployment.file(name)).unwrap();
        }
        deployment.dir.write("policy.cedar", POLICY);
        deployment.configure("");
        deployment
    }

    /// The same with more settings of the ledger, once it is configured anew.
    pub(crate) fn with_ledger(mut self, settings: &str) -> Self {
        settings.clone_into(&mut self.ledger);
        self
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// States rows as they are now, as whoever has the sealing key can: for tests that let time pass in them.
    pub(crate) async fn restate(&self) {
        self.restate_after("select 1").await;
    }

    /// The same in the transaction that changes them.
    pub(crate) async fn restate_after(&self, statements: &str) {
        let config = Config::load(&self.file("config.toml")).unwrap();
        let ledger = App::ledger(&config).unwrap();
        let log = App::log(&config, ledger, Clock::system()).await.unwrap();
        chancery::statements::restate(statements, &log)
            .await
            .unwrap();
    }

    /// Writes the configuration, with `more` TOML at its end.
    pub(crate) fn configure(&self, more: &str) {
        let file = |name| self.file(name).display().to_string();
        let text = format!(
            r#"
            writer = "test"
            {http}
            [ledger]
            url = "{url}"
            {ledger}
            [sealing]
            key_file = "{sealing}"
            [custody.soft]
            kind = "sealed"
            master_key_file = "{keystore}"
            accept_keys_in_software = true
            [policy]
            file = "{policy}"
            [approvals]
            single_operator = true
            [oauth.environments.dev01]
            issuer = "https://pmx-dev01.us.auth0.com/"
            token_endpoint = "https://pmx-dev01.us.auth0.com/oauth/token"
            token_audience = "https://api.dev01.polymarketexchange.com"
            {more}
            "#,
            http = if more.contains("[http]") {
                ""
            } else {
                "[http]\nlisten = \"127.0.0.1:0\""
            },
            url = self.database_url,
            ledger = self.ledger,
            sealing = file("sealing.key"),
            keystore = file("keystore.key"),
            policy = file("policy.cedar"),
        );
        self.dir.write("config.toml", &text);
    }

    /// Runs a command of the program to its end; standard output, or what it complained of.
    pub(crate) fn run(&self, args: &[&str]) -> Result<String, String> {
        self.run_by(Path::new(env!("CARGO_BIN_EXE_chancery")), args)
    }

    /// The same of any program that has it.
    pub(crate) fn run_by(&self, program: &Path, args: &[&str]) -> Result<String, String> {
        let output = Command::new(program)
            .args(args)
            .arg("--config")
            .arg(self.file("config.toml"))
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    /// Migrates and makes the first operator.
    pub(crate) fn bootstrap(&self) -> String {
        self.run(&["migrate"]).unwrap();
        self.run(&["callers", "bootstrap"])
            .unwrap()
            .trim()
            .to_owned()
    }

    /// Starts `serve`, with these variables in its environment.
    pub(crate) async fn serve(&self, environment: &[(&str, &str)]) -> Server {
        let program = Path::new(env!("CARGO_BIN_EXE_chancery"));
        self.serve_by(program, None, environment).await
    }

    /// The same, with this filter of events.
    pub(crate) async fn serve_at(&self, log: &str, environment: &[(&str, &str)]) -> Server {
        let program = Path::new(env!("CARGO_BIN_EXE_chancery"));
        self.serve_by(program, Some(log), environment).await
    }

    /// The same, by any program that serves.
    pub(crate) async fn serve_by(
        &self,
        program: &Path,
        log: Option<&str>,
        environment: &[(&str, &str)],
    ) -> Server {
        let log = log.map(|filter| ["--log", filter]);
        let mut child = Command::new(program)
            .args(["serve", "--log-format", "json"])
            .args(log.iter().flatten())
            .arg("--config")
            .arg(self.file("config.toml"))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (told, address) = tokio::sync::oneshot::channel();
        let keep = log.clone();
        std::thread::spawn(move || {
            let mut told = Some(told);
            for line in lines.map_while(Result::ok) {
                let event: Value = serde_json::from_str(&line).unwrap_or_default();
                if event["message"] == "serving"
                    && let Some(told) = told.take()
                {
                    let _ = told.send(event["listen"].as_str().unwrap().to_owned());
                }
                keep.lock().unwrap().push(line);
            }
        });
        let waited = tokio::time::timeout(Duration::from_secs(30), address).await;
        let Ok(Ok(address)) = waited else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("serve did not start: {:#?}", log.lock().unwrap());
        };
        Server {
            base: format!("http://{address}"),
            child: Some(child),
            log,
        }
    }
}

/// A running `chancery serve`.
pub(crate) struct Server {
    pub(crate) base: String,
    child: Option<Child>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Somebody with this token.
    pub(crate) fn caller(&self, token: &str) -> Caller {
        Caller {
            base: self.base.clone(),
            token: token.to_owned(),
            http: reqwest::Client::new(),
        }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Waits until it has logged this: what was logged before an answer may be read after it.
    pub(crate) async fn heard(&self, what: &str) {
        for _ in 0..150 {
            if self.log().contains(what) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("{what:?} is not in the log: {}", self.log());
    }

    /// Whether the process still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child
            .as_mut()
            .is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// Stops the process where it is, until it is [resumed](Self::resume).
    pub(crate) fn freeze(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// Lets a stopped process go on.
    pub(crate) fn resume(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(self.child.as_ref().unwrap());
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for the process to end by itself; `true` if it was killed.
    pub(crate) fn wait_killed(&mut self) -> bool {
        let status = self.child.take().unwrap().wait().unwrap();
        status.signal() == Some(9)
    }

    /// Asks it to stop, and waits; its exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        self.child.as_ref()?;
        self.tell_to_stop();
        self.child.take()?.wait().unwrap().code()
    }

    /// Asks it to stop.
    pub(crate) fn tell_to_stop(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    /// Waits until it has stopped by itself; its exit code.
    pub(crate) async fn stopped(&mut self) -> Option<i32> {
        let mut child = self.child.take()?;
        let waited = tokio::task::spawn_blocking(move || child.wait().unwrap().code());
        waited.await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            println!("what the service said last:");
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            for line in &lines[lines.len().saturating_sub(40)..] {
                println!("{line}");
            }
        }
    }
}

/// A caller over HTTP.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) base: String,
    pub(crate) token: String,
    pub(crate) http: reqwest::Client,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Answer {
    /// The last part of a problem's type.
    pub(crate) fn problem(&self) -> &str {
        self.json["type"]
            .as_str()
            .unwrap_or_default()
            .trim_start_matches("/problems/")
    }
}

impl Caller {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.http.get(format!("{}{path}", self.base)))
            .await
            .unwrap()
    }

    /// Posts under a fresh idempotency key.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let key = uuid::Uuid::new_v4().to_string();
        self.post_as(&key, path, body).await.unwrap()
    }

    /// Posts under this idempotency key. An error: no answer came.
    pub(crate) async fn post_as(
        &self,
        key: &str,
        path: &str,
        body: &Value,
    ) -> reqwest::Result<Answer> {
        let request = self.http.post(format!("{}{path}", self.base));
        self.send(request.header("idempotency-key", key).json(body))
            .await
    }

    /// Puts under a fresh idempotency key.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        let request = self.http.put(format!("{}{path}", self.base));
        let key = uuid::Uuid::new_v4().to_string();
        let request = request.header("idempotency-key", key).json(body);
        self.send(request).await.unwrap()
    }

    /// Deletes under a fresh idempotency key.
    pub(crate) async fn delete(&self, path: &str) -> Answer {
        let request = self.http.delete(format!("{}{path}", self.base));
        let key = uuid::Uuid::new_v4().to_string();
        let answer = self.send(request.header("idempotency-key", key)).await;
        answer.unwrap()
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
        Answer::of(request.bearer_auth(&self.token)).await
    }
}

impl Answer {
    /// The answer to a request as it is, without a token.
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> reqwest::Result<Self> {
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await?;
        let json = serde_json::from_str(&text).unwrap_or_default();
        Ok(Self {
            status,
            headers,
            text,
            json,
        })
    }
}

/// A desk on the service: an active wallet key and client key, wallet `w`, client `c`, a trader.
pub(crate) async fn desk(operator: &Caller, name: &str, backend: &str) -> String {
    for (key, purpose) in [("wk", "wallet"), ("ck", "client")] {
        let key = format!("{name}-{key}");
        let body = json!({
            "name": key, "purpose": purpose, "backend": backend, "environment": "dev01", "owner": name,
        });
        let made = operator.post("/v1/keys", &body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let step = json!({ "to": "active", "reason": "test" });
        let moved = operator.post(&format!("/v1/keys/{key}/steps"), &step).await;
        assert_eq!(moved.status, 201, "{}", moved.text);
    }
    let wallet = json!({ "name": format!("{name}-w"), "key": format!("{name}-wk"), "owner": name, "chainId": 137 });
    let made = operator.post("/v1/wallets", &wallet).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let client = json!({ "name": format!("{name}-c"), "key": format!("{name}-ck"), "owner": name, "client_id": format!("{name}-client") });
    let made = operator.post("/v1/clients", &client).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let trader = json!({ "name": format!("{name}-trader"), "owner": name, "roles": ["trader"] });
    let made = operator.post("/v1/callers", &trader).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json["token"].as_str().unwrap().to_owned()
}

/// A limit order that can be signed, for a market that no CLOB server of the tests knows.
pub(crate) fn order() -> Value {
    json!({
        "tokenID": "71321045679252212594626385532706912750332728571942532289631379312455583992999",
        "side": "BUY", "price": "0.56", "size": "21.04", "tickSize": "0.01", "negRisk": false,
    })
}
