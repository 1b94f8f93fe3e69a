//! KMS, S3 and CloudTrail for tests: `MiniStack` from `PyPI`, and a proxy in front of its KMS that fails on command.
#![allow(dead_code, reason = "each test binary uses its part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on stops, and starts what it needs by itself"
)]

use std::collections::VecDeque;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The region that it says it is.
pub(crate) const REGION: &str = "us-east-1";

/// An emulated KMS, S3, and a CloudTrail that hears of both.
pub(crate) struct MiniStack {
    child: Child,
    /// Where it answers.
    pub(crate) url: String,
    http: reqwest::Client,
}

impl MiniStack {
    /// Starts one, with no keys. An error: it cannot run here.
    pub(crate) async fn start() -> Result<Self, String> {
        let dir = tokio::task::spawn_blocking(install).await.unwrap()?;
        for _ in 0..5 {
            let free = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            let child = Command::new(dir.join("venv/bin/ministack"))
                .env("BIND_HOST", "127.0.0.1")
                .env("IOT_MTLS_ENABLED", "0")
                .env("SERVICES", "kms,s3,cloudtrail")
                .env("CLOUDTRAIL_RECORDING", "1")
                .env("GATEWAY_PORT", port.to_string())
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .current_dir(&dir)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .map_err(|error| error.to_string())?;
            let mut server = Self {
                child,
                url: format!("http://127.0.0.1:{port}"),
                http: reqwest::Client::new(),
            };
            if server.is_up().await {
                return Ok(server);
            }
        }
        Err("MiniStack does not start".into())
    }

    async fn is_up(&mut self) -> bool {
        for _ in 0..300 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return false; // somebody else took the port
            }
            if self.send("ListKeys", &json!({})).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    }

    async fn send(&self, operation: &str, body: &Value) -> reqwest::Result<(u16, Value)> {
        self.send_to("kms", &format!("TrentService.{operation}"), body)
            .await
    }

    async fn send_to(
        &self,
        service: &str,
        target: &str,
        body: &Value,
    ) -> reqwest::Result<(u16, Value)> {
        let request = self
            .http
            .post(&self.url)
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.1")
            .header("authorization", format!("AWS4-HMAC-SHA256 Credential=t/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"))
            .body(body.to_string());
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or_default()))
    }

    /// Calls it past everybody, as an administrator of the account does.
    pub(crate) async fn call(&self, operation: &str, body: &Value) -> Value {
        let (status, answer) = self.send(operation, body).await.unwrap();
        assert_eq!(status, 200, "{operation}: {answer}");
        answer
    }

    /// What CloudTrail has of an operation, the newest first: no more than fifty.
    pub(crate) async fn trail(&self, operation: &str) -> Value {
        let target = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents";
        let name = json!({ "AttributeKey": "EventName", "AttributeValue": operation });
        let asked = json!({ "LookupAttributes": [name] });
        let (status, answer) = self.send_to("cloudtrail", target, &asked).await.unwrap();
        assert_eq!(status, 200, "{answer}");
        answer
    }

    fn s3(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let who = format!(
            "AWS4-HMAC-SHA256 Credential=t/20260101/{REGION}/s3/aws4_request, SignedHeaders=host, Signature=0"
        );
        let url = format!("{}/{path}", self.url);
        self.http.request(method, url).header("authorization", who)
    }

    /// Makes a bucket.
    pub(crate) async fn bucket(&self, name: &str) {
        let made = self.s3(reqwest::Method::PUT, name).send().await.unwrap();
        assert!(made.status().is_success(), "{made:?}");
    }

    /// What stands in a bucket; `None`: nothing.
    pub(crate) async fn object(&self, path: &str) -> Option<String> {
        let got = self.s3(reqwest::Method::GET, path).send().await.unwrap();
        if got.status().is_success() {
            return Some(got.text().await.unwrap());
        }
        assert_eq!(got.status().as_u16(), 404);
        None
    }

    /// Puts it there whatever was there, or takes it away.
    pub(crate) async fn set_object(&self, path: &str, text: Option<&str>) {
        let request = match text {
            Some(text) => self.s3(reqwest::Method::PUT, path).body(text.to_owned()),
            None => self.s3(reqwest::Method::DELETE, path),
        };
        let done = request.send().await.unwrap();
        assert!(done.status().is_success(), "{done:?}");
    }

    /// Makes a key; its ARN.
    pub(crate) async fn create(&self, body: &Value) -> String {
        let made = self.call("CreateKey", body).await;
        made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
    }

    /// A key under which secrets may be sealed; its ARN.
    pub(crate) async fn sealing_key(&self) -> String {
        let tag = json!({ "TagKey": "chancery-purpose", "TagValue": "sealing" });
        self.create(&json!({ "Tags": [tag] })).await
    }
}

