//! An alloy `Signer` whose key stays in Chancery.
//!
//! Clients that are built on alloy hash an order or a login and hand the 32 bytes to their signer.
//! [`RemoteKey`] never passes those on. It sends the typed data that they were made of: of an order,
//! which it was shown with [`prime`](RemoteKey::prime) before, and of a login, whose few unknowns it
//! tries. The service reads it, decides, and hashes it again. A hash of anything else is refused here.

mod login;
mod rpc;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use alloy_dyn_abi::TypedData;
use alloy_primitives::{Address, B256, Signature};
use serde_json::{Value, json};

use rpc::Endpoint;

/// How many shown orders are kept to be signed.
const KEPT: usize = 256;

/// How far from now a login's timestamp is looked for, in seconds: the clients ask their own clock,
/// or the venue's.
const LOGIN_SKEW_S: u64 = 30;

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The hash is of something that was not shown, and of no login.
    #[error(
        "this hash is of no typed data that was primed, and of no login with a known nonce: call prime(&typed_data) before signing an order"
    )]
    Unknown(B256),
    /// The typed data cannot be hashed.
    #[error("the typed data cannot be hashed: {0}")]
    TypedData(String),
    /// The URL is not one to send a token to.
    #[error("the URL begins with https://, or with http:// for this machine")]
    Url,
    /// The token cannot be sent.
    #[error("the token is not plain text")]
    Token,
    /// The service refused. `data` is its problem document.
    #[error("{message} (code {code})")]
    Refused {
        /// The JSON-RPC error's.
        code: i64,
        /// What is wrong.
        message: String,
        /// More about it.
        data: Value,
    },
    /// There was no answer. It may have been signed all the same; nothing is repeated.
    #[error("the signer did not answer: {0}")]
    NoAnswer(#[from] reqwest::Error),
    /// The answer is not JSON-RPC, or no signature of this address over this hash.
    #[error("the signer's answer is not what it should be: {0}")]
    Nonsense(&'static str),
}

/// A key of a wallet in Chancery. Cheap to clone; clones share what they were shown.
#[derive(Clone)]
pub struct RemoteKey {
    shared: Arc<Shared>,
    chain_id: Option<u64>,
}

struct Shared {
    endpoint: Endpoint,
    address: Address,
    login_nonces: Vec<u64>,
    /// Typed data by its hash, oldest first.
    primed: Mutex<VecDeque<(B256, Value)>>,
}

impl RemoteKey {
    /// The key with this address, on a chain: 137 or 80002. `url` is the service's `/rpc`, `token` a
    /// caller's.
    pub fn new(url: &str, token: &str, address: Address, chain_id: u64) -> Result<Self, Error> {
        Self::with_login_nonces(url, token, address, chain_id, &[0])
    }

    /// The same for logins with other nonces than 0, the clients' default.
    pub fn with_login_nonces(
        url: &str,
        token: &str,
        address: Address,
        chain_id: u64,
        nonces: &[u64],
    ) -> Result<Self, Error> {
        Ok(Self {
            shared: Arc::new(Shared {
                endpoint: Endpoint::new(url, token)?,
                address,
                login_nonces: nonces.to_vec(),
                primed: Mutex::default(),
            }),
            chain_id: Some(chain_id),
        })
    }

    /// Shows an order that is about to be signed; returns the hash that will be asked for. Of a deposit
    /// wallet's order that is the hash of its `TypedDataSign`.
    ///
    /// `TypedData::from_struct(&order, Some(domain))` makes the typed data from the client's struct.
    pub fn prime(&self, order: &TypedData) -> Result<B256, Error> {
        let nested;
        let shown = if is_of_deposit_wallet(order) {
            nested = within_wallet(order)?;
            &nested
        } else {
            order
        };
        let unusable = |why: &dyn fmt::Display| Error::TypedData(why.to_string());
        let hash = shown.eip712_signing_hash().map_err(|e| unusable(&e))?;
        let data = serde_json::to_value(shown).map_err(|e| unusable(&e))?;
        let mut primed = self.primed();
        primed.retain(|(known, _)| *known != hash);
        primed.push_back((hash, data));
        while primed.len() > KEPT {
            primed.pop_front();
        }
        Ok(hash)
    }

    /// Has the typed data with this hash signed.
    pub async fn sign(&self, hash: &B256) -> Result<Signature, Error> {
        let primed = self
            .primed()
            .iter()
            .find(|(known, _)| known == hash)
            .cloned();
        let data = primed.map(|(_, data)| data).or_else(|| self.login(hash));
        let data = data.ok_or(Error::Unknown(*hash))?;
        let address = self.shared.address;
        let params = json!([address, data]);
        let result = self
            .shared
            .endpoint
            .call("eth_signTypedData_v4", params)
            .await?;

        let text = result.as_str().unwrap_or_default();
        let bytes = alloy_primitives::hex::decode(text).unwrap_or_default();
        let signature = Signature::from_raw(&bytes).map_err(|_| Error::Nonsense("no signature"))?;
        match signature.recover_address_from_prehash(hash) {
            Ok(signer) if signer == address => Ok(signature),
            _ => Err(Error::Nonsense(
                "a signature of another address, or over something else",
            )),
        }
    }

    /// The login with this hash, if it is one of now.
    fn login(&self, hash: &B256) -> Option<Value> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        let times = now.saturating_sub(LOGIN_SKEW_S)..=now.saturating_add(LOGIN_SKEW_S);
        let (address, chain_id) = (self.shared.address, self.chain_id?);
        login::find(hash, address, chain_id, times, &self.shared.login_nonces)
    }

    fn primed(&self) -> std::sync::MutexGuard<'_, VecDeque<(B256, Value)>> {
        self.shared
            .primed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RemoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKey")
            .field("address", &self.shared.address)
            .field("chain_id", &self.chain_id)
            .finish_non_exhaustive()
    }
}

