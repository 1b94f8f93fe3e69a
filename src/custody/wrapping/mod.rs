//! How a private key travels to a device: under an AES-256 key that is used once, which travels under
//! an RSA key of the device's.
//!
//! The form is the one that KMS calls `RSA_AES_KEY_WRAP` and PKCS#11 `CKM_RSA_AES_KEY_WRAP`: RSA-OAEP of
//! the AES key, then the key's PKCS#8 under it (RFC 5649). It promises that only who holds the RSA key
//! reads what was wrapped. It **trusts** whoever names that RSA key: the sender cannot tell whose it is.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded as _};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey,
    OaepPublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use zeroize::Zeroizing;

use super::CustodyError;

words! {
    /// Which hash the RSA half uses. SHA-1 is no weakness here: nothing depends on its collisions.
    #[derive(utoipa::ToSchema)]
    #[schema(as = WrappingScheme)]
    pub enum Scheme {
        /// OAEP with SHA-256 and MGF1 with SHA-256.
        Sha256 = "RSA_AES_KEY_WRAP_SHA_256",
        /// The same with SHA-1, for tokens that have no other.
        Sha1 = "RSA_AES_KEY_WRAP_SHA_1",
    }
}

impl Scheme {
    fn oaep(self) -> &'static OaepAlgorithm {
        match self {
            Self::Sha256 => &OAEP_SHA256_MGF1SHA256,
            Self::Sha1 => &OAEP_SHA1_MGF1SHA1,
        }
    }
}

/// The wrapping key is no RSA key of 2048 bits or more, or the private key is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key cannot be wrapped under this wrapping key")]
pub struct NotWrapped;

impl From<Unspecified> for NotWrapped {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

/// Wraps a private key, in PKCS#8 DER, under a wrapping key, an SPKI in DER.
pub fn wrap(scheme: Scheme, wrapping_key: &[u8], pkcs8: &[u8]) -> Result<Vec<u8>, NotWrapped> {
    let public = PublicEncryptingKey::from_der(wrapping_key).map_err(|_| NotWrapped)?;
    let rsa = OaepPublicEncryptingKey::new(public)?;
    let mut once = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(once.as_mut())?;
    let mut wrapped = vec![0; rsa.ciphertext_size()];
    rsa.encrypt(scheme.oaep(), once.as_ref(), &mut wrapped, None)?;
    let mut body = vec![0; pkcs8.len() + 15];
    let kek = AesKek::new(&AES_256, once.as_ref())?;
    wrapped.extend_from_slice(kek.wrap_with_padding(pkcs8, &mut body)?);
    Ok(wrapped)
}

/// The two halves of a wrapped key: the AES key, and the private key. `None`: the text is too short.
pub(super) fn halves(wrapped: &[u8], modulus_bytes: usize) -> Option<(&[u8], &[u8])> {
    let halves = wrapped.split_at_checked(modulus_bytes);
    halves.filter(|(_, key)| key.len() >= 16 && key.len() % 8 == 0)
}

/// A wrapping pair of this process's own, for a device that cannot unwrap.
pub(super) struct WrappingPair(PrivateDecryptingKey);

impl WrappingPair {
    /// Makes a pair, which takes a while.
    pub(super) fn generate() -> Result<Self, CustodyError> {
        let failed = |_| CustodyError::Unavailable("making a wrapping key failed".into());
        PrivateDecryptingKey::generate(KeySize::Rsa3072)
            .map(Self)
            .map_err(failed)
    }

    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self, CustodyError> {
        let nonsense = |_| CustodyError::Nonsense("the wrapping key is no PKCS#8".into());
        PrivateDecryptingKey::from_pkcs8(der)
            .map(Self)
            .map_err(nonsense)
    }

    pub(super) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        let der: Pkcs8V1Der<'_> = self.0.as_der().map_err(|_| not_encoded())?;
        Ok(Zeroizing::new(der.as_ref().to_vec()))
    }

    /// The public half: an SPKI in DER.
    pub(super) fn public(&self) -> Result<Vec<u8>, CustodyError> {
        let der: PublicKeyX509Der<'_> = self.0.public_key().as_der().map_err(|_| not_encoded())?;
        Ok(der.as_ref().to_vec())
    }

    /// Unwraps what [`wrap`] wrapped.
    pub(super) fn unwrap(
        &self,
        scheme: Scheme,
        wrapped: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        let refused = || CustodyError::DoesNotUnwrap;
        let (once, key) = halves(wrapped, self.0.key_size_bytes()).ok_or_else(refused)?;
        let rsa = OaepPrivateDecryptingKey::new(self.0.clone()).map_err(|_| refused())?;
        let mut opened = Zeroizing::new(vec![0; rsa.min_output_size()]);
        let length = rsa
            .decrypt(scheme.oaep(), once, &mut opened, None)
            .map_err(|_| refused())?
            .len();
        let kek = AesKek::new(&AES_256, &opened[..length]).map_err(|_| refused())?;
        let mut pkcs8 = Zeroizing::new(vec![0; key.len()]);
        let length = kek
            .unwrap_with_padding(key, &mut pkcs8)
            .map_err(|_| refused())?
            .len();
        pkcs8.truncate(length);
        Ok(pkcs8)
    }
}

fn not_encoded() -> CustodyError {
    CustodyError::Unavailable("a wrapping key is not encoded".into())
}

#[cfg(test)]
mod tests;
