//! `POST /v1/explain`: why an order is refused.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::wallets;
use crate::app::App;
use crate::callers::Caller;
use crate::clob::explain::{Change, Expected, Explanation, Recorded, Refusal, Subject};
use crate::clob::request::OrderType;
use crate::clob::{Chain, Profile, Version};
use crate::ethereum::Address;
use crate::http::body::Body;
use crate::http::problem::{self, Problem};
use crate::http::signatures::visible;
use crate::id::IntentId;
use crate::name::Name;
use crate::signing::signatures::{By, Entry};

/// How long a question waits for the one before it.
const PATIENCE: Duration = Duration::from_secs(3);
/// So many characters of an error are looked at.
const ERROR_LIMIT: usize = 4096;

/// An order, and what it should have been as far as you know.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OrderQuestion {
    /// The `order` member of the body of `POST /order`, or that whole body; of any version.
    #[schema(value_type = Object)]
    order: Box<RawValue>,
    /// The chain of the CLOB that refused: 137 or 80002.
    #[schema(value_type = Option<u64>)]
    chain_id: Option<Chain>,
    /// Whether the market is neg-risk.
    neg_risk: Option<bool>,
    /// The version that the CLOB takes: 1, 2 or 3.
    #[schema(value_type = Option<u8>)]
    version: Option<Version>,
    /// The market's tick, as text.
    #[schema(example = "0.01")]
    tick_size: Option<String>,
    /// How the order is posted, where you do not give the whole body.
    order_type: Option<OrderType>,
    /// The address whose key should have signed.
    #[schema(value_type = Option<String>)]
    signer: Option<Address>,
    /// The wallet here that should have signed.
    #[schema(value_type = Option<String>)]
    wallet: Option<Name>,
    /// The signature's id here, where you know it.
    #[schema(value_type = Option<String>)]
    id: Option<IntentId>,
    /// What the CLOB said: its text, or the whole body.
    error: Option<String>,
    /// The HTTP status of its answer: 425 has no text.
    #[schema(example = 400)]
    status: Option<u16>,
    /// Headers of its answer. With 429, `poly-ratelimit-…` and `retry-after` are looked at.
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// What is wrong with an order.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct OrderExplanation {
    #[serde(flatten)]
    explanation: Explanation,
    /// The order was signed here, and you may see it.
    record: Option<RecordView>,
}

/// An order that was signed here.
#[derive(serde::Serialize, utoipa::ToSchema)]
struct RecordView {
    #[schema(value_type = String)]
    id: IntentId,
    wallet: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// Every member that is not what was released.
    changed: Vec<Change>,
}

/// Explain an order
///
/// Says what makes a CLOB refuse it, by trying its near misses; an order that was signed here is
/// compared with its record. What is proven is said, and nothing else.
#[utoipa::path(post, path = "/v1/explain", tag = "orders",
    request_body = OrderQuestion,
    responses((status = 200, description = "What is wrong", body = OrderExplanation)),
)]
pub(super) async fn explain_order(
    State(app): State<App>,
    caller: Caller,
    Body(question, _): Body<OrderQuestion>,
) -> Result<Json<OrderExplanation>, Problem> {
    let invalid = |why: String| Problem::new(&problem::INVALID_FIELD, why);
    let subject = Subject::read(&question.order).map_err(|error| invalid(error.to_string()))?;
    let tick = question.tick_size.as_deref().map(str::parse).transpose();
    let wallet = match &question.wallet {
        Some(name) => Some(wallets::visible(&app, &caller, name).await?),
        None => None,
    };
    let of_wallet = wallet.as_ref().map(|it| &it.profile);
    let expected = Expected {
        version: question.version,
        chain: question.chain_id.or(of_wallet.map(Profile::chain)),
        neg_risk: question.neg_risk,
        tick: tick.map_err(|error| invalid(format!("tickSize: {error}")))?,
        signer: question.signer.or(of_wallet.map(Profile::key_address)),
        order_type: question.order_type,
        now_s: Some(app.clock.unix_s()),
    };
    let refusal = Refusal {
        text: question
            .error
            .map(|text| text.chars().take(ERROR_LIMIT).collect()),
        status: question.status,
        headers: question.headers,
    };

    let found = record(&app, &caller, question.id, &subject).await?;
    // One at a time: it computes, and signing needs the processors.
    let turn = tokio::time::timeout(PATIENCE, app.explaining.turn(caller.id)).await;
    let Ok(turn) = turn else {
        return Err(Problem::busy());
    };
    let answer = app.tasks.spawn_blocking(move || {
        let _turn = turn; // until the work is done, also where nobody waits for it any more
        match found {
            Some((entry, wallet, recorded)) => {
                let (explanation, changed) =
                    subject.explain_recorded(&recorded, &expected, &refusal);
                OrderExplanation {
                    explanation,
                    record: Some(RecordView {
                        id: entry.id,
                        wallet: wallet.to_string(),
                        created_at: entry.created_at,
                        changed,
                    }),
                }
            }
            None => OrderExplanation {
                explanation: subject.explain(&expected, &refusal),
                record: None,
            },
        }
    });
    answer.await.map(Json).map_err(|error| {
        tracing::error!(%error, "an explanation broke off");
        Problem::new(&problem::INTERNAL, "the explanation broke off")
    })
}

/// The order's record, where it was signed here and the caller may see it: by its id, by the r of
/// its signature, or by what was signed.
async fn record(
    app: &App,
    caller: &Caller,
    id: Option<IntentId>,
    subject: &Subject,
) -> Result<Option<(Entry, Name, Recorded)>, Problem> {
    if let Some(id) = id {
        let found = released(visible(app, caller, &By::Id(id)).await?);
        return found
            .map(Some)
            .ok_or_else(|| Problem::not_found("released order"));
    }
    if let Some(r) = subject.r()
        && let Some(found) = released(visible(app, caller, &By::R(r)).await?)
    {
        return Ok(Some(found));
    }
    let digests = subject.digests();
    Ok(released(visible(app, caller, &By::Digests(digests)).await?))
}

fn released(entries: Vec<(Entry, Name)>) -> Option<(Entry, Name, Recorded)> {
    entries
        .into_iter()
        .filter(|(entry, _)| entry.operation == "order")
        .find_map(|(entry, wallet)| {
            let recorded = Recorded::of(entry.answer.as_ref()?)?;
            let recorded = match entry.withheld {
                Some(_) => recorded.silent(),
                None => recorded,
            };
            Some((entry, wallet, recorded))
        })
}
