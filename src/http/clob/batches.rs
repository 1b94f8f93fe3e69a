//! `POST /v1/wallets/{wallet}/orders/batch`.

use std::time::Instant;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::value::RawValue;
use tokio::time::timeout_at;

use super::orders::{not_looked_up, wallet};
use crate::app::App;
use crate::callers::Caller;
use crate::clob::draft::{IssuedOrder, OrderDraft};
use crate::clob::making::{Maker, NewOrder, NotMade};
use crate::clob::wallets::Wallet;
use crate::clob::{MarketOrderRequest, Order, OrderRequest};
use crate::http::admission::Admitted;
use crate::http::body::{self, Body, Named};
use crate::http::caller::{Afresh, Deadline, Required};
use crate::http::problem::{self, Document, Problem, Replaced};
use crate::http::write;
use crate::signing::{
    Asked, AskedTogether, Business, Draft, LARGEST_BATCH, Right, Signed, SigningError,
};

/// Orders to be signed together.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderBatch {
    /// 1 to 100 limit orders (with a `size`) and market orders (with an `amount`), in any mixture.
    #[schema(value_type = Vec<AnyOrder>, min_items = 1, max_items = 100)]
    orders: Vec<Box<RawValue>>,
}

/// Stands for both kinds in the document; each is read as its own.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum AnyOrder {
    Limit(Box<OrderRequest>),
    Market(Box<MarketOrderRequest>),
}

/// What became of the orders of a batch.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct SignedBatch {
    /// One for each order, in their order.
    orders: Vec<OrderOutcome>,
}

/// What became of one order: signed, or a problem.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct OrderOutcome {
    /// What the status would be if it had come alone; 200 if it is signed.
    status: u16,
    /// The signed order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<IssuedOrder>)]
    order: Option<Box<RawValue>>,
    /// Whether it was signed by an earlier request under the same key.
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<bool>,
    /// Why it is not signed, or that it is not known yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Document<'static>>)]
    problem: Option<serde_json::Value>,
}

impl From<Result<Signed, Problem>> for OrderOutcome {
    fn from(done: Result<Signed, Problem>) -> Self {
        match done {
            Ok(Signed { body, replayed }) => {
                let body = String::from_utf8(body).expect("JSON is UTF-8");
                Self {
                    status: 200,
                    order: Some(RawValue::from_string(body).expect("an answer is JSON")),
                    replayed: Some(replayed),
                    problem: None,
                }
            }
            Err(problem) => {
                let document = problem.document();
                Self {
                    status: document.status,
                    order: None,
                    replayed: None,
                    problem: Some(serde_json::to_value(&document).expect("plain data serializes")),
                }
            }
        }
    }
}

