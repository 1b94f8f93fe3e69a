//! Transactions of type 2 (EIP-1559), in the recursive length prefix that they are written in.
//!
//! Integers have no leading zeros, and zero is the empty string: a nonce of 0, and an `r` or `s` that begins with
//! a zero byte, are where encoders go wrong.

use ruint::aliases::U256;

use super::step::Call;
use crate::ethereum::{Signature, keccak256};

/// What it may cost, in wei.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fees {
    /// For a unit of gas, at most.
    pub max_fee_per_gas: u128,
    /// Of that for whoever includes it.
    pub max_priority_fee_per_gas: u128,
    /// So much gas.
    pub gas: u64,
}

impl Fees {
    /// The most that can be paid.
    pub fn most(&self) -> U256 {
        U256::from(self.max_fee_per_gas).saturating_mul(U256::from(self.gas))
    }
}

/// A transaction without its signature. Its access list is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// For which chain.
    pub chain_id: u64,
    /// The account's nonce.
    pub nonce: u64,
    /// What it may cost.
    pub fees: Fees,
    /// What it does.
    pub call: Call,
}

impl Transaction {
    fn fields(&self) -> Vec<Vec<u8>> {
        let Fees {
            max_fee_per_gas,
            max_priority_fee_per_gas,
            gas,
        } = self.fees;
        vec![
            integer(U256::from(self.chain_id)),
            integer(U256::from(self.nonce)),
            integer(U256::from(max_priority_fee_per_gas)),
            integer(U256::from(max_fee_per_gas)),
            integer(U256::from(gas)),
            string(&self.call.to.0),
            integer(self.call.value),
            string(&self.call.data),
            list(&[]),
        ]
    }

    /// What its hash is taken of.
    pub fn unsigned(&self) -> Vec<u8> {
        [vec![2], list(&self.fields())].concat()
    }

    /// What the key signs.
    pub fn digest(&self) -> [u8; 32] {
        keccak256(self.unsigned())
    }

    /// The whole of it, as a node takes it.
    pub fn raw(&self, signature: &Signature) -> Vec<u8> {
        let bytes = signature.as_bytes();
        let mut fields = self.fields();
        fields.push(integer(U256::from(bytes[64] - 27)));
        fields.push(integer(U256::from_be_slice(&bytes[..32])));
        fields.push(integer(U256::from_be_slice(&bytes[32..64])));
        [vec![2], list(&fields)].concat()
    }
}

fn integer(number: U256) -> Vec<u8> {
    string(&number.to_be_bytes_trimmed_vec())
}

fn string(bytes: &[u8]) -> Vec<u8> {
    match bytes {
        [byte] if *byte < 0x80 => vec![*byte],
        _ => [head(0x80, bytes.len()).as_slice(), bytes].concat(),
    }
}

fn list(items: &[Vec<u8>]) -> Vec<u8> {
    let payload = items.concat();
    [head(0xc0, payload.len()).as_slice(), &payload].concat()
}

fn head(offset: u8, length: usize) -> Vec<u8> {
    match u8::try_from(length) {
        Ok(short) if short <= 55 => vec![offset + short],
        _ => {
            let bytes = U256::from(length).to_be_bytes_trimmed_vec();
            let many = u8::try_from(bytes.len()).expect("a length has eight bytes at most");
            [&[offset + 55 + many], bytes.as_slice()].concat()
        }
    }
}
