//! Wallet operations that a client's library put together: the making of a Safe, a deposit wallet's batch, and the
//! transaction of a key's own address.
//!
//! Calls in them are read into the catalogue and written again ([`Step::read`]). What is not the same is refused,
//! and what is the same comes before the same rules and rights as what is asked for by name.

use ruint::aliases::U256;
use serde_json::value::RawValue;

use super::json::Members;
use super::{TypedDataError, shape};
use crate::clob::{Chain, Profile, SignatureType};
use crate::ethereum::Address;
use crate::operations::deposit::{WALLET_NAME, WALLET_VERSION};
use crate::operations::safe::FACTORY_NAME;
use crate::operations::transaction::Fees;
use crate::operations::{Call, Contract, Form, NotInCatalogue, Place, Plan, Refused, Step};

/// No batch that is taken has more.
const MOST_CALLS: usize = 64;

/// An operation that somebody else put together.
#[derive(Debug, Clone)]
pub struct TypedOperation {
    chain: Chain,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    SafeCreation,
    Batch {
        wallet: Address,
        nonce: U256,
        deadline: i64,
        calls: Vec<Call>,
    },
    Transaction {
        nonce: u64,
        fees: Fees,
        call: Call,
    },
}

/// Why it is no plan of a wallet's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPlanned {
    /// It is another wallet's, or written otherwise.
    #[error(transparent)]
    TypedData(#[from] TypedDataError),
    /// A call.
    #[error(transparent)]
    Call(#[from] NotInCatalogue),
    /// A rule.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl TypedOperation {
    /// `CreateProxy`. It may cost nothing: a Safe's address can be paid before it is made.
    pub(super) fn creation(
        types: &RawValue,
        mut domain: Members<'_>,
        mut message: Members<'_>,
    ) -> Result<Self, TypedDataError> {
        shape::safe_creation(types)?;
        let name = domain.text("name")?;
        let chain = super::chain(&mut domain)?;
        let factory = domain.address("verifyingContract")?;
        domain.end()?;
        if name != FACTORY_NAME || Contract::SafeFactory.on(chain.id()) != Ok(factory) {
            let why = format!("{name:?} at {factory} is not {FACTORY_NAME:?} of the table");
            return Err(TypedDataError::Domain(why));
        }
        let zero = |field, is_zero: bool| {
            if is_zero {
                return Ok(());
            }
            Err(TypedDataError::value(
                field,
                "a Safe is made at no charge: it is zero",
            ))
        };
        zero(
            "paymentToken",
            message.address("paymentToken")? == Address::ZERO,
        )?;
        zero("payment", message.integer("payment")?.is_zero())?;
        zero(
            "paymentReceiver",
            message.address("paymentReceiver")? == Address::ZERO,
        )?;
        message.end()?;
        let what = What::SafeCreation;
        Ok(Self { chain, what })
    }

    /// `Batch`.
    pub(super) fn batch(
        types: &RawValue,
        mut domain: Members<'_>,
        mut message: Members<'_>,
    ) -> Result<Self, TypedDataError> {
        shape::batch(types)?;
        let (name, version) = (domain.text("name")?, domain.text("version")?);
        let chain = super::chain(&mut domain)?;
        let contract = domain.address("verifyingContract")?;
        domain.end()?;
        if (name.as_str(), version.as_str()) != (WALLET_NAME, WALLET_VERSION) {
            let why = format!(
                "{name:?}, version {version:?}, is not {WALLET_NAME:?}, version {WALLET_VERSION:?}"
            );
            return Err(TypedDataError::Domain(why));
        }
        let wallet = message.address("wallet")?;
        if wallet != contract {
            let why = format!("it is {wallet}, and the domain's verifyingContract {contract}");
            return Err(TypedDataError::value("wallet", why));
        }
        let nonce = message.integer("nonce")?;
        let deadline = message.small("deadline", "any time in unix seconds")?;
        let calls: Vec<&RawValue> = serde_json::from_str(message.take("calls")?.get())
            .map_err(|error| TypedDataError::Malformed(format!("calls: {error}")))?;
        message.end()?;
        if calls.len() > MOST_CALLS {
            return Err(TypedDataError::value("calls", "there are too many"));
        }
        let calls = calls
            .into_iter()
            .map(|raw| call(raw, "target"))
            .collect::<Result<_, _>>()?;
        let what = What::Batch {
            wallet,
            nonce,
            deadline,
            calls,
        };
        Ok(Self { chain, what })
    }

    /// The transaction of `eth_signTransaction`, with the account that it is from.
    pub fn transaction(raw: &RawValue) -> Result<(Address, Self), TypedDataError> {
        let what = "the transaction";
        let mut members = Members::of(what, raw)?;
        let refused = |why: &str| Err(TypedDataError::Malformed(format!("{what}: {why}")));
        if members.has("gasPrice") {
            return refused(
                "gasPrice is of the old form: send maxFeePerGas and maxPriorityFeePerGas",
            );
        }
        let kinds = [
            "blobVersionedHashes",
            "maxFeePerBlobGas",
            "authorizationList",
        ];
        if kinds.iter().any(|kind| members.has(kind)) {
            return refused("only type 2 is signed");
        }
        if members.has("type") && members.small::<u64>("type", "any type")? != 2 {
            return refused("only type 2 is signed");
        }
        if members.has("accessList") && members.take("accessList")?.get() != "[]" {
            return refused("the access list has to be empty");
        }
        if !members.has("to") {
            return refused("it makes no contract here: to is missing");
        }
        let from = members.address("from")?;
        let chain = super::chain(&mut members)?;
        let nonce = members.small("nonce", "any nonce")?;
        let fees = Fees {
            max_fee_per_gas: members.small("maxFeePerGas", "any fee")?,
            max_priority_fee_per_gas: members.small("maxPriorityFeePerGas", "any fee")?,
            gas: members.small(
                if members.has("gasLimit") {
                    "gasLimit"
                } else {
                    "gas"
                },
                "any gas",
            )?,
        };
        let call = call_of(members, "to")?;
        let what = What::Transaction { nonce, fees, call };
        Ok((from, Self { chain, what }))
    }

    /// Whether it is of this wallet.
    pub fn fits(&self, profile: &Profile) -> Result<(), TypedDataError> {
        let (theirs, ours) = (self.chain.id(), profile.chain().id());
        if theirs != ours {
            let why = format!("chainId is {theirs}, and the wallet is on {ours}");
            return Err(TypedDataError::Domain(why));
        }
        let kind = profile.signature_type();
        let (fits, wanted) = match &self.what {
            What::SafeCreation => (kind == SignatureType::PolyGnosisSafe, "one with a Safe (2)"),
            What::Batch { wallet, .. } => (
                kind == SignatureType::Poly1271 && profile.maker() == *wallet,
                "the deposit wallet (3) that it names",
            ),
            What::Transaction { call, .. } => (
                kind == SignatureType::Eoa
                    || kind == SignatureType::Poly1271 && profile.maker() == call.to,
                "the key's own address (0), or the deposit wallet (3) that it calls",
            ),
        };
        if fits {
            return Ok(());
        }
        let why = format!(
            "the wallet has signatureType {}, and this is for {wanted}",
            kind.number()
        );
        Err(TypedDataError::value("wallet", why))
    }

    /// The plan that it is of a wallet that it fits; `now_s` in unix seconds.
    pub fn plan(&self, profile: &Profile, now_s: i64) -> Result<Plan, NotPlanned> {
        self.fits(profile)?;
        let account = profile.account();
        let steps = |calls: &[Call], place: &Place| {
            let steps = calls.iter().map(|call| Step::read(call, place));
            steps.collect::<Result<Vec<_>, _>>()
        };
        let (steps, form) = match &self.what {
            What::SafeCreation => (Vec::new(), Form::SafeCreation),
            What::Batch {
                nonce,
                deadline,
                calls,
                ..
            } => {
                let (nonce, deadline) = (*nonce, *deadline);
                (
                    steps(calls, &account.place)?,
                    Form::Batch { nonce, deadline },
                )
            }
            What::Transaction { nonce, fees, call } => {
                let (nonce, fees) = (*nonce, *fees);
                let call = std::slice::from_ref(call);
                (
                    steps(call, &account.place)?,
                    Form::Transaction { nonce, fees },
                )
            }
        };
        Ok(Plan::new(account, steps, form, now_s)?)
    }
}

fn call(raw: &RawValue, whom: &'static str) -> Result<Call, TypedDataError> {
    call_of(Members::of("a call", raw)?, whom)
}

/// The rest of an object that is a call.
fn call_of(mut members: Members<'_>, whom: &'static str) -> Result<Call, TypedDataError> {
    let to = members.address(whom)?;
    let value = if members.has("value") {
        members.integer("value")?
    } else {
        U256::ZERO
    };
    let names = ["data", "input"].into_iter().filter(|it| members.has(it));
    let data = match names.collect::<Vec<_>>().as_slice() {
        [] => Vec::new(),
        [name] => members.bytes(name)?,
        _ => {
            let why = "data and input are one thing: send one of them";
            return Err(TypedDataError::Malformed(why.into()));
        }
    };
    members.end()?;
    Ok(Call { to, value, data })
}
