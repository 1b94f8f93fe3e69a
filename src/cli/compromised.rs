//! `chancery wallets compromised`: what has to happen at once when a wallet's key may be in other hands.
//!
//! Each step looks first whether it was done, and one that fails holds up none of the others: what is left is taken up
//! by the same command. What the steps do is on record like anything else, and takes the same rights.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::client::{Client, Service};
use super::{print_line, table};
use crate::halts::{NewHalt, On, Winding};
use crate::keys::{KeyState, KeyStep, Reason};
use crate::name::Name;

/// How long it is waited for the relayer to carry something out.
const PATIENCE: Duration = Duration::from_mins(2);

#[derive(Debug, Args)]
pub(super) struct Compromised {
    /// The wallet's name.
    name: Name,
    /// Why, for the record.
    #[arg(long)]
    reason: Reason,
    /// What is to be signed on chain, prepared beforehand: a JSON array of requests as POST /v1/wallets/{wallet}/operations
    /// takes them, in the order of their nonces. Each is handed to the relayer where it is one for it.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    #[command(flatten)]
    service: Service,
}

/// What was done, and what could not be.
struct Steps<'a> {
    client: Client,
    wallet: &'a Name,
    /// Whether the key was declared compromised before: then what is done is not done again.
    goes_on: bool,
    failed: usize,
}

impl Compromised {
    pub(super) async fn run(&self) -> anyhow::Result<()> {
        // Before anything is done: a plan that cannot be read is none.
        let plan = self.plan.as_deref().map(read).transpose()?;
        let client = self.service.client()?;
        let wallet = client.get(&format!("/v1/wallets/{}", self.name)).await?;
        let key = wallet["key"].as_str().context("the wallet has no key")?;
        let state = client.get(&format!("/v1/keys/{key}")).await?["state"].clone();
        let mut steps = Steps {
            client,
            wallet: &self.name,
            goes_on: state == "compromised",
            failed: 0,
        };
        // Whose key is compromised needs no halt: nothing but what saves the wallet is signed with it or told again.
        if steps.goes_on {
            print_line(&format!("key {key} is compromised: on record already"));
        } else {
            let done = steps.halt(key, &self.reason).await;
            steps.say(&format!("halt on key {key}"), done);
            let done = steps.declare(key, &self.reason).await;
            let done = done.map(|()| format!("on record; it was {}", text(&state)));
            steps.say(&format!("key {key} is compromised"), done);
        }
        let done_before = steps.done_before().await;
        if !done_before.contains("orders") {
            let done = steps.drain().await;
            steps.say("orders at the CLOB", done);
        }
        if !done_before.contains("API key") {
            steps.delete_api_keys().await;
        }
        for (number, request) in plan.iter().flatten().enumerate() {
            let done = steps.sign(request).await;
            steps.say(&format!("operation {} of the plan", number + 1), done);
        }
        steps.say_others(key).await?;
        steps.say_what_is_left().await?;
        let Steps { failed, .. } = steps;
        anyhow::ensure!(
            failed == 0,
            "{failed} steps were not done: take the same command again"
        );
        Ok(())
    }
}

