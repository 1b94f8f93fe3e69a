//! The states of a rotation and the steps between them. `rotation_edges` has the same list.

use std::fmt;

/// What is rotated.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The key of an OAuth client.
    Client,
    /// A wallet, which is its key: a new one takes its place.
    Wallet,
}

/// Where a rotation stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Opened; there is no new key yet.
    Requested,
    /// The device has made the new key.
    Generated,
    /// Client: the public half went to the counterparty.
    Submitted,
    /// Client: the counterparty takes the new key, which a probe has shown.
    Registered,
    /// Client: the new key signs.
    Switched,
    /// Client: the counterparty was asked to remove the old key.
    RemovalAsked,
    /// Client: the counterparty refuses the old key and takes the new one, which probes have shown.
    RemovalProved,
    /// Wallet: the new wallet is on record.
    Profiled,
    /// Wallet: the new wallet has an API key.
    Credentialed,
    /// Wallet: the old one takes no new orders.
    CutOver,
    /// Wallet: the old one has no open orders.
    Drained,
    /// Wallet: the old one's API key is deleted.
    CredentialDeleted,
    /// Done.
    Closed,
    /// Given up before the new key was used.
    Abandoned,
    /// Given up after that: the old key signs again.
    RolledBack,
}

/// What takes a rotation from one state to another, or adds to what is known in it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Ask for a new key.
    Open,
    /// Have the device make it.
    Generate,
    /// Record that its public half went to the counterparty.
    Submit,
    /// Record what the counterparty confirmed.
    Confirm,
    /// Have a token issued with a key.
    Probe,
    /// Let the new key sign.
    Switch,
    /// Record that the counterparty was asked to remove the key that goes.
    AskRemoval,
    /// Record that it has been removed.
    ProveRemoval,
    /// Put the new wallet on record.
    Profile,
    /// Make its API key.
    Credential,
    /// Take new orders with the new wallet only.
    CutOver,
    /// Show that the old wallet has no open orders.
    Drain,
    /// Delete the old wallet's API key.
    DeleteCredential,
    /// Finish.
    Close,
    /// Give up before the new key is used.
    Abandon,
    /// Go back to the old key.
    RollBack,
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

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Client, Self::Wallet];

    /// The word that the ledger uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Wallet => "wallet",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl State {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Requested,
        Self::Generated,
        Self::Submitted,
        Self::Registered,
        Self::Switched,
        Self::RemovalAsked,
        Self::RemovalProved,
        Self::Profiled,
        Self::Credentialed,
        Self::CutOver,
        Self::Drained,
        Self::CredentialDeleted,
        Self::Closed,
        Self::Abandoned,
        Self::RolledBack,
    ];

    /// The word that the ledger, the API and the command line use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Generated => "generated",
            Self::Submitted => "submitted",
            Self::Registered => "registered",
            Self::Switched => "switched",
            Self::RemovalAsked => "removal-asked",
            Self::RemovalProved => "removal-proved",
            Self::Profiled => "profiled",
            Self::Credentialed => "credentialed",
            Self::CutOver => "cut-over",
            Self::Drained => "drained",
            Self::CredentialDeleted => "credential-deleted",
            Self::Closed => "closed",
            Self::Abandoned => "abandoned",
            Self::RolledBack => "rolled-back",
        }
    }

    /// The state with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

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

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Open,
        Self::Generate,
        Self::Submit,
        Self::Confirm,
        Self::Probe,
        Self::Switch,
        Self::AskRemoval,
        Self::ProveRemoval,
        Self::Profile,
        Self::Credential,
        Self::CutOver,
        Self::Drain,
        Self::DeleteCredential,
        Self::Close,
        Self::Abandon,
        Self::RollBack,
    ];

    /// The word that the ledger, the API and the command line use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Generate => "generate",
            Self::Submit => "submit",
            Self::Confirm => "confirm",
            Self::Probe => "probe",
            Self::Switch => "switch",
            Self::AskRemoval => "ask-removal",
            Self::ProveRemoval => "prove-removal",
            Self::Profile => "profile",
            Self::Credential => "credential",
            Self::CutOver => "cut-over",
            Self::Drain => "drain",
            Self::DeleteCredential => "delete-credential",
            Self::Close => "close",
            Self::Abandon => "abandon",
            Self::RollBack => "roll-back",
        }
    }

    /// The step with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.name() == name)
    }

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

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
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
