//! Typed data that somebody else put together: read, compared with what is known, and hashed anew.
//!
//! Tools that sign through JSON-RPC send EIP-712 typed data. Of that, six kinds are taken: an order
//! of version 1, one of versions 2 and 3, either of the latter within a deposit wallet's
//! `TypedDataSign`, the login, the making of a Safe, and a deposit wallet's batch. Their types have to be exactly these, their domain one of our
//! table, their values in range. What is signed is then computed from the values alone (P7): the
//! types that came along decide nothing.

mod json;
pub mod operation;
mod shape;

use ruint::aliases::U256;
use serde_json::value::RawValue;

use super::amount::{ABSURD_UNITS, Side};
use super::contents::{Contents, Extra};
use super::contracts::{Exchange, Layout, NEG_RISK_ADAPTER, Version};
use super::l1::{self, ClobAuth};
use super::order::{Envelope, LARGEST_SALT};
use super::request::{OrderType, TokenId};
use super::wallet::{Chain, Profile, SignatureType};
use super::{Order, OrderError, contracts, expiration};
use crate::credentials::CredentialNonce;
use crate::ethereum::Address;
use crate::operations::deposit::{WALLET_NAME, WALLET_VERSION};
use json::Members;
use operation::TypedOperation;

/// Typed data of a kind that is signed here.
#[derive(Debug, Clone)]
pub enum TypedData {
    /// An order.
    Order(Box<TypedOrder>),
    /// A login.
    Login(ClobAuth),
    /// A wallet operation.
    Operation(Box<TypedOperation>),
}

/// An order that somebody else put together.
#[derive(Debug, Clone)]
pub struct TypedOrder {
    exchange: &'static Exchange,
    contents: Contents,
}

/// Why typed data is not signed. Nothing was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TypedDataError {
    /// It is not typed data, or one of its values is none.
    #[error("{0}")]
    Malformed(String),
    /// It is of another kind.
    #[error(
        "primaryType {0:?} is not signed here: only Order, TypedDataSign around an Order, ClobAuth, CreateProxy and Batch are; a Safe's transactions are asked for by name (POST /v1/wallets/{{wallet}}/operations)"
    )]
    ForeignType(String),
    /// The types are not those of the documentation.
    #[error("types: {0}")]
    Types(String),
    /// The domain is none of ours.
    #[error("domain: {0}")]
    Domain(String),
    /// A value that no order of this wallet may have.
    #[error("{field}: {why}")]
    Value {
        /// Of the message.
        field: &'static str,
        /// What is wrong, and what would be right.
        why: String,
    },
}

impl TypedDataError {
    fn value(field: &'static str, why: impl Into<String>) -> Self {
        let why = why.into();
        Self::Value { field, why }
    }
}

impl TypedData {
    /// Reads typed data that came as an object, or as the text of one.
    pub fn read(raw: &RawValue) -> Result<Self, TypedDataError> {
        if !raw.get().starts_with('"') {
            return Self::of_object(raw);
        }
        let unreadable = |error: serde_json::Error| {
            TypedDataError::Malformed(format!("the typed data is not JSON: {error}"))
        };
        let text: String = serde_json::from_str(raw.get()).map_err(unreadable)?;
        let inner: &RawValue = serde_json::from_str(&text).map_err(unreadable)?;
        if inner.get().starts_with('"') {
            let why = "the typed data is the text of a text: send the object, or its text";
            return Err(TypedDataError::Malformed(why.into()));
        }
        Self::of_object(inner)
    }

    fn of_object(raw: &RawValue) -> Result<Self, TypedDataError> {
        let mut members = Members::of("the typed data", raw)?;
        let primary_type = members.text("primaryType")?;
        let types = members.take("types")?;
        let domain = Members::of("domain", members.take("domain")?)?;
        let message = Members::of("message", members.take("message")?)?;
        members.end()?;
        match primary_type.as_str() {
            "Order" => {
                let layout = shape::order(types)?;
                let order = TypedOrder {
                    exchange: exchange(domain, layout)?,
                    contents: contents(message, layout)?,
                };
                if order.contents.signature_type == SignatureType::Poly1271 {
                    let why = "3 (POLY_1271) is signed as TypedDataSign around the order, for the deposit wallet checks that; this client is too old for it";
                    return Err(TypedDataError::value("signatureType", why));
                }
                Ok(Self::Order(Box::new(order)))
            }
            "TypedDataSign" => {
                shape::nested_order(types)?;
                let exchange = exchange(domain, Layout::Timestamped)?;
                let order = nested(message, exchange)?;
                Ok(Self::Order(Box::new(order)))
            }
            "ClobAuth" => {
                shape::login(types)?;
                login(domain, message).map(Self::Login)
            }
            "CreateProxy" => {
                let operation = TypedOperation::creation(types, domain, message)?;
                Ok(Self::Operation(Box::new(operation)))
            }
            "Batch" => {
                let operation = TypedOperation::batch(types, domain, message)?;
                Ok(Self::Operation(Box::new(operation)))
            }
            _ => Err(TypedDataError::ForeignType(primary_type)),
        }
    }
}

