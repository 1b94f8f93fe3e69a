//! The parts of the procedures, as their documentation counts them.

use super::{Known, Part, Progress};
use crate::rotations::{Kind, State, Step, Taken};

impl Known<'_> {
    pub(super) fn parts(&self) -> Vec<Part> {
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
