//! An order on its way through the door.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ruint::aliases::U256;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::amount::Side;
use super::market::Markets;
use super::wallets::Wallet;
use super::{Order, SignedOrder, Version};
use crate::clock::Clock;
use crate::custody::Payload;
use crate::id::{CallerId, IntentId};
use crate::idempotency::Useful;
use crate::keys::Key;
use crate::limits::{self, BookPrice, LimitBook, Limited, LimitedOrder, Price, Token};
use crate::policy::{Action, Ask, Resource, Stake};
use crate::signing::{Answer, Checked, Draft, Prepared};

/// An order to be signed with a wallet.
pub struct OrderDraft {
    /// With which wallet.
    pub wallet: Arc<Wallet>,
    /// What.
    pub order: Order,
    /// The book that limits hold it against.
    pub book: BookPrice,
    /// The caller put it together, its time too, and waits for the signature alone.
    is_typed: bool,
    /// The same was asked for before, and another one is meant.
    is_meant_again: bool,
}

/// The answer: the signed order, and under which id it is on record.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub struct IssuedOrder {
    /// The signature's id here.
    #[schema(value_type = String)]
    pub id: IntentId,
    /// The order and its signature.
    #[serde(flatten)]
    pub signed: SignedOrder,
}

impl OrderDraft {
    /// An order for this wallet, which no limit wants to hold against a book.
    pub fn new(wallet: Arc<Wallet>, order: Order) -> Self {
        let book = BookPrice::Absent;
        Self {
            wallet,
            order,
            book,
            is_typed: false,
            is_meant_again: false,
        }
    }

    /// The same where the caller put it together. The answer is the signature alone, as JSON-RPC wants it: a
    /// deposit wallet's envelope is put around it by the caller, who has everything that belongs there.
    #[must_use]
    pub fn typed(self) -> Self {
        Self {
            is_typed: true,
            ..self
        }
    }

    /// The same where the caller says whether another one like it was asked for before.
    #[must_use]
    pub fn again(self, is_meant_again: bool) -> Self {
        Self {
            is_meant_again,
            ..self
        }
    }

    /// Looks at the book, where a limit of this caller's wants that. A book that does not come is absent.
    pub async fn look_at_book(
        &mut self,
        caller: CallerId,
        limits: &LimitBook,
        markets: &Markets,
        clock: &Clock,
    ) {
        let order = self.limited_order();
        let Some(age_ms) = limits.book_age_ms(caller, self.wallet.key.id, &order) else {
            return;
        };
        let age = Duration::from_millis(age_ms.into());
        let now = Instant::now();
        let since = now.checked_sub(age).unwrap_or(now);
        let chain = self.wallet.profile.chain();
        let contents = self.order.contents();
        match markets.book_of(chain, contents.token_id, since).await {
            Ok((book, asked_at)) => {
                let ago = i64::try_from(asked_at.elapsed().as_millis()).unwrap_or(i64::MAX);
                let best = book.best_against(contents.side);
                let seen = best.and_then(Price::of_units);
                let at_ms = clock.unix_ms().saturating_sub(ago);
                self.book = seen.map_or(BookPrice::Absent, |price| BookPrice::Seen(price, at_ms));
            }
            Err(error) => tracing::debug!(%error, "a limit goes without the book"),
        }
    }

    /// What limits look at and nobody signs, as the audit log keeps it: what is left out is as usual.
    fn unsigned(&self) -> Map<String, Value> {
        let seen = self.limited_order();
        let mut unsigned = Map::new();
        if self.order.version() != Version::V1
            && let Some(at) = seen.expiration
        {
            unsigned.insert("expiration".into(), at.to_string().into());
        }
        if !seen.rests {
            unsigned.insert("rests".into(), false.into());
        }
        if seen.is_meant_again {
            unsigned.insert("again".into(), true.into());
        }
        if let BookPrice::Seen(best, at_ms) = seen.book {
            unsigned.insert("book".into(), json!({ "best": best, "atMs": at_ms }));
        }
        unsigned
    }

    fn limited_order(&self) -> LimitedOrder {
        let contents = self.order.contents();
        LimitedOrder {
            wallet: self.wallet.id,
            token: Token(contents.token_id.0),
            side: match contents.side {
                Side::Buy => limits::Side::Buy,
                Side::Sell => limits::Side::Sell,
            },
            cash: self.order.cash(),
            shares: self.order.shares(),
            expiration: self.order.expiration(),
            rests: self.order.order_type().rests(),
            is_meant_again: self.is_meant_again,
            book: self.book,
        }
    }
}

impl Ask for OrderDraft {
    fn action(&self) -> Action {
        Action::SignOrder
    }

    fn resource(&self) -> Resource {
        self.wallet.resource()
    }

    fn stake(&self) -> Stake {
        self.order.stake()
    }

    fn markets(&self) -> Vec<U256> {
        vec![self.order.contents().token_id.0]
    }
}

impl Draft for OrderDraft {
    fn operation(&self) -> &'static str {
        "order"
    }

    fn subject(&self) -> Uuid {
        self.wallet.id.uuid()
    }

    fn key(&self) -> &Key {
        &self.wallet.key
    }

    fn limited(&self) -> Limited {
        Limited::Order(Box::new(self.limited_order()))
    }

    fn useful(&self) -> Useful {
        let signs_its_end = self.order.version() == Version::V1;
        let end = self.order.expiration().filter(|_| signs_its_end);
        let end = end.and_then(|seconds| i64::try_from(seconds).ok());
        let end = end.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
        end.map_or(Useful::WithoutEnd, Useful::Until)
    }

    fn tells_the_time(&self) -> bool {
        !self.is_typed && self.order.version() != Version::V1
    }

    fn prepare(&self, _now_ms: i64) -> Prepared {
        let (mut record, unsigned) = (self.order.record(), self.unsigned());
        if !unsigned.is_empty() {
            record["unsigned"] = unsigned.into();
        }
        let digest = *self.order.digest();
        Prepared {
            alias: Some(*self.order.order_hash()),
            expires_at: self.useful().until(),
            ..Prepared::new(Payload::Digest(digest), digest, record)
        }
    }

    fn answer(&self, id: IntentId, _prepared: &Prepared, signature: &Checked) -> Answer {
        let Checked::Ethereum(signature) = signature else {
            unreachable!("an order is a digest, and its signature was checked as recoverable");
        };
        let body = if self.is_typed {
            serde_json::to_vec(&signature.to_string())
        } else {
            serde_json::to_vec(&IssuedOrder {
                id,
                signed: self.order.signed(signature),
            })
        };
        Answer {
            body: body.expect("plain data serializes"),
            is_secret: false,
        }
    }
}