impl Drop for MiniStack {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Installs it beside the build, once for all tests and runs.
fn install() -> Result<PathBuf, String> {
    // target/debug/deps/test: the directory of CARGO_TARGET_TMPDIR, which unit tests are not told.
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).unwrap();
    let dir = target.join("tmp/ministack");
    std::fs::create_dir_all(&dir).unwrap();
    let lock = std::fs::File::create(dir.join("lock")).unwrap();
    lock.lock().unwrap();
    let requirements =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kms-server/requirements.txt");
    let (wanted, done) = (std::fs::read(&requirements).unwrap(), dir.join("installed"));
    if std::fs::read(&done).is_ok_and(|known| known == wanted) {
        return Ok(dir);
    }
    let venv = dir.join("venv");
    let _ = std::fs::remove_dir_all(&venv);
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(&venv);
    let mut fill = Command::new(venv.join("bin/pip"));
    fill.args(["install", "--quiet", "--disable-pip-version-check"])
        .args(["--require-hashes", "--only-binary", ":all:", "-r"])
        .arg(&requirements);
    for mut step in [make, fill] {
        let output = step.output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
    }
    std::fs::write(done, wanted).unwrap();
    Ok(dir)
}

/// What goes wrong with a call.
#[derive(Clone)]
pub(crate) enum Fault {
    /// KMS answers an error.
    Error(u16, &'static str),
    /// It takes so long.
    Delay(Duration),
    /// The connection is lost before KMS hears of it.
    Reset,
    /// KMS does it, and the answer is lost.
    Lost,
    /// Something that is not KMS answers.
    Html,
    /// KMS is asked something else.
    Ask(Arc<dyn Fn(Value) -> Value + Send + Sync>),
    /// Something answers in its place.
    Instead(Arc<dyn Fn(Value) -> Value + Send + Sync>),
    /// KMS's answer is changed.
    Answer(Arc<dyn Fn(Value) -> Value + Send + Sync>),
}

/// A proxy in front of KMS.
pub(crate) struct Proxy {
    /// Where it answers.
    pub(crate) url: String,
    state: Arc<State>,
}

struct State {
    upstream: String,
    http: reqwest::Client,
    /// For calls of this operation, the next so many.
    faults: Mutex<VecDeque<(&'static str, usize, Fault)>>,
    calls: Mutex<Vec<String>>,
    /// Of which trace calls were part, by their operation.
    traces: Mutex<Vec<(String, String)>>,
}

impl Proxy {
    /// Starts one. It ends with the runtime.
    pub(crate) async fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            upstream: upstream.to_owned(),
            http: reqwest::Client::new(),
            faults: Mutex::default(),
            calls: Mutex::default(),
            traces: Mutex::default(),
        });
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let state = shared.clone();
                tokio::spawn(async move { state.serve(connection).await });
            }
        });
        Self { url, state }
    }

    /// The next `times` calls of an operation go wrong so.
    pub(crate) fn fail(&self, operation: &'static str, times: usize, fault: Fault) {
        let mut faults = self.state.faults.lock().unwrap();
        faults.push_back((operation, times, fault));
    }

    /// Whether anything is still to go wrong.
    pub(crate) fn is_failing(&self) -> bool {
        !self.state.faults.lock().unwrap().is_empty()
    }

    /// Nothing goes wrong any more.
    pub(crate) fn heal(&self) {
        self.state.faults.lock().unwrap().clear();
    }

    /// How often an operation was called so far.
    pub(crate) fn calls(&self, operation: &str) -> usize {
        let calls = self.state.calls.lock().unwrap();
        calls.iter().filter(|call| *call == operation).count()
    }

    /// The `traceparent` of each call of an operation that had one.
    pub(crate) fn traces(&self, operation: &str) -> Vec<String> {
        let traces = self.state.traces.lock().unwrap();
        let of = traces
            .iter()
            .filter(|it| it.0 == operation && !it.1.is_empty());
        of.map(|it| it.1.clone()).collect()
    }
}

