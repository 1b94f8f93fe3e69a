//! What callers ask for as a whole: operations, and what their form needs.

use super::account::{Account, AccountKind};
use super::asked::{Names, Unnamed};
use super::form::Form;
use super::plan::Plan;
use super::proxy::Relay;
use super::request::{Amount, Operation};
use super::rules::Refused;
use super::safe::SafeForm;
use super::transaction::Fees;
use crate::ethereum::Address;
use crate::id::IntentId;

/// How long a batch can be carried out where nothing is said, in seconds.
const DEADLINE_S: i64 = 600;
/// Gas for relayed calls where nothing is said.
const RELAYED_GAS: u64 = 500_000;

words! {
    /// On which way it gets to the chain.
    #[derive(utoipa::ToSchema)]
    pub enum Via {
        /// The venue's relayer sends it, and pays for it.
        Relayer = "relayer",
        /// A transaction.
        Transaction = "transaction",
    }
}

/// What a transaction may cost, in wei.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = OperationFees)]
pub struct FeesSaid {
    /// For a unit of gas, at most.
    #[schema(value_type = String, example = "120000000000")]
    pub max_fee_per_gas: Amount,
    /// Of that for whoever includes it.
    #[schema(value_type = String, example = "30000000000")]
    pub max_priority_fee_per_gas: Amount,
    /// So much gas.
    #[schema(value_type = String, example = "120000")]
    pub gas: Amount,
}

/// What a wallet is to do.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = OperationsRequest)]
pub struct OperationRequest {
    /// In this order; all or nothing, but for type 0, whose transactions make one call each.
    pub operations: Vec<Operation>,
    /// On which way; `relayer` unless the wallet's type has none.
    #[serde(default)]
    pub via: Option<Via>,
    /// The nonce: the wallet's next, as the chain or the relayer says it; of a transaction that of the key's own address.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub nonce: Option<Amount>,
    /// Until when a batch (type 3) can be carried out, in unix seconds: 10 minutes from now unless it is said, 20 at most.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub deadline: Option<Amount>,
    /// What a transaction may cost.
    #[serde(default)]
    pub fees: Option<FeesSaid>,
    /// Type 1 by the relayer: the address that its `/relay-payload` names.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub relay: Option<Address>,
    /// Type 1 by the relayer: gas for the calls, 500000 unless it is said.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub gas_limit: Option<Amount>,
    /// Type 2: how it is signed. As the relayer's clients do unless it is said, or as typed data for a transaction.
    #[serde(default)]
    pub form: Option<SafeForm>,
    /// Types 1 and 2: goes along to the relayer, and is not signed.
    #[serde(default)]
    pub metadata: String,
    /// The live operation with this nonce that it is to replace.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub replaces: Option<IntentId>,
    /// Say what would be signed, and sign nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// Why a wish is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPlan {
    /// A rule.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A name.
    #[error(transparent)]
    Unnamed(#[from] Unnamed),
}

impl OperationRequest {
    /// Whether it only asks for a wallet to be made.
    pub fn is_deployment(&self) -> bool {
        self.operations == [Operation::Deploy]
    }

    /// The plan that it is for an account, at a time in unix seconds.
    pub fn plan(&self, account: Account, names: &Names, now_s: i64) -> Result<Plan, NoPlan> {
        if self.operations.contains(&Operation::Deploy) && !self.is_deployment() {
            return Err(unfit("deploy goes by itself").into());
        }
        let form = self.form(&account, now_s)?;
        let is_one = account.kind == AccountKind::Own
            || account.kind == AccountKind::Deposit && matches!(form, Form::Transaction { .. });
        let mut steps = Vec::new();
        for operation in &self.operations {
            steps.extend(operation.steps(&account, names, !is_one)?);
        }
        Ok(Plan::new(account, steps, form, now_s)?)
    }

    fn form(&self, account: &Account, now_s: i64) -> Result<Form, Refused> {
        use AccountKind::{Deposit, Own, Proxy, Safe};
        let via = self.via.unwrap_or(match account.kind {
            Own => Via::Transaction,
            Proxy | Safe | Deposit => Via::Relayer,
        });
        let metadata = || self.metadata.clone();
        Ok(match (account.kind, via) {
            (Safe, _) if self.is_deployment() => Form::SafeCreation,
            (_, _) if self.is_deployment() => {
                return Err(unfit(
                    "deploy is for Safes and deposit wallets: a proxy wallet is made with its first operation",
                ));
            }
            (Own, Via::Relayer) => {
                return Err(unfit(
                    "no relayer sends for the key's own address: via = \"transaction\"",
                ));
            }
            (Safe, via) => Form::Safe {
                nonce: self.nonce()?.0,
                form: self.form.unwrap_or(match via {
                    Via::Relayer => SafeForm::EthSign,
                    Via::Transaction => SafeForm::TypedData,
                }),
                metadata: metadata(),
            },
            (Own | Proxy | Deposit, Via::Transaction) => Form::Transaction {
                nonce: small(self.nonce()?, "nonce")?,
                fees: self.fees()?,
            },
            (Proxy, Via::Relayer) => Form::Relayed {
                relay: Relay {
                    address: self.relay.ok_or_else(|| {
                        unfit("relay: it is the address that the relayer's /relay-payload names")
                    })?,
                    nonce: self.nonce()?.0,
                    gas_limit: match self.gas_limit {
                        Some(limit) => small(limit, "gasLimit")?,
                        None => RELAYED_GAS,
                    },
                },
                metadata: metadata(),
            },
            (Deposit, Via::Relayer) => Form::Batch {
                nonce: self.nonce()?.0,
                deadline: match self.deadline {
                    Some(deadline) => small(deadline, "deadline")?,
                    None => now_s + DEADLINE_S,
                },
            },
        })
    }

    fn nonce(&self) -> Result<Amount, Refused> {
        self.nonce.ok_or_else(|| {
            unfit("nonce: it has to be said, as the chain or the relayer's /nonce has it")
        })
    }

    fn fees(&self) -> Result<Fees, Refused> {
        let said = self.fees.as_ref();
        let said = said.ok_or_else(|| unfit("fees: a transaction says what it may cost"))?;
        Ok(Fees {
            max_fee_per_gas: small(said.max_fee_per_gas, "fees.maxFeePerGas")?,
            max_priority_fee_per_gas: small(
                said.max_priority_fee_per_gas,
                "fees.maxPriorityFeePerGas",
            )?,
            gas: small(said.gas, "fees.gas")?,
        })
    }
}

fn unfit(why: &str) -> Refused {
    Refused::Unfit(why.to_owned())
}

fn small<T: TryFrom<ruint::aliases::U256>>(amount: Amount, field: &str) -> Result<T, Refused> {
    let too_large = |_| unfit(&format!("{field}: {} is too large", amount.0));
    amount.0.try_into().map_err(too_large)
}
