//! What Ethereum fixes: addresses, typed data (EIP-712) and recoverable signatures. Pure; no state.

pub mod address;
pub mod eip712;
pub mod signature;

pub use address::Address;
pub use signature::Signature;

use sha3::{Digest, Keccak256};

/// Keccak-256, the hash of everything in Ethereum.
pub fn keccak256(bytes: impl AsRef<[u8]>) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}
