//! `/v1/wallets/{wallet}/credentials`: API keys of the CLOB.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use sha2::{Digest, Sha256};
use tracing::Instrument as _;

use super::credential_view::{CredentialView, view};
use super::wallets;
use crate::app::App;
use crate::callers::Caller;
use crate::clob::api_keys::{CredentialMode, KeyRequest, NewCredential, NewLogin};
use crate::clob::l1::IssuedLogin;
use crate::clob::wallets::Wallet;
use crate::credentials::{self, Credential, Origin, Replaces};
use crate::http::body::{self, Body, Named};
use crate::http::caller::RequiredKey;
use crate::http::page::{Page, Paged};
use crate::http::problem::{self, Problem};
use crate::http::write::{self, Write, signed};
use crate::idempotency::{Key, RequestDigest};
use crate::ledger::Gate;
use crate::name::Name;
use crate::policy::Action;

/// The secrets of an API key.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RevealedCredential {
    api_key: String,
    secret: String,
    passphrase: String,
}

/// An API key as the CLOB lists it.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct ListedCredential {
    #[serde(rename = "apiKey")]
    api_key: String,
    /// What is on record of it; null where nothing is.
    state: Option<credentials::State>,
}

/// The wallet, if the caller may see it, and the caller's wish, if they have the right.
pub(super) async fn wish(
    app: &App,
    caller: &Caller,
    wallet: &Name,
    right: Action,
    request: RequestDigest,
) -> Result<KeyRequest, Problem> {
    let (wallet, permit) = wallets::permitted(app, caller, right, wallet).await?;
    Ok(KeyRequest {
        caller: caller.clone(),
        wallet,
        permit,
        request,
    })
}

/// A request and the key it came with, so that a repeated one is known.
fn with_key(request: RequestDigest, key: &Key) -> RequestDigest {
    let hash = Sha256::new()
        .chain_update(request.0)
        .chain_update(key.as_str());
    RequestDigest(hash.finalize().into())
}

/// A digest for operations that need not be known again.
fn of_operation(name: &str, wallet: &Name) -> RequestDigest {
    RequestDigest::of("POST", name, &serde_json::json!(wallet))
}

/// Create or derive an API key
///
/// The nonce is on record before anything signed with it leaves, and an answer of the CLOB that is
/// lost is made up for by deriving. Creating ends the API key that is live, which has to be named.
/// The secrets are kept sealed and not answered.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/credentials", tag = "credentials",
    request_body = NewCredential,
    responses((status = 201, description = "The API key", body = CredentialView)),
)]
pub(super) async fn create_credential(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    Body(new, request): Body<NewCredential>,
) -> Result<Response, Problem> {
    let right = match new.mode {
        CredentialMode::Derive => Action::DeriveCredential,
        CredentialMode::Create | CredentialMode::CreateOrDerive => Action::CreateCredential,
    };
    let wish = wish(&app, &caller, &name, right, with_key(request, &key)).await?;
    if matches!(new.mode, CredentialMode::Derive) && new.replaces.is_some() {
        let detail = "replaces: deriving ends no API key; leave it out";
        return Err(Problem::new(&problem::INVALID_FIELD, detail));
    }
    let permit = wish.permit.clone();
    let write = Write::new(&app, &caller, &key, request);
    if let Some(earlier) = write.earlier(&permit).await? {
        return Ok(earlier);
    }
    let work = {
        let (app, nonce) = (app.clone(), new.nonce);
        // It goes on when the caller hangs up: what was begun at the venue has to be put on record.
        let tasks = app.tasks.clone();
        let work = async move {
            match new.mode {
                CredentialMode::Create => app.api_keys.create(&wish, nonce, new.replaces).await,
                CredentialMode::Derive => app.api_keys.derive(&wish, nonce, Origin::Signed).await,
                CredentialMode::CreateOrDerive => {
                    app.api_keys
                        .create_or_derive(&wish, nonce, new.replaces)
                        .await
                }
            }
        };
        tasks.spawn(work.in_current_span())
    };
    let held = work.await.map_err(|_| {
        Problem::new(
            &problem::INTERNAL,
            "the operation broke off; repeat it with the same key",
        )
    })??;
    let view = view(&app, &held.credential, Some(held.how)).await?;
    write
        .conclude(&permit, Gate::Shared, async |_| Ok(view))
        .await
}

/// List a wallet's API keys
///
/// Those on record for the wallet's address, newest first.
#[utoipa::path(get, path = "/v1/wallets/{wallet}/credentials", tag = "credentials", params(Page),
    responses((status = 200, description = "The API keys", body = Vec<CredentialView>)),
)]
pub(super) async fn list_credentials(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    body::Params(page): body::Params<Page>,
) -> Result<Paged<CredentialView>, Problem> {
    let request = of_operation("list", &name);
    let wish = wish(&app, &caller, &name, Action::ViewCredentials, request).await?;
    let all = app.api_keys.on_record(&wish).await?;
    let makers = all.iter().map(|it| it.created_by).collect();
    let names = app.callers.names(makers).await?;
    let views = all.iter().map(|it| CredentialView::of(it, None, &names));
    let path = format!("/v1/wallets/{name}/credentials");
    page.of(&path, views.collect(), |it| it.api_key.clone())
}

