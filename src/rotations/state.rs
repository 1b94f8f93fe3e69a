//! The states of a rotation and the steps between them. `rotation_edges` has the same list.

words! {
    /// What is rotated.
    #[derive(utoipa::ToSchema)]
    #[schema(as = RotationKind)]
    pub enum Kind {
        /// The key of an OAuth client.
        Client = "client",
        /// A wallet, which is its key: a new one takes its place.
        Wallet = "wallet",
    }
}

words! {
    /// Where a rotation stands.
    #[derive(utoipa::ToSchema)]
    #[schema(as = RotationState)]
    pub enum State {
        /// Opened; there is no new key yet.
        Requested = "requested",
        /// The device has made the new key.
        Generated = "generated",
        /// Client: the public half went to the counterparty.
        Submitted = "submitted",
        /// Client: the counterparty takes the new key, which a probe has shown.
        Registered = "registered",
        /// Client: the new key signs.
        Switched = "switched",
        /// Client: the counterparty was asked to remove the old key.
        RemovalAsked = "removal-asked",
        /// Client: the counterparty refuses the old key and takes the new one, which probes have shown.
        RemovalProved = "removal-proved",
        /// Wallet: the new wallet is on record.
        Profiled = "profiled",
        /// Wallet: the new wallet has an API key.
        Credentialed = "credentialed",
        /// Wallet: the old one takes no new orders.
        CutOver = "cut-over",
        /// Wallet: the old one has no open orders.
        Drained = "drained",
        /// Wallet: the old one's API key is deleted.
        CredentialDeleted = "credential-deleted",
        /// Done.
        Closed = "closed",
        /// Given up before the new key was used.
        Abandoned = "abandoned",
        /// Given up after that: the old key signs again.
        RolledBack = "rolled-back",
    }
}

words! {
    /// What takes a rotation from one state to another, or adds to what is known in it.
    #[derive(utoipa::ToSchema)]
    #[schema(as = RotationStep)]
    pub enum Step {
        /// Ask for a new key.
        Open = "open",
        /// Have the device make it.
        Generate = "generate",
        /// Record that its public half went to the counterparty.
        Submit = "submit",
        /// Record what the counterparty confirmed.
        Confirm = "confirm",
        /// Have a token issued with a key.
        Probe = "probe",
        /// Let the new key sign.
        Switch = "switch",
        /// Record that the counterparty was asked to remove the key that goes.
        AskRemoval = "ask-removal",
        /// Record that it has been removed.
        ProveRemoval = "prove-removal",
        /// Put the new wallet on record.
        Profile = "profile",
        /// Make its API key.
        Credential = "credential",
        /// Take new orders with the new wallet only.
        CutOver = "cut-over",
        /// Show that the old wallet has no open orders.
        Drain = "drain",
        /// Delete the old wallet's API key.
        DeleteCredential = "delete-credential",
        /// Finish.
        Close = "close",
        /// Give up before the new key is used.
        Abandon = "abandon",
        /// Go back to the old key.
        RollBack = "roll-back",
    }
}

/// An edge: what, by which step, from where (`None`: before it was opened), to where.
pub type Edge = (Kind, Step, Option<State>, State);

