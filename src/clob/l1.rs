//! Level 1: the login that creates and derives API keys. Source: the CLOB documentation's
//! authentication page; EIP-712.
//!
//! Create and derive are the same message, so whoever holds a header can do either with it.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde_json::{Value, json};
use uuid::Uuid;

use super::wallet::Chain;
use super::wallets::Wallet;
use crate::audit::Change;
use crate::credentials::logins::records as logins;
use crate::credentials::{Account, CredentialNonce, Login, Origin, Purpose, Replaces};
use crate::custody::Payload;
use crate::ethereum::eip712::{self, Bytes32, Domain, number};
use crate::ethereum::{Address, keccak256};
use crate::id::IntentId;
use crate::keys::Key;
use crate::ledger::LedgerError;
use crate::limits::Limited;
use crate::policy::{Action, Ask, Resource};
use crate::signing::{Answer, Checked, Claimant, Draft, NonceClaim, Prepared, SigningError};

/// `encodeType` of the login.
pub const TYPE: &str = "ClobAuth(address address,string timestamp,uint256 nonce,string message)";
/// `name` of its domain, which has no contract.
pub const DOMAIN_NAME: &str = "ClobAuthDomain";
/// `version` of its domain.
pub const DOMAIN_VERSION: &str = "1";
/// The member of a record that says that a caller gets the header.
pub const HANDED_OUT: &str = "handedOut";
/// What every login says.
pub const MESSAGE: &str = "This message attests that I control the given wallet";

/// A login, as it is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClobAuth {
    /// The chain in its domain.
    pub chain: Chain,
    /// The key's address, also where another wallet holds the funds.
    pub address: Address,
    /// Unix seconds. Signed as the text that the header has.
    pub timestamp: i64,
    /// Selects the API key.
    pub nonce: CredentialNonce,
}

impl ClobAuth {
    fn domain(&self) -> Domain {
        Domain {
            name: DOMAIN_NAME,
            version: DOMAIN_VERSION,
            chain_id: self.chain.id(),
            verifying_contract: None,
        }
    }

    /// `hashStruct`.
    pub fn struct_hash(&self) -> [u8; 32] {
        eip712::struct_hash(
            &keccak256(TYPE),
            &[
                self.address.word(),
                keccak256(self.timestamp.to_string()),
                number(self.nonce.0),
                keccak256(MESSAGE),
            ],
        )
    }

    /// What the key signs.
    pub fn digest(&self) -> [u8; 32] {
        eip712::digest(&self.domain().separator(), &self.struct_hash())
    }

    fn record(&self) -> Value {
        let domain = self.domain();
        json!({
            "domain": { "name": domain.name, "version": domain.version, "chainId": domain.chain_id },
            "struct": {
                "address": self.address,
                "timestamp": self.timestamp.to_string(),
                "nonce": self.nonce,
                "message": MESSAGE,
            },
            "digest": Bytes32(self.digest()),
        })
    }

    /// The four headers of level 1, in the clients' order.
    pub fn headers(&self, signature: &str) -> [(&'static str, String); 4] {
        [
            ("POLY_ADDRESS", self.address.to_string()),
            ("POLY_SIGNATURE", signature.to_owned()),
            ("POLY_TIMESTAMP", self.timestamp.to_string()),
            ("POLY_NONCE", self.nonce.to_string()),
        ]
    }
}

/// A login on its way through the door.
pub struct LoginDraft {
    /// With which wallet.
    pub wallet: Wallet,
    /// The nonce.
    pub nonce: CredentialNonce,
    /// Unix seconds; the moment of the INTENT unless it is given.
    pub timestamp: Option<i64>,
    /// What for.
    pub purpose: Purpose,
    /// What may end with it.
    pub replaces: Replaces,
    /// Which right it takes. With [`Action::DeriveCredential`] a header is only for a nonce that has
    /// made an API key.
    pub right: Action,
    /// How the nonce comes on record.
    pub origin: Origin,
}

/// The answer: the header, and under which id it is on record.
#[derive(Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct IssuedLogin {
    /// The signature's id here.
    #[schema(value_type = String)]
    pub id: IntentId,
    /// What the key signed.
    #[schema(value_type = String)]
    pub digest: Bytes32,
    /// The signature alone, 65 bytes.
    pub signature: String,
    /// The timestamp in it, unix seconds.
    pub timestamp: i64,
    /// `POLY_ADDRESS`, `POLY_SIGNATURE`, `POLY_TIMESTAMP`, `POLY_NONCE`.
    #[schema(value_type = Object)]
    pub headers: serde_json::Map<String, Value>,
}

