//! The run-book is walked: every command in it is one, and its procedures are gone through on a deployment
//! with a CLOB and the authorization server for demonstration beside it, word for word but for the names
//! that a reader puts in.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use chancery::cli::Cli;
use clap::Parser as _;
use clap::error::ErrorKind;
use serde_json::{Value, json};

use crate::guide::{heading, run_book};
use crate::support::venue::ClobServer;
use crate::support::{Caller, Deployment, Postgres, Scratch, Server};

const README: &str = include_str!("../../README.md");
const AUDIENCE: &str = "https://api.local.example";

/// What is in the book: the heading, and the shell block under it.
fn blocks(book: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut under = String::new();
    let mut lines = book.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            let block = lines.by_ref().take_while(|it| *it != "```");
            let block: String = block.flat_map(|it| [it, "\n"]).collect();
            if line == "```sh" {
                found.push((under.clone(), block));
            }
        } else if let Some(heading) = heading(line) {
            heading.clone_into(&mut under);
        }
    }
    found
}

/// The commands that stand in a sentence: what is between backticks and begins with the program's name.
fn inline(book: &str) -> Vec<String> {
    let outside: Vec<&str> = book.split("```").step_by(2).collect();
    let outside = outside.join("\n");
    let quoted = outside.split('`').skip(1).step_by(2);
    let quoted = quoted.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    quoted
        .filter(|text| text.starts_with("chancery "))
        .collect()
}

/// A command of a sentence with something in the places that the reader fills in.
fn filled(command: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in command.split(' ') {
        let is_option = words.last().is_some_and(|it| it.starts_with("--"));
        match word {
            "…" if is_option => words.push("x".into()),
            "…" => {}
            "ID" => words.push("01890000-0000-7000-8000-000000000000".into()),
            name if name.bytes().all(|it| it.is_ascii_uppercase() || it == b'_') => {
                words.push(name.to_lowercase());
            }
            word => words.push(word.to_owned()),
        }
    }
    words.join(" ")
}

