//! `[signing]`

use crate::within::Within;

/// A time that somebody waits, in milliseconds.
pub(super) type WaitMs = Within<100, 600_000>;

/// `[signing]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(try_from = "Written")]
pub struct Settings {
    /// How many intents and releases may wait for a group before callers are told to come back.
    pub queue: Within<1, 1_000_000>,
    /// How long a caller waits for an answer unless it says otherwise.
    pub deadline_ms: WaitMs,
    /// How long this replica may work on an intent before any replica ends it. Longer than any caller
    /// waits: what is ended under way is signed for nothing.
    pub lease_ms: WaitMs,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    queue: Within<1, 1_000_000>,
    deadline_ms: WaitMs,
    lease_ms: WaitMs,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            queue: Within::of(4_096),
            deadline_ms: Within::of(8_000),
            lease_ms: Within::of(12_000),
        }
    }
}

impl TryFrom<Written> for Settings {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written {
            queue,
            deadline_ms,
            lease_ms,
        } = written;
        if lease_ms.get() <= deadline_ms.get() {
            let (lease, deadline) = (lease_ms.get(), deadline_ms.get());
            return Err(format!(
                "lease_ms = {lease} is not longer than deadline_ms = {deadline}: what is under way would be ended before its caller has it"
            ));
        }
        Ok(Self {
            queue,
            deadline_ms,
            lease_ms,
        })
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::try_from(Written::default()).expect("the defaults fit each other")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_not_ended_while_its_caller_waits() {
        let read = toml::from_str::<Settings>;
        assert!(read("").is_ok());
        assert!(read("lease_ms = 500\ndeadline_ms = 450").is_ok());
        for (wrong, why) in [
            ("lease_ms = 1", "1 is not within 100 and 600000"),
            (
                "lease_ms = 8000",
                "lease_ms = 8000 is not longer than deadline_ms = 8000",
            ),
            ("deadline_ms = 12000", "is not longer"),
            ("deadline_ms = 0", "0 is not within 100"),
            ("queue = 0", "0 is not within 1"),
            ("quue = 1", "unknown field"),
        ] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }
}
