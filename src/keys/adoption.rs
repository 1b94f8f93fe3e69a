//! Taking over a key that its device made before we knew it.
//!
//! Only its device's word says how it was kept until now: what KMS says that it did not make is on
//! record as imported, for ever. Who else may use it there is the operator's to look at.

use super::{Key, KeyError, Keys, Origin, Purpose, records};
use crate::approvals;
use crate::audit::{Batch, Leaf};
use crate::custody::{Algorithm, CustodyError, DeviceRef, Generated};
use crate::id::{CallerId, KeyId};
use crate::name::Name;

/// What it takes to adopt a key.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Adoption {
    /// A name that no other key has.
    #[schema(value_type = String, example = "desk-1-wallet-2026")]
    pub name: Name,
    /// What it is for.
    pub purpose: Purpose,
    /// The `[custody.NAME]` section of the device that holds it.
    #[schema(value_type = String, example = "kms")]
    pub backend: Name,
    /// What the device calls it. In KMS its ARN; an alias is refused.
    #[schema(
        value_type = String,
        example = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    )]
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
}

impl Keys {
    /// Looks at a key that is to be adopted, in its device.
    pub async fn look_up(&self, adoption: &Adoption) -> Result<Generated, KeyError> {
        approvals::loosen(&self.approvals)?;
        let longest = adoption.purpose.longest_days();
        if !(1..=longest).contains(&days(adoption)) {
            return Err(KeyError::Cryptoperiod(longest));
        }
        let device = self.vault.backend(&adoption.backend)?;
        let found = device.look_up(&adoption.device_ref).await?;
        let algorithm = found.public_key.algorithm();
        let fits = match adoption.purpose {
            Purpose::Wallet => algorithm == Some(Algorithm::Secp256k1),
            Purpose::Client => algorithm.is_some_and(|it| it != Algorithm::Secp256k1),
        };
        if !fits {
            return Err(KeyError::WrongAlgorithm);
        }
        if let Some(expected) = &adoption.expected
            && !is(&found, expected)
        {
            let why = "its address or fingerprint is not the one that is expected".to_owned();
            return Err(CustodyError::NotAdoptable(why).into());
        }
        Ok(found)
    }

    /// Puts a key on record that was looked up. It is then in `pre-activation`.
    pub async fn adopt(
        &self,
        adoption: &Adoption,
        found: &Generated,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Result<Key, KeyError> {
        let approval = approvals::loosen(&self.approvals)?;
        let algorithm = found.public_key.algorithm();
        let algorithm = algorithm.ok_or(KeyError::WrongAlgorithm)?;
        let origin = match found.attributes.get("local") {
            Some(true) => Origin::Adopted,
            _ => Origin::Imported, // it existed elsewhere, or the device does not say
        };
        let id = KeyId::new();
        let ends_at = self.clock.now() + time::Duration::days(i64::from(days(adoption)));
        let row = (id, algorithm, origin, ends_at);
        let key = records::insert_adopted(row, adoption, found, batch.tx())
            .await
            .map_err(on_record)?;
        let details = serde_json::json!({
            "name": adoption.name, "purpose": adoption.purpose, "algorithm": algorithm,
            "backend": adoption.backend, "environment": adoption.environment,
            "owner": adoption.owner, "cryptoperiod_days": days(adoption), "origin": origin,
            "device_ref": found.device_ref, "attributes": found.attributes,
            "fingerprint": hex::encode(found.public_key.fingerprint()),
        });
        let now_ms = self.clock.unix_ms();
        let leaf = Leaf::admin(now_ms, actor, "adopt-key", id.uuid(), &approval, &details);
        batch.add(&leaf);
        Ok(key)
    }
}

fn days(adoption: &Adoption) -> u16 {
    let default = adoption.purpose.default_days();
    adoption.cryptoperiod_days.unwrap_or(default)
}

fn is(found: &Generated, expected: &str) -> bool {
    let address = found.public_key.address().map(|it| it.to_string());
    let fingerprint = hex::encode(found.public_key.fingerprint());
    address.is_some_and(|address| address.eq_ignore_ascii_case(expected))
        || fingerprint.eq_ignore_ascii_case(expected)
}

fn on_record(error: crate::ledger::LedgerError) -> KeyError {
    match error.constraint() {
        Some("keys_name_is_unique") => KeyError::NameTaken,
        Some("keys_device_ref_is_unique" | "keys_public_key_is_unique") => KeyError::OnRecord,
        _ => error.into(),
    }
}
