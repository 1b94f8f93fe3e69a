//! What the CLOB says of its markets: ticks, neg-risk, fees, books, and the order version it takes.
//!
//! It promises that an order is made on the terms of its market, or that a problem says what stands in
//! the way; that a request which says everything is signed also while the CLOB is away; and that the
//! CLOB is asked little, however many ask here. It **trusts** the CLOB to name one of the ticks,
//! versions and fees that exist, and never an address or code: contracts come from our own table. A
//! price from its book is its word alone, so the record says where a limit came from.
//!
//! # Why
//! What a caller gives is verified, because a wrong tick or neg-risk costs an order. Verifying never
//! stands in the way of a complete request: it has little time, and for a second after a call that timed
//! out or found no connection none. An answer that makes no sense is no such failure: it came at once,
//! and concerns its market alone.
//!
//! Answers are remembered, and ticks, fees and versions change. Nothing is refused on memory before the
//! CLOB was asked once more, at most once a market and second; and an order that was made on memory
//! older than that says so. Books are never remembered; those who asked before one was fetched share it.

mod lookup;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use super::amount::Tick;
use super::book::Book;
use super::contracts::{Layout, Version};
use super::order::Warning;
use super::request::{TokenId, VersionChoice, Whole};
use super::terms::{Asked, Said, Terms, TermsError};
use super::venue::{Call, Venue, VenueError, VenueSettings, Venues};
use super::wallet::Chain;
use lookup::{Lookup, Seen};

pub use lookup::Freshness;

/// How long a CLOB that was away keeps complete requests from waiting for it.
const AWAY: Duration = Duration::from_secs(1);

/// How long an answer counts as today's.
const NEW: Duration = Duration::from_secs(1);

/// How many questions are under way at a time.
const AT_A_TIME: usize = 64;

/// How many books are held for those who wait for them, and for how long at most.
const BOOKS: u64 = 64;
const BOOK_KEPT: Duration = Duration::from_secs(1);

/// The highest fee that is believed: all of it.
const HIGHEST_FEE: u64 = 10_000;

/// Why the terms of a market are not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MarketError {
    /// The caller did not say, nor did the CLOB.
    #[error("{field} is not given, and the CLOB did not say it: {error}")]
    Venue {
        /// The JSON name.
        field: &'static str,
        /// What it did instead.
        error: VenueError,
    },
    /// The caller did not say, and there is no CLOB to ask.
    #[error("{field} is missing, and no CLOB is configured for chain {}", .chain.id())]
    NotSaid {
        /// The JSON name.
        field: &'static str,
        /// The wallet's.
        chain: Chain,
    },
    /// The caller and the CLOB say different things.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// A version that `auto` does not follow.
    #[error("the CLOB takes orders of version {0}; \"auto\" follows it to 1 and 2 only")]
    UnknownVersion(u64),
}

/// The markets of this deployment's venues. Cheap to clone.
#[derive(Clone)]
pub struct Markets(Arc<[Option<Known>; 2]>);

/// What is known of one venue's markets.
struct Known {
    venue: Venue,
    ticks: Lookup<[u8; 32], Tick>,
    neg_risks: Lookup<[u8; 32], bool>,
    fees: Lookup<[u8; 32], Whole>,
    versions: Lookup<(), u64>,
    books: Lookup<[u8; 32], Arc<Book>>,
    asking: Semaphore,
    last: Mutex<Last>,
}

/// What the venue did last.
#[derive(Default)]
struct Last {
    /// When it was away, and how.
    away: Option<(Instant, VenueError)>,
    /// Which version it said it took.
    version: Option<Version>,
}

#[derive(Deserialize)]
struct TickAnswer {
    /// A JSON number, which must not pass through a double.
    minimum_tick_size: Box<RawValue>,
}

#[derive(Deserialize)]
struct NegRiskAnswer {
    neg_risk: bool,
}

#[derive(Deserialize)]
struct FeeAnswer {
    base_fee: u64,
}

#[derive(Deserialize)]
struct VersionAnswer {
    version: u64,
}

impl Markets {
    /// The markets of these venues; nothing is asked yet.
    pub fn new(venues: &Venues) -> Self {
        let known = |chain| venues.on(chain).ok().cloned().map(Known::new);
        Self(Arc::new([known(Chain::Polygon), known(Chain::Amoy)]))
    }