/// The arguments with which a script calls the program, as a shell takes them. Nothing is run.
fn calls(script: &str) -> Vec<Vec<String>> {
    const STUBS: &str = r#"
        chancery() { printf '%s\0' "$@" >&3; printf '\1\0' >&3; }
        for stub in psql systemctl pkcs11-tool aws curl cat pass sha256sum cut openssl cargo helm \
            deploy/container/build pg_basebackup pg_verifybackup pg_ctl pg_dump rm mv cp touch \
            install useradd; do
            eval "$stub() { :; }"
        done
    "#;
    let scratch = Scratch::new();
    let run = Command::new("bash")
        .args(["-c", &format!("exec 3> calls; {STUBS}\n{script}\n:")])
        // What the reader has set, where a page says so.
        .envs([("CONFIG", "config.toml"), ("OWNER_CONFIG", "migrate.toml")])
        .current_dir(scratch.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(run.status.success(), "{script}: {run:?}");
    let written = std::fs::read(scratch.path().join("calls")).unwrap();
    let words = String::from_utf8(written).unwrap();
    let mut words: Vec<&str> = words.split('\0').collect();
    assert_eq!(words.pop(), Some(""), "{script}");
    let calls = words.split(|word| *word == "\u{1}");
    let calls = calls.map(|call| call.iter().map(|it| (*it).to_owned()).collect());
    let mut calls: Vec<Vec<String>> = calls.collect();
    assert_eq!(calls.pop(), Some(Vec::new()), "{script}");
    calls
}

/// Why the program does not take these arguments.
fn refusal(call: &[String]) -> Option<clap::Error> {
    let name = std::iter::once("chancery");
    Cli::try_parse_from(name.chain(call.iter().map(String::as_str))).err()
}

#[test]
fn every_command_of_the_run_book_is_one() {
    let mut count = 0;
    for (heading, block) in blocks(&run_book()) {
        for call in calls(&block) {
            let refused = refusal(&call);
            assert!(refused.is_none(), "{heading}: {call:?}: {refused:?}");
            count += 1;
        }
    }
    assert!(count > 50, "{count}");
    // In a sentence a command may be cut short; what is there of it has to be right.
    for command in [inline(&run_book()), inline(README)].concat() {
        for call in calls(&filled(&command)) {
            let cut = [
                ErrorKind::MissingRequiredArgument,
                ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
                ErrorKind::DisplayHelp, // it was asked for
            ];
            let refused = refusal(&call).filter(|it| !cut.contains(&it.kind()));
            assert!(refused.is_none(), "{command}: {refused:?}");
        }
    }
}

/// The authorization server for demonstration. It ends with the test.
struct Authorization {
    child: Child,
    url: String,
}

impl Authorization {
    fn start() -> Self {
        let main = "src/cli/dev/authorization-server.mjs";
        let mut child = Command::new("node")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(main))
            .args(["--port=0", &format!("--audience={AUDIENCE}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let said = child.stdout.take().unwrap();
        BufReader::new(said).read_line(&mut line).unwrap();
        let url = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self { child, url }
    }

    /// What the counterparty does with a client of theirs.
    async fn admin(&self, method: reqwest::Method, path: &str, body: &Value) -> Value {
        let request = reqwest::Client::new().request(method, format!("{}_admin/{path}", self.url));
        let answer = request.json(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        answer.json().await.unwrap()
    }
}

impl Drop for Authorization {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A reader at a shell, in a directory of their own.
struct Reader {
    deployment: Deployment,
    server: Option<Server>,
    /// What they put in, and for what.
    names: Vec<(String, String)>,
}

/// The program, which is called again while somebody else has to move first.
const PATIENT: &str = r#"#!/bin/bash
for try in $(seq 100); do
    PROGRAM "$@" 2> said.$$ && { cat said.$$ >&2; exit 0; }
    grep -qE 'Something is missing before|was probed a moment ago|is being worked on' said.$$ || break
    sleep 0.2
done
cat said.$$ >&2
exit 1
"#;

impl Reader {
    fn new(deployment: Deployment) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let program = PATIENT.replace("PROGRAM", env!("CARGO_BIN_EXE_chancery"));
        let path = deployment.dir.write("chancery", &program);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(path, mode).unwrap();
        Self {
            deployment,
            server: None,
            names: Vec::new(),
        }
    }

    /// From now on this is written instead.
    fn put(&mut self, what: &str, instead: &str) {
        self.names.insert(0, (what.to_owned(), instead.to_owned()));
    }

    /// Runs a part of the book; what it prints.
    async fn run(&self, part: &str) -> String {
        let mut script = part.to_owned();
        for (what, instead) in &self.names {
            script = script.replace(what, instead);
        }
        let code = |line: &str| {
            line.split_once(" #")
                .map_or(line.to_owned(), |it| it.0.to_owned())
        };
        let is_filled = script.lines().all(|line| !code(line).contains('…'));
        assert!(is_filled, "{script}");
        let dir = self.deployment.dir.path();
        let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap());
        let url = self.server.as_ref().map_or("", |it| it.base.as_str());
        let mut command = tokio::process::Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", &script])
            .current_dir(dir)
            .env("PATH", path)
            .env("CHANCERY_URL", url)
            .env("CHANCERY_TOKEN_FILE", "operator.token")
            .stdin(Stdio::null());
        let run = command.output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            run.status.success(),
            "{script}\n{}\n{}",
            text(&run.stdout),
            text(&run.stderr)
        );
        text(&run.stdout)
    }

    fn operator(&self) -> Caller {
        let token = std::fs::read_to_string(self.deployment.file("operator.token")).unwrap();
        self.server.as_ref().unwrap().caller(token.trim())
    }

    /// The rotation that is open; whatever it says is next can be typed.
    async fn rotation(&self) -> Value {
        let open = self.operator().get("/v1/rotations?open=true").await.json;
        let rotation = open[0].clone();
        for next in rotation["status"]["next"].as_array().unwrap() {
            let command = next["command"].as_str().unwrap();
            for call in calls(&command.replace('…', "x")) {
                let refused = refusal(&call);
                assert!(refused.is_none(), "{command}: {refused:?}");
            }
        }
        rotation
    }

    async fn show(&self, path: &str) -> Value {
        let shown = self.operator().get(path).await;
        assert_eq!(shown.status, 200, "{path}: {}", shown.text);
        shown.json
    }
}

/// The block of the book under a heading that has this in it.
fn block(heading: &str, with: &str) -> String {
    let mut all = blocks(&run_book()).into_iter();
    let found = all.find(|it| it.0 == heading && it.1.contains(with));
    found.unwrap_or_else(|| panic!("{heading}: {with}")).1
}

/// A block up to a line that begins so, and from there on.
fn split<'a>(block: &'a str, line: &str) -> (&'a str, &'a str) {
    let at = block.find(line).unwrap_or_else(|| panic!("{line}"));
    block.split_at(at)
}

/// In so many days, as a date.
fn in_days(days: i64) -> String {
    let at = time::OffsetDateTime::now_utc() + time::Duration::days(days);
    at.date().to_string()
}

async fn reader(clob: &ClobServer, authorization: &Authorization) -> Option<(Reader, Postgres)> {
    let postgres = Postgres::start()?;
    let database = postgres.database().await;
    let deployment = Deployment::new(&database.url);
    let keystore = deployment.file("keystore.key").display().to_string();
    deployment.configure(&format!(
        r#"
        [custody.hsm]
        kind = "sealed"
        master_key_file = "{keystore}"
        accept_keys_in_software = true
        [oauth.environments.prod]
        issuer = "{url}"
        token_endpoint = "{url}oauth/token"
        token_audience = "{AUDIENCE}"
        [rotations]
        soak_s = 0
        probe_every_s = 0
        [cryptoperiods]
        look_every_s = 3600
        {clob}"#,
        url = authorization.url,
        clob = clob.section("polygon"),
    ));
    Some((Reader::new(deployment), postgres))
}

#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "a walk through the book, in its order"
)]
async fn who_follows_the_run_book_gets_where_it_says() {
    let Some(clob) = ClobServer::start(&[]) else {
        return;
    };
    let authorization = Authorization::start();
    let Some((mut reader, _postgres)) = reader(&clob, &authorization).await else {
        return;
    };
    let (before, after) = (in_days(30), in_days(60));
    for (what, instead) in [
        ("/root/chancery/migrate.toml", "config.toml"),
        ("/etc/chancery/config.toml", "config.toml"),
        ("--reason …", "--reason walked"),
        ("--target 2027-12-01", &format!("--target {after}")),
        ("--target 2027-01-31", &format!("--target {after}")),
        ("2027-03-01T", &format!("{before}T")),
        ("--client-id …", "--client-id desk-1-app"),
        ("--to 1000", "--to 3"),
    ] {
        reader.put(what, instead);
    }

    // The first start: roles in the database and systemd are not here.
    let first = block("The first start", "chancery migrate");
    let (installed, running) = split(&first, "systemctl");
    let installed: Vec<_> = installed
        .lines()
        .filter(|line| !line.starts_with("psql ") && !line.starts_with("chancery doctor"))
        .collect();
    reader.run(&installed.join("\n")).await;
    reader.server = Some(reader.deployment.serve(&[]).await);
    let running = running.lines().skip(1).collect::<Vec<_>>().join("\n");
    reader.run(&running).await;
    let client = reader.show("/v1/clients/desk-1-prod").await;
    let registered = json!({ "scopes": ["read:orders"], "keys": [{ "pem": client["pem"] }] });
    let put = reqwest::Method::PUT;
    authorization
        .admin(put, "clients/desk-1-app", &registered)
        .await;

    // Callers: the way back in, beside the operators that there are.
    reader.put("--token-out operator.token", "--token-out operator-2.token");
    reader.put(
        "CHANCERY_TOKEN_FILE=operator.token",
        "CHANCERY_TOKEN_FILE=operator-2.token",
    );
    reader.run(&block("Callers", "break-glass")).await;

    reader
        .run(&block("API keys of the CLOB", "credentials create"))
        .await;

    // What attestation proves.
    let attested = block(
        "What attestation proves, and what not",
        "verify-attestation",
    );
    reader.run(&attested).await;

    // Replacing a wallet.
    let wallet = block("Replacing a wallet", "rotations open");
    let (open, rest) = split(&wallet, "chancery rotations generate");
    reader.run(open).await;
    let id = reader.rotation().await["id"].as_str().unwrap().to_owned();
    reader.put(" ID", &format!(" {id}"));
    for line in rest.lines() {
        reader.run(line).await;
        if reader.show(&format!("/v1/rotations/{id}")).await["state"] != "closed" {
            reader.rotation().await;
        }
    }
    let done = reader.show(&format!("/v1/rotations/{id}")).await;
    assert_eq!(done["state"], "closed");

    // Rotating a client's key, with the counterparty's part of it in between.
    let rotating = block("Rotating a client's key", "rotations open");
    let (open, rest) = split(&rotating, "chancery rotations generate");
    reader.run(open).await;
    let id = reader.rotation().await["id"].as_str().unwrap().to_owned();
    reader.names.remove(0);
    reader.put(" ID", &format!(" {id}"));
    let old = reader.show("/v1/keys/desk-1-prod-2026").await;
    for line in rest.lines() {
        if line.starts_with("chancery rotations confirm") {
            let new = reader.show("/v1/keys/desk-1-prod-2027").await;
            let key = json!({ "pem": new["pem"] });
            let post = reqwest::Method::POST;
            authorization
                .admin(post, "clients/desk-1-app/keys", &key)
                .await;
            let fingerprint = new["fingerprint"].as_str().unwrap();
            reader.put("--fingerprint …", &format!("--fingerprint {fingerprint}"));
        }
        reader.run(line).await;
        if line.starts_with("chancery rotations ask-removal") {
            let kid = old["jwk"]["kid"].as_str().unwrap();
            let path = format!("clients/desk-1-app/keys/{kid}");
            let delete = reqwest::Method::DELETE;
            authorization.admin(delete, &path, &json!({})).await;
        }
        if reader.show(&format!("/v1/rotations/{id}")).await["state"] != "closed" {
            reader.rotation().await;
        }
    }
    let done = reader.show(&format!("/v1/rotations/{id}")).await;
    assert_eq!(done["state"], "closed");
    let signs = reader.show("/v1/clients/desk-1-prod").await;
    assert_eq!(signs["key"], "desk-1-prod-2027");

    // Access tokens, as the program that has the right. Before, those of the old key would have had to end.
    let tokens = block("Access tokens of the Exchange API", "clients token");
    let tokens = format!("export CHANCERY_TOKEN_FILE=desk-1-bot.token\n{tokens}");
    let printed = reader.run(&tokens).await;
    assert!(printed.contains("\"Bearer\""), "{printed}");

    // How a key ends: one whose wallet is given up.
    let given_up = "chancery keys create spare --purpose wallet --backend hsm --environment prod --owner desk-1
        chancery keys step spare active --reason walked
        chancery wallets create spare-w --key spare --owner desk-1 --chain-id 137";
    reader.run(given_up).await;
    reader.put(" NAME", " spare");
    reader.put(" WALLET", " spare-w");
    reader
        .run(&block("How a key ends", "keys cryptoperiod"))
        .await;
    reader
        .run("chancery keys step spare deactivated --reason walked")
        .await;
    reader.run(&block("How a key ends", "keys destroy")).await;
    let ended = reader.show("/v1/keys/spare/destruction").await;
    let was = (&ended["state"], &ended["destruction"]["outcome"]);
    assert_eq!(was, (&json!("deactivated"), &json!("cancelled")));

    // Whatever is due says what to type.
    let due = reader.show("/v1/rotations/due?within_days=4000").await;
    for due in due.as_array().unwrap() {
        let command = due["next"].as_str().unwrap();
        for call in calls(&command.replace('…', "0")) {
            let refused = refusal(&call).filter(|it| it.kind() != ErrorKind::ValueValidation);
            assert!(refused.is_none(), "{command}: {refused:?}");
        }
    }
}
