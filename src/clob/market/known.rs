//! What is known of one venue's markets, and how it is asked.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moka::sync::Cache;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use super::MarketError;
use super::answers::{
    BuilderFees, FeeAnswer, MarketInfo, MarketOfToken, NegRiskAnswer, TickAnswer, VersionAnswer,
};
use super::heard::{Heard, Need, Questions};
use super::lookup::{Freshness, Lookup, Seen};
use crate::clob::amount::{Decimal, Tick};
use crate::clob::book::Book;
use crate::clob::contracts::DEFAULT_VERSION;
use crate::clob::contracts::Version;
use crate::clob::fees::TakerFees;
use crate::clob::request::{TokenId, VersionChoice, Whole};
use crate::clob::terms::{GivenTerms, Terms, TermsError, VenueTerms};
use crate::clob::venue::{Call, Venue, VenueError, VenueSettings};
use crate::ethereum::eip712::Bytes32;

/// How long a CLOB that was away keeps complete requests from waiting for it.
const AWAY: Duration = Duration::from_secs(1);

/// How many questions are under way at a time.
const AT_A_TIME: usize = 64;

/// How many books are held for those who wait for them, and for how long at most.
const BOOKS: u64 = 64;
const BOOK_KEPT: Duration = Duration::from_secs(1);

/// How long a market's least size is remembered. Only a warning hangs on it.
const LEAST_SIZE_KEPT: Duration = Duration::from_hours(1);

/// The highest fee that is believed: all of it.
const HIGHEST_FEE: u64 = 10_000;

/// What is known of one venue's markets.
pub(super) struct Known {
    venue: Venue,
    ticks: Lookup<[u8; 32], Tick>,
    neg_risks: Lookup<[u8; 32], bool>,
    fees: Lookup<[u8; 32], Whole>,
    taker_fees: Lookup<[u8; 32], TakerFees>,
    builder_fees: Lookup<[u8; 32], u64>,
    versions: Lookup<(), u64>,
    books: Lookup<[u8; 32], Arc<Book>>,
    /// The least size of each market whose book was looked at.
    pub(super) least_sizes: Cache<[u8; 32], Decimal>,
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

impl Known {
    pub(super) fn new(venue: Venue) -> Self {
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
            taker_fees: Lookup::new(capacity, seconds(fee_rate_ttl_s)),
            builder_fees: Lookup::new(capacity, seconds(fee_rate_ttl_s)),
            versions: Lookup::new(1, seconds(version_ttl_s)),
            books: Lookup::new(BOOKS, BOOK_KEPT),
            least_sizes: Cache::builder()
                .max_capacity(capacity)
                .time_to_live(LEAST_SIZE_KEPT)
                .build(),
            asking: Semaphore::new(AT_A_TIME),
            last: Mutex::default(),
            venue,
        }
    }

