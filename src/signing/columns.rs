//! The rows of a group as columns: one array for each argument of `sign_group`, which writes them.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use time::OffsetDateTime;
use uuid::Uuid;

use super::asks::Asks;
use super::job::{BatchKey, End, HandOut, How, Intend, Job};
use super::{Right, SameRequest, SigningError};
use crate::authority::Head;
use crate::id::CallerId;
use crate::idempotency::{self, Key as IdempotencyKey};
use crate::limits::{Exceeded, Full};
use crate::standing::{KeyStanding, Standing};

/// The rows of a group.
#[derive(Default)]
pub(super) struct Columns<'a> {
    pub(super) rights: Rights,
    pub(super) ends: Ends<'a>,
    pub(super) batches: Batches<'a>,
    pub(super) intents: Intents<'a>,
    pub(super) identifiers: Identifiers,
    pub(super) notes: Notes<'a>,
    pub(super) asks: Asks,
}

/// What the database decided, row by row.
#[derive(Default)]
pub(super) struct Decided {
    /// How things stand, for each right; and whether it holds there.
    pub(super) rights: Vec<(bool, Standing)>,
    /// Intents that have ended here.
    pub(super) ended: HashSet<Uuid>,
    /// Intents whose end came too late to be of use.
    pub(super) late: HashSet<Uuid>,
    /// Intents whose signature repeats the `r` of another digest.
    pub(super) repeated: HashSet<Uuid>,
    /// Numbers of batches whose key stands for them.
    pub(super) held: HashSet<i32>,
    /// Intents that are on record.
    pub(super) won: HashSet<Uuid>,
    /// How far what decides had come, as the gate has read it; none where it was not asked.
    pub(super) head: Option<Head>,
    /// Intents that came too soon after the same request, and which it was.
    pub(super) same: HashMap<Uuid, SameRequest>,
    /// Which limit stands in the way of what did not fit, by its leaf's hash.
    pub(super) full: HashMap<Vec<u8>, Exceeded>,
    /// How many leaves were written.
    pub(super) leaves: usize,
    /// It was not durable before this.
    pub(super) since: Option<Instant>,
}

/// Rights, each once, by number from 1.
#[derive(Default)]
pub(super) struct Rights {
    numbers: HashMap<Right, i32>,
    list: Vec<Right>,
}

#[derive(Default)]
pub(super) struct Ends<'a> {
    pub(super) intent: Vec<Uuid>,
    pub(super) attempt: Vec<i32>,
    pub(super) right: Vec<i32>,
    pub(super) outcome: Vec<&'static str>,
    pub(super) reason: Vec<Option<&'static str>>,
    /// By the writer's clock.
    pub(super) before_ms: Vec<Option<i64>>,
    pub(super) r: Vec<Option<&'a [u8]>>,
    pub(super) digest: Vec<Option<&'a [u8]>>,
    pub(super) alias: Vec<Option<&'a [u8]>>,
    pub(super) answer: Vec<Option<&'a [u8]>>,
    pub(super) sealed: Vec<bool>,
    pub(super) expires: Vec<Option<OffsetDateTime>>,
    pub(super) leaf: Vec<&'a [u8]>,
    pub(super) hash: Vec<&'a [u8]>,
}

/// Batches, each once, by number from 1.
#[derive(Default)]
pub(super) struct Batches<'a> {
    numbers: HashMap<(CallerId, &'a str), i32>,
    pub(super) caller: Vec<Uuid>,
    pub(super) key: Vec<&'a str>,
    pub(super) request: Vec<&'a [u8]>,
    pub(super) until: Vec<Option<OffsetDateTime>>,
    pub(super) hours: Vec<i32>,
}

#[derive(Default)]
pub(super) struct Intents<'a> {
    /// Whose idempotency key is claimed here: a twin finds it taken.
    claims: HashSet<(CallerId, &'a IdempotencyKey)>,
    pub(super) intent: Vec<Uuid>,
    pub(super) right: Vec<i32>,
    pub(super) batch: Vec<i32>,
    pub(super) operation: Vec<&'static str>,
    pub(super) errand: Vec<&'static str>,
    pub(super) caller: Vec<Uuid>,
    pub(super) subject: Vec<Uuid>,
    pub(super) request: Vec<&'a [u8]>,
    pub(super) key: Vec<Option<&'a str>>,
    pub(super) until: Vec<Option<OffsetDateTime>>,
    pub(super) hours: Vec<i32>,
    pub(super) digest: Vec<&'a [u8]>,
    pub(super) amount: Vec<i64>,
    /// How many seconds the same request waits under another key.
    pub(super) apart_s: Vec<i32>,
    pub(super) leaf: Vec<&'a [u8]>,
    pub(super) hash: Vec<&'a [u8]>,
}

