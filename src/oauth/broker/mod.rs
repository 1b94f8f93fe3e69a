//! Access tokens for callers: an assertion is exchanged here, and the token remembered until shortly
//! before it ends.
//!
//! It promises that a caller gets a token only while the policy permits all of its scopes, its key is
//! active in the epoch that fetched it, and the caller stands: asked each time, behind the gate, with a
//! leaf that is durable before the answer. That however many ask, on however many replicas, one
//! exchange is under way for a place of the cache. That no token is answered after its end, and none
//! after somebody reported it dead. Tokens stay in memory; the ledger knows who fetches and which
//! tokens still count.
//!
//! It **trusts** what the authorization server says of a token's life and scopes to be no less than
//! the truth; a token that says of itself less, or more than was asked for, is believed over the answer.
//!
//! # Why a token with all scopes is asked for first
//! Scopes belong to the application, and what it is granted only the server knows: a request that
//! names one scope too many is refused whole. So who names no scopes gets what the application is
//! granted, where the policy permits that. Where it does not, that token is dropped, and one with the
//! scopes that are both granted and permitted is fetched; what is granted is remembered for an hour.

mod breaker;
mod failure;
mod fetch;
mod life;
mod place;
mod records;
mod scope_set;
mod slot;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moka::sync::Cache;
use secrecy::SecretString;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::clients::{Client, ClientError, Clients};
use super::environment::Settings;
use super::exchange::TokenEndpoint;
use super::scopes::Table;
use crate::approvals::Approval;
use crate::audit::{Batch, Event, Leaf, Log, leaf};
use crate::callers::Caller;
use crate::clock::Clock;
use crate::counterparty::BadCounterparty;
use crate::id::{ClientId, IntentId, KeyId};
use crate::idempotency::RequestDigest;
use crate::ledger::Gate;
use crate::name::Name;
use crate::policy::{Action, Denied};
use crate::signing::{Signer, SigningError};
use breaker::Breaker;
pub use failure::{Diagnosis, FetchError, Rejected, TokenError};
use fetch::Fetch;
use life::Life;
use place::Place;
use records::Forced;
pub use scope_set::{NotScopes, ScopeSet};
use slot::{Look, Outcome, Slot};

/// How many tokens are remembered. Whoever asks for many scope sets pushes out what was used least.
const PLACES: u64 = 4_096;

/// A place where nobody looks is forgotten after this.
const IDLE: Duration = Duration::from_hours(1);

/// How often a request begins anew because its key changed under it.
const KEYS_AT_MOST: u32 = 4;

/// The broker. Cheap to clone.
#[derive(Clone)]
pub struct Broker(Arc<Inner>);

/// What it works with.
pub struct Parts {
    /// The door.
    pub signer: Signer,
    /// The clients.
    pub clients: Clients,
    /// Where evidence goes.
    pub log: Log,
    /// The time, for what callers read. Lives are counted by the monotonic clock.
    pub clock: Clock,
    /// Where fetches run, which outlive whoever caused them.
    pub tasks: TaskTracker,
    /// Ends what waits, when the service stops.
    pub stop: CancellationToken,
}

struct Inner {
    parts: Parts,
    endpoints: BTreeMap<Name, TokenEndpoint>,
    slots: Cache<[u8; 32], Arc<Mutex<Slot>>>,
    breakers: Cache<(ClientId, KeyId, i64), Arc<Mutex<Breaker>>>,
}

impl std::ops::Deref for Inner {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// A token in memory.
struct Held {
    /// The intent of the assertion that was exchanged for it.
    id: IntentId,
    token: SecretString,
    life: Life,
    /// Its scopes, where anybody said.
    granted: Option<ScopeSet>,
    /// Of its place, when its fetch began.
    generation: i64,
}

/// Somebody's wish for a token.
#[derive(Clone)]
pub struct Wish {
    /// Who.
    pub caller: Caller,
    /// Of which client.
    pub client: Client,
    /// With which scopes; all that the caller may have and the application is granted, unless said.
    pub scopes: Option<ScopeSet>,
    /// Not the one that is remembered.
    pub afresh: bool,
    /// Stands for the request.
    pub request: RequestDigest,
    /// How long the caller waits.
    pub deadline: Option<Duration>,
}

/// A token that is on record as handed out.
pub struct HandedOut {
    held: Arc<Held>,
    /// Its scopes.
    pub granted: Option<ScopeSet>,
    /// Those that were asked for and that it does not have.
    pub missing: ScopeSet,
    /// How many seconds it lives from now on.
    pub expires_in: u64,
    /// When it ends, by our clock.
    pub expires_at: OffsetDateTime,
    /// The API that it is for.
    pub audience: String,
    /// The `[oauth.environments.NAME]` section.
    pub environment: Name,
}

impl HandedOut {
    /// Its id: that of the signature that was exchanged for it.
    pub fn id(&self) -> IntentId {
        self.held.id
    }

