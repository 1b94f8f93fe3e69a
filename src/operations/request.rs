//! What callers ask for: operations by name and fields.

use ruint::aliases::U256;

use super::contracts::{Contract, MAX, SetUp};
use super::step::{Condition, Party};
use crate::ethereum::eip712::Bytes32;
use crate::name::Name;

/// A whole number of base units, as decimal text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Amount(pub U256);

/// The text is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a whole number below 2^256 is wanted, as decimal text without a sign or leading zeros")]
pub struct NotAnAmount;

impl From<Amount> for String {
    fn from(amount: Amount) -> Self {
        amount.0.to_string()
    }
}

impl TryFrom<String> for Amount {
    type Error = NotAnAmount;

    fn try_from(text: String) -> Result<Self, NotAnAmount> {
        let leads = text.len() > 1 && text.starts_with('0');
        let is_number =
            (1..=78).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_digit());
        if leads || !is_number {
            return Err(NotAnAmount);
        }
        U256::from_str_radix(&text, 10)
            .map(Self)
            .map_err(|_| NotAnAmount)
    }
}

/// An amount, or `max`: without a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Allowance(pub U256);

impl From<Allowance> for String {
    fn from(allowance: Allowance) -> Self {
        if allowance.0 == MAX {
            "max".into()
        } else {
            allowance.0.to_string()
        }
    }
}

impl TryFrom<String> for Allowance {
    type Error = NotAnAmount;

    fn try_from(text: String) -> Result<Self, NotAnAmount> {
        if text == "max" {
            return Ok(Self(MAX));
        }
        let amount = Amount::try_from(text)?.0;
        // 0 would be a revocation, and the greatest number has a name.
        let is_one = !amount.is_zero() && amount != MAX;
        is_one.then_some(Self(amount)).ok_or(NotAnAmount)
    }
}

/// Whose allowance is taken back: a contract by its name, or anybody by their address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Former(pub Party);

/// The text is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a contract's name (GET /v1/catalogue/operations) nor an address")]
pub struct NotAParty(String);

impl From<Former> for String {
    fn from(former: Former) -> Self {
        former.0.name()
    }
}

impl TryFrom<String> for Former {
    type Error = NotAParty;

    fn try_from(text: String) -> Result<Self, NotAParty> {
        if let Some(contract) = Contract::from_name(&text) {
            return Ok(Self(Party::Known(contract)));
        }
        let address = text.parse().map(|it| Self(Party::Other(it)));
        address.map_err(|_| NotAParty(text.chars().take(80).collect()))
    }
}

