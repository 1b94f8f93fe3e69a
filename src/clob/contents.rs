//! The signed fields of an order, and how each format hashes and writes them.

use ruint::aliases::U256;
use serde_json::{Value, json};

use super::OrderError;
use super::amount::Side;
use super::contracts::{Format, Layout};
use super::request::{FormatFields, TokenId};
use super::wallet::SignatureType;
use crate::ethereum::Address;
use crate::ethereum::eip712::{self, Bytes32, number};

/// The signed fields of an order. Source: CTF Exchange, `OrderStructs.sol`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Makes equal orders differ; 1 to 2⁵³ − 1.
    pub salt: u64,
    /// Who pays.
    pub maker: Address,
    /// Who the signature is checked against: the key's address, for type 3 the wallet.
    pub signer: Address,
    /// The outcome's token.
    pub token_id: TokenId,
    /// `makerAmount`: what the maker gives, in base units. BUY: cash. SELL: shares. Both have 6 decimals.
    pub maker_amount: U256,
    /// `takerAmount`: what the maker takes, in base units.
    pub taker_amount: U256,
    /// BUY or SELL.
    pub side: Side,
    /// How the signature is checked.
    pub signature_type: SignatureType,
    /// What this format adds.
    pub extra: Extra,
}

/// The fields that not every format signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extra {
    /// Version 1.
    Expiring {
        /// Who may take it; zero is anybody.
        taker: Address,
        /// Unix seconds; 0 is never.
        expiration: u64,
        /// What on-chain cancellation counts. Not a credential's nonce.
        nonce: U256,
        /// The market's fee in basis points.
        fee_rate_bps: U256,
    },
    /// Versions 2 and 3.
    Timestamped {
        /// When it was made, unix milliseconds.
        timestamp_ms: u64,
        /// Free for the trader's use.
        metadata: Bytes32,
        /// The builder's code.
        builder: Bytes32,
    },
}

impl Contents {
    /// `hashStruct`, with the members in the order of the format's type string.
    #[rustfmt::skip]
    pub(super) fn struct_hash(&self, format: &Format) -> [u8; 32] {
        let word = U256::to_be_bytes::<32>;
        let salt = number(self.salt);
        let (maker, signer) = (self.maker.word(), self.signer.word());
        let token_id = word(&self.token_id.0);
        let (gives, takes) = (word(&self.maker_amount), word(&self.taker_amount));
        let side = number(self.side.number());
        let kind = number(self.signature_type.number());
        match &self.extra {
            Extra::Expiring { taker, expiration, nonce, fee_rate_bps } => eip712::struct_hash(
                &format.order_type_hash,
                &[
                    salt, maker, signer, taker.word(), token_id, gives, takes,
                    number(*expiration), word(nonce), word(fee_rate_bps), side, kind,
                ],
            ),
            Extra::Timestamped { timestamp_ms, metadata, builder } => eip712::struct_hash(
                &format.order_type_hash,
                &[
                    salt, maker, signer, token_id, gives, takes, side, kind,
                    number(*timestamp_ms), metadata.0, builder.0,
                ],
            ),
        }
    }

    /// The members by name: integers as decimal text, `side` and `signatureType` as numbers.
    pub(super) fn members(&self) -> Value {
        let mut members = json!({
            "salt": self.salt.to_string(),
            "maker": self.maker,
            "signer": self.signer,
            "tokenId": self.token_id.0.to_string(),
            "makerAmount": self.maker_amount.to_string(),
            "takerAmount": self.taker_amount.to_string(),
            "side": self.side.number(),
            "signatureType": self.signature_type,
        });
        match &self.extra {
            Extra::Expiring {
                taker,
                expiration,
                nonce,
                fee_rate_bps,
            } => {
                members["taker"] = json!(taker);
                members["expiration"] = json!(expiration.to_string());
                members["nonce"] = json!(nonce.to_string());
                members["feeRateBps"] = json!(fee_rate_bps.to_string());
            }
            Extra::Timestamped {
                timestamp_ms,
                metadata,
                builder,
            } => {
                members["timestamp"] = json!(timestamp_ms.to_string());
                members["metadata"] = json!(metadata);
                members["builder"] = json!(builder);
            }
        }
        members
    }
}

impl Extra {
    /// Takes the format's fields from the request, and refuses those of other formats: they would
    /// be lost without a word.
    pub(super) fn of(
        request: &FormatFields,
        format: &Format,
        fee_rate_bps: U256,
        expiration: u64,
        timestamp_ms: i64,
    ) -> Result<Self, OrderError> {
        let foreign = |fields: &[(&'static str, bool)], instead| match fields
            .iter()
            .find(|(_, given)| *given)
        {
            Some((field, _)) => Err(OrderError::NotInVersion {
                field,
                version: format.version,
                instead,
            }),
            None => Ok(()),
        };
        match format.layout {
            Layout::Expiring => {
                foreign(
                    &[
                        ("metadata", request.metadata.is_some()),
                        ("builderCode", request.builder_code.is_some()),
                    ],
                    "version 2 or 3",
                )?;
                Ok(Self::Expiring {
                    taker: request.taker.unwrap_or(Address::ZERO),
                    expiration,
                    nonce: request.nonce.unwrap_or_default().0,
                    fee_rate_bps,
                })
            }
            Layout::Timestamped => {
                foreign(
                    &[
                        ("feeRateBps", request.fee_rate_bps.is_some()),
                        ("nonce", request.nonce.is_some()),
                        ("taker", request.taker.is_some()),
                    ],
                    "version 1",
                )?;
                Ok(Self::Timestamped {
                    timestamp_ms: u64::try_from(timestamp_ms)
                        .map_err(|_| OrderError::BeforeTime(timestamp_ms))?,
                    metadata: request.metadata.unwrap_or_default(),
                    builder: request.builder_code.unwrap_or_default(),
                })
            }
        }
    }
}
