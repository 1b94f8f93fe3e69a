//! A search for nonces, step by step.

use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use super::client::Client;
use super::{print_json, remark};

/// Goes through a search of a wallet's, step by step, with its progress on standard error.
pub(super) async fn search(
    client: &Client,
    wallet: &str,
    id: &str,
    first: bool,
) -> anyhow::Result<()> {
    let resume = || format!("chancery credentials search --wallet {wallet} --resume {id}");
    remark(&format!(
        "search {id}; stopped, it goes on with: {}",
        resume()
    ));
    loop {
        let (path, body) = (format!("/v1/nonce-searches/{id}/steps"), json!({}));
        let step = client.post(&path, &body).await;
        let progress = step.with_context(|| format!("go on with: {}", resume()))?;
        let found = progress["found"].as_u64().unwrap_or_default();
        match &progress["next"] {
            Value::String(next) if !(first && found > 0) => {
                remark(&format!(
                    "next {next} of {}, found {found}",
                    progress["to"].as_str().unwrap_or("?")
                ));
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            _ => return print_json(&progress),
        }
    }
}
