//! `chancery wallets rotation`

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::Service;
use super::{print_json, print_line, table};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say where a wallet's rotation stands, what is next, and what to type
    Show {
        /// The wallet that is replaced.
        wallet: String,
        /// As JSON, with all evidence.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: Service,
    },
    /// Begin to replace a wallet: a new key is a new wallet
    Open {
        /// The wallet that is to be replaced.
        wallet: String,
        /// The new key's name.
        #[arg(long)]
        key: String,
        /// The device that makes it; the old one's unless it is said.
        #[arg(long)]
        backend: Option<String>,
        /// How many days the new key is in use.
        #[arg(long)]
        cryptoperiod_days: Option<u16>,
        /// When all is to be done, such as 2027-03-01T00:00:00Z.
        #[arg(long)]
        target_at: String,
        /// Why, for the record.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        service: Service,
    },
    /// Have the device make the new key
    Generate(Bare),
    /// Put the new wallet on record, and activate its key
    Profile {
        /// The wallet that is replaced.
        wallet: String,
        /// The new wallet's name.
        #[arg(long)]
        name: String,
        /// Who pays; unless it is said, what follows from the key.
        #[arg(long)]
        funder: Option<String>,
        /// Take a funder that does not follow from the key.
        #[arg(long)]
        funder_unverified: bool,
        /// Why the key may be activated.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        service: Service,
    },
    /// Make the new wallet's API key
    Credential {
        /// The wallet that is replaced.
        wallet: String,
        /// The nonce; 0 unless it is said.
        #[arg(long)]
        nonce: Option<String>,
        /// Do without an API key, for this reason.
        #[arg(long)]
        without: Option<String>,
        #[command(flatten)]
        service: Service,
    },
    /// Take new orders with the new wallet only
    CutOver {
        /// The wallet that is replaced.
        wallet: String,
        /// Another wallet of the old key, which takes no orders for it either. Repeat for more.
        #[arg(long)]
        stops: Vec<String>,
        /// Why now.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        service: Service,
    },
    /// Cancel what is open at the CLOB, and see that nothing is left
    Drain {
        /// The wallet that is replaced.
        wallet: String,
        /// Instead: why no order is open.
        #[arg(long)]
        said: Option<String>,
        #[command(flatten)]
        service: Service,
    },
    /// Delete the old wallet's API key
    DeleteCredential(Bare),
    /// Deactivate the old key, and close the old wallet
    Close(Reasoned),
    /// Give up, before the cut-over
    Abandon(Reasoned),
    /// Go back to the old wallet, before it is drained
    RollBack(Reasoned),
}

/// A step that takes nothing.
#[derive(Debug, Args)]
pub(super) struct Bare {
    /// The wallet that is replaced.
    wallet: String,
    #[command(flatten)]
    service: Service,
}

/// A step that takes a reason.
#[derive(Debug, Args)]
pub(super) struct Reasoned {
    /// The wallet that is replaced.
    wallet: String,
    /// Why, for the record.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    service: Service,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    let (service, wallet, body) = match command {
        Command::Show {
            wallet,
            json,
            service,
        } => {
            let path = format!("/v1/wallets/{wallet}/rotation");
            let rotation = service.client()?.get(&path).await?;
            if json {
                return print_json(&rotation);
            }
            show(&wallet, &rotation);
            return Ok(());
        }
        Command::Open {
            wallet,
            key,
            backend,
            cryptoperiod_days,
            target_at,
            reason,
            service,
        } => {
            let body = json!({
                "key": key, "backend": backend, "cryptoperiod_days": cryptoperiod_days,
                "target_at": target_at, "reason": reason,
            });
            let path = format!("/v1/wallets/{wallet}/rotation");
            let opened = service.client()?.post(&path, &body).await?;
            say(&wallet, &opened);
            return Ok(());
        }
        Command::Generate(Bare { wallet, service }) => {
            (service, wallet, json!({ "step": "generate" }))
        }
        Command::Profile {
            wallet,
            name,
            funder,
            funder_unverified,
            reason,
            service,
        } => {
            let new =
                json!({ "name": name, "funder": funder, "funder_unverified": funder_unverified });
            let body = json!({ "step": "profile", "wallet": new, "reason": reason });
            (service, wallet, body)
        }
        Command::Credential {
            wallet,
            nonce,
            without,
            service,
        } => {
            let body = json!({ "step": "credential", "nonce": nonce, "without": without });
            (service, wallet, body)
        }
        Command::CutOver {
            wallet,
            stops,
            reason,
            service,
        } => {
            let body = json!({ "step": "cut-over", "stops": stops, "reason": reason });
            (service, wallet, body)
        }
        Command::Drain {
            wallet,
            said,
            service,
        } => (service, wallet, json!({ "step": "drain", "said": said })),
        Command::DeleteCredential(Bare { wallet, service }) => {
            (service, wallet, json!({ "step": "delete-credential" }))
        }
        Command::Close(with) => reasoned("close", with),
        Command::Abandon(with) => reasoned("abandon", with),
        Command::RollBack(with) => reasoned("roll-back", with),
    };
    let path = format!("/v1/wallets/{wallet}/rotation/steps");
    let taken = service.client()?.post(&path, &body).await?;
    say(&wallet, &taken);
    Ok(())
}

fn reasoned(step: &str, with: Reasoned) -> (Service, String, Value) {
    let body = json!({ "step": step, "reason": with.reason });
    (with.service, with.wallet, body)
}

/// Where it is now, and what comes next.
fn say(wallet: &str, rotation: &Value) {
    let text = |name: &str| rotation[name].as_str().unwrap_or_default().to_owned();
    print_line(&format!("{wallet} is {}", text("state")));
    print_line(&format!("waits for {}", text("waits_for")));
    if let Some(next) = rotation["next"].as_str() {
        print_line(&format!("next: chancery wallets rotation {next} {wallet}"));
    }
}

/// The whole, for people.
fn show(wallet: &str, rotation: &Value) {
    let cell = |name: &str| table::cell(&rotation[name]);
    print_line(&format!(
        "{wallet} (key {}) is replaced by {} (key {})",
        cell("key_state"),
        cell("new_wallet"),
        cell("new_key"),
    ));
    print_line(&format!(
        "opened {}, to be done by {}{}",
        cell("opened_at"),
        cell("target_at"),
        if rotation["overdue"] == true {
            ": OVERDUE"
        } else {
            ""
        },
    ));
    print_line(&format!(
        "orders that count as open: {}",
        cell("open_orders")
    ));
    print_line("");
    let steps = table::rows(
        &rotation["steps"],
        &["step", "to", "at", "actor_name", "approval"],
    );
    table::print(&["step", "now", "at", "by", "approval"], &steps);
    print_line("");
    say(wallet, rotation);
}
