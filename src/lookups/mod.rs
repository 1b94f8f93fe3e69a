//! Look-ups: what was signed, handed out, refused and changed, by whom and what it was done with.
//!
//! # How leaves are found
//! By terms: who asked, the credential, the key, the wallet or client, the market, the name of a change. Which leaves of
//! a stretch of 8,192 have a term is kept beside the tree (`places.rs`), a stretch at a time and once it is whole; of
//! what came since, each replica that is asked knows it in memory (`tail.rs`). So a signature pays nothing for it while it
//! is made, and several filters at once cost little more than one. What has a mark of its own (a digest, an order
//! hash, a `jti`, an idempotency key) is found by the index that guards it.
//!
//! It **trusts** the database not to leave out what it has: whoever keeps a leaf from being found here does not keep it out
//! of the tree, and an export has it. What is found is compared with what was asked for.

pub mod identify;
mod places;
mod records;
mod signed_with;
pub mod signers;
mod tail;
mod terms;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::audit::leaf::{Event, Intent, Leaf};
use crate::clock;
use crate::ledger::{Ledger, LedgerError};
use places::SIZE;
use records::End;
use tail::{Read, Tail};
pub use terms::{RecordKind, SEARCH, Term, kind_of, market_of};

/// How often it is looked for a whole stretch.
const LOOK: Duration = Duration::from_secs(5);

/// So many leaves are read for one page at most, where more filters than terms are to be met.
const READ: usize = 4_096;

/// So many stretches are looked at in one go.
const STRETCHES: i64 = 64;

/// What an auditor looks for.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// All of these have found it.
    pub terms: Vec<Term>,
    /// From this moment on.
    pub from: Option<OffsetDateTime>,
    /// Before this one.
    pub to: Option<OffsetDateTime>,
    /// Before this index in the log.
    pub before: Option<u64>,
    /// How many at most.
    pub limit: usize,
}

/// A part of what was looked for, the newest first.
#[derive(Debug, Default)]
pub struct Page {
    /// What was found.
    pub entries: Vec<Entry>,
    /// Where it goes on, if it does: before this index.
    pub next: Option<u64>,
}

/// Something that is in the log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place in the tree.
    pub index: u64,
    /// What it says.
    pub leaf: Leaf,
    /// What it is the end of, if it is one.
    pub begun: Option<Intent>,
    /// How it ended, if it is an intent that has.
    pub ended: Option<Ended>,
}

/// How something that was to be signed ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// `released`, `refused` or `abandoned`.
    pub outcome: String,
    /// Why, where it was not released.
    pub reason: Option<String>,
    /// When.
    pub at: OffsetDateTime,
    /// The order's hash at the venue, where it is not the digest.
    pub order_hash: Option<Vec<u8>>,
}

/// What an id is the id of.
#[derive(Clone, Debug)]
pub struct Named {
    /// `caller`, `person`, `key`, `wallet` or `client`.
    pub kind: String,
    /// What people call it.
    pub name: String,
}

/// Names, by id.
pub type Names = HashMap<Uuid, Named>;

/// Look-ups. Cheap to clone.
#[derive(Clone)]
pub struct Lookups {
    ledger: Ledger,
    tail: Arc<Mutex<Tail>>,
}

