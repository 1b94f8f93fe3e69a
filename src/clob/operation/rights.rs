//! What rights a step takes, and what policies see of it.

use ruint::aliases::U256;

use crate::clob::stake::funder;
use crate::operations::{Contract, Party, Plan, SetUp, Step};
use crate::policy::{Action, Stake};

/// Cedar's largest number.
const MOST: u64 = i64::MAX.unsigned_abs();

/// By which right a step is made.
pub(super) fn action(step: &Step, plan: &Plan) -> Action {
    match step {
        Step::Approve { amount, .. } if amount.is_zero() => Action::RevokeAllowances,
        Step::Approve {
            spender: Party::Known(Contract::Onramp | Contract::Offramp),
            ..
        } => Action::ConvertCollateral,
        Step::Approve { .. }
        | Step::ApprovePositions { approved: true, .. }
        | Step::Unpause { .. } => Action::SetUpTrading,
        Step::ApprovePositions { .. }
        | Step::RevokeSession { .. }
        | Step::CancelHandover
        | Step::EmergencyRevoke { .. } => Action::RevokeAllowances,
        Step::Split { .. }
        | Step::Merge { .. }
        | Step::Redeem { .. }
        | Step::RedeemLegacy { .. }
        | Step::Convert { .. }
        | Step::SplitV3 { .. }
        | Step::MergeV3 { .. }
        | Step::RedeemV3 { .. } => Action::ManagePositions,
        Step::Unwrap { .. } if step.pays(&plan.account().place).is_some() => Action::Withdraw,
        Step::Wrap { .. } | Step::Unwrap { .. } => Action::ConvertCollateral,
        Step::Transfer { .. }
        | Step::TransferPosition { .. }
        | Step::TransferPositions { .. }
        | Step::TransferNative { .. } => Action::Withdraw,
        Step::Pause { .. } | Step::CancelNonce => Action::PauseTrading,
        Step::AuthorizeSession { .. } => Action::AuthorizeSessionKey,
        // Refused by the rules; whoever gets out of a wallet altogether has the gravest right.
        Step::TransferOwnership { .. }
        | Step::PauseWallet
        | Step::EmergencyTransfer { .. }
        | Step::EmergencyPositions { .. }
        | Step::EmergencyNative { .. } => Action::EmergencyExit,
    }
}

/// The gravest first.
pub(super) fn gravity(action: Action) -> usize {
    let order = [
        Action::EmergencyExit,
        Action::Withdraw,
        Action::AuthorizeSessionKey,
        Action::SetUpTrading,
        Action::ConvertCollateral,
        Action::ManagePositions,
        Action::DeployWallet,
        Action::PauseTrading,
        Action::RevokeAllowances,
    ];
    order
        .iter()
        .position(|it| *it == action)
        .unwrap_or_default()
}

/// Whether it makes money of positions.
pub(super) fn redeems(step: &Step) -> bool {
    matches!(
        step,
        Step::Merge { .. }
            | Step::Redeem { .. }
            | Step::RedeemLegacy { .. }
            | Step::MergeV3 { .. }
            | Step::RedeemV3 { .. }
    )
}

pub(super) fn spender(step: &Step) -> Option<String> {
    match step {
        Step::Approve { spender, .. }
        | Step::EmergencyRevoke { spender, .. }
        | Step::ApprovePositions {
            operator: spender, ..
        } => Some(spender.name()),
        Step::Pause { exchange } | Step::Unpause { exchange } => Some(exchange.to_string()),
        Step::AuthorizeSession { signer, .. } | Step::RevokeSession { signer } => {
            Some(funder(signer))
        }
        _ => None,
    }
}

pub(super) fn profile(step: &Step) -> Option<SetUp> {
    match step {
        Step::Approve {
            token,
            spender: Party::Known(spender),
            ..
        }
        | Step::ApprovePositions {
            token,
            operator: Party::Known(spender),
            ..
        } => SetUp::of((*token, *spender)),
        _ => None,
    }
}

/// How much a step is about, in millionths; an allowance without a bound is Cedar's largest number. The chain's own
/// coin is rounded up.
pub(super) fn amount(step: &Step) -> U256 {
    match step {
        Step::Approve { amount, .. } if *amount == U256::MAX => U256::from(MOST),
        Step::Approve { amount, .. }
        | Step::Split { amount, .. }
        | Step::Merge { amount, .. }
        | Step::Convert { amount, .. }
        | Step::SplitV3 { amount, .. }
        | Step::MergeV3 { amount, .. }
        | Step::RedeemV3 { amount, .. }
        | Step::Wrap { amount, .. }
        | Step::Unwrap { amount, .. }
        | Step::Transfer { amount, .. }
        | Step::TransferPosition { amount, .. }
        | Step::EmergencyTransfer { amount, .. } => *amount,
        Step::TransferPositions { amounts, .. }
        | Step::EmergencyPositions { amounts, .. }
        | Step::RedeemLegacy { amounts, .. } => {
            let sum = amounts.iter().copied();
            sum.fold(U256::ZERO, U256::saturating_add)
        }
        Step::TransferNative { amount, .. } | Step::EmergencyNative { amount, .. } => {
            amount.div_ceil(U256::from(1_000_000_000_000_u64))
        }
        _ => U256::ZERO,
    }
}

/// What policies see of a wallet that is to be made, which moves nothing.
pub fn deployment_stake() -> Stake {
    let none = ["token", "spender", "recipient", "profile"];
    let stake = Stake::new().word("op", "deploy").word("kind", "batch");
    let stake = none.into_iter().fold(stake, |stake, it| stake.word(it, ""));
    let none = ["amount", "window_total", "max_fee"];
    none.into_iter().fold(stake, |stake, it| stake.code(it, 0))
}