impl Wallet {
    /// Who logs in with this wallet.
    pub fn account(&self) -> Account {
        Account {
            chain_id: self.profile.chain().id(),
            address: self.profile.key_address(),
        }
    }
}

impl LoginDraft {
    fn message(&self, now_ms: i64) -> ClobAuth {
        ClobAuth {
            chain: self.wallet.profile.chain(),
            address: self.wallet.profile.key_address(),
            timestamp: self.timestamp.unwrap_or(now_ms.div_euclid(1000)),
            nonce: self.nonce,
        }
    }
}

impl Ask for LoginDraft {
    fn action(&self) -> Action {
        self.right
    }

    fn resource(&self) -> Resource {
        self.wallet.resource()
    }
}

impl Draft for LoginDraft {
    fn operation(&self) -> &'static str {
        "clob-auth"
    }

    fn subject(&self) -> Uuid {
        self.wallet.id.uuid()
    }

    fn key(&self) -> &Key {
        &self.wallet.key
    }

    fn limited(&self) -> Limited {
        // What stays here can be sent to nobody.
        match self.purpose {
            Purpose::Header => Limited::L1Header(self.wallet.id),
            Purpose::Create | Purpose::Derive => Limited::Nothing,
        }
    }

    fn tells_the_time(&self) -> bool {
        self.timestamp.is_none()
    }

    fn prepare(&self, now_ms: i64) -> Prepared {
        let message = self.message(now_ms);
        let digest = message.digest();
        let mut record = message.record();
        if self.purpose == Purpose::Header {
            record[HANDED_OUT] = true.into();
        }
        let login = Login {
            account: self.wallet.account(),
            wallet: self.wallet.id,
            nonce: self.nonce,
            purpose: self.purpose,
            signed_for: message.timestamp,
            replaces: self.replaces.clone(),
            only_derives: self.right == Action::DeriveCredential,
            origin: self.origin,
        };
        Prepared {
            nonce: Some(Arc::new(login)),
            ..Prepared::new(Payload::Digest(digest), digest, record)
        }
    }

    fn answer(&self, id: IntentId, prepared: &Prepared, signature: &Checked) -> Answer {
        let Checked::Ethereum(signature) = signature else {
            unreachable!("a login is a digest, and its signature was checked as recoverable");
        };
        let timestamp = prepared.record["struct"]["timestamp"].as_str();
        let timestamp = timestamp.and_then(|it| it.parse().ok());
        let message = ClobAuth {
            timestamp: timestamp.expect("the record is of a login"),
            ..self.message(0)
        };
        let signature = signature.to_string();
        let headers = message.headers(&signature);
        let issued = IssuedLogin {
            id,
            digest: Bytes32(prepared.digest),
            timestamp: message.timestamp,
            headers: headers
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect(),
            signature,
        };
        Answer {
            body: serde_json::to_vec(&issued).expect("plain data serializes"),
            is_secret: true,
        }
    }
}

impl NonceClaim for Login {
    fn claim<'a>(
        &'a self,
        by: Claimant,
        change: &'a mut Change,
    ) -> BoxFuture<'a, Result<Result<(), SigningError>, LedgerError>> {
        Box::pin(async move {
            let tx = change.tx();
            let claimed = logins::claim(by.intent, by.caller, by.request, self, tx).await?;
            Ok(claimed.map_err(SigningError::from))
        })
    }
}
