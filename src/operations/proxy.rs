//! Proxy wallets (type 1), which are called through a factory: by their owner, or by a relay.
//!
//! The hash that a relay is given has no chain in it: what is signed for one chain would hold on another with the
//! same contracts, so they are known on 137 only.

use ruint::aliases::U256;
use serde_json::{Value as Json, json};

use super::abi::{self, hexed};
use super::contracts::{Contract, NotThere};
use super::safe::personal;
use super::step::{Call, Place};
use crate::ethereum::{Address, Signature, keccak256};

const PROXY: &str = "proxy((uint8,address,uint256,bytes)[])";

/// The call with which an owner has their proxy wallet make these.
pub fn own_call(chain_id: u64, calls: &[Call]) -> Result<Call, NotThere> {
    let word = |number: usize| U256::from(number).to_be_bytes::<32>();
    let mut offsets = Vec::new();
    let mut items: Vec<u8> = Vec::new();
    for call in calls {
        offsets.extend(word(32 * calls.len() + items.len()));
        items.extend(word(1)); // a call, and no delegated one
        items.extend(call.to.word());
        items.extend(call.value.to_be_bytes::<32>());
        items.extend(word(4 * 32));
        items.extend(word(call.data.len()));
        items.extend(&call.data);
        let whole = items.len() + call.data.len().next_multiple_of(32) - call.data.len();
        items.resize(whole, 0);
    }
    let head = abi::selector(PROXY);
    let data = [
        head.as_slice(),
        &word(32),
        &word(calls.len()),
        &offsets,
        &items,
    ]
    .concat();
    Ok(Call {
        to: Contract::ProxyFactory.on(chain_id)?,
        value: U256::ZERO,
        data,
    })
}

/// What the relayer says of whom a signature is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relay {
    /// Who sends it.
    pub address: Address,
    /// The signer's nonce at the hub.
    pub nonce: U256,
    /// So much gas for the calls.
    pub gas_limit: u64,
}

/// Calls of a proxy wallet by way of a relay. Its fee and its gas price are zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relayed {
    place: Place,
    signer: Address,
    outer: Call,
    hub: Address,
    relay: Relay,
}

impl Relayed {
    /// Of these calls.
    pub fn new(
        place: Place,
        signer: Address,
        relay: Relay,
        calls: &[Call],
    ) -> Result<Self, NotThere> {
        Ok(Self {
            place,
            signer,
            outer: own_call(place.chain_id, calls)?,
            hub: Contract::RelayHub.on(place.chain_id)?,
            relay,
        })
    }

    /// `relayHash`.
    pub fn hash(&self) -> [u8; 32] {
        let zero = [0; 32];
        keccak256(
            [
                b"rlx:".as_slice(),
                &self.signer.0,
                &self.outer.to.0,
                &self.outer.data,
                &zero, // the relay's fee
                &zero, // the price of gas
                &U256::from(self.relay.gas_limit).to_be_bytes::<32>(),
                &self.relay.nonce.to_be_bytes::<32>(),
                &self.hub.0,
                &self.relay.address.0,
            ]
            .concat(),
        )
    }

    /// What the key signs.
    pub fn digest(&self) -> [u8; 32] {
        personal(&self.hash())
    }

    /// The factory's call.
    pub fn outer(&self) -> &Call {
        &self.outer
    }

    /// The relayer's body.
    pub fn body(&self, signature: &Signature, metadata: &str) -> Json {
        json!({
            "from": self.signer, "to": self.outer.to, "proxyWallet": self.place.wallet,
            "data": hexed(&self.outer.data), "nonce": self.relay.nonce.to_string(),
            "signature": signature.to_string(),
            "signatureParams": {
                "gasPrice": "0", "gasLimit": self.relay.gas_limit.to_string(), "relayerFee": "0",
                "relayHub": self.hub, "relay": self.relay.address,
            },
            "type": "PROXY", "metadata": metadata,
        })
    }
}
