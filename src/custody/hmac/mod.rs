//! HMAC secrets: sealed at rest, opened only on the way through the door, and kept open for a while.
//!
//! An open secret spares a call to the device for each request's header. It lies in this process's
//! memory for a bounded time, and only so many do; whoever can read that memory has them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::hmac;
use moka::sync::Cache;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{CustodyError, RawSignature, Sealer};
use crate::metrics::OPENED;
use crate::name::Name;

/// `[secrets]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How long an opened secret stays in memory, in seconds. 0: not at all.
    pub open_for_s: u64,
    /// How many secrets are open at a time.
    pub open_at_most: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            open_for_s: 300,
            open_at_most: 1_024,
        }
    }
}

/// An HMAC secret and the passphrase that goes with it, as they rest.
#[derive(Clone)]
pub struct SealedSecret {
    /// The credential's id, by which an open secret is found.
    pub id: Uuid,
    /// The device that opens them.
    pub backend: Name,
    /// The secret's text.
    pub secret: Sealed,
    /// The passphrase, which is UTF-8.
    pub passphrase: Sealed,
    /// Turns the secret's text into the key. `None`: the text is malformed.
    pub key: fn(&[u8]) -> Option<Zeroizing<Vec<u8>>>,
}

/// Something sealed, and what it is bound to.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The associated data.
    pub aad: Vec<u8>,
    /// What [`Sealer::seal`] made.
    pub sealed: Vec<u8>,
}

/// A passphrase, which leaves in a header and nowhere else.
#[derive(PartialEq, Eq)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Its text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedSecret")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Secrets that are open. A secret is wiped when it is dropped.
pub(super) struct Opened {
    cache: Cache<Uuid, Arc<Secret>>,
    /// Grows whenever a secret is forgotten, so that a secret that is being opened meanwhile is not kept.
    forgotten: AtomicU64,
}

struct Secret {
    /// Secret and passphrase as they rest: other bytes under the same id are opened anew.
    sealed: (Sealed, Sealed),
    key: hmac::Key, // wiped by aws-lc when it is dropped
    passphrase: Arc<Passphrase>,
}

impl Opened {
    pub(super) fn new(settings: &Settings) -> Self {
        let cache = Cache::builder()
            .max_capacity(settings.open_at_most)
            .time_to_live(Duration::from_secs(settings.open_for_s))
            .build();
        Self {
            cache,
            forgotten: AtomicU64::new(0),
        }
    }

    /// Whether this secret is open.
    pub(super) fn holds(&self, sealed: &SealedSecret) -> bool {
        let open = self.cache.get(&sealed.id);
        open.is_some_and(|open| {
            open.sealed.0 == sealed.secret && open.sealed.1 == sealed.passphrase
        })
    }

    /// HMAC-SHA256 of `message`, opening the secret in `device` unless it is open.
    pub(super) async fn sign(
        &self,
        device: &dyn Sealer,
        sealed: &SealedSecret,
        message: &[u8],
    ) -> Result<RawSignature, CustodyError> {
        let secret = self.open(device, sealed).await?;
        let tag = hmac::sign(&secret.key, message);
        let length = |_| CustodyError::Nonsense("an HMAC of another length".into());
        Ok(RawSignature::Hmac {
            mac: tag.as_ref().try_into().map_err(length)?,
            passphrase: Arc::clone(&secret.passphrase),
        })
    }

    pub(super) fn forget(&self, id: &Uuid) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.cache.invalidate(id);
    }

    pub(super) fn forget_all(&self) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.cache.invalidate_all();
    }

    async fn open(
        &self,
        device: &dyn Sealer,
        sealed: &SealedSecret,
    ) -> Result<Arc<Secret>, CustodyError> {
        let rests = (sealed.secret.clone(), sealed.passphrase.clone());
        let open = self.cache.get(&sealed.id);
        let open = open.filter(|secret| secret.sealed == rests);
        OPENED.asked(open.is_some());
        if let Some(secret) = open {
            return Ok(secret);
        }
        let before = self.forgotten.load(Ordering::SeqCst);
        let text = device.open(&rests.0.aad, &rests.0.sealed).await?;
        let key = (sealed.key)(&text);
        let nonsense =
            |what: &str| CustodyError::Nonsense(format!("the sealed {what} is malformed"));
        let key = key.ok_or_else(|| nonsense("HMAC secret"))?;
        let passphrase = device.open(&rests.1.aad, &rests.1.sealed).await?;
        let passphrase = std::str::from_utf8(&passphrase).map_err(|_| nonsense("passphrase"))?;
        let secret = Arc::new(Secret {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            passphrase: Arc::new(Passphrase(Zeroizing::new(passphrase.to_owned()))),
            sealed: rests,
        });
        self.cache.insert(sealed.id, Arc::clone(&secret));
        if self.forgotten.load(Ordering::SeqCst) != before {
            self.cache.invalidate(&sealed.id);
        }
        Ok(secret)
    }
}

#[cfg(test)]
mod tests;
