//! `GET /v1/audit/identify`: what something is that somebody has in hand.

use axum::Json;
use axum::extract::State;
use serde_json::json;
use uuid::Uuid;

use super::{look_up, wrong};
use crate::app::App;
use crate::callers::Caller;
use crate::http::body::Params;
use crate::http::problem::Problem;
use crate::lookups::identify::{Shape, Thing};
use crate::signing::signatures::By;

/// What somebody has in hand.
#[derive(serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct InHand {
    /// An id, digest, order hash, signature, address, `jti`, API key, nonce, token id, idempotency key or name.
    text: String,
}

/// Something that it may be.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct ThingView {
    /// `signature`, `jti`, `key`, `wallet`, `client`, `caller`, `credential`, `person`, `approver-key`, `proposal`, `rotation`,
    /// `halt`, `limit`, `account`, `funder`, `nonce`, `market`, `api-key` or `idempotency-key`.
    what: String,
    /// Its id. Of a `jti` or an idempotency key the signature's; of a nonce or an API key the account's.
    id: Option<Uuid>,
    /// What people call it, or of which kind it is.
    name: Option<String>,
    /// To what it belongs, or how it stands.
    of: Option<String>,
    /// Where there is more of it.
    path: Option<String>,
}

impl ThingView {
    fn of(thing: Thing) -> Self {
        let named = |at: &str| Some(format!("/v1/{at}/{}", thing.name.as_ref()?));
        let by_id = |at: &str| Some(format!("/v1/{at}{}", thing.id?));
        let path = match thing.what.as_str() {
            "signature" | "jti" | "idempotency-key" => by_id("signatures/"),
            "key" => named("keys"),
            "wallet" | "funder" => named("wallets"),
            "client" => named("clients"),
            "caller" => named("callers"),
            "person" => named("people"),
            "proposal" => by_id("approvals/"),
            "rotation" => by_id("rotations/"),
            "credential" => by_id("audit/events?credential="),
            "market" => Some(format!(
                "/v1/audit/events?market={}",
                thing.name.as_deref().unwrap_or_default()
            )),
            _ => None,
        };
        Self {
            what: thing.what,
            id: thing.id,
            name: thing.name,
            of: thing.of,
            path,
        }
    }
}

/// Say what this is
///
/// What an id, a digest, an address, an order hash, a `jti`, an API key, a nonce or a name is of; all that it may be. That
/// somebody asked is on record.
#[utoipa::path(get, path = "/v1/audit/identify", tag = "audit",
    params(InHand),
    responses((status = 200, description = "What it may be", body = Vec<ThingView>)),
)]
pub(super) async fn identify(
    State(app): State<App>,
    caller: Caller,
    Params(InHand { text }): Params<InHand>,
) -> Result<Json<Vec<ThingView>>, Problem> {
    if text.len() > 255 {
        return Err(wrong("text", "at most 255 bytes"));
    }
    look_up(&app, &caller, &json!({ "text": text })).await?;
    let shape = Shape::of(&text);
    let mut things = signatures(&app, &caller, &shape).await?;
    things.extend(app.lookups.identify(&shape).await?);
    if let Shape::Address(address) = &shape {
        let wallets = app.wallets.list().await?;
        let of_key = wallets.iter().filter(|it| it.account().address == *address);
        things.extend(of_key.map(|it| Thing {
            what: "wallet".to_owned(),
            id: Some(it.id.uuid()),
            name: Some(it.name.to_string()),
            of: Some(it.key.name.to_string()),
        }));
    }
    Ok(Json(things.into_iter().map(ThingView::of).collect()))
}

/// What was signed that has this for its digest, its hash or its r.
async fn signatures(app: &App, caller: &Caller, shape: &Shape) -> Result<Vec<Thing>, Problem> {
    let marks = match shape {
        Shape::Hash(hash) => vec![By::Digest(*hash), By::Alias(*hash)],
        Shape::Signature(r) => vec![By::R(*r)],
        _ => Vec::new(),
    };
    let mut things: Vec<Thing> = Vec::new();
    for by in marks {
        for entry in app.signer.look_up(caller, &by).await? {
            let thing = Thing {
                what: "signature".to_owned(),
                id: Some(entry.id.uuid()),
                name: Some(entry.operation),
                of: entry.outcome,
            };
            if !things.contains(&thing) {
                things.push(thing);
            }
        }
    }
    Ok(things)
}
