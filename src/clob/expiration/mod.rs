//! When an order ends: what the venue takes for an end, and in which unit.
//!
//! # Why
//! The venue ends an order a minute before its expiration, so it refuses nearer ones; its own SDKs keep
//! three minutes. A date of the next century is a date of this one in a smaller unit: the order would
//! rest for ever.

use super::OrderError;

/// How long before its expiration the venue ends an order, in seconds.
const LEAD_S: i128 = 60;

/// How far ahead the venue's SDKs want an expiration, in seconds.
const COMFORT_S: i128 = 180;

/// The year 2100, in unix seconds.
const NEXT_CENTURY: u64 = 4_102_444_800;

/// Units that clocks count in, and how many make a second.
const UNITS: [(&str, u64); 3] = [
    ("milliseconds", 1_000),
    ("microseconds", 1_000_000),
    ("nanoseconds", 1_000_000_000),
];

/// Whether an expiration leaves an order time, with whatever is worth a warning.
pub(super) fn check(expiration: u64, now_s: i64) -> Result<Option<String>, OrderError> {
    if let Some(unit) = unit_of(expiration) {
        return Err(OrderError::ExpirationUnit { expiration, unit });
    }
    let now = now_s;
    let ahead = i128::from(expiration) - i128::from(now);
    if ahead <= 0 {
        return Err(OrderError::ExpirationPast { expiration, now });
    }
    if ahead <= LEAD_S {
        let earliest = i128::from(now) + COMFORT_S;
        return Err(OrderError::ExpirationTooSoon {
            expiration,
            ahead,
            earliest,
        });
    }
    Ok((ahead < COMFORT_S).then(|| {
        let rests = ahead - LEAD_S;
        format!(
            "expiration is {ahead} s ahead, so the order ends in {rests} s: the CLOB ends it a minute before, and its SDKs want {COMFORT_S} s"
        )
    }))
}

/// In which unit an expiration seems to be that is not in seconds, and what it is in seconds.
pub(super) fn unit_of(expiration: u64) -> Option<String> {
    if expiration < NEXT_CENTURY {
        return None;
    }
    let mut units = UNITS
        .iter()
        .map(|(unit, per_second)| (unit, expiration / per_second));
    let found = units.find(|(_, seconds)| *seconds < NEXT_CENTURY);
    Some(match found {
        Some((unit, seconds)) => format!("in {unit}: write {seconds}, in unix seconds"),
        None => "in no unit of time: write unix seconds".to_owned(),
    })
}

#[cfg(test)]
mod tests;
