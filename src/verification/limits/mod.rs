//! Whether what was released kept the limits that were in force.
//!
//! Everything is weighed by what leaves say: the fields of each signature, and how much was signed within a window and at
//! what pace. A signature was decided on, and counted, at a time between its two leaves. Their times are those of the
//! replicas' clocks, which may be [`CLOCKS_MS`] from the database's: what could have been within the limits, by any
//! clocks as near as that, is not held against it. So nothing is named that was allowed, and a minute is
//! watched over 40 seconds of it, an hour over all but 20 seconds.
//!
//! What intents reserved that ended without a signature does not count here: it was given back.
//!
//! It does not look at `open_exposure`, for no leaf says when an order was filled or cancelled, nor at `look_ups_1m`,
//! for a look-up is no signature.

mod counting;
mod eras;
mod stake;

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use self::counting::Counted;
use self::eras::Eras;
use super::Report;
use crate::audit::leaf::{Event, Intent, Leaf};
use crate::id::{CallerId, KeyId};
use crate::limits::{Limited, Scope, What};

/// How far a replica's clock may be from the database's: one that is further is not ready, unless the settings say otherwise.
const CLOCKS_MS: i64 = 10_000;

/// So much earlier than its leaf something may have been decided.
const DECIDED_MS: i64 = 1_000;

/// A token leaves within this of its leaf, as long as callers wait.
const HANDED_OUT_MS: i64 = 10_000;

/// What was heard so far.
#[derive(Default)]
pub(super) struct Kept {
    eras: HashMap<Scope, Eras>,
    /// What has begun and may be released.
    begun: HashMap<Uuid, Signed>,
    counted: HashMap<(Scope, What), Vec<Counted>>,
    /// What did not keep to the limits that were known when it was heard.
    doubtful: Vec<Signed>,
    /// Requests that are kept apart from the same ones.
    apart: HashMap<(CallerId, [u8; 32]), Vec<Signed>>,
}

/// What is wrong, by the leaf that it is about.
type Faults = BTreeMap<u64, String>;

/// Something that was signed: where its intent stands, and between which times it was decided on.
#[derive(Clone, Debug)]
struct Signed {
    index: u64,
    from_ms: i64,
    to_ms: i64,
    caller: CallerId,
    key: KeyId,
    stake: Limited,
    /// What was asked for, where that came under an idempotency key.
    request: Option<[u8; 32]>,
}

impl Signed {
    /// All that it belongs to.
    fn scopes(&self) -> impl Iterator<Item = Scope> + use<> {
        let on = self.stake.on();
        let scopes = Scope::around(self.caller, Some(self.key), on.wallet, on.market);
        scopes.into_iter().flatten()
    }

    /// What a limit of one thing says against it, in whichever era it was decided.
    fn refusal(&self, scope: Scope, eras: &Eras) -> Option<String> {
        let decided = [self.from_ms, self.from_ms.saturating_sub(DECIDED_MS)];
        eras::least(eras.around(self.from_ms, self.to_ms), |limits| {
            let check = |at_ms| limits.check(&scope, &self.stake, at_ms).err();
            let refused: Option<Vec<_>> = decided.into_iter().map(check).collect();
            refused?.first().map(ToString::to_string)
        })
    }

    /// How far the same request is kept from it, in whichever era it was decided.
    fn apart_s(&self, eras: &HashMap<Scope, Eras>) -> u32 {
        let of = |scope| {
            let eras = eras.get(&scope)?.around(self.from_ms, self.to_ms);
            eras::least(eras, |limits| Some(limits.apart_s(&self.stake)))
        };
        self.scopes().filter_map(of).max().unwrap_or_default()
    }
}

impl Kept {
    pub(super) fn hear(&mut self, index: u64, leaf: &Leaf) {
        if let Event::Admin(it) = &leaf.event
            && let Some((scope, limits)) = eras::change(it)
        {
            let eras = self.eras.entry(scope).or_default();
            eras.begin(leaf.at_ms, limits);
        }
        if self.eras.is_empty() {
            return;
        }
        match &leaf.event {
            Event::Intent(it) => self.begins(index, leaf.at_ms, it),
            Event::Released(it) => {
                if let Some(signed) = self.begun.remove(&it.intent) {
                    self.ends(Signed {
                        to_ms: leaf.at_ms,
                        ..signed
                    });
                }
            }
            Event::Refused(it) | Event::Abandoned(it) => drop(self.begun.remove(&it.intent)),
            Event::Token(it) => self.ends(Signed {
                index,
                from_ms: leaf.at_ms,
                to_ms: leaf.at_ms.saturating_add(HANDED_OUT_MS),
                caller: it.caller.into(),
                key: it.key.into(),
                stake: Limited::AccessToken,
                request: None,
            }),
            _ => {}
        }
    }

    fn begins(&mut self, index: u64, at_ms: i64, it: &Intent) {
        let stake = stake::of(it);
        if stake == Limited::Nothing {
            return;
        }
        let signed = Signed {
            index,
            from_ms: at_ms,
            to_ms: at_ms,
            caller: it.caller.into(),
            key: it.key.into(),
            stake,
            request: it.idempotency_key.is_some().then_some(it.request_digest),
        };
        self.begun.insert(it.intent, signed);
    }

    fn ends(&mut self, signed: Signed) {
        let Some((what, amount)) = signed.stake.counted() else {
            return;
        };
        let (mut is_doubtful, mut is_apart) = (false, false);
        for scope in signed.scopes() {
            let Some(eras) = self.eras.get(&scope) else {
                continue;
            };
            if eras.any(|it| it.counter(scope, what).is_some()) {
                let counted = Counted {
                    index: signed.index,
                    from_ms: signed.from_ms,
                    to_ms: signed.to_ms,
                    amount,
                };
                self.counted.entry((scope, what)).or_default().push(counted);
            }
            is_doubtful |= signed.refusal(scope, eras).is_some();
            is_apart |= eras.any(|it| it.apart_s(&signed.stake) > 0);
        }
        if is_apart && let Some(request) = signed.request {
            let same = self.apart.entry((signed.caller, request)).or_default();
            same.push(signed.clone());
        }
        if is_doubtful {
            self.doubtful.push(signed);
        }
    }

    pub(super) fn end(self, report: &mut Report) {
        let mut faults = Faults::new();
        for signed in &self.doubtful {
            let of = |scope| signed.refusal(scope, self.eras.get(&scope)?);
            if let Some(why) = signed.scopes().find_map(of) {
                faults.insert(signed.index, why);
            }
        }
        for ((scope, what), counted) in self.counted {
            if let Some(eras) = self.eras.get(&scope) {
                counting::weigh((scope, what), counted, eras, &mut faults);
            }
        }
        for mut same in self.apart.into_values() {
            same.sort_by_key(|it| (it.from_ms, it.index));
            same.retain(|it| it.apart_s(&self.eras) > 0);
            for pair in same.windows(2) {
                let [one, other] = pair else { continue };
                let between_ms = one.to_ms.max(other.to_ms) - one.from_ms + 2 * CLOCKS_MS;
                let (apart_s, index) = (one.apart_s(&self.eras), other.index);
                if between_ms < i64::from(apart_s) * 1_000 {
                    let why = format!("the same was asked for less than {apart_s} s before");
                    faults.entry(index).or_insert(why);
                }
            }
        }
        for (index, why) in faults {
            report.fault(Some(index), "limit", why);
        }
    }
}
