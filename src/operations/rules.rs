//! What no operation may be, whoever asks and whatever a policy says.

use ruint::aliases::U256;

use super::account::{Account, AccountKind};
use super::contracts::{Contract, MAX, NotThere, SetUp};
use super::form::Form;
use super::step::{Call, Party, Place, Step};
use crate::ethereum::Address;

/// The most steps that go together.
const MOST_STEPS: usize = 40;
/// The most positions of one step.
const MOST_POSITIONS: usize = 50;
/// How long before its deadline the relayer wants a batch at least, in seconds.
const SOONEST_S: i64 = 10;
/// How far ahead a batch's deadline may lie, in seconds.
const LATEST_S: i64 = 1_200;
/// How long a session key may trade, in seconds.
const SESSION_S: i64 = 180 * 24 * 3_600;
/// Gas for relayed calls: what is too little spends the nonce for nothing, what is too much the hub refuses.
const RELAYED_GAS: std::ops::RangeInclusive<u64> = 100_000..=650_000;
/// What a transaction costs at least, and at most here.
const TRANSACTION_GAS: std::ops::RangeInclusive<u64> = 21_000..=3_000_000;
/// The relayer cuts what is longer.
const LONGEST_METADATA: usize = 500;

/// What an operation may cost in fees, in wei: one of the chain's own coin. A policy can say less (`context.max_fee`).
fn fee_cap() -> U256 {
    U256::from(1_000_000_000_000_000_000_u64)
}

/// Why an operation is none. Nothing was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The steps and the account do not go together.
    #[error("{0}")]
    Unfit(String),
    /// Nobody may be given such an allowance.
    #[error("{token} is not approved to {spender}{}", why.map_or_else(String::new, |why| format!(": {why}")))]
    Spender {
        /// Of what.
        token: Contract,
        /// To whom.
        spender: String,
        /// Why not.
        why: Option<&'static str>,
    },
    /// Nothing is paid there.
    #[error("{to} is no recipient: it is {what}")]
    Recipient {
        /// Where.
        to: Address,
        /// What is there.
        what: String,
    },
    /// It costs too much.
    #[error("it may cost {most} wei, and the cap is {cap}: less gas, or a lower maxFeePerGas")]
    Fee {
        /// The amount.
        most: U256,
        /// At most.
        cap: U256,
    },
    /// Its deadline.
    #[error("deadline: {0}")]
    Deadline(String),
    /// Too many steps.
    #[error("{0} calls are more than go together: {MOST_STEPS} at most")]
    TooLong(usize),
    /// A contract is not on the chain.
    #[error(transparent)]
    NotThere(#[from] NotThere),
}

fn unfit<T>(why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::Unfit(why.into()))
}

/// Whether these steps may be made in this form at this time.
pub(super) fn check(
    account: &Account,
    steps: &[Step],
    form: &Form,
    now_s: i64,
) -> Result<(), Refused> {
    if steps.len() > MOST_STEPS {
        return Err(Refused::TooLong(steps.len()));
    }
    check_form(account, steps, form, now_s)?;
    for (at, step) in steps.iter().enumerate() {
        check_step(account, step, form)?;
        check_ramp(step, steps.get(at + 1), form)?;
        if let Step::AuthorizeSession { valid_until, .. } = step {
            let [first, last] = [now_s, now_s + SESSION_S].map(seconds);
            if *valid_until <= first || *valid_until > last {
                return unfit("validUntil: a session key trades for 180 days from now at most");
            }
        }
    }
    Ok(())
}

fn seconds(at: i64) -> U256 {
    U256::from(u64::try_from(at).unwrap_or_default())
}

