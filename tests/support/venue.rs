//! The CLOB of `tests/clob-server`, run with Node.js beside the tests; and what such a server is.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::skip;

/// A server that is a Node.js program of a folder of `tests`, and is told what to do under `/__admin`. It ends with
/// the test.
pub(crate) struct NodeServer {
    child: Child,
    folder: &'static str,
    flags: Vec<String>,
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    http: reqwest::Client,
}

impl NodeServer {
    /// Starts one on a free port. `None`: there is no Node.js, and that was said.
    pub(crate) fn start(folder: &'static str, flags: &[&str]) -> Option<Self> {
        let version = Command::new("node").arg("--version").output().ok();
        let version = version.and_then(|out| String::from_utf8(out.stdout).ok());
        let number = version.as_deref().unwrap_or("").trim();
        let major = number.trim_start_matches('v').split('.').next();
        if major.and_then(|it| it.parse::<u32>().ok()).unwrap_or(0) < 20 {
            skip("there is no Node.js 20 or newer");
            return None;
        }
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let (child, url) = run(folder, &flags, 0);
        let http = reqwest::Client::new();
        Some(Self {
            child,
            folder,
            flags,
            url,
            http,
        })
    }

    /// Tells it something.
    pub(crate) async fn post(&self, what: &str, body: &Value) {
        let request = self.http.post(format!("{}/__admin/{what}", self.url));
        let answer = request.json(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{what} {body}: {answer:?}");
    }

    /// Asks it something.
    pub(crate) async fn get(&self, what: &str) -> Value {
        let request = self.http.get(format!("{}/__admin/{what}", self.url));
        request.send().await.unwrap().json().await.unwrap()
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for NodeServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A running CLOB with a state of its own. It ends with the test.
pub(crate) struct ClobServer {
    node: NodeServer,
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
}

impl ClobServer {
    /// Starts one on a free port, with flags such as `--chain-id=80002`. `None`: there is no Node.js,
    /// and that was said.
    pub(crate) fn start(flags: &[&str]) -> Option<Self> {
        let node = NodeServer::start("clob-server", flags)?;
        let url = node.url.clone();
        Some(Self { node, url })
    }

    /// A section of the configuration that names it as the CLOB of `chain`, `polygon` or `amoy`; more
    /// settings may follow.
    pub(crate) fn section(&self, chain: &str) -> String {
        format!("[clob.{chain}]\nurl = \"{}\"\n", self.url)
    }

    /// Lets one thing go wrong, or a list of things, as the README there says.
    pub(crate) async fn fault(&self, faults: Value) {
        self.node.post("faults", &faults).await;
    }

    /// Nothing goes wrong any more.
    pub(crate) async fn heal(&self) {
        let request = self
            .node
            .http
            .delete(format!("{}/__admin/faults", self.url));
        assert!(request.send().await.unwrap().status().is_success());
    }

    /// Changes settings.
    pub(crate) async fn configure(&self, settings: Value) {
        self.node.post("config", &settings).await;
    }

    /// Adds a market: `condition_id`, `tokens`, `tick`, `neg_risk`, `fee_bps`, `min_size`.
    pub(crate) async fn market(&self, market: Value) {
        self.node.post("markets", &market).await;
    }

    /// Its keys, orders, counters.
    pub(crate) async fn state(&self) -> Value {
        self.node.get("state").await
    }

    /// Every request so far but those of the tests to its administration.
    pub(crate) async fn requests(&self) -> Vec<Value> {
        let all = self.node.get("requests").await;
        all.as_array().unwrap().clone()
    }

    /// How often this path was asked for.
    pub(crate) async fn asked(&self, path: &str) -> usize {
        let requests = self.requests().await;
        requests.iter().filter(|it| it["path"] == path).count()
    }

    /// Ends it as a crash does. Nobody listens on its port then.
    pub(crate) fn stop(&mut self) {
        self.node.stop();
    }

    /// Starts it again on the same port. Its credentials are a function of address and nonce, so they
    /// come back when they are made again; its orders do not.
    pub(crate) fn start_again(&mut self) {
        let port = self.url.rsplit(':').next().unwrap().parse().unwrap();
        let node = &mut self.node;
        (node.child, node.url) = run(node.folder, &node.flags, port);
    }
}

/// A fault that is always there.
pub(crate) fn always(path: &str, mut fault: Value) -> Value {
    let mut whole = json!({ "path": path, "times": -1 });
    whole
        .as_object_mut()
        .unwrap()
        .append(fault.as_object_mut().unwrap());
    whole
}

/// Starts the program and reads where it listens.
fn run(folder: &str, flags: &[String], port: u16) -> (Child, String) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(folder);
    let mut child = Command::new("node")
        .arg("server.mjs")
        .arg(format!("--port={port}"))
        .args(flags)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next().expect("the server starts").unwrap();
    let url = line.rsplit(' ').next().unwrap().to_owned();
    assert!(url.starts_with("http://127.0.0.1:"), "{line}");
    (child, url)
}