    /// The token itself.
    pub fn token(&self) -> &SecretString {
        &self.held.token
    }
}

impl Broker {
    /// A broker for the configured environments.
    pub fn open(settings: &Settings, parts: Parts) -> Result<Self, BadCounterparty> {
        let endpoints = settings.environments.iter().map(|(name, environment)| {
            TokenEndpoint::open(environment).map(|it| (name.clone(), it))
        });
        Ok(Self(Arc::new(Inner {
            parts,
            endpoints: endpoints.collect::<Result<_, _>>()?,
            slots: Cache::builder()
                .max_capacity(PLACES)
                .time_to_idle(IDLE)
                .build(),
            breakers: Cache::builder()
                .max_capacity(PLACES)
                .time_to_idle(IDLE)
                .build(),
        })))
    }

    /// Gets a token for a caller, from memory or from the server.
    pub async fn token(&self, wish: &Wish) -> Result<HandedOut, TokenError> {
        let patience = self.0.signer.deadline(wish.deadline);
        match tokio::time::timeout(patience, self.follow(wish)).await {
            Ok(done) => done,
            Err(_) => Err(SigningError::DeadlineExceeded.into()), // a fetch goes on
        }
    }

    /// Begins anew where the client got another key meanwhile: its callers do not notice.
    async fn follow(&self, wish: &Wish) -> Result<HandedOut, TokenError> {
        let mut client = wish.client.clone();
        let mut afresh = wish.afresh;
        for _ in 1..KEYS_AT_MOST {
            match self.obtain(wish, &client, afresh).await {
                Err(error) if error.is_about_the_key() => {
                    let Some(now) = self.0.clients.rekeyed(&client).await? else {
                        return Err(error);
                    };
                    client = now;
                    afresh = false; // under another key there is nothing old
                }
                done => return done,
            }
        }
        self.obtain(wish, &client, afresh).await
    }

    async fn obtain(
        &self,
        wish: &Wish,
        client: &Client,
        afresh: bool,
    ) -> Result<HandedOut, TokenError> {
        let environment = self.0.clients.environment(client)?;
        let permitted = self.permitted(&wish.caller, client, wish.scopes.as_ref())?;
        let endpoint = self.0.endpoints.get(&client.environment);
        let unknown = || ClientError::UnknownEnvironment(client.environment.clone());
        let endpoint = endpoint.ok_or_else(unknown)?;
        let place = |scopes: Option<ScopeSet>| Place {
            client: client.clone(),
            environment: environment.clone(),
            endpoint: endpoint.clone(),
            scopes,
        };
        let held = match &wish.scopes {
            Some(asked) => {
                let place = place(Some(asked.clone()));
                let row = self.row(&place, wish, afresh).await?;
                self.held(wish, &place, row.generation, &permitted).await?
            }
            None => {
                let all = place(None);
                let row = self.row(&all, wish, afresh).await?;
                let granted = match row.granted {
                    Some(granted) if !granted.is_within(&permitted) => Err(Some(granted)),
                    _ => {
                        let held = self.held(wish, &all, row.generation, &permitted).await?;
                        match &held.granted {
                            Some(granted) if granted.is_within(&permitted) => Ok(held),
                            granted => Err(granted.clone()),
                        }
                    }
                };
                match granted {
                    Ok(held) => held,
                    Err(granted) => {
                        // With more than the caller may have; it goes no further than this.
                        let both = granted.as_ref().map(|it| it.and(&permitted));
                        let both = both.unwrap_or_else(|| permitted.clone());
                        if both.is_empty() {
                            let granted = granted.unwrap_or_default();
                            return Err(TokenError::NothingGranted { granted });
                        }
                        let place = place(Some(both));
                        let row = self.row(&place, wish, afresh).await?;
                        self.held(wish, &place, row.generation, &permitted).await?
                    }
                }
            }
        };
        self.hand_out(wish, client, held).await
    }

