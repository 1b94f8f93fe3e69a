//! Open exposure: what was signed and may still come to pass.
//!
//! An order counts until it expires, or until this service has asked the venue and heard that it was filled
//! or cancelled: whenever somebody has it look, and by itself where open exposure stood in the way of an order, in
//! the name of whoever asked for that. An order that the venue does not know was not posted yet, and may be: it
//! goes on counting. What a caller says frees nothing. A drain frees what was signed before it began.
//!
//! It **trusts** the venue for what it says of an order.

mod records;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::api_keys::{ApiKeyError, ApiKeys, KeyRequest};
use super::venue::VenueError;
use crate::audit::{Change, Log};
use crate::credentials::{self, Credential, Kind};
use crate::ethereum::eip712::Bytes32;
use crate::id::{KeyId, WalletId};
use crate::ledger::{Gate, Ledger, LedgerError};
use records::Open;

/// So many orders are asked for in one look.
const A_LOOK: usize = 200;

/// So many are gone through.
const GONE_THROUGH: usize = 10_000;

/// A look by itself comes no sooner after the last.
const BY_ITSELF: Duration = Duration::from_secs(30);

/// So many expired orders are closed at a time.
const AT_A_TIME: i64 = 1_000;

/// How often expired orders are looked for.
const LOOK: Duration = Duration::from_secs(5);

/// So many pages of open orders are read.
const PAGES: usize = 200;

/// The end of a list at the venue.
const LAST_PAGE: &str = "LTE=";

/// Looks after open exposure. Cheap to clone.
#[derive(Clone)]
pub struct Exposure {
    api_keys: ApiKeys,
    log: Log,
    /// Of each wallet that was looked at by itself lately.
    looks: Arc<Mutex<HashMap<WalletId, Instant>>>,
}

/// What a look at the venue has shown.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = ExposureLook)]
pub struct Looked {
    /// How many orders were filled.
    pub filled: usize,
    /// How many were cancelled.
    pub cancelled: usize,
    /// How many are open, or unknown to the CLOB: they may still be posted.
    pub open: usize,
    /// Whether there are more to be looked at than one look takes.
    pub more: bool,
}

#[derive(serde::Deserialize)]
struct Page {
    data: Vec<Listed>,
    #[serde(default)]
    next_cursor: Option<String>,
}

#[derive(serde::Deserialize)]
struct Listed {
    id: String,
}

#[derive(serde::Deserialize)]
struct Shown {
    status: String,
}

/// How an order is over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Filled,
    Cancelled,
}

impl Exposure {
    /// Exposure by what these API keys let us see.
    pub fn new(api_keys: ApiKeys, log: Log) -> Self {
        Self {
            api_keys,
            log,
            looks: Arc::default(),
        }
    }

    /// Whether a look by itself is due, which is then taken for done.
    pub fn is_due(&self, wallet: WalletId) -> bool {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        is_due(&mut looks, wallet, Instant::now())
    }

    /// Asks the venue about the orders of a wallet that count as open, the oldest first.
    pub async fn look(&self, wish: &KeyRequest) -> Result<Looked, ApiKeyError> {
        let counted = records::open(wish.wallet.id, GONE_THROUGH + 1, self.log.ledger()).await?;
        let mut looked = Looked {
            filled: 0,
            cancelled: 0,
            open: 0,
            more: counted.len() > GONE_THROUGH,
        };
        let mut over = Vec::new();
        if !counted.is_empty() {
            let usable = credentials::in_use(Kind::Trading, self.api_keys.on_record(wish).await?);
            let usable = usable.ok_or(ApiKeyError::NotFound)?;
            let listed = self.listed(wish, &usable).await?;
            let mut asked = 0;
            for order in counted.into_iter().take(GONE_THROUGH) {
                let hash = Bytes32(order.hash).to_string();
                if listed.contains(&hash) {
                    looked.open += 1;
                    continue;
                }
                if asked == A_LOOK {
                    looked.more = true;
                    break;
                }
                asked += 1;
                match self.ask(wish, &usable, &hash).await? {
                    None => looked.open += 1,
                    Some(how) => over.push((order, how)),
                }
            }
        }
        self.close(wish, over, &mut looked).await?;
        Ok(looked)
    }

    /// The hashes of all that are open at the venue.
    async fn listed(
        &self,
        wish: &KeyRequest,
        usable: &Credential,
    ) -> Result<HashSet<String>, ApiKeyError> {
        let (mut all, mut cursor) = (HashSet::new(), None::<String>);
        for _ in 0..PAGES {
            let query: Vec<_> = cursor
                .iter()
                .map(|at| ("next_cursor", at.as_str()))
                .collect();
            let page: Page = self
                .api_keys
                .level_2_at(
                    wish,
                    usable,
                    "orders",
                    (Method::GET, "/data/orders"),
                    &query,
                )
                .await?;
            all.extend(page.data.into_iter().map(|it| it.id));
            match page.next_cursor {
                Some(next) if !next.is_empty() && next != LAST_PAGE => cursor = Some(next),
                _ => return Ok(all),
            }
        }
        Err(ApiKeyError::Venue(VenueError::Nonsense("orders")))
    }