/// Something that a wallet is to do.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = Operation)]
pub enum Operation {
    /// Have the key's Safe or deposit wallet made (types 2 and 3), at no charge. By itself.
    Deploy,
    /// Approve all that a profile needs, without a bound.
    SetUpTrading {
        /// Which.
        profile: SetUp,
    },
    /// Take back every allowance that the table knows of.
    RevokeAll,
    /// Allow a contract so much of a token.
    ApproveCollateral {
        /// pusd, usdce or usdc.
        token: Contract,
        /// To whom.
        spender: Contract,
        /// So much, or "max".
        #[schema(value_type = String, example = "max")]
        amount: Allowance,
    },
    /// Take that back.
    RevokeCollateral {
        /// pusd, usdce or usdc.
        token: Contract,
        /// A contract's name, or any address.
        #[schema(value_type = String)]
        spender: Former,
    },
    /// Allow a contract to move all positions.
    ApprovePositions {
        /// `ctf` or `position_manager`.
        token: Contract,
        /// To whom.
        operator: Contract,
    },
    /// Take that back.
    RevokePositions {
        /// `ctf` or `position_manager`.
        token: Contract,
        /// A contract's name, or any address.
        #[schema(value_type = String)]
        operator: Former,
    },
    /// Make a pair of positions of pUSD.
    Split {
        /// The market's condition.
        #[serde(rename = "conditionId")]
        #[schema(value_type = String)]
        condition_id: Bytes32,
        /// The amount, in base units.
        #[schema(value_type = String)]
        amount: Amount,
        /// Whether it is a neg-risk market.
        #[serde(default, rename = "negRisk")]
        neg_risk: bool,
    },
    /// Make pUSD of a pair of positions.
    Merge {
        /// The market's condition.
        #[serde(rename = "conditionId")]
        #[schema(value_type = String)]
        condition_id: Bytes32,
        /// The amount, in base units.
        #[schema(value_type = String)]
        amount: Amount,
        /// Whether it is a neg-risk market.
        #[serde(default, rename = "negRisk")]
        neg_risk: bool,
    },
    /// Have all that is held of a settled condition paid out.
    Redeem {
        /// The market's condition.
        #[serde(rename = "conditionId")]
        #[schema(value_type = String)]
        condition_id: Bytes32,
        /// Whether it is a neg-risk market.
        #[serde(default, rename = "negRisk")]
        neg_risk: bool,
    },
    /// The same at the neg-risk adapter of version 1.
    RedeemLegacy {
        /// The market's condition.
        #[serde(rename = "conditionId")]
        #[schema(value_type = String)]
        condition_id: Bytes32,
        /// How much of YES, and of NO.
        #[schema(value_type = Vec<String>)]
        amounts: Vec<Amount>,
    },
    /// Give up NO of some questions of a neg-risk market for YES of the others.
    Convert {
        /// The market.
        #[serde(rename = "marketId")]
        #[schema(value_type = String)]
        market_id: Bytes32,
        /// Bit i: NO of question i is given up.
        #[serde(rename = "indexSet")]
        #[schema(value_type = String)]
        index_set: Amount,
        /// The amount, in base units.
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// Split, version 3.
    SplitV3 {
        /// 31 bytes.
        #[serde(rename = "conditionId")]
        #[schema(value_type = String)]
        condition_id: Condition,
        /// The amount, in base units.
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// Merge, version 3.
    MergeV3 {
        /// 31 bytes.
        #[serde(rename = "conditionId")]
        #[schema(value_type = String)]
        condition_id: Condition,
        /// The amount, in base units.
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// Redeem, version 3.
    RedeemV3 {
        /// 31 bytes.
        #[serde(rename = "conditionId")]
        #[schema(value_type = String)]
        condition_id: Condition,
        /// Of which outcome.
        #[schema(value_type = String)]
        outcome: Amount,
        /// The amount, in base units.
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// Make pUSD of USDC; where calls go together, with the exact allowance for it.
    Wrap {
        /// usdce or usdc.
        asset: Contract,
        /// The amount, in base units.
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// Make USDC of pUSD; where calls go together, with the exact allowance for it.
    Unwrap {
        /// usdce or usdc.
        asset: Contract,
        /// The amount, in base units.
        #[schema(value_type = String)]
        amount: Amount,
        /// Who gets it, if not the wallet: a registered recipient.
        #[serde(default)]
        #[schema(value_type = Option<String>)]
        recipient: Option<Name>,
    },
    /// Pay a registered recipient.
    WithdrawCollateral {
        /// pusd, usdce or usdc.
        token: Contract,
        /// By its name in the register.
        #[schema(value_type = String)]
        recipient: Name,
        /// The amount, in base units.
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// Hand positions over to a registered recipient.
    WithdrawPositions {
        /// `ctf` or `position_manager`.
        token: Contract,
        /// By its name in the register.
        #[schema(value_type = String)]
        recipient: Name,
        /// Which.
        #[schema(value_type = Vec<String>)]
        ids: Vec<Amount>,
        /// How much of each.
        #[schema(value_type = Vec<String>)]
        amounts: Vec<Amount>,
    },
    /// Pay a registered recipient in the chain's own coin (type 0).
    WithdrawNative {
        /// By its name in the register.
        #[schema(value_type = String)]
        recipient: Name,
        /// So much, in wei.
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// Have an exchange take no order of this maker any more.
    PauseTrading {
        /// `exchange_v2` or `neg_risk_exchange_v2`.
        exchange: Contract,
    },
    /// Undo it.
    UnpauseTrading {
        /// `exchange_v2` or `neg_risk_exchange_v2`.
        exchange: Contract,
    },
    /// Spend a nonce on nothing.
    CancelNonce,
    /// Let a key of this service trade for the deposit wallet. A second person agrees.
    AuthorizeSessionKey {
        /// The key's name.
        #[schema(value_type = String)]
        key: Name,
        /// Until when, in unix seconds.
        #[serde(rename = "validUntil")]
        #[schema(value_type = String)]
        valid_until: Amount,
    },
    /// Undo it.
    RevokeSessionKey {
        /// The key's name.
        #[schema(value_type = String)]
        key: Name,
    },
    /// Begin a deposit wallet's way out without the relayer.
    PauseWallet,
    /// Pay on that way. A second person agrees.
    EmergencyWithdrawCollateral {
        /// pusd, usdce or usdc.
        token: Contract,
        /// By its name in the register.
        #[schema(value_type = String)]
        recipient: Name,
        /// The amount, in base units.
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// Hand positions over on that way. A second person agrees.
    EmergencyWithdrawPositions {
        /// `ctf` or `position_manager`.
        token: Contract,
        /// By its name in the register.
        #[schema(value_type = String)]
        recipient: Name,
        /// Which.
        #[schema(value_type = Vec<String>)]
        ids: Vec<Amount>,
        /// How much of each.
        #[schema(value_type = Vec<String>)]
        amounts: Vec<Amount>,
    },
    /// Pay in the chain's own coin on that way. A second person agrees.
    EmergencyWithdrawNative {
        /// By its name in the register.
        #[schema(value_type = String)]
        recipient: Name,
        /// So much, in wei.
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// Take an allowance back on that way.
    EmergencyRevokeCollateral {
        /// pusd, usdce or usdc.
        token: Contract,
        /// A contract's name, or any address.
        #[schema(value_type = String)]
        spender: Former,
    },
}
