//! How long a key is in use: within SP 800-57's 1 to 3 years for a signature key, 1 to 2 for an
//! authentication key. A period may be shortened by anybody who may, and lengthened, which loosens,
//! up to a maximum that counts from the key's creation.

use time::{Duration, OffsetDateTime};

use super::{Key, KeyState, Purpose};

impl Purpose {
    /// How long such a key is in use unless it is said otherwise.
    pub(super) fn default_days(self) -> u16 {
        match self {
            Self::Wallet => 3 * 365,
            Self::Client => 180,
            Self::Checkpoint => 2 * 365,
        }
    }

    /// The longest period, counted from the key's creation.
    pub fn longest_days(self) -> u16 {
        match self {
            Self::Wallet | Self::Checkpoint => 3 * 365,
            Self::Client => 2 * 365,
        }
    }

    /// How many days before the end somebody is reminded.
    pub fn reminders(self) -> &'static [u16] {
        match self {
            Self::Wallet | Self::Checkpoint => &[90, 60, 30, 14, 7, 1],
            Self::Client => &[60, 30, 14, 7, 3, 1],
        }
    }

    /// The reminder that is due for a period with this end, as hours before it: the last threshold that
    /// was passed, or after the end how many hours ago that was, as a number that is not positive.
    pub fn reminder_due(self, ends_at: OffsetDateTime, now: OffsetDateTime) -> Option<i32> {
        let left = ends_at - now;
        if left <= Duration::ZERO {
            return i32::try_from(left.whole_hours()).ok();
        }
        let mut passed = self
            .reminders()
            .iter()
            .filter(|days| left <= Duration::days(i64::from(**days)));
        passed.next_back().map(|days| i32::from(*days) * 24)
    }
}

/// Why a cryptoperiod stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPeriod {
    /// A key in this state has no period any more.
    #[error("the key is {0}, and its period is over for good")]
    State(&'static str),
    /// The period has ended already.
    #[error("the period is over; a key is replaced then, not brought back")]
    Over,
    /// The new end has passed. A key is stopped at once by a step, not by its period.
    #[error("ends_at lies in the past; to stop a key now, suspend it")]
    Past,
    /// Nothing would change.
    #[error("the period ends at that time already")]
    Same,
    /// The period would be longer than such a key may live.
    #[error("ends_at is later than {0} days after the key's creation")]
    TooLong(u16),
}

/// Whether a period may be changed so, and whether that loosens.
pub(super) fn change(
    key: &Key,
    ends_at: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<bool, BadPeriod> {
    let in_use = matches!(
        key.state,
        KeyState::PreActivation | KeyState::Active | KeyState::Retiring | KeyState::Suspended
    );
    let longest = key.purpose.longest_days();
    if !in_use {
        Err(BadPeriod::State(key.state.name()))
    } else if key.cryptoperiod_ends_at <= now {
        Err(BadPeriod::Over)
    } else if ends_at <= now {
        Err(BadPeriod::Past)
    } else if ends_at == key.cryptoperiod_ends_at {
        Err(BadPeriod::Same)
    } else if ends_at > key.created_at + Duration::days(i64::from(longest)) {
        Err(BadPeriod::TooLong(longest))
    } else {
        Ok(ends_at > key.cryptoperiod_ends_at)
    }
}

#[cfg(test)]
mod tests;
