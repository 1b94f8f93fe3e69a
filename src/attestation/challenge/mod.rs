//! A challenge that proves that a private key was there: a text that is nothing else (P7).
//!
//! # Why
//! A challenge begins with the byte 0x19 and `Chancery`. A transaction begins with its type or with an RLP
//! list, EIP-712 data with 0x19 0x01, a personal message with 0x19 `E`. A JWS's input is base64url with one
//! dot, and has neither the byte 0x19 nor a line break. So a key that signs a challenge signs nothing that
//! anybody else takes for something.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::clock::timestamp;
use crate::custody::{Algorithm, Payload, PublicKey};
use crate::ethereum::{self, keccak256};
use crate::id::{AttestationId, IntentId, KeyId};
use crate::keys::{Key, KeyState};
use crate::policy::{Action, Ask, Resource};
use crate::signing::{Answer, Business, Checked, Draft, Prepared};

/// The beginning of every challenge.
const PREFIX: &str = "\x19Chancery possession challenge 1\n";

/// A challenge, to be signed by the key itself.
pub(super) struct ChallengeDraft {
    key: Key,
    text: String,
}

impl ChallengeDraft {
    pub(super) fn new(key: Key, attestation: AttestationId, now: OffsetDateTime) -> Self {
        let mut random = [0; 32];
        getrandom::fill(&mut random).expect("the operating system has random bytes");
        let text = text(key.id, attestation, now, random);
        Self { key, text }
    }
}

fn text(key: KeyId, attestation: AttestationId, now: OffsetDateTime, random: [u8; 32]) -> String {
    let (at, random) = (timestamp(now), hex::encode(random));
    format!("{PREFIX}key: {key}\nattestation: {attestation}\nat: {at}\nrandom: {random}\n")
}

impl Ask for ChallengeDraft {
    fn action(&self) -> Action {
        Action::AttestKey
    }

    fn resource(&self) -> Resource {
        self.key.resource()
    }
}

impl Draft for ChallengeDraft {
    fn operation(&self) -> &'static str {
        "possession"
    }

    fn subject(&self) -> Uuid {
        self.key.id.uuid()
    }

    fn key(&self) -> &Key {
        &self.key
    }

    fn business(&self) -> Business {
        match self.key.state {
            KeyState::Active => Business::Ordinary,
            _ => Business::Probe,
        }
    }

    fn prepare(&self, _: i64) -> Prepared {
        let bytes = self.text.as_bytes();
        let (payload, digest) = match self.key.algorithm {
            Algorithm::Secp256k1 => {
                let digest = keccak256(bytes);
                (Payload::Digest(digest), digest)
            }
            Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096 => {
                let digest = Sha256::digest(bytes).into();
                (Payload::Message(bytes.to_vec()), digest)
            }
        };
        Prepared::new(payload, digest, json!({ "challenge": self.text }))
    }

    fn answer(&self, id: IntentId, _: &Prepared, signature: &Checked) -> Answer {
        let (algorithm, signature) = match signature {
            Checked::Ethereum(signature) => ("keccak256-secp256k1", signature.to_string()),
            Checked::Rs256(signature) => ("RS256", URL_SAFE_NO_PAD.encode(signature)),
            Checked::Hmac(..) => unreachable!("a challenge is no HMAC"),
        };
        let answer = json!({
            "challenge": self.text, "algorithm": algorithm, "signature": signature, "intent": id,
        });
        Answer {
            body: serde_json::to_vec(&answer).expect("plain data serializes"),
            is_secret: false,
        }
    }
}

/// Whether this key signed this challenge, and the challenge is for this attestation.
pub(super) fn proves(possession: &Value, attestation: &str, key: &str, public: &PublicKey) -> bool {
    let member = |name: &str| possession[name].as_str().unwrap_or_default();
    let (text, signature) = (member("challenge"), member("signature"));
    let Some(rest) = text.strip_prefix(PREFIX) else {
        return false;
    };
    let wanted = [format!("key: {key}"), format!("attestation: {attestation}")];
    if !rest.lines().take(2).eq(wanted.iter()) {
        return false;
    }
    match public {
        PublicKey::Secp256k1(public) => {
            let mut raw = [0; 65];
            let digits = signature.strip_prefix("0x").unwrap_or_default();
            if hex::decode_to_slice(digits, &mut raw).is_err() {
                return false;
            }
            let digest = keccak256(text);
            let (raw, _) = raw.split_first_chunk::<64>().expect("65 bytes have 64");
            ethereum::Signature::check(raw, &digest, public).is_ok()
        }
        PublicKey::Rsa(_) => URL_SAFE_NO_PAD
            .decode(signature)
            .is_ok_and(|signature| public.verify_rs256(text.as_bytes(), &signature)),
    }
}

#[cfg(test)]
mod tests;