/// List the API keys that the CLOB has
///
/// Asked with the wallet's own API key.
#[utoipa::path(get, path = "/v1/wallets/{wallet}/api-keys", tag = "credentials",
    responses((status = 200, description = "The API keys, and what is on record of them", body = Vec<ListedCredential>)),
)]
pub(super) async fn list_api_keys(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<Vec<ListedCredential>>, Problem> {
    let request = of_operation("api-keys", &name);
    let wish = wish(&app, &caller, &name, Action::ViewCredentials, request).await?;
    let on_record = app.api_keys.on_record(&wish).await?;
    let listed = app.api_keys.listed(&wish).await?;
    let view = |api_key: String| ListedCredential {
        state: on_record
            .iter()
            .find(|it| it.api_key == api_key)
            .map(|it| it.state),
        api_key,
    };
    Ok(Json(listed.into_iter().map(view).collect()))
}

/// Check an API key
///
/// Makes one call with it, and puts on record whether that worked.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/credentials/{apiKey}/check", tag = "credentials",
    responses((status = 200, description = "The API key", body = CredentialView)),
)]
pub(super) async fn check_credential(
    State(app): State<App>,
    caller: Caller,
    Path(path): Path<(String, String)>,
) -> Result<Json<CredentialView>, Problem> {
    let (wish, credential) = kept(&app, &caller, &path, "check", Action::DeriveCredential).await?;
    let checked = app.api_keys.check(&wish, credential).await?;
    Ok(Json(view(&app, &checked, None).await?))
}

/// Reveal an API key's secrets
///
/// Takes a right of its own. That they were handed out is on record before they are. Whoever only
/// has to post asks for L2 headers instead.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/credentials/{apiKey}/reveal", tag = "credentials",
    responses((status = 200, description = "The API key with its secrets", body = RevealedCredential)),
)]
pub(super) async fn reveal_credential(
    State(app): State<App>,
    caller: Caller,
    Path(path): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (wish, credential) = kept(&app, &caller, &path, "reveal", Action::RevealCredential).await?;
    let (secret, passphrase) = app.api_keys.reveal(&wish, &credential).await?;
    let revealed = RevealedCredential {
        api_key: path.1,
        secret: secret.to_string(),
        passphrase: passphrase.to_string(),
    };
    let body = serde_json::to_vec(&revealed).expect("plain data serializes");
    Ok(write::uncached(write::json(
        axum::http::StatusCode::OK,
        body,
    )))
}

/// Delete an API key
///
/// At the CLOB. On record it stays, with its nonce.
#[utoipa::path(delete, path = "/v1/wallets/{wallet}/credentials/{apiKey}", tag = "credentials",
    responses((status = 200, description = "The API key", body = CredentialView)),
)]
pub(super) async fn delete_credential(
    State(app): State<App>,
    caller: Caller,
    Path(path): Path<(String, String)>,
) -> Result<Json<CredentialView>, Problem> {
    let (wish, credential) = kept(&app, &caller, &path, "delete", Action::DeleteCredential).await?;
    let deleted = app.api_keys.delete(&wish, credential).await?;
    Ok(Json(view(&app, &deleted, None).await?))
}

/// Issue an L1 header
///
/// The login of the CLOB, as four headers. It can be spent to create an API key, which ends the one
/// that is live: it takes a right of its own, and where an API key may be live, `replaces`.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/l1-headers", tag = "credentials",
    request_body = NewLogin,
    responses((status = 200, description = "The headers", body = IssuedLogin)),
)]
pub(super) async fn issue_l1_header(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    Body(new, request): Body<NewLogin>,
) -> Result<Response, Problem> {
    let wish = wish(&app, &caller, &name, Action::IssueL1Header, request).await?;
    let replaces = new.replaces.map_or(Replaces::Nothing, Replaces::Key);
    let done = app.api_keys.hand_out(wish, new.nonce, None, replaces);
    Ok(write::uncached(signed(done.await?)))
}

/// The API key of a path, for a caller who may do this with it.
async fn kept(
    app: &App,
    caller: &Caller,
    (wallet, api_key): &(String, String),
    operation: &'static str,
    action: Action,
) -> Result<(KeyRequest, Credential), Problem> {
    let name = named(wallet)?;
    let request = of_operation(operation, &name);
    let wish = wish(app, caller, &name, action, request).await?;
    let credential = app.api_keys.find(&wish, api_key).await?;
    Ok((wish, credential))
}

/// The name in a path with two parts. What cannot be a name is not there.
pub(super) fn named(text: &str) -> Result<Name, Problem> {
    text.parse().map_err(|_| Problem::not_found("wallet"))
}

/// Whether the caller may see a wallet.
pub(super) fn sees(app: &App, caller: &Caller, action: Action, wallet: &Wallet) -> bool {
    app.would(caller, action, &wallet.resource())
}
