//! `POST /v1/wallets/{wallet}/orders` and `…/market-orders`.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::Response;
use tokio::time::timeout_at;

use super::exposure;
use super::wallets::{once_more, permitted_at_gate};
use crate::app::App;
use crate::callers::Caller;
use crate::clob::draft::{IssuedOrder, OrderDraft};
use crate::clob::making::{Maker, NewOrder};
use crate::clob::wallets::Wallet;
use crate::clob::{MarketOrderRequest, OrderRequest};
use crate::http::body::{Body, Named};
use crate::http::caller::{Afresh, RequiredKey, Waits};
use crate::http::dry_run::{self, Outcome};
use crate::http::problem::{self, Problem, Replaced};
use crate::idempotency::{Key, RequestDigest};
use crate::name::Name;
use crate::policy::{Action, Deed};
use crate::signing::{DryRun, SigningError, SigningRequest};

/// The answer, or with `dryRun` what would be signed.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum OrderAnswer {
    Done(IssuedOrder),
    DryRun(DryRun),
}

/// Sign an order
///
/// Builds a limit order as the official clients do, signs it with the wallet's key, and answers once
/// both are on record. The service does not post it. What the request leaves out of its market is
/// looked up at the CLOB. With `dryRun` it goes the same way up to the device, and the answer says what would
/// be signed: a refusal is the one that the order itself would meet.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/orders", tag = "orders",
    request_body = OrderRequest,
    responses((status = 200, description = "The signed order", body = OrderAnswer)),
)]
pub(super) async fn sign_order(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    waits: Waits,
    Afresh(afresh): Afresh,
    Body(request, digest): Body<OrderRequest>,
) -> Result<Response, Problem> {
    let asked = OrderToSign {
        wish: NewOrder::Limit(Box::new(request)),
        key,
        digest,
        waits,
        afresh,
    };
    asked.sign(&app, &caller, &name).await
}

/// Sign a market order
///
/// Cash to spend or shares to give, filled at once or not at all. The limit is the price that you name,
/// or the one at which the CLOB's book fills the amount, as the official clients work it out; the
/// answer and the record say which. The service does not post the order. `dryRun` as with a limit order.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/market-orders", tag = "orders",
    request_body = MarketOrderRequest,
    responses((status = 200, description = "The signed order", body = OrderAnswer)),
)]
pub(super) async fn sign_market_order(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    waits: Waits,
    Afresh(afresh): Afresh,
    Body(request, digest): Body<MarketOrderRequest>,
) -> Result<Response, Problem> {
    let asked = OrderToSign {
        wish: NewOrder::Market(Box::new(request)),
        key,
        digest,
        waits,
        afresh,
    };
    asked.sign(&app, &caller, &name).await
}

/// What is said where the CLOB took all the time there was.
pub(super) fn not_looked_up() -> Problem {
    let detail = "the CLOB did not answer within the deadline; nothing was signed";
    Problem::new(&problem::DEADLINE_EXCEEDED, detail)
}

/// A request for one order.
struct OrderToSign {
    wish: NewOrder,
    key: Key,
    digest: RequestDigest,
    waits: Waits,
    afresh: bool,
}

impl OrderToSign {
    async fn sign(self, app: &App, caller: &Caller, name: &Name) -> Result<Response, Problem> {
        let since = Instant::now();
        let until = since + app.signer.deadline(self.waits.deadline);
        // Before anything is looked up for them.
        let wallet = permitted_at_gate(app, caller, Action::SignOrder, name).await?;
        let error = match self.try_with(app, caller, &wallet, (since, until)).await? {
            Ok(done) => return Ok(done.answer()),
            Err(error) => error,
        };
        exposure::see_to(app, caller, &wallet, self.digest, &error);
        let now = once_more(app, &wallet, error).await?;
        let done = self.try_with(app, caller, &now, (since, until)).await?;
        let replaced = Replaced::is(&now);
        done.map(Outcome::answer)
            .map_err(|error| Problem::of_wallet(error, replaced.as_ref()))
    }

    /// Makes and signs it; or what the door said.
    async fn try_with(
        &self,
        app: &App,
        caller: &Caller,
        wallet: &Arc<Wallet>,
        (since, until): (Instant, Instant),
    ) -> Result<Result<Outcome, SigningError>, Problem> {
        let maker = Maker {
            profile: &wallet.profile,
            markets: &app.markets,
            clock: &app.clock,
            since,
            afresh: self.afresh,
        };
        let made = timeout_at(until.into(), maker.make(&self.wish)).await;
        let order = match made.map_or_else(|_| Err(not_looked_up()), |made| Ok(made?)) {
            Ok(order) => order,
            // What cannot be made cannot be decided on, where a policy looks at it.
            Err(problem)
                if self.wish.is_dry_run() || app.rights.looks_at_stakes(Action::SignOrder) =>
            {
                return Err(problem);
            }
            Err(problem) => {
                // It may have been made before, when it still could be.
                let deed = Deed::new(Action::SignOrder, wallet.resource())
                    .on_markets(vec![self.wish.token_id().0]);
                let what = (deed, &wallet.key);
                let earlier = app.signer.earlier(caller, what, &self.key, self.digest);
                return match earlier.await {
                    Ok(Some(earlier)) => Ok(Ok(Outcome::Signed(earlier))),
                    Ok(None) => Err(problem),
                    Err(error) => Ok(Err(error)),
                };
            }
        };
        let asked = SigningRequest {
            digest: self.digest,
            idempotency: Some(self.key.clone()),
            deadline: Some(until.saturating_duration_since(Instant::now())),
            held: self.waits.held.clone(),
        };
        let wallet = wallet.clone();
        let draft = OrderDraft::new(wallet, order).again(self.wish.is_meant_again());
        let mut draft = Box::new(draft);
        let limits = app.limits.book()?;
        draft
            .look_at_book(caller.id, &limits, &app.markets, &app.clock)
            .await;
        Ok(dry_run::sign(app, caller, draft, asked, self.wish.is_dry_run()).await)
    }
}
