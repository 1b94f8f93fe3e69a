//! Fingerprints as people quote them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use sha2::{Digest as _, Sha256};

use crate::custody::PublicKey;

/// Hexadecimal digits without what people put between them.
pub(super) fn plain_hex(text: &str) -> String {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_prefix("sha256:").unwrap_or(&text);
    text.chars().filter(|c| !matches!(c, ':' | ' ')).collect()
}

/// Whether a quoted fingerprint is this key's, whole: no part of one counts.
pub(super) fn is_of(quoted: &str, key: &PublicKey) -> bool {
    let fingerprint = key.fingerprint();
    let text = quoted.trim();
    let text = text.strip_prefix("SHA256:").unwrap_or(text);
    let bare = text.trim_end_matches('=');
    plain_hex(quoted) == hex::encode(fingerprint)
        || bare == STANDARD_NO_PAD.encode(fingerprint)
        || bare == URL_SAFE_NO_PAD.encode(fingerprint)
        || bare == key.thumbprint()
        || is_of_pem(quoted, key)
}

/// Whether this is the SHA-256 of the key's PEM file, as mail and editors leave one: with either end of
/// lines, and with or without the last. It is the same key.
pub(super) fn is_of_pem(quoted: &str, key: &PublicKey) -> bool {
    let quoted = plain_hex(quoted);
    ["\n", "\r\n"].into_iter().any(|end| {
        let bare = key.to_pem().trim_end().replace('\n', end);
        let whole = format!("{bare}{end}");
        [bare, whole]
            .iter()
            .any(|file| quoted == hex::encode(Sha256::digest(file)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pem_file_is_the_same_with_other_ends_of_lines() {
        let generator = k256::SecretKey::from_slice(&[1; 32]).unwrap().public_key();
        let (key, other) = (
            PublicKey::Secp256k1(generator),
            PublicKey::Secp256k1(k256::SecretKey::from_slice(&[2; 32]).unwrap().public_key()),
        );
        let pem = key.to_pem();
        for file in [
            pem.clone(),
            pem.trim_end().to_owned(),
            pem.replace('\n', "\r\n"),
            pem.trim_end().replace('\n', "\r\n"),
        ] {
            let quoted = hex::encode(Sha256::digest(&file));
            assert!(is_of_pem(&quoted.to_uppercase(), &key), "{file:?}");
            assert!(!is_of_pem(&quoted, &other), "{file:?}");
        }
        let cut = &hex::encode(Sha256::digest(&pem))[..62];
        assert!(!is_of_pem(cut, &key) && !is_of_pem("", &key));
    }

    #[test]
    fn a_fingerprint_is_recognised_in_every_form_and_only_whole() {
        let rsa = rsa::RsaPublicKey::new(
            rsa::BigUint::from_bytes_be(&[0xc3; 256]),
            rsa::BigUint::from(65_537_u32),
        );
        let key = PublicKey::Rsa(rsa.unwrap());
        let hex = hex::encode(key.fingerprint());
        let pairs: Vec<_> = hex.as_bytes().chunks(2).collect();
        let colons = pairs
            .iter()
            .map(|pair| std::str::from_utf8(pair).unwrap().to_uppercase())
            .collect::<Vec<_>>()
            .join(":");
        let base64 = base64::engine::general_purpose::STANDARD.encode(key.fingerprint());
        for good in [
            &hex,
            &hex.to_uppercase(),
            &colons,
            &format!("SHA256:{base64}"),
            &base64,
            &key.thumbprint(),
            &format!(" {hex}\n"),
        ] {
            assert!(is_of(good, &key), "{good}");
        }
        for bad in [
            "",
            "sha256:",
            &hex[..62],
            &colons[..47],
            &base64[..20],
            "==",
        ] {
            assert!(!is_of(bad, &key), "{bad}");
        }
    }
}
