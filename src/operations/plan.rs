//! A plan: steps of an account, in the form that is signed. There is no plan that the rules refuse.

use ruint::aliases::U256;
use serde_json::{Value as Json, json};

use super::abi::hexed;
use super::account::{Account, AccountKind, Counter, Turn};
use super::contracts::Contract;
use super::deposit::{self, Batch};
use super::form::Form;
use super::proxy::{self, Relay, Relayed};
use super::rules::{self, Refused};
use super::safe::{SafeCreation, SafeTransaction};
use super::step::{Call, Step};
use super::transaction::Transaction;
use crate::ethereum::eip712::Bytes32;
use crate::ethereum::{Address, Signature, keccak256};

/// Steps of an account, and how they are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    account: Account,
    steps: Vec<Step>,
    form: Form,
    calls: Vec<Call>,
    described: Vec<Json>,
    digest: [u8; 32],
}

/// What somebody sends, to whom.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sealed {
    /// The signature as its receiver takes it.
    pub signature: String,
    /// The whole transaction, for a node's `eth_sendRawTransaction`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_transaction: Option<String>,
    /// Its hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_hash: Option<String>,
    /// What the relayer takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<RelayerRequest>,
    /// What anybody who pays for it can send instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub call: Option<Json>,
}

/// A request to the relayer. Its headers authenticate exactly this text.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct RelayerRequest {
    /// `POST` there.
    #[schema(value_type = String)]
    pub path: &'static str,
    /// The body, as text.
    pub body: String,
}

impl RelayerRequest {
    /// With this body.
    pub fn new(body: &Json) -> Self {
        let (path, body) = ("/submit", body.to_string());
        Self { path, body }
    }
}

impl Plan {
    /// Steps in a form, unless a rule refuses them; `now_s` in unix seconds.
    pub fn new(
        account: Account,
        steps: Vec<Step>,
        form: Form,
        now_s: i64,
    ) -> Result<Self, Refused> {
        rules::check(&account, &steps, &form, now_s)?;
        let place = &account.place;
        let mut calls = Vec::with_capacity(steps.len());
        let mut described = Vec::with_capacity(steps.len());
        for step in &steps {
            let call = step.call(place)?;
            if !rules::carries_nothing(step, &call) {
                return Err(Refused::Unfit("a call carries the chain's own coin".into()));
            }
            calls.push(call);
            described.push(step.described(place)?);
        }
        let mut plan = Self {
            account,
            steps,
            form,
            calls,
            described,
            digest: [0; 32],
        };
        plan.digest = plan.signed()?;
        Ok(plan)
    }

    fn signed(&self) -> Result<[u8; 32], Refused> {
        Ok(match &self.form {
            Form::Transaction { .. } => self.transaction()?.digest(),
            Form::SafeCreation => SafeCreation::new(self.account.place)?.digest(),
            Form::Safe { nonce, form, .. } => self.safe(*nonce)?.digest(*form),
            Form::Relayed { relay, .. } => self.relayed(*relay)?.digest(),
            Form::Batch { nonce, deadline } => self.batch(*nonce, *deadline).digest(),
        })
    }

    fn transaction(&self) -> Result<Transaction, Refused> {
        let Form::Transaction { nonce, fees } = &self.form else {
            return Err(Refused::Unfit("it is no transaction".into()));
        };
        let chain_id = self.account.place.chain_id;
        let call = match (self.account.kind, self.calls.as_slice()) {
            (AccountKind::Proxy, calls) => proxy::own_call(chain_id, calls)?,
            (_, [call]) => call.clone(),
            _ => return Err(Refused::Unfit("a transaction makes one call".into())),
        };
        Ok(Transaction {
            chain_id,
            nonce: *nonce,
            fees: *fees,
            call,
        })
    }

    fn safe(&self, nonce: U256) -> Result<SafeTransaction, Refused> {
        Ok(SafeTransaction::new(
            self.account.place,
            nonce,
            &self.calls,
        )?)
    }

