//! Contract ABI encoding of the few types that the catalogue's functions have, and its strict reverse.

use ruint::aliases::U256;

use crate::ethereum::eip712::number;
use crate::ethereum::{Address, keccak256};

/// A value of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `address`
    Address(Address),
    /// `uint256`, and all shorter ones.
    Number(U256),
    /// `bool`
    Flag(bool),
    /// `bytes32`, or shorter and filled up with zeros.
    Fixed([u8; 32]),
    /// `uint256[]`
    Numbers(Vec<U256>),
    /// `bytes`
    Bytes(Vec<u8>),
}

impl From<Address> for Value {
    fn from(address: Address) -> Self {
        Self::Address(address)
    }
}

impl From<U256> for Value {
    fn from(number: U256) -> Self {
        Self::Number(number)
    }
}

impl Value {
    fn word(&self) -> Option<[u8; 32]> {
        match self {
            Self::Address(address) => Some(address.word()),
            Self::Number(number) => Some(number.to_be_bytes()),
            Self::Flag(flag) => Some(number(u64::from(*flag))),
            Self::Fixed(word) => Some(*word),
            Self::Numbers(_) | Self::Bytes(_) => None,
        }
    }

    /// What stands behind the heads.
    fn tail(&self) -> Vec<u8> {
        match self {
            Self::Numbers(numbers) => {
                let words = numbers.iter().map(U256::to_be_bytes::<32>);
                let words = std::iter::once(length(numbers.len())).chain(words);
                words.flatten().collect()
            }
            Self::Bytes(bytes) => {
                let mut tail = length(bytes.len()).to_vec();
                tail.extend(bytes);
                tail.resize(32 + bytes.len().next_multiple_of(32), 0);
                tail
            }
            _ => Vec::new(),
        }
    }

    /// As people read it.
    pub fn shown(&self, kind: &str) -> serde_json::Value {
        match self {
            Self::Address(address) => address.to_string().into(),
            Self::Number(number) => number.to_string().into(),
            Self::Flag(flag) => (*flag).into(),
            Self::Fixed(word) if kind == "bytes31" => hexed(&word[..31]).into(),
            Self::Fixed(word) => hexed(word).into(),
            Self::Numbers(numbers) => numbers.iter().map(U256::to_string).collect(),
            Self::Bytes(bytes) => hexed(bytes).into(),
        }
    }
}

/// `0x` and digits.
pub fn hexed(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn length(length: usize) -> [u8; 32] {
    U256::from(length).to_be_bytes()
}

/// The first four bytes of a call of this function, written as `name(type,type)`.
pub fn selector(function: &str) -> [u8; 4] {
    let hash = keccak256(function);
    [hash[0], hash[1], hash[2], hash[3]]
}

/// The types of a function's arguments.
pub fn kinds(function: &str) -> impl Iterator<Item = &str> {
    let list = function
        .split_once('(')
        .map_or("", |(_, list)| list.trim_end_matches(')'));
    list.split(',').filter(|kind| !kind.is_empty())
}

/// The values one after the other, without a selector.
pub fn arguments(values: &[Value]) -> Vec<u8> {
    let mut heads = Vec::new();
    let mut tails: Vec<u8> = Vec::new();
    for value in values {
        let word = value.word().unwrap_or_else(|| {
            let at = 32 * values.len() + tails.len();
            tails.extend(value.tail());
            length(at)
        });
        heads.extend(word);
    }
    [heads, tails].concat()
}

/// A call of a function.
pub fn call(function: &str, values: &[Value]) -> Vec<u8> {
    [selector(function).as_slice(), &arguments(values)].concat()
}

/// What a call of this function says, if it is one and is written as [`call`] writes it: nothing behind
/// the end, no other offsets, no dirty padding.
pub fn read(function: &str, data: &[u8]) -> Option<Vec<Value>> {
    let body = data.strip_prefix(&selector(function))?;
    let values = kinds(function)
        .enumerate()
        .map(|(place, kind)| value(kind, body, place))
        .collect::<Option<Vec<_>>>()?;
    (call(function, &values) == data).then_some(values)
}

fn value(kind: &str, body: &[u8], place: usize) -> Option<Value> {
    let at = |from: usize| -> Option<[u8; 32]> {
        body.get(from..from.checked_add(32)?)?.try_into().ok()
    };
    let word = at(32 * place)?;
    let number = |word| U256::from_be_bytes::<32>(word);
    let size = |word| usize::try_from(number(word)).ok();
    Some(match kind {
        "address" => {
            let mut address = [0; 20];
            address.copy_from_slice(&word[12..]);
            Value::Address(Address(address))
        }
        "bool" => Value::Flag(word[31] == 1),
        "bytes31" | "bytes32" => Value::Fixed(word),
        "uint256" => Value::Number(number(word)),
        "uint256[]" => {
            let from = size(word)?;
            let many = size(at(from)?)?;
            if many > body.len() / 32 {
                return None;
            }
            let numbers = (1..=many).map(|n| Some(number(at(from.checked_add(32 * n)?)?)));
            Value::Numbers(numbers.collect::<Option<_>>()?)
        }
        "bytes" => {
            let from = size(word)?;
            let many = size(at(from)?)?;
            let from = from.checked_add(32)?;
            Value::Bytes(body.get(from..from.checked_add(many)?)?.to_vec())
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
