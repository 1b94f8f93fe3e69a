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
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::parse(text).unwrap()
    }

    const OURS: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// The example of the specification's own libraries.
    #[test]
    fn the_known_example_comes_out() {
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let body = r#"{"test": 2432232314}"#;
        let signed = sign(&[secret(OURS)], id, 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let headers = (id, "1614265330", signed.as_str());
        assert_eq!(
            verify(&[secret(OURS)], headers, body, 1_614_265_330),
            Ok(())
        );
    }

    #[test]
    fn a_receiver_takes_any_secret_it_knows_and_nothing_old_or_altered() {
        let new = || secret(&format!("{PREFIX}{}", STANDARD.encode([7; 32])));
        let signed = sign(&[new(), secret(OURS)], "i", 1_000, "b");
        let of = |secrets: &[Secret], id, at, body, now| {
            verify(secrets, (id, at, signed.as_str()), body, now)
        };
        for known in [new(), secret(OURS)] {
            assert_eq!(of(&[known], "i", "1000", "b", 1_300), Ok(()));
        }
        let other = || [secret(&format!("{PREFIX}{}", STANDARD.encode([8; 32])))];
        for (secrets, id, at, body, now, why) in [
            (other(), "i", "1000", "b", 1_000, NotVerified::Signature),
            ([new()], "j", "1000", "b", 1_000, NotVerified::Signature),
            ([new()], "i", "1001", "b", 1_000, NotVerified::Signature),
            ([new()], "i", "1000", "c", 1_000, NotVerified::Signature),
            ([new()], "i", "1000", "b", 1_301, NotVerified::Time),
            ([new()], "i", "1000", "b", 699, NotVerified::Time),
            ([new()], "i", "x", "b", 1_000, NotVerified::Headers),
            ([new()], "", "1000", "b", 1_000, NotVerified::Headers),
        ] {
            assert_eq!(of(&secrets, id, at, body, now), Err(why));
        }
    }

    #[test]
    fn a_secret_is_long_and_has_its_prefix() {
        let of = |length: usize| format!("{PREFIX}{}", STANDARD.encode(vec![1; length]));
        for (text, good) in [
            (of(24), true),
            (of(64), true),
            (of(23), false),
            (of(65), false),
            (STANDARD.encode([1; 32]), false),
            ("whsec_!".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(Secret::parse(&text).is_some(), good, "{text}");
        }
    }
}
