//! At the venue: everything is cancelled, and looked at until nothing is left.

use std::time::Duration;

use reqwest::Method;
use serde::de::IgnoredAny;

use super::{DrainError, Drains, Emptied};
use crate::clob::api_keys::{ApiKeyError, KeyRequest};
use crate::clob::venue::VenueError;
use crate::credentials::{self, Kind};
use crate::fail_point;

/// How often the venue is asked which orders are open. It says twice in a row that none is.
const LOOKS: usize = 6;
const BETWEEN_LOOKS: Duration = Duration::from_millis(400);

/// The end of a list at the venue.
const LAST_PAGE: &str = "LTE=";

#[derive(serde::Deserialize)]
struct Cancelled {
    #[serde(default)]
    canceled: Vec<IgnoredAny>,
}

#[derive(serde::Deserialize)]
struct Page {
    data: Vec<IgnoredAny>,
    #[serde(default)]
    next_cursor: Option<String>,
}

impl Drains {
    /// Cancels all orders of the wallet's address, and sees that the venue lists none.
    pub(super) async fn cancel_all(&self, wish: &KeyRequest) -> Result<Emptied, DrainError> {
        let usable = credentials::in_use(Kind::Trading, self.api_keys.on_record(wish).await?);
        let usable = usable.ok_or(ApiKeyError::NotFound)?;
        let cancelled: Cancelled = self
            .api_keys
            .level_2(wish, &usable, "cancelAll", Method::DELETE, "/cancel-all")
            .await?;
        fail_point!("orders-cancelled");
        let (mut none, mut listed) = (0, 0);
        for look in 1..=LOOKS {
            let page: Page = self
                .api_keys
                .level_2(wish, &usable, "orders", Method::GET, "/data/orders")
                .await?;
            let last = page.next_cursor.as_deref();
            if page.data.is_empty() && !last.is_none_or(|it| it.is_empty() || it == LAST_PAGE) {
                return Err(ApiKeyError::Venue(VenueError::Nonsense("orders")).into());
            }
            listed = page.data.len();
            none = if listed == 0 { none + 1 } else { 0 };
            if none == 2 {
                return Ok(Emptied {
                    api_key: usable.api_key,
                    cancelled: cancelled.canceled.len(),
                    looks: look,
                });
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Err(DrainError::Remain(listed))
    }
}
