//! The rule: which steps a rotation takes where, which way is on, and to which part of the documentation's procedure
//! it belongs. `rotation_edges` has the same edges. What is missing before a step stands in `status`.

mod client;
mod wallet;

use super::{Kind, State, Step};
use client::CLIENT;
use wallet::WALLET;

/// An edge: what, by which step, from where (`None`: before it was opened), to where.
pub type Edge = (Kind, Step, Option<State>, State);

/// A procedure: its parts in their order, and what is left to do after one that was given up.
struct Procedure {
    parts: &'static [Part],
    given_up: &'static [Place],
}

/// A part of a procedure, as its documentation counts them, with the states in which it is its turn.
pub(super) struct Part {
    pub(super) title: &'static str,
    places: &'static [Place],
}

/// A state, and the ways out of it.
struct Place {
    at: State,
    ways: &'static [Way],
}

/// A step that can be taken in a state.
pub(super) struct Way {
    pub(super) step: Step,
    to: State,
    /// What it does, for people to whom it is proposed.
    pub(super) what: Option<&'static str>,
}

const fn part(title: &'static str, places: &'static [Place]) -> Part {
    Part { title, places }
}

const fn at(at: State, ways: &'static [Way]) -> Place {
    Place { at, ways }
}

/// A way that is proposed.
const fn way(step: Step, to: State, what: &'static str) -> Way {
    let what = Some(what);
    Way { step, to, what }
}

/// A way that is open, and proposed to nobody, or only under conditions.
const fn aside(step: Step, to: State) -> Way {
    let what = None;
    Way { step, to, what }
}

const GIVE_UP: Way = way(
    Step::Abandon,
    State::Abandoned,
    "give up; the old key stays",
);

const fn go_back(what: &'static str) -> Way {
    way(Step::RollBack, State::RolledBack, what)
}

/// The removal is asked for early, where the old key is out of service and must go first.
const fn early(state: State) -> Way {
    aside(Step::AskRemoval, state)
}

const fn procedure(kind: Kind) -> &'static Procedure {
    match kind {
        Kind::Client => &CLIENT,
        Kind::Wallet => &WALLET,
    }
}

impl Procedure {
    fn places(&'static self) -> impl Iterator<Item = &'static Place> {
        let in_parts = self.parts.iter().flat_map(|it| it.places);
        in_parts.chain(self.given_up)
    }
}

impl Part {
    /// Whether it is its turn in this state.
    pub(super) fn holds(&self, state: State) -> bool {
        self.places.iter().any(|it| it.at == state)
    }

    /// Whether a step is one of those that lead on from here.
    pub(super) fn has(&self, step: Step) -> bool {
        let leads_on = |place: &Place, way: &Way| {
            way.step == step
                && way.to != place.at
                && !matches!(way.to, State::Abandoned | State::RolledBack)
        };
        let mut places = self.places.iter();
        (step == Step::Open && self.holds(State::Requested))
            || places.any(|place| place.ways.iter().any(|way| leads_on(place, way)))
    }
}

/// The parts of a procedure, in their order.
pub(super) fn parts(kind: Kind) -> &'static [Part] {
    procedure(kind).parts
}

/// The ways out of a state, the way on first.
pub(super) fn ways(kind: Kind, state: State) -> impl Iterator<Item = &'static Way> + Clone {
    let place = procedure(kind).places().find(|it| it.at == state);
    place.into_iter().flat_map(|it| it.ways)
}

/// All edges.
pub fn edges() -> impl Iterator<Item = Edge> {
    Kind::ALL.into_iter().flat_map(|kind| {
        let places = procedure(kind).places();
        let steps = places.flat_map(move |place| {
            let edge = move |way: &Way| (kind, way.step, Some(place.at), way.to);
            place.ways.iter().map(edge)
        });
        std::iter::once((kind, Step::Open, None, State::Requested)).chain(steps)
    })
}

/// The step is not one that the rotation can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a rotation that is {from} does not take the step {step}")]
pub struct NoSuchStep {
    /// Which step.
    pub step: Step,
    /// Where the rotation is.
    pub from: State,
}

impl State {
    /// Whether a rotation of this kind that is here takes this step, and where it may lead.
    pub fn takes(
        self,
        kind: Kind,
        step: Step,
    ) -> Result<impl Iterator<Item = Self> + Clone, NoSuchStep> {
        let by_step = ways(kind, self).filter(move |it| it.step == step);
        let targets = by_step.map(|it| it.to);
        if targets.clone().next().is_some() {
            Ok(targets)
        } else {
            Err(NoSuchStep { step, from: self })
        }
    }
}

#[cfg(test)]
mod tests;