#[derive(Default)]
pub(super) struct Identifiers {
    pub(super) intent: Vec<Uuid>,
    pub(super) id: Vec<Uuid>,
    pub(super) issuer: Vec<Uuid>,
    pub(super) issued: Vec<OffsetDateTime>,
    pub(super) expires: Vec<OffsetDateTime>,
}

#[derive(Default)]
pub(super) struct Notes<'a> {
    pub(super) right: Vec<i32>,
    pub(super) kind: Vec<&'static str>,
    pub(super) subject: Vec<Uuid>,
    pub(super) leaf: Vec<&'a [u8]>,
    pub(super) hash: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    /// The columns of these jobs.
    pub(super) fn of(
        jobs: impl IntoIterator<Item = &'a Job>,
        keep: &idempotency::Settings,
    ) -> Self {
        let mut columns = Self::default();
        for job in jobs {
            match job {
                Job::Intend(intend) => columns.intend(intend, keep),
                Job::End(end) => columns.end(end),
                Job::HandOut(out) => columns.hand_out(out),
            }
        }
        columns
    }

    fn intend(&mut self, intend: &'a Intend, keep: &idempotency::Settings) {
        let right = self.rights.number(intend.right);
        let batch = match &intend.batch {
            None => 0,
            Some(whole) => match self.batches.number(intend, whole, keep) {
                Some(number) => number,
                None => return, // another batch's key
            },
        };
        let rows = &mut self.intents;
        if let Some(key) = &intend.idempotency
            && !rows.claims.insert((intend.caller, key))
        {
            return; // its twin goes ahead
        }
        let draft = intend.permit.action();
        rows.intent.push(intend.id.uuid());
        rows.right.push(right);
        rows.batch.push(batch);
        rows.operation.push(draft.operation());
        rows.errand.push(draft.errand());
        rows.caller.push(intend.caller.uuid());
        rows.subject.push(draft.subject());
        rows.request.push(&intend.request.0);
        let key = intend.idempotency.as_ref();
        rows.key.push(key.map(IdempotencyKey::as_str));
        rows.until.push(draft.useful().until());
        rows.hours.push(keep.hours(draft.useful()));
        rows.digest.push(&intend.prepared.digest);
        rows.amount.push(intend.reservation.amount);
        // Without a key there is none to be another one.
        let apart_s = key.map_or(0, |_| intend.reservation.apart_s);
        rows.apart_s
            .push(i32::try_from(apart_s).unwrap_or(i32::MAX));
        rows.leaf.push(&intend.leaf.bytes);
        rows.hash.push(&intend.leaf.hash);
        self.asks.of_intent(rows.intent.len(), &intend.reservation);
        if let Some(identifier) = &intend.prepared.identifier {
            self.identifiers.intent.push(intend.id.uuid());
            self.identifiers.id.push(identifier.id);
            self.identifiers.issuer.push(identifier.issuer);
            self.identifiers.issued.push(identifier.issued_at);
            self.identifiers.expires.push(identifier.expires_at);
        }
    }

    fn end(&mut self, end: &'a End) {
        let rows = &mut self.ends;
        rows.intent.push(end.intent.uuid());
        rows.attempt.push(end.attempt);
        rows.outcome.push(end.leaf.kind);
        rows.reason.push(end.how.reason());
        rows.leaf.push(&end.leaf.bytes);
        rows.hash.push(&end.leaf.hash);
        let release = match &end.how {
            How::Released(release) => Some(&**release),
            _ => None,
        };
        // Only what leaves needs a right.
        let right = end.right.filter(|_| release.is_some());
        rows.right
            .push(right.map_or(0, |it| self.rights.number(it)));
        rows.before_ms.push(release.and_then(|it| it.before_ms));
        let r = release.and_then(|it| it.r.as_ref());
        rows.r.push(r.map(<[u8; 32]>::as_slice));
        rows.digest.push(release.map(|it| it.digest.as_slice()));
        let alias = release.and_then(|it| it.alias.as_ref());
        rows.alias.push(alias.map(<[u8; 32]>::as_slice));
        rows.answer.push(release.map(|it| it.stored.as_slice()));
        rows.sealed.push(release.is_some_and(|it| it.sealed));
        rows.expires.push(release.and_then(|it| it.expires_at));
    }

    fn hand_out(&mut self, out: &'a HandOut) {
        self.notes.right.push(self.rights.number(out.right));
        self.notes.kind.push(out.leaf.kind);
        self.notes.subject.push(out.leaf.subject);
        self.notes.leaf.push(&out.leaf.bytes);
        self.notes.hash.push(&out.leaf.hash);
        let number = self.notes.hash.len();
        self.asks.of_note(number, &out.reservation);
    }

    /// What does not fit, by its leaf's hash, and why.
    pub(super) fn unfit(
        &self,
        asker: i32,
        counter: i32,
        full: &Full,
    ) -> Option<(Vec<u8>, Exceeded)> {
        let at = usize::try_from(asker).ok()?.checked_sub(1)?;
        let (hash, amount) = match self.intents.hash.get(at) {
            Some(hash) => (hash, self.intents.amount.get(at)?),
            None => (self.notes.hash.get(at - self.intents.hash.len())?, &1),
        };
        let exceeded = self.asks.exceeded(counter, *amount, full)?;
        Some((hash.to_vec(), exceeded))
    }

    /// Why a right does not hold, if it does not.
    pub(super) fn refusal(&self, right: Right, decided: &Decided) -> Option<SigningError> {
        let number = self.rights.numbers.get(&right)?;
        let at = usize::try_from(number - 1).ok()?;
        match decided.rights.get(at)? {
            (true, _) => None,
            // The database has judged; what it judged by says why.
            (false, standing) => Some(right.holds(standing).err().unwrap_or(SigningError::Busy)),
        }
    }

    /// Whether the key of an intent's batch stands for another one.
    pub(super) fn is_of_another(&self, intend: &Intend, decided: &Decided) -> bool {
        intend.batch.as_ref().is_some_and(|whole| {
            let number = self
                .batches
                .numbers
                .get(&(intend.caller, whole.key.as_str()));
            number.is_none_or(|number| {
                let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
                let first = self.batches.request.get(at);
                first != Some(&whole.request.0.as_slice()) || !decided.held.contains(number)
            })
        })
    }
}

