//! Whether an API key works: asked with a call of its own, and put on record.

use std::sync::Arc;

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{ApiKeyError, ApiKeys, GRACE, Held, How, KeyRequest, call};
use crate::clob::l2::{self, HeaderDraft, Shape, VenueRequest};
use crate::clob::venue::{Call, Venue, VenueError};
use crate::credentials::logins::records as logins;
use crate::credentials::records as ledger;
use crate::credentials::{Credential, State};
use crate::fail_point;
use crate::signing::SigningRequest;

/// Within this the venue's clock and ours agree, in seconds.
const CLOCKS_AGREE_S: i64 = 10;

impl ApiKeys {
    /// Asks the venue whether an API key works. An answer that says nothing changes nothing.
    pub(super) async fn proven(
        &self,
        wish: &KeyRequest,
        credential: Credential,
        how: How,
    ) -> Result<Held, ApiKeyError> {
        if credential.state == State::Deleted {
            return Err(ApiKeyError::NotUsable(State::Deleted.name()));
        }
        let siblings = ledger::of_account(&credential.account, self.ledger()).await?;
        let siblings: Vec<Uuid> = siblings.iter().map(|it| it.id).collect();
        fail_point!("prove-begun");
        let answer = self
            .level_2::<serde_json::Value>(
                wish,
                &credential,
                "apiKeys",
                Method::GET,
                "/auth/api-keys",
            )
            .await;
        fail_point!("prove-answered");
        match answer {
            Ok(_) => {
                self.step_to_live(wish, &credential, &siblings).await?;
            }
            Err(error) if self.says_dead(wish, &error).await? => {
                // What has worked once is not given up at once: it may still be the live one.
                let (from, to) = match credential.state {
                    State::Live => (State::Live, State::Unproven),
                    other => (other, State::Dead),
                };
                let age = self.0.clock.now() - credential.state_at;
                if from == State::Live || (from == State::Unproven && age > GRACE) {
                    self.step(wish, &credential, &[from], to, "refute-credential")
                        .await?;
                }
            }
            Err(ApiKeyError::Venue(error)) => {
                tracing::info!(%error, "whether an API key works was not found out");
            }
            Err(error) => return Err(error),
        }
        let credential = self.find(wish, &credential.api_key).await?;
        Ok(Held { credential, how })
    }

    /// Whether an answer says that an API key does not work. The venue answers the same to a wrong
    /// clock, so it counts only where the clocks agree.
    pub(super) async fn says_dead(
        &self,
        wish: &KeyRequest,
        error: &ApiKeyError,
    ) -> Result<bool, ApiKeyError> {
        let ApiKeyError::Venue(VenueError::Refused { status: 401, text }) = error else {
            return Ok(false);
        };
        tracing::info!(%text, "the venue does not take an API key");
        let ahead_s = self.ahead(self.venue(wish)?).await?;
        if ahead_s.abs() > CLOCKS_AGREE_S {
            return Err(ApiKeyError::LoginRefused {
                text: text.clone(),
                ahead_s: Some(ahead_s),
            });
        }
        Ok(true)
    }

    /// How far our clock is ahead of the venue's, in seconds.
    pub(super) async fn ahead(&self, venue: &Venue) -> Result<i64, VenueError> {
        let ours = self.0.clock.unix_ms().div_euclid(1000);
        Ok(ours.saturating_sub(venue.time().await?))
    }

    /// The API key works, so that its siblings do not. One that came on record meanwhile may have
    /// ended it since: then the answer is too old to say anything.
    async fn step_to_live(
        &self,
        wish: &KeyRequest,
        credential: &Credential,
        siblings: &[Uuid],
    ) -> Result<(), ApiKeyError> {
        let mut change = self.begin_afterwards(wish).await?;
        let account = logins::lock(&credential.account, change.tx()).await?;
        if ledger::any_unknown(account, siblings, change.tx()).await? {
            change.abandon().await;
            return Ok(());
        }
        let ended = ledger::replace_others(account, credential.id, change.tx()).await?;
        let from = [State::Unproven, State::Replaced, State::Dead];
        let moved = ledger::step(credential.id, &from, State::Live, change.tx()).await?;
        if moved || !ended.is_empty() {
            let details = json!({ "apiKey": credential.api_key, "replaced": ended });
            change.note("prove-credential", credential.id, &details);
        }
        change.commit().await?;
        for id in ended {
            self.0.vault.forget(&id);
        }
        Ok(())
    }

    /// Moves an API key to another state, if it is in one of these.
    pub(super) async fn step(
        &self,
        wish: &KeyRequest,
        credential: &Credential,
        from: &[State],
        to: State,
        action: &str,
    ) -> Result<(), ApiKeyError> {
        let mut change = self.begin_afterwards(wish).await?;
        if ledger::step(credential.id, from, to, change.tx()).await? {
            let details = json!({ "apiKey": credential.api_key });
            change.note(action, credential.id, &details);
        }
        change.commit().await?;
        Ok(())
    }

    /// Makes a call with an API key, and reads its answer.
    pub(in crate::clob) async fn level_2<T: DeserializeOwned>(
        &self,
        wish: &KeyRequest,
        credential: &Credential,
        name: &'static str,
        method: Method,
        path: &'static str,
    ) -> Result<T, ApiKeyError> {
        self.level_2_at(wish, credential, name, (method, path), &[])
            .await
    }

    /// The same at any path, with a query, which is not signed.
    pub(in crate::clob) async fn level_2_at<T: DeserializeOwned>(
        &self,
        wish: &KeyRequest,
        credential: &Credential,
        name: &'static str,
        (method, path): (Method, &str),
        query: &[(&str, &str)],
    ) -> Result<T, ApiKeyError> {
        let venue = self.venue(wish)?;
        let draft = HeaderDraft {
            wallet: Arc::new(wish.wallet.clone()),
            secret: credential.sealed_secret(l2::key)?,
            credential: credential.clone(),
            request: VenueRequest::new(method.as_str(), path, None)
                .expect("paths of our own are plain"),
            timestamp: None,
            shape: Shape::Bare,
            right: wish.permit.action().action,
            is_rescue: false,
        };
        let asked = SigningRequest::once(wish.request);
        let signed = self
            .0
            .signer
            .sign(&wish.caller, Box::new(draft), asked)
            .await?;
        let signed: Map<String, Value> =
            serde_json::from_slice(&signed.body).expect("the answer is our own");
        let headers: Vec<_> = l2::TRADING_HEADERS
            .into_iter()
            .filter_map(|name| Some((name, signed.get(name)?.as_str()?.to_owned())))
            .collect();
        let call = Call {
            query,
            ..call(method, path, &headers)
        };
        Ok(venue.call(name, call).await?)
    }
}