    fn on(&self, chain: Chain) -> Option<&Known> {
        match chain {
            Chain::Polygon => self.0[0].as_ref(),
            Chain::Amoy => self.0[1].as_ref(),
        }
    }

    /// The terms for an order. What was not given is looked up.
    pub async fn terms(
        &self,
        chain: Chain,
        asked: &Asked,
        freshness: Freshness,
    ) -> Result<Terms, MarketError> {
        match self.on(chain) {
            Some(known) => known.terms(asked, freshness).await,
            None => Terms::given(asked).map_err(|error| match error {
                TermsError::Missing(field) => MarketError::NotSaid { field, chain },
                contradiction @ TermsError::Contradiction { .. } => contradiction.into(),
            }),
        }
    }

    /// The book of a token, fetched after `since`.
    pub async fn book(
        &self,
        chain: Chain,
        token: TokenId,
        since: Instant,
    ) -> Result<Arc<Book>, MarketError> {
        let field = "price";
        let known = self
            .on(chain)
            .ok_or(MarketError::NotSaid { field, chain })?;
        let book = known.book(token, since).await;
        book.map_err(|error| MarketError::Venue { field, error })
    }
}

impl Known {
    fn new(venue: Venue) -> Self {
        let VenueSettings {
            remembered_markets: capacity,
            tick_size_ttl_s,
            neg_risk_ttl_s,
            fee_rate_ttl_s,
            version_ttl_s,
            ..
        } = *venue.settings();
        let seconds = |s: u32| Duration::from_secs(s.into());
        Self {
            ticks: Lookup::new(capacity, seconds(tick_size_ttl_s)),
            neg_risks: Lookup::new(capacity, seconds(neg_risk_ttl_s)),
            fees: Lookup::new(capacity, seconds(fee_rate_ttl_s)),
            versions: Lookup::new(1, seconds(version_ttl_s)),
            books: Lookup::new(BOOKS, BOOK_KEPT),
            asking: Semaphore::new(AT_A_TIME),
            last: Mutex::default(),
            venue,
        }
    }

    async fn terms(&self, asked: &Asked, freshness: Freshness) -> Result<Terms, MarketError> {
        let began = Instant::now();
        match (self.agree(asked, freshness).await, freshness) {
            // What is remembered may be what has changed.
            (
                Err(
                    MarketError::Terms(TermsError::Contradiction { .. })
                    | MarketError::UnknownVersion(_),
                ),
                Freshness::Remembered,
            ) => self.agree(asked, Freshness::Again(began)).await,
            (agreed, _) => agreed,
        }
    }

    async fn agree(&self, asked: &Asked, freshness: Freshness) -> Result<Terms, MarketError> {
        let mut heard = Heard::default();
        let version = self.version(asked.version, freshness, &mut heard).await?;
        let wanted = Wanted::of(asked, version, self.venue.settings().verify_given);
        let said = self
            .say(asked.token_id, wanted, freshness, &mut heard)
            .await?;
        let agreed = Terms::agree(asked, version, &said)?;
        let mut warnings = heard.warnings();
        warnings.extend(agreed.warnings);
        Ok(Terms { warnings, ..agreed })
    }

    /// What `auto` stands for now. While the venue is away, what it said last, with a warning.
    async fn version(
        &self,
        choice: VersionChoice,
        freshness: Freshness,
        heard: &mut Heard,
    ) -> Result<Version, MarketError> {
        let pinned = self.venue.settings().version;
        let (VersionChoice::Auto, VersionChoice::Auto) = (choice, pinned) else {
            return Ok(choice.or(pinned.or(super::order::DEFAULT_VERSION)));
        };
        let last = self.last(|last| last.version);
        let ask = || async {
            let answer: VersionAnswer = self.ask("/version", None).await?;
            Ok(answer.version)
        };
        let needed = last.is_none();
        let number = match self
            .find(&self.versions, (), needed, freshness, ask)
            .await
        {
            Ok(number) => {
                heard.note_age("version", &number);
                number.value
            }
            Err(error) => {
                let Some(last) = last.filter(|_| !matches!(error, VenueError::Nonsense(_))) else {
                    let field = "version";
                    return Err(MarketError::Venue { field, error });
                };
                heard.version_not_verified = Some((last, error));
                return Ok(last);
            }
        };
        let version = u8::try_from(number)
            .ok()
            .and_then(|number| Version::try_from(number).ok())
            .filter(|version| *version != Version::V3)
            .ok_or(MarketError::UnknownVersion(number))?;
        self.last(|last| last.version = Some(version));
        Ok(version)
    }