fn check_form(account: &Account, steps: &[Step], form: &Form, now_s: i64) -> Result<(), Refused> {
    use AccountKind::{Deposit, Own, Proxy, Safe};
    match (account.kind, form) {
        (Own | Deposit, Form::Transaction { .. }) if steps.len() != 1 => unfit(
            "a transaction of the key's own address makes one call: ask for each by itself, with consecutive nonces",
        )?,
        (Own | Proxy | Deposit, Form::Transaction { .. })
        | (Proxy, Form::Relayed { .. })
        | (Safe, Form::Safe { .. } | Form::SafeCreation)
        | (Deposit, Form::Batch { .. }) => {}
        (kind, form) => unfit(format!(
            "a wallet of this signature type ({kind}) makes no {}; see GET /v1/catalogue/operations",
            form.kind()
        ))?,
    }
    if steps.is_empty() != matches!(form, Form::SafeCreation) {
        unfit("nothing is asked for")?;
    }
    match form {
        Form::Transaction { fees, .. } => {
            if !TRANSACTION_GAS.contains(&fees.gas) {
                unfit("fees.gas: 21000 to 3000000")?;
            }
            if fees.max_priority_fee_per_gas > fees.max_fee_per_gas {
                unfit("fees.maxPriorityFeePerGas is above maxFeePerGas")?;
            }
            let most = fees.most();
            if most > fee_cap() {
                let cap = fee_cap();
                return Err(Refused::Fee { most, cap });
            }
        }
        Form::Relayed { relay, metadata } => {
            if !RELAYED_GAS.contains(&relay.gas_limit) {
                unfit("gasLimit: 100000 to 650000")?;
            }
            if relay.address == Address::ZERO {
                unfit("relay: it is the address that the relayer's /relay-payload names")?;
            }
            short(metadata)?;
        }
        Form::Safe { metadata, .. } => short(metadata)?,
        Form::Batch { deadline, .. } => {
            let ahead = deadline - now_s;
            if ahead < SOONEST_S {
                return Err(Refused::Deadline(format!(
                    "{deadline} is past, or less than {SOONEST_S} s ahead of {now_s}, the time here"
                )));
            }
            if ahead > LATEST_S {
                return Err(Refused::Deadline(format!(
                    "{deadline} is more than {LATEST_S} s ahead of {now_s}, the time here"
                )));
            }
        }
        Form::SafeCreation => {}
    }
    Ok(())
}

fn short(metadata: &str) -> Result<(), Refused> {
    if metadata.chars().count() > LONGEST_METADATA {
        return unfit("metadata: 500 characters at most");
    }
    Ok(())
}

