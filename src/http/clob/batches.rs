//! `POST /v1/wallets/{wallet}/orders/batch`.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::value::RawValue;
use tokio::task::JoinHandle;
use tokio::time::timeout_at;
use tracing::Instrument as _;

use super::exposure;
use super::orders::not_looked_up;
use super::wallets::permitted_at_gate;
use crate::app::App;
use crate::callers::Caller;
use crate::clob::draft::{IssuedOrder, OrderDraft};
use crate::clob::making::{Maker, NewOrder, NotMade};
use crate::clob::wallets::Wallet;
use crate::clob::{MarketOrderRequest, Order, OrderRequest};
use crate::http::admission::Admitted;
use crate::http::admit::{durable, passed_gate};
use crate::http::body::{self, Body, Named};
use crate::http::caller::{Afresh, RequiredKey, Waits};
use crate::http::dry_run::Outcome;
use crate::http::problem::{self, Document, Problem, Replaced};
use crate::http::write;
use crate::policy::{Action, Deed};
use crate::signing::{
    BatchRequest, Draft, DryRun, LARGEST_BATCH, Signed, SigningError, SigningRequest,
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
    /// What would be signed, where it says `dryRun`: as if it had come alone.
    #[serde(rename = "dryRun", skip_serializing_if = "Option::is_none")]
    dry_run: Option<Box<DryRun>>,
    /// Whether it was signed by an earlier request under the same key.
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<bool>,
    /// Why it is not signed, or that it is not known yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Document<'static>>)]
    problem: Option<serde_json::Value>,
}

impl From<Result<Outcome, Problem>> for OrderOutcome {
    fn from(done: Result<Outcome, Problem>) -> Self {
        let mut outcome = Self {
            status: 200,
            order: None,
            dry_run: None,
            replayed: None,
            problem: None,
        };
        match done {
            Ok(Outcome::Signed(Signed { body, replayed, .. })) => {
                let body = String::from_utf8(body).expect("JSON is UTF-8");
                outcome.order = Some(RawValue::from_string(body).expect("an answer is JSON"));
                outcome.replayed = Some(replayed);
            }
            Ok(Outcome::Tried(run, _)) => outcome.dry_run = Some(run),
            Err(problem) => {
                let document = problem.document();
                outcome.status = document.status;
                outcome.problem =
                    Some(serde_json::to_value(&document).expect("plain data serializes"));
            }
        }
        outcome
    }
}

