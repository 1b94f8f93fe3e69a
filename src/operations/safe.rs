//! Safes (type 2): their making, their transactions, and how several calls go into one.
//!
//! All five gas fields are zero and have no place to be anything else: a refund is a payment that a display of
//! "to, value, data" does not show. Inner calls of a `MultiSend` are calls: a delegated one could rewrite the Safe.

use ruint::aliases::U256;
use serde_json::{Value as Json, json};

use super::abi::{self, Value, hexed};
use super::contracts::{Contract, NotThere};
use super::step::{Call, Place};
use crate::ethereum::eip712::{digest, number, struct_hash};
use crate::ethereum::{Address, Signature, keccak256};

const SAFE_TX: &str = "SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,uint256 gasPrice,address gasToken,address refundReceiver,uint256 nonce)";
const SAFE_DOMAIN: &str = "EIP712Domain(uint256 chainId,address verifyingContract)";
const MULTI_SEND: &str = "multiSend(bytes)";
const EXEC_TRANSACTION: &str =
    "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)";

/// The `name` of the factory's domain.
pub const FACTORY_NAME: &str = "Polymarket Contract Proxy Factory";
/// What asks for a Safe.
pub const CREATE_PROXY: &str =
    "CreateProxy(address paymentToken,uint256 payment,address paymentReceiver)";
const FACTORY_DOMAIN: &str = "EIP712Domain(string name,uint256 chainId,address verifyingContract)";
const FACTORY_CREATE: &str = "createProxy(address,uint256,address,(uint8,bytes32,bytes32))";

words! {
    /// How a Safe's transaction is signed.
    #[derive(utoipa::ToSchema)]
    pub enum SafeForm {
        /// As a personal message over the hash, which the relayer's own clients send.
        EthSign = "eth_sign",
        /// As typed data, which the Safe takes as well.
        TypedData = "typed_data",
    }
}

/// A transaction of a Safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafeTransaction {
    place: Place,
    nonce: U256,
    /// The call, or the `MultiSend` that makes all of them.
    outer: Call,
    /// Whether it is a `MultiSend`, which the Safe delegates to.
    is_delegated: bool,
}

impl SafeTransaction {
    /// Of one call, or of several that go together.
    pub fn new(place: Place, nonce: U256, calls: &[Call]) -> Result<Self, NotThere> {
        let (outer, is_delegated) = if let [one] = calls {
            (one.clone(), false)
        } else {
            let to = Contract::Multisend.on(place.chain_id)?;
            let packed = calls.iter().flat_map(packed).collect();
            let data = abi::call(MULTI_SEND, &[Value::Bytes(packed)]);
            let value = U256::ZERO;
            (Call { to, value, data }, true)
        };
        Ok(Self {
            place,
            nonce,
            outer,
            is_delegated,
        })
    }

    /// `safeTxHash`, its EIP-712 digest.
    pub fn hash(&self) -> [u8; 32] {
        let separator = struct_hash(
            &keccak256(SAFE_DOMAIN),
            &[number(self.place.chain_id), self.place.wallet.word()],
        );
        let zero = [0; 32];
        let body = struct_hash(
            &keccak256(SAFE_TX),
            &[
                self.outer.to.word(),
                self.outer.value.to_be_bytes(),
                keccak256(&self.outer.data),
                number(u64::from(self.is_delegated)),
                zero, // safeTxGas
                zero, // baseGas
                zero, // gasPrice
                zero, // gasToken
                zero, // refundReceiver
                self.nonce.to_be_bytes(),
            ],
        );
        digest(&separator, &body)
    }

    /// What the key signs.
    pub fn digest(&self, form: SafeForm) -> [u8; 32] {
        match form {
            SafeForm::EthSign => personal(&self.hash()),
            SafeForm::TypedData => self.hash(),
        }
    }

    /// The signature as the Safe takes it: `v` says in which form it was made.
    pub fn sealed(signature: &Signature, form: SafeForm) -> [u8; 65] {
        let mut bytes = *signature.as_bytes();
        if form == SafeForm::EthSign {
            bytes[64] += 4;
        }
        bytes
    }