#[expect(clippy::too_many_lines, reason = "it is the catalogue, one arm a step")]
fn check_step(account: &Account, step: &Step, form: &Form) -> Result<(), Refused> {
    let place = &account.place;
    match step {
        Step::Approve {
            token,
            spender,
            amount,
        } => check_approval(*token, *spender, *amount),
        Step::ApprovePositions {
            token,
            operator,
            approved,
        } => check_operator(*token, *operator, *approved),
        Step::Split {
            adapter, amount, ..
        }
        | Step::Merge {
            adapter, amount, ..
        } => {
            is_adapter(*adapter)?;
            some(*amount)
        }
        Step::Redeem { adapter, .. } => is_adapter(*adapter),
        Step::RedeemLegacy { amounts, .. } => match amounts.as_slice() {
            [_, _] => Ok(()),
            _ => unfit("amounts: one for each of the two outcomes"),
        },
        Step::Convert {
            market,
            index_set,
            amount,
        } => {
            if market.0[31] != 0 {
                return unfit("marketId: the id of a neg-risk market ends in 00");
            }
            some(*index_set)?;
            some(*amount)
        }
        Step::SplitV3 { amount, .. }
        | Step::MergeV3 { amount, .. }
        | Step::RedeemV3 { amount, .. } => some(*amount),
        Step::Wrap { asset, to, amount } => {
            is_usdc(*asset)?;
            if *to != place.wallet {
                return unfit("what is wrapped is the wallet's own");
            }
            some(*amount)
        }
        Step::Unwrap { asset, to, amount } => {
            is_usdc(*asset)?;
            if *to != place.wallet {
                is_recipient(*to, place)?;
            }
            some(*amount)
        }
        Step::Transfer { token, to, amount } | Step::EmergencyTransfer { token, to, amount } => {
            if !token.is_collateral() {
                return unfit(format!("{token} is no money: pusd, usdce or usdc"));
            }
            is_recipient(*to, place)?;
            some(*amount)
        }
        Step::TransferPosition {
            token, to, amount, ..
        } => check_positions(*token, *to, std::slice::from_ref(amount), 1, place),
        Step::TransferPositions {
            token,
            to,
            ids,
            amounts,
        }
        | Step::EmergencyPositions {
            token,
            to,
            ids,
            amounts,
        } => check_positions(*token, *to, amounts, ids.len(), place),
        Step::TransferNative { to, amount } => {
            if account.kind != AccountKind::Own {
                return unfit(
                    "only the key's own address (signatureType 0) pays the chain's own coin",
                );
            }
            is_recipient(*to, place)?;
            some(*amount)
        }
        Step::EmergencyNative { to, amount } => {
            is_recipient(*to, place)?;
            some(*amount)
        }
        Step::Pause { exchange } | Step::Unpause { exchange } => match exchange {
            Contract::ExchangeV2 | Contract::NegRiskExchangeV2 => Ok(()),
            other => unfit(format!(
                "{other} has no pause for a maker: exchange_v2 or neg_risk_exchange_v2"
            )),
        },
        Step::TransferOwnership { .. } | Step::CancelHandover => {
            unfit("a deposit wallet is handed over within a rotation only")
        }
        Step::CancelNonce
        | Step::AuthorizeSession { .. }
        | Step::RevokeSession { .. }
        | Step::PauseWallet
        | Step::EmergencyRevoke { .. } => Ok(()),
    }?;
    check_self(account, step, form)
}

/// Calls that a wallet makes of itself: each in the one form that is for it.
fn check_self(account: &Account, step: &Step, form: &Form) -> Result<(), Refused> {
    let is_emergency = matches!(
        step,
        Step::PauseWallet
            | Step::EmergencyTransfer { .. }
            | Step::EmergencyPositions { .. }
            | Step::EmergencyNative { .. }
            | Step::EmergencyRevoke { .. }
    );
    let is_of_session = matches!(
        step,
        Step::AuthorizeSession { .. } | Step::RevokeSession { .. }
    );
    let is_deposit = account.kind == AccountKind::Deposit;
    let is_transaction = matches!(form, Form::Transaction { .. });
    if is_emergency && !(is_deposit && is_transaction) {
        return unfit(format!(
            "{} is a transaction of a deposit wallet's owner: via = \"transaction\"",
            step.op()
        ));
    }
    if is_deposit && is_transaction && !is_emergency {
        return unfit(
            "a deposit wallet's batches go by the relayer; a transaction of its owner pauses it, and gets out what is in it (emergency_*)",
        );
    }
    if is_of_session && (is_transaction || !is_deposit) {
        return unfit("session keys are for deposit wallets");
    }
    let is_own = is_emergency || is_of_session || *step == Step::CancelNonce;
    if is_own && account.is_session_key {
        return unfit("a session key makes no calls of the wallet itself");
    }
    if *step == Step::CancelNonce && account.kind == AccountKind::Proxy {
        return unfit("a proxy wallet's nonces cannot be cancelled");
    }
    Ok(())
}

