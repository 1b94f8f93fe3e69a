//! `GET /v1/clients/{client}/jwks.json`.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use crate::app::App;
use crate::custody::PublicKey;
use crate::http::body::Named;
use crate::http::caller::{OptionalCaller, missing};
use crate::http::hidden::found;
use crate::http::problem::Problem;
use crate::http::settings::PublicJwks;
use crate::policy::{Action, Resource};

/// A JSON Web Key Set (RFC 7517).
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct KeySet {
    #[schema(value_type = Vec<Object>)]
    keys: Vec<serde_json::Value>,
}

/// Show a client's key set
///
/// The public keys that may prove the client at its authorization server.
#[utoipa::path(get, path = "/v1/clients/{client}/jwks.json", tag = "clients",
    responses((status = 200, description = "The key set", body = KeySet)),
)]
pub(super) async fn show_jwks(
    State(app): State<App>,
    Extension(PublicJwks(public)): Extension<PublicJwks>,
    OptionalCaller(caller): OptionalCaller,
    Named(name): Named,
) -> Result<Response, Problem> {
    if caller.is_none() && !public {
        return Err(missing());
    }
    let looked = app.clients.show(&name).await;
    let client = match &caller {
        Some(caller) => {
            let nothing = Resource::nothing("Client", &name);
            found(&app, caller, &[Action::View], &nothing, looked)?
        }
        None => looked?,
    };
    let seen = |caller| app.would(caller, Action::View, &client.resource());
    if !caller.as_ref().is_none_or(seen) {
        return Err(Problem::not_found("client"));
    }
    let keys = app.rotations.published(&client).await?;
    let keys = keys.iter().filter_map(|key| key.public_key.as_ref());
    let keys = keys.map(PublicKey::jwk).collect();
    let mut response = Json(KeySet { keys }).into_response();
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("max-age=60"),
    );
    Ok(response)
}
