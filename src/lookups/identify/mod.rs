//! What is this: any id, digest, address, order hash, `jti`, API key, nonce or name that somebody has in hand.

mod records;

use uuid::Uuid;

use super::records as names;
use super::{Lookups, Query, Term};
use crate::ethereum::Address;
use crate::ledger::LedgerError;

/// Something that it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thing {
    /// A stable word: `signature`, `key`, `wallet`, `nonce`, ….
    pub what: String,
    /// Its id. Of a `jti` and an idempotency key, that of the signature; of a nonce and an API key, that of the account.
    pub id: Option<Uuid>,
    /// What people call it.
    pub name: Option<String>,
    /// To what it belongs, or how it stands.
    pub of: Option<String>,
}

/// What the text can be, by its shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// An id.
    Id(Uuid),
    /// A hash: a digest, an order hash, a key's fingerprint.
    Hash([u8; 32]),
    /// An Ethereum signature: its r.
    Signature([u8; 32]),
    /// An address.
    Address(Address),
    /// Decimal digits: a nonce, a market's token id.
    Number(String),
    /// Anything else: a name, an API key, an idempotency key.
    Text(String),
}

impl Shape {
    /// Of what somebody typed in.
    pub fn of(text: &str) -> Self {
        let text = text.trim();
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let bytes = hex::decode(digits).unwrap_or_default();
        if let Ok(hash) = bytes.as_slice().try_into() {
            return Self::Hash(hash);
        }
        if let (65, Some(r)) = (bytes.len(), bytes.first_chunk::<32>()) {
            return Self::Signature(*r);
        }
        if let Ok(address) = text.parse() {
            return Self::Address(address);
        }
        if let Ok(id) = text.parse() {
            return Self::Id(id);
        }
        let is_number = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        if is_number && text.len() <= 78 {
            let number = text.trim_start_matches('0');
            return Self::Number(if number.is_empty() { "0" } else { number }.to_owned());
        }
        Self::Text(text.to_owned())
    }
}

impl Lookups {
    /// What it may be, as far as rows say. Signatures with this digest, hash or r are `signing`'s to find.
    pub async fn identify(&self, shape: &Shape) -> Result<Vec<Thing>, LedgerError> {
        let ledger = &self.ledger;
        match shape {
            Shape::Id(id) => {
                let mut things = records::by_id(*id, ledger).await?;
                // The venue's API keys look like ids.
                things.extend(records::by_text(&id.to_string(), ledger).await?);
                Ok(things)
            }
            Shape::Hash(hash) => records::by_hash(hash, ledger).await,
            Shape::Signature(_) => Ok(Vec::new()),
            Shape::Address(address) => records::by_address(&address.0, ledger).await,
            Shape::Number(number) => {
                let mut things = Vec::new();
                if number.len() <= 20 {
                    things.extend(records::by_nonce(number, ledger).await?);
                }
                let orders = Query {
                    terms: vec![Term::market(number)],
                    limit: 1,
                    ..Query::default()
                };
                if !self.find(&orders).await?.entries.is_empty() {
                    things.push(Thing {
                        what: "market".to_owned(),
                        id: None,
                        name: Some(number.clone()),
                        of: None,
                    });
                }
                things.extend(records::by_text(number, ledger).await?);
                Ok(things)
            }
            Shape::Text(text) => {
                let named = names::named(text, ledger).await?;
                let named = named.into_iter().map(|it| Thing {
                    what: it.kind,
                    id: Some(it.id),
                    name: Some(it.name),
                    of: None,
                });
                let mut things: Vec<Thing> = named.collect();
                things.extend(records::by_text(text, ledger).await?);
                Ok(things)
            }
        }
    }
}

#[cfg(test)]
mod tests;
