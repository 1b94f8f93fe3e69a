//! What a venue is asked for one order, and what the trader should know of the answers.

use std::fmt;
use std::time::Duration;

use super::MarketError;
use super::lookup::Seen;
use crate::clob::contracts::{Layout, Version};
use crate::clob::terms::GivenTerms;
use crate::clob::venue::VenueError;
use crate::clob::warning::Warning;

/// How long an answer counts as today's.
const NEW: Duration = Duration::from_secs(1);

/// What the trader should know of what was heard.
#[derive(Default)]
pub(super) struct Heard {
    /// What the request says and the venue did not confirm, and why not.
    not_verified: Vec<(&'static str, VenueError)>,
    /// The version that it took last, and why there is no newer word.
    pub(super) version_not_verified: Option<(Version, VenueError)>,
    /// What was said more than a moment ago and may have changed since, with its age.
    remembered: Vec<String>,
}

impl Heard {
    /// An answer, none where none was asked for, or none that was only to be verified: an error where it was
    /// needed.
    pub(super) fn answer<T>(
        &mut self,
        field: &'static str,
        need: Need,
        answer: Result<Option<T>, VenueError>,
    ) -> Result<Option<T>, MarketError> {
        match answer {
            Err(error) if need == Need::Answer => Err(MarketError::Venue { field, error }),
            Err(error) => {
                self.not_verified.push((field, error));
                Ok(None)
            }
            Ok(answer) => Ok(answer),
        }
    }

    pub(super) fn note_age<T: fmt::Display>(&mut self, field: &str, seen: &Seen<T>) {
        let age = seen.asked_at.elapsed();
        if age >= NEW {
            let (value, seconds) = (&seen.value, age.as_secs());
            self.remembered
                .push(format!("{field} {value} ({seconds} s ago)"));
        }
    }

    pub(super) fn warnings(self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if let Some((version, error)) = self.version_not_verified {
            warnings.push(Warning {
                code: "version-not-verified",
                text: format!("version {version} was used, which the CLOB took last: {error}"),
            });
        }
        for (field, error) in self.not_verified {
            warnings.push(Warning {
                code: "not-verified",
                text: format!("{field} was taken as the request gives it: {error}"),
            });
        }
        if !self.remembered.is_empty() {
            let remembered = self.remembered.join(", ");
            warnings.push(Warning {
                code: "remembered",
                text: format!(
                    "the CLOB said earlier, and was not asked again: {remembered}; with Cache-Control: no-cache it is"
                ),
            });
        }
        warnings
    }
}

/// What the venue is asked for, for one order.
#[derive(Clone, Copy)]
pub(super) struct Questions {
    pub(super) tick_size: Need,
    pub(super) neg_risk: Need,
    pub(super) fee_rate: Need,
}

/// Whether an answer is needed, and what for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    /// The caller said it too.
    Verification,
    /// Nobody else says it.
    Answer,
}

impl Questions {
    pub(super) fn of(asked: &GivenTerms, version: Version, verify: bool) -> Self {
        let need = |is_given| match (is_given, verify) {
            (false, _) => Need::Answer,
            (true, true) => Need::Verification,
            (true, false) => Need::Nothing,
        };
        let has_fee = version.format().layout == Layout::Expiring;
        Self {
            tick_size: need(asked.tick_size.is_some()),
            neg_risk: need(asked.neg_risk.is_some()),
            fee_rate: if has_fee {
                need(asked.fee_rate_bps.is_some())
            } else {
                Need::Nothing
            },
        }
    }
}