    /// The scopes that a caller may have: those that they ask for, or all that are documented and
    /// permitted.
    fn permitted(
        &self,
        caller: &Caller,
        client: &Client,
        asked: Option<&ScopeSet>,
    ) -> Result<ScopeSet, TokenError> {
        let signer = &self.0.signer;
        let about = |scopes: &ScopeSet| client.resource().with_scopes(scopes.to_vec());
        let alone = |scope: &str| {
            let one = client.resource().with_scopes(vec![scope.to_owned()]);
            signer.would(caller, Action::IssueToken, &one)
        };
        if let Some(asked) = asked {
            let denied = match signer.may(caller, Action::IssueToken, &about(asked)) {
                Ok(()) => return Ok(asked.clone()),
                Err(denied) => denied,
            };
            let not_alone = asked.iter().filter(|it| !alone(it)).map(str::to_owned);
            let not_alone: ScopeSet = not_alone.collect();
            let together = not_alone.is_empty();
            let scopes = if together { asked.clone() } else { not_alone };
            return Err(TokenError::ScopeDenied {
                scopes,
                together,
                denied,
            });
        }
        let documented = Table::exchange().scopes.iter().map(|it| it.scope.clone());
        let documented: ScopeSet = documented.collect();
        if signer.would(caller, Action::IssueToken, &about(&documented)) {
            return Ok(documented);
        }
        let permitted = documented.iter().filter(|it| alone(it)).map(str::to_owned);
        let permitted: ScopeSet = permitted.collect();
        let asked = if permitted.is_empty() {
            &documented
        } else {
            &permitted
        };
        signer.may(caller, Action::IssueToken, &about(asked))?;
        if permitted.is_empty() {
            // Alone none, and yet all of them together: such a policy permits nothing in particular.
            return Err(Denied {
                action: Action::IssueToken,
                rules: Vec::new(),
            }
            .into());
        }
        Ok(permitted)
    }

    /// How a place stands on all replicas; emptied first, where the caller wants a fresh token.
    async fn row(
        &self,
        place: &Place,
        wish: &Wish,
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
        Ok(records::find(place, self.0.log.ledger()).await?)
    }

    /// A token of this generation, or a later one: remembered, or fetched by whoever is first.
    async fn held(
        &self,
        wish: &Wish,
        place: &Place,
        generation: i64,
        permitted: &ScopeSet,
    ) -> Result<Arc<Held>, TokenError> {
        let slot = self.0.slots.get_with(place.hash(), Arc::default);
        loop {
            let (mut flight, own) = {
                let mut looked = lock(&slot);
                let now = Instant::now();
                match looked.look(now, generation) {
                    Look::Serve(held) => return Ok(held),
                    Look::Refresh(held) => {
                        if lock(&self.breaker(place)).pass(now).is_ok() {
                            let tell = looked.begin();
                            self.launch(wish, place, permitted, slot.clone(), tell);
                        }
                        return Ok(held);
                    }
                    Look::Wait(flight) => (flight, false),
                    Look::Rest(error, rest) => return Err(resting(error, rest)),
                    Look::Fetch => {
                        if let Err((error, rest)) = lock(&self.breaker(place)).pass(now) {
                            let last = looked.last(now, generation);
                            return last.ok_or_else(|| resting(error, rest));
                        }
                        let tell = looked.begin();
                        let flight = tell.subscribe();
                        self.launch(wish, place, permitted, slot.clone(), tell);
                        (flight, true)
                    }
                }
            };
            let landed = flight.wait_for(Option::is_some).await;
            let Some(landed) = landed.ok().and_then(|outcome| outcome.clone()) else {
                continue; // the fetch died
            };
            let now = Instant::now();
            match landed {
                Ok(held)
                    if held.generation >= generation && held.life.age(now) != life::Age::Over =>
                {
                    return Ok(held);
                }
                Ok(_) => {} // somebody reported it while it was on its way
                Err(error) => {
                    if let Some(last) = lock(&slot).last(now, generation) {
                        return Ok(last);
                    }
                    if own || !error.is_the_leaders_own() {
                        let rest = lock(&slot).rests(now);
                        let rest = rest.or_else(|| lock(&self.breaker(place)).rests(now));
                        return Err(TokenError::Fetch {
                            error,
                            retry_after: rest,
                        });
                    }
                }
            }
        }
    }

