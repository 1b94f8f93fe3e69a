//! Signatures for deposit wallets (type 3): ERC-7739's nested typed data.
//!
//! The wallet is a contract and asks for proof that its owner saw the order itself: the key signs
//! `TypedDataSign`, which holds the order and the wallet's own domain, under the exchange's domain.

use super::contracts::Format;
use crate::ethereum::eip712::{number, struct_hash};
use crate::ethereum::{Address, Signature, keccak256};
use crate::operations::deposit::{WALLET_NAME, WALLET_VERSION};

/// The struct hash of `TypedDataSign` around an order, for `wallet` on the chain.
pub(super) fn typed_data_sign(
    format: &Format,
    contents: &[u8; 32],
    chain_id: u64,
    wallet: Address,
) -> [u8; 32] {
    struct_hash(
        &format.nested_type_hash,
        &[
            *contents,
            keccak256(WALLET_NAME),
            keccak256(WALLET_VERSION),
            number(chain_id),
            wallet.word(),
            [0; 32],
        ],
    )
}

/// What the wallet reads: the signature, the exchange's domain separator, the order's struct hash,
/// the order's type string and its length in two bytes.
pub(super) fn wrap(
    signature: &Signature,
    separator: &[u8; 32],
    contents: &[u8; 32],
    order_type: &str,
) -> Vec<u8> {
    let length = u16::try_from(order_type.len()).expect("a type string of the table is short");
    [
        signature.as_bytes(),
        separator.as_slice(),
        contents,
        order_type.as_bytes(),
        &length.to_be_bytes(),
    ]
    .concat()
}
