//! How long signatures take, and how they end: for each device and each kind of thing that is signed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Draft, Signer, SigningError};
use crate::metrics::{Counter, Family, Histogram};
use crate::name::Name;
use crate::policy::Action;

words! {
    /// How an intent ended, for who counts.
    pub(super) enum Outcome {
        /// Somebody may see the signature.
        Released = "released",
        /// It came too late to be of use.
        Late = "late",
        /// What decides, a limit or the key said no meanwhile.
        Refused = "refused",
        /// The device gave none.
        DeviceFailed = "device-failed",
        /// It does not verify.
        Invalid = "invalid",
        /// Its end is not on record, or somebody else's end is.
        Unrecorded = "unrecorded",
    }
}

impl Outcome {
    /// Of an intent that came to this.
    pub(super) fn of<T, L>(done: &Result<Result<T, L>, SigningError>) -> Self {
        match done {
            Ok(Ok(_)) => Self::Released,
            Ok(Err(_)) | Err(SigningError::Late) => Self::Late,
            Err(SigningError::Custody(_)) => Self::DeviceFailed,
            Err(SigningError::BadSignature(_)) => Self::Invalid,
            Err(
                SigningError::Busy
                | SigningError::InFlight
                | SigningError::LeaseLost
                | SigningError::DeadlineExceeded
                | SigningError::Ledger(_),
            ) => Self::Unrecorded,
            Err(
                SigningError::Denied(_)
                | SigningError::KeyNotActive(_)
                | SigningError::KeyExpired
                | SigningError::KeyEpochChanged
                | SigningError::CallerRevoked
                | SigningError::AuthorityChanged
                | SigningError::Login(_)
                | SigningError::KeyReused
                | SigningError::AnswerExpired
                | SigningError::ClockOff(_)
                | SigningError::Unpublished(_)
                | SigningError::Operation(_)
                | SigningError::Limit(_)
                | SigningError::Same(_),
            ) => Self::Refused,
        }
    }
}

/// Of one device and one action.
pub(super) struct Measured {
    /// From the record of the intent to that of its end.
    whole: Histogram,
    /// How long the device took for a signature.
    device: Histogram,
    /// Calls in which it gave none.
    failures: Counter,
    /// A counter for each outcome.
    outcomes: [Counter; Outcome::ALL.len()],
}

impl Measured {
    const fn new() -> Self {
        Self {
            whole: Histogram::of_time(),
            device: Histogram::of_time(),
            failures: Counter::new(),
            outcomes: [const { Counter::new() }; Outcome::ALL.len()],
        }
    }

    /// The device was asked once.
    pub(super) fn asked(&self, took: Duration, has_signed: bool) {
        if has_signed {
            self.device.took(took);
        } else {
            self.failures.count();
        }
    }

    /// An intent ended.
    pub(super) fn ended(&self, took: Duration, outcome: Outcome) {
        self.whole.took(took);
        if let Some(counter) = self.outcomes.get(outcome as usize) {
            counter.count();
        }
    }
}

/// All of them, in places that are there from the start.
pub(super) struct Measures(BTreeMap<Name, Vec<Measured>>);

impl Measures {
    /// For these devices.
    pub(super) fn of<'a>(devices: impl Iterator<Item = &'a Name>) -> Self {
        let each = || Action::ALL.iter().map(|_| Measured::new()).collect();
        Self(devices.map(|name| (name.clone(), each())).collect())
    }

    /// What belongs to a draft, whose key is in one of the devices.
    pub(super) fn for_draft(&self, draft: &dyn Draft) -> Option<&Measured> {
        let actions = self.0.get(&draft.key().backend)?;
        actions.get(draft.action() as usize)
    }

    /// How many signatures were released, and how long intents took, of all devices together.
    pub(super) fn totals(&self) -> (u64, Vec<(f64, u64)>) {
        let (mut released, mut times) = (0, Vec::<(f64, u64)>::new());
        for measured in self.0.values().flatten() {
            let [first, ..] = &measured.outcomes;
            released += first.value();
            let spread = measured.whole.spread().buckets;
            if times.is_empty() {
                times = spread;
            } else {
                for (all, one) in times.iter_mut().zip(spread) {
                    all.1 += one.1;
                }
            }
        }
        (released, times)
    }

    /// All that was measured.
    pub(super) fn families(&self) -> Vec<Family> {
        let mut all = Family::counts("chancery_signatures", "Intents that ended, and how");
        let mut whole = Family::spreads(
            "chancery_signature_duration_seconds",
            "From the record of an intent to that of its end",
        );
        let mut device = Family::spreads(
            "chancery_device_duration_seconds",
            "How long a device took for a signature",
        );
        let mut failures = Family::counts(
            "chancery_device_failures",
            "Calls in which a device gave no signature",
        );
        for (backend, actions) in &self.0 {
            for (action, measured) in Action::ALL.into_iter().zip(actions) {
                let spread = measured.whole.spread();
                if spread.count == 0 {
                    continue; // most actions sign nothing
                }
                let of = [("operation", action.name()), ("backend", backend.as_str())];
                whole.observed(of, spread);
                device.observed(of, measured.device.spread());
                failures.count(of, measured.failures.value());
                for (outcome, counter) in Outcome::ALL.into_iter().zip(&measured.outcomes) {
                    let [operation, backend] = of;
                    let of = [operation, backend, ("outcome", outcome.name())];
                    all.count(of, counter.value());
                }
            }
        }
        vec![all, whole, device, failures]
    }
}

impl Signer {
    /// What was measured, and what waits.
    pub fn measured(&self) -> Vec<Family> {
        let mut measured = self.0.measures.families();
        measured.push(Family::level(
            "chancery_group_waiting",
            "What waits to be written in a group",
            [],
            u32::try_from(self.0.group.waiting()).unwrap_or(u32::MAX),
        ));
        measured
    }

    /// How many signatures this process released; and of all that it was to sign, how many took at most so many
    /// seconds and longer than the bound before.
    pub fn totals(&self) -> (u64, Vec<(f64, u64)>) {
        self.0.measures.totals()
    }

    /// Whether groups are still written: without that nothing is signed until a restart.
    pub fn is_alive(&self) -> bool {
        self.0.group.is_alive()
    }
}
