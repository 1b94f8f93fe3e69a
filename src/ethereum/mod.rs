//! What Ethereum fixes: addresses, typed data (EIP-712) and recoverable signatures. Pure; no state.

pub mod address;
pub mod condition;
pub mod eip712;
pub mod signature;

pub use address::Address;
pub use signature::Signature;

use sha3::{Digest, Keccak256};

/// Keccak-256, the hash of everything in Ethereum.
pub fn keccak256(bytes: impl AsRef<[u8]>) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

/// Hexadecimal digits of a constant; wrong ones do not compile.
///
/// # Panics
/// At compile time, where the digits are none or too few.
pub const fn bytes<const N: usize>(digits: &str) -> [u8; N] {
    const fn digit(character: u8) -> u8 {
        match character {
            b'0'..=b'9' => character - b'0',
            b'a'..=b'f' => character - b'a' + 10,
            b'A'..=b'F' => character - b'A' + 10,
            _ => panic!("not a hexadecimal digit"),
        }
    }
    let digits = digits.as_bytes();
    assert!(digits.len() == 2 * N, "not of this length");
    let mut bytes = [0; N];
    let mut at = 0;
    while at < N {
        bytes[at] = digit(digits[2 * at]) << 4 | digit(digits[2 * at + 1]);
        at += 1;
    }
    bytes
}