/// `POLY_1271`.
const DEPOSIT_WALLET: u64 = 3;

fn is_of_deposit_wallet(order: &TypedData) -> bool {
    let kind = &order.message["signatureType"];
    let number = match kind.as_str() {
        Some(text) => match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        },
        None => kind.as_u64(),
    };
    order.primary_type == "Order" && number == Some(DEPOSIT_WALLET)
}

/// What a deposit wallet's key signs: the order within the wallet's own domain (ERC-7739).
fn within_wallet(order: &TypedData) -> Result<TypedData, Error> {
    let whole = serde_json::to_value(order).map_err(|e| Error::TypedData(e.to_string()))?;
    let field = |name: &str, kind: &str| json!({ "name": name, "type": kind });
    let nested = json!({
        "types": {
            "TypedDataSign": [
                field("contents", "Order"), field("name", "string"), field("version", "string"),
                field("chainId", "uint256"), field("verifyingContract", "address"),
                field("salt", "bytes32"),
            ],
            "Order": whole["types"]["Order"],
        },
        "primaryType": "TypedDataSign",
        "domain": whole["domain"],
        "message": {
            "contents": whole["message"], "name": "DepositWallet", "version": "1",
            "chainId": whole["domain"]["chainId"], "verifyingContract": whole["message"]["signer"],
            "salt": B256::ZERO,
        },
    });
    serde_json::from_value(nested).map_err(|e| Error::TypedData(e.to_string()))
}

macro_rules! signer {
    ($version:ident) => {
        #[async_trait::async_trait]
        impl $version::Signer for RemoteKey {
            async fn sign_hash(&self, hash: &B256) -> $version::Result<Signature> {
                self.sign(hash).await.map_err($version::Error::other)
            }

            fn address(&self) -> Address {
                self.shared.address
            }

            fn chain_id(&self) -> Option<u64> {
                self.chain_id
            }

            fn set_chain_id(&mut self, chain_id: Option<u64>) {
                self.chain_id = chain_id;
            }
        }
    };
}

#[cfg(feature = "alloy-1")]
signer!(alloy_signer_1);
#[cfg(feature = "alloy-2")]
signer!(alloy_signer_2);
