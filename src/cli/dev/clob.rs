//! A CLOB for demonstration beside `dev`, so that API keys, L2 headers and market orders work on the
//! first day. It is the one of the tests (`tests/clob-server`), run by Node.js, on this computer only and
//! with nothing on its books but what it makes up. Without Node.js there is none, and that is said.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// The program, whole: it needs no package.
const FILES: [(&str, &str); 2] = [
    (
        "eth.mjs",
        include_str!("../../../tests/clob-server/eth.mjs"),
    ),
    (
        "server.mjs",
        include_str!("../../../tests/clob-server/server.mjs"),
    ),
];

/// A running CLOB. It ends with this, and where the system can tell, with us.
#[derive(Debug)]
pub(in crate::cli) struct DemoClob {
    child: Child,
    url: String,
}

impl DemoClob {
    /// Starts it on this port, 0 for any, for wallets on this chain.
    pub(in crate::cli) fn start(dir: &Path, port: u16, chain: u64) -> Result<Self> {
        let dir = dir.join("clob");
        std::fs::create_dir_all(&dir)?;
        for (name, text) in FILES {
            std::fs::write(dir.join(name), text)?;
        }
        let mut command = tied("node");
        let child = command
            .arg(dir.join("server.mjs"))
            .args([format!("--port={port}"), format!("--chain-id={chain}")])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("Node.js is not installed (Debian, Ubuntu: apt-get install nodejs)")?;
        let mut clob = Self {
            child,
            url: String::new(),
        };
        let said = clob.child.stdout.take().context("it says nothing")?;
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        let url = line.trim().strip_prefix("clob-server listening on ");
        ensure!(
            url.is_some(),
            "Node.js 18.2 or newer does not start it on port {port}"
        );
        url.unwrap_or_default().clone_into(&mut clob.url);
        Ok(clob)
    }

    /// Where it is.
    pub(in crate::cli) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for DemoClob {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that the system ends when the thread ends that started it, which is the command's own.
fn tied(program: &str) -> Command {
    let ties = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !ties.is_ok_and(|status| status.success()) {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]);
    command
}