impl Lookups {
    /// Of this ledger.
    pub fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            tail: Arc::default(),
        }
    }

    /// Makes whole stretches known, until the service stops. Any replica may do each.
    pub async fn run(self, stop: CancellationToken) {
        let pause = || stop.run_until_cancelled(tokio::time::sleep(LOOK));
        while pause().await.is_some() {
            if let Err(error) = self.look(&stop).await {
                tracing::debug!(%error, "the log's newest leaves are not made known for now");
            }
        }
    }

    async fn look(&self, stop: &CancellationToken) -> Result<(), LedgerError> {
        while !stop.is_cancelled() && Tail::is_due(&self.ledger).await? {
            self.tail.lock().await.follow(&self.ledger).await?;
        }
        Ok(())
    }

    /// A page of what is looked for, the newest first.
    pub async fn find(&self, query: &Query) -> Result<Page, LedgerError> {
        let before = query.before.unwrap_or(u64::MAX);
        let enough = query.limit + 1;
        let (tail, first) = {
            let mut tail = self.tail.lock().await;
            let left = tail.follow(&self.ledger).await?;
            if left > 0 {
                let why = format!("{left} leaves are not known by what they are found by yet");
                return Err(LedgerError::Unavailable(why));
            }
            let found = tail.find(&query.terms, query.times(), before, enough);
            (found, tail.first())
        };
        let mut page = Page::default();
        self.take(&tail, query, &mut page.entries).await?;
        let mut read = tail.len();
        let stretches = self.stretches(query, before.min(first)).await?;
        let Some((from, mut to)) = stretches else {
            return self.whole(page, query, None).await;
        };
        while page.entries.len() < enough && from <= to {
            let (hits, last) = self.hits(query, (from, to)).await?;
            for (stretch, places) in hits {
                let start = u64::from(stretch.cast_unsigned()) * SIZE;
                let indexes = places.iter().map(|it| start + u64::from(*it));
                let indexes: Vec<u64> = indexes.filter(|it| *it < before).collect();
                for part in indexes.chunks(enough) {
                    self.take(part, query, &mut page.entries).await?;
                    read += part.len();
                    if page.entries.len() >= enough {
                        return self.whole(page, query, None).await;
                    }
                    if read >= READ {
                        return self.whole(page, query, part.last().copied()).await;
                    }
                }
            }
            match last {
                Some(last) => to = last - 1,
                None => break,
            }
        }
        self.whole(page, query, None).await
    }

    /// The stretches in which there can be anything, from the first to the last.
    async fn stretches(
        &self,
        query: &Query,
        before: u64,
    ) -> Result<Option<(i32, i32)>, LedgerError> {
        let (from_ms, to_ms) = query.times();
        let found = records::stretches_of(from_ms, to_ms, &self.ledger).await?;
        let Some(last) = before.checked_sub(1) else {
            return Ok(None);
        };
        let last = i32::try_from(last / SIZE).unwrap_or(i32::MAX);
        Ok(found.map(|(first, to)| (first, to.min(last))))
    }

    /// Some stretches, the last first, each with places where all terms are; and the last that was looked at.
    async fn hits(
        &self,
        query: &Query,
        (from, to): (i32, i32),
    ) -> Result<(Vec<(i32, Vec<u16>)>, Option<i32>), LedgerError> {
        if query.terms.is_empty() {
            let size = u16::try_from(SIZE).unwrap_or(u16::MAX);
            return Ok((vec![(to, (0..size).rev().collect())], Some(to)));
        }
        let hits = records::hits(&query.terms, (from, to), STRETCHES, &self.ledger).await?;
        let last = hits.last().map(|it| it.stretch);
        let places = hits.into_iter().map(|it| {
            let packed = it.places.iter().map(Vec::as_slice);
            let none = || LedgerError::Corrupt("log_terms", "places are two bytes each".into());
            Ok((it.stretch, places::shared(packed).ok_or_else(none)?))
        });
        Ok((places.collect::<Result<_, LedgerError>>()?, last))
    }

    /// Reads leaves, and keeps those that are what was asked for.
    async fn take(
        &self,
        indexes: &[u64],
        query: &Query,
        entries: &mut Vec<Entry>,
    ) -> Result<(), LedgerError> {
        if indexes.is_empty() {
            return Ok(());
        }
        let placed = records::at(indexes, &self.ledger).await?;
        let read = tail::read(placed, &self.ledger).await?;
        let read = read.into_iter().map(Entry::new);
        entries.extend(read.filter(|it| query.takes(it)));
        Ok(())
    }

    /// Cuts it to its length, and adds how things ended.
    async fn whole(
        &self,
        mut page: Page,
        query: &Query,
        looked_until: Option<u64>,
    ) -> Result<Page, LedgerError> {
        if page.entries.len() > query.limit {
            page.entries.truncate(query.limit);
            page.next = page.entries.last().map(|it| it.index);
        } else {
            page.next = looked_until;
        }
        self.end(&mut page.entries).await?;
        Ok(page)
    }

    /// What is on record of these signatures: what was to be signed, and how each ended.
    pub async fn signatures(&self, ids: &[Uuid]) -> Result<Vec<Entry>, LedgerError> {
        let placed = records::intents(ids, &self.ledger).await?;
        let read = tail::read(placed, &self.ledger).await?;
        let mut entries: Vec<Entry> = read.into_iter().map(Entry::new).collect();
        self.end(&mut entries).await?;
        Ok(entries)
    }

    /// The logins with a nonce at an account of the CLOB.
    pub async fn logins(&self, account: Uuid, nonce: u64) -> Result<Vec<Uuid>, LedgerError> {
        records::logins(account, &nonce.to_string(), &self.ledger).await
    }

    /// The CLOB's account of an address.
    pub async fn account(
        &self,
        chain_id: u64,
        address: &[u8],
    ) -> Result<Option<Uuid>, LedgerError> {
        records::account(chain_id.cast_signed(), address, &self.ledger).await
    }

    /// The id of the thing of this kind that has this name.
    pub async fn named(&self, kind: &str, name: &str) -> Result<Option<Uuid>, LedgerError> {
        let found = records::named(name, &self.ledger).await?;
        Ok(found.into_iter().find(|it| it.kind == kind).map(|it| it.id))
    }

    async fn end(&self, entries: &mut [Entry]) -> Result<(), LedgerError> {
        let intents: Vec<Uuid> = entries.iter().filter_map(Entry::intent).collect();
        if intents.is_empty() {
            return Ok(());
        }
        let ends = records::ends(&intents, &self.ledger).await?;
        let mut ends: HashMap<Uuid, Ended> = ends.into_iter().map(Ended::of).collect();
        for entry in entries {
            entry.ended = entry.intent().and_then(|it| ends.remove(&it));
        }
        Ok(())
    }

    /// What ids are the ids of, as far as it has a name.
    pub async fn names(&self, ids: &[Uuid]) -> Result<Names, LedgerError> {
        let found = records::names(ids, &self.ledger).await?;
        let named = found.into_iter().map(|it| {
            let named = Named {
                kind: it.kind,
                name: it.name,
            };
            (it.id, named)
        });
        Ok(named.collect())
    }
}

