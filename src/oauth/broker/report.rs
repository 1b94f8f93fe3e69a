//! Tokens that count no more on any replica, on somebody's word.

use std::time::Instant;

use super::failure::TokenError;
use super::place::Place;
use super::records::{self, Forced};
use super::{Broker, lock};
use crate::approvals::Approval;
use crate::audit::Change;
use crate::callers::Caller;
use crate::id::{ClientId, IntentId};
use crate::ledger::{Gate, LedgerError};
use crate::oauth::clients::Client;
use crate::policy::Permit;

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
        let permitted = self.permitted(caller, client, Some(&scopes));
        let permit = permitted.map_err(|_| TokenError::UnknownToken)?.permit;
        let mut change = self.0.log.begin(Gate::Shared, permit.author()).await?;
        let forced = records::force(id, change.tx()).await;
        let details = serde_json::json!({ "token": id });
        self.emptied(forced, client.id, &details, change).await
    }

    /// Ends the transaction in which a place was to be emptied. Whether it was.
    async fn emptied(
        &self,
        forced: Result<Forced, LedgerError>,
        client: ClientId,
        details: &serde_json::Value,
        mut change: Change,
    ) -> Result<bool, TokenError> {
        match forced {
            Ok(Forced::Emptied) => {
                change.note_as(Approval::not_needed(), "invalidate-token", client, details);
                change.commit().await?;
                Ok(true)
            }
            Ok(Forced::Already) => {
                change.abandon().await;
                Ok(false)
            }
            Ok(Forced::TooSoon(retry_after_s)) => {
                change.abandon().await;
                Err(TokenError::TooSoon { retry_after_s })
            }
            Err(error) => {
                change.abandon().await;
                Err(error.into())
            }
        }
    }

    /// How a place stands on all replicas; emptied first, where the caller wants a fresh token.
    pub(super) async fn row(
        &self,
        place: &Place,
        permit: &Permit,
        afresh: bool,
    ) -> Result<records::Row, TokenError> {
        if afresh {
            let mut change = self.0.log.begin(Gate::Shared, permit.author()).await?;
            let forced = records::force_place(place, change.tx()).await;
            let scopes = place.scopes.as_ref().map(ToString::to_string);
            let details = serde_json::json!({ "scope": scopes });
            let emptied = self.emptied(forced, place.client.id, &details, change);
            if emptied.await? {
                lock(&self.breaker(place)).let_one(Instant::now());
            }
        }
        let look = async || records::find(place, self.0.log.ledger()).await;
        Ok(self.0.looks.look(place.hash(), look).await?)
    }
}
