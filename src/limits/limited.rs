//! What is at stake in something that is to be signed: the fields that limits look at.

use ruint::aliases::U256;

use super::{Price, Token};
use crate::id::WalletId;

words! {
    /// What is counted.
    pub enum What {
        /// Orders, and their notional.
        Order = "order",
        /// Headers of level 1.
        L1Header = "l1-header",
        /// Assertions that leave.
        Assertion = "assertion",
        /// Access tokens that leave.
        AccessToken = "token",
        /// Questions about what was signed.
        LookUp = "look-up",
        /// What leaves wallets for recipients.
        Withdrawal = "withdrawal",
    }
}

words! {
    /// What the maker does with the shares.
    #[derive(utoipa::ToSchema, PartialOrd, Ord)]
    #[schema(as = LimitedSide)]
    pub enum Side {
        /// Takes them.
        Buy = "BUY",
        /// Gives them.
        Sell = "SELL",
    }
}

/// What is at stake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limited {
    /// Nothing that is limited: what the service does by itself, or what winds down.
    Nothing,
    /// An order.
    Order(Box<LimitedOrder>),
    /// A wallet's header of level 1.
    L1Header(WalletId),
    /// An assertion.
    Assertion,
    /// An access token.
    AccessToken,
    /// So much that leaves a wallet, in base units of 10⁻⁶.
    Withdrawal(WalletId, U256),
}

/// What is at stake in an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitedOrder {
    /// Whose funds.
    pub wallet: WalletId,
    /// Which shares.
    pub token: Token,
    /// What happens to them.
    pub side: Side,
    /// The cash that changes hands if all of it fills, in base units.
    pub cash: U256,
    /// The shares, in base units.
    pub shares: U256,
    /// When it ends, in unix seconds; the first version signs it, elsewhere whoever posts it can change it.
    pub expiration: Option<u64>,
    /// Whether it may rest in the book.
    pub rests: bool,
    /// Whether whoever asks says that the same was asked for before, and means another one.
    pub is_meant_again: bool,
    /// The best price of the other side of the book.
    pub book: BookPrice,
}

/// Of which wallet and market something is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct On {
    pub(crate) wallet: Option<WalletId>,
    pub(crate) market: Option<Token>,
}

impl On {
    pub(super) fn order(order: &LimitedOrder) -> Self {
        Self {
            wallet: Some(order.wallet),
            market: Some(order.token),
        }
    }
}

impl Limited {
    /// What is counted of it, and how much.
    pub(crate) fn counted(&self) -> Option<(What, i64)> {
        let amount = |cash: &U256| i64::try_from(*cash).unwrap_or(i64::MAX);
        match self {
            Self::Nothing => None,
            Self::Order(order) => Some((What::Order, amount(&order.cash))),
            Self::L1Header(_) => Some((What::L1Header, 1)),
            Self::Assertion => Some((What::Assertion, 1)),
            Self::AccessToken => Some((What::AccessToken, 1)),
            Self::Withdrawal(_, cash) => Some((What::Withdrawal, amount(cash))),
        }
    }

    /// Of which wallet and market it is.
    pub(crate) fn on(&self) -> On {
        match self {
            Self::Nothing | Self::Assertion | Self::AccessToken => On::default(),
            Self::Order(order) => On::order(order),
            Self::L1Header(wallet) | Self::Withdrawal(wallet, _) => On {
                wallet: Some(*wallet),
                market: None,
            },
        }
    }
}

/// What is known of the other side of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BookPrice {
    /// It was not looked at, or not soon enough, or nobody is there.
    Absent,
    /// Its best price, and when it was asked for, in milliseconds since 1970.
    Seen(Price, i64),
}
