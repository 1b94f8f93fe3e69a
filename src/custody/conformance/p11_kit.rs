//! A `SoftHSM` in another process, behind `p11-kit server`. It forks a child for each process that
//! connects; with that child the token is lost.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::skipped;
use super::softhsm::{LABEL, MODULE, SoftHsm};
use crate::custody::pkcs11::Settings;

/// Where the client's library is, by distribution.
const CLIENTS: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so",
    "/usr/lib/aarch64-linux-gnu/pkcs11/p11-kit-client.so",
    "/usr/lib64/pkcs11/p11-kit-client.so",
    "/usr/lib/pkcs11/p11-kit-client.so",
];

/// A running server. It ends with this.
pub(crate) struct P11Kit {
    server: Child,
    settings: Settings,
}

impl P11Kit {
    /// Serves the token. `None`: it is not installed, and that was said.
    pub(crate) fn start(softhsm: &SoftHsm) -> Option<Self> {
        let client = CLIENTS.iter().find(|client| Path::new(client).exists());
        let Some(client) = client else {
            skipped("no p11-kit-client.so");
            return None;
        };
        let socket = softhsm.p11_kit_socket();
        let server = Command::new("p11-kit")
            .args(["server", "--foreground", "--name"])
            .arg(&socket)
            .args(["--provider", MODULE])
            .arg(format!("pkcs11:token={LABEL}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn();
        let server = match server {
            Ok(server) => server,
            Err(error) => {
                skipped(&format!("no p11-kit server: {error}"));
                return None;
            }
        };
        let settings = Settings {
            module: PathBuf::from(client),
            ..softhsm.settings()
        };
        let started = Self { server, settings };
        let end = Instant::now() + Duration::from_secs(20);
        while !socket.exists() {
            assert!(Instant::now() < end, "p11-kit server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(started)
    }

    /// Settings that open the token through the server.
    pub(crate) fn settings(&self) -> Settings {
        self.settings.clone()
    }

    /// Kills what the token lives in. The server goes on, and forks another for whoever connects again.
    pub(crate) fn lose_the_token(&self) {
        let server = self.server.id();
        let children = format!("/proc/{server}/task/{server}/children");
        let children = std::fs::read_to_string(children).unwrap();
        let mut killed = 0;
        for child in children.split_whitespace() {
            let child = rustix::process::Pid::from_raw(child.parse().unwrap()).unwrap();
            rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
            killed += 1;
        }
        assert_ne!(killed, 0, "nobody was connected");
    }
}

impl Drop for P11Kit {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.server);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.server.wait();
    }
}
