//! What has to hold of the ledger whatever has happened: looked up in its tables and proved from its leaves,
//! not from what the service says of itself.
//!
//! It looks at one moment of a ledger that may be in use, changes nothing, and names what is broken by the
//! promise that it breaks. It **trusts** the sealing key, without which half of the answers cannot be read, and
//! that the database shows what it has: whether that is the newest of it, published checkpoints tell.

mod records;
mod released;
mod row;

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use crate::audit::leaf::{Event, Intent, Leaf};
use crate::custody::PublicKey;
use crate::ledger::{Ledger, LedgerError, Tx};
use crate::sealing::Keyring;
use crate::verification;
pub use released::Released;
use row::Row;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_hours(6);

/// So many that break a law are named.
const NAMED: usize = 20;

/// Something that has to hold, and the promise that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Law {
    Intents,
    Ends,
    Order,
    Tokens,
    OneAnswer,
    Answers,
    Jtis,
    Logins,
    Nonces,
    States,
    Limits,
    Approvals,
    Signatures,
    Points,
    Leaves,
}

const LAWS: [(Law, &str, &str); 15] = [
    (
        Law::Intents,
        "P2",
        "each intent has one leaf, which says the same",
    ),
    (
        Law::Ends,
        "P2",
        "each end has one leaf, which says the same",
    ),
    (Law::Order, "P2", "nothing ends before it begins"),
    (
        Law::Tokens,
        "P2",
        "a token was fetched by an assertion that was released",
    ),
    (Law::OneAnswer, "P3", "one idempotency key, one answer"),
    (
        Law::Answers,
        "P3",
        "each answer is the one that was released",
    ),
    (Law::Jtis, "P4", "each jti is on record, and issued once"),
    (
        Law::Logins,
        "P4",
        "each login is on record, and so is its nonce",
    ),
    (Law::Nonces, "P4", "a nonce made one API key"),
    (Law::States, "P5", "keys sign in a state that signs"),
    (Law::Limits, "P5", "what was signed kept the limits"),
    (
        Law::Approvals,
        "P6",
        "what was done on approval was approved",
    ),
    (
        Law::Signatures,
        "P8",
        "each signature verifies under the key on record",
    ),
    (
        Law::Points,
        "P8",
        "each r that left is on record for one digest",
    ),
    (
        Law::Leaves,
        "P9",
        "each leaf has its form, its hash and its place",
    ),
];

/// What a database cannot show.
const NOT_SHOWN: [&str; 4] = [
    "P1: that no key leaves its device",
    "P7: that nothing else is signed elsewhere",
    "P10: what a refusal says",
    "P11: whether callers stop one another",
];

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether nothing is broken.
    pub kept: bool,
    /// What was looked at.
    pub laws: Vec<Finding>,
    /// Intents that have no end: under way, or left behind by a replica that died.
    pub open: u64,
    /// Intents that ended with a signature.
    pub released: u64,
    /// Intents that ended without one: somebody or something said no.
    pub refused: u64,
    /// The same: it took too long, or a replica died.
    pub abandoned: u64,
    /// Released signatures that no public key checks (HMACs), or that their answers do not have in a form of theirs.
    pub not_judged: u64,
    /// What a database cannot show.
    pub not_shown: [&'static str; 4],
}

/// What was found of one law.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// `P1` to `P11`.
    pub promise: &'static str,
    /// What has to hold.
    pub what: &'static str,
    /// How much of it was looked at.
    pub looked_at: u64,
    /// How much of that does not hold.
    pub broken: u64,
    /// The first of those.
    pub first: Vec<String>,
}

impl Report {
    fn new() -> Self {
        let finding = |&(_, promise, what)| Finding {
            promise,
            what,
            looked_at: 0,
            broken: 0,
            first: Vec::new(),
        };
        Self {
            kept: false,
            laws: LAWS.iter().map(finding).collect(),
            open: 0,
            released: 0,
            refused: 0,
            abandoned: 0,
            not_judged: 0,
            not_shown: NOT_SHOWN,
        }
    }

    fn of(&mut self, law: Law) -> &mut Finding {
        &mut self.laws[law as usize]
    }

