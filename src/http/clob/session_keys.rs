//! `GET /v1/wallets/{wallet}/session-keys`

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use time::OffsetDateTime;

use super::wallets::visible;
use crate::app::App;
use crate::callers::Caller;
use crate::clob::session_keys::{self, SessionKey, State as How};
use crate::clob::wallets::Wallet;
use crate::custody::PublicKey;
use crate::ethereum::Address;
use crate::http::body::Named;
use crate::http::problem::Problem;
use crate::id::IntentId;
use crate::keys::Key;
use crate::policy::Action;

/// A key that trades for a deposit wallet, or did, or is to.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionKeyView {
    #[schema(value_type = String)]
    address: Address,
    /// The key of this service, if it is one that you may see.
    key: Option<String>,
    /// The wallets here that sign with it.
    wallets: Vec<String>,
    state: How,
    #[serde(with = "time::serde::rfc3339::option")]
    valid_until: Option<OffsetDateTime>,
    /// The operation that says so.
    #[schema(value_type = String)]
    operation: IntentId,
    /// What to type next, where something is missing.
    next: Option<String>,
}

/// List a wallet's session keys
///
/// As the operations on record say: keys that were authorized elsewhere are not seen.
#[utoipa::path(get, path = "/v1/wallets/{wallet}/session-keys", tag = "operations",
    responses((status = 200, description = "Its session keys", body = Vec<SessionKeyView>)),
)]
pub(super) async fn list_session_keys(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<Vec<SessionKeyView>>, Problem> {
    let wallet = visible(&app, &caller, &name).await?;
    let now = app.clock.now();
    let all = session_keys::of_wallet(&wallet.profile, now, &app.ledger).await?;
    let keys = app.keys.list().await?;
    let seen = keys
        .iter()
        .filter(|it| app.would(&caller, Action::View, &it.resource()));
    let keys: HashMap<Address, &Key> = seen.filter_map(|it| Some((address(it)?, it))).collect();
    let mut wallets = app.wallets.list().await?;
    wallets.retain(|it| {
        it.profile.session_key()
            && it.profile.chain() == wallet.profile.chain()
            && it.profile.maker() == wallet.profile.maker()
            && app.would(&caller, Action::View, &it.resource())
    });
    let view = |it: SessionKey| {
        let key = keys.get(&it.signer).copied();
        let of_key = wallets
            .iter()
            .filter(|of| of.profile.key_address() == it.signer);
        let wallets: Vec<_> = of_key.map(|it| it.name.to_string()).collect();
        SessionKeyView {
            next: next(&wallet, &it, key, &wallets),
            address: it.signer,
            key: key.map(|it| it.name.to_string()),
            wallets,
            state: it.state,
            valid_until: it.valid_until,
            operation: it.by,
        }
    };
    Ok(Json(all.into_iter().map(view).collect()))
}

fn address(key: &Key) -> Option<Address> {
    key.public_key.as_ref().and_then(PublicKey::address)
}

/// What to do about it.
fn next(wallet: &Wallet, it: &SessionKey, key: Option<&Key>, wallets: &[String]) -> Option<String> {
    let name = &wallet.name;
    match (it.state, key, wallets.first()) {
        (How::Authorizing | How::Revoking, ..) => {
            Some(format!("chancery relayer submit {name} {}", it.by))
        }
        (How::Authorized, Some(key), None) => Some(format!(
            "chancery wallets create {name}-{} --owner {} --key {} --chain-id {} --signature-type 3 --funder {} --session-key",
            key.name, wallet.owner, key.name, it.chain_id, it.wallet
        )),
        (How::Expired, Some(_), Some(used)) => Some(format!(
            "authorize another key, move what signs with wallet {used} to it, then close that wallet"
        )),
        _ => None,
    }
}
