//! A builder's API key, given to the service from files.

use std::path::Path;

use anyhow::Context;
use serde_json::json;

use super::client::Service;
use super::print_json;
use crate::guarded_file;

/// Gives a builder's API key. Neither secret is an argument, which others see.
pub(super) async fn give_builder(
    service: &Service,
    wallet: &str,
    api_key: &str,
    secret: &Path,
    passphrase: &Path,
) -> anyhow::Result<()> {
    let read = |file: &Path| {
        let text = guarded_file::read_secret(file);
        text.with_context(|| format!("cannot read {}", file.display()))
    };
    let (secret, passphrase) = (read(secret)?, read(passphrase)?);
    let body = json!({
        "apiKey": api_key, "secret": secret.trim(), "passphrase": passphrase.trim_end_matches(['\r', '\n']),
    });
    let client = service.client()?;
    print_json(
        &client
            .post(&format!("/v1/wallets/{wallet}/builder-credentials"), &body)
            .await?,
    )
}
