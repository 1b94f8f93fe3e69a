//! From a request to an order: the market's terms, the limit, a salt, the time.

use std::time::Instant;

use super::amount::Side;
use super::fees::TakerFees;
use super::market::{Freshness, MarketError, Markets};
use super::order::{Limit, PriceFrom};
use super::request::TokenId;
use super::terms::GivenTerms;
use super::{MarketOrderRequest, Order, OrderError, OrderRequest, Profile, random_salt};
use crate::clock::Clock;

/// An order as somebody asks for it.
#[derive(Debug, Clone)]
pub enum NewOrder {
    /// With a size at a price.
    Limit(Box<OrderRequest>),
    /// With an amount, at once.
    Market(Box<MarketOrderRequest>),
}

impl NewOrder {
    /// Whether it is only to be said what would be signed.
    pub fn is_dry_run(&self) -> bool {
        match self {
            Self::Limit(request) => request.dry_run,
            Self::Market(request) => request.dry_run,
        }
    }

    /// Whether it is another one, though the same was asked for before.
    pub fn is_meant_again(&self) -> bool {
        match self {
            Self::Limit(request) => request.again,
            Self::Market(request) => request.again,
        }
    }

    /// Of what.
    pub fn token_id(&self) -> TokenId {
        match self {
            Self::Limit(request) => request.token_id,
            Self::Market(request) => request.token_id,
        }
    }
}

/// How an order is made.
pub struct Maker<'a> {
    /// For which wallet.
    pub profile: &'a Profile,
    /// What is known of markets.
    pub markets: &'a Markets,
    /// The time.
    pub clock: &'a Clock,
    /// When it was asked for: a book is no older.
    pub since: Instant,
    /// Whether nothing else may be older either.
    pub afresh: bool,
}

/// Why an order was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotMade {
    /// There is no such order.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// Its market is not known well enough.
    #[error(transparent)]
    Market(#[from] MarketError),
}

impl NewOrder {
    fn given_terms(&self) -> GivenTerms {
        match self {
            Self::Limit(request) => request.given_terms(),
            Self::Market(request) => request.given_terms(),
        }
    }
}

impl Maker<'_> {
    /// Makes the order. A price that does not fit the tick in memory is held against today's.
    pub async fn make(&self, order: &NewOrder) -> Result<Order, NotMade> {
        if self.afresh {
            return self.build(order, Freshness::Since(self.since)).await;
        }
        match self.build(order, Freshness::Remembered).await {
            Err(NotMade::Order(error)) if error.depends_on_the_tick() => {
                self.build(order, Freshness::Again(self.since)).await
            }
            done => done,
        }
    }

    async fn build(&self, order: &NewOrder, freshness: Freshness) -> Result<Order, NotMade> {
        let chain = self.profile.chain();
        let asked = order.given_terms();
        let mut terms = self.markets.terms(chain, &asked, freshness).await?;
        // The time and the salt come after what was waited for.
        let moment = || {
            let salt = random_salt().expect("the operating system has random bytes");
            (salt, self.clock.unix_ms())
        };
        let made = match order {
            NewOrder::Limit(request) => {
                terms.least_size = self.markets.least_size(chain, asked.token_id);
                let (salt, now_ms) = moment();
                let seconds = now_ms.div_euclid(1000);
                Order::build(request, &terms, self.profile, salt, now_ms, seconds)
            }
            NewOrder::Market(request) => {
                let (limit, fees) =
                    tokio::try_join!(self.limit(request), self.fees(request, freshness))?;
                let (salt, now_ms) = moment();
                Order::build_market(request, limit, fees, &terms, self.profile, salt, now_ms)
            }
        };
        Ok(made?)
    }

    /// What a taker pays, where somebody counts on it.
    async fn fees(
        &self,
        request: &MarketOrderRequest,
        freshness: Freshness,
    ) -> Result<TakerFees, NotMade> {
        if request.max_spend.is_none() || request.side == Side::Sell {
            return Ok(TakerFees::NONE);
        }
        let (chain, builder) = (self.profile.chain(), request.builder_code);
        let markets = self.markets;
        let fees = markets.taker_fees(chain, request.token_id, builder, freshness);
        Ok(fees.await?)
    }

    async fn limit(&self, request: &MarketOrderRequest) -> Result<Limit, NotMade> {
        if let Some(price) = request.limit() {
            let from = PriceFrom::Request;
            return Ok(Limit { price, from });
        }
        let chain = self.profile.chain();
        let book = self
            .markets
            .book(chain, request.token_id, self.since)
            .await?;
        let price = book.limit(request.side, request.amount, request.order_type)?;
        let from = PriceFrom::Book;
        Ok(Limit { price, from })
    }
}
