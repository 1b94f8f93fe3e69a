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
mod flight;
mod granted;
mod life;
mod place;
mod records;
mod report;
mod rights;
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
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::clients::{Client, ClientError, Clients};
use super::environment::Settings;
use super::exchange::TokenEndpoint;
use crate::audit::{Event, Log, leaf};
use crate::callers::Caller;
use crate::clock::Clock;
use crate::counterparty::BadCounterparty;
use crate::id::{ClientId, IntentId, KeyId};
use crate::idempotency::RequestDigest;
use crate::joint::Joint;
use crate::limits::Limited;
use crate::name::Name;
use crate::policy::{Action, Permit, Rights};
use crate::signing::{Business, Right, Signer, SigningError};
use breaker::Breaker;
pub use failure::{Diagnosis, FetchError, Rejected, TokenError};
use life::{Age, Life};
use place::Place;
use rights::Permitted;
pub use scope_set::{NotScopes, ScopeSet};
use slot::Slot;

/// What a token is wanted for.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessTokenRequest {
    /// Scopes, with one space between them. Without it: all that you may have and the application is
    /// granted.
    #[serde(default)]
    #[schema(example = "read:orders write:orders")]
    pub scope: Option<String>,
    /// Not the token that is remembered: after the application was granted more, for instance.
    #[serde(default)]
    pub refresh: bool,
}

/// How many tokens are remembered. Whoever asks for many scope sets pushes out what was used least.
const PLACES: u64 = 4_096;

/// A place where nobody looks is forgotten after this.
const IDLE: Duration = Duration::from_hours(1);

/// How often a request begins anew.
const TRIES: u32 = 5;

/// The broker. Cheap to clone.
#[derive(Clone)]
pub struct Broker(Arc<Inner>);

/// What it works with.
pub struct Tools {
    /// Who may have a token.
    pub rights: Rights,
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
    parts: Tools,
    endpoints: BTreeMap<Name, TokenEndpoint>,
    slots: Cache<[u8; 32], Arc<Mutex<Slot>>>,
    looks: Joint<[u8; 32], records::Row>,
    breakers: Cache<(ClientId, KeyId, i64), Arc<Mutex<Breaker>>>,
}

impl std::ops::Deref for Inner {
    type Target = Tools;