    /// Notes that a law was looked at, and what breaks it there.
    fn look(&mut self, law: Law, broken: Option<String>) {
        self.of(law).looked_at += 1;
        if let Some(what) = broken {
            self.breaks(law, what);
        }
    }

    fn breaks(&mut self, law: Law, what: String) {
        let finding = self.of(law);
        finding.broken += 1;
        if finding.first.len() < NAMED {
            finding.first.push(what);
        }
    }
}

/// Looks at all of it. `released` is shown each answer that was released.
pub async fn check(
    ledger: &Ledger,
    sealing: &Keyring,
    mut released: impl FnMut(&Released),
) -> Result<Report, LedgerError> {
    let mut tx = Tx::at_one_moment(ledger.session().await?).await?;
    tx.wait_for(PATIENCE);
    let mut look = Look {
        report: Report::new(),
        keys: records::public_keys(&mut tx).await?,
        sealing,
        heard: verification::Heard::default(),
        places: None,
        seen: Seen::default(),
        answers: HashMap::new(),
    };
    loop {
        let after = look.places.unwrap_or((0, 0, 0));
        let page = records::page(after, &mut tx).await?;
        if page.is_empty() {
            break;
        }
        for row in page {
            look.hear(&row, &mut released);
        }
        look.compare(&mut tx).await?;
    }
    look.end(&mut tx).await
}

/// Where a leaf is: run, batch, position.
type PlaceOfLeaf = (i32, i64, i32);

/// How far the look has come.
struct Look<'k> {
    report: Report,
    keys: HashMap<Uuid, PublicKey>,
    sealing: &'k Keyring,
    heard: verification::Heard,
    places: Option<PlaceOfLeaf>,
    seen: Seen,
    /// Which intent was released under a caller's key, and when.
    answers: HashMap<(Uuid, String), (Uuid, i64)>,
}

/// What a page of leaves says of other tables.
#[derive(Default)]
struct Seen {
    /// `jti`s, by intent.
    jtis: Vec<(Uuid, Uuid)>,
    /// Intents whose tokens were handed out.
    fetches: Vec<Uuid>,
    /// Signatures by ECDSA: key, `r`, digest.
    points: Vec<(Uuid, Vec<u8>, Vec<u8>)>,
    /// Logins.
    logins: Vec<Uuid>,
}

