//! Recoverable signatures: low `s`, and the recovery bit found by checking (P8).

use std::fmt;

use k256::elliptic_curve::ops::{Invert, MulByGenerator, Reduce};
use k256::elliptic_curve::point::DecompressPoint;
use k256::elliptic_curve::scalar::IsHigh;
use k256::elliptic_curve::sec1::ToEncodedPoint;
use k256::elliptic_curve::{Curve, PrimeField};
use k256::{AffinePoint, ProjectivePoint, Scalar, Secp256k1, U256};
use secp256k1::Message;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};

use super::Address;

/// `r ‖ s ‖ v`, 65 bytes, with low `s` and `v` 27 or 28. Made only by [`check`](Self::check), so it
/// always recovers to the key it was checked under.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 65]);

/// Why a device's signature must not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// `r` or `s` is zero or not below the curve order.
    #[error("r or s is out of range")]
    OutOfRange,
    /// It is not a signature of this digest under this key.
    #[error("the signature does not verify under the key on record")]
    WrongKey,
    /// `r` lies above the curve order, which the EVM's recovery cannot express. The odds are 2⁻¹²⁸.
    #[error("the signature cannot be recovered from")]
    NotRecoverable,
}

impl Signature {
    /// Checks `raw` (`r ‖ s` from a device) over `digest` under `key`, lowers `s` and finds `v`.
    ///
    /// # Why
    /// Verification computes the point R = (z/s)·G + (r/s)·Q anyway. Its x must be `r`, and its y tells the
    /// recovery bit, so one double multiplication does what trial recovery does in two or three.
    /// Recovering from `(r, s, v)` leads back to Q by the same equation.
    ///
    /// libsecp256k1 does it in a third of the time that k256 takes, and shows only verification, which
    /// hides R, and recovery. So R is what we have it recover: from the "signature" (ρ, σ) of m, made at
    /// a point P with the x ρ, comes (σ/ρ)·P − (m/ρ)·G. With the key for P, σ = ρ·r/s and m = −ρ·z/s
    /// that is R. All of it is public.
    pub fn check(
        raw: &[u8; 64],
        digest: &[u8; 32],
        key: &k256::PublicKey,
    ) -> Result<Self, BadSignature> {
        let r = scalar(&raw[..32])?;
        let given_s = scalar(&raw[32..])?;
        let s = if bool::from(given_s.is_high()) {
            -given_s
        } else {
            given_s
        };

        let inverse = Option::<Scalar>::from(Invert::invert_vartime(&s));
        let inverse = inverse.ok_or(BadSignature::OutOfRange)?;
        let point = sum(z(digest) * inverse, r * inverse, key).ok_or(BadSignature::WrongKey)?;
        let x = U256::from_be_slice(&point[1..]);
        if <Scalar as Reduce<U256>>::reduce(x) != r {
            return Err(BadSignature::WrongKey);
        }
        if x >= Secp256k1::ORDER {
            return Err(BadSignature::NotRecoverable);
        }

        let mut bytes = [0; 65];
        bytes[..32].copy_from_slice(&raw[..32]);
        bytes[32..64].copy_from_slice(&s.to_repr());
        bytes[64] = if is_odd(&point) { 28 } else { 27 };
        Ok(Self(bytes))
    }

    /// `r ‖ s ‖ v`.
    pub fn as_bytes(&self) -> &[u8; 65] {
        &self.0
    }