/// Sign many orders
///
/// Up to 100 limit and market orders of one wallet, with one record for all and signed at the same
/// time. One that cannot be signed takes none with it: the answer is 200 and says for each what
/// happened. Under one `Idempotency-Key` (at most 252 characters) stands the whole batch: repeat it
/// to get what is missing. An order with `dryRun` in it is tried out and not signed. The service posts nothing; mind that the CLOB's `POST /orders` takes 15
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
    RequiredKey(key): RequiredKey,
    waits: Waits,
    Afresh(afresh): Afresh,
    Extension(admitted): Extension<Admitted>,
    Body(batch, digest): Body<OrderBatch>,
) -> Result<Response, Problem> {
    let since = Instant::now();
    let patience = app.signer.deadline(waits.deadline);
    if !(1..=LARGEST_BATCH).contains(&batch.orders.len()) {
        let detail = format!(
            "orders: 1 to {LARGEST_BATCH} are wanted, {} came",
            batch.orders.len()
        );
        return Err(Problem::new(&problem::INVALID_FIELD, detail));
    }
    let asked = BatchRequest {
        digest,
        idempotency: key,
        deadline: waits.deadline,
        held: waits.held,
    };
    let items: Vec<SigningRequest> = (0..batch.orders.len())
        .map(|number| asked.item(number))
        .collect::<Result<_, _>>()
        .map_err(|_| {
            let detail = "the Idempotency-Key of a batch has at most 252 characters";
            Problem::new(&problem::MALFORMED_HEADER, detail)
        })?;
    admitted.begin(batch.orders.len()).await?;
    let mut wallet = permitted_at_gate(&app, &caller, Action::SignOrder, &name).await?;
    let attempt = Attempt {
        app: &app,
        caller: &caller,
        batch: &batch,
        items: &items,
        asked: &asked,
        since,
        patience,
        afresh,
    };
    let mut done = attempt.with(&wallet, (0..items.len()).collect()).await?;
    if done.iter().any(|(_, it)| is_about_the_key(it)) {
        let now = app.wallets.now(&wallet).await?;
        if now.is_restated(&wallet) {
            let (again, settled) = done.into_iter().partition(|(_, it)| is_about_the_key(it));
            let again: Vec<(usize, Result<Outcome, Not>)> = again;
            done = settled;
            let again = again.into_iter().map(|(number, _)| number).collect();
            done.extend(attempt.with(&now, again).await?);
        }
        wallet = now;
    }
    done.sort_by_key(|(number, _)| *number);
    let since = done
        .iter()
        .filter_map(|(_, it)| it.as_ref().ok().map(Outcome::since));
    let mut since = since.min();
    if since.is_some_and(|since| since.elapsed() > OLD) {
        // The first have waited for the last: what was true when they were released is looked at again.
        let wishes = batch.orders.iter().filter_map(|order| read(order).ok());
        let deed = Deed::new(Action::SignOrder, wallet.resource())
            .on_markets(wishes.map(|it| it.token_id().0).collect());
        since = Some(app.signer.still(&caller, (deed, &wallet.key)).await?);
    }
    for (_, done) in &done {
        if let Err(Not::Signed(error)) = done {
            exposure::see_to(&app, &caller, &wallet, digest, error);
        }
    }
    let successor = Replaced::is(&wallet);
    let orders: Vec<OrderOutcome> = done
        .into_iter()
        .map(|(_, done)| {
            let done = done.map_err(|not| match not {
                Not::Made(problem) => problem,
                Not::Signed(error) => Problem::of_wallet(error, successor.as_ref()),
            });
            done.into()
        })
        .collect();
    let all_done = orders.iter().all(|it| it.problem.is_none());
    let all_replayed = orders.iter().all(|it| it.replayed == Some(true));
    let body = serde_json::to_vec(&SignedBatch { orders }).expect("plain data serializes");
    let mut response = write::json(StatusCode::OK, body);
    if all_replayed {
        let replayed = HeaderValue::from_static("true");
        response.headers_mut().insert(write::REPLAYED, replayed);
    }
    Ok(match since {
        Some(since) if all_done => passed_gate(response, since),
        Some(since) => durable(response, since),
        None => response,
    })
}

/// How long the first signature of a batch waits for the last without being looked at again.
const OLD: Duration = Duration::from_millis(250);

/// Why an order of a batch is not signed.
enum Not {
    Made(Problem),
    Signed(SigningError),
}

fn is_about_the_key(done: &Result<Outcome, Not>) -> bool {
    matches!(done, Err(Not::Signed(error)) if error.is_about_the_key())
}

/// A batch, to be signed with a wallet.
struct Attempt<'a> {
    app: &'a App,
    caller: &'a Caller,
    batch: &'a OrderBatch,
    items: &'a [SigningRequest],
    asked: &'a BatchRequest,
    since: Instant,
    patience: Duration,
    afresh: bool,
}

