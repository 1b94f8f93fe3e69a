//! Private keys that are brought to the keystore.

use async_trait::async_trait;

use super::records::{self, SealedKey};
use super::{Keystore, aad, unavailable};
use crate::custody::aside::aside;
use crate::custody::material::Material;
use crate::custody::wrapping::{Scheme, WrappingPair};
use crate::custody::{
    Algorithm, BadMaterial, Custody, CustodyError, DeviceKey, Importer, KeyRef, KeyTemplate, Offer,
    Place,
};
use crate::id::KeyId;

#[async_trait]
impl Importer for Keystore {
    /// Each offer has a wrapping pair of its own, whose private half is the ticket: sealed under the master
    /// key, so that every replica opens it.
    #[tracing::instrument(skip_all, fields(key.id = %template.id))]
    async fn prepare_import(
        &self,
        template: &KeyTemplate,
        _: Option<&Place>,
    ) -> Result<Offer, CustodyError> {
        self.fits().await?;
        let pair = aside(WrappingPair::generate).await?;
        let aad = ticket_aad(template.id, template.algorithm);
        Ok(Offer {
            scheme: Scheme::Sha256,
            wrapping_key: pair.public()?,
            ticket: self.masters.seal(&aad, &pair.to_pkcs8()?),
            device_ref: None,
        })
    }

    #[tracing::instrument(skip_all, fields(key.id = %announced.place.id))]
    async fn import(
        &self,
        announced: &KeyRef,
        ticket: &[u8],
        wrapped: &[u8],
    ) -> Result<DeviceKey, CustodyError> {
        let Place { id, algorithm, .. } = announced.place;
        let pair = self.masters.open(&ticket_aad(id, algorithm), ticket);
        let pair = WrappingPair::from_pkcs8(&pair.map_err(|_| CustodyError::DoesNotUnwrap)?)?;
        let wrapped = wrapped.to_vec();
        let brought = aside(move || {
            let pkcs8 = pair.unwrap(Scheme::Sha256, &wrapped)?;
            let refused = |error: BadMaterial| CustodyError::NotTheKey(error.to_string());
            Material::from_pkcs8(&pkcs8).map_err(refused)
        });
        let brought = brought.await?;
        if *brought.public_key() != announced.public_key {
            let why = "its public half is another";
            return Err(CustodyError::NotTheKey(why.into()));
        }
        let key = SealedKey {
            sealed: self.masters.seal(&aad(id, algorithm), brought.pkcs8()),
            public_key: announced.public_key.to_spki_der(),
            imported: true,
        };
        drop(brought);
        let left = records::delete(id, algorithm, &self.ledger).await;
        left.map_err(|e| unavailable(&e))?;
        let kept = records::insert(id, algorithm, &key, &self.ledger).await;
        if !kept.map_err(|e| unavailable(&e))? {
            let why = "the keystore already holds a key with this id";
            return Err(CustodyError::Refused(why.into()));
        }
        self.inspect(&announced.place).await
    }
}

/// Binds a ticket to the key that is to be brought. Its first bytes differ from those of [`aad`], so that no
/// ticket is taken for a sealed key.
fn ticket_aad(id: KeyId, algorithm: Algorithm) -> Vec<u8> {
    [b"import v1 in chancery: ".as_slice(), &aad(id, algorithm)].concat()
}
