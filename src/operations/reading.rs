//! From calldata that a client's library wrote back to a step of the catalogue.

use ruint::aliases::U256;

use super::abi::{self, Value};
use super::contracts::Contract;
use super::step::{Call, Condition, FUNCTIONS, Party, Place, Step};
use crate::ethereum::Address;
use crate::ethereum::eip712::Bytes32;

/// Why a call is none of the catalogue's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the call to {to} (selector {}) is none of the catalogue's, or is written otherwise than it writes it", selector(.data)
)]
pub struct NotInCatalogue {
    to: Address,
    data: Vec<u8>,
}

fn selector(data: &[u8]) -> String {
    data.get(..4).map_or_else(|| "none".into(), abi::hexed)
}

impl Step {
    /// The step that this call is, if writing it again gives the same call.
    pub fn read(call: &Call, place: &Place) -> Result<Self, NotInCatalogue> {
        let step = meant(call, place).filter(|it| it.call(place).as_ref() == Ok(call));
        step.ok_or_else(|| NotInCatalogue {
            to: call.to,
            data: call.data.clone(),
        })
    }
}

fn meant(call: &Call, place: &Place) -> Option<Step> {
    if call.data.is_empty() {
        return Some(if call.to == place.wallet && call.value.is_zero() {
            Step::CancelNonce
        } else {
            let (to, amount) = (call.to, call.value);
            Step::TransferNative { to, amount }
        });
    }
    let read = |function: &&'static str| abi::read(function, &call.data);
    let (function, values) = FUNCTIONS
        .iter()
        .find_map(|function| Some((function, read(function)?)))?;
    let name = function.split('(').next()?;
    let chain_id = place.chain_id;
    let contract = Contract::at(chain_id, call.to);
    let mut values = values.into_iter();
    if call.to == place.wallet {
        own(name, &mut values, chain_id)
    } else {
        of_contract(name, contract?, &mut values, chain_id)
    }
}

/// A call of the wallet itself.
fn own(name: &str, values: &mut impl Iterator<Item = Value>, chain_id: u64) -> Option<Step> {
    let mut next = || values.next();
    Some(match name {
        "authorizeSessionSigner" => Step::AuthorizeSession {
            signer: address(next()?)?,
            valid_until: number(next()?)?,
        },
        "revokeSessionSigner" => Step::RevokeSession {
            signer: address(next()?)?,
        },
        "transferOwnership" => Step::TransferOwnership {
            new_owner: address(next()?)?,
            deadline: number(next()?)?,
        },
        "cancelOwnershipHandover" => Step::CancelHandover,
        "pause" => Step::PauseWallet,
        "withdrawERC20" => Step::EmergencyTransfer {
            token: Contract::at(chain_id, address(next()?)?)?,
            to: address(next()?)?,
            amount: number(next()?)?,
        },
        "withdrawERC1155" => Step::EmergencyPositions {
            token: Contract::at(chain_id, address(next()?)?)?,
            to: address(next()?)?,
            ids: numbers(next()?)?,
            amounts: numbers(next()?)?,
        },
        "withdrawNative" => Step::EmergencyNative {
            to: address(next()?)?,
            amount: number(next()?)?,
        },
        "revokeAllowance" => Step::EmergencyRevoke {
            token: Contract::at(chain_id, address(next()?)?)?,
            spender: Party::at(chain_id, address(next()?)?),
        },
        _ => return None,
    })
}

/// A call of one of the venue's contracts. Where that is not the one that the step names, the two are not written
/// the same way.
fn of_contract(
    name: &str,
    contract: Contract,
    values: &mut impl Iterator<Item = Value>,
    chain_id: u64,
) -> Option<Step> {
    let token = contract;
    let adapter = contract;
    let exchange = contract;
    let mut next = || values.next();
    Some(match name {
        "approve" => Step::Approve {
            token,
            spender: Party::at(chain_id, address(next()?)?),
            amount: number(next()?)?,
        },
        "setApprovalForAll" => Step::ApprovePositions {
            token,
            operator: Party::at(chain_id, address(next()?)?),
            approved: next()? == Value::Flag(true),
        },
        "splitPosition" => Step::Split {
            adapter,
            condition: fixed(values.nth(2)?)?,
            amount: number(values.nth(1)?)?,
        },
        "mergePositions" => Step::Merge {
            adapter,
            condition: fixed(values.nth(2)?)?,
            amount: number(values.nth(1)?)?,
        },
        "redeemPositions" if contract == Contract::NegRiskAdapter => Step::RedeemLegacy {
            condition: fixed(next()?)?,
            amounts: numbers(next()?)?,
        },
        "redeemPositions" => Step::Redeem {
            adapter,
            condition: fixed(values.nth(2)?)?,
        },
        "convertPositions" => Step::Convert {
            market: fixed(next()?)?,
            index_set: number(next()?)?,
            amount: number(next()?)?,
        },
        "split" => Step::SplitV3 {
            condition: condition(next()?)?,
            amount: number(next()?)?,
        },
        "merge" => Step::MergeV3 {
            condition: condition(next()?)?,
            amount: number(next()?)?,
        },
        "redeem" => Step::RedeemV3 {
            condition: condition(next()?)?,
            outcome: number(next()?)?,
            amount: number(next()?)?,
        },
        "wrap" => Step::Wrap {
            asset: Contract::at(chain_id, address(next()?)?)?,
            to: address(next()?)?,
            amount: number(next()?)?,
        },
        "unwrap" => Step::Unwrap {
            asset: Contract::at(chain_id, address(next()?)?)?,
            to: address(next()?)?,
            amount: number(next()?)?,
        },
        "transfer" => Step::Transfer {
            token,
            to: address(next()?)?,
            amount: number(next()?)?,
        },
        "safeTransferFrom" => Step::TransferPosition {
            token,
            to: address(values.nth(1)?)?,
            id: number(values.next()?)?,
            amount: number(values.next()?)?,
        },
        "safeBatchTransferFrom" => Step::TransferPositions {
            token,
            to: address(values.nth(1)?)?,
            ids: numbers(values.next()?)?,
            amounts: numbers(values.next()?)?,
        },
        "pauseUser" => Step::Pause { exchange },
        "unpauseUser" => Step::Unpause { exchange },
        _ => return None,
    })
}

#[expect(clippy::needless_pass_by_value, reason = "each takes the next value")]
fn address(value: Value) -> Option<Address> {
    match value {
        Value::Address(address) => Some(address),
        _ => None,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "each takes the next value")]
fn number(value: Value) -> Option<U256> {
    match value {
        Value::Number(number) => Some(number),
        _ => None,
    }
}

fn numbers(value: Value) -> Option<Vec<U256>> {
    match value {
        Value::Numbers(numbers) => Some(numbers),
        _ => None,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "each takes the next value")]
fn fixed(value: Value) -> Option<Bytes32> {
    match value {
        Value::Fixed(word) => Some(Bytes32(word)),
        _ => None,
    }
}

fn condition(value: Value) -> Option<Condition> {
    let word = fixed(value)?.0;
    let (bytes, end) = word.split_last_chunk::<1>()?;
    (end == &[0]).then(|| bytes.try_into().ok().map(Condition))?
}
