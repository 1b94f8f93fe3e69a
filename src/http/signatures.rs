//! `/v1/signatures`: what was signed, after an answer was lost.

use axum::Json;
use axum::extract::{Path, State};
use ruint::aliases::U256;
use time::OffsetDateTime;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::body::Params;
use super::problem::{self, Problem};
use super::query;
use crate::app::App;
use crate::callers::{Caller, Kind, Names};
use crate::halts::Winding;
use crate::id::IntentId;
use crate::idempotency::Key;
use crate::name::Name;
use crate::policy::{Action, Deed};
use crate::signing::signatures::{By, Entry};

/// What is at the API's paths for them.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(show_signature))
        .routes(routes!(find_signatures))
}

/// Something that was to be signed, and what became of it.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct SignatureView {
    #[schema(value_type = String)]
    id: IntentId,
    /// `order`, `assertion`, `clob-auth`, `l2-headers`, `builder-headers` or `wallet-operation`.
    operation: String,
    /// The wallet or client.
    subject: String,
    /// The caller's id.
    caller: String,
    /// Their name.
    caller_name: String,
    /// With which of their credentials they came.
    credential: Uuid,
    /// What kind it is.
    credential_kind: Kind,
    /// What was signed: an EIP-712 digest, or SHA-256 of a JWS signing input or of what headers
    /// authenticate.
    digest: String,
    /// The order's hash at the venue, once released.
    #[serde(rename = "orderHash")]
    order_hash: Option<String>,
    /// The same for people: domain and struct, or header and claims.
    #[schema(value_type = Object)]
    record: serde_json::Value,
    /// `released`, `refused` or `abandoned`; null while it is being worked on.
    outcome: Option<String>,
    /// Why it was refused or abandoned.
    reason: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    ended_at: Option<OffsetDateTime>,
    /// The answer as it was released; null for a credential, and where it is withheld.
    #[schema(value_type = Option<Object>)]
    answer: Option<serde_json::Value>,
    /// Why the answer is not told again: the state of a key that would not sign it now, or `not-permitted`
    /// where you may not have it signed any more.
    withheld: Option<&'static str>,
}

/// One of these.
#[derive(serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Search {
    /// What the key signed: 0x and 64 hexadecimal digits.
    digest: Option<String>,
    /// The order's hash at the venue.
    #[serde(rename = "orderHash")]
    #[param(rename = "orderHash")]
    order_hash: Option<String>,
    /// Your own idempotency key, of one request or of a batch.
    idempotency_key: Option<String>,
}

/// Show a signature
#[utoipa::path(get, path = "/v1/signatures/{signature}", tag = "signatures",
    responses((status = 200, description = "The signature", body = SignatureView)),
)]
pub(super) async fn show_signature(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<SignatureView>, Problem> {
    let missing = || Problem::not_found("signature");
    let id = id.parse().map_err(|_| missing())?;
    find(&app, &caller, &By::Id(id))
        .await?
        .into_iter()
        .next()
        .map(Json)
        .ok_or_else(missing)
}

/// Find signatures
///
/// By digest, order hash or your own idempotency key; newest first.
#[utoipa::path(get, path = "/v1/signatures", tag = "signatures",
    params(Search),
    responses((status = 200, description = "Those that you may see", body = Vec<SignatureView>)),
)]
pub(super) async fn find_signatures(
    State(app): State<App>,
    caller: Caller,
    Params(search): Params<Search>,
) -> Result<Json<Vec<SignatureView>>, Problem> {
    let wrong = |detail: &str| Problem::new(&problem::MALFORMED_QUERY, detail);
    let hash = |text: String| query::hash(&text).ok_or_else(|| wrong(query::A_HASH));
    let by = match (search.digest, search.order_hash, search.idempotency_key) {
        (Some(digest), None, None) => By::Digest(hash(digest)?),
        (None, Some(order_hash), None) => By::Alias(hash(order_hash)?),
        (None, None, Some(key)) => {
            let key = Key::try_from(key.as_str()).map_err(|error| wrong(&error.to_string()))?;
            By::IdempotencyKey(caller.id, key)
        }
        _ => {
            return Err(wrong(
                "ask for one of digest, orderHash and idempotency_key",
            ));
        }
    };
    Ok(Json(find(&app, &caller, &by).await?))
}

