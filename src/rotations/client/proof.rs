//! What shows that a key works, or was removed.
//!
//! # Why a removal needs two probes
//! That the old key is refused may also mean that the server refuses everything, or that the wrong key
//! was removed. Only a new key that works, seen after the refusal, tells these apart.

use time::{Duration, OffsetDateTime};

use crate::rotations::probe::{Outcome, Probe, Role, latest};
use crate::rotations::{Kind, Rotation, RotationError, State, Step, Taken};

/// How old a probe may be on which the new key begins to sign, or a removal counts as proved.
pub(super) const PROOF_LASTS: Duration = Duration::hours(24);

impl Rotation {
    /// Which of the two keys is to leave the counterparty: the old one, or the new one where the
    /// rotation was given up.
    pub fn goes(&self) -> Role {
        match self.state {
            State::Abandoned | State::RolledBack => Role::New,
            _ => Role::Old,
        }
    }
}

/// Whether a rotation that was given up may have left its new key at the counterparty.
pub(in crate::rotations) fn left_behind(rotation: &Rotation, steps: &[Taken]) -> bool {
    let given_up = matches!(rotation.state, State::Abandoned | State::RolledBack);
    let took = |step| steps.iter().any(|it| it.step == step);
    rotation.kind == Kind::Client && given_up && took(Step::Submit) && !took(Step::ProveRemoval)
}

/// When the removal was asked for of the key that is to go now.
pub(in crate::rotations) fn asked_at(
    rotation: &Rotation,
    steps: &[Taken],
) -> Option<OffsetDateTime> {
    let of_this_key = |it: &&Taken| {
        let given_up = matches!(it.to, State::Abandoned | State::RolledBack);
        it.step == Step::AskRemoval && given_up == (rotation.goes() == Role::New)
    };
    let asked = steps.iter().find(of_this_key);
    asked.map(|it| it.at)
}

pub(super) fn not_ready(why: impl Into<String>) -> RotationError {
    RotationError::NotReady(why.into())
}

/// The probe of a role that shows that its key works: its latest word, and no older than this.
pub(super) fn works(
    probes: &[Probe],
    role: Role,
    lasts: Duration,
    now: OffsetDateTime,
) -> Result<&Probe, RotationError> {
    let name = role.name();
    let probe = latest(probes, role).ok_or_else(|| {
        not_ready(format!(
            "no probe of the {name} key has said anything yet: probe it"
        ))
    })?;
    if probe.outcome != Some(Outcome::Succeeded) {
        let why = format!(
            "the counterparty refused the {name} key at {}",
            probe.begun_at
        );
        return Err(not_ready(why));
    }
    if probe.begun_at < now - lasts {
        let why =
            format!("the last probe of the {name} key that worked is too old: probe it again");
        return Err(not_ready(why));
    }
    Ok(probe)
}

/// The probes that show that a key was removed: a refusal after the removal was asked for, and after
/// that the other key at work.
pub(in crate::rotations) fn removal<'a>(
    rotation: &Rotation,
    steps: &[Taken],
    probes: &'a [Probe],
    now: OffsetDateTime,
) -> Result<(&'a Probe, &'a Probe), RotationError> {
    let (goes, stays) = match rotation.goes() {
        Role::Old => (Role::Old, Role::New),
        Role::New => (Role::New, Role::Old),
    };
    let asked = asked_at(rotation, steps)
        .ok_or_else(|| not_ready("the removal has not been asked for (ask-removal)"))?;
    let refused = latest(probes, goes).filter(|it| it.begun_at > asked);
    let name = goes.name();
    let refused = refused
        .ok_or_else(|| not_ready(format!("probe the {name} key: it has to be refused now")))?;
    if refused.outcome != Some(Outcome::Refused) {
        let why = format!(
            "the counterparty still took the {name} key at {}: it has not been removed",
            refused.begun_at
        );
        return Err(not_ready(why));
    }
    let name = stays.name();
    let works = works(probes, stays, PROOF_LASTS, now)?;
    if works.begun_at < refused.begun_at {
        let why = format!(
            "probe the {name} key once more: that it works has to be seen after the other was refused, or they may have removed the wrong one"
        );
        return Err(not_ready(why));
    }
    Ok((refused, works))
}
