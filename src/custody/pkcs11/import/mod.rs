//! Private keys that are brought to the token.
//!
//! For each offer the token makes a wrapping pair, which does nothing but unwrap and is destroyed with the
//! offer. Every replica finds the pair by the id of the key that is to come. The token has to show that it
//! really unwraps, and with which hash, on a key that is worth nothing: lists of mechanisms promise more
//! than tokens keep. A key is handed over open only to a token that fails this.

use async_trait::async_trait;

use super::device::Pkcs11;
use crate::custody::aside::aside;
use crate::custody::wrapping::WrappingPair;
use crate::custody::{
    BadMaterial, CustodyError, DeviceKey, Importer, KeyRef, KeyTemplate, Material, Offer, Place,
    Scheme, Sealer as _,
};
use crate::id::KeyId;

mod keep;
mod pair;

use keep::{create_key, unwrap_key};
pub(super) use pair::forget;

/// A ticket's first byte: the token unwraps; the second is the scheme.
const UNWRAPS: u8 = 1;
/// The token is handed the key open; the rest is a sealed wrapping pair.
const CREATES: u8 = 2;

/// The scheme that a ticket names.
fn scheme_of(ticket: &[u8]) -> Option<Scheme> {
    match ticket {
        [1] => Some(Scheme::Sha1),
        [2] => Some(Scheme::Sha256),
        _ => None,
    }
}

fn ticket(scheme: Scheme) -> Vec<u8> {
    match scheme {
        Scheme::Sha1 => vec![UNWRAPS, 1],
        Scheme::Sha256 => vec![UNWRAPS, 2],
    }
}

/// What a sealed wrapping pair is bound to.
fn ticket_aad(id: KeyId) -> Vec<u8> {
    [b"chancery import 1 ", id.uuid().as_bytes().as_slice()].concat()
}

#[async_trait]
impl Importer for Pkcs11 {
    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %template.id))]
    async fn prepare_import(
        &self,
        template: &KeyTemplate,
        _: Option<&Place>,
    ) -> Result<Offer, CustodyError> {
        let (id, algorithm) = (template.id, template.algorithm);
        let prepared = self.run_alone(move |desk| pair::prepare(desk, id, algorithm));
        match prepared.await? {
            Some((scheme, wrapping_key)) => Ok(Offer {
                scheme,
                wrapping_key,
                ticket: ticket(scheme),
                device_ref: None,
            }),
            None => self.offer_to_create(template.id).await,
        }
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %announced.place.id))]
    async fn import(
        &self,
        announced: &KeyRef,
        ticket: &[u8],
        wrapped: &[u8],
    ) -> Result<DeviceKey, CustodyError> {
        let announced = announced.clone();
        match ticket.split_first() {
            Some((&UNWRAPS, scheme)) => {
                let scheme = scheme_of(scheme).ok_or(CustodyError::DoesNotUnwrap)?;
                let wrapped = wrapped.to_vec();
                let brought =
                    self.run_long(move |desk| unwrap_key(desk, &announced, scheme, &wrapped));
                brought.await
            }
            Some((&CREATES, pair)) => {
                let aad = ticket_aad(announced.place.id);
                let pair = WrappingPair::from_pkcs8(&self.open(&aad, pair).await?)?;
                let wrapped = wrapped.to_vec();
                let material = aside(move || {
                    let refused = |error: BadMaterial| CustodyError::NotTheKey(error.to_string());
                    let pkcs8 = pair.unwrap(Scheme::Sha256, &wrapped)?;
                    Material::from_pkcs8(&pkcs8).map_err(refused)
                });
                let material = material.await?;
                let brought = self.run_long(move |desk| create_key(desk, &announced, &material));
                brought.await
            }
            _ => Err(CustodyError::DoesNotUnwrap),
        }
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %key.id))]
    async fn forget_import(&self, key: &Place) -> Result<(), CustodyError> {
        let id = key.id;
        let forgotten = self.run(move |desk| forget(desk, id));
        forgotten.await
    }
}

impl Pkcs11 {
    /// The offer of a token that unwraps nothing: the key is unwrapped here, with a pair whose private half
    /// the token seals, and is handed to the token open.
    pub(super) async fn offer_to_create(&self, id: KeyId) -> Result<Offer, CustodyError> {
        let pair = aside(WrappingPair::generate).await?;
        let (aad, private) = (ticket_aad(id), pair.to_pkcs8()?);
        let sealed = self.seal(&aad, &private).await?;
        Ok(Offer {
            scheme: Scheme::Sha256,
            wrapping_key: pair.public()?,
            ticket: [&[CREATES], sealed.as_slice()].concat(),
            device_ref: None,
        })
    }
}