    fn relayed(&self, relay: Relay) -> Result<Relayed, Refused> {
        let Account { place, signer, .. } = self.account;
        Ok(Relayed::new(place, signer, relay, &self.calls)?)
    }

    fn batch(&self, nonce: U256, deadline: i64) -> Batch {
        let deadline = U256::from(u64::try_from(deadline).unwrap_or_default());
        Batch::new(self.account.place, nonce, deadline, self.calls.clone())
    }

    /// Whose it is.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The steps.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// In which form.
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// What the key signs.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The calls for people: function and arguments beside the bytes.
    pub fn described(&self) -> &[Json] {
        &self.described
    }

    /// Which nonce it uses.
    pub fn turn(&self) -> Turn {
        let Account { place, signer, .. } = self.account;
        let (address, counter, nonce) = match &self.form {
            Form::Transaction { nonce, .. } => (signer, Counter::Transactions, U256::from(*nonce)),
            Form::SafeCreation => (signer, Counter::SafeCreation, U256::ZERO),
            Form::Safe { nonce, .. } => (place.wallet, Counter::Safe, *nonce),
            Form::Relayed { relay, .. } => (signer, Counter::RelayHub, relay.nonce),
            Form::Batch { nonce, .. } => (place.wallet, Counter::Deposit, *nonce),
        };
        Turn {
            chain_id: place.chain_id,
            address,
            counter,
            nonce,
        }
    }

    /// What stands for its calls, whatever its nonce: the same twice may pay twice.
    pub fn calls_hash(&self) -> [u8; 32] {
        let calls = self.calls.iter().flat_map(|call| {
            let value = call.value.to_be_bytes::<32>();
            [call.to.0.as_slice(), &value, &keccak256(&call.data)].concat()
        });
        keccak256(calls.collect::<Vec<u8>>())
    }

    /// Until when it can be carried out, in unix seconds, where that ends.
    pub fn expires_at(&self) -> Option<i64> {
        match self.form {
            Form::Batch { deadline, .. } => Some(deadline),
            _ => None,
        }
    }

    /// The most that it costs in fees, in 10⁻⁹ of the chain's own coin, rounded up.
    pub fn max_fee_gwei(&self) -> U256 {
        match &self.form {
            Form::Transaction { fees, .. } => fees.most().div_ceil(U256::from(1_000_000_000_u64)),
            _ => U256::ZERO,
        }
    }

    /// Whom its steps pay.
    pub fn recipients(&self) -> impl Iterator<Item = Address> {
        self.steps
            .iter()
            .filter_map(|it| it.pays(&self.account.place))
    }

    /// What stands for it on record.
    pub fn record(&self) -> Json {
        let Turn { counter, nonce, .. } = self.turn();
        let mut record = json!({
            "kind": self.form.kind(), "chainId": self.account.place.chain_id,
            "wallet": self.account.place.wallet, "signer": self.account.signer,
            "counter": counter, "nonce": nonce.to_string(), "calls": self.described,
        });
        match &self.form {
            Form::Transaction { fees, .. } => {
                record["fees"] = json!({
                    "maxFeePerGas": fees.max_fee_per_gas.to_string(),
                    "maxPriorityFeePerGas": fees.max_priority_fee_per_gas.to_string(),
                    "gas": fees.gas.to_string(),
                });
            }
            Form::Safe { form, metadata, .. } => {
                record["form"] = json!(form);
                record["metadata"] = json!(metadata);
            }
            Form::Relayed { relay, metadata } => {
                record["relay"] = json!(relay.address);
                record["gasLimit"] = json!(relay.gas_limit.to_string());
                record["metadata"] = json!(metadata);
            }
            Form::Batch { deadline, .. } => record["deadline"] = json!(deadline.to_string()),
            Form::SafeCreation => {}
        }
        record
    }