/// Sign many orders
///
/// Up to 100 limit and market orders of one wallet, with one record for all and signed at the same
/// time. One that cannot be signed takes none with it: the answer is 200 and says for each what
/// happened. Under one `Idempotency-Key` (at most 252 characters) stands the whole batch: repeat it
/// to get what is missing. The service posts nothing; mind that the CLOB's `POST /orders` takes 15
/// orders an envelope.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/orders/batch", tag = "orders",
    request_body = OrderBatch,
    responses((status = 200, description = "What became of each order", body = SignedBatch)),
)]
#[expect(clippy::too_many_arguments, reason = "each part of the request is one")]
pub(super) async fn sign_orders(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    Required(key): Required,
    Deadline(deadline): Deadline,
    Afresh(afresh): Afresh,
    Extension(admitted): Extension<Admitted>,
    Body(batch, digest): Body<OrderBatch>,
) -> Result<Response, Problem> {
    let since = Instant::now();
    let patience = app.signer.deadline(deadline);
    if !(1..=LARGEST_BATCH).contains(&batch.orders.len()) {
        let detail = format!(
            "orders: 1 to {LARGEST_BATCH} are wanted, {} came",
            batch.orders.len()
        );
        return Err(Problem::new(&problem::INVALID_FIELD, detail));
    }
    let asked = AskedTogether {
        digest,
        idempotency: key,
        deadline,
    };
    let items: Vec<Asked> = (0..batch.orders.len())
        .map(|number| asked.item(number))
        .collect::<Result<_, _>>()
        .map_err(|_| {
            let detail = "the Idempotency-Key of a batch has at most 252 characters";
            Problem::new(&problem::MALFORMED_HEADER, detail)
        })?;
    admitted.begin(batch.orders.len()).await?;
    let wallet = wallet(&app, &caller, &name).await?;
    let successor = Replaced::is(&wallet);

    // What is looked up has half of the time, so that one slow market does not cost the others theirs.
    let made = make(&app, &wallet, &batch, (since, afresh), since + patience / 2).await;
    let mut outcomes: Vec<Option<Result<Signed, Problem>>> = Vec::with_capacity(made.len());
    let mut drafts: Vec<(Box<dyn Draft>, Asked)> = Vec::with_capacity(made.len());
    for (made, item) in made.into_iter().zip(items) {
        match made {
            Ok(order) => {
                let wallet = wallet.clone();
                drafts.push((Box::new(OrderDraft { wallet, order }), item));
                outcomes.push(None);
            }
            Err(problem) => {
                let right = Right::new(&wallet.key, Business::Ordinary, &caller);
                let key = item.idempotency.as_ref().unwrap_or(&asked.idempotency);
                let earlier = app.signer.earlier(&caller, right, key, item.digest).await?;
                outcomes.push(Some(earlier.ok_or(problem)));
            }
        }
    }
    let asked = AskedTogether {
        deadline: Some((since + patience).saturating_duration_since(Instant::now())),
        ..asked
    };
    let mut signed = app.signer.sign_all(&caller, drafts, &asked).await;
    if let Some(reused) = signed
        .iter()
        .position(|it| matches!(it, Err(SigningError::KeyReused)))
    {
        let reused = signed.swap_remove(reused);
        return Err(reused.map_or_else(Problem::from, |_| Problem::busy()));
    }
    let mut signed = signed.into_iter();
    let orders: Vec<OrderOutcome> = outcomes
        .into_iter()
        .map(|known| match known {
            Some(known) => known.into(),
            None => signed
                .next()
                .expect("each draft has its result")
                .map_err(|error| Problem::of_wallet(error, successor.as_ref()))
                .into(),
        })
        .collect();
    let all_replayed = orders.iter().all(|it| it.replayed == Some(true));
    let body = serde_json::to_vec(&SignedBatch { orders }).expect("plain data serializes");
    let mut response = write::json(StatusCode::OK, body);
    if all_replayed {
        let replayed = HeaderValue::from_static("true");
        response.headers_mut().insert(write::REPLAYED, replayed);
    }
    Ok(response)
}

/// Makes each order, all at the same time.
async fn make(
    app: &App,
    wallet: &Wallet,
    batch: &OrderBatch,
    (since, afresh): (Instant, bool),
    until: Instant,
) -> Vec<Result<Order, Problem>> {
    let work: Vec<_> = batch
        .orders
        .iter()
        .map(|item| {
            let wish = read(item)?;
            let (app, profile) = (app.clone(), wallet.profile);
            Ok(app.clone().tasks.spawn(async move {
                let maker = Maker {
                    profile: &profile,
                    markets: &app.markets,
                    clock: &app.clock,
                    since,
                    afresh,
                };
                maker.make(&wish).await
            }))
        })
        .collect();
    let mut made = Vec::with_capacity(work.len());
    for work in work {
        made.push(match work {
            Err(problem) => Err(problem),
            Ok(work) => match timeout_at(until.into(), work).await {
                Ok(Ok(made)) => made.map_err(NotMade::into),
                Ok(Err(_)) | Err(_) => Err(not_looked_up()),
            },
        });
    }
    made
}

/// An order of a batch: of which kind is told by what it is a number of.
fn read(item: &RawValue) -> Result<NewOrder, Problem> {
    let bytes = item.get().as_bytes();
    let value = body::object(bytes)?;
    match (value.get("size").is_some(), value.get("amount").is_some()) {
        (true, false) => Ok(NewOrder::Limit(Box::new(body::typed(bytes)?))),
        (false, true) => Ok(NewOrder::Market(Box::new(body::typed(bytes)?))),
        _ => {
            let detail = "a limit order has a size and a market order an amount: one of the two";
            Err(Problem::new(&problem::INVALID_FIELD, detail))
        }
    }
}
