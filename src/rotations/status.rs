//! Where a rotation stands, for people: what is done, what is next, who waits for whom.

use time::{Duration, OffsetDateTime};

use super::probe::{Outcome, Probe, Role, latest};
use super::removal::{asked_at, left_behind, removal};
use super::{Kind, Rotation, Settings, State, Step, Taken};

/// Who has to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WaitsFor {
    /// Us.
    Operator,
    /// Them.
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

    fn next(&self, step: Step, what: &'static str) -> Next {
        let more = match step {
            Step::Confirm => " --fingerprint … --reference …",
            Step::Submit | Step::AskRemoval => " --channel … --reference …",
            Step::Switch | Step::CutOver | Step::Close | Step::Abandon | Step::RollBack => {
                " --reason …"
            }
            Step::Profile => " --name … --reason …",
            _ => "",
        };
        let command = match self.rotation.kind {
            Kind::Client => format!("chancery rotations {step} {}{more}", self.rotation.id),
            Kind::Wallet => format!("chancery wallets rotation {step} WALLET{more}"),
        };
        Next {
            step,
            key: None,
            what,
            command,
        }
    }

    fn probe(&self, role: Role, what: &'static str) -> Next {
        let id = self.rotation.id;
        Next {
            step: Step::Probe,
            key: Some(role),
            what,
            command: format!("chancery rotations probe {id} {}", role.name()),
        }
    }

    /// Who has to move, how, and what is missing.
    fn ahead(&self, now: OffsetDateTime) -> (WaitsFor, Vec<Next>, Vec<String>) {
        use WaitsFor::{Counterparty, Nobody, Operator};
        let give_up = || self.next(Step::Abandon, "give up; the old key stays");
        let go_back = || self.next(Step::RollBack, "let the old key sign again");
        if self.rotation.kind == Kind::Wallet {
            return self.ahead_with_wallet();
        }
        match self.rotation.state {
            State::Requested => (
                Operator,
                vec![
                    self.next(Step::Generate, "have the device make the new key"),
                    give_up(),
                ],
                vec![],
            ),
            State::Generated => (
                Operator,
                vec![
                    self.next(Step::Submit, "send the public half, and record that"),
                    give_up(),
                ],
                vec![],
            ),
            State::Submitted => {
                let mut missing = Vec::new();
                if !self.took(Step::Confirm) {
                    missing
                        .push("the counterparty's confirmation, with the fingerprint".to_owned());
                }
                let shown = latest(self.probes, Role::New);
                if shown.is_none_or(|it| it.outcome != Some(Outcome::Succeeded)) {
                    missing.push("a probe of the new key that succeeds".to_owned());
                }
                let next = vec![
                    self.next(Step::Confirm, "record what they confirm"),
                    self.probe(Role::New, "see whether they take the new key"),
                    give_up(),
                ];
                (Counterparty, next, missing)
            }
            State::Registered => (
                Operator,
                vec![
                    self.next(Step::Switch, "let the new key sign"),
                    self.probe(Role::New, "see once more whether they take it"),
                    give_up(),
                ],
                vec![],
            ),
            State::Switched => (
                Operator,
                vec![
                    self.next(
                        Step::AskRemoval,
                        "ask them to remove the old key, naming both",
                    ),
                    self.probe(Role::Old, "see whether there is a way back"),
                    go_back(),
                ],
                vec![],
            ),
            State::RemovalAsked => {
                let (waits, mut next, missing) = self.proof(now);
                next.push(go_back());
                (waits, next, missing)
            }
            State::RemovalProved => (
                Operator,
                vec![self.next(Step::Close, "deactivate the old key")],
                vec![],
            ),
            State::Abandoned | State::RolledBack if left_behind(self.rotation, self.steps) => {
                if asked_at(self.rotation, self.steps).is_some() {
                    self.proof(now)
                } else {
                    let what = "ask them to remove the new key, which may be registered";
                    let missing = vec!["the proof that the new key was removed".to_owned()];
                    (Operator, vec![self.next(Step::AskRemoval, what)], missing)
                }
            }
            _ => (Nobody, vec![], vec![]),
        }
    }

    /// What is missing before a removal is proved.
    fn proof(&self, now: OffsetDateTime) -> (WaitsFor, Vec<Next>, Vec<String>) {
        let prove = self.next(Step::ProveRemoval, "record that the key is removed");
        match removal(self.rotation, self.steps, self.probes, now) {
            Ok(_) => (WaitsFor::Operator, vec![prove], vec![]),
            Err(missing) => {
                let probes = [
                    self.probe(Role::Old, "see whether they take the old key"),
                    self.probe(Role::New, "see whether they take the new key"),
                ];
                let mut next = Vec::from(probes);
                if self.rotation.goes() == Role::New {
                    next.reverse();
                }
                next.push(prove);
                (WaitsFor::Counterparty, next, vec![missing.to_string()])
            }
        }
    }

    fn ahead_with_wallet(&self) -> (WaitsFor, Vec<Next>, Vec<String>) {
        let on = match self.rotation.state {
            State::Requested => (Step::Generate, "have the device make the new key"),
            State::Generated => (Step::Profile, "put the new wallet on record"),
            State::Profiled => (Step::Credential, "make its API key"),
            State::Credentialed => (Step::CutOver, "take new orders with the new wallet only"),
            State::CutOver => (Step::Drain, "show that the old wallet has no open orders"),
            State::Drained => (Step::DeleteCredential, "delete the old wallet's API key"),
            State::CredentialDeleted => (Step::Close, "deactivate the old key"),
            _ => return (WaitsFor::Nobody, vec![], vec![]),
        };
        (WaitsFor::Operator, vec![self.next(on.0, on.1)], vec![])
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

    /// When alarms are due, earliest first.
    pub(super) fn deadlines(&self, settings: &Settings, now: OffsetDateTime) -> Vec<Deadline> {
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
    pub(super) fn expiry(&self, now: OffsetDateTime) -> Vec<Deadline> {
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

    fn parts(&self) -> Vec<Part> {
        let client: &[(&'static str, &[Step])] = &[
            ("1 generate", &[Step::Open, Step::Generate]),
            ("2 submit", &[Step::Submit]),
            ("3 register", &[Step::Confirm, Step::Probe]),
            ("4 switch", &[Step::Switch]),
            (
                "5 remove",
                &[Step::AskRemoval, Step::ProveRemoval, Step::Close],
            ),
        ];
        let wallet: &[(&'static str, &[Step])] = &[
            ("1 generate", &[Step::Open, Step::Generate]),
            ("2 profile", &[Step::Profile]),
            ("3 credential", &[Step::Credential]),
            ("4 cut over", &[Step::CutOver]),
            ("5 drain", &[Step::Drain]),
            ("6 close", &[Step::DeleteCredential, Step::Close]),
        ];
        let (parts, reached) = match self.rotation.kind {
            Kind::Client => (client, self.reached_with_client()),
            Kind::Wallet => (wallet, self.reached_with_wallet()),
        };
        let given_up = matches!(self.rotation.state, State::Abandoned | State::RolledBack);
        let part = |(number, (title, of)): (usize, &(&'static str, &[Step]))| Part {
            title,
            progress: match number.cmp(&reached) {
                std::cmp::Ordering::Less => Progress::Done,
                _ if given_up => Progress::GivenUp,
                std::cmp::Ordering::Equal => Progress::Now,
                std::cmp::Ordering::Greater => Progress::ToDo,
            },
            steps: self
                .steps
                .iter()
                .filter(|it| of.contains(&it.step))
                .map(|it| it.seq)
                .collect(),
        };
        parts.iter().enumerate().map(part).collect()
    }

    /// The furthest state, whatever came after.
    fn furthest(&self) -> State {
        let was_open = |it: &&Taken| it.to.is_open();
        let last = self.steps.iter().rfind(was_open).map(|it| it.to);
        if self.rotation.state == State::Closed {
            State::Closed
        } else {
            last.unwrap_or(self.rotation.state)
        }
    }

    /// How many parts are done.
    fn reached_with_client(&self) -> usize {
        match self.furthest() {
            State::Requested => 0,
            State::Generated => 1,
            State::Submitted => 2,
            State::Registered => 3,
            State::Closed => 5,
            _ => 4,
        }
    }

    fn reached_with_wallet(&self) -> usize {
        match self.furthest() {
            State::Requested => 0,
            State::Generated => 1,
            State::Profiled => 2,
            State::Credentialed => 3,
            State::CutOver => 4,
            State::Drained | State::CredentialDeleted => 5,
            _ => 6,
        }
    }
}
