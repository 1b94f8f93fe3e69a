//! Signatures for deposit wallets (type 3): ERC-7739's nested typed data, and the session key's envelope.
//!
//! The wallet is a contract and asks for proof that its owner saw the order itself: the key signs
//! `TypedDataSign`, which holds the order and the wallet's own domain, under the exchange's domain.

use ruint::aliases::U256;

use super::contracts::Format;
use crate::ethereum::eip712::{number, struct_hash};
use crate::ethereum::{Address, Signature, keccak256};

/// The deposit wallet's domain: its name and version; the salt is zero.
pub(super) const WALLET_NAME: &str = "DepositWallet";
pub(super) const WALLET_VERSION: &str = "1";

/// Ends a signature that is wrapped for a wallet. Source: ERC-6492.
const SUFFIX: [u8; 32] = [
    0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92,
    0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92,
];

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

/// What [`wrap_session`] wrapped.
pub(super) fn unwrap_session(bytes: &[u8]) -> Option<&[u8]> {
    let body = bytes.strip_suffix(&SUFFIX)?;
    let length = U256::from_be_slice(body.get(96..128)?);
    body.get(128..)?.get(..usize::try_from(length).ok()?)
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

/// `abi.encode(bytes32 signer, bytes32 0, bytes signature)` and ERC-6492's suffix: how a session
/// key's signature travels. Source: the unified SDK, the only client that has session keys.
pub(super) fn wrap_session(key: Address, signature: &[u8]) -> Vec<u8> {
    let length = u64::try_from(signature.len()).expect("a signature is short");
    let padding = vec![0; signature.len().next_multiple_of(32) - signature.len()];
    [
        &key.word(),
        &[0; 32],
        // Where the bytes begin: after three words.
        &number(96_u64),
        &number(length),
        signature,
        &padding,
        &SUFFIX,
    ]
    .concat()
}
