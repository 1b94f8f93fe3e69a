//! From what was asked for to the steps that it is.

use std::collections::BTreeMap;

use ruint::aliases::U256;

use super::account::Account;
use super::contracts::{Contract, FORMER, MAX, SetUp};
use super::request::{Amount, Operation};
use super::step::{Party, Step};
use crate::ethereum::Address;
use crate::name::Name;

/// Where names of requests lead.
#[derive(Debug, Default)]
pub struct Names {
    /// Registered recipients.
    pub recipients: BTreeMap<Name, Address>,
    /// Keys of this service.
    pub keys: BTreeMap<Name, Address>,
}

/// A name leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nothing is known by the name {0}")]
pub struct Unnamed(Name);

impl Operation {
    /// Whom it pays, by name.
    pub fn recipient(&self) -> Option<&Name> {
        match self {
            Self::WithdrawCollateral { recipient, .. }
            | Self::WithdrawPositions { recipient, .. }
            | Self::WithdrawNative { recipient, .. }
            | Self::EmergencyWithdrawCollateral { recipient, .. }
            | Self::EmergencyWithdrawPositions { recipient, .. }
            | Self::EmergencyWithdrawNative { recipient, .. } => Some(recipient),
            Self::Unwrap { recipient, .. } => recipient.as_ref(),
            _ => None,
        }
    }

    /// The session key that it is about, by name.
    pub fn key(&self) -> Option<&Name> {
        match self {
            Self::AuthorizeSessionKey { key, .. } | Self::RevokeSessionKey { key } => Some(key),
            _ => None,
        }
    }

    /// Its steps; `together`: whether several go into what is signed.
    #[expect(
        clippy::too_many_lines,
        reason = "it is the catalogue, one arm an operation"
    )]
    pub fn steps(
        &self,
        account: &Account,
        names: &Names,
        together: bool,
    ) -> Result<Vec<Step>, Unnamed> {
        let to = |name: &Name| {
            let found = names.recipients.get(name).copied();
            found.ok_or_else(|| Unnamed(name.clone()))
        };
        let key = |name: &Name| {
            let found = names.keys.get(name).copied();
            found.ok_or_else(|| Unnamed(name.clone()))
        };
        let plain = |amounts: &[Amount]| amounts.iter().map(|it| it.0).collect::<Vec<_>>();
        let one = match self {
            Self::Deploy => return Ok(Vec::new()),
            Self::SetUpTrading { profile } => {
                return Ok(approvals(*profile, MAX, true).collect());
            }
            Self::RevokeAll => return Ok(revocations(account.place.chain_id)),
            Self::Wrap { asset, amount } => {
                let wrap = Step::Wrap {
                    asset: *asset,
                    to: account.place.wallet,
                    amount: amount.0,
                };
                return Ok(ramped(*asset, Contract::Onramp, amount.0, wrap, together));
            }
            Self::Unwrap {
                asset,
                amount,
                recipient,
            } => {
                let unwrap = Step::Unwrap {
                    asset: *asset,
                    to: recipient.as_ref().map_or(Ok(account.place.wallet), to)?,
                    amount: amount.0,
                };
                let token = Contract::Pusd;
                return Ok(ramped(token, Contract::Offramp, amount.0, unwrap, together));
            }
            Self::ApproveCollateral {
                token,
                spender,
                amount,
            } => Step::Approve {
                token: *token,
                spender: Party::Known(*spender),
                amount: amount.0,
            },
            Self::RevokeCollateral { token, spender } => Step::Approve {
                token: *token,
                spender: spender.0,
                amount: U256::ZERO,
            },
            Self::ApprovePositions { token, operator } => Step::ApprovePositions {
                token: *token,
                operator: Party::Known(*operator),
                approved: true,
            },
            Self::RevokePositions { token, operator } => Step::ApprovePositions {
                token: *token,
                operator: operator.0,
                approved: false,
            },
            Self::Split {
                condition_id,
                amount,
                neg_risk,
            } => Step::Split {
                adapter: adapter(*neg_risk),
                condition: *condition_id,
                amount: amount.0,
            },
            Self::Merge {
                condition_id,
                amount,
                neg_risk,
            } => Step::Merge {
                adapter: adapter(*neg_risk),
                condition: *condition_id,
                amount: amount.0,
            },
            Self::Redeem {
                condition_id,
                neg_risk,
            } => Step::Redeem {
                adapter: adapter(*neg_risk),
                condition: *condition_id,
            },
            Self::RedeemLegacy {
                condition_id,
                amounts,
            } => Step::RedeemLegacy {
                condition: *condition_id,
                amounts: plain(amounts),
            },
            Self::Convert {
                market_id,
                index_set,
                amount,
            } => Step::Convert {
                market: *market_id,
                index_set: index_set.0,
                amount: amount.0,
            },
            Self::SplitV3 {
                condition_id,
                amount,
            } => Step::SplitV3 {
                condition: *condition_id,
                amount: amount.0,
            },
            Self::MergeV3 {
                condition_id,
                amount,
            } => Step::MergeV3 {
                condition: *condition_id,
                amount: amount.0,
            },
            Self::RedeemV3 {
                condition_id,
                outcome,
                amount,
            } => Step::RedeemV3 {
                condition: *condition_id,
                outcome: outcome.0,
                amount: amount.0,
            },
            Self::WithdrawCollateral {
                token,
                recipient,
                amount,
            } => Step::Transfer {
                token: *token,
                to: to(recipient)?,
                amount: amount.0,
            },
            Self::WithdrawPositions {
                token,
                recipient,
                ids,
                amounts,
            } => {
                let (token, to) = (*token, to(recipient)?);
                match (ids.as_slice(), amounts.as_slice()) {
                    ([id], [amount]) => Step::TransferPosition {
                        token,
                        to,
                        id: id.0,
                        amount: amount.0,
                    },
                    _ => Step::TransferPositions {
                        token,
                        to,
                        ids: plain(ids),
                        amounts: plain(amounts),
                    },
                }
            }
            Self::WithdrawNative { recipient, amount } => Step::TransferNative {
                to: to(recipient)?,
                amount: amount.0,
            },
            Self::PauseTrading { exchange } => Step::Pause {
                exchange: *exchange,
            },
            Self::UnpauseTrading { exchange } => Step::Unpause {
                exchange: *exchange,
            },
            Self::CancelNonce => Step::CancelNonce,
            Self::AuthorizeSessionKey {
                key: name,
                valid_until,
            } => Step::AuthorizeSession {
                signer: key(name)?,
                valid_until: valid_until.0,
            },
            Self::RevokeSessionKey { key: name } => Step::RevokeSession { signer: key(name)? },
            Self::PauseWallet => Step::PauseWallet,
            Self::EmergencyWithdrawCollateral {
                token,
                recipient,
                amount,
            } => Step::EmergencyTransfer {
                token: *token,
                to: to(recipient)?,
                amount: amount.0,
            },
            Self::EmergencyWithdrawPositions {
                token,
                recipient,
                ids,
                amounts,
            } => Step::EmergencyPositions {
                token: *token,
                to: to(recipient)?,
                ids: plain(ids),
                amounts: plain(amounts),
            },
            Self::EmergencyWithdrawNative { recipient, amount } => Step::EmergencyNative {
                to: to(recipient)?,
                amount: amount.0,
            },
            Self::EmergencyRevokeCollateral { token, spender } => Step::EmergencyRevoke {
                token: *token,
                spender: spender.0,
            },
        };
        Ok(vec![one])
    }
}

