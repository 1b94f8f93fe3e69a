//! Bringing a private key that exists outside a device: a wallet that holds funds, a key that is
//! registered already.
//!
//! An import has two steps. The first announces the public half: the key goes on record without it, and
//! the device offers an RSA key to wrap under. The second brings the wrapped key: the device takes it and
//! shows that it is the announced one, and only then has the key a public half on record. The private key
//! is open in this process only for a device that is software or cannot unwrap, while it is handed over.
//!
//! It **trusts** whoever brings a key to have destroyed the other copies: the origin on record says so for
//! ever.
//!
//! # Why
//! The offer is on record, so that any replica takes the second step. A process that dies anywhere leaves a
//! row without a public key, which the same request begins again, or which is destroyed like any other
//! key. An offer ends after minutes, and the wrapping key with it, where that is ours to destroy: whoever
//! recorded the traffic and later gets hold of the device has nothing to unwrap with.

mod form;
mod records;

use time::OffsetDateTime;

use super::{Key, KeyError, KeyState, Keys, Origin};
use crate::approvals::Approval;
use crate::audit::Change;
use crate::custody::{Algorithm, CustodyError, DeviceKey, Importer, KeyRef, PublicKey};
use crate::fail_point;
use crate::id::KeyId;
use crate::ledger::{Gate, LedgerError};
use crate::name::Name;
use crate::policy::Permit;
pub use form::{Begun, Import, WrappedKey};

/// How long an offer stands.
const OFFER: time::Duration = time::Duration::minutes(15);

