//! The answer: a signed order in the form that the official TypeScript client posts.

use serde_json::{Value, json};

use super::nested;
use super::order::{Order, PriceFrom};
use super::wallet::SignatureType;
use super::warning::Warning;
use crate::ethereum::Signature;
use crate::ethereum::eip712::Bytes32;
use crate::operations::deposit::wrap_session;

/// A signed order, ready to be posted.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignedOrder {
    /// The `order` member of the body of `POST /order`.
    #[schema(value_type = Object)]
    pub order: Value,
    /// The whole body of `POST /order`, when the request named the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub envelope: Option<Value>,
    /// The order format used: 1, 2 or 3.
    pub version: u8,
    /// What the key signed, `0x` and 64 hexadecimal digits.
    #[schema(value_type = String)]
    pub digest: Bytes32,
    /// The EIP-712 hash of the order, by which the venue knows it.
    #[schema(value_type = String)]
    pub order_hash: Bytes32,
    /// The signature as the order has it: 65 bytes; for type 3 nested and longer.
    pub signature: String,
    /// The limit that the amounts were made with: cash per share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
    /// Whether the request or the CLOB's book named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_from: Option<PriceFrom>,
    /// What the trader should know.
    pub warnings: Vec<Warning>,
}

impl Order {
    /// Puts the key's signature over the [`digest`](Self::digest) into the order.
    pub fn signed(&self, signature: &Signature) -> SignedOrder {
        let signature = self.signature_text(signature);
        let order = self.json(&signature);
        let envelope = self.envelope.owner.as_ref().map(|owner| {
            json!({
                "order": order,
                "owner": owner.as_str(),
                "orderType": self.envelope.order_type,
                "postOnly": self.envelope.post_only,
                "deferExec": self.envelope.defer_exec,
            })
        });
        SignedOrder {
            order,
            envelope,
            version: self.version().into(),
            digest: Bytes32(*self.digest()),
            order_hash: Bytes32(*self.order_hash()),
            signature,
            price: self.limit.map(|limit| limit.price.to_string()),
            price_from: self.limit.map(|limit| limit.from),
            warnings: self.warnings.clone(),
        }
    }

    fn signature_text(&self, signature: &Signature) -> String {
        if self.contents.signature_type != SignatureType::Poly1271 {
            return signature.to_string();
        }
        let nested = nested::wrap(
            signature,
            self.domain_separator(),
            self.struct_hash(),
            self.format.order_type,
        );
        let bytes = if self.profile.session_key() {
            wrap_session(self.profile.key_address(), &nested)
        } else {
            nested
        };
        format!("0x{}", hex::encode(bytes))
    }

    /// The record's members, with the salt as a number (the venue refuses text), the side as a word,
    /// and the expiration also where it is not signed.
    fn json(&self, signature: &str) -> Value {
        let mut order = self.contents.members();
        order["salt"] = json!(self.contents.salt);
        order["side"] = json!(self.contents.side);
        order["expiration"] = json!(self.envelope.expiration.to_string());
        order["signature"] = json!(signature);
        order
    }
}
