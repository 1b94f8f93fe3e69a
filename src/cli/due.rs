//! `chancery rotations due`

use clap::Args;

use super::client::Service;
use super::{print_json, table};

/// What ends when, and what to type.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// How many days ahead to look.
    #[arg(long, default_value_t = 90)]
    within_days: u16,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    service: Service,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let path = format!("/v1/rotations/due?within_days={}", options.within_days);
    let due = options.service.client()?.get(&path).await?;
    if options.json {
        return print_json(&due);
    }
    let members = [
        "days_left",
        "ends_at",
        "kind",
        "name",
        "state",
        "used_by",
        "next",
    ];
    let heads = ["days", "ends", "kind", "name", "state", "used by", "next"];
    table::print(&heads, &table::rows(&due, &members));
    Ok(())
}
