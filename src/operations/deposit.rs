//! Deposit wallets (type 3): their batches, session keys' signatures, and the handover to another key.

use ruint::aliases::U256;
use serde_json::{Value as Json, json};

use super::abi::hexed;
use super::contracts::{Contract, NotThere};
use super::step::{Call, Place};
use crate::ethereum::eip712::{Domain, digest, number, struct_hash};
use crate::ethereum::{Address, Signature, keccak256};

/// The wallet's domain: its name and version.
pub const WALLET_NAME: &str = "DepositWallet";
/// See [`WALLET_NAME`].
pub const WALLET_VERSION: &str = "1";

/// What a batch is.
pub const BATCH: &str = "Batch(address wallet,uint256 nonce,uint256 deadline,Call[] calls)";
/// A call in it.
pub const CALL: &str = "Call(address target,uint256 value,bytes data)";
const HANDOVER: &str = "OwnershipHandover(address newOwner,uint256 nonce)";
const FORMER_HANDOVER: &str = "OwnershipHandover(address newOwner,uint256 deadline)";

/// Ends a signature that is wrapped for a wallet. Source: ERC-6492.
const SUFFIX: [u8; 32] = [
    0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92,
    0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92,
];

fn separator(place: &Place) -> [u8; 32] {
    let domain = Domain {
        name: WALLET_NAME,
        version: WALLET_VERSION,
        chain_id: place.chain_id,
        verifying_contract: Some(place.wallet),
    };
    domain.separator()
}

/// Calls that a deposit wallet makes together, until a deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    place: Place,
    nonce: U256,
    deadline: U256,
    calls: Vec<Call>,
}

impl Batch {
    /// Of these calls; `deadline` in unix seconds.
    pub fn new(place: Place, nonce: U256, deadline: U256, calls: Vec<Call>) -> Self {
        Self {
            place,
            nonce,
            deadline,
            calls,
        }
    }

    /// What the key signs.
    pub fn digest(&self) -> [u8; 32] {
        let call_hash = keccak256(CALL);
        let calls = self.calls.iter().flat_map(|call| {
            let members = [
                call.to.word(),
                call.value.to_be_bytes(),
                keccak256(&call.data),
            ];
            struct_hash(&call_hash, &members)
        });
        let body = struct_hash(
            &keccak256(format!("{BATCH}{CALL}")),
            &[
                self.place.wallet.word(),
                self.nonce.to_be_bytes(),
                self.deadline.to_be_bytes(),
                keccak256(calls.collect::<Vec<u8>>()),
            ],
        );
        digest(&separator(&self.place), &body)
    }

    /// The relayer's body.
    pub fn body(&self, from: Address, sealed: &[u8]) -> Result<Json, NotThere> {
        let calls = self.calls.iter().map(|call| {
            json!({ "target": call.to, "value": call.value.to_string(), "data": hexed(&call.data) })
        });
        Ok(json!({
            "type": "WALLET", "from": from, "to": Contract::DepositFactory.on(self.place.chain_id)?,
            "nonce": self.nonce.to_string(), "signature": hexed(sealed),
            "depositWalletParams": {
                "depositWallet": self.place.wallet, "deadline": self.deadline.to_string(),
                "calls": calls.collect::<Json>(),
            },
        }))
    }
}

/// The relayer's body that asks for an owner's deposit wallet. Nothing in it is signed.
pub fn creation_body(chain_id: u64, owner: Address) -> Result<Json, NotThere> {
    let factory = Contract::DepositFactory.on(chain_id)?;
    Ok(json!({ "type": "WALLET-CREATE", "from": owner, "to": factory }))
}

/// What a new owner signs to take a wallet over; `nonce` is the one that the offer was made at.
pub fn handover_digest(place: &Place, new_owner: Address, nonce: U256) -> [u8; 32] {
    let members = [new_owner.word(), nonce.to_be_bytes()];
    digest(
        &separator(place),
        &struct_hash(&keccak256(HANDOVER), &members),
    )
}

/// The same for wallets of the first form, which name a deadline instead.
pub fn former_handover_digest(place: &Place, new_owner: Address, deadline: U256) -> [u8; 32] {
    let members = [new_owner.word(), deadline.to_be_bytes()];
    let body = struct_hash(&keccak256(FORMER_HANDOVER), &members);
    digest(&separator(place), &body)
}

/// `abi.encode(bytes32 signer, bytes32 0, bytes signature)` and ERC-6492's suffix: how a session
/// key's signature travels. Source: the unified SDK, the only client that has session keys.
///
/// # Panics
/// Never: a signature is short.
pub fn wrap_session(key: Address, signature: &[u8]) -> Vec<u8> {
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

/// What [`wrap_session`] wrapped.
pub fn unwrap_session(bytes: &[u8]) -> Option<&[u8]> {
    let body = bytes.strip_suffix(&SUFFIX)?;
    let length = U256::from_be_slice(body.get(96..128)?);
    body.get(128..)?.get(..usize::try_from(length).ok()?)
}

/// A signature as the wallet takes it from this key.
pub fn sealed(key: Address, is_session_key: bool, signature: &Signature) -> Vec<u8> {
    if is_session_key {
        wrap_session(key, signature.as_bytes())
    } else {
        signature.as_bytes().to_vec()
    }
}