impl Look<'_> {
    fn hear(&mut self, row: &Row, released: &mut impl FnMut(&Released)) {
        let place = row.place;
        let follows = row::follows(self.places, place);
        self.places = Some(place);
        let leaf = Leaf::from_bytes(&row.leaf);
        let fits = follows && leaf.as_ref().is_some_and(|leaf| row.is_of(leaf));
        let broken = (!fits).then(|| row.to_string());
        self.report.look(Law::Leaves, broken);
        let Some(leaf) = leaf else { return };
        let index = self.report.of(Law::Leaves).looked_at - 1;
        self.heard.hear(index, &leaf);
        match &leaf.event {
            Event::Intent(it) => self.begun(row, it),
            Event::Released(it) => {
                self.ended(row, it.attempt);
                self.report.released += 1;
                if let Some(shown) = self.released(row, it) {
                    released(&shown);
                }
            }
            Event::Refused(it) => {
                self.ended(row, it.attempt);
                self.report.refused += 1;
            }
            Event::Abandoned(it) => {
                self.ended(row, it.attempt);
                self.report.abandoned += 1;
            }
            Event::Token(it) => self.seen.fetches.push(it.fetch),
            Event::Denied(_)
            | Event::Denials(_)
            | Event::DryRun(_)
            | Event::DryRuns(_)
            | Event::Admin(_) => {}
        }
    }

    fn begun(&mut self, row: &Row, leaf: &Intent) {
        let broken = (!row.is_begun_by(leaf)).then(|| row.to_string());
        self.report.look(Law::Intents, broken);
        if let Some(jti) = released::jti(leaf) {
            self.seen.jtis.push((leaf.intent, jti));
        }
        if leaf.operation == "clob-auth" {
            self.seen.logins.push(leaf.intent);
        }
    }

    fn ended(&mut self, row: &Row, attempt: i32) {
        let broken = (!row.is_ended_by(attempt)).then(|| row.to_string());
        self.report.look(Law::Ends, broken);
        let broken = row.ends_too_early().then(|| row.to_string());
        self.report.look(Law::Order, broken);
    }

    fn released(&mut self, row: &Row, leaf: &crate::audit::leaf::Release) -> Option<Released> {
        let read = Released::read(row, leaf, self.sealing);
        let broken = read.as_ref().err().map(|why| format!("{row}: {why}"));
        self.report.look(Law::Answers, broken);
        let shown = read.ok()?;
        if let Some(key) = &shown.idempotency_key {
            let (id, at) = (leaf.intent, shown.begun_at_ms);
            let earlier = self.answers.insert((shown.caller, key.clone()), (id, at));
            let twice = earlier.filter(|(_, before)| at.abs_diff(*before) < released::KEPT_MS);
            let twice = twice.map(|(other, _)| format!("{id} and {other}"));
            self.report.look(Law::OneAnswer, twice);
        }
        let key = row.key.and_then(|it| self.keys.get(&it));
        match key.and_then(|key| shown.judge(key, leaf.signature_hash)) {
            None => self.report.not_judged += 1,
            Some(judged) => {
                let broken = judged.as_ref().err().map(|why| format!("{row}: {why}"));
                self.report.look(Law::Signatures, broken);
                if let (Ok(Some(r)), Some(key)) = (judged, row.key) {
                    let digest = shown.digest.to_vec();
                    self.seen.points.push((key, r.to_vec(), digest));
                }
            }
        }
        Some(shown)
    }

    /// Compares what a page has said with the tables that it is about.
    async fn compare(&mut self, tx: &mut Tx) -> Result<(), LedgerError> {
        let seen = std::mem::take(&mut self.seen);
        let counts = [
            (Law::Jtis, seen.jtis.len()),
            (Law::Tokens, seen.fetches.len()),
            (Law::Points, seen.points.len()),
            (Law::Logins, seen.logins.len()),
        ];
        for (law, count) in counts {
            self.report.of(law).looked_at += u64::try_from(count).unwrap_or(u64::MAX);
        }
        let missing = [
            (Law::Jtis, records::without_jti(seen.jtis, tx).await?),
            (
                Law::Tokens,
                records::never_released(seen.fetches, tx).await?,
            ),
            (Law::Points, records::without_point(seen.points, tx).await?),
            (Law::Logins, records::without_login(seen.logins, tx).await?),
        ];
        for (law, missing) in missing {
            for id in missing {
                self.report.breaks(law, id.to_string());
            }
        }
        Ok(())
    }

    /// What shows at the end only.
    async fn end(mut self, tx: &mut Tx) -> Result<Report, LedgerError> {
        for (law, ids) in [
            (Law::Intents, records::intents_without_leaf(tx).await?),
            (Law::Ends, records::ends_without_leaf(tx).await?),
        ] {
            for id in ids {
                self.report.breaks(law, format!("{id} has no leaf"));
            }
        }
        for fault in self.heard.end() {
            let law = match fault.kind {
                "jti-twice" => Law::Jtis,
                "nonce-twice" => Law::Nonces,
                "approval" => Law::Approvals,
                "key-step" | "key-state" => Law::States,
                "limit" => Law::Limits,
                "end-without-intent" => Law::Order,
                "intent-twice" => Law::Intents,
                "end-twice" => Law::Ends,
                _ => Law::Leaves,
            };
            self.report.breaks(law, fault.detail);
        }
        // What is weighed as a whole was looked at with every leaf.
        let leaves = self.report.of(Law::Leaves).looked_at;
        for law in [Law::Nonces, Law::States, Law::Limits, Law::Approvals] {
            self.report.of(law).looked_at = leaves;
        }
        self.report.open = records::open(tx).await?;
        self.report.kept = self.report.laws.iter().all(|it| it.broken == 0);
        Ok(self.report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_law_has_its_finding() {
        for (n, (law, promise, _)) in LAWS.iter().enumerate() {
            assert_eq!(*law as usize, n, "{law:?} of {promise}");
        }
    }
}