impl TypedOrder {
    /// The chain that it is for.
    pub fn chain(&self) -> Chain {
        self.exchange.chain
    }

    /// How its signature is to be checked.
    pub fn signature_type(&self) -> SignatureType {
        self.contents.signature_type
    }

    /// Whether it is an order of this wallet.
    pub fn fits(&self, profile: &Profile) -> Result<(), TypedDataError> {
        let contents = &self.contents;
        let (chain, kind) = (profile.chain(), profile.signature_type());
        if self.exchange.chain != chain {
            let (theirs, ours) = (self.exchange.chain.id(), chain.id());
            let why = format!("chainId is {theirs}, and the wallet is on {ours}");
            return Err(TypedDataError::Domain(why));
        }
        if contents.signature_type != kind {
            let (theirs, ours) = (contents.signature_type.number(), kind.number());
            let why = format!("it is {theirs}, and the wallet's is {ours}");
            return Err(TypedDataError::value("signatureType", why));
        }
        for (field, theirs, ours) in [
            ("maker", contents.maker, profile.maker()),
            ("signer", contents.signer, profile.order_signer()),
        ] {
            if theirs != ours {
                let why = format!("it is {theirs}, and the wallet's is {ours}");
                return Err(TypedDataError::value(field, why));
            }
        }
        Ok(())
    }

    /// The order of a wallet that it fits. `now_s` (unix seconds) is what an expiration is compared
    /// to.
    pub fn order(&self, profile: &Profile, now_s: i64) -> Result<Order, TypedDataError> {
        self.fits(profile)?;
        let expiration = match self.contents.extra {
            Extra::Expiring { expiration, .. } => expiration,
            Extra::Timestamped { .. } => 0,
        };
        let order_type = match expiration {
            0 => OrderType::Gtc,
            _ => OrderType::Gtd,
        };
        if expiration != 0 {
            let refused =
                |error: OrderError| TypedDataError::value("expiration", error.to_string());
            expiration::check(expiration, now_s).map_err(refused)?;
        }
        let envelope = Envelope {
            order_type,
            expiration,
            post_only: false,
            defer_exec: false,
            owner: None,
        };
        let contents = self.contents.clone();
        Ok(Order::of(profile, self.exchange, contents, envelope))
    }
}