    /// Asks for what is wanted, all at the same time.
    async fn say(
        &self,
        token: TokenId,
        wanted: Wanted,
        freshness: Freshness,
        heard: &mut Heard,
    ) -> Result<Said, MarketError> {
        let key = token.0.to_be_bytes::<32>();
        let tick = || async {
            let answer: TickAnswer = self.ask("/tick-size", Some(token)).await?;
            let text = answer.minimum_tick_size.get().trim_matches('"');
            text.parse().map_err(|_| VenueError::Nonsense("/tick-size"))
        };
        let neg_risk = || async {
            let answer: NegRiskAnswer = self.ask("/neg-risk", Some(token)).await?;
            Ok(answer.neg_risk)
        };
        let fee = || async {
            let answer: FeeAnswer = self.ask("/fee-rate", Some(token)).await?;
            if answer.base_fee > HIGHEST_FEE {
                return Err(VenueError::Nonsense("/fee-rate"));
            }
            Ok(Whole(ruint::aliases::U256::from(answer.base_fee)))
        };
        let (tick_size, neg_risk, fee_rate_bps) = tokio::join!(
            self.one(wanted.tick_size, &self.ticks, key, freshness, tick),
            self.one(wanted.neg_risk, &self.neg_risks, key, freshness, neg_risk),
            self.one(wanted.fee_rate, &self.fees, key, freshness, fee),
        );
        let tick_size = heard.answer("tickSize", wanted.tick_size, tick_size)?;
        let neg_risk = heard.answer("negRisk", wanted.neg_risk, neg_risk)?;
        let fee_rate_bps = heard.answer("feeRateBps", wanted.fee_rate, fee_rate_bps)?;
        if let Some(tick) = &tick_size {
            heard.note_age("tickSize", tick);
        }
        if let Some(fee) = &fee_rate_bps {
            heard.note_age("feeRateBps", fee);
        }
        Ok(Said {
            tick_size: tick_size.map(|it| it.value),
            neg_risk: neg_risk.map(|it| it.value), // a market keeps its exchange
            fee_rate_bps: fee_rate_bps.map(|it| it.value),
        })
    }

    async fn one<T, F>(
        &self,
        want: Want,
        lookup: &Lookup<[u8; 32], T>,
        key: [u8; 32],
        freshness: Freshness,
        ask: impl Fn() -> F,
    ) -> Result<Option<Seen<T>>, VenueError>
    where
        T: Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, VenueError>>,
    {
        if want == Want::No {
            return Ok(None);
        }
        let needed = want == Want::Needed;
        self.find(lookup, key, needed, freshness, ask)
            .await
            .map(Some)
    }

    /// Waits for an answer as long as calls may take where it is needed, else for a moment, and while
    /// the venue is away not at all: what is remembered serves then.
    async fn find<K, T, F>(
        &self,
        lookup: &Lookup<K, T>,
        key: K,
        needed: bool,
        freshness: Freshness,
        ask: impl Fn() -> F,
    ) -> Result<Seen<T>, VenueError>
    where
        K: std::hash::Hash + Eq + Clone + Send + Sync + 'static,
        T: Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, VenueError>>,
    {
        let settings = self.venue.settings();
        let patience = Duration::from_millis(if needed {
            settings.timeout_ms
        } else {
            settings.verify_timeout_ms
        });
        let away = self.last(|last| {
            let (at, error) = last.away.as_ref()?;
            (at.elapsed() < AWAY).then(|| error.clone())
        });
        let error = match away.filter(|_| !needed) {
            Some(error) => error,
            None => {
                let found = lookup.find(key.clone(), freshness, ask);
                match tokio::time::timeout(patience, found).await {
                    Ok(Ok(seen)) => return Ok(seen),
                    Ok(Err(error)) => self.note(error),
                    Err(_) => self.note(VenueError::NoAnswer),
                }
            }
        };
        lookup.remembered(&key, freshness).await.ok_or(error)
    }

