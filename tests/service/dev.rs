//! `chancery dev`, as somebody meets it on the first day.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{Scratch, skip};

/// A running one. It ends with the test, however that ends, and takes with it what it has started.
struct Dev(Child);

impl Dev {
    /// Its terminal is closed.
    fn hang_up(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.hang_up();
        }
    }
}

/// Starts it, and gives what it says until it is there.
fn start(dir: &Path) -> (Dev, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_chancery"))
        .args([
            "dev",
            "--log",
            "warn",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
        ])
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = String::new();
    for line in lines.by_ref().map_while(Result::ok) {
        said = said + &line + "\n";
        if line.contains("Stop with Ctrl-C") {
            break;
        }
    }
    std::thread::spawn(move || lines.for_each(drop)); // it may go on talking
    (Dev(child), said)
}

/// The demo wallet is deployed and may trade once its treasurer has done what they are told to type.
fn is_set_up(run_as: &dyn Fn(&str, &[&str]) -> Value) {
    let wallet = run_as("operator", &["wallets", "show", "demo-wallet"]);
    assert_eq!(wallet["signatureType"], 3, "{wallet}");
    assert_eq!(
        wallet["maker"], wallet["derived"]["depositWallet"],
        "{wallet}"
    );
    let treasurer = |args: &[&str]| run_as("treasurer", args);
    let until_executed = |args: &[&str]| {
        let mut last = Value::Null;
        for _ in 0..50 {
            last = treasurer(args);
            if last["state"] != "taken" {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        assert_eq!(last["state"], "executed", "{args:?}: {last}");
    };
    until_executed(&["relayer", "deploy", "demo-wallet"]);
    let signed = treasurer(&["operations", "set-up", "demo-wallet", "--nonce", "0"]);
    let id = signed["id"].as_str().unwrap();
    until_executed(&["relayer", "submit", "demo-wallet", id]);
}

#[test]
fn dev_shows_what_there_is_keeps_what_was_edited_and_ends_with_its_terminal() {
    let scratch = Scratch::new();
    let dir = scratch.path().join("data");
    let (mut dev, said) = start(&dir);
    if !said.contains("chancery is at") {
        return skip(&said);
    }
    let base = said.split_once("export CHANCERY_URL=").unwrap().1;
    let base = base.split(' ').next().unwrap();
    let run_as = |who: &str, args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_chancery"))
            .args(args)
            .args(["--url", base, "--token-file"])
            .arg(dir.join(format!("{who}.token")))
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default() // some talk to people
    };
    let run = |args: &[&str]| run_as("operator", args);
    let keys = run(&["keys", "list"]);
    assert_eq!(keys.as_array().unwrap().len(), 2, "{keys}");
    if said.contains("A relayer for demonstration is at") {
        is_set_up(&run_as);
    } else {
        skip(&said);
    }
    if said.contains("A CLOB for demonstration is at") {
        let made = run(&["credentials", "create", "--wallet", "demo-wallet"]);
        assert_eq!(made["created_by_name"], "dev-operator", "{made}");
    } else {
        skip(&said);
    }

    if said.contains("An authorization server for demonstration is at") {
        // What the trader is told to paste, and what the operator is told to type.
        let told = "curl -s ".to_owned() + base + "/v1/clients/demo-client/tokens";
        let curl = said.split_once(&told).unwrap().1;
        let curl = told + curl.split_once("\n\n").unwrap().0;
        let output = Command::new("bash").args(["-c", &curl]).output().unwrap();
        let token: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(token["scope"], "read:orders", "{token}");
        let open = "rotations open --client demo-client --new-key demo-client-key-2 --target ";
        let target = said.split_once(open).unwrap().1.split(' ').next().unwrap();
        let open = format!("{open}{target} --reason demonstration");
        run(&open.split(' ').collect::<Vec<_>>());
    } else {
        skip(&said);
    }

    let file = dir.join("config.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    let edited = config + "\n[cryptoperiods]\nlook_every_s = 59\n";
    std::fs::write(&file, &edited).unwrap();
    assert_eq!(dev.hang_up(), Some(0));
    assert!(!dir.join("pg/postmaster.pid").exists());

    let (mut dev, said) = start(&dir);
    assert!(said.contains("was edited and is kept"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), edited);
    assert_eq!(dev.hang_up(), Some(0));
}
