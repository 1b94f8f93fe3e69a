//! An order as somebody wrote it: any of the three shapes, read without losing a digit.

use std::collections::BTreeMap;

use ruint::aliases::U256;
use serde_json::value::RawValue;

use super::super::contracts::{Format, Layout};
use super::super::nested;
use super::super::wallet::SignatureType;
use crate::ethereum::eip712::{self, Bytes32, number};
use crate::ethereum::{Address, keccak256};
use crate::operations::deposit::unwrap_session;

/// No member of an order needs more, but for the signature.
const MEMBER_LIMIT: usize = 160;
/// A session key's signature has 610 bytes; as text twice that.
const SIGNATURE_LIMIT: usize = 4096;

/// The signed members of any version of the order. Unlike
/// [`Contents`](super::super::contents::Contents) it also holds what nobody should have signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) salt: U256,
    pub(super) maker: Address,
    pub(super) signer: Address,
    pub(super) token_id: U256,
    pub(super) maker_amount: U256,
    pub(super) taker_amount: U256,
    pub(super) side: u8,
    pub(super) signature_type: u8,
    /// Version 1's members, where they are there.
    pub(super) expiring: Option<Expiring>,
    /// Those of versions 2 and 3.
    pub(super) timestamped: Option<Timestamped>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expiring {
    pub(super) taker: Address,
    pub(super) expiration: U256,
    pub(super) nonce: U256,
    pub(super) fee_rate_bps: U256,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timestamped {
    pub(super) timestamp: U256,
    pub(super) metadata: Bytes32,
    pub(super) builder: Bytes32,
}

impl Fields {
    /// `hashStruct` in this format, where its members are there.
    #[rustfmt::skip]
    pub(super) fn struct_hash(&self, format: &Format) -> Option<[u8; 32]> {
        let word = |it: U256| it.to_be_bytes::<32>();
        let (maker, signer) = (self.maker.word(), self.signer.word());
        let (gives, takes) = (word(self.maker_amount), word(self.taker_amount));
        let (side, kind) = (number(self.side), number(self.signature_type));
        let (salt, token_id) = (word(self.salt), word(self.token_id));
        let words = match format.layout {
            Layout::Expiring => {
                let it = self.expiring?;
                vec![
                    salt, maker, signer, it.taker.word(), token_id, gives, takes,
                    word(it.expiration), word(it.nonce), word(it.fee_rate_bps), side, kind,
                ]
            }
            Layout::Timestamped => {
                let it = self.timestamped?;
                vec![
                    salt, maker, signer, token_id, gives, takes, side, kind,
                    word(it.timestamp), it.metadata.0, it.builder.0,
                ]
            }
        };
        Some(eip712::struct_hash(&format.order_type_hash, &words))
    }

    pub(super) fn kind(&self) -> Option<SignatureType> {
        SignatureType::try_from(self.signature_type).ok()
    }

    pub(super) fn is_buy(&self) -> bool {
        self.side == 0
    }
}

/// The 65 bytes that the key made, and what they came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed {
    /// `r ‖ s`.
    pub(super) rs: [u8; 64],
    pub(super) v: u8,
    pub(super) wrapper: Option<Wrapper>,
    /// Whose key it says it is, where it is a session key's.
    pub(super) session: Option<Address>,
}

/// What follows a nested signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrapper {
    pub(super) separator: [u8; 32],
    pub(super) contents: [u8; 32],
    pub(super) order_type: Vec<u8>,
    pub(super) length: [u8; 2],
}

impl Signed {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = hex::decode(text.strip_prefix("0x").unwrap_or(text)).ok()?;
        let inner = unwrap_session(&bytes);
        let session = inner.and_then(|_| bytes.get(12..32)?.try_into().ok().map(Address));
        let bytes = inner.unwrap_or(&bytes);
        let (first, rest) = bytes.split_first_chunk::<65>()?;
        let wrapper = if rest.is_empty() {
            None
        } else {
            let (separator, rest) = rest.split_first_chunk()?;
            let (contents, rest) = rest.split_first_chunk()?;
            let (order_type, length) = rest.split_last_chunk()?;
            Some(Wrapper {
                separator: *separator,
                contents: *contents,
                order_type: order_type.to_vec(),
                length: *length,
            })
        };
        let (rs, v) = first.split_first_chunk()?;
        Some(Self {
            rs: *rs,
            v: v[0],
            wrapper,
            session,
        })
    }

    /// `r`.
    pub(super) fn r(&self) -> Option<[u8; 32]> {
        self.rs[..32].try_into().ok()
    }
}

