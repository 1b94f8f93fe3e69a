//! Answers as they are stored: what the intent's leaf says is not stored a second time.

use lz4_flex::block;
use sha2::{Digest, Sha256};

use crate::audit::{Event, Leaf};
use crate::id::IntentId;
use crate::ledger::LedgerError;

/// The first byte of a packed answer. Those of before are JSON text, which begins otherwise.
const LZ4: u8 = 1;

/// No answer is longer.
const LARGEST: usize = 1 << 20;

/// Packs an answer, with the leaf of its intent as the dictionary: an order is in both.
pub(super) fn pack(body: &[u8], leaf: &[u8]) -> Vec<u8> {
    let mut packed = block::compress_prepend_size_with_dict(body, leaf);
    packed.insert(0, LZ4);
    packed
}

/// The answer, byte for byte. `None`: it is damaged.
pub(crate) fn unpack(stored: Vec<u8>, leaf: &[u8]) -> Option<Vec<u8>> {
    match stored.split_first() {
        Some((&LZ4, packed)) => {
            let (length, _) = block::uncompressed_size(packed).ok()?;
            if length > LARGEST {
                return None;
            }
            block::decompress_size_prepended_with_dict(packed, leaf).ok()
        }
        _ => Some(stored),
    }
}

/// Whether an answer is the one whose hash stands in the leaf of its release.
pub(super) fn is_as_released(
    answer: &[u8],
    leaf: &[u8],
    intent: IntentId,
) -> Result<(), LedgerError> {
    let hash: [u8; 32] = Sha256::digest(answer).into();
    match Leaf::from_bytes(leaf).map(|leaf| leaf.event) {
        Some(Event::Released(it)) if it.intent == intent.uuid() && it.answer_hash == hash => Ok(()),
        _ => {
            tracing::error!(alarm = "falsified", %intent, "a stored answer is not the one that was released");
            Err(LedgerError::Falsified("ends", intent.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_back_as_it_was_and_one_of_before_too() {
        let order =
            r#"{"maker":"0xDA3E7d1d5B1D42D974E925A8EE7104e1d6A93F00","tokenId":"713210456792522"}"#;
        let leaf = format!("intent {order}");
        let body = format!(r#"{{"id":"1","order":{order},"signature":"0x7462ae"}}"#).into_bytes();
        let packed = pack(&body, leaf.as_bytes());
        assert!(
            packed.len() < body.len() - order.len() / 2,
            "{}",
            packed.len()
        );
        assert_eq!(unpack(packed.clone(), leaf.as_bytes()), Some(body.clone()));
        assert_eq!(unpack(body.clone(), b"any"), Some(body));
        assert_eq!(unpack(packed[..9].to_vec(), leaf.as_bytes()), None);
    }
}
