//! One fetch: the lease, an assertion for each attempt, the exchange.
//!
//! An assertion is spent by its first delivery, whatever comes back, so no attempt sends what another
//! one has sent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use uuid::Uuid;

use super::failure::{Diagnosis, FetchError, Rejected};
use super::life::{self, Life};
use super::place::Place;
use super::records::{self, Fetched};
use super::scope_set::ScopeSet;
use super::{Broker, Held, dice};
use crate::callers::Caller;
use crate::counterparty::quoted;
use crate::fail_point;
use crate::idempotency::RequestDigest;
use crate::oauth::assertion::{AssertionDraft, Errand};
use crate::oauth::environment::AssertionAud;
use crate::oauth::exchange::{ExchangeError, Granted};
use crate::oauth::issuing::Issued;
use crate::oauth::scopes::TokenClaims;
use crate::signing::SigningRequest;

/// How long the lease of a fetch lasts that is not heard of: others wait for that long after a replica
/// died.
const LEASE: Duration = Duration::from_secs(6);

/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(2);

/// How long a fetch tries.
const WORK: Duration = Duration::from_secs(15);

/// How long it waits for the lease.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often it looks whether the lease is free, in milliseconds: from, and so much more at most.
const LOOK_MS: (u64, u64) = (40, 40);

/// How many assertions are tried.
const ATTEMPTS: u32 = 3;

/// The longest pause before the second attempt; then it doubles.
const PAUSE_MS: u64 = 250;

/// A token to be fetched.
pub(super) struct Fetch {
    pub(super) broker: Broker,
    pub(super) place: Place,
    /// For whom the assertion is signed.
    pub(super) caller: Caller,
    /// What the caller may have: the scopes that the policy decides on.
    pub(super) permitted: ScopeSet,
    pub(super) request: RequestDigest,
}

impl Fetch {
    /// Fetches a token while nobody else does, on any replica. The generation is that of the lease.
    pub(super) async fn run(&self) -> (i64, Result<Arc<Held>, FetchError>) {
        let ledger = self.broker.0.log.ledger();
        let holder = Uuid::now_v7();
        let (generation, end) = match self.lease(holder).await {
            Ok(leased) => leased,
            Err(error) => return (0, Err(error)),
        };
        fail_point!("token-leased");
        let done = self
            .under_lease(holder, self.attempts(generation, end))
            .await;
        fail_point!("token-fetched");
        let settled = match &done {
            Ok(held) => {
                let fetched = Fetched {
                    id: held.id,
                    generation,
                    granted: held.granted.as_ref(),
                    lives: held.life.left(Instant::now()),
                };
                if dice() < 8 {
                    drop(records::forget_old(ledger).await); // now and then is often enough
                }
                records::keep(&self.place, holder, &fetched, ledger).await
            }
            Err(error) => {
                if error.ends_with_generation() {
                    drop(records::forget_granted(self.place.client.id, ledger).await);
                }
                records::give_back(&self.place, holder, ledger).await
            }
        };
        if let Err(error) = settled {
            tracing::warn!(%error, "a fetch of a token was not put on record; its lease runs out");
        }
        (generation, done)
    }

    async fn lease(&self, holder: Uuid) -> Result<(i64, Instant), FetchError> {
        let inner = &self.broker.0;
        let patience = Instant::now() + PATIENCE;
        loop {
            let end = Instant::now() + WORK;
            let leased = records::claim(&self.place, holder, LEASE, inner.log.ledger()).await?;
            if let Some(generation) = leased {
                return Ok((generation, end));
            }
            let pause = LOOK_MS.0 + LOOK_MS.1 * u64::from(dice()) / 255;
            if Instant::now() >= patience || !self.rest(Duration::from_millis(pause)).await {
                return Err(FetchError::Elsewhere);
            }
        }
    }

