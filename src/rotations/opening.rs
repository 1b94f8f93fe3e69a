//! What it takes to open a rotation.

use time::OffsetDateTime;

use super::RotationError;
use crate::custody::Algorithm;
use crate::keys::{KeyState, Reason};
use crate::name::Name;

/// What it takes to open the rotation of a client's key, or of a wallet.
#[derive(Clone, Debug, clap::Args, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRotation {
    /// The client whose key is to be replaced.
    #[arg(long, conflicts_with = "wallet", required_unless_present = "wallet")]
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "desk-1-prod")]
    pub client: Option<Name>,
    /// The wallet that is to be replaced. Either this or a client is said.
    #[arg(long)]
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub wallet: Option<Name>,
    /// The name of the new key, which no other key has. Owner and environment are the old one's.
    #[arg(long)]
    #[schema(value_type = String, example = "desk-1-prod-2027")]
    pub new_key: Name,
    /// The `[custody.NAME]` section of the device that makes it; the old key's unless it is given.
    #[arg(long)]
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub backend: Option<Name>,
    /// Of a client's key: rsa2048, rsa3072 or rsa4096; the old key's unless it is given.
    #[arg(long)]
    #[serde(default)]
    pub algorithm: Option<Algorithm>,
    /// How many days it is in use: 180 of a client's unless it is given, 730 at most; 1,095 of a wallet's.
    #[arg(long, value_name = "DAYS")]
    #[serde(default)]
    pub cryptoperiod_days: Option<u16>,
    /// When the rotation is to be done.
    #[arg(long = "target", value_name = "DATE", value_parser = crate::clock::end_of)]
    #[serde(with = "time::serde::rfc3339")]
    pub target_at: OffsetDateTime,
    /// Why, for the record: 1 to 500 characters.
    #[arg(long)]
    #[schema(value_type = String, example = "the period ends in January")]
    pub reason: Reason,
    /// The client's old key is in doubt (`suspended`) or known to be in other hands (`compromised`): it
    /// signs nothing from the answer on.
    #[arg(long)]
    #[serde(default)]
    pub emergency: Option<Emergency>,
}

words! {
    /// What an emergency does to the old key.
    #[derive(utoipa::ToSchema)]
    pub enum Emergency {
        /// It may be cleared.
        Suspended = "suspended",
        /// It never signs again.
        Compromised = "compromised",
    }
}

/// What is to be replaced.
pub enum Replaced<'a> {
    /// A client's key.
    Client(&'a Name),
    /// A wallet.
    Wallet(&'a Name),
}

impl NewRotation {
    /// What is to be replaced: one thing, and nothing is said that does not concern it.
    pub fn replaced(&self) -> Result<Replaced<'_>, RotationError> {
        match (&self.client, &self.wallet) {
            (Some(client), None) => Ok(Replaced::Client(client)),
            (None, Some(_)) if self.algorithm.is_some() => {
                Err(RotationError::NotOfAWallet("algorithm"))
            }
            (None, Some(_)) if self.emergency.is_some() => {
                Err(RotationError::NotOfAWallet("emergency"))
            }
            (None, Some(wallet)) => Ok(Replaced::Wallet(wallet)),
            _ => Err(RotationError::ClientOrWallet),
        }
    }
}

impl Emergency {
    /// The old key's state from then on.
    pub(super) fn state(self) -> KeyState {
        match self {
            Self::Suspended => KeyState::Suspended,
            Self::Compromised => KeyState::Compromised,
        }
    }
}
