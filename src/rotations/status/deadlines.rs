//! When alarms are due.

use time::{Duration, OffsetDateTime};

use super::{Deadline, Known};
use crate::rotations::client::{asked_at, left_behind};
use crate::rotations::{Settings, State, Step};

impl Known<'_> {
    /// When alarms are due, earliest first.
    pub(in crate::rotations) fn deadlines(
        &self,
        settings: &Settings,
        now: OffsetDateTime,
    ) -> Vec<Deadline> {
        let mut due = Vec::new();
        let mut add = |alarm: String, at: OffsetDateTime, seq: i32| {
            let overdue = at <= now;
            due.push(Deadline {
                alarm,
                at,
                overdue,
                seq,
            });
        };
        let rotation = self.rotation;
        let since = |step: Step| self.steps.iter().find(|it| it.step == step);
        if rotation.state.is_open() {
            add("target".into(), rotation.target_at, 1);
        }
        if rotation.state == State::Submitted
            && let Some(submitted) = since(Step::Submit)
        {
            for days in &settings.submitted_alarm_days {
                let at = submitted.at + Duration::days(i64::from(*days));
                add(format!("registration-{days}d"), at, submitted.seq);
            }
        }
        let left = left_behind(rotation, self.steps);
        let removed = self.took(Step::ProveRemoval);
        let asked = asked_at(rotation, self.steps);
        let given_up = self
            .steps
            .iter()
            .find(|it| !it.to.is_open())
            .map(|it| it.at);
        let runs_from = asked.or(given_up.filter(|_| left));
        if (rotation.state.is_open() || left)
            && !removed
            && let Some(from) = runs_from
        {
            let seq = self.steps.iter().find(|it| it.at == from);
            for days in &settings.removal_alarm_days {
                let at = from + Duration::days(i64::from(*days));
                add(format!("removal-{days}d"), at, seq.map_or(1, |it| it.seq));
            }
        }
        due.sort_by_key(|it| it.at);
        due
    }

    /// When alarms are due for the date after which the counterparty does not take the new key.
    pub(in crate::rotations) fn expiry(&self, now: OffsetDateTime) -> Vec<Deadline> {
        let confirmed = self.steps.iter().rfind(|it| it.step == Step::Confirm);
        let date = confirmed.and_then(|it| {
            let text = it.evidence.get("expires_at")?.as_str()?;
            let format = &time::format_description::well_known::Rfc3339;
            OffsetDateTime::parse(text, format).ok()
        });
        let (Some(confirmed), Some(date)) = (confirmed, date) else {
            return Vec::new();
        };
        let due = [30, 14, 7].map(|days| {
            let at = date - Duration::days(days);
            Deadline {
                alarm: format!("expiry-{days}d"),
                at,
                overdue: at <= now,
                seq: confirmed.seq,
            }
        });
        due.into()
    }
}