/// The order's members and the envelope's, as text.
#[derive(Debug, Clone, Default)]
pub(super) struct Given {
    pub(super) members: BTreeMap<String, String>,
    pub(super) envelope: Option<BTreeMap<String, String>>,
    /// What the members were in the JSON.
    pub(super) kinds: BTreeMap<String, Kind>,
    pub(super) envelope_kinds: BTreeMap<String, Kind>,
}

/// What a member is in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Flag,
    Other,
}

impl Kind {
    fn of(raw: &str) -> Self {
        match raw.bytes().next() {
            Some(b'"') => Self::Text,
            Some(b'-' | b'0'..=b'9') => Self::Number,
            Some(b't' | b'f') => Self::Flag,
            _ => Self::Other,
        }
    }
}

/// Why there is nothing to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnOrder {
    /// Not a JSON object.
    #[error("order: a JSON object is wanted, the `order` member of POST /order or its whole body")]
    Shape,
    /// A member is absurdly long.
    #[error("order: a member is too long")]
    TooLong,
}

impl Given {
    pub(super) fn read(order: &RawValue) -> Result<Self, NotAnOrder> {
        type Members<'a> = BTreeMap<String, &'a RawValue>;
        let members = |raw: &str| {
            serde_json::from_str::<Members<'_>>(raw)
                .map(|all| {
                    all.into_iter()
                        .map(|(name, value)| (name, value.get().to_owned()))
                        .collect::<BTreeMap<_, _>>()
                })
                .map_err(|_| NotAnOrder::Shape)
        };
        let outer = members(order.get())?;
        let (inner, envelope) = match outer.get("order").map(String::as_str) {
            Some(inner) => (members(inner)?, Some(outer.clone())),
            None => (outer, None),
        };
        let mut given = Self::default();
        for (name, raw) in inner {
            let text = given.text(&name, &raw)?;
            given.members.insert(name, text);
        }
        if let Some(all) = envelope {
            let plain = all.into_iter().filter(|(_, raw)| raw.len() <= MEMBER_LIMIT);
            let mut members = BTreeMap::new();
            for (name, raw) in plain {
                given.envelope_kinds.insert(name.clone(), Kind::of(&raw));
                members.insert(name, unquote(&raw));
            }
            given.envelope = Some(members);
        }
        Ok(given)
    }

    fn text(&mut self, name: &str, raw: &str) -> Result<String, NotAnOrder> {
        let limit = if name == "signature" {
            SIGNATURE_LIMIT
        } else {
            MEMBER_LIMIT
        };
        if raw.len() > limit || name.len() > MEMBER_LIMIT {
            return Err(NotAnOrder::TooLong);
        }
        self.kinds.insert(name.to_owned(), Kind::of(raw));
        Ok(unquote(raw))
    }

    /// What a member of the order is in the JSON.
    pub(super) fn kind(&self, name: &str) -> Option<Kind> {
        self.kinds.get(name).copied()
    }

    /// What a member of the envelope is in the JSON.
    pub(super) fn envelope_kind(&self, name: &str) -> Option<Kind> {
        self.envelope_kinds.get(name).copied()
    }

    pub(super) fn envelope(&self, name: &str) -> Option<&str> {
        self.envelope.as_ref()?.get(name).map(String::as_str)
    }

    /// The expiration, which is signed only in version 1.
    pub(super) fn expiration(&self) -> U256 {
        let text = self.members.get("expiration");
        text.and_then(|it| whole(it)).unwrap_or_default()
    }

    pub(super) fn signature(&self) -> Option<Signed> {
        Signed::parse(self.members.get("signature")?)
    }

