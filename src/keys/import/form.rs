//! What it takes to bring a key.

use crate::custody::{Algorithm, Offer, PublicKey};
use crate::id::KeyId;
use crate::keys::key::at_stake;
use crate::keys::{Key, KeyState, NewKey, Origin, Purpose};
use crate::name::Name;
use crate::policy::Stake;

/// What it takes to begin an import.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewImport)]
pub struct Import {
    /// A name that no other key has. Repeated with all the same, an import is begun again.
    #[schema(value_type = String, example = "desk-1-wallet-2026")]
    pub name: Name,
    /// What it is for.
    pub purpose: Purpose,
    /// The `[custody.NAME]` section of the device that takes it.
    #[schema(value_type = String, example = "hsm")]
    pub backend: Name,
    /// Where it is used.
    #[schema(value_type = String, example = "prod")]
    pub environment: Name,
    /// The desk or team.
    #[schema(value_type = String, example = "desk-1")]
    pub owner: Name,
    /// How many days it is in use, as for a key that is made.
    #[serde(default)]
    pub cryptoperiod_days: Option<u16>,
    /// The public half, in PEM (`-----BEGIN PUBLIC KEY-----`): the only key that will be taken.
    pub public_key: String,
}

/// A wrapped key.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WrappedKey {
    /// What the scheme of the offer makes of the key, in base64.
    pub wrapped: String,
}

/// An import that was begun.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The key, without its public half.
    pub id: KeyId,
    /// What will be taken.
    pub announced: PublicKey,
    /// How to bring it.
    pub offer: Offer,
}

impl Import {
    /// What policies see of it.
    pub fn stake(&self) -> Stake {
        at_stake(
            self.purpose,
            [&self.name, &self.backend, &self.environment, &self.owner],
        )
    }

    /// The key's row, as for a key that is made.
    pub(super) fn as_new(&self, algorithm: Algorithm) -> NewKey {
        NewKey {
            name: self.name.clone(),
            purpose: self.purpose,
            algorithm: Some(algorithm),
            backend: self.backend.clone(),
            environment: self.environment.clone(),
            owner: self.owner.clone(),
            cryptoperiod_days: self.cryptoperiod_days,
        }
    }

    /// Whether this key was begun by the same request.
    pub(super) fn began(&self, key: &Key, algorithm: Algorithm) -> bool {
        key.origin == Origin::Imported
            && key.public_key.is_none()
            && key.state == KeyState::PreActivation
            && key.algorithm == algorithm
            && key.purpose == self.purpose
            && key.backend == self.backend
            && key.environment == self.environment
            && key.owner == self.owner
    }
}
