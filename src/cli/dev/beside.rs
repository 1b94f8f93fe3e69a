//! Servers for demonstration beside `dev`, so that API keys, L2 headers, market orders, wallets' operations, access
//! tokens and rotations work on the first day: a CLOB and a relayer (those of the tests, `tests/clob-server`,
//! `tests/relayer-server`) and an authorization server. Node.js runs them, on this computer only, without any package; on their books is nothing but what
//! they make up. Without Node.js there are none, and that is said.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// A program, whole.
pub(in crate::cli) struct Program {
    /// Its directory in the data directory, and what it is called.
    name: &'static str,
    /// Its files; the last one is run.
    files: &'static [(&'static str, &'static str)],
    /// What it says once it listens, before its address.
    says: &'static str,
}

pub(in crate::cli) const CLOB: Program = Program {
    name: "clob",
    files: &[
        (
            "eth.mjs",
            include_str!("../../../tests/clob-server/eth.mjs"),
        ),
        (
            "server.mjs",
            include_str!("../../../tests/clob-server/server.mjs"),
        ),
    ],
    says: "clob-server listening on ",
};

pub(super) const RELAYER: Program = Program {
    name: "relayer",
    files: &[
        (
            "clob-server/eth.mjs",
            include_str!("../../../tests/clob-server/eth.mjs"),
        ),
        (
            "relayer-server/hashes.mjs",
            include_str!("../../../tests/relayer-server/hashes.mjs"),
        ),
        (
            "relayer-server/server.mjs",
            include_str!("../../../tests/relayer-server/server.mjs"),
        ),
    ],
    says: "relayer-server listening on ",
};

pub(super) const AUTHORIZATION: Program = Program {
    name: "authorization",
    files: &[(
        "authorization-server.mjs",
        include_str!("authorization-server.mjs"),
    )],
    says: "authorization-server listening on ",
};

/// A running server. It ends with this, and where the system can tell, with us.
#[derive(Debug)]
pub(in crate::cli) struct Running {
    child: Child,
    url: String,
}

impl Running {
    /// Starts it on this port, 0 for any.
    pub(in crate::cli) fn start(
        program: &Program,
        dir: &Path,
        port: u16,
        more: &[String],
    ) -> Result<Self> {
        let dir = dir.join(program.name);
        for (name, text) in program.files {
            let file = dir.join(name);
            std::fs::create_dir_all(file.parent().unwrap_or(&dir))?;
            std::fs::write(file, text)?;
        }
        let main = program.files.last().map_or("", |it| it.0);
        let child = tied("node")
            .arg(dir.join(main))
            .arg(format!("--port={port}"))
            .args(more)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("Node.js is not installed (Debian, Ubuntu: apt-get install nodejs)")?;
        let mut running = Self {
            child,
            url: String::new(),
        };
        let said = running.child.stdout.take().context("it says nothing")?;
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        let url = line.trim().strip_prefix(program.says);
        ensure!(
            url.is_some(),
            "Node.js 18.2 or newer does not start it on port {port}"
        );
        url.unwrap_or_default().clone_into(&mut running.url);
        Ok(running)
    }

    /// Where it is.
    pub(in crate::cli) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What runs beside the service.
#[derive(Debug, Default)]
pub(super) struct Beside {
    pub(super) clob: Option<Running>,
    pub(super) authorization: Option<Running>,
    pub(super) relayer: Option<Running>,
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
