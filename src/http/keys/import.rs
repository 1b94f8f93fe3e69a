//! `/v1/keys/import` and `/v1/keys/{key}/material`: private keys that are brought.

use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::{KeyView, environment, visible};
use crate::app::App;
use crate::callers::Caller;
use crate::custody::{PublicKey, Scheme};
use crate::http::body::{Body, Named};
use crate::http::caller::RequiredKey;
use crate::http::problem::{self, Problem};
use crate::http::write::{Write, to_its_end};
use crate::id::KeyId;
use crate::keys::{Import, WrappedKey};
use crate::ledger::Gate;
use crate::policy::{Action, Resource};

/// How to bring a key.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct OfferView {
    /// The key's id, which is also its `CKA_ID` in a PKCS#11 token.
    #[schema(value_type = String)]
    id: KeyId,
    /// Its name: the key goes to `POST /v1/keys/{name}/material`.
    name: String,
    /// The Ethereum address of the key that will be taken, if it has one.
    address: Option<String>,
    /// SHA-256 of its `SubjectPublicKeyInfo`.
    fingerprint: String,
    /// How the key, PKCS#8 in DER, is wrapped: RSA-OAEP of an AES-256 key, then RFC 5649 with that.
    scheme: Scheme,
    /// Under which RSA key: its `SubjectPublicKeyInfo` in DER, in base64.
    wrapping_key: String,
    /// All of it, signed by the environment's key for checkpoints, where there is one: a flattened JWS
    /// (RFC 7515, 7.2.2). Who pins that key need not trust the way to the service.
    #[schema(value_type = Option<Object>)]
    statement: Option<Value>,
    /// Until when.
    #[serde(with = "time::serde::rfc3339")]
    ends_at: OffsetDateTime,
}

/// Begin to bring a private key
///
/// For one that exists outside a device. It goes on record with what is announced, and its device says how
/// to wrap it; no private key is sent here in the clear. The same request again begins it again.
#[utoipa::path(post, path = "/v1/keys/import", tag = "keys",
    request_body = Import,
    responses((status = 201, description = "How to bring it", body = OfferView)),
)]
pub(super) async fn begin_import(
    State(app): State<App>,
    caller: Caller,
    RequiredKey(key): RequiredKey,
    Body(wish, request): Body<Import>,
) -> Result<Response, Problem> {
    let to_come = Resource::service().at(wish.stake());
    let permit = app.ask(&caller, Action::ImportKey, &to_come)?;
    // A device may take long to make the wrapping key, and a caller less patience.
    let tasks = app.tasks.clone();
    to_its_end(&tasks, async move {
        let write = Write::new(&app, &caller, &key, request);
        if let Some(earlier) = write.earlier(&permit).await? {
            return Ok(earlier);
        }
        environment::known(&app, wish.purpose, &wish.environment)?;
        let begun = app.keys.begin_import(&wish, &permit).await?;
        let stated = app.attestations.state_offer(&begun, &caller, request).await;
        let statement = stated.unwrap_or_else(|error| {
            tracing::warn!(key.name = %wish.name, %error, "an offer is not signed");
            None
        });
        let wrapping_key = hex::encode(Sha256::digest(&begun.offer.wrapping_key));
        tracing::info!(key.name = %wish.name, wrapping_key, "an offer stands");
        write
            .conclude(&permit, Gate::Shared, async |change| {
                let ends_at = app.keys.record_offer(&begun, change).await?;
                let announced = &begun.announced;
                Ok(OfferView {
                    id: begun.id,
                    name: wish.name.to_string(),
                    address: PublicKey::address(announced).map(|it| it.to_string()),
                    fingerprint: hex::encode(announced.fingerprint()),
                    scheme: begun.offer.scheme,
                    wrapping_key: STANDARD.encode(&begun.offer.wrapping_key),
                    statement,
                    ends_at,
                })
            })
            .await
    })
    .await
}

/// Bring a private key
///
/// The second step. Its device unwraps the key and shows that it is the announced one. It is marked as
/// imported for ever, and signs nothing before it is activated.
#[utoipa::path(post, path = "/v1/keys/{key}/material", tag = "keys",
    request_body = WrappedKey,
    responses((status = 201, description = "The key, in pre-activation", body = KeyView)),
)]
pub(super) async fn bring_key(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    Body(material, request): Body<WrappedKey>,
) -> Result<Response, Problem> {
    app.rights
        .could(&caller, Action::ImportKey, &Resource::service())?;
    let seen = visible(&app, &caller, &name).await?;
    let to_come = Resource::service().at(seen.stake());
    let permit = app.ask(&caller, Action::ImportKey, &to_come)?;
    let tasks = app.tasks.clone();
    to_its_end(&tasks, async move {
        let write = Write::new(&app, &caller, &key, request);
        if let Some(earlier) = write.earlier(&permit).await? {
            return Ok(earlier);
        }
        let wrapped = STANDARD.decode(&material.wrapped);
        let malformed = |_| Problem::new(&problem::INVALID_FIELD, "wrapped: this is not base64");
        let wrapped = wrapped.map_err(malformed)?;
        let brought = app.keys.bring(&seen, &wrapped, &permit).await?;
        let answer = write
            .conclude(&permit, Gate::Shared, async |change| {
                let recorded = app.keys.record_import(seen.id, &brought, change).await?;
                Ok(KeyView::fresh(&app, &recorded))
            })
            .await;
        if answer.is_err() {
            app.keys.let_import_repeat(seen.id).await;
        }
        answer
    })
    .await
}