    /// A call that timed out or found no connection makes the venue be away. Whatever else goes wrong
    /// was answered at once, and says nothing of other markets.
    fn note(&self, error: VenueError) -> VenueError {
        if matches!(error, VenueError::NoAnswer | VenueError::Unreachable) {
            self.last(|last| last.away = Some((Instant::now(), error.clone())));
        }
        error
    }

    async fn book(&self, token: TokenId, since: Instant) -> Result<Arc<Book>, VenueError> {
        let ask = || async {
            let book: Book = self.ask("/book", Some(token)).await?;
            if book.is_of(token) {
                Ok(Arc::new(book))
            } else {
                Err(VenueError::Nonsense("/book"))
            }
        };
        let key = token.0.to_be_bytes::<32>();
        let found = self
            .find(&self.books, key, true, Freshness::Since(since), ask)
            .await;
        found.map(|seen| seen.value)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        path: &'static str,
        token: Option<TokenId>,
    ) -> Result<T, VenueError> {
        let id = token.map(|token| token.0.to_string());
        let query = id.as_deref().map(|id| ("token_id", id));
        let _turn = self.asking.acquire().await; // never closed
        self.venue
            .call(path, Call::get(path, query.as_slice()))
            .await
    }

    fn last<T>(&self, look: impl FnOnce(&mut Last) -> T) -> T {
        look(&mut self.last.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the trader should know of what was heard.
#[derive(Default)]
struct Heard {
    /// What the request says and the venue did not confirm, and why not.
    not_verified: Vec<(&'static str, VenueError)>,
    /// The version that it took last, and why there is no newer word.
    version_not_verified: Option<(Version, VenueError)>,
    /// What was said more than a moment ago and may have changed since, with its age.
    remembered: Vec<String>,
}

impl Heard {
    /// An answer, none that was not wanted, or none that was only to be verified: an error where it was
    /// needed.
    fn answer<T>(
        &mut self,
        field: &'static str,
        want: Want,
        answer: Result<Option<T>, VenueError>,
    ) -> Result<Option<T>, MarketError> {
        match answer {
            Err(error) if want == Want::Needed => Err(MarketError::Venue { field, error }),
            Err(error) => {
                self.not_verified.push((field, error));
                Ok(None)
            }
            Ok(answer) => Ok(answer),
        }
    }

    fn note_age<T: fmt::Display>(&mut self, field: &str, seen: &Seen<T>) {
        let age = seen.asked_at.elapsed();
        if age >= NEW {
            let (value, seconds) = (&seen.value, age.as_secs());
            self.remembered
                .push(format!("{field} {value} ({seconds} s ago)"));
        }
    }

    fn warnings(self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if let Some((version, error)) = self.version_not_verified {
            warnings.push(Warning {
                code: "version-not-verified",
                text: format!("version {version} was used, which the CLOB took last: {error}"),
            });
        }
        for (field, error) in self.not_verified {
            warnings.push(Warning {
                code: "not-verified",
                text: format!("{field} was taken as the request gives it: {error}"),
            });
        }
        if !self.remembered.is_empty() {
            let remembered = self.remembered.join(", ");
            warnings.push(Warning {
                code: "remembered",
                text: format!(
                    "the CLOB said earlier, and was not asked again: {remembered}; with Cache-Control: no-cache it is"
                ),
            });
        }
        warnings
    }
}

/// What the venue is asked for, for one order.
#[derive(Clone, Copy)]
struct Wanted {
    tick_size: Want,
    neg_risk: Want,
    fee_rate: Want,
}

/// Whether an answer is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    No,
    /// The caller said it too.
    ToVerify,
    /// Nobody else says it.
    Needed,
}

impl Wanted {
    fn of(asked: &Asked, version: Version, verify: bool) -> Self {
        let want = |is_given| match (is_given, verify) {
            (false, _) => Want::Needed,
            (true, true) => Want::ToVerify,
            (true, false) => Want::No,
        };
        let has_fee = version.format().layout == Layout::Expiring;
        Self {
            tick_size: want(asked.tick_size.is_some()),
            neg_risk: want(asked.neg_risk.is_some()),
            fee_rate: if has_fee {
                want(asked.fee_rate_bps.is_some())
            } else {
                Want::No
            },
        }
    }
}