/// The exchange that a domain names.
fn exchange(mut domain: Members<'_>, layout: Layout) -> Result<&'static Exchange, TypedDataError> {
    let wrong = |why: String| Err(TypedDataError::Domain(why));
    let name = domain.text("name")?;
    let version = domain.text("version")?;
    let chain = chain(&mut domain)?;
    let contract = domain.address("verifyingContract")?;
    domain.end()?;
    if name != contracts::DOMAIN_NAME {
        return wrong(format!("name {name:?} is not {:?}", contracts::DOMAIN_NAME));
    }
    let Some(version) = Version::of_text(&version) else {
        return wrong(format!(
            "version {version:?} is none of \"1\", \"2\" and \"3\""
        ));
    };
    if version.format().layout != layout {
        return wrong(format!("version {version} goes with another type of Order"));
    }
    if let Some(exchange) = Exchange::at(version, chain, contract) {
        return Ok(exchange);
    }
    if contract.to_string() == NEG_RISK_ADAPTER {
        let exchange = version.exchange(chain, true).domain.verifying_contract;
        let right = exchange.unwrap_or(Address::ZERO);
        return wrong(format!(
            "verifyingContract {contract} is the neg-risk adapter, which takes no orders; py-clob-client 0.34.6 and polymarket-client-sdk 0.4.4 name it by mistake on Amoy. The neg-risk exchange is {right}: use a newer client"
        ));
    }
    let known = Exchange::all().find(|it| it.domain.verifying_contract == Some(contract));
    wrong(match known {
        Some(other) => format!(
            "verifyingContract {contract} takes orders of version {} on chain {}, and this one is of version {version} on chain {}",
            other.version,
            other.chain.id(),
            chain.id()
        ),
        None => format!("verifyingContract {contract} is not an exchange of the CLOB"),
    })
}

fn chain(domain: &mut Members<'_>) -> Result<Chain, TypedDataError> {
    let id: u64 = domain.small("chainId", "any chain of ours")?;
    Chain::try_from(id).map_err(|error| TypedDataError::Domain(error.to_string()))
}

/// The order that a deposit wallet's message holds.
fn nested(
    mut message: Members<'_>,
    exchange: &'static Exchange,
) -> Result<TypedOrder, TypedDataError> {
    let inner = Members::of("contents", message.take("contents")?)?;
    let contents = contents(inner, Layout::Timestamped)?;
    let (name, version) = (message.text("name")?, message.text("version")?);
    let id: u64 = message.small("chainId", "any chain of ours")?;
    let wallet = message.address("verifyingContract")?;
    let salt = message.bytes32("salt")?;
    message.end()?;
    if contents.signature_type != SignatureType::Poly1271 {
        let why = "TypedDataSign is for 3 (POLY_1271) only: sign the order itself";
        return Err(TypedDataError::value("signatureType", why));
    }
    for (field, right) in [
        ("name", name == WALLET_NAME),
        ("version", version == WALLET_VERSION),
        ("chainId", id == exchange.chain.id()),
        ("verifyingContract", wallet == contents.signer),
        ("salt", salt.0 == [0; 32]),
    ] {
        if !right {
            let why = format!(
                "TypedDataSign names the wallet's domain: {WALLET_NAME:?}, version {WALLET_VERSION:?}, the exchange's chain, the order's signer, a salt of zero"
            );
            return Err(TypedDataError::value(field, why));
        }
    }
    Ok(TypedOrder { exchange, contents })
}

fn contents(mut message: Members<'_>, layout: Layout) -> Result<Contents, TypedDataError> {
    let value = |field, why: String| TypedDataError::Value { field, why };
    let salt = message.integer("salt")?;
    let salt = u64::try_from(salt)
        .ok()
        .filter(|it| (1..=LARGEST_SALT).contains(it))
        .ok_or_else(|| {
            let why = format!("{salt} is not within 1 and 2^53 - 1: it travels as a JSON number, which the venue reads as a double, and a larger one would not be the one that was signed");
            value("salt", why)
        })?;
    let side = match message.small::<u8>("side", "0 (BUY) and 1 (SELL)")? {
        0 => Side::Buy,
        1 => Side::Sell,
        other => {
            return Err(value(
                "side",
                format!("{other} is neither 0 (BUY) nor 1 (SELL)"),
            ));
        }
    };
    let kind: u8 = message.small("signatureType", "0 to 3")?;
    let contents = Contents {
        salt,
        maker: message.address("maker")?,
        signer: message.address("signer")?,
        token_id: TokenId(message.integer("tokenId")?),
        maker_amount: message.integer("makerAmount")?,
        taker_amount: message.integer("takerAmount")?,
        side,
        signature_type: SignatureType::try_from(kind)
            .map_err(|error| value("signatureType", error.to_string()))?,
        extra: match layout {
            Layout::Expiring => Extra::Expiring {
                taker: message.address("taker")?,
                expiration: message.small("expiration", "any time in unix seconds")?,
                nonce: message.integer("nonce")?,
                fee_rate_bps: message.integer("feeRateBps")?,
            },
            Layout::Timestamped => Extra::Timestamped {
                timestamp_ms: message.small("timestamp", "any time in unix milliseconds")?,
                metadata: message.bytes32("metadata")?,
                builder: message.bytes32("builder")?,
            },
        },
    };
    message.end()?;
    for (field, amount) in [
        ("makerAmount", contents.maker_amount),
        ("takerAmount", contents.taker_amount),
    ] {
        if amount == U256::ZERO {
            return Err(TypedDataError::value(
                field,
                "it is 0: the order would be for nothing",
            ));
        }
    }
    if contents.maker_amount >= U256::from(ABSURD_UNITS) {
        let gives = contents.maker_amount;
        let why = format!("{gives} is more than anybody has: amounts are in units of 10^-6");
        return Err(value("makerAmount", why));
    }
    let (cash, shares, field) = match side {
        Side::Buy => (contents.maker_amount, contents.taker_amount, "makerAmount"),
        Side::Sell => (contents.taker_amount, contents.maker_amount, "takerAmount"),
    };
    if cash > shares {
        let why =
            format!("{cash} for {shares} shares is a price above 1, the most that a share pays");
        return Err(value(field, why));
    }
    Ok(contents)
}

fn login(mut domain: Members<'_>, mut message: Members<'_>) -> Result<ClobAuth, TypedDataError> {
    let (name, version) = (domain.text("name")?, domain.text("version")?);
    let chain = chain(&mut domain)?;
    domain.end()?;
    if (name.as_str(), version.as_str()) != (l1::DOMAIN_NAME, l1::DOMAIN_VERSION) {
        let why = format!(
            "{name:?}, version {version:?}, is not {:?}, version {:?}",
            l1::DOMAIN_NAME,
            l1::DOMAIN_VERSION
        );
        return Err(TypedDataError::Domain(why));
    }
    let text = message.text("timestamp")?;
    let timestamp = text.parse::<u32>().ok().map(i64::from);
    let login = ClobAuth {
        chain,
        address: message.address("address")?,
        // The text is what is signed, so it must be the only one for its number.
        timestamp: timestamp
            .filter(|it| it.to_string() == text)
            .ok_or_else(|| {
                TypedDataError::value("timestamp", "unix seconds are wanted, as text")
            })?,
        nonce: CredentialNonce(message.small("nonce", "2^64 - 1, the largest nonce")?),
    };
    if message.text("message")? != l1::MESSAGE {
        let why = format!("a login says {:?}", l1::MESSAGE);
        return Err(TypedDataError::value("message", why));
    }
    message.end()?;
    Ok(login)
}

#[cfg(test)]
mod tests;