impl Attempt<'_> {
    /// What becomes of the orders with these numbers.
    async fn with(
        &self,
        wallet: &Arc<Wallet>,
        numbers: Vec<usize>,
    ) -> Result<Vec<(usize, Result<Outcome, Not>)>, Problem> {
        let door = &self.app.signer;
        let limits = self.app.limits.book()?;
        let mut done = Vec::with_capacity(numbers.len());
        let mut drafted = Vec::with_capacity(numbers.len());
        let mut drafts: Vec<(Box<dyn Draft>, SigningRequest)> = Vec::with_capacity(numbers.len());
        for (number, made) in self.make(wallet, numbers).await {
            let item = &self.items[number];
            match made {
                Ok((order, meant)) => {
                    let wallet = wallet.clone();
                    let draft = OrderDraft::new(wallet, order).again(meant.again);
                    let mut draft = Box::new(draft);
                    draft
                        .look_at_book(self.caller.id, &limits, &self.app.markets, &self.app.clock)
                        .await;
                    if meant.dry_run {
                        let tried = door.try_out(self.caller, draft).await;
                        let tried = tried.map(|(run, since)| Outcome::Tried(Box::new(run), since));
                        done.push((number, tried.map_err(Not::Signed)));
                        continue;
                    }
                    drafts.push((draft, item.clone()));
                    drafted.push(number);
                }
                // What cannot be made cannot be decided on, where a policy looks at it.
                Err(problem) if self.app.rights.looks_at_stakes(Action::SignOrder) => {
                    done.push((number, Err(Not::Made(problem))));
                }
                Err(problem) => {
                    let wish = read(&self.batch.orders[number]).ok();
                    let deed = Deed::new(Action::SignOrder, wallet.resource())
                        .on_markets(wish.map(|it| it.token_id().0).into_iter().collect());
                    let what = (deed, &wallet.key);
                    let key = item.idempotency.as_ref();
                    let key = key.unwrap_or(&self.asked.idempotency);
                    let earlier = door.earlier(self.caller, what, key, item.digest);
                    let earlier = match earlier.await {
                        Ok(earlier) => earlier.map(Outcome::Signed).ok_or(Not::Made(problem)),
                        Err(error) if error.is_about_the_key() => Err(Not::Signed(error)),
                        Err(error) => return Err(error.into()),
                    };
                    done.push((number, earlier));
                }
            }
        }
        let until = self.since + self.patience;
        let asked = BatchRequest {
            deadline: Some(until.saturating_duration_since(Instant::now())),
            ..self.asked.clone()
        };
        let signed = door.sign_all(self.caller, drafts, &asked).await;
        for (number, signed) in drafted.into_iter().zip(signed) {
            match signed {
                Err(reused @ SigningError::KeyReused) => return Err(reused.into()),
                signed => done.push((number, signed.map(Outcome::Signed).map_err(Not::Signed))),
            }
        }
        Ok(done)
    }

    /// Makes each order, all at the same time, and says how it is meant. What is looked up has half of the time, so that one slow
    /// market does not cost the others theirs.
    async fn make(
        &self,
        wallet: &Wallet,
        numbers: Vec<usize>,
    ) -> Vec<(usize, Result<(Order, Meant), Problem>)> {
        let mut work = Vec::with_capacity(numbers.len());
        for number in numbers {
            let (meant, made) = match read(&self.batch.orders[number]) {
                Ok(wish) => (Meant::of(&wish), self.begin(wallet, wish).await),
                Err(problem) => (Meant::default(), Making::Done(Err(problem))),
            };
            work.push((number, meant, made));
        }
        let until = self.since + self.patience / 2;
        let mut done = Vec::with_capacity(work.len());
        for (number, meant, work) in work {
            let made = match work {
                Making::Done(made) => made,
                Making::UnderWay(task) => match timeout_at(until.into(), task).await {
                    Ok(Ok(made)) => made.map_err(NotMade::into),
                    Ok(Err(_)) | Err(_) => Err(not_looked_up()),
                },
            };
            done.push((number, made.map(|order| (order, meant))));
        }
        done
    }

    /// Makes an order, by a task of its own only if something has to be waited for.
    async fn begin(&self, wallet: &Wallet, wish: NewOrder) -> Making {
        let (app, profile) = (self.app.clone(), wallet.profile);
        let (since, afresh) = (self.since, self.afresh);
        let mut work = Box::pin(async move {
            let maker = Maker {
                profile: &profile,
                markets: &app.markets,
                clock: &app.clock,
                since,
                afresh,
            };
            maker.make(&wish).await
        });
        match poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await {
            Poll::Ready(made) => Making::Done(made.map_err(NotMade::into)),
            Poll::Pending => Making::UnderWay(self.app.tasks.spawn(work.in_current_span())),
        }
    }
}

/// How an order is meant.
#[derive(Clone, Copy, Default)]
struct Meant {
    /// As a second one, though the same came a moment ago.
    again: bool,
    /// To be tried out.
    dry_run: bool,
}

impl Meant {
    fn of(order: &NewOrder) -> Self {
        Self {
            again: order.is_meant_again(),
            dry_run: order.is_dry_run(),
        }
    }
}

/// An order on its way.
#[expect(
    clippy::large_enum_variant,
    reason = "most are done at once, and each is moved once"
)]
enum Making {
    Done(Result<Order, Problem>),
    UnderWay(JoinHandle<Result<Order, NotMade>>),
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
