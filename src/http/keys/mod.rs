//! Keys: how they are made, adopted, imported, stepped and destroyed.

mod attestation;
mod destruction;
mod device_switch;
mod environment;
mod history;
mod import;
mod orphans;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use time::OffsetDateTime;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::callers::Caller;
use crate::custody::{Algorithm, PublicKey};
use crate::destruction::GivenBack;
use crate::http::body::{Body, Named, Params};
use crate::http::caller::RequiredKey;
use crate::http::hidden::found;
use crate::http::page::{Page, Paged};
use crate::http::problem::{self, Problem};
use crate::http::write::{Write, to_its_end};
use crate::id::KeyId;
use crate::keys::{Adoption, Bundle, Key, KeyError, KeyState, KeyStep, NewKey, Origin, Purpose};
use crate::ledger::Gate;
use crate::policy::{Action, Denied, Permit, Resource};

/// What is at the API's paths for them.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_keys, create_key))
        .routes(routes!(adopt_key))
        .routes(routes!(device_switch::switch_in_device))
        .routes(routes!(orphans::list_orphans))
        .routes(routes!(orphans::recover_key))
        .routes(routes!(import::begin_import))
        .routes(routes!(import::bring_key))
        .routes(routes!(show_key))
        .routes(routes!(show_bundle))
        .routes(routes!(history::list_key_steps, step_key))
        .routes(routes!(
            attestation::show_attestation,
            attestation::attest_key
        ))
        .routes(routes!(
            destruction::show_destruction,
            destruction::destroy_key
        ))
        .routes(routes!(destruction::cancel_destruction))
        .routes(routes!(destruction::set_cryptoperiod))
}

/// A key: its public parts.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct KeyView {
    /// Its id, which is also its `CKA_ID` in a PKCS#11 token.
    #[schema(value_type = String)]
    id: KeyId,
    name: String,
    purpose: Purpose,
    algorithm: Algorithm,
    /// The `[custody.NAME]` section of its device.
    backend: String,
    /// What its device calls it, where it does not go by the id: an ARN, a `pkcs11:` URI.
    device_ref: Option<String>,
    /// Where it comes from.
    origin: Origin,
    environment: String,
    owner: String,
    state: KeyState,
    /// How often its state has changed.
    epoch: i64,
    /// The Ethereum address of a secp256k1 key.
    address: Option<String>,
    /// The public key as PEM.
    pem: Option<String>,
    /// The public key as a JWK; `kid` is its RFC 7638 thumbprint.
    #[schema(value_type = Option<Object>)]
    jwk: Option<serde_json::Value>,
    /// SHA-256 of the public key's `SubjectPublicKeyInfo`.
    fingerprint: Option<String>,
    /// The private key's attributes, as its device stated them.
    attributes: std::collections::BTreeMap<String, bool>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    cryptoperiod_ends_at: OffsetDateTime,
    /// What may have been mistyped, where the key is new.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl KeyView {
    /// A key that was put on record a moment ago.
    pub(super) fn fresh(app: &App, key: &Key) -> Self {
        Self {
            warnings: environment::warnings(app, key),
            ..Self::from(key)
        }
    }
}

impl From<&Key> for KeyView {
    fn from(key: &Key) -> Self {
        let public = key.public_key.as_ref();
        Self {
            id: key.id,
            name: key.name.to_string(),
            purpose: key.purpose,
            algorithm: key.algorithm,
            backend: key.backend.to_string(),
            device_ref: key.device_ref.as_ref().map(ToString::to_string),
            origin: key.origin,
            environment: key.environment.to_string(),
            owner: key.owner.to_string(),
            state: key.state,
            epoch: key.epoch,
            address: public
                .and_then(PublicKey::address)
                .map(|address| address.to_string()),
            pem: public.map(PublicKey::to_pem),
            jwk: public.map(PublicKey::jwk),
            fingerprint: public.map(|key| hex::encode(key.fingerprint())),
            attributes: key.attributes.clone(),
            created_at: key.created_at,
            cryptoperiod_ends_at: key.cryptoperiod_ends_at,
            warnings: Vec::new(),
        }
    }
}

