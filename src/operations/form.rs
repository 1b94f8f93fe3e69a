//! In which form steps are signed.

use ruint::aliases::U256;

use super::proxy::Relay;
use super::safe::SafeForm;
use super::transaction::Fees;

words! {
    /// What kind of thing is signed.
    #[derive(PartialOrd, Ord, utoipa::ToSchema)]
    #[schema(as = OperationKind)]
    pub enum PlanKind {
        /// A transaction of the key's own address.
        Transaction = "transaction",
        /// What makes a Safe.
        SafeCreation = "safe-creation",
        /// A Safe's transaction.
        Safe = "safe",
        /// Calls of a proxy wallet by way of a relay.
        Relayed = "relayed",
        /// A deposit wallet's batch.
        Batch = "batch",
    }
}

/// In which form steps are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// A transaction that the key's own address sends and pays for.
    Transaction {
        /// That address's nonce.
        nonce: u64,
        /// What it may cost.
        fees: Fees,
    },
    /// What makes a key's Safe.
    SafeCreation,
    /// A Safe's transaction.
    Safe {
        /// The Safe's nonce.
        nonce: U256,
        /// How it is signed.
        form: SafeForm,
        /// Goes along, and is not signed.
        metadata: String,
    },
    /// Calls of a proxy wallet by way of a relay.
    Relayed {
        /// What the relayer says of itself.
        relay: Relay,
        /// Goes along, and is not signed.
        metadata: String,
    },
    /// A deposit wallet's batch.
    Batch {
        /// The wallet's nonce.
        nonce: U256,
        /// Until when, in unix seconds.
        deadline: i64,
    },
}

impl Form {
    /// Which kind it is.
    pub fn kind(&self) -> PlanKind {
        match self {
            Self::Transaction { .. } => PlanKind::Transaction,
            Self::SafeCreation => PlanKind::SafeCreation,
            Self::Safe { .. } => PlanKind::Safe,
            Self::Relayed { .. } => PlanKind::Relayed,
            Self::Batch { .. } => PlanKind::Batch,
        }
    }
}