/// All edges, in the order of the migration.
pub const EDGES: [Edge; 40] = {
    use Kind::{Client, Wallet};
    use State as At;
    use Step::{
        Abandon, AskRemoval, Close, Confirm, Credential, CutOver, DeleteCredential, Drain,
        Generate, Open, Probe, Profile, ProveRemoval, RollBack, Submit, Switch,
    };
    [
        (Client, Open, None, At::Requested),
        (Client, Generate, Some(At::Requested), At::Generated),
        (Client, Submit, Some(At::Generated), At::Submitted),
        (Client, Submit, Some(At::Submitted), At::Submitted),
        (Client, Confirm, Some(At::Submitted), At::Submitted),
        (Client, Confirm, Some(At::Submitted), At::Registered),
        (Client, Probe, Some(At::Submitted), At::Registered),
        (Client, Switch, Some(At::Registered), At::Switched),
        // Where the removal was asked for already.
        (Client, Switch, Some(At::Registered), At::RemovalAsked),
        // Early, where the old key is out of service and must go first.
        (Client, AskRemoval, Some(At::Requested), At::Requested),
        (Client, AskRemoval, Some(At::Generated), At::Generated),
        (Client, AskRemoval, Some(At::Submitted), At::Submitted),
        (Client, AskRemoval, Some(At::Registered), At::Registered),
        (Client, AskRemoval, Some(At::Switched), At::RemovalAsked),
        (Client, AskRemoval, Some(At::RemovalAsked), At::RemovalAsked),
        // Of the new key, where it may have been registered before it was given up.
        (Client, AskRemoval, Some(At::Abandoned), At::Abandoned),
        (Client, AskRemoval, Some(At::RolledBack), At::RolledBack),
        (
            Client,
            ProveRemoval,
            Some(At::RemovalAsked),
            At::RemovalProved,
        ),
        (Client, ProveRemoval, Some(At::Abandoned), At::Abandoned),
        (Client, ProveRemoval, Some(At::RolledBack), At::RolledBack),
        (Client, Close, Some(At::RemovalProved), At::Closed),
        (Client, Abandon, Some(At::Requested), At::Abandoned),
        (Client, Abandon, Some(At::Generated), At::Abandoned),
        (Client, Abandon, Some(At::Submitted), At::Abandoned),
        (Client, Abandon, Some(At::Registered), At::Abandoned),
        (Client, RollBack, Some(At::Switched), At::RolledBack),
        (Client, RollBack, Some(At::RemovalAsked), At::RolledBack),
        (Wallet, Open, None, At::Requested),
        (Wallet, Generate, Some(At::Requested), At::Generated),
        (Wallet, Profile, Some(At::Generated), At::Profiled),
        (Wallet, Credential, Some(At::Profiled), At::Credentialed),
        (Wallet, CutOver, Some(At::Credentialed), At::CutOver),
        (Wallet, Drain, Some(At::CutOver), At::Drained),
        (
            Wallet,
            DeleteCredential,
            Some(At::Drained),
            At::CredentialDeleted,
        ),
        (Wallet, Close, Some(At::CredentialDeleted), At::Closed),
        (Wallet, Abandon, Some(At::Requested), At::Abandoned),
        (Wallet, Abandon, Some(At::Generated), At::Abandoned),
        (Wallet, Abandon, Some(At::Profiled), At::Abandoned),
        (Wallet, Abandon, Some(At::Credentialed), At::Abandoned),
        (Wallet, RollBack, Some(At::CutOver), At::RolledBack),
    ]
};

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
    /// Whether another rotation of the same thing has to wait for this one.
    pub fn is_open(self) -> bool {
        !matches!(self, Self::Closed | Self::Abandoned | Self::RolledBack)
    }

    /// Whether a rotation of this kind that is here takes this step, and where it may lead.
    pub fn takes(
        self,
        kind: Kind,
        step: Step,
    ) -> Result<impl Iterator<Item = Self> + Clone, NoSuchStep> {
        let targets = EDGES.iter().filter_map(move |(of, by, from, to)| {
            (*of == kind && *by == step && *from == Some(self)).then_some(*to)
        });
        if targets.clone().next().is_some() {
            Ok(targets)
        } else {
            Err(NoSuchStep { step, from: self })
        }
    }
}

impl Step {
    /// Whether it takes a second person (P6): it makes a key or a wallet, lets a key sign, or records
    /// that nothing is open.
    pub fn loosens(self) -> bool {
        matches!(
            self,
            Self::Generate
                | Self::Switch
                | Self::RollBack
                | Self::Profile
                | Self::Credential
                | Self::CutOver
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for state in State::ALL {
            assert_eq!(State::from_name(state.name()), Some(state));
            let json = serde_json::to_value(state).unwrap();
            assert_eq!(json, state.name());
        }
        for step in Step::ALL {
            assert_eq!(Step::from_name(step.name()), Some(step));
            assert_eq!(serde_json::to_value(step).unwrap(), step.name());
        }
    }

    #[test]
    fn nothing_leads_out_of_an_end() {
        for (_, step, from, to) in EDGES {
            if let Some(from) = from
                && !from.is_open()
            {
                assert_eq!(from, to, "{step}");
            }
        }
    }

    #[test]
    fn every_open_state_has_a_way_out() {
        for kind in Kind::ALL {
            let of_kind = EDGES.iter().filter(|(of, ..)| *of == kind);
            for (.., to) in of_kind.clone().filter(|(.., to)| to.is_open()) {
                let on = of_kind
                    .clone()
                    .any(|(_, _, from, next)| *from == Some(*to) && next != to);
                assert!(on, "{kind:?} is stuck at {to}");
            }
        }
    }
}
