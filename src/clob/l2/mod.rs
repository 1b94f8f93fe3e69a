//! Level 2: headers of one request, made with an API key's secret. Source: the CLOB documentation's
//! authentication page; for builders, the builder signing SDKs.
//!
//! It promises that a header is for exactly the request that was asked about and permitted. It
//! **trusts** the caller to send that request, and the venue to take it within its window only.
//!
//! # Why
//! What is authenticated is timestamp, method, path and body in a row, with nothing between them. A
//! body that starts with a piece of another path would be a header for that path, so paths here hold
//! no brackets and bodies are JSON that starts with one.

mod draft;
mod request;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::credentials::Kind;
use crate::ethereum::Address;
pub use draft::{HeaderDraft, IssuedHeaders, Shape};
pub use request::{RequestRefused, VenueRequest};

/// `[l2]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How far from our clock a timestamp may be that a caller chooses, in seconds.
    pub timestamp_window_s: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timestamp_window_s: 30,
        }
    }
}

/// Either alphabet, with padding or without: clients differ, and the venue's secrets came in both.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The key that a secret's text stands for. `None`: it is empty or not base64. Some clients take an
/// empty secret for an empty key, or drop what is not base64; neither ever authenticates.
pub fn key(secret: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut text = Zeroizing::new(secret.to_vec());
    for byte in text.iter_mut() {
        *byte = match *byte {
            b'+' => b'-',
            b'/' => b'_',
            other => other,
        };
    }
    let mut key = Zeroizing::new(vec![0; text.len()]);
    let length = LENIENT.decode_slice(&*text, &mut key).ok()?;
    key.truncate(length);
    (length > 0).then_some(key)
}

/// What is authenticated: the timestamp as the header has it, the method in capitals, the path without
/// a query, and the body's bytes as they are sent.
pub fn message(timestamp: i64, method: &str, path: &str, body: &str) -> Vec<u8> {
    format!("{timestamp}{method}{path}{body}").into_bytes()
}

/// `POLY_SIGNATURE`: base64 in the URL-safe alphabet, padded.
pub fn signature(mac: &[u8; 32]) -> String {
    URL_SAFE.encode(mac)
}

/// HMAC-SHA256 with a key at hand, as the vault makes it. For comparing with what others made.
///
/// # Panics
/// Never: SHA-256 has 32 bytes.
pub fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    tag.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// The headers of a trading key, in the clients' order.
pub const TRADING_HEADERS: [&str; 5] = [
    "POLY_ADDRESS",
    "POLY_SIGNATURE",
    "POLY_TIMESTAMP",
    "POLY_API_KEY",
    "POLY_PASSPHRASE",
];

/// The headers in the clients' order: five of a trading key, four of a builder's, which stand beside
/// them and name no address.
pub fn headers(
    kind: Kind,
    address: &Address,
    api_key: &str,
    passphrase: &str,
    timestamp: i64,
    signature: &str,
) -> Vec<(&'static str, String)> {
    let (key, passphrase, signature) = (api_key.into(), passphrase.into(), signature.into());
    let timestamp = timestamp.to_string();
    match kind {
        Kind::Trading => vec![
            ("POLY_ADDRESS", address.to_string()),
            ("POLY_SIGNATURE", signature),
            ("POLY_TIMESTAMP", timestamp),
            ("POLY_API_KEY", key),
            ("POLY_PASSPHRASE", passphrase),
        ],
        Kind::Builder => vec![
            ("POLY_BUILDER_API_KEY", key),
            ("POLY_BUILDER_PASSPHRASE", passphrase),
            ("POLY_BUILDER_SIGNATURE", signature),
            ("POLY_BUILDER_TIMESTAMP", timestamp),
        ],
    }
}