impl Query {
    fn times(&self) -> (i64, i64) {
        (
            self.from.map_or(i64::MIN, clock::unix_ms),
            self.to.map_or(i64::MAX, clock::unix_ms),
        )
    }

    /// Whether this is among what is looked for.
    pub fn takes(&self, entry: &Entry) -> bool {
        let (from, to) = self.times();
        let has = terms::of(&entry.leaf, entry.begun.as_ref());
        (from..to).contains(&entry.leaf.at_ms) && self.terms.iter().all(|it| has.contains(it))
    }
}

impl Entry {
    fn new(read: Read) -> Self {
        Self {
            index: read.index,
            leaf: read.leaf,
            begun: read.begun,
            ended: None,
        }
    }

    /// What was to be signed: it is this, or it is the end of it.
    pub fn about(&self) -> Option<&Intent> {
        match &self.leaf.event {
            Event::Intent(intent) => Some(intent),
            _ => self.begun.as_ref(),
        }
    }

    /// The token id of the order that it is about.
    pub fn market(&self) -> Option<String> {
        terms::market_of(&self.about()?.record)
    }

    fn intent(&self) -> Option<Uuid> {
        match &self.leaf.event {
            Event::Intent(intent) => Some(intent.intent),
            _ => None,
        }
    }
}

impl Ended {
    fn of(end: End) -> (Uuid, Self) {
        let ended = Self {
            outcome: end.outcome,
            reason: end.reason,
            at: end.at,
            order_hash: end.order_hash,
        };
        (end.intent, ended)
    }
}
