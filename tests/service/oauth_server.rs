//! An independent authorization server (`oidc-provider`), run with Node.js beside the tests.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::skip;

/// The authorization server of `tests/oauth-server`.
pub(crate) struct OAuthServer {
    child: Child,
    pub(crate) issuer: String,
    pub(crate) token_endpoint: String,
    admin: String,
    http: reqwest::Client,
}

impl OAuthServer {
    /// `None`: it cannot run here, and that was said.
    pub(crate) fn start() -> Option<Self> {
        let mut node = node("server.mjs")?;
        node.env("PORT", "0")
            .env("SCOPES_FILE", source("vectors/exchange-scopes.json"));
        let (child, ready) = started(node);
        let text = |member: &str| ready[member].as_str().unwrap().to_owned();
        Some(Self {
            child,
            issuer: text("issuer"),
            token_endpoint: text("token_endpoint"),
            admin: text("admin"),
            http: reqwest::Client::new(),
        })
    }

    pub(crate) async fn admin(&self, method: reqwest::Method, path: &str, body: &Value) -> Value {
        let request = self.http.request(method, format!("{}/{path}", self.admin));
        let answer = request.json(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        let text = answer.text().await.unwrap();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Exchanges what the service issued, as a client that follows the documentation does.
    pub(crate) async fn exchange(&self, issued: &Value) -> (u16, Value) {
        let mut body = json!({});
        for member in [
            "client_assertion",
            "client_assertion_type",
            "client_id",
            "grant_type",
            "audience",
        ] {
            body[member] = issued[member].clone();
        }
        let endpoint = issued["token_endpoint"].as_str().unwrap();
        let answer = self.http.post(endpoint).json(&body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }
}

impl Drop for OAuthServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The identity provider of the same folder, where people sign in.
pub(crate) struct IdentityProvider {
    child: Child,
    pub(crate) issuer: String,
}

impl IdentityProvider {
    /// One that leads people back to there. `None`: it cannot run here, and that was said.
    pub(crate) fn start(redirect_uri: &str) -> Option<Self> {
        let mut node = node("identity.mjs")?;
        node.arg(redirect_uri);
        let (child, ready) = started(node);
        let issuer = ready["issuer"].as_str().unwrap().to_owned();
        Some(Self { child, issuer })
    }

    /// Who signs in from now on, and what is changed in the token that says so.
    pub(crate) async fn is_to(&self, asked: &Value) {
        let http = reqwest::Client::new();
        let asked = http.post(format!("{}/_admin", self.issuer)).json(asked);
        assert!(asked.send().await.unwrap().status().is_success());
    }
}

impl Drop for IdentityProvider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Node.js with a script of the folder, installed.
fn node(script: &str) -> Option<Command> {
    let version = Command::new("node").arg("--version").output().ok();
    let version = version.and_then(|out| String::from_utf8(out.stdout).ok());
    let number = version
        .as_deref()
        .unwrap_or("")
        .trim()
        .trim_start_matches('v');
    let mut number = number.split('.').map(|it| it.parse().unwrap_or(0_u32));
    let number = (number.next().unwrap_or(0), number.next().unwrap_or(0));
    if number < (20, 19) {
        skip("there is no Node.js 20.19 or newer");
        return None;
    }
    let dir = match install() {
        Ok(dir) => dir,
        Err(why) => {
            skip(&format!(
                "npm cannot install the authorization server: {why}"
            ));
            return None;
        }
    };
    let mut node = Command::new("node");
    node.arg(script).current_dir(dir);
    Some(node)
}

/// Starts one, and waits until it says what it is.
fn started(mut node: Command) -> (Child, Value) {
    let mut child = node
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = loop {
        let line = lines.next().expect("the server starts").unwrap();
        if line.starts_with('{') {
            break serde_json::from_str(&line).unwrap();
        }
    };
    (child, ready)
}

/// Installs the server beside the build, once for all tests and runs.
fn install() -> Result<PathBuf, String> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oauth-server");
    std::fs::create_dir_all(&dir).unwrap();
    let lock = std::fs::File::create(dir.join("lock")).unwrap();
    lock.lock().unwrap();
    for entry in std::fs::read_dir(source("oauth-server")).unwrap() {
        let file = entry.unwrap().path();
        if file.is_file() {
            std::fs::copy(&file, dir.join(file.file_name().unwrap())).unwrap();
        }
    }
    let wanted = std::fs::read(dir.join("package-lock.json")).unwrap();
    let installed = dir.join("installed.json");
    if std::fs::read(&installed).is_ok_and(|known| known == wanted) {
        return Ok(dir);
    }
    let output = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(&dir)
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    std::fs::write(installed, wanted).unwrap();
    Ok(dir)
}

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(path)
}
