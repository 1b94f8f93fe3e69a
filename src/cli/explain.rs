//! `chancery explain`

use std::io::Read;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::value::RawValue;

use super::client::Service;
use super::print_json;

/// An order, and what it should have been as far as you know.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The order as JSON, or the whole body of POST /order; `-` is standard input.
    file: PathBuf,
    /// The chain of the CLOB that refused: 137 or 80002.
    #[arg(long)]
    chain_id: Option<u64>,
    /// Whether the market is neg-risk.
    #[arg(long)]
    neg_risk: Option<bool>,
    /// The version that the CLOB takes: 1, 2 or 3.
    #[arg(long)]
    order_version: Option<u8>,
    /// The market's tick.
    #[arg(long)]
    tick_size: Option<String>,
    /// How the order is posted: GTC, GTD, FOK or FAK.
    #[arg(long)]
    order_type: Option<String>,
    /// The address whose key should have signed.
    #[arg(long)]
    signer: Option<String>,
    /// The wallet here that should have signed.
    #[arg(long)]
    wallet: Option<String>,
    /// The signature's id here.
    #[arg(long)]
    id: Option<String>,
    /// What the CLOB said: its text, or the whole body.
    #[arg(long)]
    error: Option<String>,
    /// The HTTP status of its answer; 425 has no text.
    #[arg(long)]
    status: Option<u16>,
    #[command(flatten)]
    service: Service,
}

/// The order goes as it is: a number read and written again may have lost digits.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Question {
    order: Box<RawValue>,
    chain_id: Option<u64>,
    neg_risk: Option<bool>,
    version: Option<u8>,
    tick_size: Option<String>,
    order_type: Option<String>,
    signer: Option<String>,
    wallet: Option<String>,
    id: Option<String>,
    error: Option<String>,
    status: Option<u16>,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let mut text = String::new();
    if options.file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text)?;
    } else {
        text = std::fs::read_to_string(&options.file)
            .with_context(|| format!("cannot read {}", options.file.display()))?;
    }
    let question = Question {
        order: RawValue::from_string(text).context("the order is not JSON")?,
        chain_id: options.chain_id,
        neg_risk: options.neg_risk,
        version: options.order_version,
        tick_size: options.tick_size,
        order_type: options.order_type,
        signer: options.signer,
        wallet: options.wallet,
        id: options.id,
        error: options.error,
        status: options.status,
    };
    let client = options.service.client()?;
    print_json(&client.post("/v1/explain", &question).await?)
}