impl Keys {
    /// Puts a key on record that is going to be brought, and has its device make ready for it.
    pub async fn begin_import(&self, wish: &Import, permit: &Permit) -> Result<Begun, KeyError> {
        let announced = PublicKey::from_pem(&wish.public_key).ok();
        let announced = announced.ok_or(KeyError::NotAPublicKey)?;
        let algorithm = announced.algorithm().ok_or(KeyError::WrongAlgorithm)?;
        let new = wish.as_new(algorithm);
        let (_, days) = self.fits(&new)?;
        let importer = self.importer(&wish.backend)?;

        let mut change = self.log.begin(Gate::Shared, permit.author()).await?;
        let opened = self
            .open_import(wish, &announced, algorithm, days, &mut change)
            .await;
        let (id, earlier) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                change.abandon().await;
                return Err(error);
            }
        };
        change.commit().await?;
        fail_point!("import-on-record");

        let template = super::making::template(id, &new, algorithm);
        let earlier = earlier.map(|key| key.place());
        match importer.prepare_import(&template, earlier.as_ref()).await {
            Ok(offer) => Ok(Begun {
                id,
                announced,
                offer,
            }),
            Err(error) => {
                records::release(id, &self.ledger).await?;
                Err(error.into())
            }
        }
    }

    /// Opens a row for the key, or claims the row that an earlier, equal request has left.
    async fn open_import(
        &self,
        wish: &Import,
        announced: &PublicKey,
        algorithm: Algorithm,
        days: u16,
        change: &mut Change,
    ) -> Result<(KeyId, Option<Key>), KeyError> {
        let approval = change.loosen();
        let earlier = super::records::find_named(&wish.name, change).await?;
        let id = earlier.as_ref().map_or_else(KeyId::new, |key| key.id);
        if let Some(known) = records::known(announced, id, change.tx()).await? {
            return Err(match known {
                records::Known::Compromised => KeyError::WasCompromised,
                records::Known::Here(name) => KeyError::OnRecord(Some(name)),
            });
        }
        let ends_at = self.clock.now() + OFFER;
        if let Some(key) = &earlier {
            if !wish.began(key, algorithm) {
                return Err(KeyError::NameTaken);
            }
            match records::claim_again(id, announced, ends_at, change.author(), change.tx()).await?
            {
                None => return Err(KeyError::NameTaken),
                Some(false) => return Err(KeyError::ImportUnderWay),
                Some(true) => {}
            }
        } else {
            let new = wish.as_new(algorithm);
            let origin = Origin::Imported;
            super::records::insert((id, algorithm, origin, days), &new, change)
                .await
                .map_err(super::making::name_taken)?;
            records::insert(id, announced, ends_at, change.author(), change.tx()).await?;
        }
        let details = serde_json::json!({
            "name": wish.name, "purpose": wish.purpose, "algorithm": algorithm,
            "backend": wish.backend, "environment": wish.environment, "owner": wish.owner,
            "cryptoperiod_days": days, "origin": Origin::Imported, "again": earlier.is_some(),
            "announced": hex::encode(announced.fingerprint()),
        });
        change.note_as(approval, "begin-import", id, &details);
        Ok((id, earlier))
    }

    /// Puts an offer on record. Returns until when it stands.
    pub async fn record_offer(
        &self,
        begun: &Begun,
        change: &mut Change,
    ) -> Result<OffsetDateTime, KeyError> {
        let (id, offer) = (begun.id, &begun.offer);
        if let Some(device_ref) = &offer.device_ref {
            super::records::set_device_ref(id, device_ref, change).await?;
        }
        let ends_at = records::set_ticket(id, &offer.ticket, change.tx()).await?;
        ends_at.ok_or(KeyError::Changed)
    }

    /// Has a key's device take the key. The rest, its public half, is recorded with
    /// [`record_import`](Self::record_import).
    pub async fn bring(
        &self,
        key: &Key,
        wrapped: &[u8],
        permit: &Permit,
    ) -> Result<DeviceKey, KeyError> {
        permit.loosen()?;
        let waits = key.origin == Origin::Imported
            && key.public_key.is_none()
            && key.state == KeyState::PreActivation;
        if !waits {
            return Err(KeyError::NoImport);
        }
        let importer = self.importer(&key.backend)?;
        let claim = records::claim(key.id, self.clock.now(), &self.ledger).await?;
        let (announced, ticket) = match claim {
            records::Claim::Granted(announced, ticket) => (announced, ticket),
            records::Claim::Over => return Err(KeyError::NoImport),
            records::Claim::Busy => return Err(KeyError::ImportUnderWay),
        };
        let announced = KeyRef {
            place: key.place(),
            public_key: announced,
        };
        match importer.import(&announced, &ticket, wrapped).await {
            Ok(brought) if brought.public_key == announced.public_key => {
                fail_point!("import-brought");
                Ok(brought)
            }
            Ok(_) => {
                records::release(key.id, &self.ledger).await?;
                let why = "the device shows another public key than the announced";
                Err(CustodyError::Nonsense(why.to_owned()).into())
            }
            Err(error) => {
                self.refuse_import(key, &error, permit).await?;
                Err(error.into())
            }
        }
    }

    /// Lets the next request try where what was brought did not come on record. If that fails too, the next
    /// one waits until nobody can be at the device any more.
    pub async fn let_import_repeat(&self, id: KeyId) {
        if let Err(error) = records::release(id, &self.ledger).await {
            tracing::warn!(key.id = %id, %error, "an import is not to be repeated yet");
        }
    }

    /// Lets the next request try. A key that is not the announced one is worth a leaf.
    async fn refuse_import(
        &self,
        key: &Key,
        error: &CustodyError,
        permit: &Permit,
    ) -> Result<(), LedgerError> {
        records::release(key.id, &self.ledger).await?;
        if !matches!(error, CustodyError::NotTheKey(_)) {
            return Ok(());
        }
        let mut change = self.log.begin(Gate::Shared, permit.author()).await?;
        let details = serde_json::json!({ "name": key.name, "why": error.to_string() });
        let approval = Approval::not_needed();
        change.note_as(approval, "refuse-import", key.id, &details);
        change.commit().await?;
        Ok(())
    }

    /// Records what was brought. The key is then in `pre-activation`, like one that was made.
    pub async fn record_import(
        &self,
        id: KeyId,
        brought: &DeviceKey,
        change: &mut Change,
    ) -> Result<Key, KeyError> {
        let approval = change.loosen();
        let key = super::records::set_brought(id, brought, change).await;
        let key = key.map_err(super::adoption::on_record)?;
        let key = key.ok_or(KeyError::Changed)?;
        records::end(id, change.tx()).await?;
        let details = serde_json::json!({
            "name": key.name, "origin": key.origin,
            "fingerprint": hex::encode(brought.public_key.fingerprint()),
            "attributes": brought.attributes, "device_ref": brought.device_ref,
        });
        change.note_as(approval, "import-key", id, &details);
        Ok(key)
    }

    /// Has devices forget offers that nobody took. Every replica may do this at any time.
    pub async fn forget_offers(&self) -> Result<(), KeyError> {
        for id in records::stale(self.clock.now(), &self.ledger).await? {
            let Some(key) = self.by_id(id).await? else {
                continue;
            };
            let forgotten = match self.vault.backend(&key.backend) {
                Ok(device) => match device.imports() {
                    Some(importer) => importer.forget_import(&key.place()).await,
                    None => Ok(()),
                },
                Err(error) => Err(error),
            };
            match forgotten {
                Ok(()) => records::forget(id, &self.ledger).await?,
                Err(error) => tracing::warn!(key.id = %id, %error, "an offer is not forgotten"),
            }
        }
        Ok(())
    }

    fn importer(&self, backend: &Name) -> Result<&dyn Importer, CustodyError> {
        let why = "bringing a private key: this kind of device takes none";
        let unsupported = || CustodyError::Unsupported(why.to_owned());
        let device = self.vault.backend(backend)?;
        device.imports().ok_or_else(unsupported)
    }
}
