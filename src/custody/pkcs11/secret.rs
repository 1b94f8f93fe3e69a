//! Secrets sealed in the token: AES-256-GCM under a key that never leaves it.
//!
//! A sealed secret is `1 ‖ key id (16 bytes) ‖ nonce (12 bytes) ‖ ciphertext ‖ tag (16 bytes)`: it names its
//! key, and so opens after another key has taken that key's place. We choose the nonce and give it to the
//! token. A token that insists on a nonce of its own (FIPS mode) refuses, and cannot seal.

use std::sync::Arc;

use async_trait::async_trait;
use cryptoki::error::Error;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::{Mechanism, MechanismType};
use zeroize::Zeroizing;

use super::desk::Desk;
use super::device::Pkcs11;
use super::fault::Fault;
use super::recovery::{Step, step};
use super::sealing_keys::{self, current, key, make_key};
use crate::custody::{CustodyError, DeviceSealingKey, Sealer};
use crate::id::KeyId;

const VERSION: u8 = 1;
const ID_END: usize = 1 + 16;
const NONCE_END: usize = ID_END + 12;
const TAG: usize = 16;

#[async_trait]
impl Sealer for Pkcs11 {
    #[tracing::instrument(skip_all, fields(custody.backend = self.backend))]
    async fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CustodyError> {
        let aad = Arc::new(aad.to_vec());
        let plaintext = Arc::new(Zeroizing::new(plaintext.to_vec()));
        let work = (Arc::clone(&aad), Arc::clone(&plaintext));
        let sealed = self.run(move |desk| seal(desk, &work.0, &work.1));
        if let Some(sealed) = sealed.await? {
            return Ok(sealed);
        }
        let sealed = self.run_alone(move |desk| {
            make_key(desk)?;
            seal(desk, &aad, &plaintext)
        });
        let lost = || CustodyError::Unavailable("the new sealing key is not found".into());
        sealed.await?.ok_or_else(lost)
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend))]
    async fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        let (aad, sealed) = (aad.to_vec(), sealed.to_vec());
        self.run(move |desk| open(desk, &aad, &sealed)).await
    }

    async fn sealing_keys(&self) -> Result<Vec<DeviceSealingKey>, CustodyError> {
        self.run(sealing_keys::list).await
    }

    fn sealed_under(&self, sealed: &[u8]) -> Option<String> {
        named(sealed)
    }
}

/// Seals under the token's sealing key. `None`: the token has no such key yet.
pub(super) fn seal(
    desk: &mut Desk<'_>,
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Option<Vec<u8>>, Fault> {
    can_seal(desk)?;
    let Some((id, key)) = current(desk)? else {
        return Ok(None);
    };
    let header = header(id);
    let mut nonce = [0; NONCE_END - ID_END];
    aws_lc_rs::rand::fill(&mut nonce)
        .map_err(|_| CustodyError::Unavailable("no randomness".into()))?;
    let bound = [header.as_slice(), aad].concat();
    let mut given = nonce;
    let sealed = {
        let params = GcmParams::new(&mut given, &bound, 128.into())?;
        desk.seat
            .session
            .encrypt(&Mechanism::AesGcm(params), key, plaintext)?
    };
    if given != nonce || sealed.len() != plaintext.len() + TAG {
        // Under a nonce of its own it would never open; bytes of another length are something else.
        let why = "the token does not seal with the nonce it is given";
        return Err(CustodyError::Refused(why.into()).into());
    }
    Ok(Some([&header, nonce.as_slice(), &sealed].concat()))
}

/// Opens what [`seal`] made with the same `aad`.
///
/// # Why
/// Some tokens answer altered bytes with `GENERAL_ERROR`, with which others say that the token is gone. So
/// after an error that may mean either, a fresh session has to seal something, and then to fail again.
pub(super) fn open(
    desk: &mut Desk<'_>,
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    can_seal(desk)?;
    let does_not_open = || Fault::Final(CustodyError::DoesNotOpen);
    let (head, body) = sealed
        .split_at_checked(NONCE_END)
        .ok_or_else(does_not_open)?;
    if head[0] != VERSION || body.len() < TAG {
        return Err(does_not_open());
    }
    let id = uuid::Uuid::from_slice(&head[1..ID_END]).map_err(|_| does_not_open())?;
    let id = KeyId::from(id);
    let bound = [&head[..ID_END], aad].concat();
    match decrypt(desk, id, &head[ID_END..], &bound, body) {
        Err(Fault::Device(error)) if !is_about_handles(&error) => {}
        opened => return opened,
    }
    desk.sit_afresh()?;
    if seal(desk, b"probe", b"probe")?.is_none() {
        return Err(Fault::Absent(
            "the sealing key is not found any more".into(),
        ));
    }
    match decrypt(desk, id, &head[ID_END..], &bound, body) {
        Err(Fault::Device(error)) if !is_about_handles(&error) => {
            desk.seat.worn = true;
            Err(does_not_open())
        }
        opened => opened,
    }
}

/// Refuses a token without AES-GCM before a key is made that could not be used.
fn can_seal(desk: &Desk<'_>) -> Result<(), Fault> {
    if desk.seat.mechanisms.contains(&MechanismType::AES_GCM) {
        return Ok(());
    }
    let why = "the token has no CKM_AES_GCM, so no secret is sealed in it";
    Err(CustodyError::Unsupported(why.into()).into())
}

/// Errors that say nothing of what was to be opened.
fn is_about_handles(error: &Error) -> bool {
    matches!(step(error), Step::FindAgain | Step::Login | Step::GiveUp)
}

fn decrypt(
    desk: &mut Desk<'_>,
    id: KeyId,
    nonce: &[u8],
    bound: &[u8],
    body: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let key = key(desk, id)?;
    let mut nonce = nonce.to_vec();
    let params = GcmParams::new(&mut nonce, bound, 128.into())?;
    let session = &desk.seat.session;
    let opened = session.decrypt(&Mechanism::AesGcm(params), key, body)?;
    Ok(Zeroizing::new(opened))
}

/// The sealing key that something sealed names.
pub(super) fn named(sealed: &[u8]) -> Option<String> {
    let (&VERSION, id) = sealed.get(..ID_END)?.split_first()? else {
        return None;
    };
    Some(uuid::Uuid::from_slice(id).ok()?.to_string())
}

fn header(id: KeyId) -> [u8; ID_END] {
    let mut header = [VERSION; ID_END];
    header[1..].copy_from_slice(id.uuid().as_bytes());
    header
}