    /// The 32 bytes of `r`: the same under one key for two digests means a broken nonce.
    pub fn r(&self) -> [u8; 32] {
        let mut r = [0; 32];
        r.copy_from_slice(&self.0[..32]);
        r
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A signature of unknown origin, to be tried with many digests.
///
/// The signer's key is (s/r)·R − (z/r)·G. The first term is the same for all digests and changes only
/// its sign with the recovery bit, so each digest costs one multiplication of the generator.
#[derive(Debug, Clone)]
pub struct Recovery {
    high_s: bool,
    inverse: Scalar,
    /// (s/r)·R with low `s` and even R.
    point: ProjectivePoint,
}

impl Recovery {
    /// Prepares `r ‖ s`.
    pub fn new(raw: &[u8; 64]) -> Result<Self, BadSignature> {
        let r = scalar(&raw[..32])?;
        let s = scalar(&raw[32..])?;
        let high_s = bool::from(s.is_high());
        let inverse = Option::<Scalar>::from(r.invert()).ok_or(BadSignature::OutOfRange)?;
        let even = AffinePoint::decompress(&r.to_repr(), 0.into());
        let even = Option::<AffinePoint>::from(even).ok_or(BadSignature::NotRecoverable)?;
        let low = if high_s { -s } else { s };
        Ok(Self {
            high_s,
            inverse,
            point: ProjectivePoint::from(even) * (low * inverse),
        })
    }

    /// Whether `s` is the larger of the two.
    pub fn is_high(&self) -> bool {
        self.high_s
    }

    /// Who signed `digest`, if the recovery bit is 0 and if it is 1, both with low `s`.
    pub fn signers(&self, digest: &[u8; 32]) -> [Option<Address>; 2] {
        let shift = ProjectivePoint::mul_by_generator(&(z(digest) * self.inverse));
        [self.point - shift, -self.point - shift].map(|point| {
            let key = k256::PublicKey::from_affine(point.to_affine());
            key.ok().map(|key| Address::of(&key))
        })
    }
}

/// u₁·G + u₂·Q, compressed. `None`: it is the point at infinity.
fn sum(u1: Scalar, u2: Scalar, q: &k256::PublicKey) -> Option<[u8; 33]> {
    let q = q.to_encoded_point(true);
    let x = U256::from_be_slice(&q.as_bytes()[1..]);
    let rho = <Scalar as Reduce<U256>>::reduce(x);
    let is_above = x >= Secp256k1::ORDER; // so is one key in 2¹²⁸
    let id = u8::from(is_odd(q.as_bytes())) + 2 * u8::from(is_above);

    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&rho.to_repr());
    signature[32..].copy_from_slice(&(rho * u2).to_repr());
    let message = Message::from_digest((-(rho * u1)).to_repr().into());
    let id = RecoveryId::from_u8_masked(id);
    let signature = RecoverableSignature::from_compact(&signature, id).ok()?;
    Some(signature.recover_ecdsa(message).ok()?.serialize())
}

/// Whether a compressed point has the odd one of its two ys.
fn is_odd(point: &[u8]) -> bool {
    point[0] == 3
}

/// A digest as the equations have it.
fn z(digest: &[u8; 32]) -> Scalar {
    <Scalar as Reduce<U256>>::reduce(U256::from_be_slice(digest))
}

fn scalar(bytes: &[u8]) -> Result<Scalar, BadSignature> {
    let mut repr = k256::FieldBytes::default();
    repr.copy_from_slice(bytes);
    Option::<Scalar>::from(Scalar::from_repr(repr))
        .filter(|scalar| !bool::from(scalar.is_zero()))
        .ok_or(BadSignature::OutOfRange)
}

#[cfg(test)]
mod tests {
    use k256::ecdsa::signature::hazmat::PrehashSigner;
    use k256::ecdsa::{RecoveryId, SigningKey, VerifyingKey};
    use k256::elliptic_curve::ops::LinearCombination;

    use super::super::keccak256;
    use super::*;

    /// `raw` with the other `s`, which is just as valid.
    fn other_half(raw: &[u8; 64]) -> [u8; 64] {
        let mut other = *raw;
        other[32..].copy_from_slice(&(-scalar(&raw[32..]).unwrap()).to_repr());
        other
    }