    /// What is sent, with the key's signature in it.
    pub fn sealed(&self, signature: &Signature) -> Result<Sealed, Refused> {
        let Account {
            place,
            signer,
            is_session_key,
            ..
        } = self.account;
        let mut sealed = Sealed {
            signature: signature.to_string(),
            raw_transaction: None,
            transaction_hash: None,
            request: None,
            call: None,
        };
        match &self.form {
            Form::Transaction { .. } => {
                let raw = self.transaction()?.raw(signature);
                sealed.transaction_hash = Some(Bytes32(keccak256(&raw)).to_string());
                sealed.raw_transaction = Some(hexed(&raw));
            }
            Form::SafeCreation => {
                let creation = SafeCreation::new(place)?;
                sealed.request = Some(RelayerRequest::new(&creation.body(signer, signature)));
                sealed.call = Some(shown(&creation.own_call(signature)));
            }
            Form::Safe {
                nonce,
                form,
                metadata,
            } => {
                let safe = self.safe(*nonce)?;
                let bytes = SafeTransaction::sealed(signature, *form);
                sealed.signature = hexed(&bytes);
                let body = safe.body(signer, &bytes, metadata);
                sealed.request = Some(RelayerRequest::new(&body));
                sealed.call = Some(shown(&safe.own_call(&bytes)));
            }
            Form::Relayed { relay, metadata } => {
                let body = self.relayed(*relay)?.body(signature, metadata);
                sealed.request = Some(RelayerRequest::new(&body));
            }
            Form::Batch { nonce, deadline } => {
                let bytes = deposit::sealed(signer, is_session_key, signature);
                sealed.signature = hexed(&bytes);
                let body = self.batch(*nonce, *deadline).body(signer, &bytes)?;
                sealed.request = Some(RelayerRequest::new(&body));
            }
        }
        Ok(sealed)
    }
}

fn shown(call: &Call) -> Json {
    json!({ "to": call.to, "value": call.value.to_string(), "data": hexed(&call.data) })
}

impl Step {
    /// Whom it pays, if anybody else than the wallet.
    pub fn pays(&self, place: &super::Place) -> Option<Address> {
        match self {
            Self::Transfer { to, .. }
            | Self::TransferPosition { to, .. }
            | Self::TransferPositions { to, .. }
            | Self::TransferNative { to, .. }
            | Self::EmergencyTransfer { to, .. }
            | Self::EmergencyPositions { to, .. }
            | Self::EmergencyNative { to, .. } => Some(*to),
            Self::Unwrap { to, .. } => Some(*to).filter(|to| *to != place.wallet),
            _ => None,
        }
    }

    /// How much money leaves with it, in units of 10⁻⁶; a position counts as what it can be worth at most.
    pub fn outflow(&self, place: &super::Place) -> U256 {
        match self {
            Self::Transfer { amount, .. }
            | Self::TransferPosition { amount, .. }
            | Self::EmergencyTransfer { amount, .. } => *amount,
            Self::Unwrap { amount, .. } if self.pays(place).is_some() => *amount,
            Self::TransferPositions { amounts, .. } | Self::EmergencyPositions { amounts, .. } => {
                amounts
                    .iter()
                    .fold(U256::ZERO, |sum, it| sum.saturating_add(*it))
            }
            _ => U256::ZERO,
        }
    }

    /// The contract that it is about, for policies: of which token, or which exchange.
    pub fn token(&self) -> Option<Contract> {
        match self {
            Self::Approve { token, .. }
            | Self::ApprovePositions { token, .. }
            | Self::Transfer { token, .. }
            | Self::TransferPosition { token, .. }
            | Self::TransferPositions { token, .. }
            | Self::EmergencyTransfer { token, .. }
            | Self::EmergencyPositions { token, .. }
            | Self::EmergencyRevoke { token, .. } => Some(*token),
            Self::Wrap { asset, .. } | Self::Unwrap { asset, .. } => Some(*asset),
            _ => None,
        }
    }
}