fn adapter(neg_risk: bool) -> Contract {
    if neg_risk {
        Contract::NegRiskCollateralAdapter
    } else {
        Contract::CollateralAdapter
    }
}

/// A ramp's use, after the exact allowance for it where both go together.
fn ramped(token: Contract, ramp: Contract, amount: U256, step: Step, together: bool) -> Vec<Step> {
    let allow = Step::Approve {
        token,
        spender: Party::Known(ramp),
        amount,
    };
    if together {
        vec![allow, step]
    } else {
        vec![step]
    }
}

/// The approvals of a profile, or their revocations.
fn approvals(profile: SetUp, amount: U256, approved: bool) -> impl Iterator<Item = Step> {
    let (money, positions) = profile.approvals();
    of_tables(money, positions, amount, approved)
}

fn of_tables(
    money: &'static [(Contract, Contract)],
    positions: &'static [(Contract, Contract)],
    amount: U256,
    approved: bool,
) -> impl Iterator<Item = Step> {
    let money = money.iter().map(move |(token, spender)| Step::Approve {
        token: *token,
        spender: Party::Known(*spender),
        amount,
    });
    let positions = positions
        .iter()
        .map(move |(token, operator)| Step::ApprovePositions {
            token: *token,
            operator: Party::Known(*operator),
            approved,
        });
    money.chain(positions)
}

/// Everything that the table knows to have been approved on a chain, by anybody's client.
fn revocations(chain_id: u64) -> Vec<Step> {
    let now = SetUp::ALL
        .into_iter()
        .flat_map(|profile| approvals(profile, U256::ZERO, false));
    let former = of_tables(FORMER.0, FORMER.1, U256::ZERO, false);
    let is_there = |step: &Step| match step {
        Step::Approve { token, spender, .. }
        | Step::ApprovePositions {
            token,
            operator: spender,
            ..
        } => {
            let known = match spender {
                Party::Known(contract) => contract.on(chain_id).is_ok(),
                Party::Other(_) => true,
            };
            known && token.on(chain_id).is_ok()
        }
        _ => false,
    };
    now.chain(former).filter(is_there).collect()
}
