//! Lists: a table for people on a terminal, JSON for programs.

use std::io::IsTerminal as _;

use clap::Args;
use serde_json::Value;

use super::client::Service;
use super::{print_json, table};

/// Which list, and how it is shown.
#[derive(Debug, Args)]
#[group(skip)] // it would be called like that of the command, which is `List` too
pub(super) struct List {
    /// As JSON, which is also what is printed where no terminal is.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    service: Service,
}

impl List {
    /// Fetches a list, all its pages, and prints these members of what is in it.
    pub(super) async fn print(&self, path: &str, members: &[&str]) -> anyhow::Result<()> {
        let client = self.service.client()?;
        let (mut list, mut next) = client.page(path).await?;
        while let (Some(path), Value::Array(all)) = (next, &mut list) {
            let (more, then) = client.page(&path).await?;
            all.extend(more.as_array().into_iter().flatten().cloned());
            next = then;
        }
        self.show(&list, members)
    }

    fn show(&self, list: &Value, members: &[&str]) -> anyhow::Result<()> {
        if self.json || !std::io::stdout().is_terminal() {
            return print_json(list);
        }
        let heads: Vec<_> = members.iter().map(|name| name.replace('_', " ")).collect();
        let heads: Vec<_> = heads.iter().map(String::as_str).collect();
        table::print(&heads, &table::rows(list, members));
        Ok(())
    }
}
