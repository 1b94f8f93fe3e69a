//! Where a rotation stands, for people: what is done, what is next, who waits for whom.

mod deadlines;
mod next;
mod parts;

use time::OffsetDateTime;

use super::probe::{Probe, Role};
use super::{Kind, Rotation, Settings, State, Step, Taken};

/// Who has to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WaitsFor {
    /// The service's operators.
    Operator,
    /// The counterparty.
    Counterparty,
    /// It is over.
    Nobody,
}

/// What can be done next.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = NextStep)]
pub struct Next {
    /// The step, or a probe.
    pub step: Step,
    /// For a probe: of which key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Role>,
    /// What it does, in a few words.
    pub what: &'static str,
    /// What to type.
    pub command: String,
}

/// How far one of the procedure's parts is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = PartProgress)]
pub enum Progress {
    /// Done.
    Done,
    /// Its turn.
    Now,
    /// Later.
    ToDo,
    /// Not any more.
    GivenUp,
}

/// One part of the procedure.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = ProcedurePart)]
pub struct Part {
    /// What.
    pub title: &'static str,
    /// How far.
    pub progress: Progress,
    /// The steps that belong to it, by their number.
    pub steps: Vec<i32>,
}

/// When something is to be done.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = RotationDeadline)]
pub struct Deadline {
    /// Which: `target`, `registration-3d`, `removal-7d`, `expiry-30d`, ….
    pub alarm: String,
    /// When an alarm is raised.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Whether that is past.
    pub overdue: bool,
    /// The step since which the time runs.
    #[serde(skip)]
    pub(super) seq: i32,
}

/// Where a rotation stands.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = RotationStatus)]
pub struct Status {
    /// Who has to move.
    pub waits_for: WaitsFor,
    /// What can be done next, the way on first.
    pub next: Vec<Next>,
    /// What is missing before the way on is open.
    pub missing: Vec<String>,
    /// How to go back, or why that is impossible.
    pub way_back: String,
    /// When alarms are raised.
    pub deadlines: Vec<Deadline>,
    /// Whether something is late.
    pub overdue: bool,
    /// The parts of the procedure.
    pub parts: Vec<Part>,
}

/// What there is to know about a rotation.
pub struct Known<'a> {
    /// The rotation.
    pub rotation: &'a Rotation,
    /// Its steps, in their order.
    pub steps: &'a [Taken],
    /// Its probes, oldest first.
    pub probes: &'a [Probe],
}

impl Known<'_> {
    /// Where it stands.
    pub fn status(&self, settings: &Settings, now: OffsetDateTime) -> Status {
        let deadlines = self.deadlines(settings, now);
        let (waits_for, next, missing) = self.ahead(now);
        Status {
            waits_for,
            next,
            missing,
            way_back: self.way_back().to_owned(),
            overdue: deadlines.iter().any(|it| it.overdue),
            deadlines,
            parts: self.parts(),
        }
    }

    fn took(&self, step: Step) -> bool {
        self.steps.iter().any(|it| it.step == step)
    }

    fn way_back(&self) -> &'static str {
        match (self.rotation.kind, self.rotation.state) {
            (_, State::Closed) => "none: the rotation is closed",
            (_, State::Abandoned | State::RolledBack) => {
                "none is needed: the old key stayed, or is back"
            }
            (Kind::Client, State::Switched | State::RemovalAsked) => {
                "roll-back, while a probe shows that the counterparty still takes the old key"
            }
            (Kind::Client, State::RemovalProved) => {
                "none: the counterparty does not take the old key any more"
            }
            (Kind::Wallet, State::CutOver) => "roll-back, until the old wallet is drained",
            (Kind::Wallet, State::Drained | State::CredentialDeleted) => {
                "none: the old wallet is drained"
            }
            _ => "abandon: nothing has changed for callers yet",
        }
    }
}
