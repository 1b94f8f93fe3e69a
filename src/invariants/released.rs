//! An answer that was released, and the signature in it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::row::Row;
use crate::audit::leaf::{Event, Intent, Leaf, Release};
use crate::custody::PublicKey;
use crate::ethereum::Signature;
use crate::sealing::Keyring;
use crate::signing::unpack;

/// For how long a key stands for one answer at the least.
pub(super) const KEPT_MS: u64 = 24 * 3_600 * 1_000;

/// An answer as the caller got it.
pub struct Released {
    /// Who asked.
    pub caller: Uuid,
    /// Under which key.
    pub idempotency_key: Option<String>,
    /// The body.
    pub body: String,
    pub(super) begun_at_ms: i64,
    pub(super) digest: [u8; 32],
    answer: Value,
}

/// The `jti` that an intent is to issue.
pub(super) fn jti(leaf: &Intent) -> Option<Uuid> {
    let record: Value = serde_json::from_str(&leaf.record).ok()?;
    record.pointer("/claims/jti")?.as_str()?.parse().ok()
}

impl Released {
    /// Reads it from its row, if it is what the leaf says.
    pub(super) fn read(row: &Row, leaf: &Release, sealing: &Keyring) -> Result<Self, &'static str> {
        let begun_leaf = row
            .begun_leaf
            .as_ref()
            .ok_or("its beginning is not there")?;
        let begun = Leaf::from_bytes(begun_leaf).ok_or("its beginning is no leaf")?;
        let Event::Intent(intent) = begun.event else {
            return Err("its beginning is no intent");
        };
        let ended = row.ended.as_ref().ok_or("its end is not there")?;
        let stored = ended.answer.as_ref().ok_or("it has no answer")?;
        let body = if ended.is_sealed {
            let opened = sealing.open(leaf.intent.as_bytes(), stored);
            opened.map_err(|_| "its seal does not open")?.to_vec()
        } else {
            unpack(stored.clone(), begun_leaf).ok_or("it is damaged")?
        };
        let hash: [u8; 32] = Sha256::digest(&body).into();
        if hash != leaf.answer_hash {
            return Err("it is another one");
        }
        let body = String::from_utf8(body).map_err(|_| "it is no text")?;
        let answer = serde_json::from_str(&body).map_err(|_| "it is no JSON")?;
        Ok(Self {
            caller: intent.caller,
            idempotency_key: intent.idempotency_key,
            digest: intent.digest,
            begun_at_ms: begun.at_ms,
            body,
            answer,
        })
    }

    /// Whether the signature in it is the one that was released, and the key's; `r`, where there is one. `None`:
    /// it is of no kind that a public key checks.
    pub(super) fn judge(
        &self,
        key: &PublicKey,
        hash: [u8; 32],
    ) -> Option<Result<Option<[u8; 32]>, &'static str>> {
        match key {
            PublicKey::Secp256k1(key) => {
                let bytes = find(&self.answer, hash)?;
                let raw = bytes[..64].try_into().expect("64 of 65 bytes are 64");
                let checked = Signature::check(raw, &self.digest, key);
                Some(match checked {
                    Ok(it) if *it.as_bytes() == bytes => Ok(Some(it.r())),
                    _ => Err("the signature is not the key's"),
                })
            }
            PublicKey::Rsa(_) => {
                let token = self.answer["client_assertion"].as_str()?;
                let (input, signature) = token.rsplit_once('.')?;
                let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
                let of = |bytes: &[u8]| -> [u8; 32] { Sha256::digest(bytes).into() };
                let is_right = of(input.as_bytes()) == self.digest
                    && of(&signature) == hash
                    && key.verify_rs256(input.as_bytes(), &signature);
                Some(
                    is_right
                        .then_some(None)
                        .ok_or("the assertion is not the key's"),
                )
            }
        }
    }
}

/// The 65 bytes of this hash, wherever the answer has them: an order's signature may stand within a contract's.
fn find(answer: &Value, hash: [u8; 32]) -> Option<[u8; 65]> {
    match answer {
        Value::String(text) => {
            let bytes = hex::decode(text.strip_prefix("0x")?).ok()?;
            let first: [u8; 65] = bytes.get(..65)?.try_into().ok()?;
            (<[u8; 32]>::from(Sha256::digest(first)) == hash).then_some(first)
        }
        Value::Array(all) => all.iter().find_map(|it| find(it, hash)),
        Value::Object(all) => all.values().find_map(|it| find(it, hash)),
        _ => None,
    }
}
