//! `GET /v1/wallets/{wallet}/readiness`: what is missing before a wallet's first order.

use axum::Json;
use axum::extract::State;

use super::checks::{CarriedOut, Check, Ready, deeds, missing, there, unknown};
use super::wallets::visible;
use crate::app::App;
use crate::callers::Caller;
use crate::clob::relayer::Counted;
use crate::clob::wallets::Wallet;
use crate::credentials::{Kind, State as CredentialState};
use crate::http::body::Named;
use crate::http::problem::Problem;
use crate::keys::KeyState;
use crate::operations::{AccountKind, Operation, SetUp};

/// What a wallet's first order needs, in the order in which it is brought about.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = WalletReadiness)]
pub(super) struct Readiness {
    /// Whether nothing is known to be missing.
    ready: bool,
    checks: Vec<Check>,
}

/// See whether a wallet is ready
///
/// What is missing before its first order, and which command does it: an active key, the wallet's own contract,
/// approvals, an API key, and what the relayer wants. Of the chain the service knows what the relayer says and what is on
/// record as carried out.
#[utoipa::path(get, path = "/v1/wallets/{wallet}/readiness", tag = "wallets",
    responses((status = 200, description = "What is there and what is missing", body = Readiness)),
)]
pub(super) async fn show_readiness(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<Readiness>, Problem> {
    let wallet = visible(&app, &caller, &name).await?;
    let mut checks = vec![of_key(&wallet)];
    let kind = wallet.profile.account().kind;
    if kind != AccountKind::Own {
        checks.push(relayer(&app, &wallet).await?);
        checks.push(deployment(&app, &wallet, kind).await);
    }
    checks.push(approvals(&app, &wallet).await?);
    checks.push(api_key(&app, &wallet).await?);
    let maker = wallet.profile.maker();
    checks.push(unknown(
        "funds",
        format!("no node of the chain is asked; what is traded with is pUSD at {maker}"),
    ));
    let ready = checks.iter().all(|it| it.is != Ready::Missing);
    Ok(Json(Readiness { ready, checks }))
}

fn of_key(wallet: &Wallet) -> Check {
    let (key, state) = (&wallet.key.name, wallet.key.state);
    match state {
        KeyState::Active => there("key", format!("{key} is active")),
        state => missing(
            "key",
            format!("{key} is {}", state.name()),
            format!("chancery keys step {key} active --reason …"),
        ),
    }
}

async fn relayer(app: &App, wallet: &Wallet) -> Result<Check, Problem> {
    let relayer = match app.submissions.relayers().on(wallet.profile.chain()) {
        Ok(relayer) => relayer,
        Err(error) => return Ok(unknown("relayer", error.to_string())),
    };
    let own = app.builders.in_use(wallet, Kind::Builder).await?;
    Ok(match (own, relayer.builder()) {
        (Some(_), _) => there("relayer", "the wallet has a builder's API key"),
        (None, Some(name)) => there(
            "relayer",
            format!("wallet {name} has the builder's API key"),
        ),
        (None, None) => missing(
            "relayer",
            "nothing names us to it",
            format!(
                "chancery credentials give-builder --wallet {} API_KEY --secret-file … --passphrase-file …, or [relayer] builder",
                wallet.name
            ),
        ),
    })
}

async fn deployment(app: &App, wallet: &Wallet, kind: AccountKind) -> Check {
    const WHAT: &str = "deployment";
    let name = &wallet.name;
    let (counted, next) = match kind {
        AccountKind::Deposit if wallet.profile.session_key() => (
            Counted::Wallet,
            "have its owner's wallet deployed".to_owned(),
        ),
        AccountKind::Deposit => (Counted::Wallet, format!("chancery relayer deploy {name}")),
        AccountKind::Safe => (
            Counted::Safe,
            format!(
                "chancery operations sign {name} FILE, with the operation deploy; then chancery relayer submit {name} ID"
            ),
        ),
        AccountKind::Own | AccountKind::Proxy => {
            return there(WHAT, "it is made by itself, with the first relayed call");
        }
    };
    let maker = wallet.profile.maker();
    let relayer = match app.submissions.relayers().on(wallet.profile.chain()) {
        Ok(relayer) => relayer,
        Err(error) => return unknown(WHAT, error.to_string()),
    };
    match relayer.is_deployed(maker, counted).await {
        Ok(true) => there(WHAT, format!("the relayer says that {maker} is there")),
        Ok(false) => missing(
            WHAT,
            format!("the relayer says that {maker} is not there"),
            next,
        ),
        Err(error) => unknown(WHAT, error.to_string()),
    }
}

/// Whether the last word on each approval of the profile, among the operations that were carried out, is the profile's.
async fn approvals(app: &App, wallet: &Wallet) -> Result<Check, Problem> {
    const WHAT: &str = "approvals";
    let set_up = Operation::SetUpTrading {
        profile: SetUp::ClobV2,
    };
    let done = CarriedOut::of(&deeds(app, wallet).await?);
    let (all, open) = done.without(&set_up, wallet);
    Ok(if open == 0 {
        there(WHAT, "profile clob-v2 is carried out")
    } else {
        missing(
            WHAT,
            format!(
                "{open} of {all} approvals of profile clob-v2 are not on record as carried out"
            ),
            format!(
                "chancery operations set-up {name} --nonce NONCE, then chancery relayer submit {name} ID",
                name = wallet.name
            ),
        )
    })
}

async fn api_key(app: &App, wallet: &Wallet) -> Result<Check, Problem> {
    const WHAT: &str = "api-key";
    let held = app.builders.in_use(wallet, Kind::Trading).await?;
    let name = &wallet.name;
    Ok(match held {
        Some(it) if it.state == CredentialState::Live => {
            there(WHAT, format!("{} is live", it.api_key))
        }
        Some(it) => missing(
            WHAT,
            format!("{} is {}", it.api_key, it.state.name()),
            format!("chancery credentials check --wallet {name} {}", it.api_key),
        ),
        None => missing(
            WHAT,
            "none is on record",
            format!("chancery credentials create --wallet {name} --nonce 0"),
        ),
    })
}