    /// Works while the lease is ours. One that was lost, to whoever thought that we had died, ends it.
    async fn under_lease<T>(
        &self,
        holder: Uuid,
        work: impl Future<Output = Result<T, FetchError>>,
    ) -> Result<T, FetchError> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(RENEW) => {
                    let ledger = self.broker.0.log.ledger();
                    match records::renew(&self.place, holder, LEASE, ledger).await {
                        Ok(true) => {}
                        Ok(false) => return Err(FetchError::Elsewhere),
                        Err(error) => tracing::debug!(%error, "a lease was not renewed"),
                    }
                }
            }
        }
    }

    /// Waits, unless the service stops.
    async fn rest(&self, pause: Duration) -> bool {
        tokio::select! {
            () = self.broker.0.stop.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }

    async fn attempts(&self, generation: i64, end: Instant) -> Result<Arc<Held>, FetchError> {
        let mut attempts = 0;
        let mut uncertain = false;
        loop {
            attempts += 1;
            let error = match self.attempt(generation, attempts, end).await? {
                Ok(held) => return Ok(held),
                Err(rejected) => rejected,
            };
            let longest = PAUSE_MS << (attempts - 1);
            let pause = match &error.error {
                // The server may have seen the assertion before it seemed to be lost.
                ExchangeError::NotTaken(_) if uncertain => Duration::ZERO,
                error if error.passes() => Duration::from_millis(longest * u64::from(dice()) / 255),
                _ => return Err(FetchError::Exchange(Arc::new(error))),
            };
            uncertain = !matches!(
                error.error,
                ExchangeError::NotTaken(_) | ExchangeError::Unreachable
            );
            let exchange = Duration::from_millis(self.place.environment.timeout_ms);
            let fits = Instant::now() + pause + exchange < end;
            if attempts == ATTEMPTS || !fits || !self.rest(pause).await {
                return Err(FetchError::Exchange(Arc::new(error)));
            }
            tracing::info!(error = %error.error, attempts, client = %self.place.client.name,
                "an exchange is tried again with a new assertion");
        }
    }

    /// One assertion, sent once.
    async fn attempt(
        &self,
        generation: i64,
        attempts: u32,
        end: Instant,
    ) -> Result<Result<Arc<Held>, Rejected>, FetchError> {
        let (inner, place) = (&self.broker.0, &self.place);
        let scopes = place.scopes.as_ref();
        let errand = Errand::Exchange(scopes.unwrap_or(&self.permitted).to_vec());
        let (client, environment) = (place.client.clone(), place.environment.clone());
        let draft = AssertionDraft::new(client, environment, errand);
        let asked = SigningRequest {
            deadline: Some(end.saturating_duration_since(Instant::now())),
            ..SigningRequest::once(self.request)
        };
        let signed = inner
            .signer
            .sign(&self.caller, Box::new(draft), asked)
            .await?;
        let issued = Issued::of(&signed);
        fail_point!("token-signed");

        let asked_at = Instant::now();
        let scope = scopes.map(ScopeSet::to_vec).unwrap_or_default();
        let answer = place
            .endpoint
            .exchange(&place.client.client_id, &issued.client_assertion, &scope)
            .await;
        let duration_ms = asked_at.elapsed().as_millis();
        let granted = match answer {
            Ok(granted) => granted,
            Err(error) => return Ok(Err(self.rejected(error, &issued, attempts))),
        };
        tracing::info!(
            intent.id = %issued.id, client = %place.client.name, environment = %place.client.environment,
            duration_ms, attempts,
            quota.remaining = granted.quota.remaining, quota.reset = granted.quota.reset,
            quota.client = granted.quota.client, "a token was fetched"
        );
        match self.held(granted, &issued, asked_at, generation) {
            Ok(held) => {
                let more = match (&held.granted, scopes) {
                    (Some(granted), Some(asked)) => granted.without(asked),
                    _ => ScopeSet::default(),
                };
                if more.is_empty() {
                    Ok(Ok(Arc::new(held)))
                } else {
                    Err(FetchError::Excess(more))
                }
            }
            Err(error) => Ok(Err(self.rejected(error, &issued, attempts))),
        }
    }

    /// A token with its life and its scopes. The token's own claims are what the API goes by: one for
    /// another API is none, the shortest life counts, and its scopes count before the answer's. RFC 6749:
    /// an answer without scopes grants those that were asked for.
    fn held(
        &self,
        granted: Granted,
        issued: &Issued,
        asked_at: Instant,
        generation: i64,
    ) -> Result<Held, ExchangeError> {
        let claims = TokenClaims::read(granted.access_token.expose_secret());
        let claims = claims.unwrap_or_default(); // a token need not be a JWT
        let asked = &self.place.environment.token_audience;
        if !claims.audiences.is_empty() && !claims.audiences.contains(asked) {
            return Err(ExchangeError::Elsewhere {
                audiences: quoted(&claims.audiences.join(" ")),
                asked: asked.clone(),
            });
        }
        let ours = || self.broker.0.clock.unix_s();
        let now = granted.server_time.unwrap_or_else(ours);
        let (from, end) = (claims.issued_at, claims.expires_at);
        let lives = life::length(granted.expires_in, from, end, now)
            .ok_or(ExchangeError::Nonsense("it does not say how long it lives"))?;
        let scopes = match claims.scopes {
            none if none.is_empty() => granted.scope.as_deref().map(ScopeSet::granted),
            own => Some(own.into_iter().collect()),
        };
        let life = Life::new(asked_at, lives, dice());
        if life.left(Instant::now()) < Duration::from_secs(1) {
            return Err(ExchangeError::Nonsense("it is over on arrival"));
        }
        Ok(Held {
            id: issued.id,
            token: granted.access_token,
            life,
            granted: scopes.or_else(|| self.place.scopes.clone()),
            generation,
        })
    }

    /// Says what went wrong, as loud as it is bad: `left` is whether there is a token to go on with.
    pub(super) fn complain(&self, error: &FetchError, left: bool) {
        let (client, environment) = (&self.place.client.name, &self.place.client.environment);
        let attempts = match error {
            FetchError::Exchange(rejected) => rejected.diagnosis.attempts,
            _ => 0,
        };
        if error.needs_somebody(left) {
            tracing::error!(%client, %environment, %error, attempts, left, "no token was fetched");
        } else {
            tracing::warn!(%client, %environment, %error, attempts, left, "no token was fetched");
        }
    }

    fn rejected(&self, mut error: ExchangeError, issued: &Issued, attempts: u32) -> Rejected {
        if let ExchangeError::Throttled {
            retry_after_s: retry @ None,
            quota,
        } = &mut error
        {
            let now = self.broker.0.clock.unix_s();
            let wait = quota.reset.map(|reset| reset.saturating_sub(now).max(1));
            *retry = wait.and_then(|it| u32::try_from(it).ok());
        }
        let (client, environment) = (&self.place.client, &self.place.environment);
        let refusal = error.refusal();
        let server_s = refusal.and_then(|it| it.server_time);
        let public = client.key.public_key.as_ref();
        let diagnosis = Diagnosis {
            environment: client.environment.to_string(),
            token_endpoint: environment.token_endpoint.clone(),
            assertion_aud: match &environment.assertion_aud {
                AssertionAud::TokenEndpoint => "token-endpoint",
                AssertionAud::Issuer => "issuer",
                AssertionAud::Literal(_) => "literal",
            },
            signature: issued.id.to_string(),
            claims: issued.claims(),
            key_fingerprint: public.map(|key| hex::encode(key.fingerprint())),
            clock_ahead_s: server_s.map(|it| self.broker.0.clock.unix_s().saturating_sub(it)),
            attempts,
            server_error: refusal.map(|it| it.code.clone()),
            server_status: refusal.map(|it| it.status),
        };
        Rejected { error, diagnosis }
    }
}