    /// How an order that is not listed is over, if it is.
    async fn ask(
        &self,
        wish: &KeyRequest,
        usable: &Credential,
        hash: &str,
    ) -> Result<Option<Over>, ApiKeyError> {
        let path = format!("/data/order/{hash}");
        let shown = self
            .api_keys
            .level_2_at::<Shown>(wish, usable, "order", (Method::GET, path.as_str()), &[])
            .await;
        match shown {
            Ok(shown) => Ok(over(&shown.status)),
            // Never posted, as far as the venue knows.
            Err(ApiKeyError::Venue(VenueError::Refused { status: 404, .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn close(
        &self,
        wish: &KeyRequest,
        over: Vec<(Open, Over)>,
        looked: &mut Looked,
    ) -> Result<(), ApiKeyError> {
        if over.is_empty() {
            return Ok(());
        }
        let author = wish.permit.author();
        let mut change = self.log.begin(Gate::Shared, author).await?;
        for (how, word) in [(Over::Filled, "filled"), (Over::Cancelled, "cancelled")] {
            let ids: Vec<_> = over
                .iter()
                .filter(|it| it.1 == how)
                .map(|it| it.0.id)
                .collect();
            let closed = records::close(&ids, word, change.tx()).await?;
            match how {
                Over::Filled => looked.filled = closed,
                Over::Cancelled => looked.cancelled = closed,
            }
        }
        let details = json!({ "wallet": wish.wallet.name, "filled": looked.filled, "cancelled": looked.cancelled });
        change.note("see-orders-over", wish.wallet.id, &details);
        change.commit().await?;
        Ok(())
    }

    /// Frees what a drain has shown to be over.
    pub(super) async fn drained(
        key: KeyId,
        chain_id: u64,
        began_at: OffsetDateTime,
        change: &mut Change,
    ) -> Result<usize, LedgerError> {
        let ids = records::before(key, chain_id, began_at, change.tx()).await?;
        records::close(&ids, "drained", change.tx()).await
    }
}

/// Those who ask meanwhile put nothing off.
fn is_due(looks: &mut HashMap<WalletId, Instant>, wallet: WalletId, now: Instant) -> bool {
    looks.retain(|_, at| now.duration_since(*at) < BY_ITSELF);
    match looks.entry(wallet) {
        Entry::Occupied(_) => false,
        Entry::Vacant(place) => {
            place.insert(now);
            true
        }
    }
}

/// Frees what has expired, until the service stops. Any replica may.
pub async fn watch(ledger: Ledger, stop: CancellationToken) {
    let pause = || stop.run_until_cancelled(tokio::time::sleep(LOOK));
    while pause().await.is_some() {
        let freed = async {
            records::follow(&ledger).await?;
            records::expire(AT_A_TIME, &ledger).await
        };
        match freed.await {
            Ok(0) => {}
            Ok(orders) => tracing::debug!(orders, "expired orders are open no more"),
            Err(error) => tracing::debug!(%error, "expired orders stay open for now"),
        }
    }
}

/// What the venue's word for an order's state means: one that may still fill is not over.
fn over(status: &str) -> Option<Over> {
    let word = status.to_ascii_uppercase();
    match word.trim_start_matches("ORDER_STATUS_") {
        "MATCHED" | "FILLED" => Some(Over::Filled),
        "CANCELED" | "CANCELLED" | "CANCELED_MARKET_RESOLVED" => Some(Over::Cancelled),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_due_again_however_often_it_is_asked_for_meanwhile() {
        let (mut looks, one, other) = (HashMap::new(), WalletId::new(), WalletId::new());
        let began = Instant::now();
        let mut due =
            |wallet, after_s| is_due(&mut looks, wallet, began + Duration::from_secs(after_s));
        let of_one = [0, 1, 10, 29, 30, 31, 59, 60].map(|after_s| due(one, after_s));
        assert_eq!(
            of_one,
            [true, false, false, false, true, false, false, true]
        );
        assert!(due(other, 60));
        assert_eq!(looks.len(), 2);
    }

    #[test]
    fn only_what_cannot_fill_any_more_is_over() {
        for status in ["MATCHED", "matched", "ORDER_STATUS_MATCHED"] {
            assert!(over(status) == Some(Over::Filled), "{status}");
        }
        for status in [
            "CANCELED",
            "ORDER_STATUS_CANCELED",
            "CANCELED_MARKET_RESOLVED",
        ] {
            assert!(over(status) == Some(Over::Cancelled), "{status}");
        }
        for status in ["LIVE", "DELAYED", "UNMATCHED", "INVALID", "", "over"] {
            assert!(over(status).is_none(), "{status}");
        }
    }
}