    /// Whom the Safe calls, and with what.
    pub fn outer(&self) -> &Call {
        &self.outer
    }

    /// The call with which anybody has the Safe do it.
    pub fn own_call(&self, sealed: &[u8]) -> Call {
        let zero = || Value::Number(U256::ZERO);
        let nobody = || Value::Address(Address::ZERO);
        let values = [
            self.outer.to.into(),
            self.outer.value.into(),
            Value::Bytes(self.outer.data.clone()),
            U256::from(self.is_delegated).into(),
            zero(),
            zero(),
            zero(),
            nobody(),
            nobody(),
            Value::Bytes(sealed.to_vec()),
        ];
        Call {
            to: self.place.wallet,
            value: U256::ZERO,
            data: abi::call(EXEC_TRANSACTION, &values),
        }
    }

    /// The relayer's body.
    pub fn body(&self, from: Address, sealed: &[u8], metadata: &str) -> Json {
        json!({
            "from": from, "to": self.outer.to, "proxyWallet": self.place.wallet,
            "data": hexed(&self.outer.data), "nonce": self.nonce.to_string(), "signature": hexed(sealed),
            "signatureParams": {
                "gasPrice": "0", "operation": u8::from(self.is_delegated).to_string(), "safeTxnGas": "0", "baseGas": "0",
                "gasToken": ZERO, "refundReceiver": ZERO,
            },
            "type": "SAFE", "metadata": metadata,
        })
    }
}

const ZERO: &str = "0x0000000000000000000000000000000000000000";

/// A call as `MultiSend` reads it.
fn packed(call: &Call) -> Vec<u8> {
    [
        &[0_u8], // a call
        call.to.0.as_slice(),
        &call.value.to_be_bytes::<32>(),
        &U256::from(call.data.len()).to_be_bytes::<32>(),
        &call.data,
    ]
    .concat()
}

/// What is signed of 32 bytes in a personal message.
pub(super) fn personal(hash: &[u8; 32]) -> [u8; 32] {
    keccak256([b"\x19Ethereum Signed Message:\n32".as_slice(), hash].concat())
}

/// What makes a key's Safe, at no charge: there is one for a key and a chain, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SafeCreation {
    place: Place,
    factory: Address,
}

impl SafeCreation {
    /// Of the Safe at this place.
    pub fn new(place: Place) -> Result<Self, NotThere> {
        let factory = Contract::SafeFactory.on(place.chain_id)?;
        Ok(Self { place, factory })
    }

    /// What the key signs.
    pub fn digest(&self) -> [u8; 32] {
        let members = [
            keccak256(FACTORY_NAME),
            number(self.place.chain_id),
            self.factory.word(),
        ];
        let separator = struct_hash(&keccak256(FACTORY_DOMAIN), &members);
        digest(
            &separator,
            &struct_hash(&keccak256(CREATE_PROXY), &[[0; 32]; 3]),
        )
    }

    /// The relayer's body.
    pub fn body(&self, from: Address, signature: &Signature) -> Json {
        json!({
            "from": from, "to": self.factory, "proxyWallet": self.place.wallet, "data": "0x",
            "signature": signature.to_string(),
            "signatureParams": { "paymentToken": ZERO, "payment": "0", "paymentReceiver": ZERO },
            "type": "SAFE-CREATE",
        })
    }

    /// The call with which anybody has it made.
    pub fn own_call(&self, signature: &Signature) -> Call {
        let bytes = signature.as_bytes();
        let word = |from: usize| {
            let mut word = [0; 32];
            word.copy_from_slice(&bytes[from..from + 32]);
            Value::Fixed(word)
        };
        let nobody = || Value::Address(Address::ZERO);
        let values = [
            nobody(),
            U256::ZERO.into(),
            nobody(),
            U256::from(bytes[64]).into(),
            word(0),
            word(32),
        ];
        Call {
            to: self.factory,
            value: U256::ZERO,
            data: abi::call(FACTORY_CREATE, &values),
        }
    }
}
