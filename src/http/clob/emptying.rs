//! `GET /v1/wallets/{wallet}/emptying`: what is left of a wallet that is to be empty.

use axum::Json;
use axum::extract::State;

use super::checks::{CarriedOut, Check, Ready, deeds, missing, there, unknown};
use super::wallets::visible;
use crate::app::App;
use crate::callers::Caller;
use crate::clob::session_keys::{self, SessionKey, State as SessionKeyState};
use crate::clob::wallets::Wallet;
use crate::credentials::Kind;
use crate::http::body::Named;
use crate::http::problem::Problem;
use crate::keys::KeyState;
use crate::operations::records::{self, Deed, Filter};
use crate::operations::{AccountKind, Operation, State as OperationState};

/// What has to happen until a wallet is empty, in the order in which it is done.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = WalletEmptying)]
pub(super) struct Emptying {
    /// Whether nothing is known to be left. What the chain holds somebody has to look at.
    empty: bool,
    checks: Vec<Check>,
}

/// See what is left of a wallet
///
/// Of a wallet that is to be empty, because it is replaced or its key is compromised: what is done, what is left, and which
/// command does it. Nothing is kept for it: it follows from what is on record, so that it is taken up again at any time, by
/// anybody. Of the chain the service knows what is on record as carried out.
#[utoipa::path(get, path = "/v1/wallets/{wallet}/emptying", tag = "wallets",
    responses((status = 200, description = "What is done and what is left", body = Emptying)),
)]
pub(super) async fn show_emptying(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<Emptying>, Problem> {
    let wallet = visible(&app, &caller, &name).await?;
    let deeds = deeds(&app, &wallet).await?;
    let mut checks = vec![
        of_key(&wallet),
        orders(&app, &wallet).await?,
        holdings(&wallet),
        operations(&app, &wallet).await?,
        allowances(&deeds, &wallet),
    ];
    if wallet.profile.account().kind == AccountKind::Deposit {
        let now = app.clock.now();
        checks.push(of_session_keys(
            &session_keys::of_deeds(&deeds, now),
            &wallet,
        ));
    }
    checks.push(api_key(&app, &wallet).await?);
    checks.push(closed(&wallet));
    let empty = checks.iter().all(|it| it.is != Ready::Missing);
    Ok(Json(Emptying { empty, checks }))
}

fn of_key(wallet: &Wallet) -> Check {
    let (key, state) = (&wallet.key.name, wallet.key.state);
    match state {
        KeyState::Active | KeyState::PreActivation => missing(
            "no new orders",
            format!("{key} is {}", state.name()),
            format!(
                "chancery rotations cut-over ID, or chancery keys step {key} suspended --reason …"
            ),
        ),
        _ => there("no new orders", format!("{key} is {}", state.name())),
    }
}

async fn orders(app: &App, wallet: &Wallet) -> Result<Check, Problem> {
    const WHAT: &str = "orders";
    let open = app.drains.open_orders(&wallet.key).await?;
    let count: i64 = open.iter().map(|it| it.count).sum();
    Ok(match count {
        0 => there(WHAT, "none counts as open"),
        count => missing(
            WHAT,
            format!("{count} were signed, and may be open"),
            format!("chancery wallets drain {}", wallet.name),
        ),
    })
}

fn holdings(wallet: &Wallet) -> Check {
    let maker = wallet.profile.maker();
    unknown(
        "holdings",
        format!(
            "no node of the chain is asked: redeem or merge, withdraw positions, unwrap, withdraw, \
             and look at {maker} until it holds nothing: chancery operations sign {} FILE",
            wallet.name
        ),
    )
}

async fn operations(app: &App, wallet: &Wallet) -> Result<Check, Problem> {
    const WHAT: &str = "operations";
    let filter = Filter {
        wallet: Some(wallet.id),
        state: Some(OperationState::Live),
        ..Filter::default()
    };
    let live = records::find(&filter, &app.ledger).await?;
    Ok(match live.first() {
        None => there(WHAT, "what was signed is settled"),
        Some(first) => missing(
            WHAT,
            format!(
                "{} are signed, and it is not on record what became of them",
                live.len()
            ),
            format!(
                "chancery operations settle {} {} executed|dead --evidence …",
                wallet.name, first.id
            ),
        ),
    })
}

fn allowances(deeds: &[Deed], wallet: &Wallet) -> Check {
    const WHAT: &str = "allowances";
    let done = CarriedOut::of(deeds);
    match done.without(&Operation::RevokeAll, wallet) {
        (_, 0) => there(WHAT, "each that the catalogue knows is taken back"),
        (all, open) => missing(
            WHAT,
            format!("{open} of {all} that the catalogue knows are not on record as taken back"),
            format!(
                "chancery operations revoke-all {name} --nonce NONCE, then chancery relayer submit {name} ID",
                name = wallet.name
            ),
        ),
    }
}

fn of_session_keys(all: &[SessionKey], wallet: &Wallet) -> Check {
    const WHAT: &str = "session keys";
    let is_left = |it: &SessionKeyState| {
        matches!(
            it,
            SessionKeyState::Authorizing | SessionKeyState::Authorized | SessionKeyState::Revoking
        )
    };
    let left = all.iter().filter(|it| is_left(&it.state)).count();
    match left {
        0 => there(WHAT, "none that was authorized here may trade"),
        left => missing(
            WHAT,
            format!("{left} may trade, or are to"),
            format!("chancery wallets session-keys {}", wallet.name),
        ),
    }
}

async fn api_key(app: &App, wallet: &Wallet) -> Result<Check, Problem> {
    const WHAT: &str = "API key";
    let held = app.builders.in_use(wallet, Kind::Trading).await?;
    Ok(match held {
        None => there(WHAT, "none on record is in use"),
        Some(it) => missing(
            WHAT,
            format!("{} is {}", it.api_key, it.state.name()),
            format!(
                "chancery credentials delete --wallet {} {}",
                wallet.name, it.api_key
            ),
        ),
    })
}

fn closed(wallet: &Wallet) -> Check {
    match wallet.closed_at {
        Some(_) => there("closed", "somebody said that nothing is left"),
        None => missing(
            "closed",
            "nobody has said that nothing is left",
            format!("chancery wallets close {} --reason …", wallet.name),
        ),
    }
}
