//! The keys of an issuer: from a file, or from where it has them.
//!
//! They are looked up again every few minutes. While that fails those before go on, up to an age after which
//! nobody is known by them; a set that cannot be read changes nothing. A key that is not there is looked
//! for at once, but not often: who sends invented key ids costs the issuer one request in so long.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::Method;
use tokio::sync::Mutex;

use crate::counterparty::{self, BadCounterparty, Counterparty};
use crate::guarded_file;

/// How often an issuer's keys are looked up again.
const EVERY: Duration = Duration::from_mins(5);

/// How often at most, when one is not there or the last time failed.
const AGAIN: Duration = Duration::from_secs(30);

/// How long looking them up may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// The largest set, in bytes and in keys.
const LARGEST: (usize, usize) = (256 * 1024, 64);

/// Why an issuer's keys cannot be looked up as configured.
#[derive(Debug, thiserror::Error)]
pub enum BadKeys {
    /// Neither a file nor a URL, or both.
    #[error("one of jwks_file and jwks_url is needed")]
    Place,
    /// The URL.
    #[error("jwks_url = {0}")]
    Url(#[from] BadCounterparty),
}

/// Why an issuer's keys are of no use now.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the keys of the issuer cannot be looked up, and those before are too old")]
pub struct KeysError;

/// The keys of one issuer.
pub(super) struct Keys {
    issuer: String,
    place: Place,
    max_age: Duration,
    current: ArcSwapOption<Known>,
    /// When they were last looked up, or it was tried.
    tried: Mutex<Option<Tried>>,
}

#[derive(Clone, Copy)]
struct Tried {
    at: Instant,
    succeeded: bool,
}

enum Place {
    File(PathBuf),
    Url(Counterparty),
}

struct Known {
    keys: Vec<Key>,
    since: Instant,
}

struct Key {
    kid: Option<String>,
    jwk: Jwk,
    decoding: DecodingKey,
}

impl Keys {
    /// Of this issuer, in a file or at a URL.
    pub(super) fn open(
        issuer: &str,
        file: Option<&Path>,
        url: Option<&str>,
        max_age: Duration,
    ) -> Result<Self, BadKeys> {
        let place = match (file, url) {
            (Some(file), None) => Place::File(file.to_owned()),
            (None, Some(url)) => Place::Url(Counterparty::open(url, PATIENCE)?),
            _ => return Err(BadKeys::Place),
        };
        Ok(Self {
            issuer: issuer.to_owned(),
            place,
            max_age,
            current: ArcSwapOption::empty(),
            tried: Mutex::default(),
        })
    }

    /// The key for a token: that with its id, or, where it names none, the only one there is.
    pub(super) fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Option<DecodingKey>, KeysError> {
        let known = self.current.load();
        let known = known.as_ref().ok_or(KeysError)?;
        if known.since.elapsed() > self.max_age {
            return Err(KeysError);
        }
        let mut fit = known
            .keys
            .iter()
            .filter(|key| kid.is_none() || key.kid.as_deref() == kid)
            .filter(|key| key.is_for(algorithm));
        let first = fit.next();
        let is_alone = fit.next().is_none();
        Ok(first.filter(|_| is_alone).map(|key| key.decoding.clone()))
    }

    /// Looks them up where it is time to.
    pub(super) async fn renew(&self) {
        let pause = match &self.place {
            Place::File(_) => Duration::ZERO,
            Place::Url(_) => EVERY.min(self.max_age / 2),
        };
        self.look(pause).await;
    }

    /// Looks for a key that is not there.
    pub(super) async fn look_for_another(&self) {
        self.look(AGAIN).await;
    }

    /// Looks them up unless that was done within the pause, or has failed a moment ago. One at a time:
    /// whoever waits for it finds it done.
    async fn look(&self, pause: Duration) {
        let mut tried = self.tried.lock().await;
        let before = *tried;
        let is_early = before.is_some_and(|it| {
            let pause = if it.succeeded {
                pause
            } else {
                pause.min(AGAIN)
            };
            it.at.elapsed() < pause
        });
        if is_early {
            return;
        }
        let found = self.read().await;
        let succeeded = found.is_ok();
        match found {
            Ok(keys) => {
                if keys.is_empty() {
                    let issuer = &self.issuer;
                    tracing::error!(
                        issuer,
                        "the issuer has no key that can be used: nobody is known by it"
                    );
                }
                let since = Instant::now();
                self.current.store(Some(Arc::new(Known { keys, since })));
            }
            Err(error) if before.is_none_or(|it| it.succeeded) => {
                let (issuer, max_age_s) = (&self.issuer, self.max_age.as_secs());
                tracing::error!(
                    issuer,
                    error,
                    max_age_s,
                    "the issuer's keys are not there; those before go on until they are too old"
                );
            }
            Err(_) => {} // that was said
        }
        let at = Instant::now();
        *tried = Some(Tried { at, succeeded });
    }

    async fn read(&self) -> Result<Vec<Key>, String> {
        match &self.place {
            Place::File(file) => {
                let text = guarded_file::read_rules(file).map_err(|error| error.to_string())?;
                parse(text.as_bytes())
            }
            Place::Url(server) => {
                let request = server.request(Method::GET, "", &[]);
                let reply = counterparty::send(request).await;
                let reply = reply.map_err(|error| error.to_string())?;
                if reply.status != 200 {
                    return Err(format!("it answered {}", reply.status));
                }
                parse(&reply.body)
            }
        }
    }
}

/// The keys of a set that can be used here. What is for something else is left out; two with one id are
/// refused, for nobody could say whose a signature is.
fn parse(text: &[u8]) -> Result<Vec<Key>, String> {
    let (bytes, most) = LARGEST;
    if text.len() > bytes {
        return Err("it is too large".to_owned());
    }
    let set: JwkSet = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if set.keys.len() > most {
        return Err(format!("it has more than {most} keys"));
    }
    let mut keys: Vec<Key> = Vec::new();
    for jwk in set.keys {
        let is_for_signatures = jwk
            .common
            .public_key_use
            .as_ref()
            .is_none_or(|it| *it == PublicKeyUse::Signature);
        let is_public = !matches!(
            jwk.algorithm,
            AlgorithmParameters::OctetKey(_) | AlgorithmParameters::Other(_)
        );
        if !is_for_signatures || !is_public {
            continue;
        }
        let kid = jwk.common.key_id.clone();
        if kid.is_some() && keys.iter().any(|it| it.kid == kid) {
            return Err(format!("two keys have the id {}", kid.unwrap_or_default()));
        }
        let decoding = DecodingKey::from_jwk(&jwk).map_err(|error| error.to_string())?;
        keys.push(Key { kid, jwk, decoding });
    }
    Ok(keys)
}

impl Key {
    /// Whether it makes signatures of this kind: by what it is, and by what it says that it is for.
    fn is_for(&self, algorithm: Algorithm) -> bool {
        let named = self.jwk.common.key_algorithm;
        let is_named = named.is_none_or(|it| it.to_string() == format!("{algorithm:?}"));
        let fits = match (&self.jwk.algorithm, algorithm) {
            (
                AlgorithmParameters::RSA(_),
                Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 | Algorithm::PS256,
            )
            | (AlgorithmParameters::OctetKeyPair(_), Algorithm::EdDSA) => true,
            (AlgorithmParameters::EllipticCurve(key), Algorithm::ES256) => {
                key.curve == EllipticCurve::P256
            }
            (AlgorithmParameters::EllipticCurve(key), Algorithm::ES384) => {
                key.curve == EllipticCurve::P384
            }
            _ => false,
        };
        is_named && fits
    }
}