/// List keys
#[utoipa::path(get, path = "/v1/keys", tag = "keys", params(Page),
    responses((status = 200, description = "The keys that you may see", body = Vec<KeyView>)),
)]
pub(super) async fn list_keys(
    State(app): State<App>,
    caller: Caller,
    Params(page): Params<Page>,
) -> Result<Paged<KeyView>, Problem> {
    let keys = app.keys.list().await?;
    let seen = |key: &&Key| app.would(&caller, Action::View, &key.resource());
    let views = keys.iter().filter(seen).map(KeyView::from);
    page.of("/v1/keys", views.collect(), |it| it.name.clone())
}

/// Show a key
#[utoipa::path(get, path = "/v1/keys/{key}", tag = "keys",
    responses((status = 200, description = "The key", body = KeyView)),
)]
pub(super) async fn show_key(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<KeyView>, Problem> {
    Ok(Json(KeyView::from(&visible(&app, &caller, &name).await?)))
}

/// A public key for a counterparty, and who it proves there.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct BundleView {
    #[serde(flatten)]
    bundle: Bundle,
    /// The clients that it signs for, by the authorization server's name for them.
    client_ids: Vec<String>,
}

/// Show a key's public half as a bundle
///
/// All that a counterparty needs to register it, in the forms in which both sides can compare it.
#[utoipa::path(get, path = "/v1/keys/{key}/bundle", tag = "keys",
    responses((status = 200, description = "The public key", body = BundleView)),
)]
pub(super) async fn show_bundle(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<BundleView>, Problem> {
    let key = visible(&app, &caller, &name).await?;
    let bundle = Bundle::of(&key).ok_or_else(|| Problem::not_found("public key"))?;
    let clients = app.clients.of_key(key.id).await?;
    let seen = clients
        .into_iter()
        .filter(|client| app.would(&caller, Action::View, &client.resource()));
    Ok(Json(BundleView {
        bundle,
        client_ids: seen.map(|client| client.client_id).collect(),
    }))
}

/// Create a key
///
/// Its device makes it; the private half never leaves it. It signs nothing before it is activated.
#[utoipa::path(post, path = "/v1/keys", tag = "keys",
    request_body = NewKey,
    responses((status = 201, description = "The key, in pre-activation", body = KeyView)),
)]
pub(super) async fn create_key(
    State(app): State<App>,
    caller: Caller,
    RequiredKey(key): RequiredKey,
    Body(new, request): Body<NewKey>,
) -> Result<Response, Problem> {
    let to_come = Resource::service().at(new.stake());
    let permit = app.ask(&caller, Action::CreateKey, &to_come)?;
    // A device may take minutes, and a caller less patience: the key is made and recorded even so.
    let tasks = app.tasks.clone();
    to_its_end(&tasks, async move {
        let write = Write::new(&app, &caller, &key, request);
        if let Some(earlier) = write.earlier(&permit).await? {
            return Ok(earlier);
        }
        environment::known(&app, new.purpose, &new.environment)?;
        let (id, made) = app.keys.make(&new, &permit).await?;
        write
            .conclude(&permit, Gate::Shared, async |change| {
                let key = app.keys.record(id, &made, change).await?;
                Ok(KeyView::fresh(&app, &key))
            })
            .await
    })
    .await
}

