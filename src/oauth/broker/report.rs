//! Tokens that count no more on any replica, on somebody's word.

use std::time::Instant;

use super::failure::TokenError;
use super::place::Place;
use super::records::{self, Forced};
use super::{Broker, TokenNeed, lock};
use crate::approvals::Approval;
use crate::audit::{Batch, Leaf};
use crate::callers::Caller;
use crate::id::{ClientId, IntentId};
use crate::ledger::{Gate, LedgerError};
use crate::oauth::clients::Client;

impl Broker {
    /// Somebody was refused with this token: it counts no more, on any replica. Whether it still did.
    pub async fn invalidate(
        &self,
        caller: &Caller,
        client: &Client,
        id: IntentId,
    ) -> Result<bool, TokenError> {
        let ledger = self.0.log.ledger();
        let scopes = records::fetched(id, client.id, ledger).await?;
        let scopes = scopes.ok_or(TokenError::UnknownToken)?;
        // Only who might have got it can have been refused with it.
        self.permitted(caller, client, Some(&scopes))
            .map_err(|_| TokenError::UnknownToken)?;
        let mut batch = self.0.log.begin(Gate::Shared).await?;
        let forced = records::force(id, batch.tx()).await;
        let details = serde_json::json!({ "token": id });
        self.emptied(forced, caller, client.id, &details, batch)
            .await
    }

    /// Ends the transaction in which a place was to be emptied. Whether it was.
    async fn emptied(
        &self,
        forced: Result<Forced, LedgerError>,
        caller: &Caller,
        client: ClientId,
        details: &serde_json::Value,
        mut batch: Batch,
    ) -> Result<bool, TokenError> {
        match forced {
            Ok(Forced::Emptied) => {
                batch.add(&Leaf::admin(
                    self.0.clock.unix_ms(),
                    caller.id,
                    "invalidate-token",
                    client.uuid(),
                    &Approval::not_needed(),
                    details,
                ));
                batch.commit().await?;
                Ok(true)
            }
            Ok(Forced::Already) => {
                batch.abandon().await;
                Ok(false)
            }
            Ok(Forced::TooSoon(retry_after_s)) => {
                batch.abandon().await;
                Err(TokenError::TooSoon { retry_after_s })
            }
            Err(error) => {
                batch.abandon().await;
                Err(error.into())
            }
        }
    }

    /// How a place stands on all replicas; emptied first, where the caller wants a fresh token.
    pub(super) async fn row(
        &self,
        place: &Place,
        wish: &TokenNeed,
        afresh: bool,
    ) -> Result<records::Row, TokenError> {
        if afresh {
            let mut batch = self.0.log.begin(Gate::Shared).await?;
            let forced = records::force_place(place, batch.tx()).await;
            let scopes = place.scopes.as_ref().map(ToString::to_string);
            let details = serde_json::json!({ "scope": scopes });
            let emptied = self.emptied(forced, &wish.caller, place.client.id, &details, batch);
            if emptied.await? {
                lock(&self.breaker(place)).let_one(Instant::now());
            }
        }
        let look = async || records::find(place, self.0.log.ledger()).await;
        Ok(self.0.looks.look(place.hash(), look).await?)
    }
}
