//! A login that leaves the service: signed for a caller, who may spend it at the venue, and watched until it is known
//! what it did.

use std::sync::PoisonError;
use std::time::Duration;

use super::{ApiKeyError, ApiKeys, KeyRequest};
use crate::clob::l1::LoginDraft;
use crate::credentials::{CredentialNonce, Origin, Purpose, Replaces};
use crate::signing::Signed;

/// When a login that was handed out is asked after: while its holder may be spending it, and once
/// more when it is too old.
const LOOKS: [u64; 4] = [2, 10, 60, 0];

/// The most logins that are watched at a time.
const WATCHED_AT_MOST: usize = 256;

impl ApiKeys {
    /// Signs a login that its caller gets, and sees to it that its outcome is learned.
    pub async fn hand_out(
        &self,
        wish: KeyRequest,
        nonce: CredentialNonce,
        timestamp: Option<i64>,
        replaces: Replaces,
    ) -> Result<Signed, ApiKeyError> {
        // Where no CLOB is configured, nothing can be settled, and the login is its holder's affair.
        if self.venue(&wish).is_ok() {
            self.settle_others(&wish, nonce).await?;
        }
        let login = LoginDraft {
            timestamp,
            replaces,
            ..wish.login(nonce, Purpose::Header)
        };
        let done = self.sign(&wish, login).await?;
        let api_keys = self.clone();
        let watch = async move { api_keys.watch(wish, nonce).await };
        self.0.tasks.spawn(watch);
        Ok(done)
    }

    /// Learns what becomes of a login that was handed to a caller, while the service runs. What is
    /// not learned here is settled before the next nonce is used.
    async fn watch(&self, wish: KeyRequest, nonce: CredentialNonce) {
        let login = (wish.wallet.account(), nonce);
        {
            let mut watched = self
                .0
                .watched
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if watched.len() >= WATCHED_AT_MOST || !watched.insert(login) {
                return;
            }
        }
        self.look(&wish, nonce).await;
        let mut watched = self
            .0
            .watched
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        watched.remove(&login);
    }

    async fn look(&self, wish: &KeyRequest, nonce: CredentialNonce) {
        let Ok(venue) = self.venue(wish) else { return };
        let window = u64::from(venue.settings().l1_window_s);
        for look in LOOKS {
            let open = self.unsettled(wish).await;
            if open.is_ok_and(|open| open.iter().all(|(other, _)| *other != nonce)) {
                return;
            }
            let wait = if look == 0 { window + 2 } else { look };
            tokio::select! {
                () = self.0.stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(wait)) => {}
            }
            if let Err(error) = self.derive(wish, nonce, Origin::Signed).await {
                tracing::debug!(%error, %nonce, "a login that was handed out is not settled");
            }
        }
    }
}
