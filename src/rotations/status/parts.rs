//! How far the parts of the procedure are.

use super::{Known, Part, Progress};
use crate::rotations::{State, rule};

impl Known<'_> {
    pub(super) fn parts(&self) -> Vec<Part> {
        let parts = rule::parts(self.rotation.kind);
        let furthest = self.furthest();
        let reached = parts.iter().position(|it| it.holds(furthest));
        let reached = reached.unwrap_or(parts.len());
        let given_up = matches!(self.rotation.state, State::Abandoned | State::RolledBack);
        let part = |(number, part): (usize, &rule::Part)| Part {
            title: part.title,
            progress: match number.cmp(&reached) {
                std::cmp::Ordering::Less => Progress::Done,
                _ if given_up => Progress::GivenUp,
                std::cmp::Ordering::Equal => Progress::Now,
                std::cmp::Ordering::Greater => Progress::ToDo,
            },
            steps: self
                .steps
                .iter()
                .filter(|it| part.has(it.step))
                .map(|it| it.seq)
                .collect(),
        };
        parts.iter().enumerate().map(part).collect()
    }

    /// The furthest state, whatever came after.
    fn furthest(&self) -> State {
        let open = self.steps.iter().rfind(|it| it.to.is_open());
        match (self.rotation.state, open) {
            (State::Closed, _) => State::Closed,
            (_, Some(step)) => step.to,
            (state, None) => state,
        }
    }
}
