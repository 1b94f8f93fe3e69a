//! The time, from one place that tests can move, and how it agrees with the database's.
//!
//! Replicas have a clock each and one database. Whatever they have to agree on, such as whether a key or
//! an answer has expired, the database's clock decides; what carries a time out of here has the
//! replica's own, so one whose clock is off signs nothing that does.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

use time::OffsetDateTime;

use crate::within::Within;

/// `[clock]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(try_from = "Written")]
pub struct Settings {
    /// How far this computer's clock may be from the database's before the log says so.
    pub tolerated_ms: Within<100, 60_000>,
    /// How far it may be before the replica is not ready any more, and signs nothing that carries a
    /// time.
    pub refused_ms: Within<1_000, 300_000>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    tolerated_ms: Within<100, 60_000>,
    refused_ms: Within<1_000, 300_000>,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            tolerated_ms: Within::of(2_000),
            refused_ms: Within::of(10_000),
        }
    }
}

impl TryFrom<Written> for Settings {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        if written.refused_ms.get() < written.tolerated_ms.get() {
            return Err("refused_ms is less than tolerated_ms");
        }
        Ok(Self {
            tolerated_ms: written.tolerated_ms,
            refused_ms: written.refused_ms,
        })
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::try_from(Written::default()).expect("the defaults fit each other")
    }
}

/// How a clock agrees with the database's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Agreement {
    Near,
    Apart,
    Off,
}

impl Settings {
    fn judge(&self, ahead_ms: i64) -> Agreement {
        let apart = ahead_ms.unsigned_abs();
        if apart > self.refused_ms.get() {
            Agreement::Off
        } else if apart > self.tolerated_ms.get() {
            Agreement::Apart
        } else {
            Agreement::Near
        }
    }
}

/// Tells the time. Cheap to clone; all clones of a fixed clock move together, and all clones of any know
/// how it agrees with the database's.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    fixed: Option<AtomicI64>,
    /// When last compared.
    ahead_ms: AtomicI64,
    agreement: AtomicU8,
}

impl Clock {
    /// The computer's clock.
    pub fn system() -> Self {
        Self::new(None)
    }

    /// A clock that stands still at `unix_ms`, milliseconds since 1970, until it is [`set`](Self::set).
    pub fn fixed(unix_ms: i64) -> Self {
        Self::new(Some(AtomicI64::new(unix_ms)))
    }

    fn new(fixed: Option<AtomicI64>) -> Self {
        Self(Arc::new(Inner {
            fixed,
            ahead_ms: AtomicI64::new(0),
            agreement: AtomicU8::new(Agreement::Near as u8),
        }))
    }

    /// Moves a fixed clock. A system clock is left alone.
    pub fn set(&self, unix_ms: i64) {
        if let Some(fixed) = &self.0.fixed {
            fixed.store(unix_ms, Ordering::Relaxed);
        }
    }

    /// Milliseconds since 1970.
    pub fn unix_ms(&self) -> i64 {
        if let Some(fixed) = &self.0.fixed {
            return fixed.load(Ordering::Relaxed);
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one reader of the clock"
        )]
        let now = OffsetDateTime::now_utc();
        unix_ms(now)
    }

    /// Whole seconds since 1970.
    pub fn unix_s(&self) -> i64 {
        self.unix_ms().div_euclid(1000)
    }

    /// The time as a calendar date, in UTC.
    pub fn now(&self) -> OffsetDateTime {
        of_unix_ms(self.unix_ms()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// Takes note of how far it is ahead of the database's, and says so where that has changed.
    pub fn compared(&self, ahead_ms: i64, settings: &Settings) {
        let agreement = settings.judge(ahead_ms);
        self.0.ahead_ms.store(ahead_ms, Ordering::Relaxed);
        let before = self.0.agreement.swap(agreement as u8, Ordering::Relaxed);
        if before == agreement as u8 {
            return;
        }
        match agreement {
            Agreement::Near => tracing::info!(ahead_ms, "the clock agrees with the database's"),
            Agreement::Apart => {
                tracing::warn!(
                    ahead_ms,
                    "the clock is not the database's: synchronize both"
                );
            }
            Agreement::Off => tracing::error!(
                alarm = "clock-off",
                ahead_ms,
                "the clock is so far from the database's that nothing is signed which carries a time: synchronize both"
            ),
        }
    }

    /// How far it was ahead of the database's when last compared, in seconds.
    pub fn ahead_s(&self) -> f64 {
        let ahead_ms = self.0.ahead_ms.load(Ordering::Relaxed);
        let apart = std::time::Duration::from_millis(ahead_ms.unsigned_abs()).as_secs_f64();
        apart.copysign(if ahead_ms < 0 { -1.0 } else { 1.0 })
    }

    /// How far it was ahead of the database's when last compared, where that is too far.
    pub fn off_by_ms(&self) -> Option<i64> {
        let is_off = self.0.agreement.load(Ordering::Relaxed) == Agreement::Off as u8;
        is_off.then(|| self.0.ahead_ms.load(Ordering::Relaxed))
    }
}

/// The text is neither a day nor a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither a day, such as 2027-01-31, nor a time, such as 2027-01-31T12:00:00Z")]
pub struct NotATime;

/// A day as its last second, in UTC; a time (RFC 3339) as it is.
pub fn end_of(text: &str) -> Result<OffsetDateTime, NotATime> {
    let day = if text.len() == 10 { "T23:59:59Z" } else { "" };
    let format = &time::format_description::well_known::Rfc3339;
    OffsetDateTime::parse(&format!("{text}{day}"), format).map_err(|_| NotATime)
}

/// A time for people, and as leaves have it: RFC 3339.
pub fn timestamp(at: OffsetDateTime) -> String {
    at.format(&time::format_description::well_known::Rfc3339)
        .unwrap_or_else(|_| at.to_string())
}

/// The time of so many milliseconds since 1970; `None`: it is in no calendar.
pub fn of_unix_ms(ms: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok()
}

/// Milliseconds since 1970 of a time.
pub fn unix_ms(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
