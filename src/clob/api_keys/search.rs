//! For credentials of which nobody has the nonce any more: small nonces are tried, one after the
//! other, until one derives. The documentation calls the case hopeless.
//!
//! # Why
//! A search has no task of its own. Each step is a request by somebody who has the right to it at
//! that moment, tries some nonces and leaves its progress on record; whoever goes on later, after a
//! restart or on another replica, begins where it stopped.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

pub use super::records::Search;
use super::{ApiKeyError, ApiKeys, How, KeyRequest, records};
use crate::audit::Change;
pub use crate::credentials::NonceFilter;
use crate::credentials::{self, CredentialNonce, NonceEntry, Origin};
use crate::fail_point;
use crate::ledger::Gate;
use crate::policy::Permit;

/// The pause between two nonces, so that the venue's limits are not used up.
const PAUSE: Duration = Duration::from_millis(100);

/// The most nonces of one search.
pub const NONCES_AT_MOST: u64 = 100_000;

/// The most nonces of one step.
pub const STEP_AT_MOST: u32 = 50;

impl ApiKeys {
    /// Begins a search through `first` to `last`. Nothing is tried yet.
    pub async fn begin_search(
        &self,
        wish: &KeyRequest,
        first: CredentialNonce,
        last: CredentialNonce,
        change: &mut Change,
    ) -> Result<Search, ApiKeyError> {
        if last < first || last.0 - first.0 >= NONCES_AT_MOST {
            return Err(ApiKeyError::Bounds);
        }
        let id = Uuid::now_v7();
        let (wallet, by) = (wish.wallet.id, wish.caller.id);
        records::insert(id, wallet, first, last, by, change.tx()).await?;
        let details = json!({ "search": id, "first": first, "last": last });
        change.note("search-nonces", wallet, &details);
        let now = self.0.clock.now();
        Ok(Search {
            id,
            wallet,
            first,
            last,
            next: Some(first),
            found: 0,
            started_by: by,
            started_at: now,
            stepped_at: now,
        })
    }

    /// A search, and how far it is.
    pub async fn search(&self, id: Uuid) -> Result<Search, ApiKeyError> {
        records::find(id, self.ledger())
            .await?
            .ok_or(ApiKeyError::NotFound)
    }

    /// Tries up to `count` nonces. What stops it is an error; what was tried before stays on record.
    pub async fn step_search(
        &self,
        wish: &KeyRequest,
        id: Uuid,
        count: u32,
    ) -> Result<Search, ApiKeyError> {
        for tried in 0..count.min(STEP_AT_MOST) {
            let search = self.search(id).await?;
            let Some(nonce) = search.next else {
                return Ok(search);
            };
            if tried > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            let found = match self.ask(wish, nonce, Origin::Searched).await {
                Ok(received) => {
                    let credential = self.keep(wish, nonce, &received, How::Derived).await?;
                    self.proven(wish, credential, How::Derived).await?;
                    true
                }
                Err(ApiKeyError::NotDerived { .. }) => false,
                Err(error) => return Err(error),
            };
            fail_point!("search-tried");
            records::advance(id, nonce, found, self.ledger()).await?;
        }
        self.search(id).await
    }

    /// Puts nonces on record that were used elsewhere. Says how many were not there yet.
    pub async fn declare(
        &self,
        wish: &KeyRequest,
        nonces: &[CredentialNonce],
        change: &mut Change,
    ) -> Result<usize, ApiKeyError> {
        let account =
            credentials::logins::records::lock(&wish.wallet.account(), change.tx()).await?;
        let mut fresh = 0;
        for nonce in nonces {
            let (origin, by) = (Origin::Declared, wish.caller.id);
            let new = credentials::logins::records::record_nonce(
                account,
                *nonce,
                origin,
                by,
                change.tx(),
            );
            fresh += usize::from(new.await?);
        }
        let details = json!({ "nonces": nonces, "new": fresh });
        change.note("declare-nonces", wish.wallet.id, &details);
        Ok(fresh)
    }

    /// Nonces on record. That somebody looked is on record first.
    pub async fn nonces(
        &self,
        permit: &Permit,
        filter: &NonceFilter,
        details: &serde_json::Value,
    ) -> Result<Vec<NonceEntry>, ApiKeyError> {
        let mut change = self.0.log.begin(Gate::Shared, permit.author()).await?;
        change.note("look-up-nonces", change.author(), details);
        change.commit().await?;
        Ok(credentials::logins::records::nonces(filter, self.ledger()).await?)
    }
}
