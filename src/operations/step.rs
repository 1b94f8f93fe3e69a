//! The catalogue: every call that a wallet can be made to make, by what it means.
//!
//! # Why
//! There is no way in for calldata. A call is written from these fields, and one that comes in from a client's
//! library ([`Step::read`]) is read into them, written again, and refused where that is not the same. So what is
//! decided on, what stands on record and what is signed are one thing.

use ruint::aliases::U256;
use serde_json::{Value as Json, json};

use super::abi::{self, Value, hexed};
use super::contracts::{Contract, NotThere};
use crate::ethereum::Address;
use crate::ethereum::eip712::Bytes32;

/// The account that a call is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// On which chain.
    pub chain_id: u64,
    /// What holds the assets.
    pub wallet: Address,
}

/// A call: to whom, with how much of the chain's own coin, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Whom.
    pub to: Address,
    /// How much, in wei.
    pub value: U256,
    /// What.
    pub data: Vec<u8>,
}

/// Somebody who may have been given an allowance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// Known by name.
    Known(Contract),
    /// Anybody else: from them one can only take away.
    Other(Address),
}

/// One call of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "what a step's fields are, its own line says")]
#[rustfmt::skip]
pub enum Step {
    /// Allows a spender so much of a token; 0 takes it back.
    Approve { token: Contract, spender: Party, amount: U256 },
    /// Allows an operator to move all positions, or takes that back.
    ApprovePositions { token: Contract, operator: Party, approved: bool },
    /// Makes a pair of positions of collateral.
    Split { adapter: Contract, condition: Bytes32, amount: U256 },
    /// Makes collateral of a pair.
    Merge { adapter: Contract, condition: Bytes32, amount: U256 },
    /// Pays out all that is held of a condition.
    Redeem { adapter: Contract, condition: Bytes32 },
    /// The same at the adapter of version 1.
    RedeemLegacy { condition: Bytes32, amounts: Vec<U256> },
    /// Gives up NO of some questions for YES of the others.
    Convert { market: Bytes32, index_set: U256, amount: U256 },
    /// [`Split`](Self::Split) of version 3.
    SplitV3 { condition: Condition, amount: U256 },
    /// [`Merge`](Self::Merge) of version 3.
    MergeV3 { condition: Condition, amount: U256 },
    /// [`Redeem`](Self::Redeem) of version 3, which says how much.
    RedeemV3 { condition: Condition, outcome: U256, amount: U256 },
    /// Makes pUSD of USDC.
    Wrap { asset: Contract, to: Address, amount: U256 },
    /// Makes USDC of pUSD, for whomever.
    Unwrap { asset: Contract, to: Address, amount: U256 },
    /// Pays money.
    Transfer { token: Contract, to: Address, amount: U256 },
    /// Hands over a position.
    TransferPosition { token: Contract, to: Address, id: U256, amount: U256 },
    /// Hands over positions.
    TransferPositions { token: Contract, to: Address, ids: Vec<U256>, amounts: Vec<U256> },
    /// Pays the chain's own coin, in wei.
    TransferNative { to: Address, amount: U256 },
    /// Has an exchange take no order of this maker any more.
    Pause { exchange: Contract },
    /// Undoes it.
    Unpause { exchange: Contract },
    /// Spends a nonce on nothing.
    CancelNonce,
    /// Lets a key trade for a deposit wallet.
    AuthorizeSession { signer: Address, valid_until: U256 },
    /// Undoes it.
    RevokeSession { signer: Address },
    /// Offers a deposit wallet to another key.
    TransferOwnership { new_owner: Address, deadline: U256 },
    /// Takes the offer back.
    CancelHandover,
    /// Begins a deposit wallet's way out without the relayer.
    PauseWallet,
    /// Pays money on that way.
    EmergencyTransfer { token: Contract, to: Address, amount: U256 },
    /// Hands over positions on that way.
    EmergencyPositions { token: Contract, to: Address, ids: Vec<U256>, amounts: Vec<U256> },
    /// Pays the chain's own coin on that way.
    EmergencyNative { to: Address, amount: U256 },
    /// Takes an allowance back on that way.
    EmergencyRevoke { token: Contract, spender: Party },
}

/// A condition of version 3: 31 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Condition(pub [u8; 31]);

/// The text is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a condition of version 3 is 0x and 62 hexadecimal digits")]
pub struct NotACondition;

impl From<Condition> for String {
    fn from(condition: Condition) -> Self {
        hexed(&condition.0)
    }
}

impl TryFrom<String> for Condition {
    type Error = NotACondition;