impl Ends<'_> {
    /// How long each may still wait to leave, in milliseconds; nothing where none is in a hurry.
    pub(super) fn left_ms(&self, now_ms: i64) -> Vec<Option<i64>> {
        if self.before_ms.iter().all(Option::is_none) {
            return Vec::new();
        }
        let left = |at: &Option<i64>| at.map(|at| at - now_ms);
        self.before_ms.iter().map(left).collect()
    }
}

impl Intents<'_> {
    /// Nothing where no limit keeps requests apart.
    pub(super) fn apart_s(&self) -> &[i32] {
        if self.apart_s.iter().all(|it| *it == 0) {
            &[]
        } else {
            &self.apart_s
        }
    }
}

impl Rights {
    fn number(&mut self, right: Right) -> i32 {
        *self.numbers.entry(right).or_insert_with(|| {
            self.list.push(right);
            i32::try_from(self.list.len()).unwrap_or(i32::MAX)
        })
    }

    pub(super) fn keys(&self) -> Vec<Uuid> {
        self.list.iter().map(|right| right.key().uuid()).collect()
    }

    pub(super) fn epochs(&self) -> Vec<i64> {
        self.list.iter().map(Right::epoch).collect()
    }

    pub(super) fn credentials(&self) -> Vec<Uuid> {
        self.list.iter().map(Right::credential).collect()
    }

    /// The states of a key in which it holds.
    pub(super) fn states(&self) -> Vec<&'static str> {
        self.list.iter().map(Right::states).collect()
    }

    /// The versions of what decides by which they were given.
    pub(super) fn decided(&self) -> Vec<i64> {
        self.list.iter().map(|it| it.decided().number()).collect()
    }

    /// Whether it holds after the key's period.
    pub(super) fn last(&self) -> Vec<bool> {
        self.list.iter().map(Right::lasts).collect()
    }

    /// What is true of each, for its judge.
    pub(super) fn standings(
        &self,
        facts: impl Iterator<Item = (bool, Option<KeyStanding>, bool)>,
        head: Option<Head>,
    ) -> Vec<(bool, Standing)> {
        let each = self.list.iter().zip(facts);
        each.map(|(right, (holds, key, is_live))| {
            let credential = is_live.then(|| right.credential());
            (holds, Standing::of(right.key(), key, credential, head))
        })
        .collect()
    }
}

impl<'a> Batches<'a> {
    /// `None`: the key is another batch's, which came first.
    fn number(
        &mut self,
        intend: &Intend,
        whole: &'a BatchKey,
        keep: &idempotency::Settings,
    ) -> Option<i32> {
        let useful = intend.permit.action().useful();
        let (until, hours) = (useful.until(), keep.hours(useful));
        let known = self.numbers.get(&(intend.caller, whole.key.as_str()));
        if let Some(number) = known {
            let at = usize::try_from(number - 1).ok()?;
            self.until[at] = self.until[at].max(until);
            self.hours[at] = self.hours[at].max(hours);
            return (self.request[at] == whole.request.0).then_some(*number);
        }
        self.caller.push(intend.caller.uuid());
        self.key.push(whole.key.as_str());
        self.request.push(&whole.request.0);
        self.until.push(until);
        self.hours.push(hours);
        let number = i32::try_from(self.key.len()).ok()?;
        self.numbers
            .insert((intend.caller, whole.key.as_str()), number);
        Some(number)
    }
}
