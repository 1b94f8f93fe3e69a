//! What the CLOB says of its markets: ticks, neg-risk, fees, books, and the order version it takes.
//!
//! It promises that an order is made on the terms of its market, or that a problem says what stands in
//! the way; that a request which says everything is signed also while the CLOB is away; and that the
//! CLOB is asked little, however many ask here. It **trusts** the CLOB to name one of the ticks,
//! versions and fees that exist, and never an address or code: contracts come from our own table. A
//! price from its book is its word alone, so the record says where a limit came from.
//!
//! # Why
//! What a caller gives is verified, because a wrong tick or neg-risk costs an order. Verifying never
//! stands in the way of a complete request: it has little time, and for a second after a call that timed
//! out or found no connection none. An answer that makes no sense is no such failure: it came at once,
//! and concerns its market alone.
//!
//! Answers are remembered, and ticks, fees and versions change. Nothing is refused on memory before the
//! CLOB was asked once more, at most once a market and second; and an order that was made on memory
//! older than that says so. Books are never remembered; those who asked before one was fetched share it.

mod answers;
mod heard;
mod known;
mod lookup;

use std::sync::Arc;
use std::time::Instant;

use super::amount::Decimal;
use super::book::Book;
use super::fees::TakerFees;
use super::request::TokenId;
use super::terms::{GivenTerms, Terms, TermsError};
use super::venue::{VenueError, Venues};
use super::wallet::Chain;
use crate::ethereum::eip712::Bytes32;
use known::Known;
pub use lookup::Freshness;

/// Why the terms of a market are not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MarketError {
    /// The caller did not say, nor did the CLOB.
    #[error("{field} is not given, and the CLOB did not say it: {error}")]
    Venue {
        /// The JSON name.
        field: &'static str,
        /// What it did instead.
        error: VenueError,
    },
    /// The caller did not say, and there is no CLOB to ask.
    #[error("{field} is missing, and no CLOB is configured for chain {}", .chain.id())]
    NotSaid {
        /// The JSON name.
        field: &'static str,
        /// The wallet's.
        chain: Chain,
    },
    /// The caller and the CLOB say different things.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// A version that `auto` does not follow.
    #[error("the CLOB takes orders of version {0}; \"auto\" follows it to 1 and 2 only")]
    UnknownVersion(u64),
}

/// The markets of this deployment's venues. Cheap to clone.
#[derive(Clone)]
pub struct Markets(Arc<[Option<Known>; 2]>);

impl Markets {
    /// The markets of these venues; nothing is asked yet.
    pub fn new(venues: &Venues) -> Self {
        let known = |chain| venues.on(chain).ok().cloned().map(Known::new);
        Self(Arc::new([known(Chain::Polygon), known(Chain::Amoy)]))
    }

    fn on(&self, chain: Chain) -> Option<&Known> {
        match chain {
            Chain::Polygon => self.0[0].as_ref(),
            Chain::Amoy => self.0[1].as_ref(),
        }
    }

    /// The terms for an order. What was not given is looked up.
    pub async fn terms(
        &self,
        chain: Chain,
        asked: &GivenTerms,
        freshness: Freshness,
    ) -> Result<Terms, MarketError> {
        match self.on(chain) {
            Some(known) => known.terms(asked, freshness).await,
            None => Terms::given(asked).map_err(|error| match error {
                TermsError::Missing(field) => MarketError::NotSaid { field, chain },
                contradiction @ TermsError::Contradiction { .. } => contradiction.into(),
            }),
        }
    }

    /// The fewest shares that an order for this token may be for, if its book was looked at lately.
    pub fn least_size(&self, chain: Chain, token: TokenId) -> Option<Decimal> {
        let known = self.on(chain)?;
        known.least_sizes.get(&token.0.to_be_bytes::<32>())
    }

    /// What the venue and a builder take of a taker of this token.
    pub async fn taker_fees(
        &self,
        chain: Chain,
        token: TokenId,
        builder: Option<Bytes32>,
        freshness: Freshness,
    ) -> Result<TakerFees, MarketError> {
        let field = "maxSpend";
        let known = self
            .on(chain)
            .ok_or(MarketError::NotSaid { field, chain })?;
        let fees = known.taker_fees(token, builder, freshness).await;
        fees.map_err(|error| MarketError::Venue { field, error })
    }

    /// The book of a token, fetched after `since`, and when it was asked for.
    pub async fn book_of(
        &self,
        chain: Chain,
        token: TokenId,
        since: Instant,
    ) -> Result<(Arc<Book>, Instant), MarketError> {
        let field = "price";
        let known = self
            .on(chain)
            .ok_or(MarketError::NotSaid { field, chain })?;
        let book = known.book(token, since).await;
        book.map_err(|error| MarketError::Venue { field, error })
    }

    /// The book of a token, fetched after `since`.
    pub async fn book(
        &self,
        chain: Chain,
        token: TokenId,
        since: Instant,
    ) -> Result<Arc<Book>, MarketError> {
        let (book, _) = self.book_of(chain, token, since).await?;
        Ok(book)
    }
}