/// An allowance for a ramp is exact, and used at once.
fn check_ramp(step: &Step, next: Option<&Step>, form: &Form) -> Result<(), Refused> {
    let Step::Approve {
        token,
        spender: Party::Known(spender @ (Contract::Onramp | Contract::Offramp)),
        amount,
    } = step
    else {
        return Ok(());
    };
    if amount.is_zero() || matches!(form, Form::Transaction { .. }) {
        return Ok(());
    }
    let is_used = match next {
        Some(Step::Wrap {
            asset,
            amount: used,
            ..
        }) => spender == &Contract::Onramp && asset == token && used == amount,
        Some(Step::Unwrap { amount: used, .. }) => spender == &Contract::Offramp && used == amount,
        _ => false,
    };
    if is_used {
        return Ok(());
    }
    let why = Some("a ramp's allowance is used by the next call, whole: ask for wrap or unwrap");
    let (token, spender) = (*token, spender.to_string());
    Err(Refused::Spender {
        token,
        spender,
        why,
    })
}

fn check_approval(token: Contract, spender: Party, amount: U256) -> Result<(), Refused> {
    use Contract as C;
    if !token.is_collateral() {
        return unfit(format!("{token} is no money: pusd, usdce or usdc"));
    }
    if amount.is_zero() {
        return Ok(()); // it only takes away
    }
    let refused = |why| {
        let spender = spender.name();
        Err(Refused::Spender {
            token,
            spender,
            why,
        })
    };
    let Party::Known(known) = spender else {
        return refused(Some(
            "an allowance is for a contract of the table, by its name",
        ));
    };
    match (token, known) {
        approved if SetUp::of(approved).is_some() => Ok(()),
        (C::Usdce | C::Usdc, C::Onramp) | (C::Pusd, C::Offramp | C::PerpsDeposit) => {
            if amount == MAX {
                refused(Some("for it only an exact amount"))
            } else {
                Ok(())
            }
        }
        _ => refused(None),
    }
}

fn check_operator(token: Contract, operator: Party, approved: bool) -> Result<(), Refused> {
    if !token.is_positions() {
        return unfit(format!(
            "{token} holds no positions: ctf or position_manager"
        ));
    }
    if !approved {
        return Ok(());
    }
    match operator {
        Party::Known(known) if SetUp::of((token, known)).is_some() => Ok(()),
        _ => Err(Refused::Spender {
            token,
            spender: operator.name(),
            why: None,
        }),
    }
}

fn check_positions(
    token: Contract,
    to: Address,
    amounts: &[U256],
    ids: usize,
    place: &Place,
) -> Result<(), Refused> {
    if !token.is_positions() {
        return unfit(format!(
            "{token} holds no positions: ctf or position_manager"
        ));
    }
    if ids != amounts.len() || ids == 0 || ids > MOST_POSITIONS {
        return unfit("ids and amounts: as many of one as of the other, 1 to 50");
    }
    amounts.iter().try_for_each(|amount| some(*amount))?;
    is_recipient(to, place)
}

fn is_recipient(to: Address, place: &Place) -> Result<(), Refused> {
    let what = if to == Address::ZERO {
        "nobody's".to_owned()
    } else if to == place.wallet {
        "the wallet itself".to_owned()
    } else if let Some(contract) = Contract::at(place.chain_id, to) {
        format!("the contract {contract}")
    } else {
        return Ok(());
    };
    Err(Refused::Recipient { to, what })
}

fn is_adapter(adapter: Contract) -> Result<(), Refused> {
    if adapter.is_adapter() {
        return Ok(());
    }
    unfit(format!("{adapter} is none of the adapters in use"))
}

fn is_usdc(asset: Contract) -> Result<(), Refused> {
    if matches!(asset, Contract::Usdce | Contract::Usdc) {
        return Ok(());
    }
    unfit(format!("asset: {asset} is not wrapped: usdce or usdc"))
}

fn some(amount: U256) -> Result<(), Refused> {
    if amount.is_zero() || amount == MAX {
        return unfit("amount: more than 0, and exact");
    }
    Ok(())
}

/// No call but a payment of the chain's own coin carries any.
pub(super) fn carries_nothing(step: &Step, call: &Call) -> bool {
    call.value.is_zero() || matches!(step, Step::TransferNative { .. })
}