/// Adopt a key
///
/// A key that its device made before this service knew it. It is looked at, and goes on record with its
/// public half; compare address or fingerprint before it is activated. It signs nothing until then.
#[utoipa::path(post, path = "/v1/keys/adopt", tag = "keys",
    request_body = Adoption,
    responses((status = 201, description = "The key, in pre-activation", body = KeyView)),
)]
pub(super) async fn adopt_key(
    State(app): State<App>,
    caller: Caller,
    RequiredKey(key): RequiredKey,
    Body(adoption, request): Body<Adoption>,
) -> Result<Response, Problem> {
    let to_come = Resource::service().at(adoption.stake());
    let permit = app.ask(&caller, Action::AdoptKey, &to_come)?;
    let write = Write::new(&app, &caller, &key, request);
    if let Some(earlier) = write.earlier(&permit).await? {
        return Ok(earlier);
    }
    environment::known(&app, adoption.purpose, &adoption.environment)?;
    let found = app.keys.look_up(&adoption, &permit).await?;
    write
        .conclude(&permit, Gate::Shared, async |change| {
            let key = app.keys.adopt(&adoption, &found, change).await?;
            Ok(KeyView::fresh(&app, &key))
        })
        .await
}

/// Move a key to another state
#[utoipa::path(post, path = "/v1/keys/{key}/steps", tag = "keys",
    request_body = KeyStep,
    responses((status = 201, description = "The key in its new state", body = KeyView)),
)]
pub(super) async fn step_key(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    Body(step, request): Body<KeyStep>,
) -> Result<Response, Problem> {
    let (seen, view) = permitted(&app, &caller, Action::View, &name).await?;
    let write = Write::new(&app, &caller, &key, request);
    if let Some(earlier) = write.earlier(&view).await? {
        return Ok(earlier);
    }
    let permit = may_step(&app, &caller, &seen, step.to)?;
    if matches!(step.to, KeyState::DestroyPending | KeyState::Destroyed) {
        seen.state.step(step.to).map_err(KeyError::from)?;
        let detail = format!(
            "a key becomes {} by way of POST /v1/keys/{{key}}/destruction",
            step.to.name()
        );
        return Err(Problem::new(&problem::NOT_A_STEP, detail));
    }
    let given_back = match step.to {
        // That does not wait for a device, which goes on.
        KeyState::Compromised => GivenBack::not(),
        _ => app.destructions.give_back(&seen).await?,
    };
    let moved = write
        .conclude(&permit, Gate::Exclusive, async |change| {
            let (to, reason) = (step.to, &step.reason);
            let destructions = &app.destructions;
            let moved = match (seen.state, to) {
                (KeyState::DestroyPending, KeyState::Compromised) => {
                    destructions
                        .declare_compromised(&seen, reason, change)
                        .await?
                }
                (KeyState::DestroyPending, to) => {
                    let back = destructions.cancel(&seen, (to, reason), &given_back, change);
                    back.await?
                }
                (_, to) => app.keys.step(&seen, to, reason, change).await?,
            };
            Ok(KeyView::from(&moved))
        })
        .await;
    app.vault.forget_all(); // what is open for a key that does not sign any more stays open nowhere here
    moved
}

/// Whether a caller may take this step of a key.
pub(super) fn may_step(
    app: &App,
    caller: &Caller,
    key: &Key,
    to: KeyState,
) -> Result<Permit, Denied> {
    let step = key.resource().with_step(key.state.name(), to.name());
    app.ask(caller, Action::StepKey, &step)
}

/// The key, if the caller may see it.
pub(super) async fn visible(
    app: &App,
    caller: &Caller,
    name: &crate::name::Name,
) -> Result<Key, Problem> {
    let nothing = Resource::nothing("Key", name);
    let looked = app.keys.show(name).await;
    let key = found(app, caller, &[Action::View], &nothing, looked)?;
    if app.would(caller, Action::View, &key.resource()) {
        Ok(key)
    } else {
        Err(Problem::not_found("key"))
    }
}

/// The key, and that the caller may do this with it.
pub(in crate::http) async fn permitted(
    app: &App,
    caller: &Caller,
    action: Action,
    name: &crate::name::Name,
) -> Result<(Key, Permit), Problem> {
    let nothing = Resource::nothing("Key", name);
    let looked = app.keys.show(name).await;
    let key = found(app, caller, &[action, Action::View], &nothing, looked)?;
    let permit = app.ask(caller, action, &key.resource())?;
    Ok((key, permit))
}
