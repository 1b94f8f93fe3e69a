//! What the venue answers to level 1, and what its refusals mean. Both of its spellings are known:
//! the documentation's and the wire's.

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::clob::venue::VenueError;

/// An API key with its secrets, as the venue sends it.
#[derive(Deserialize)]
pub struct Received {
    /// Its id.
    #[serde(rename = "apiKey", deserialize_with = "id")]
    pub(super) api_key: String,
    #[serde(deserialize_with = "secret")]
    pub(super) secret: Zeroizing<String>,
    #[serde(deserialize_with = "secret")]
    pub(super) passphrase: Zeroizing<String>,
}

/// `GET /auth/api-keys`.
#[derive(Deserialize)]
pub(super) struct Listed {
    #[serde(rename = "apiKeys")]
    pub(super) api_keys: Vec<String>,
}

fn id<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    visible(&text, 100).then_some(text).ok_or_else(wrong)
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Zeroizing<String>, D::Error> {
    let text = Zeroizing::new(String::deserialize(from)?);
    visible(&text, 500).then_some(text).ok_or_else(wrong)
}

fn visible(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Says nothing of the value, which may be a secret.
fn wrong<E: serde::de::Error>() -> E {
    E::custom("visible ASCII text is wanted")
}

/// What a refusal of level 1 means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The nonce has made an API key.
    Used,
    /// `Could not create api key`: most often that, but the venue does not say.
    NotCreated,
    /// The nonce has made nothing.
    NotDerived,
    /// Signature, address, chain or time of the login are not right.
    Login,
    /// The wallet is not known to the venue.
    Funder,
}

/// The venue's words, in small letters, and what they mean. The first that fits counts.
const WORDS: [(&str, Refusal); 6] = [
    ("nonce_already_used", Refusal::Used),
    ("could not create api key", Refusal::NotCreated),
    ("could not derive api key", Refusal::NotDerived),
    ("invalid_signature", Refusal::Login),
    ("invalid l1 request headers", Refusal::Login),
    ("invalid funder", Refusal::Funder),
];

impl Refusal {
    /// What an error of a level 1 call means, where the venue said it in its own words.
    pub fn of(error: &VenueError) -> Option<Self> {
        let VenueError::Refused { text, .. } = error else {
            return None;
        };
        let text = text.to_lowercase();
        WORDS
            .iter()
            .find(|(words, _)| text.contains(words))
            .map(|(_, refusal)| *refusal)
    }
}

#[cfg(test)]
mod tests;
