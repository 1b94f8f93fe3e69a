//! Who and what asks: wallets, clients and callers, made through the API as anybody would make them.

use anyhow::Context;
use serde_json::{Value, json};

use super::super::client::Client;
use super::device::{Device, Kind};
use super::floor::Key;
use super::plan::{Desk, ORDER, Operation};
use super::world::{AMOY, World};

/// The scope that tokens are asked for; a trader may have it.
pub(super) const SCOPE: &str = "read:orders";

impl World {
    /// Makes a desk in each device, as far as it is not there, and so many callers.
    pub(super) async fn provision(
        &mut self,
        operations: &[Operation],
        callers: usize,
    ) -> anyhow::Result<()> {
        for at in 0..self.devices.len() {
            let desk = self.desk(at, operations).await;
            let desk = desk.with_context(|| self.devices[at].kind.name())?;
            self.desks.push(desk);
        }
        for _ in 1..callers {
            let name = format!("bench-{}", uuid::Uuid::new_v4().simple());
            let new = json!({ "name": name, "owner": "dev", "roles": ["trader"], "token_days": 1 });
            let made = self.operator.post("/v1/callers", &new).await?;
            let token = made["token"].as_str().context("a caller has a token")?;
            self.target.tokens.push(token.to_owned());
        }
        Ok(())
    }

    async fn desk(&mut self, at: usize, operations: &[Operation]) -> anyhow::Result<Desk> {
        let Device { kind, backend, .. } = self.devices[at];
        let name = |what: &str| format!("{}-{what}", kind.desk());
        let (wallet, client) = (name("wallet"), name("client"));
        self.key(at, &name("wallet-key"), "wallet", "dev01").await?;
        let new =
            json!({ "name": wallet, "key": name("wallet-key"), "owner": "dev", "chainId": 137 });
        find_or_make(&self.operator, "/v1/wallets", &wallet, &new).await?;
        self.key(at, &name("client-key"), "client", "dev01").await?;
        self.client(&client, &name("client-key")).await?;
        let mut desk = Desk {
            device: Some(kind),
            tokens: None,
            login: None,
            signed: None,
            wallet: Some(wallet.clone()),
            client: Some(client),
        };
        if operations.contains(&Operation::Token) {
            let client = name("bench-client");
            self.key(at, &name("bench-key"), "client", "bench").await?;
            self.client(&client, &name("bench-key")).await?;
            desk.tokens = Some((client, SCOPE.to_owned()));
        }
        if operations.contains(&Operation::L2) && self.has_clob {
            let (login, key) = (name("login-wallet"), name("login-key"));
            self.key(at, &key, "wallet", "dev01").await?;
            let new = json!({ "name": login, "key": key, "owner": "dev", "chainId": AMOY });
            find_or_make(&self.operator, "/v1/wallets", &login, &new).await?;
            match self.api_key(&login).await {
                Ok(()) => desk.login = Some(login),
                Err(why) => self.left_out.push(format!("l2, {backend}: {why:#}")),
            }
        }
        if operations.contains(&Operation::Lookup) {
            desk.signed = Some(sign(&self.trader, &wallet).await?);
        }
        Ok(desk)
    }

    /// An active key in a device; one that the directory does not hold is to be forgotten in the end.
    async fn key(
        &mut self,
        at: usize,
        name: &str,
        purpose: &str,
        environment: &str,
    ) -> anyhow::Result<()> {
        let Device { kind, backend, .. } = self.devices[at];
        let new = json!({
            "name": name, "purpose": purpose, "backend": backend, "environment": environment,
            "owner": "dev",
        });
        let key = find_or_make(&self.operator, "/v1/keys", name, &new).await?;
        if matches!(kind, Kind::Kms | Kind::Second) {
            let key = Key {
                id: serde_json::from_value(key["id"].clone())?,
                algorithm: serde_json::from_value(key["algorithm"].clone())?,
                device_ref: key["device_ref"].as_str().map(str::to_owned),
            };
            self.elsewhere.push((backend, key));
        }
        if key["state"] == "pre-activation" {
            let step = json!({ "to": "active", "reason": "benchmark" });
            let path = format!("/v1/keys/{name}/steps");
            self.operator.post(&path, &step).await?;
        }
        Ok(())
    }

    async fn client(&self, name: &str, key: &str) -> anyhow::Result<()> {
        let id = format!("{name}-id");
        let new = json!({ "name": name, "key": key, "owner": "dev", "client_id": id });
        find_or_make(&self.operator, "/v1/clients", name, &new).await?;
        Ok(())
    }

    async fn api_key(&self, wallet: &str) -> anyhow::Result<()> {
        let path = format!("/v1/wallets/{wallet}/credentials");
        let there = self.operator.get(&path).await?;
        let mut there = there.as_array().into_iter().flatten();
        if !there.any(|it| it["state"] == "live") {
            let new = json!({ "mode": "create-or-derive" });
            self.operator.post(&path, &new).await?;
        }
        Ok(())
    }
}

/// Has an order signed; its id.
pub(super) async fn sign(trader: &Client, wallet: &str) -> anyhow::Result<String> {
    let order: Value = serde_json::from_str(ORDER)?;
    let path = format!("/v1/wallets/{wallet}/orders");
    let signed = trader.post(&path, &order).await?;
    let id = signed["id"].as_str();
    Ok(id.context("what is signed has an id")?.to_owned())
}

async fn find_or_make(
    operator: &Client,
    path: &str,
    name: &str,
    new: &Value,
) -> anyhow::Result<Value> {
    match operator.find(&format!("{path}/{name}")).await? {
        Some(found) => Ok(found),
        None => operator
            .post(path, new)
            .await
            .with_context(|| format!("making {name}")),
    }
}