    fn deref(&self) -> &Tools {
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
    /// The place's generation when the token's fetch began.
    generation: i64,
}

/// Who needs a token, and which.
#[derive(Clone)]
pub struct TokenNeed {
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
    /// That it is handed out was not durable before this.
    pub since: Instant,
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
    pub fn open(settings: &Settings, parts: Tools) -> Result<Self, BadCounterparty> {
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
            looks: Joint::new(),
            breakers: Cache::builder()
                .max_capacity(PLACES)
                .time_to_idle(IDLE)
                .build(),
        })))
    }

    /// Gets a token for a caller, from memory or from the server.
    pub async fn token(&self, wish: &TokenNeed) -> Result<HandedOut, TokenError> {
        let patience = self.0.signer.deadline(wish.deadline);
        match tokio::time::timeout(patience, self.follow(wish)).await {
            Ok(done) => done,
            Err(_) => Err(SigningError::DeadlineExceeded.into()), // a fetch goes on
        }
    }

    /// Begins anew where the client got another key meanwhile, or the token came to its end: callers do
    /// not notice.
    async fn follow(&self, wish: &TokenNeed) -> Result<HandedOut, TokenError> {
        let mut client = wish.client.clone();
        let mut afresh = wish.afresh;
        for _ in 0..TRIES {
            match self.obtain(wish, &client, afresh).await {
                Ok(Some(token)) => return Ok(token),
                Ok(None) => {}
                Err(error) if error.is_about_the_key() => {
                    let now = self.0.clients.rekeyed(&client).await?;
                    client = now.ok_or(error)?;
                }
                Err(TokenError::Signing(SigningError::AuthorityChanged)) => {
                    self.0.signer.decided_since().await?;
                }
                Err(error) => return Err(error),
            }
            afresh = false; // it was, once
        }
        Err(SigningError::DeadlineExceeded.into())
    }

    async fn obtain(
        &self,
        wish: &TokenNeed,
        client: &Client,
        afresh: bool,
    ) -> Result<Option<HandedOut>, TokenError> {
        let permitted = self.permitted(&wish.caller, client, wish.scopes.as_ref())?;
        let unknown = || ClientError::UnknownEnvironment(client.environment.clone());
        let endpoint = self.0.endpoints.get(&client.environment);
        let place = Place {
            environment: self.0.clients.environment(client)?.clone(),
            endpoint: endpoint.ok_or_else(unknown)?.clone(),
            client: client.clone(),
            scopes: None,
        };
        let held = match &wish.scopes {
            Some(asked) => {
                let place = place.with(asked.clone());
                self.at(wish, &place, &permitted, afresh).await?
            }
            None => self.widest(wish, &place, &permitted, afresh).await?,
        };
        self.hand_out(wish, client, &permitted.permit, held).await
    }

    /// A token with all scopes that are both granted and permitted.
    async fn widest(
        &self,
        wish: &TokenNeed,
        all: &Place,
        permitted: &Permitted,
        afresh: bool,
    ) -> Result<Arc<Held>, TokenError> {
        let row = self.row(all, &permitted.permit, afresh).await?;
        let granted = match row.granted {
            Some(granted) if !granted.is_within(&permitted.scopes) => Some(granted),
            _ => {
                let held = self
                    .held(wish, all, row.generation, &permitted.scopes)
                    .await?;
                match &held.granted {
                    Some(granted) if granted.is_within(&permitted.scopes) => return Ok(held),
                    granted => granted.clone(), // the token goes no further
                }
            }
        };
        let scopes = match granted {
            None => permitted.scopes.clone(),
            Some(granted) => {
                let both = granted.and(&permitted.scopes);
                if both.is_empty() {
                    return Err(TokenError::NothingGranted { granted });
                }
                both
            }
        };
        self.at(wish, &all.with(scopes), permitted, afresh).await
    }

    /// The token of a place.
    async fn at(
        &self,
        wish: &TokenNeed,
        place: &Place,
        permitted: &Permitted,
        afresh: bool,
    ) -> Result<Arc<Held>, TokenError> {
        let row = self.row(place, &permitted.permit, afresh).await?;
        self.held(wish, place, row.generation, &permitted.scopes)
            .await
    }

    /// Puts on record that the caller gets the token; then they do, unless it has come to its end.
    async fn hand_out(
        &self,
        wish: &TokenNeed,
        client: &Client,
        permit: &Permit,
        held: Arc<Held>,
    ) -> Result<Option<HandedOut>, TokenError> {
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
            credential_kind: wish.caller.kind.in_leaf(),
        };
        let right = Right::new(key, Business::Ordinary, &wish.caller, permit);
        let since = inner
            .signer
            .hand_out(
                &wish.caller,
                right,
                &Limited::AccessToken,
                Event::Token(token),
            )
            .await
            .inspect_err(|error| {
                if matches!(error, SigningError::Limit(_)) {
                    let (action, on) = (Action::IssueToken, client.resource());
                    inner.rights.refuse(&wish.caller, action, &on);
                }
            })?; // durable, or nobody sees it
        let now = Instant::now();
        if held.life.age(now) == Age::Over {
            return Ok(None);
        }
        let missing = match (&wish.scopes, &held.granted) {
            (Some(asked), Some(granted)) => asked.without(granted),
            _ => ScopeSet::default(),
        };
        let environment = inner.clients.environment(client)?;
        Ok(Some(HandedOut {
            since,
            granted: held.granted.clone(),
            missing,
            expires_in: held.life.left(now).as_secs(),
            expires_at: inner.clock.now() + held.life.left(now),
            audience: environment.token_audience.clone(),
            environment: client.environment.clone(),
            held,
        }))
    }
}

impl TokenError {
    /// Whether it may be gone with the client's next key.
    fn is_about_the_key(&self) -> bool {
        let (Self::Signing(error)
        | Self::Fetch {
            error: FetchError::Signing(error),
            ..
        }) = self
        else {
            return false;
        };
        error.is_about_the_key()
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