    #[test]
    fn either_half_of_s_gives_the_same_low_signature_and_recovers_to_the_key() {
        let mut bits = [0; 2];
        for seed in 0..200_u8 {
            let signer = SigningKey::from_slice(&keccak256([seed])).unwrap();
            let key = k256::PublicKey::from(signer.verifying_key());
            let digest = keccak256([seed, 1]);
            let raw: k256::ecdsa::Signature = signer.sign_prehash(&digest).unwrap();
            let raw: [u8; 64] = raw.to_bytes().into();

            let low = Signature::check(&raw, &digest, &key).unwrap();
            let high = Signature::check(&other_half(&raw), &digest, &key).unwrap();
            assert_eq!(low, high);

            let bit = low.as_bytes()[64] - 27;
            for given in [raw, other_half(&raw)] {
                let found = Recovery::new(&given).unwrap().signers(&digest);
                assert_eq!(found[usize::from(bit)], Some(Address::of(&key)));
                assert_ne!(found[usize::from(1 - bit)], Some(Address::of(&key)));
            }
            assert!(
                !Recovery::new(&low.as_bytes()[..64].try_into().unwrap())
                    .unwrap()
                    .is_high()
            );
            bits[usize::from(bit)] += 1;
            let parsed = k256::ecdsa::Signature::from_slice(&low.as_bytes()[..64]).unwrap();
            assert!(parsed.normalize_s().is_none(), "s is low");
            let recovered = VerifyingKey::recover_from_prehash(
                &digest,
                &parsed,
                RecoveryId::from_byte(bit).unwrap(),
            );
            assert_eq!(&recovered.unwrap(), signer.verifying_key());
        }
        assert!(
            bits[0] > 50 && bits[1] > 50,
            "both parities occurred: {bits:?}"
        );
    }

    /// The sum is k256's, at the edges too: a factor of 0 or 1, a sum at infinity, a key that is G or −G.
    #[test]
    fn two_libraries_come_to_the_same_point() {
        let secret = |seed: u8| scalar(&keccak256([seed])).unwrap();
        let edges = [Scalar::ZERO, Scalar::ONE, -Scalar::ONE, secret(0)];
        let (mut at_infinity, mut odd) = (0, 0);
        for of_key in [Scalar::ONE, -Scalar::ONE, secret(1), secret(2), secret(3)] {
            let q = (ProjectivePoint::GENERATOR * of_key).to_affine();
            let key = k256::PublicKey::from_affine(q).unwrap();
            let to_infinity = edges.map(|u1| (u1, -(u1 * of_key.invert().unwrap())));
            let others = edges.iter().flat_map(|u1| edges.map(|u2| (*u1, u2)));
            for (u1, u2) in to_infinity.into_iter().chain(others) {
                let expected =
                    ProjectivePoint::lincomb(&ProjectivePoint::GENERATOR, &u1, &q.into(), &u2);
                let expected = expected.to_affine().to_encoded_point(true);
                if let Some(point) = sum(u1, u2, &key) {
                    assert_eq!(expected.as_bytes(), point);
                    odd += u32::from(is_odd(&point));
                } else {
                    // With u₂ = 0 there is no such signature. No s has that, for r is not 0.
                    assert!(expected.is_identity() || bool::from(u2.is_zero()));
                    at_infinity += u32::from(expected.is_identity());
                }
            }
        }
        assert!(at_infinity >= 20 && odd > 10, "{at_infinity} {odd}");
    }

    #[test]
    fn a_signature_of_another_key_or_digest_never_leaves() {
        let signer = SigningKey::from_slice(&keccak256("signer")).unwrap();
        let other = SigningKey::from_slice(&keccak256("other")).unwrap();
        let digest = keccak256("digest");
        let raw: k256::ecdsa::Signature = signer.sign_prehash(&digest).unwrap();
        let raw: [u8; 64] = raw.to_bytes().into();

        let stranger = k256::PublicKey::from(other.verifying_key());
        assert_eq!(
            Signature::check(&raw, &digest, &stranger),
            Err(BadSignature::WrongKey)
        );
        let key = k256::PublicKey::from(signer.verifying_key());
        let checked = Signature::check(&raw, &keccak256("another"), &key);
        assert_eq!(checked, Err(BadSignature::WrongKey));
        for bad in [[0; 64], [0xff; 64]] {
            assert_eq!(
                Signature::check(&bad, &digest, &key),
                Err(BadSignature::OutOfRange)
            );
        }
    }
}