impl State {
    async fn serve(&self, mut connection: TcpStream) {
        let mut unread = Vec::new();
        // `None` from anything: the connection is over.
        while self.one(&mut connection, &mut unread).await.is_some() {}
    }

    async fn one(&self, connection: &mut TcpStream, unread: &mut Vec<u8>) -> Option<()> {
        let (head, body) = request(connection, unread).await?;
        let header = |name: &str| {
            let line = head.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim())
            });
            line.unwrap_or_default().to_owned()
        };
        let target = header("x-amz-target");
        let operation = target.trim_start_matches("TrentService.").to_owned();
        self.calls.lock().unwrap().push(operation.clone());
        let trace = (operation.clone(), header("traceparent"));
        self.traces.lock().unwrap().push(trace);
        let fault = self.fault(&operation);
        let mut asked: Value = serde_json::from_slice(&body).unwrap_or_default();
        match &fault {
            Some(Fault::Error(status, code)) => {
                let body = json!({ "__type": code, "message": "as the test wants it" });
                return answer(connection, *status, "", &body.to_string()).await;
            }
            Some(Fault::Instead(reply)) => {
                return answer(connection, 200, "", &reply(asked).to_string()).await;
            }
            Some(Fault::Html) => return answer(connection, 502, "", "<html>no</html>").await,
            Some(Fault::Reset) => return None,
            Some(Fault::Delay(time)) => tokio::time::sleep(*time).await,
            Some(Fault::Ask(change)) => asked = change(asked),
            Some(Fault::Lost | Fault::Answer(_)) | None => {}
        }
        let request = self
            .http
            .post(&self.upstream)
            .header("x-amz-target", &target)
            .header("content-type", "application/x-amz-json-1.1")
            .header("authorization", header("authorization"))
            .body(asked.to_string());
        let reply = request.send().await.ok()?;
        let status = reply.status().as_u16();
        let id = reply.headers().get("x-amzn-requestid");
        let id = id.map_or("", |it| it.to_str().unwrap()).to_owned();
        let mut text = reply.text().await.ok()?;
        match &fault {
            Some(Fault::Lost) => return None,
            Some(Fault::Answer(change)) if status == 200 => {
                text = change(serde_json::from_str(&text).unwrap()).to_string();
            }
            _ => {}
        }
        answer(connection, status, &id, &text).await
    }

    fn fault(&self, operation: &str) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let at = faults.iter().position(|(of, ..)| *of == operation)?;
        let (_, times, fault) = &mut faults[at];
        let fault = fault.clone();
        *times -= 1;
        if *times == 0 {
            faults.remove(at);
        }
        Some(fault)
    }
}

/// One request: its head and its body.
async fn request(connection: &mut TcpStream, unread: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    loop {
        let end = unread.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&unread[..end]).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse::<usize>().ok())?
            });
            let whole = end + 4 + length.unwrap_or(0);
            if unread.len() >= whole {
                let body = unread[end + 4..whole].to_vec();
                unread.drain(..whole);
                return Some((head, body));
            }
        }
        if connection.read_buf(unread).await.ok()? == 0 {
            return None;
        }
    }
}

async fn answer(connection: &mut TcpStream, status: u16, id: &str, body: &str) -> Option<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.1\r\nx-amzn-requestid: {id}\r\n\
         content-length: {length}\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.ok()?;
    connection.write_all(body.as_bytes()).await.ok()
}
