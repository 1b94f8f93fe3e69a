//! `chancery audit search`, `what` and `signers`: look-ups in the log.

use std::io::IsTerminal as _;

use clap::Args;
use serde_json::Value;

use crate::cli::client::{Client, Service};
use crate::cli::{print_json, remark, table};

/// What is looked for: all that is given has to fit.
#[derive(Debug, Args)]
pub(in crate::cli) struct Filters {
    /// signature (of which order, assertion, clob-auth), token, refusal, dry-run, change (of which approval, credential, rotation, look-up)
    #[arg(long)]
    kind: Option<String>,
    /// Who asked for it or did it, by name or id.
    #[arg(long)]
    caller: Option<String>,
    /// With which of their credentials, by id.
    #[arg(long)]
    credential: Option<String>,
    /// With which key, by name or id.
    #[arg(long)]
    key: Option<String>,
    /// Of which wallet, by name or id.
    #[arg(long)]
    wallet: Option<String>,
    /// Of which client, by name or id.
    #[arg(long)]
    client: Option<String>,
    /// What else was changed, by id: a caller, a person, a proposal, a rotation.
    #[arg(long, value_name = "ID")]
    on: Option<String>,
    /// Orders of a market, by the token id.
    #[arg(long, value_name = "TOKEN_ID")]
    market: Option<String>,
    /// Changes of this name: create-key.
    #[arg(long)]
    action: Option<String>,
    /// Then or later: 2026-11-30T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// One signature, by the id of its answer.
    #[arg(long, value_name = "ID")]
    signature: Option<String>,
    /// The same by what the key signed: 0x and 64 hexadecimal digits.
    #[arg(long)]
    digest: Option<String>,
    /// The same by the order's hash at the venue.
    #[arg(long)]
    order_hash: Option<String>,
    /// The same by the jti of an assertion.
    #[arg(long)]
    jti: Option<String>,
    /// The same by an idempotency key of --caller.
    #[arg(long = "request-key", value_name = "KEY")]
    request_key: Option<String>,
    /// Logins of --wallet with this nonce.
    #[arg(long)]
    nonce: Option<String>,
    /// How many at a time, 1 to 500.
    #[arg(long)]
    limit: Option<u16>,
    /// Those that are older than the one with this index.
    #[arg(long, value_name = "INDEX")]
    after: Option<String>,
    /// All of them, page after page.
    #[arg(long)]
    all: bool,
    /// As JSON, which is also what is printed where no terminal is.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    service: Service,
}

impl Filters {
    fn path(&self) -> anyhow::Result<String> {
        let limit = self.limit.map(|it| it.to_string());
        let asked = [
            ("kind", &self.kind),
            ("caller", &self.caller),
            ("credential", &self.credential),
            ("key", &self.key),
            ("wallet", &self.wallet),
            ("client", &self.client),
            ("on", &self.on),
            ("market", &self.market),
            ("action", &self.action),
            ("from", &self.from),
            ("until", &self.until),
            ("signature", &self.signature),
            ("digest", &self.digest),
            ("orderHash", &self.order_hash),
            ("jti", &self.jti),
            ("idempotency_key", &self.request_key),
            ("nonce", &self.nonce),
            ("limit", &limit),
            ("after", &self.after),
        ];
        with_query(
            "/v1/audit/events",
            asked
                .into_iter()
                .filter_map(|(name, it)| Some((name, it.as_deref()?))),
        )
    }
}

/// A path with what is asked for.
fn with_query<'a>(
    path: &str,
    asked: impl Iterator<Item = (&'a str, &'a str)>,
) -> anyhow::Result<String> {
    let query = reqwest::Url::parse_with_params("http://query/", asked)?;
    Ok(match query.query() {
        Some(query) if !query.is_empty() => format!("{path}?{query}"),
        _ => path.to_owned(),
    })
}

pub(super) async fn run(filters: &Filters) -> anyhow::Result<()> {
    let client = filters.service.client()?;
    let is_table = !filters.json && std::io::stdout().is_terminal();
    let mut next = Some(filters.path()?);
    let mut found = Vec::new();
    while let Some(path) = next {
        let (page, more) = client.page(&path).await?;
        found.extend(page.as_array().cloned().unwrap_or_default());
        next = more.filter(|_| filters.all);
        if let (Some(_), Some(last)) = (&next, found.last()) {
            remark(&format!(
                "{} found, back to {}",
                found.len(),
                last["at"].as_str().unwrap_or_default()
            ));
        }
    }
    let found = Value::Array(found);
    if !is_table {
        return print_json(&found);
    }
    let members = ["index", "at", "what", "by", "on", "outcome", "reason"];
    table::print(&members, &table::rows(&found, &members));
    Ok(())
}

/// What something is.
pub(super) async fn what(client: &Client, text: &str) -> anyhow::Result<()> {
    let path = with_query("/v1/audit/identify", [("text", text)].into_iter())?;
    print_json(&client.get(&path).await?)
}

/// Who could sign with a key.
pub(super) async fn signers(client: &Client, key: &str, at: Option<&str>) -> anyhow::Result<()> {
    let asked = [("key", Some(key)), ("at", at)];
    let asked = asked.into_iter().filter_map(|(name, it)| Some((name, it?)));
    print_json(&client.get(&with_query("/v1/audit/signers", asked)?).await?)
}
