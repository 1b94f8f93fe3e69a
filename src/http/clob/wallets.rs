//! `/v1/wallets`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;

use super::wallet_view::WalletView;
use crate::app::App;
use crate::callers::Caller;
use crate::clob::wallets::{NewWallet, Wallet};
use crate::halts::Winding;
use crate::http::body::{Body, Named, Params};
use crate::http::caller::RequiredKey;
use crate::http::hidden::found;
use crate::http::page::{Page, Paged};
use crate::http::problem::{Problem, Replaced};
use crate::http::write::Write;
use crate::keys::{Justification, Key};
use crate::ledger::Gate;
use crate::name::Name;
use crate::policy::{Action, Deed, Permit, Resource, Stake};
use crate::signing::SigningError;

/// List wallets
#[utoipa::path(get, path = "/v1/wallets", tag = "wallets", params(Page),
    responses((status = 200, description = "The wallets that you may see", body = Vec<WalletView>)),
)]
pub(super) async fn list_wallets(
    State(app): State<App>,
    caller: Caller,
    Params(page): Params<Page>,
) -> Result<Paged<WalletView>, Problem> {
    let wallets = app.wallets.list().await?;
    let seen = |w: &&Wallet| app.would(&caller, Action::View, &w.resource());
    let views = wallets.iter().filter(seen).map(WalletView::from);
    page.of("/v1/wallets", views.collect(), |it| it.name.clone())
}

/// Show a wallet
#[utoipa::path(get, path = "/v1/wallets/{wallet}", tag = "wallets",
    responses((status = 200, description = "The wallet", body = WalletView)),
)]
pub(super) async fn show_wallet(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<WalletView>, Problem> {
    let wallet = visible(&app, &caller, &name).await?;
    Ok(Json(WalletView::from(&wallet)))
}

/// The wallet, if the caller may see it.
pub(in crate::http) async fn visible(
    app: &App,
    caller: &Caller,
    name: &Name,
) -> Result<Wallet, Problem> {
    let nothing = Resource::nothing("Wallet", name);
    let looked = app.wallets.show(name).await;
    let wallet = found(app, caller, &[Action::View], &nothing, looked)?;
    if app.would(caller, Action::View, &wallet.resource()) {
        Ok(wallet)
    } else {
        Err(Problem::not_found("wallet"))
    }
}

/// The wallet, and that the caller may do this with it.
pub(in crate::http) async fn permitted(
    app: &App,
    caller: &Caller,
    action: Action,
    name: &Name,
) -> Result<(Wallet, Permit), Problem> {
    let wallet = looked_up(app, caller, action, name).await?;
    let permit = app.ask(caller, action, &wallet.resource())?;
    Ok((wallet, permit))
}

async fn looked_up(
    app: &App,
    caller: &Caller,
    action: Action,
    name: &Name,
) -> Result<Wallet, Problem> {
    let nothing = Resource::nothing("Wallet", name).open();
    let looked = app.wallets.show(name).await;
    Ok(found(
        app,
        caller,
        &[action, Action::View],
        &nothing,
        looked,
    )?)
}

/// The same for what passes the gate, where what is at stake is asked about there: a wallet as it was a moment
/// ago will do for a yes. A no is said, and put on record, by what is there now.
pub(in crate::http) async fn permitted_at_gate(
    app: &App,
    caller: &Caller,
    action: Action,
    name: &Name,
) -> Result<Arc<Wallet>, Problem> {
    at_gate(app, caller, (action, None), name).await
}

/// The same where a halt that lets a wallet be emptied may let it pass: the draft says whether that is what it does,
/// and is asked about.
pub(in crate::http) async fn permitted_to_empty(
    app: &App,
    caller: &Caller,
    action: Action,
    name: &Name,
) -> Result<Arc<Wallet>, Problem> {
    at_gate(app, caller, (action, Some(Winding::Empty)), name).await
}

async fn at_gate(
    app: &App,
    caller: &Caller,
    (action, winds): (Action, Option<Winding>),
    name: &Name,
) -> Result<Arc<Wallet>, Problem> {
    if let Some(wallet) = app.wallets.recent(name)
        && app.would(caller, action, &wallet.resource().open())
    {
        return Ok(wallet);
    }
    let wallet = looked_up(app, caller, action, name).await?;
    let deed = Deed::new(action, wallet.resource()).winding(winds);
    app.rights.could_do(caller, &deed)?;
    Ok(app.wallets.remember(wallet))
}

/// After the door said no: the wallet with which to try once more, because its key is not what it was taken
/// for; else why nothing is signed.
pub(in crate::http) async fn once_more(
    app: &App,
    wallet: &Wallet,
    error: SigningError,
) -> Result<Arc<Wallet>, Problem> {
    if !error.is_about_the_key() {
        return Err(error.into());
    }
    let now = app.wallets.now(wallet).await?;
    if !now.is_restated(wallet) {
        return Err(Problem::of_wallet(error, Replaced::is(&now).as_ref()));
    }
    Ok(now)
}

/// Create a wallet
///
/// Puts chain, signature type and funder together with a key. On chain 137 the funder has to follow
/// from the key, or you say `funder_unverified`; on 80002 a warning says that it does not.
#[utoipa::path(post, path = "/v1/wallets", tag = "wallets",
    request_body = NewWallet,
    responses((status = 201, description = "The wallet", body = WalletView)),
)]
pub(super) async fn create_wallet(
    State(app): State<App>,
    caller: Caller,
    RequiredKey(key): RequiredKey,
    Body(new, request): Body<NewWallet>,
) -> Result<Response, Problem> {
    let permit = may_bind(&app, &caller, Action::CreateWallet, &new.key, |key| {
        new.stake(key)
    });
    let permit = permit.await?;
    let write = Write::new(&app, &caller, &key, request);
    write
        .run(&permit, Gate::Shared, async |change| {
            let wallet = app.wallets.create(&new, change).await?;
            Ok(WalletView::from(&wallet))
        })
        .await
}

/// Whether a caller may have something made that a key signs for. Where there is no such key, or
/// none that they may see, whoever could be permitted is told.
pub(in crate::http) async fn may_bind(
    app: &App,
    caller: &Caller,
    action: Action,
    key: &Name,
    stake: impl FnOnce(&Key) -> Stake,
) -> Result<Permit, Problem> {
    let service = Resource::service();
    app.rights.could(caller, action, &service)?;
    let key = app.keys.show(key).await?;
    let permit = app.ask(caller, action, &service.at(stake(&key)));
    permit.map_err(|denied| {
        if app.would(caller, Action::View, &key.resource()) {
            denied.into()
        } else {
            Problem::not_found("key")
        }
    })
}

/// Close a wallet
///
/// Puts on record that it holds nothing any more: no balance, position or allowance, which the service
/// cannot see. Its key is deactivated or compromised by then; afterwards it can be destroyed.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/close", tag = "wallets",
    request_body = Justification,
    responses((status = 201, description = "The wallet", body = WalletView)),
)]
pub(super) async fn close_wallet(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    Body(closing, request): Body<Justification>,
) -> Result<Response, Problem> {
    let (wallet, permit) = permitted(&app, &caller, Action::CloseWallet, &name).await?;
    let write = Write::new(&app, &caller, &key, request);
    write
        .run(&permit, Gate::Exclusive, async |change| {
            let closed = app.wallets.close(&wallet, &closing.reason, change);
            Ok(WalletView::from(&closed.await?))
        })
        .await
}
