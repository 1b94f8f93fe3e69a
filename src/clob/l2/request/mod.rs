//! A request to the venue, as far as headers are made for it.

use ruint::aliases::U256;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::ethereum::eip712::Bytes32;
use crate::policy::Stake;
use crate::text;

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
const LONGEST_PATH: usize = 256;

/// A request that one header can be for, and that no other request can be taken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VenueRequest {
    method: &'static str,
    path: String,
    body: String,
}

/// Why no headers are made for a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestRefused {
    /// Not a method, or not in capitals.
    #[error("method: one of GET, POST, PUT, PATCH and DELETE, in capitals")]
    Method,
    /// It has a query.
    #[error(
        "path: what is signed has no query; leave out '?' and what follows, and send it all the same"
    )]
    Query,
    /// Not a path of the venue's.
    #[error(
        "path: it begins with one '/', has no host, no empty or dotted part, and at most 256 letters, digits, '/', '.', '_', '~' and '-'"
    )]
    Path,
    /// Not JSON that starts with a bracket.
    #[error("body: the exact JSON text that is sent, an object or a list, with nothing in front")]
    Body,
    /// What is put on record of it could not be.
    #[error("body: {}", text::NUL)]
    Nul,
    /// An order's body is not one.
    #[error(
        "body: an order is posted as an object with order and owner, orders as a list of these"
    )]
    Envelope,
    /// The order would be refused.
    #[error(
        "body: owner is not {0}, the API key that the headers are of, and the CLOB would refuse it"
    )]
    Owner(String),
    /// Too far from now.
    #[error(
        "timestamp: more than {0} s from this service's clock; leave it out, and the answer has one"
    )]
    Timestamp(u32),
}

/// What of a posted order names its owner; the rest is only put on record.
#[derive(serde::Deserialize)]
struct Envelope {
    owner: String,
    order: serde_json::Map<String, Value>,
    #[serde(default, rename = "orderType")]
    order_type: Value,
    #[serde(default, rename = "postOnly")]
    post_only: Value,
}

impl VenueRequest {
    /// Takes a request apart, as it is going to be sent.
    pub fn new(method: &str, path: &str, body: Option<&str>) -> Result<Self, RequestRefused> {
        let body = body.unwrap_or_default();
        let method = METHODS.into_iter().find(|known| *known == method);
        let method = method.ok_or(RequestRefused::Method)?;
        if path.contains('?') {
            return Err(RequestRefused::Query);
        }
        let plain =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'~' | b'-');
        let relative = path.strip_prefix('/').ok_or(RequestRefused::Path)?;
        let parts_are_whole = relative
            .split('/')
            .all(|part| !part.is_empty() && !part.bytes().all(|b| b == b'.'));
        if path.len() > LONGEST_PATH || !path.bytes().all(plain) || !parts_are_whole {
            return Err(RequestRefused::Path);
        }
        let is_json = serde_json::from_str::<&serde_json::value::RawValue>(body).is_ok();
        let starts_well = body.starts_with(['{', '[']);
        if !body.is_empty() && (!starts_well || !is_json) {
            return Err(RequestRefused::Body);
        }
        if text::has_nul(body) {
            return Err(RequestRefused::Nul);
        }
        Ok(Self {
            method,
            path: path.to_owned(),
            body: body.to_owned(),
        })
    }

    /// What policies see of it.
    pub fn stake(&self) -> Stake {
        Stake::new()
            .word("method", self.method)
            .text("path", self.path.as_str())
    }

    /// What is authenticated.
    pub fn message(&self, timestamp: i64) -> Vec<u8> {
        super::message(timestamp, self.method, &self.path, &self.body)
    }

    /// Whether it makes an API key at the venue, or another secret, and answers it to whoever sends it.
    pub fn makes_credentials(&self) -> bool {
        self.is_about_credentials() && !matches!(self.method, "GET" | "DELETE")
    }

    /// Whether it adds nothing at the venue: it reads, cancels, or deletes.
    pub fn reduces(&self) -> bool {
        matches!(self.method, "GET" | "DELETE")
    }

    /// Whether it ends an API key at the venue.
    pub fn deletes_credentials(&self) -> bool {
        self.is_about_credentials() && self.method == "DELETE"
    }

    /// Routers often take paths in any case, so this does.
    fn is_about_credentials(&self) -> bool {
        let first = self.path[1..].split('/').next().unwrap_or_default();
        first.eq_ignore_ascii_case("auth") || self.path.to_ascii_lowercase().contains("api-key")
    }

    /// An order's `owner` is the API key that posts it; the venue refuses any other, as a lost order.
    pub fn check_owner(&self, api_key: &str) -> Result<(), RequestRefused> {
        let orders = self.orders()?;
        if orders.iter().all(|order| order.owner == api_key) {
            Ok(())
        } else {
            Err(RequestRefused::Owner(api_key.to_owned()))
        }
    }

    /// For the intent's record: never the body, but what tells it.
    pub fn record(&self) -> Value {
        let mut record = json!({ "method": self.method, "path": self.path });
        if !self.body.is_empty() {
            record["body"] = json!({
                "sha256": Bytes32(Sha256::digest(&self.body).into()),
                "bytes": self.body.len(),
            });
        }
        let orders = self.orders().unwrap_or_default();
        if !orders.is_empty() {
            record["orders"] = orders.iter().map(Envelope::record).collect();
        }
        record
    }

    /// The orders that it posts; none if it posts none.
    /// The token ids of the orders that it posts.
    pub fn markets(&self) -> Vec<U256> {
        let orders = self.orders().unwrap_or_default();
        let ids = orders.iter().map(|it| it.order.get("tokenId"));
        let number = |id: Option<&Value>| match id? {
            Value::String(text) => U256::from_str_radix(text, 10).ok(),
            Value::Number(number) => number.as_u64().map(U256::from),
            _ => None,
        };
        ids.filter_map(number).collect()
    }

    /// Whether it only reads.
    pub fn reads(&self) -> bool {
        self.method == "GET"
    }

    fn orders(&self) -> Result<Vec<Envelope>, RequestRefused> {
        let parsed = match (self.method, self.path.to_ascii_lowercase().as_str()) {
            ("POST", "/order") => serde_json::from_str(&self.body).map(|one| vec![one]),
            ("POST", "/orders") => serde_json::from_str(&self.body),
            _ => return Ok(Vec::new()),
        };
        parsed.map_err(|_| RequestRefused::Envelope)
    }
}

impl Envelope {
    fn record(&self) -> Value {
        let mut record = serde_json::Map::new();
        for member in [
            "salt",
            "maker",
            "tokenId",
            "side",
            "makerAmount",
            "takerAmount",
            "expiration",
        ] {
            if let Some(value) = self.order.get(member) {
                record.insert(member.to_owned(), short(value));
            }
        }
        record.insert("orderType".to_owned(), short(&self.order_type));
        record.insert("postOnly".to_owned(), short(&self.post_only));
        Value::Object(record)
    }
}

/// A plain value that is not long; of anything else only that it was there.
fn short(value: &Value) -> Value {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        Value::String(text) if text.len() <= 80 => value.clone(),
        _ => "(not recorded)".into(),
    }
}

#[cfg(test)]
mod tests;
