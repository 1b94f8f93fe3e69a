//! ECDSA signatures as tokens give them: `r ‖ s`, with leading zeros or without. Pure.

use crate::custody::{CustodyError, PublicKey};
use crate::ethereum::Signature;

/// `r ‖ s` with 32 bytes each. PKCS#11 wants both padded to the same length, but some tokens pad to
/// the longer one only, or strip each; then the right split is the one that verifies.
pub(super) fn whole(
    raw: &[u8],
    digest: &[u8; 32],
    key: &PublicKey,
) -> Result<[u8; 64], CustodyError> {
    if let Ok(whole) = raw.try_into() {
        return Ok(whole);
    }
    let no_signature = || {
        let length = raw.len();
        CustodyError::NotASignature(format!("{length} bytes for an ECDSA signature"))
    };
    let PublicKey::Secp256k1(key) = key else {
        return Err(no_signature());
    };
    if raw.len() > 64 {
        return Err(no_signature());
    }
    let shortest = raw.len().saturating_sub(32).max(1);
    let longest = raw.len().saturating_sub(1).min(32);
    let middle = raw.len() / 2;
    [middle]
        .into_iter()
        .chain((shortest..=longest).filter(|at| *at != middle))
        .filter_map(|at| padded(raw, at))
        .find(|whole| Signature::check(whole, digest, key).is_ok())
        .ok_or_else(no_signature)
}

fn padded(raw: &[u8], at: usize) -> Option<[u8; 64]> {
    let (r, s) = raw.split_at_checked(at)?;
    let mut whole = [0; 64];
    whole[32_usize.checked_sub(r.len())?..32].copy_from_slice(r);
    whole[64_usize.checked_sub(s.len())?..].copy_from_slice(s);
    Some(whole)
}

#[cfg(test)]
mod tests;