    /// The members as values, or the names of those that cannot be read.
    pub(super) fn fields(&self) -> Result<Fields, Vec<&'static str>> {
        let mut wrong = Vec::new();
        let shared = Fields {
            salt: self.get("salt", &mut wrong, whole),
            maker: self.get("maker", &mut wrong, address),
            signer: self.get("signer", &mut wrong, address),
            token_id: self.get("tokenId", &mut wrong, whole),
            maker_amount: self.get("makerAmount", &mut wrong, whole),
            taker_amount: self.get("takerAmount", &mut wrong, whole),
            side: self.get("side", &mut wrong, side),
            signature_type: self.get("signatureType", &mut wrong, kind),
            expiring: None,
            timestamped: None,
        };
        let has = |name: &str| self.members.contains_key(name);
        let expiring = ["taker", "nonce", "feeRateBps"].iter().any(|it| has(it));
        let timestamped = ["timestamp", "metadata", "builder"]
            .iter()
            .any(|it| has(it));
        let fields = Fields {
            expiring: expiring.then(|| Expiring {
                taker: self.get("taker", &mut wrong, address),
                expiration: self.get("expiration", &mut wrong, whole),
                nonce: self.get("nonce", &mut wrong, whole),
                fee_rate_bps: self.get("feeRateBps", &mut wrong, whole),
            }),
            timestamped: (timestamped || !expiring).then(|| Timestamped {
                timestamp: self.get("timestamp", &mut wrong, whole),
                metadata: self.get("metadata", &mut wrong, |it| it.parse().ok()),
                builder: self.get("builder", &mut wrong, |it| it.parse().ok()),
            }),
            ..shared
        };
        if self.signature().is_none() {
            wrong.push("signature");
        }
        if wrong.is_empty() {
            Ok(fields)
        } else {
            Err(wrong)
        }
    }

    fn get<T: Blank>(
        &self,
        name: &'static str,
        wrong: &mut Vec<&'static str>,
        read: impl Fn(&str) -> Option<T>,
    ) -> T {
        let value = self.members.get(name).and_then(|text| read(text));
        value.unwrap_or_else(|| {
            wrong.push(name);
            T::blank()
        })
    }
}

/// What stands in the place of a value that could not be read; it is never used.
trait Blank {
    fn blank() -> Self;
}
impl Blank for U256 {
    fn blank() -> Self {
        Self::ZERO
    }
}
impl Blank for Address {
    fn blank() -> Self {
        Self::ZERO
    }
}
impl Blank for Bytes32 {
    fn blank() -> Self {
        Self::default()
    }
}
impl Blank for u8 {
    fn blank() -> Self {
        0
    }
}

fn unquote(raw: &str) -> String {
    serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.to_owned())
}

/// Decimal digits, `0x` and hexadecimal ones, or a number with an exponent, as JavaScript writes it.
pub(super) fn whole(text: &str) -> Option<U256> {
    if let Some(digits) = text.strip_prefix("0x") {
        return U256::from_str_radix(digits, 16)
            .ok()
            .filter(|_| !digits.is_empty());
    }
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.trim_start_matches('+').parse().ok()?),
        None => (text, 0_usize),
    };
    let (integer, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let zeros = exponent
        .checked_sub(fraction.len())
        .filter(|it| *it <= 78)?;
    let plain = format!("{integer}{fraction}{}", "0".repeat(zeros));
    if integer.is_empty() || !plain.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    U256::from_str_radix(&plain, 10).ok()
}

/// Clients differ in case, and none of it is signed.
fn address(text: &str) -> Option<Address> {
    text.to_lowercase().parse().ok()
}

fn side(text: &str) -> Option<u8> {
    match text {
        "BUY" | "0" => Some(0),
        "SELL" | "1" => Some(1),
        _ => None,
    }
}

fn kind(text: &str) -> Option<u8> {
    text.parse().ok().filter(|it| *it <= 3)
}

/// A member's value in one spelling, so that two spellings of one value compare equal.
pub(super) fn spelled(name: &str, text: &str) -> String {
    let numeral = || whole(text).map(|it| it.to_string());
    let plain = match name {
        "maker" | "signer" | "taker" => address(text).map(|it| it.to_string()),
        "side" => side(text).map(|it| it.to_string()),
        "signature" | "metadata" | "builder" => Some(text.to_lowercase()),
        _ => numeral(),
    };
    plain.unwrap_or_else(|| text.to_owned())
}

/// What the key of a deposit wallet signs.
pub(super) fn nested_digest(
    fields: &Fields,
    format: &Format,
    separator: &[u8; 32],
    chain_id: u64,
) -> Option<[u8; 32]> {
    let contents = fields.struct_hash(format)?;
    let outer = nested::typed_data_sign(format, &contents, chain_id, fields.signer);
    Some(eip712::digest(separator, &outer))
}

/// Whether what follows a nested signature belongs to this order.
pub(super) fn fits(
    wrapper: &Wrapper,
    separator: &[u8; 32],
    contents: &[u8; 32],
    format: &Format,
) -> bool {
    let length = u16::try_from(format.order_type.len()).unwrap_or_default();
    wrapper.separator == *separator
        && wrapper.contents == *contents
        && keccak256(&wrapper.order_type) == format.order_type_hash
        && wrapper.length == length.to_be_bytes()
}
