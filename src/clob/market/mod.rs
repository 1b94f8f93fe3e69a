//! What the CLOB says of its markets: ticks, neg-risk, fees, books, and the order version it takes.
//!
//! It promises that an order is made on the terms of its market, or that a problem says what stands in
//! the way; that a request which says everything is signed also while the CLOB is away; and that the
//! CLOB is asked little, however many ask here. It **trusts** the CLOB to name one of the ticks,
//! versions and fees that exist, and never an address or code: contracts come from our own table. A
//! price from its book is its word alone, so the record says where a limit came from.
//!
//! # Why
//! What a caller gives is verified, because answers are remembered and a wrong tick or neg-risk costs
//! an order. An answer that contradicts is asked for once more first: ticks do change. Verifying never
//! stands in the way of a complete request: it has little time, and for a second after a failure none.
//! Books are never remembered; those who asked before one was fetched share it.

mod lookup;

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
use lookup::Lookup;

/// How long a failure keeps complete requests from waiting for the next one.
const AWAY: Duration = Duration::from_secs(1);

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
    /// When it failed to answer.
    failed_at: Option<Instant>,
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

    /// The terms for an order. What was not given is looked up; with `since`, not from before then.
    pub async fn terms(
        &self,
        chain: Chain,
        asked: &Asked,
        since: Option<Instant>,
    ) -> Result<Terms, MarketError> {
        match self.on(chain) {
            Some(known) => known.terms(asked, since).await,
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

    async fn terms(&self, asked: &Asked, since: Option<Instant>) -> Result<Terms, MarketError> {
        let (version, unverified) = self.version(asked.version, since).await?;
        let mut warnings: Vec<Warning> = unverified.into_iter().collect();
        let wanted = Wanted::of(asked, version, self.venue.settings().verify_given);
        let (said, silence) = self.say(asked.token_id, wanted, since).await?;
        let agreed = match Terms::agree(asked, version, &said) {
            // What is remembered may be what has changed.
            Err(TermsError::Contradiction { .. }) if since.is_none() => {
                let now = Some(Instant::now());
                let (again, _) = self.say(asked.token_id, wanted, now).await?;
                Terms::agree(asked, version, &again.or(&said))?
            }
            agreed => agreed?,
        };
        if let Some(error) = silence {
            warnings.push(Warning {
                code: "not-verified",
                text: format!("what the request says of its market was taken as given: {error}"),
            });
        }
        warnings.extend(agreed.warnings);
        Ok(Terms { warnings, ..agreed })
    }

    /// What `auto` stands for now. While the venue is away, what it said last, with a warning.
    async fn version(
        &self,
        choice: VersionChoice,
        since: Option<Instant>,
    ) -> Result<(Version, Option<Warning>), MarketError> {
        let pinned = self.venue.settings().version;
        let (VersionChoice::Auto, VersionChoice::Auto) = (choice, pinned) else {
            return Ok((choice.or(pinned.or(super::order::DEFAULT_VERSION)), None));
        };
        let last = self.last(|last| last.version);
        let ask = || async {
            let answer: VersionAnswer = self.ask("/version", None).await?;
            Ok(answer.version)
        };
        let number = match self
            .patiently(last.is_none(), self.versions.find((), since, ask))
            .await
        {
            Ok(number) => number,
            Err(error) => {
                let Some(last) = last.filter(|_| !matches!(error, VenueError::Nonsense(_))) else {
                    let field = "version";
                    return Err(MarketError::Venue { field, error });
                };
                let warning = Warning {
                    code: "version-not-verified",
                    text: format!("version {last} was used, which the CLOB took last: {error}"),
                };
                return Ok((last, Some(warning)));
            }
        };
        let version = u8::try_from(number)
            .ok()
            .and_then(|number| Version::try_from(number).ok())
            .filter(|version| *version != Version::V3)
            .ok_or(MarketError::UnknownVersion(number))?;
        self.last(|last| last.version = Some(version));
        Ok((version, None))
    }

    /// Asks for what is wanted, all at the same time. Where something was only to be verified and there
    /// was no answer, says why.
    async fn say(
        &self,
        token: TokenId,
        wanted: Wanted,
        since: Option<Instant>,
    ) -> Result<(Said, Option<VenueError>), MarketError> {
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
            self.one(wanted.tick_size, self.ticks.find(key, since, tick)),
            self.one(wanted.neg_risk, self.neg_risks.find(key, since, neg_risk)),
            self.one(wanted.fee_rate, self.fees.find(key, since, fee)),
        );
        let mut silence = None;
        let said = Said {
            tick_size: heard("tickSize", wanted.tick_size, tick_size, &mut silence)?,
            neg_risk: heard("negRisk", wanted.neg_risk, neg_risk, &mut silence)?,
            fee_rate_bps: heard("feeRateBps", wanted.fee_rate, fee_rate_bps, &mut silence)?,
        };
        Ok((said, silence))
    }

    async fn one<T>(
        &self,
        want: Want,
        found: impl Future<Output = Result<T, VenueError>>,
    ) -> Result<Option<T>, VenueError> {
        if want == Want::No {
            return Ok(None);
        }
        self.patiently(want == Want::Needed, found).await.map(Some)
    }

    /// Waits for an answer as long as calls may take where it is needed, else for a moment, and after
    /// a failure not at all.
    async fn patiently<T>(
        &self,
        needed: bool,
        found: impl Future<Output = Result<T, VenueError>>,
    ) -> Result<T, VenueError> {
        let settings = self.venue.settings();
        let patience = Duration::from_millis(if needed {
            settings.timeout_ms
        } else {
            settings.verify_timeout_ms
        });
        let is_away = |last: &mut Last| last.failed_at.is_some_and(|at| at.elapsed() < AWAY);
        if !needed && self.last(is_away) {
            return Err(VenueError::NoAnswer);
        }
        let found = tokio::time::timeout(patience, found).await;
        let found = found.unwrap_or(Err(VenueError::NoAnswer));
        let failed = matches!(&found, Err(error) if !matches!(error, VenueError::Refused { .. }));
        if failed {
            self.last(|last| last.failed_at = Some(Instant::now()));
        }
        found
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
        self.patiently(true, self.books.find(key, Some(since), ask))
            .await
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

/// An answer, none that was not wanted, or why there is none: an error where it was needed.
fn heard<T>(
    field: &'static str,
    want: Want,
    answer: Result<Option<T>, VenueError>,
    silence: &mut Option<VenueError>,
) -> Result<Option<T>, MarketError> {
    match answer {
        Err(error) if want == Want::Needed => Err(MarketError::Venue { field, error }),
        Err(error) => {
            *silence = Some(error);
            Ok(None)
        }
        Ok(answer) => Ok(answer),
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
