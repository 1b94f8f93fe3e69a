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
mod tests;
