//! The steps of rotations, with what each takes (the body of a request, and the arguments of a command), at which
//! gate it stands, and whether it takes a second person.

use clap::Subcommand as _;

use super::Kind;
use super::particulars::{Confirmation, NewProfile, RemovalRequest, Submission};
use super::probe::Role;
use crate::credentials::CredentialNonce;
use crate::keys::{Justification, Reason};
use crate::ledger::Gate;
use crate::name::Name;

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

/// A step of the rotation of a client's key.
#[derive(
    Clone, Debug, clap::Subcommand, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(tag = "step", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ClientStep {
    /// Have the device make the new key; goes on where it was cut off
    Generate {},
    /// Record that the new key's public half was sent
    Submit(Submission),
    /// Record that the counterparty confirmed; the fingerprint that they quote is compared
    Confirm(Confirmation),
    /// See whether the counterparty takes a key: once in ten seconds
    Probe {
        /// Which of the two.
        #[arg(index = 2)] // after the rotation
        key: Role,
    },
    /// Let the new key sign, on every replica, from the answer on
    Switch(Justification),
    /// Record that the counterparty was asked to remove the key that goes
    AskRemoval(RemovalRequest),
    /// Record that probes have shown the removal
    ProveRemoval {},
    /// Finish: the old key is deactivated
    Close(Justification),
    /// Give up before the switch
    Abandon(Justification),
    /// Let the old key sign again, while the counterparty takes it
    RollBack(Justification),
}

/// A step of a wallet's rotation.
#[derive(
    Clone, Debug, clap::Subcommand, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(tag = "step", rename_all = "kebab-case", deny_unknown_fields)]
pub enum WalletStep {
    /// Have the device make the new key; goes on where it was cut off
    Generate {},
    /// Put the new wallet on record, and activate its key
    Profile {
        /// The new wallet.
        #[command(flatten)]
        wallet: NewProfile,
        /// Why the key may be activated: 1 to 500 characters.
        #[arg(long)]
        #[schema(value_type = String)]
        reason: Reason,
    },
    /// Make the new wallet's API key
    Credential {
        /// The nonce, 0 unless it is said.
        #[arg(long)]
        #[serde(default)]
        #[schema(value_type = Option<String>)]
        nonce: Option<CredentialNonce>,
        /// Do without, for this reason.
        #[arg(long, value_name = "REASON")]
        #[serde(default)]
        #[schema(value_type = Option<String>)]
        without: Option<Reason>,
    },
    /// Take new orders with the new wallet only
    CutOver {
        /// Another wallet of the old key, which takes no orders for it either.
        #[arg(long, value_name = "WALLET")]
        #[serde(default)]
        #[schema(value_type = Vec<String>)]
        stops: Vec<Name>,
        /// Why now: 1 to 500 characters.
        #[arg(long)]
        #[schema(value_type = String)]
        reason: Reason,
    },
    /// Cancel what is open at the CLOB, and see that nothing is left
    Drain {
        /// Instead: why no order is open. It takes a second person.
        #[arg(long, value_name = "REASON")]
        #[serde(default)]
        #[schema(value_type = Option<String>)]
        said: Option<Reason>,
    },
    /// Delete the old wallet's API key, once nothing is open still
    DeleteCredential {},
    /// Finish: the old key is deactivated, the old wallet closed; say who saw that nothing is left
    Close(Justification),
    /// Give up before the cut-over
    Abandon(Justification),
    /// Go back to the old wallet, before it is drained
    RollBack(Justification),
}

/// A step of either kind of rotation.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[schema(as = NewRotationStep)]
pub enum NewStep {
    /// Of a client's key.
    Client(ClientStep),
    /// Of a wallet.
    Wallet(WalletStep),
}

impl ClientStep {
    /// What is recorded of it.
    pub fn step(&self) -> Step {
        match self {
            Self::Generate {} => Step::Generate,
            Self::Submit(_) => Step::Submit,
            Self::Confirm(_) => Step::Confirm,
            Self::Probe { .. } => Step::Probe,
            Self::Switch(_) => Step::Switch,
            Self::AskRemoval(_) => Step::AskRemoval,
            Self::ProveRemoval {} => Step::ProveRemoval,
            Self::Close(_) => Step::Close,
            Self::Abandon(_) => Step::Abandon,
            Self::RollBack(_) => Step::RollBack,
        }
    }

    /// Where it stands: what takes a key from the client, or gives it back, stops releases meanwhile.
    pub fn gate(&self) -> Gate {
        match self {
            Self::Switch(_) | Self::ProveRemoval {} | Self::Close(_) | Self::RollBack(_) => {
                Gate::Exclusive
            }
            _ => Gate::Shared,
        }
    }
}

impl WalletStep {
    /// What is recorded of it.
    pub fn step(&self) -> Step {
        match self {
            Self::Generate {} => Step::Generate,
            Self::Profile { .. } => Step::Profile,
            Self::Credential { .. } => Step::Credential,
            Self::CutOver { .. } => Step::CutOver,
            Self::Drain { .. } => Step::Drain,
            Self::DeleteCredential {} => Step::DeleteCredential,
            Self::Close(_) => Step::Close,
            Self::Abandon(_) => Step::Abandon,
            Self::RollBack(_) => Step::RollBack,
        }
    }

    /// Where it stands: the API keys' own work stops no release, all else does.
    pub fn gate(&self) -> Gate {
        match self {
            Self::Generate {} | Self::Credential { .. } | Self::DeleteCredential {} => Gate::Shared,
            _ => Gate::Exclusive,
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

    /// What the command line cannot do without for it: ` --channel … --reference …`.
    pub(super) fn arguments(self, kind: Kind) -> String {
        let command = clap::Command::new("steps");
        let command = match kind {
            Kind::Client => ClientStep::augment_subcommands(command),
            Kind::Wallet => WalletStep::augment_subcommands(command),
        };
        let step = command.find_subcommand(self.name());
        let all = step.into_iter().flat_map(clap::Command::get_arguments);
        let named = all
            .filter(|it| it.is_required_set())
            .filter_map(clap::Arg::get_long);
        let named = named.map(|name| format!(" --{name} …"));
        named.collect::<Vec<_>>().concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for step in Step::ALL {
            assert_eq!(Step::from_name(step.name()), Some(step));
            assert_eq!(serde_json::to_value(step).unwrap(), step.name());
        }
    }

    #[test]
    fn people_are_told_what_a_step_takes() {
        let said = |kind, step: Step| step.arguments(kind);
        assert_eq!(said(Kind::Client, Step::Generate), "");
        let confirm = said(Kind::Client, Step::Confirm);
        assert_eq!(confirm, " --fingerprint … --reference …");
        assert_eq!(said(Kind::Wallet, Step::Profile), " --name … --reason …");
        assert_eq!(said(Kind::Wallet, Step::Credential), "");
    }
}
