//! How a webhook is signed: `webhook-id`, `webhook-timestamp` and `webhook-signature` of the Standard Webhooks
//! specification (<https://github.com/standard-webhooks/standard-webhooks>, version 1.0.0).

use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::guarded_file;

/// What every secret begins with.
const PREFIX: &str = "whsec_";

/// How far from the receiver's clock a timestamp may be, in seconds.
pub const TOLERANCE_S: i64 = 300;

/// A secret that a webhook and its receiver share.
pub struct Secret(hmac::Key); // wiped by aws-lc when it is dropped

/// Why a file holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum BadSecret {
    /// It cannot be read, or others can write it, or everybody can read it.
    #[error("cannot read {0}: {1}")]
    File(PathBuf, std::io::Error),
    /// It holds something else.
    #[error(
        "{0} holds no secret: whsec_ and the base64 of 24 to 64 bytes, as: echo \"whsec_$(openssl rand -base64 32)\""
    )]
    Form(PathBuf),
}

/// Why a webhook is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotVerified {
    /// A header is missing or malformed.
    #[error("webhook-id, webhook-timestamp and webhook-signature are wanted")]
    Headers,
    /// It is old, or from the future.
    #[error("webhook-timestamp is more than {TOLERANCE_S} s from this clock")]
    Time,
    /// No signature is by a secret of ours.
    #[error("no signature is by a secret that is known here")]
    Signature,
}

impl Secret {
    /// Reads one from a file that nobody else may write, nor everybody read.
    pub fn read(file: &Path) -> Result<Self, BadSecret> {
        let text = guarded_file::read_private(file)
            .map_err(|error| BadSecret::File(file.to_owned(), error))?;
        Self::parse(text.trim()).ok_or_else(|| BadSecret::Form(file.to_owned()))
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix(PREFIX)?;
        let bytes = Zeroizing::new(STANDARD.decode(text).ok()?);
        let fits = (24..=64).contains(&bytes.len());
        fits.then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }
}

/// What is signed.
fn content(id: &str, timestamp: i64, body: &str) -> Vec<u8> {
    format!("{id}.{timestamp}.{body}").into_bytes()
}

/// `webhook-signature`: one by each secret, so that the receiver may know any of them.
pub fn sign(secrets: &[Secret], id: &str, timestamp: i64, body: &str) -> String {
    let content = content(id, timestamp, body);
    let one = |secret: &Secret| {
        let tag = hmac::sign(&secret.0, &content);
        format!("v1,{}", STANDARD.encode(tag))
    };
    let all: Vec<_> = secrets.iter().map(one).collect();
    all.join(" ")
}

/// What a receiver does: that one of the signatures is by one of the secrets, and that it is of now.
pub fn verify(
    secrets: &[Secret],
    (id, timestamp, signatures): (&str, &str, &str),
    body: &str,
    now_s: i64,
) -> Result<(), NotVerified> {
    let at: i64 = timestamp.parse().map_err(|_| NotVerified::Headers)?;
    if id.is_empty() {
        return Err(NotVerified::Headers);
    }
    if now_s.abs_diff(at) > TOLERANCE_S.unsigned_abs() {
        return Err(NotVerified::Time);
    }
    let content = content(id, at, body);
    let mut tags = signatures
        .split(' ')
        .filter_map(|it| it.strip_prefix("v1,"))
        .filter_map(|it| STANDARD.decode(it).ok());
    let is_ours = |tag: Vec<u8>| {
        let by = |secret: &Secret| hmac::verify(&secret.0, &content, &tag).is_ok();
        secrets.iter().any(by)
    };
    if tags.any(is_ours) {
        Ok(())
    } else {
        Err(NotVerified::Signature)
    }
}

#[cfg(test)]
mod tests;
