use k256::ecdsa::SigningKey;
use k256::ecdsa::signature::hazmat::PrehashSigner as _;

use super::*;

fn strip(half: &[u8]) -> &[u8] {
    let zeros = half.iter().take_while(|byte| **byte == 0).count();
    &half[zeros..]
}

#[test]
fn what_is_stripped_is_padded_again_where_it_verifies() {
    let signer = SigningKey::from_slice(&[7; 32]).unwrap();
    let key = PublicKey::Secp256k1(signer.verifying_key().into());
    let other = SigningKey::from_slice(&[8; 32]).unwrap();
    let other = PublicKey::Secp256k1(other.verifying_key().into());
    let (mut of_r, mut of_s) = (0, 0);
    for number in 0..2000_u32 {
        let digest = crate::ethereum::keccak256(number.to_be_bytes());
        let signature: k256::ecdsa::Signature = signer.sign_prehash(&digest).unwrap();
        let bytes: [u8; 64] = signature.to_bytes().into();
        let (r, s) = (strip(&bytes[..32]), strip(&bytes[32..]));
        if number % 100 != 0 && r.len() == 32 && s.len() == 32 {
            continue;
        }
        of_r += u32::from(r.len() < 32);
        of_s += u32::from(s.len() < 32);
        let each = [r, s].concat();
        assert_eq!(whole(&each, &digest, &key).unwrap(), bytes);
        let longer = r.len().max(s.len());
        let both = [&bytes[32 - longer..32], &bytes[64 - longer..]].concat();
        assert_eq!(whole(&both, &digest, &key).unwrap(), bytes);
        if each.len() < 64 {
            let wrong = whole(&each, &digest, &other);
            assert!(matches!(wrong, Err(CustodyError::NotASignature(_))));
            let altered = whole(&each, &[0; 32], &key);
            assert!(matches!(altered, Err(CustodyError::NotASignature(_))));
        }
    }
    assert!(of_r > 0 && of_s > 0, "{of_r} {of_s}");
}

#[test]
fn what_is_no_signature_is_refused() {
    let signer = SigningKey::from_slice(&[7; 32]).unwrap();
    let key = PublicKey::Secp256k1(signer.verifying_key().into());
    let digest = [1; 32];
    let signature: k256::ecdsa::Signature = signer.sign_prehash(&digest).unwrap();
    let bytes: [u8; 64] = signature.to_bytes().into();
    let der = signature.to_der();
    let long = [bytes.as_slice(), &[0]].concat();
    for raw in [
        &[][..],
        &[1],
        &bytes[..63],
        &bytes[1..],
        &long,
        der.as_bytes(),
        &[0; 40],
    ] {
        let refused = whole(raw, &digest, &key);
        assert!(
            matches!(refused, Err(CustodyError::NotASignature(_))),
            "{raw:?}"
        );
    }
    // A signature of full length is for others to verify.
    assert_eq!(whole(&[0; 64], &digest, &key).unwrap(), [0; 64]);
}