    pub(super) async fn terms(
        &self,
        asked: &GivenTerms,
        freshness: Freshness,
    ) -> Result<Terms, MarketError> {
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

    async fn agree(&self, asked: &GivenTerms, freshness: Freshness) -> Result<Terms, MarketError> {
        let mut heard = Heard::default();
        let version = self.version(asked.version, freshness, &mut heard).await?;
        let questions = Questions::of(asked, version, self.venue.settings().verify_given);
        let said = self
            .say(asked.token_id, questions, freshness, &mut heard)
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
            return Ok(choice.or(pinned.or(DEFAULT_VERSION)));
        };
        let last = self.last(|last| last.version);
        let ask = || async {
            let answer: VersionAnswer = self.ask("/version", None).await?;
            Ok(answer.version)
        };
        let needed = last.is_none();
        let number = match self.find(&self.versions, (), needed, freshness, ask).await {
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

    /// Asks its questions, all at the same time.
    async fn say(
        &self,
        token: TokenId,
        questions: Questions,
        freshness: Freshness,
        heard: &mut Heard,
    ) -> Result<VenueTerms, MarketError> {
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
            self.one(questions.tick_size, &self.ticks, key, freshness, tick),
            self.one(
                questions.neg_risk,
                &self.neg_risks,
                key,
                freshness,
                neg_risk
            ),
            self.one(questions.fee_rate, &self.fees, key, freshness, fee),
        );
        let tick_size = heard.answer("tickSize", questions.tick_size, tick_size)?;
        let neg_risk = heard.answer("negRisk", questions.neg_risk, neg_risk)?;
        let fee_rate_bps = heard.answer("feeRateBps", questions.fee_rate, fee_rate_bps)?;
        if let Some(tick) = &tick_size {
            heard.note_age("tickSize", tick);
        }
        if let Some(fee) = &fee_rate_bps {
            heard.note_age("feeRateBps", fee);
        }
        Ok(VenueTerms {
            tick_size: tick_size.map(|it| it.value),
            neg_risk: neg_risk.map(|it| it.value), // a market keeps its exchange
            fee_rate_bps: fee_rate_bps.map(|it| it.value),
        })
    }

    async fn one<T, F>(
        &self,
        need: Need,
        lookup: &Lookup<[u8; 32], T>,
        key: [u8; 32],
        freshness: Freshness,
        ask: impl Fn() -> F,
    ) -> Result<Option<Seen<T>>, VenueError>
    where
        T: Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, VenueError>>,
    {
        if need == Need::Nothing {
            return Ok(None);
        }
        let needed = need == Need::Answer;
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
        let error = if let Some(error) = away.filter(|_| !needed) {
            error
        } else {
            let found = lookup.find(key.clone(), freshness, ask);
            match tokio::time::timeout(patience, found).await {
                Ok(Ok(seen)) => return Ok(seen),
                Ok(Err(error)) => self.note(error),
                Err(_) => self.note(VenueError::NoAnswer),
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

    pub(super) async fn book(
        &self,
        token: TokenId,
        since: Instant,
    ) -> Result<(Arc<Book>, Instant), VenueError> {
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
        let Seen {
            value: book,
            asked_at,
            ..
        } = found?;
        if let Some(least) = book.least_size() {
            self.least_sizes.insert(key, least);
        }
        Ok((book, asked_at))
    }

    pub(super) async fn taker_fees(
        &self,
        token: TokenId,
        builder: Option<Bytes32>,
        freshness: Freshness,
    ) -> Result<TakerFees, VenueError> {
        let of_market = || async {
            let path = format!("/markets-by-token/{}", token.0);
            let market: MarketOfToken = self.ask_at("/markets-by-token", &path).await?;
            let path = format!("/clob-markets/{}", market.condition_id);
            let info: MarketInfo = self.ask_at("/clob-markets", &path).await?;
            let Some(fee) = info.fd else {
                return Ok(TakerFees::NONE);
            };
            let number = |raw: &RawValue| raw.get().trim_matches('"').parse().ok();
            let fees = number(&fee.r)
                .zip(number(&fee.e))
                .and_then(|(rate, exponent)| TakerFees::of_market(rate, exponent));
            fees.ok_or(VenueError::Nonsense("/clob-markets"))
        };
        let key = token.0.to_be_bytes::<32>();
        let market = self.find(&self.taker_fees, key, true, freshness, of_market);
        let builder = builder.filter(|code| *code != Bytes32::default());
        let Some(code) = builder else {
            return Ok(market.await?.value);
        };
        let of_builder = || async {
            let path = format!("/fees/builder-fees/{code}");
            let fees: BuilderFees = self.ask_at("/fees/builder-fees", &path).await?;
            Ok(fees.builder_taker_fee_rate_bps)
        };
        let builder = self.find(&self.builder_fees, code.0, true, freshness, of_builder);
        let (market, builder) = tokio::try_join!(market, builder)?;
        let fees = market.value.with_builder(builder.value);
        fees.ok_or(VenueError::Nonsense("/fees/builder-fees"))
    }

    /// Asks at a path that has an id in it; `name` stands for it in errors.
    async fn ask_at<T: DeserializeOwned>(
        &self,
        name: &'static str,
        path: &str,
    ) -> Result<T, VenueError> {
        let _turn = self.asking.acquire().await; // never closed
        self.venue.call(name, Call::get(path, &[])).await
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
