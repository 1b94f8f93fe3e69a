//! An order on its way through the door.

use std::sync::Arc;

use ruint::aliases::U256;
use time::OffsetDateTime;
use uuid::Uuid;

use super::wallets::Wallet;
use super::{Order, SignedOrder, Version};
use crate::custody::Payload;
use crate::id::IntentId;
use crate::idempotency::Useful;
use crate::keys::Key;
use crate::policy::{Action, Ask, Resource, Stake};
use crate::signing::{Answer, Checked, Draft, Prepared};

/// An order to be signed with a wallet.
pub struct OrderDraft {
    /// With which wallet.
    pub wallet: Arc<Wallet>,
    /// What.
    pub order: Order,
}

/// The answer: the signed order, and under which id it is on record.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub struct IssuedOrder {
    /// The signature's id here.
    #[schema(value_type = String)]
    pub id: IntentId,
    /// The rest.
    #[serde(flatten)]
    pub signed: SignedOrder,
}

impl Ask for OrderDraft {
    fn action(&self) -> Action {
        Action::SignOrder
    }

    fn resource(&self) -> Resource {
        self.wallet.resource()
    }

    fn stake(&self) -> Stake {
        self.order.stake()
    }

    fn markets(&self) -> Vec<U256> {
        vec![self.order.contents().token_id.0]
    }
}

impl Draft for OrderDraft {
    fn operation(&self) -> &'static str {
        "order"
    }

    fn subject(&self) -> Uuid {
        self.wallet.id.uuid()
    }

    fn key(&self) -> &Key {
        &self.wallet.key
    }

    fn useful(&self) -> Useful {
        let signs_its_end = self.order.version() == Version::V1;
        let end = self.order.expiration().filter(|_| signs_its_end);
        let end = end.and_then(|seconds| i64::try_from(seconds).ok());
        let end = end.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
        end.map_or(Useful::WithoutEnd, Useful::Until)
    }

    fn tells_the_time(&self) -> bool {
        self.order.version() != Version::V1
    }

    fn prepare(&self, _now_ms: i64) -> Prepared {
        Prepared {
            payload: Payload::Digest(*self.order.digest()),
            digest: *self.order.digest(),
            record: self.order.record(),
            order_hash: Some(*self.order.order_hash()),
            jti: None,
            login: None,
            release_before_ms: None,
            expires_at: self.useful().until(),
        }
    }

    fn answer(&self, id: IntentId, _prepared: &Prepared, signature: &Checked) -> Answer {
        let Checked::Ethereum(signature) = signature else {
            unreachable!("an order is a digest, and its signature was checked as recoverable");
        };
        let issued = IssuedOrder {
            id,
            signed: self.order.signed(signature),
        };
        let body = serde_json::to_vec(&issued).expect("plain data serializes");
        Answer {
            body,
            is_secret: false,
        }
    }
}

/// An order that the caller put together. The answer is the signature alone, as JSON-RPC wants it: a
/// deposit wallet's envelope is put around it by the caller, who has everything that belongs there.
pub struct TypedOrderDraft(pub OrderDraft);

impl Ask for TypedOrderDraft {
    fn action(&self) -> Action {
        self.0.action()
    }

    fn resource(&self) -> Resource {
        self.0.resource()
    }

    fn stake(&self) -> Stake {
        self.0.stake()
    }

    fn markets(&self) -> Vec<U256> {
        self.0.markets()
    }
}

impl Draft for TypedOrderDraft {
    fn operation(&self) -> &'static str {
        self.0.operation()
    }

    fn subject(&self) -> Uuid {
        self.0.subject()
    }

    fn key(&self) -> &Key {
        self.0.key()
    }

    fn useful(&self) -> Useful {
        self.0.useful()
    }

    fn prepare(&self, now_ms: i64) -> Prepared {
        self.0.prepare(now_ms)
    }

    fn answer(&self, _id: IntentId, _prepared: &Prepared, signature: &Checked) -> Answer {
        let Checked::Ethereum(signature) = signature else {
            unreachable!("an order is a digest, and its signature was checked as recoverable");
        };
        Answer {
            body: serde_json::to_vec(&signature.to_string()).expect("text serializes"),
            is_secret: false,
        }
    }
}