    fn breaker(&self, place: &Place) -> Arc<Mutex<Breaker>> {
        self.0.breakers.get_with(place.presented(), Arc::default)
    }

    /// Fetches a token in a task of its own: who caused it may hang up, others wait for it.
    fn launch(
        &self,
        wish: &Wish,
        place: &Place,
        permitted: &ScopeSet,
        slot: Arc<Mutex<Slot>>,
        tell: watch::Sender<Outcome>,
    ) {
        let fetch = Fetch {
            broker: self.clone(),
            place: place.clone(),
            caller: wish.caller.clone(),
            permitted: permitted.clone(),
            request: wish.request,
        };
        let breaker = self.breaker(place);
        self.0.tasks.spawn(async move {
            let (generation, done) = fetch.run().await;
            let now = Instant::now();
            match &done {
                Ok(held) => {
                    lock(&slot).filled(held);
                    if lock(&breaker).close() {
                        tracing::info!(client = %fetch.place.client.name, "the client is taken again");
                    }
                }
                Err(error) => {
                    lock(&slot).failed(now, error, generation, dice());
                    let still = lock(&slot).last(now, generation).is_some();
                    fetch.complain(error, still);
                    if error.denies_client() && lock(&breaker).trip(now, error) {
                        tracing::error!(client = %fetch.place.client.name,
                            environment = %fetch.place.client.environment, %error,
                            "the authorization server does not take a client: no new tokens for it");
                    }
                }
            }
            tell.send_replace(Some(done));
        });
    }

    /// Puts on record that the caller gets the token; then they do.
    async fn hand_out(
        &self,
        wish: &Wish,
        client: &Client,
        held: Arc<Held>,
    ) -> Result<HandedOut, TokenError> {
        let (inner, key) = (&self.0, &client.key);
        let left = |now| i64::try_from(held.life.left(now).as_millis()).unwrap_or(i64::MAX);
        let now_ms = inner.clock.unix_ms();
        let scopes = held.granted.as_ref().map(ToString::to_string);
        let token = leaf::Token {
            fetch: held.id.uuid(),
            client: client.id.uuid(),
            key: key.id.uuid(),
            key_epoch: key.epoch,
            caller: wish.caller.id.uuid(),
            credential: wish.caller.credential,
            policy: inner.signer.policy_digest(),
            scopes: scopes.unwrap_or_default(),
            expires_at_ms: now_ms.saturating_add(left(Instant::now())),
        };
        let leaf = Leaf::new(now_ms, Event::Token(token));
        inner.signer.hand_out(&wish.caller, key, leaf).await?; // durable, or nobody sees it
        let now = Instant::now();
        if held.life.age(now) == life::Age::Over {
            return Err(SigningError::DeadlineExceeded.into());
        }
        let missing = match (&wish.scopes, &held.granted) {
            (Some(asked), Some(granted)) => asked.without(granted),
            _ => ScopeSet::default(),
        };
        let environment = inner.clients.environment(client)?;
        Ok(HandedOut {
            granted: held.granted.clone(),
            missing,
            expires_in: held.life.left(now).as_secs(),
            expires_at: inner.clock.now() + held.life.left(now),
            audience: environment.token_audience.clone(),
            environment: client.environment.clone(),
            held,
        })
    }

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
        forced: Result<Forced, crate::ledger::LedgerError>,
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
}

fn resting(error: FetchError, rest: Duration) -> TokenError {
    TokenError::Fetch {
        error,
        retry_after: Some(rest),
    }
}

impl TokenError {
    /// Whether it may be gone with the client's next key.
    fn is_about_the_key(&self) -> bool {
        let signing = match self {
            Self::Signing(error)
            | Self::Fetch {
                error: FetchError::Signing(error),
                ..
            } => error,
            _ => return false,
        };
        signing.is_about_the_key()
    }
}

/// 0 to 255.
fn dice() -> u8 {
    let mut byte = [0];
    getrandom::fill(&mut byte).expect("the operating system has random bytes");
    byte[0]
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
