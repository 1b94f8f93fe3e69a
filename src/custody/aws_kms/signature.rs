//! Signatures as KMS writes them.

use crate::custody::{Algorithm, CustodyError, RawSignature};

/// A signature as KMS gives it, in our form: from DER for ECDSA, unchanged for RSA.
pub(super) fn raw(algorithm: Algorithm, bytes: &[u8]) -> Result<RawSignature, CustodyError> {
    let length = match algorithm {
        Algorithm::Secp256k1 => {
            // Strict DER: no byte too many, no number padded, none zero or beyond the order.
            let signature = k256::ecdsa::Signature::from_der(bytes).map_err(|_| {
                CustodyError::NotASignature("its DER is not that of r and s".into())
            })?;
            return Ok(RawSignature::Ecdsa(signature.to_bytes().into()));
        }
        Algorithm::Rsa2048 => 256,
        Algorithm::Rsa3072 => 384,
        Algorithm::Rsa4096 => 512,
    };
    if bytes.len() != length {
        let why = format!("{} bytes for an RSA signature", bytes.len());
        return Err(CustodyError::NotASignature(why));
    }
    Ok(RawSignature::Rsa(bytes.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DER of two numbers, each as it is given.
    fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
        let number = |bytes: &[u8]| [&[2, u8::try_from(bytes.len()).unwrap()], bytes].concat();
        let body = [number(r), number(s)].concat();
        [&[0x30, u8::try_from(body.len()).unwrap()], body.as_slice()].concat()
    }

    #[test]
    fn a_signature_is_read_from_der_whether_s_is_high_or_low() {
        let (small, high) = (
            [&[0x11; 32][..], &[0x22; 32]],
            [&[0x11; 32][..], &[0x7f; 32]],
        );
        for [r, s] in [small, high] {
            let RawSignature::Ecdsa(raw) = raw(Algorithm::Secp256k1, &der(r, s)).unwrap() else {
                panic!("not ECDSA");
            };
            assert_eq!([&raw[..32], &raw[32..]], [r, s]);
        }
        // With the sign byte, and with a number shorter than 32 bytes.
        let high = [&[0][..], &[0xfe; 32]].concat();
        let RawSignature::Ecdsa(raw) = raw(Algorithm::Secp256k1, &der(&[5], &high)).unwrap() else {
            panic!("not ECDSA");
        };
        assert_eq!(raw[..32], [&[0; 31][..], &[5]].concat());
        assert_eq!(raw[32..], [0xfe; 32]);
    }

    #[test]
    fn what_is_not_der_is_refused() {
        let (r, s) = ([0x11; 32], [0x22; 32]);
        let good = der(&r, &s);
        let padded = [&[0][..], &r].concat();
        let order =
            hex::decode("00fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
        let mut long_form = good.clone();
        long_form.splice(1..2, [0x81, good[1]]);
        let mut set = good.clone();
        set[0] = 0x31;
        for (what, bytes) in [
            ("empty", Vec::new()),
            ("cut", good[..good.len() - 1].to_vec()),
            ("trailing", [&good[..], &[0]].concat()),
            ("a number with a byte too many", der(&padded, &s)),
            ("zero", der(&[0], &s)),
            ("zero s", der(&r, &[0])),
            ("negative", der(&[0x80; 32], &s)),
            ("the order", der(&r, &order.unwrap())),
            ("33 bytes", der(&[0x11; 33], &s)),
            ("an empty number", der(&[], &s)),
            ("a length in two bytes", long_form),
            ("another tag", set),
            ("bare r and s", [r, s].concat()),
        ] {
            let refused = raw(Algorithm::Secp256k1, &bytes);
            assert!(
                matches!(refused, Err(CustodyError::NotASignature(_))),
                "{what}"
            );
        }
        for bytes in [vec![1; 255], vec![1; 257], Vec::new()] {
            assert!(raw(Algorithm::Rsa2048, &bytes).is_err());
        }
    }
}
