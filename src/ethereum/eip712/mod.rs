//! Typed data: domains, struct hashes and digests. Source: EIP-712.

use std::fmt;
use std::str::FromStr;

use ruint::aliases::U256;
use sha3::{Digest, Keccak256};

use super::{Address, keccak256};

/// What a signature is bound to besides its message. All domains of this service have these fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Domain {
    /// `name`: whose typed data this is.
    pub name: &'static str,
    /// `version` of the domain, as text.
    pub version: &'static str,
    /// `chainId`.
    pub chain_id: u64,
    /// `verifyingContract`; `None` leaves the field out of the domain's type.
    pub verifying_contract: Option<Address>,
}

impl Domain {
    /// The domain separator: the struct hash of the domain. Constant for a domain, so worth keeping.
    pub fn separator(&self) -> [u8; 32] {
        let name = keccak256(self.name);
        let version = keccak256(self.version);
        let chain_id = number(self.chain_id);
        match self.verifying_contract {
            Some(contract) => struct_hash(
                &keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)",
                ),
                &[name, version, chain_id, contract.word()],
            ),
            None => struct_hash(
                &keccak256("EIP712Domain(string name,string version,uint256 chainId)"),
                &[name, version, chain_id],
            ),
        }
    }
}

/// `hashStruct`: the hash of the type hash and the members, each encoded as one word. The word of a
/// `string` or `bytes` is its [`keccak256`], that of a struct its struct hash.
pub fn struct_hash(type_hash: &[u8; 32], members: &[[u8; 32]]) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    hasher.update(type_hash);
    for member in members {
        hasher.update(member);
    }
    hasher.finalize().into()
}

/// What the key signs: the hash of `0x1901`, the domain separator and the struct hash.
pub fn digest(separator: &[u8; 32], struct_hash: &[u8; 32]) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    hasher.update([0x19, 0x01]);
    hasher.update(separator);
    hasher.update(struct_hash);
    hasher.finalize().into()
}

/// An unsigned integer of any ABI width as a word.
pub fn number(value: impl Into<u64>) -> [u8; 32] {
    U256::from(value.into()).to_be_bytes()
}

/// A `bytes32` of typed data. Written as `0x` and 64 hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Bytes32(pub [u8; 32]);

/// Why a text is not a `bytes32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("32 bytes are written as 0x and 64 hexadecimal digits")]
pub struct NotBytes32;

impl FromStr for Bytes32 {
    type Err = NotBytes32;

    fn from_str(text: &str) -> Result<Self, NotBytes32> {
        let digits = text.strip_prefix("0x").ok_or(NotBytes32)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| NotBytes32)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Bytes32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Bytes32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Bytes32> for String {
    fn from(bytes: Bytes32) -> Self {
        bytes.to_string()
    }
}

impl TryFrom<String> for Bytes32 {
    type Error = NotBytes32;

    fn try_from(text: String) -> Result<Self, NotBytes32> {
        text.parse()
    }
}

#[cfg(test)]
mod tests;