    fn try_from(text: String) -> Result<Self, NotACondition> {
        let digits = text.strip_prefix("0x").ok_or(NotACondition)?;
        let mut bytes = [0; 31];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| NotACondition)?;
        Ok(Self(bytes))
    }
}

impl Condition {
    fn word(self) -> [u8; 32] {
        let mut word = [0; 32];
        word[..31].copy_from_slice(&self.0);
        word
    }
}

const APPROVE: &str = "approve(address,uint256)";
const SET_APPROVAL_FOR_ALL: &str = "setApprovalForAll(address,bool)";
const SPLIT: &str = "splitPosition(address,bytes32,bytes32,uint256[],uint256)";
const MERGE: &str = "mergePositions(address,bytes32,bytes32,uint256[],uint256)";
const REDEEM: &str = "redeemPositions(address,bytes32,bytes32,uint256[])";
const REDEEM_LEGACY: &str = "redeemPositions(bytes32,uint256[])";
const CONVERT: &str = "convertPositions(bytes32,uint256,uint256)";
const SPLIT_V3: &str = "split(bytes31,uint256)";
const MERGE_V3: &str = "merge(bytes31,uint256)";
const REDEEM_V3: &str = "redeem(bytes31,uint256,uint256)";
const WRAP: &str = "wrap(address,address,uint256)";
const UNWRAP: &str = "unwrap(address,address,uint256)";
const TRANSFER: &str = "transfer(address,uint256)";
const TRANSFER_POSITION: &str = "safeTransferFrom(address,address,uint256,uint256,bytes)";
const TRANSFER_POSITIONS: &str = "safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)";
const PAUSE_USER: &str = "pauseUser()";
const UNPAUSE_USER: &str = "unpauseUser()";
const AUTHORIZE_SESSION: &str = "authorizeSessionSigner(address,uint256)";
const REVOKE_SESSION: &str = "revokeSessionSigner(address)";
const TRANSFER_OWNERSHIP: &str = "transferOwnership(address,uint256)";
const CANCEL_HANDOVER: &str = "cancelOwnershipHandover()";
const PAUSE_WALLET: &str = "pause()";
const WITHDRAW_ERC20: &str = "withdrawERC20(address,address,uint256)";
const WITHDRAW_ERC1155: &str = "withdrawERC1155(address,address,uint256[],uint256[])";
const WITHDRAW_NATIVE: &str = "withdrawNative(address,uint256)";
const REVOKE_ALLOWANCE: &str = "revokeAllowance(address,address)";

/// All functions that are ever called.
pub(super) const FUNCTIONS: [&str; 26] = [
    APPROVE,
    SET_APPROVAL_FOR_ALL,
    SPLIT,
    MERGE,
    REDEEM,
    REDEEM_LEGACY,
    CONVERT,
    SPLIT_V3,
    MERGE_V3,
    REDEEM_V3,
    WRAP,
    UNWRAP,
    TRANSFER,
    TRANSFER_POSITION,
    TRANSFER_POSITIONS,
    PAUSE_USER,
    UNPAUSE_USER,
    AUTHORIZE_SESSION,
    REVOKE_SESSION,
    TRANSFER_OWNERSHIP,
    CANCEL_HANDOVER,
    PAUSE_WALLET,
    WITHDRAW_ERC20,
    WITHDRAW_ERC1155,
    WITHDRAW_NATIVE,
    REVOKE_ALLOWANCE,
];

/// Both outcomes of a condition, as the adapters' callers write them.
fn partition() -> Value {
    Value::Numbers([1, 2].map(U256::from).to_vec())
}

impl Party {
    fn on(self, chain_id: u64) -> Result<Address, NotThere> {
        match self {
            Self::Known(contract) => contract.on(chain_id),
            Self::Other(address) => Ok(address),
        }
    }

    /// By name, where it has one there.
    pub fn at(chain_id: u64, address: Address) -> Self {
        Contract::at(chain_id, address).map_or(Self::Other(address), Self::Known)
    }

    /// As people and policies have it: a name, or an address in lower case.
    pub fn name(self) -> String {
        match self {
            Self::Known(contract) => contract.to_string(),
            Self::Other(address) => hexed(&address.0),
        }
    }
}