impl Steps<'_> {
    fn say(&mut self, step: &str, done: anyhow::Result<String>) {
        match done {
            Ok(what) => print_line(&format!("{step}: {what}")),
            Err(error) => {
                self.failed += 1;
                print_line(&format!("{step}: NOT DONE: {error:#}"));
            }
        }
    }

    fn path(&self, rest: &str) -> String {
        format!("/v1/wallets/{}/{rest}", self.wallet)
    }

    /// What an earlier run has done: by somebody with the right to it, perhaps.
    async fn done_before(&self) -> HashSet<String> {
        if !self.goes_on {
            return HashSet::new();
        }
        let list = self.client.get(&self.path("emptying")).await;
        let list = list.unwrap_or_default();
        let checks = list["checks"].as_array().into_iter().flatten();
        let ready = checks.filter(|it| it["is"] == "ready");
        ready.map(|it| text(&it["what"]).to_owned()).collect()
    }

    async fn drain(&self) -> anyhow::Result<String> {
        let drained = self.client.post(&self.path("drain"), &json!({})).await?;
        let many = &drained["drain"]["evidence"]["cancelled"];
        Ok(format!("{many} orders cancelled, none left"))
    }

    /// On the key, so that it is on all of its wallets.
    async fn halt(&self, key: &str, reason: &Reason) -> anyhow::Result<String> {
        let halts = self.client.get("/v1/halts").await?;
        let mut halts = halts.as_array().into_iter().flatten();
        if let Some(there) = halts.find(|it| it["on"] == "key" && it["name"] == key) {
            return Ok(format!("in force already, {}", text(&there["id"])));
        }
        let new = NewHalt {
            on: On::Key,
            name: Some(key.to_owned()),
            condition: None,
            tokens: Vec::new(),
            reason: reason.clone(),
            allow: Winding::ALL.to_vec(),
        };
        let set = self.client.post("/v1/halts", &new).await?;
        Ok(format!("in force, {}", text(&set["id"])))
    }

    async fn declare(&self, key: &str, reason: &Reason) -> anyhow::Result<()> {
        let step = KeyStep {
            to: KeyState::Compromised,
            reason: reason.clone(),
        };
        self.client
            .post(&format!("/v1/keys/{key}/steps"), &step)
            .await?;
        Ok(())
    }

    /// After the orders, for which they are needed.
    async fn delete_api_keys(&mut self) {
        let path = self.path("credentials");
        let list = match self.client.get(&path).await {
            Ok(list) => list,
            Err(error) => return self.say("API keys", Err(error)),
        };
        let all = list.as_array().into_iter().flatten();
        let live = all.filter(|it| {
            it["kind"] == "trading" && ["unproven", "live"].iter().any(|is| it["state"] == *is)
        });
        for api_key in live.map(|it| text(&it["apiKey"]).to_owned()) {
            let done = self.client.delete(&format!("{path}/{api_key}")).await;
            let done = done.map(|_| "deleted".to_owned());
            self.say(&format!("API key {api_key}"), done);
        }
    }

    /// Under a key that follows from what it says, so that a second run has it signed no second time.
    async fn sign(&self, request: &Value) -> anyhow::Result<String> {
        let path = self.path("operations");
        let key = hex::encode(Sha256::digest(format!("compromised {path} {request}")));
        let signed = self.client.post_under(&key, &path, request).await?;
        let id = text(&signed["id"]);
        if let Some(raw) = signed["rawTransaction"].as_str() {
            return Ok(format!("{id} is signed; send it by a node: {raw}"));
        }
        let not = || {
            format!(
                "{id} is signed, and not handed over (chancery relayer submit {} {id})",
                self.wallet
            )
        };
        let path = format!("{path}/{id}/submission");
        let mut state = self.submit(&path).await.with_context(not)?;
        // The relayer takes one thing of a wallet at a time.
        for _ in 0..PATIENCE.as_secs() {
            if state != "taken" {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            state = self.submit(&path).await?;
        }
        Ok(format!("{id} is signed, at the relayer it is {state}"))
    }

    /// Hands it over, or looks how far it is.
    async fn submit(&self, path: &str) -> anyhow::Result<String> {
        let submitted = self.client.post(path, &json!({})).await?;
        Ok(text(&submitted["state"]).to_owned())
    }

    async fn say_others(&self, key: &str) -> anyhow::Result<()> {
        let all = self.client.get("/v1/wallets").await?;
        let all = all.as_array().into_iter().flatten();
        let is_other = |it: &&Value| {
            it["key"] == key && it["name"] != self.wallet.to_string() && it["closed_at"].is_null()
        };
        for other in all.filter(is_other) {
            let name = text(&other["name"]);
            print_line(&format!(
                "wallet {name} has the same key: chancery wallets compromised {name} --reason …"
            ));
        }
        Ok(())
    }

    async fn say_what_is_left(&self) -> anyhow::Result<()> {
        print_list(&self.client.get(&self.path("emptying")).await?);
        Ok(())
    }
}

/// What a wallet needs, as a table: what is as it should be, what is missing, and what to type.
pub(super) fn print_list(list: &Value) {
    let rows = list["checks"].as_array().into_iter().flatten();
    let rows = rows.map(|it| {
        let cells = ["what", "is", "detail", "next"];
        cells.map(|cell| text(&it[cell]).to_owned()).to_vec()
    });
    let rows: Vec<_> = rows.collect();
    table::print(&["what", "is", "detail", "next"], &rows);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn read(file: &Path) -> anyhow::Result<Vec<Value>> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let plan: Vec<Value> = serde_json::from_str(&text)
        .with_context(|| format!("{shown} is no JSON array of requests"))?;
    anyhow::ensure!(
        plan.iter().all(Value::is_object),
        "{shown}: each request is a JSON object"
    );
    Ok(plan)
}