pub(super) async fn find(
    app: &App,
    caller: &Caller,
    by: &By,
) -> Result<Vec<SignatureView>, Problem> {
    app.count_look_up(caller, Action::ViewSignatures).await?;
    let seen = visible(app, caller, by).await?;
    let who = seen.iter().map(|(entry, _)| entry.caller).collect();
    let names = app.callers.names(who).await?;
    let views = seen
        .into_iter()
        .map(|(entry, on)| view(entry, on.to_string(), &names));
    Ok(views.collect())
}

/// What was found and the caller may see, with the name of the wallet or client.
pub(super) async fn visible(
    app: &App,
    caller: &Caller,
    by: &By,
) -> Result<Vec<(Entry, Name)>, Problem> {
    let mut seen = Vec::new();
    for mut entry in app.signer.look_up(caller, by).await? {
        let markets = market_of(&entry);
        let on = if entry.operation == "assertion" {
            app.clients
                .by_id(entry.subject.into())
                .await?
                .map(|c| (c.resource(), c.name))
        } else if ["possession", "attestation"].contains(&entry.operation.as_str()) {
            app.keys
                .by_id(entry.subject.into())
                .await?
                .map(|k| (k.resource(), k.name))
        } else {
            app.wallets
                .by_id(entry.subject.into())
                .await?
                .map(|w| (w.resource(), w.name))
        };
        let Some((resource, name)) = on else { continue };
        let may = app.would(caller, Action::ViewSignatures, &resource);
        if !may && entry.caller != caller.id {
            continue;
        }
        let again = sign_again(&entry).is_some_and(|action| app.would(caller, action, &resource));
        if entry.answer.is_some() && !may && !again {
            entry.withheld = Some("not-permitted");
        }
        if let Some(action) = entry.answer.as_ref().and(sign_again(&entry)) {
            let winds = entry.is_rescue().then_some(Winding::Empty);
            let deed = Deed::new(action, resource)
                .on_markets(markets)
                .winding(winds);
            if app.rights.halt_on(caller, &deed)?.is_some() {
                entry.withheld = Some("halted");
            }
        }
        seen.push((entry, name));
    }
    Ok(seen)
}

/// The token id of an order, as its record has it.
fn market_of(entry: &Entry) -> Vec<U256> {
    let id = entry.record.pointer("/struct/tokenId");
    let id = id.and_then(serde_json::Value::as_str);
    let id = id.and_then(|text| U256::from_str_radix(text, 10).ok());
    id.into_iter().collect()
}

/// By which right it is signed, where its answer is no credential.
fn sign_again(entry: &Entry) -> Option<Action> {
    match entry.operation.as_str() {
        "order" => Some(Action::SignOrder),
        "possession" | "attestation" => Some(Action::AttestKey),
        "wallet-operation" => {
            let gravest = entry.record.pointer("/actions/0")?.as_str()?;
            Action::from_name(gravest)
        }
        _ => None,
    }
}

fn view(entry: Entry, subject: String, names: &Names) -> SignatureView {
    let text = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    SignatureView {
        id: entry.id,
        operation: entry.operation,
        subject,
        caller: entry.caller.to_string(),
        caller_name: names.of(entry.caller),
        credential: entry.credential,
        credential_kind: entry.kind,
        digest: text(&entry.digest),
        order_hash: entry.alias.as_deref().map(text),
        record: entry.record,
        outcome: entry.outcome,
        reason: entry.reason,
        created_at: entry.created_at,
        ended_at: entry.ended_at,
        withheld: entry.withheld,
        answer: entry
            .answer
            .filter(|_| entry.withheld.is_none())
            .and_then(|bytes| serde_json::from_slice(&bytes).ok()),
    }
}