/// Which function a step calls, where, and with what.
type Written = (&'static str, Address, Vec<Value>);

impl Step {
    /// The word for it.
    pub fn op(&self) -> &'static str {
        match self {
            Self::Approve { amount, .. } if amount.is_zero() => "revoke_collateral",
            Self::Approve { .. } => "approve_collateral",
            Self::ApprovePositions { approved: true, .. } => "approve_positions",
            Self::ApprovePositions { .. } => "revoke_positions",
            Self::Split { .. } => "split",
            Self::Merge { .. } => "merge",
            Self::Redeem { .. } => "redeem",
            Self::RedeemLegacy { .. } => "redeem_legacy",
            Self::Convert { .. } => "convert",
            Self::SplitV3 { .. } => "split_v3",
            Self::MergeV3 { .. } => "merge_v3",
            Self::RedeemV3 { .. } => "redeem_v3",
            Self::Wrap { .. } => "wrap",
            Self::Unwrap { .. } => "unwrap",
            Self::Transfer { .. } => "withdraw_collateral",
            Self::TransferPosition { .. } | Self::TransferPositions { .. } => "withdraw_positions",
            Self::TransferNative { .. } => "withdraw_native",
            Self::Pause { .. } => "pause_trading",
            Self::Unpause { .. } => "unpause_trading",
            Self::CancelNonce => "cancel_nonce",
            Self::AuthorizeSession { .. } => "authorize_session_key",
            Self::RevokeSession { .. } => "revoke_session_key",
            Self::TransferOwnership { .. } => "transfer_ownership",
            Self::CancelHandover => "cancel_handover",
            Self::PauseWallet => "pause_wallet",
            Self::EmergencyTransfer { .. } => "emergency_withdraw_collateral",
            Self::EmergencyPositions { .. } => "emergency_withdraw_positions",
            Self::EmergencyNative { .. } => "emergency_withdraw_native",
            Self::EmergencyRevoke { .. } => "emergency_revoke_collateral",
        }
    }

    /// The call.
    pub fn call(&self, place: &Place) -> Result<Call, NotThere> {
        if let Self::TransferNative { to, amount } = self {
            let (to, value, data) = (*to, *amount, Vec::new());
            return Ok(Call { to, value, data });
        }
        let (to, data) = match self.written(place)? {
            Some((function, to, values)) => (to, abi::call(function, &values)),
            None => (place.wallet, Vec::new()),
        };
        let value = U256::ZERO;
        Ok(Call { to, value, data })
    }

    /// The call, with its function and arguments for people.
    pub fn described(&self, place: &Place) -> Result<Json, NotThere> {
        let call = self.call(place)?;
        let mut shown = json!({
            "op": self.op(), "to": call.to, "value": call.value.to_string(), "data": hexed(&call.data),
        });
        if let Some(name) = Contract::at(place.chain_id, call.to) {
            shown["contract"] = json!(name);
        }
        if let Some((function, _, values)) = self.written(place)? {
            let arguments = values.iter().zip(abi::kinds(function));
            let arguments: Json = arguments.map(|(it, kind)| it.shown(kind)).collect();
            shown["function"] = json!(function);
            shown["arguments"] = arguments;
        }
        Ok(shown)
    }

    #[expect(clippy::too_many_lines, reason = "it is the catalogue, one arm a call")]
    fn written(&self, place: &Place) -> Result<Option<Written>, NotThere> {
        use Contract as C;
        let chain = place.chain_id;
        let on = |contract: Contract| contract.on(chain);
        let fixed = |it: &Bytes32| Value::Fixed(it.0);
        // The adapters look at neither: one meaning has one encoding.
        let asset = || Ok::<_, NotThere>((Value::from(on(C::Pusd)?), Value::Fixed([0; 32])));
        let position = |adapter: Contract, condition: &Bytes32, amount: U256| {
            let (token, parent) = asset()?;
            let values = vec![token, parent, fixed(condition), partition(), amount.into()];
            Ok::<_, NotThere>((on(adapter)?, values))
        };
        Ok(Some(match self {
            Self::Approve {
                token,
                spender,
                amount,
            } => (
                APPROVE,
                on(*token)?,
                vec![spender.on(chain)?.into(), (*amount).into()],
            ),
            Self::ApprovePositions {
                token,
                operator,
                approved,
            } => {
                let values = vec![operator.on(chain)?.into(), Value::Flag(*approved)];
                (SET_APPROVAL_FOR_ALL, on(*token)?, values)
            }
            Self::Split {
                adapter,
                condition,
                amount,
            } => {
                let (to, values) = position(*adapter, condition, *amount)?;
                (SPLIT, to, values)
            }
            Self::Merge {
                adapter,
                condition,
                amount,
            } => {
                let (to, values) = position(*adapter, condition, *amount)?;
                (MERGE, to, values)
            }
            Self::Redeem { adapter, condition } => {
                let (token, parent) = asset()?;
                (
                    REDEEM,
                    on(*adapter)?,
                    vec![token, parent, fixed(condition), partition()],
                )
            }
            Self::RedeemLegacy { condition, amounts } => {
                let values = vec![fixed(condition), Value::Numbers(amounts.clone())];
                (REDEEM_LEGACY, on(C::NegRiskAdapter)?, values)
            }
            Self::Convert {
                market,
                index_set,
                amount,
            } => {
                let values = vec![fixed(market), (*index_set).into(), (*amount).into()];
                (CONVERT, on(C::NegRiskCollateralAdapter)?, values)
            }
            Self::SplitV3 { condition, amount } => (
                SPLIT_V3,
                on(C::Router)?,
                vec![Value::Fixed(condition.word()), (*amount).into()],
            ),
            Self::MergeV3 { condition, amount } => (
                MERGE_V3,
                on(C::Router)?,
                vec![Value::Fixed(condition.word()), (*amount).into()],
            ),
            Self::RedeemV3 {
                condition,
                outcome,
                amount,
            } => {
                let values = vec![
                    Value::Fixed(condition.word()),
                    (*outcome).into(),
                    (*amount).into(),
                ];
                (REDEEM_V3, on(C::Router)?, values)
            }
            Self::Wrap { asset, to, amount } => (
                WRAP,
                on(C::Onramp)?,
                vec![on(*asset)?.into(), (*to).into(), (*amount).into()],
            ),
            Self::Unwrap { asset, to, amount } => (
                UNWRAP,
                on(C::Offramp)?,
                vec![on(*asset)?.into(), (*to).into(), (*amount).into()],
            ),
            Self::Transfer { token, to, amount } => {
                (TRANSFER, on(*token)?, vec![(*to).into(), (*amount).into()])
            }
            Self::TransferPosition {
                token,
                to,
                id,
                amount,
            } => {
                let nothing = Value::Bytes(Vec::new());
                let values = vec![
                    place.wallet.into(),
                    (*to).into(),
                    (*id).into(),
                    (*amount).into(),
                    nothing,
                ];
                (TRANSFER_POSITION, on(*token)?, values)
            }
            Self::TransferPositions {
                token,
                to,
                ids,
                amounts,
            } => {
                let lists = [ids, amounts].map(|it| Value::Numbers(it.clone()));
                let [ids, amounts] = lists;
                let nothing = Value::Bytes(Vec::new());
                let values = vec![place.wallet.into(), (*to).into(), ids, amounts, nothing];
                (TRANSFER_POSITIONS, on(*token)?, values)
            }
            Self::Pause { exchange } => (PAUSE_USER, on(*exchange)?, Vec::new()),
            Self::Unpause { exchange } => (UNPAUSE_USER, on(*exchange)?, Vec::new()),
            Self::TransferNative { .. } | Self::CancelNonce => return Ok(None),
            Self::AuthorizeSession {
                signer,
                valid_until,
            } => (
                AUTHORIZE_SESSION,
                place.wallet,
                vec![(*signer).into(), (*valid_until).into()],
            ),
            Self::RevokeSession { signer } => {
                (REVOKE_SESSION, place.wallet, vec![(*signer).into()])
            }
            Self::TransferOwnership {
                new_owner,
                deadline,
            } => (
                TRANSFER_OWNERSHIP,
                place.wallet,
                vec![(*new_owner).into(), (*deadline).into()],
            ),
            Self::CancelHandover => (CANCEL_HANDOVER, place.wallet, Vec::new()),
            Self::PauseWallet => (PAUSE_WALLET, place.wallet, Vec::new()),
            Self::EmergencyTransfer { token, to, amount } => {
                let values = vec![on(*token)?.into(), (*to).into(), (*amount).into()];
                (WITHDRAW_ERC20, place.wallet, values)
            }
            Self::EmergencyPositions {
                token,
                to,
                ids,
                amounts,
            } => {
                let lists = [ids, amounts].map(|it| Value::Numbers(it.clone()));
                let [ids, amounts] = lists;
                (
                    WITHDRAW_ERC1155,
                    place.wallet,
                    vec![on(*token)?.into(), (*to).into(), ids, amounts],
                )
            }
            Self::EmergencyNative { to, amount } => (
                WITHDRAW_NATIVE,
                place.wallet,
                vec![(*to).into(), (*amount).into()],
            ),
            Self::EmergencyRevoke { token, spender } => (
                REVOKE_ALLOWANCE,
                place.wallet,
                vec![on(*token)?.into(), spender.on(chain)?.into()],
            ),
        }))
    }
}
