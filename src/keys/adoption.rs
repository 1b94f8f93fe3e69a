//! Taking over a key that its device made before we knew it.
//!
//! Only its device can say how the key was kept until now: a key that the device did not make is on record
//! as imported, for ever. Who else may use the key in the device is for the operator to check.
//!
//! # Why
//! Keys that are made here do nothing but sign. Tools make keys that decrypt, unwrap or derive as well, and
//! not every token lets its owner turn that off. Such a use leaves no trace here, and a raw RSA decryption
//! is a signature. So each such use has to be accepted by name, and the name is on record.

use super::key::at_stake;
use super::{Key, KeyError, Keys, Origin, Purpose, records};
use crate::audit::Change;
use crate::custody::pkcs11::uri::KeyName;
use crate::custody::{Algorithm, CustodyError, DeviceKey, DeviceRef};
use crate::id::KeyId;
use crate::name::Name;
use crate::policy::{Permit, Stake};

words! {
    /// What a key may do besides signing, by the attribute that allows it.
    #[derive(utoipa::ToSchema)]
    #[schema(as = KeyUse)]
    pub enum Use {
        /// `CKA_DECRYPT`.
        Decrypt = "decrypt",
        /// `CKA_UNWRAP`.
        Unwrap = "unwrap",
        /// `CKA_DERIVE`.
        Derive = "derive",
        /// `CKA_SIGN_RECOVER`.
        SignRecover = "sign-recover",
    }
}

/// What it takes to adopt a key.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAdoption)]
pub struct Adoption {
    /// A name that no other key has.
    #[schema(value_type = String, example = "desk-1-wallet-2026")]
    pub name: Name,
    /// What it is for.
    pub purpose: Purpose,
    /// The `[custody.NAME]` section of the device that holds it.
    #[schema(value_type = String, example = "kms")]
    pub backend: Name,
    /// What the device calls it. In KMS its ARN; an alias is refused. In a PKCS#11 token a `pkcs11:` URI
    /// (RFC 7512) of `id`, `object` or both, which exactly one private key answers to.
    #[schema(value_type = String, example = "pkcs11:id=%01%02;object=desk-1;type=private")]
    pub device_ref: DeviceRef,
    /// Where it is used.
    #[schema(value_type = String, example = "prod")]
    pub environment: Name,
    /// The desk or team.
    #[schema(value_type = String, example = "desk-1")]
    pub owner: Name,
    /// How many days it is in use, as for a key that is made.
    #[serde(default)]
    pub cryptoperiod_days: Option<u16>,
    /// The address or the fingerprint that it has to have. Without it, compare what is answered
    /// before the key is activated.
    #[serde(default)]
    pub expected: Option<String>,
    /// What the key may do besides signing all the same. A key that may do more is refused.
    #[serde(default)]
    pub accept: Vec<Use>,
}

impl Adoption {
    /// What policies see of it.
    pub fn stake(&self) -> Stake {
        at_stake(
            self.purpose,
            [&self.name, &self.backend, &self.environment, &self.owner],
        )
    }
}

impl Keys {
    /// Looks at a key that is to be adopted, in its device.
    pub async fn look_up(
        &self,
        adoption: &Adoption,
        permit: &Permit,
    ) -> Result<DeviceKey, KeyError> {
        permit.loosen()?;
        super::making::free(&adoption.name)?;
        let longest = adoption.purpose.longest_days();
        if !(1..=longest).contains(&days(adoption)) {
            return Err(KeyError::Cryptoperiod(longest));
        }
        self.is_there(&adoption.backend)?;
        let device = self.vault.backend(&adoption.backend)?;
        let adopter = device.adopts().ok_or_else(|| {
            let device_ref = &adoption.device_ref;
            CustodyError::Unsupported(format!(
                "adopting {device_ref}: this kind of device holds only keys that were made through it"
            ))
        })?;
        let found = adopter.look_up(&adoption.device_ref).await?;
        if let Some(id) = made_for(&found)
            && let Some(known) = self.by_id(id).await?
        {
            // Also where the maker died before it wrote the public key down: that record is to be finished. If
            // two records meant one key, the end of one would be the end of the other's key.
            return Err(KeyError::OnRecord(Some(known.name.to_string())));
        }
        let algorithm = found.public_key.algorithm();
        let fits = match adoption.purpose {
            Purpose::Wallet => algorithm == Some(Algorithm::Secp256k1),
            Purpose::Client | Purpose::Checkpoint => {
                algorithm.is_some_and(|it| it != Algorithm::Secp256k1)
            }
        };
        if !fits {
            return Err(KeyError::WrongAlgorithm);
        }
        if let Some(expected) = &adoption.expected
            && !found.public_key.is(expected)
        {
            let why = "its address or fingerprint is not the one that is expected".to_owned();
            return Err(CustodyError::NotAdoptable(why).into());
        }
        let more = more_than(adoption, &found);
        if !more.is_empty() {
            let more = more.join(", ");
            let why =
                format!("it may do more than sign: {more}; turn that off, or accept it by name");
            return Err(CustodyError::NotAdoptable(why).into());
        }
        Ok(found)
    }

    /// Puts a key on record that was looked up. It is then in `pre-activation`.
    pub async fn adopt(
        &self,
        adoption: &Adoption,
        found: &DeviceKey,
        change: &mut Change,
    ) -> Result<Key, KeyError> {
        let approval = change.loosen();
        let algorithm = found.public_key.algorithm();
        let algorithm = algorithm.ok_or(KeyError::WrongAlgorithm)?;
        let origin = match found.attributes.get("local") {
            Some(true) => Origin::Adopted,
            _ => Origin::Imported, // the key existed elsewhere, or the device does not say
        };
        let id = KeyId::new();
        let row = (id, algorithm, origin, days(adoption));
        let key = records::insert_adopted(row, adoption, found, change)
            .await
            .map_err(on_record)?;
        let details = serde_json::json!({
            "name": adoption.name, "purpose": adoption.purpose, "algorithm": algorithm,
            "backend": adoption.backend, "environment": adoption.environment,
            "owner": adoption.owner, "cryptoperiod_days": days(adoption), "origin": origin,
            "device_ref": found.device_ref, "attributes": found.attributes, "accept": adoption.accept,
            "fingerprint": hex::encode(found.public_key.fingerprint()),
        });
        change.note_as(approval, "adopt-key", id, &details);
        Ok(key)
    }
}

/// What a key may do that its adopter does not accept.
fn more_than(adoption: &Adoption, found: &DeviceKey) -> Vec<&'static str> {
    let unaccepted =
        |it: &Use| found.attributes.get(it.name()) == Some(&true) && !adoption.accept.contains(it);
    let more = Use::ALL.into_iter().filter(unaccepted);
    more.map(Use::name).collect()
}

/// The id of the key of ours that a token says this is.
fn made_for(found: &DeviceKey) -> Option<KeyId> {
    let (name, _) = KeyName::parse(found.device_ref.as_ref()?.as_str()).ok()?;
    name.made_for()
}

fn days(adoption: &Adoption) -> u16 {
    let default = adoption.purpose.default_days();
    adoption.cryptoperiod_days.unwrap_or(default)
}

pub(super) fn on_record(error: crate::ledger::LedgerError) -> KeyError {
    match error.constraint() {
        Some("keys_name_is_unique") => KeyError::NameTaken,
        Some("keys_device_ref_is_unique" | "keys_public_key_is_unique") => KeyError::OnRecord(None),
        _ => error.into(),
    }
}
