//! A wallet operation on its way through the door.

mod rights;

use std::sync::Arc;

use futures_core::future::BoxFuture;
use ruint::aliases::U256;
use serde_json::{Value as Json, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::wallets::Wallet;
use super::{Profile, SignatureType};
use crate::audit::Change;
use crate::authority::Statement;
use crate::custody::Payload;
use crate::ethereum::Address;
use crate::ethereum::eip712::Bytes32;
use crate::id::IntentId;
use crate::idempotency::Useful;
use crate::keys::{Key, KeyState};
use crate::ledger::LedgerError;
use crate::limits::Limited;
use crate::name::Name;
use crate::operations::{
    self, Account, AccountKind, Claim, Contract, Place, Plan, PlanKind, Sealed, SetUp, Step,
};
use crate::policy::{Action, Ask, Resource, Stake};
use crate::signing::{
    Answer, Business, Checked, Claimant, Draft, NonceClaim, Prepared, RESCUE, SigningError,
};
pub use rights::deployment_stake;
use rights::{action, amount, gravity, profile, redeems, spender};

impl Profile {
    /// The account that wallet operations are made for.
    pub fn account(&self) -> Account {
        Account {
            kind: match self.signature_type() {
                SignatureType::Eoa => AccountKind::Own,
                SignatureType::PolyProxy => AccountKind::Proxy,
                SignatureType::PolyGnosisSafe => AccountKind::Safe,
                SignatureType::Poly1271 => AccountKind::Deposit,
            },
            place: Place {
                chain_id: self.chain().id(),
                wallet: self.maker(),
            },
            signer: self.key_address(),
            is_session_key: self.session_key(),
        }
    }
}

/// Whom an operation pays, as the register has them.
#[derive(Clone, Debug)]
pub struct Paid {
    /// What people call them.
    pub name: Name,
    /// Where.
    pub address: Address,
    /// Whether they are a refuge.
    pub is_refuge: bool,
    /// By which version of what decides: a permit is good only as long as that is so.
    pub statement: Statement,
}

/// A wallet operation to be signed.
pub struct OperationDraft {
    wallet: Arc<Wallet>,
    plan: Plan,
    paid: Option<Paid>,
    left_before: i64,
    replaces: Option<IntentId>,
    /// A client's library put it together, and waits for the signature or the whole transaction alone.
    is_typed: bool,
}

/// The answer: what is sent, and under which id it is on record.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuedOperation {
    /// The signature's id here.
    #[schema(value_type = String)]
    pub id: IntentId,
    /// What was signed.
    pub kind: PlanKind,
    /// The calls, with their functions and arguments beside the bytes.
    #[schema(value_type = Vec<Object>)]
    pub calls: Vec<Json>,
    /// What the key signed.
    #[schema(value_type = String)]
    pub digest: Bytes32,
    /// The nonce.
    pub nonce: String,
    /// Until when it can be carried out, in unix seconds; without it, as long as its nonce is not spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// By which rights it was signed.
    #[schema(value_type = Vec<String>)]
    pub actions: Vec<Action>,
    /// What is sent.
    #[serde(flatten)]
    pub sealed: Sealed,
}

/// Why a plan pays somebody who is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPaid {
    /// Nobody was looked up.
    #[error("{0} is no registered recipient")]
    Unknown(Address),
    /// Each has a permit of their own.
    #[error("one recipient at a time: what pays two is two operations")]
    Several,
}

impl OperationDraft {
    /// Of a plan of this wallet's, which pays nobody but `paid`. `left_before`: what had left within a day, in
    /// units of 10⁻⁶.
    pub fn new(
        wallet: Arc<Wallet>,
        plan: Plan,
        paid: Option<Paid>,
        left_before: i64,
        replaces: Option<IntentId>,
    ) -> Result<Self, NotPaid> {
        let mut recipients = plan.recipients();
        if let Some(first) = recipients.next() {
            if recipients.any(|it| it != first) {
                return Err(NotPaid::Several);
            }
            if paid.as_ref().is_none_or(|it| it.address != first) {
                return Err(NotPaid::Unknown(first));
            }
        }
        drop(recipients);
        Ok(Self {
            wallet,
            plan,
            paid,
            left_before,
            replaces,
            is_typed: false,
        })
    }

    /// The same for a client's library that put it together: the answer is what such a library waits for, the
    /// signature or the whole transaction.
    #[must_use]
    pub fn typed(self) -> Self {
        Self {
            is_typed: true,
            ..self
        }
    }

    fn actions(&self) -> Vec<Action> {
        let mut actions: Vec<_> = self
            .plan
            .steps()
            .iter()
            .map(|it| action(it, &self.plan))
            .collect();
        if actions.is_empty() {
            actions.push(Action::DeployWallet);
        }
        actions.sort_by_key(|it| gravity(*it));
        actions.dedup();
        actions
    }

    /// What leaves, in units of 10⁻⁶. A replacement pays what the one before it did, and either happens.
    fn outflow(&self) -> U256 {
        let steps = self.plan.steps().iter();
        let each = steps.map(|it| it.outflow(&self.plan.account().place));
        each.fold(U256::ZERO, U256::saturating_add)
    }

    fn stake_of(&self, step: Option<&Step>) -> Stake {
        let place = &self.plan.account().place;
        let step_out = step.map_or(U256::ZERO, amount);
        let total = U256::from(self.left_before.unsigned_abs()).saturating_add(self.outflow());
        let recipient = self
            .paid
            .as_ref()
            .filter(|_| step.is_some_and(|it| it.pays(place).is_some()));
        Stake::new()
            .word("op", step.map_or("deploy", Step::op))
            .word(
                "token",
                step.and_then(Step::token).map_or("", Contract::name),
            )
            .text("spender", step.and_then(spender).unwrap_or_default())
            .text(
                "recipient",
                recipient.map_or_else(String::new, |it| it.name.to_string()),
            )
            .number("amount", step_out)
            .number("window_total", total)
            .word("profile", step.and_then(profile).map_or("", SetUp::name))
            .word("kind", self.plan.form().kind().name())
            .number("max_fee", self.plan.max_fee_gwei())
    }

    /// Whether a step takes back what others may do with the wallet, or brings what it holds together or to its refuge.
    fn saves(&self, step: &Step) -> bool {
        match action(step, &self.plan) {
            Action::RevokeAllowances | Action::PauseTrading => true,
            Action::ManagePositions => redeems(step),
            Action::ConvertCollateral => matches!(step, Step::Unwrap { .. }),
            _ if *step == Step::PauseWallet => true,
            Action::Withdraw | Action::EmergencyExit => {
                let pays = step.pays(&self.plan.account().place);
                pays.is_some() && self.paid.as_ref().is_some_and(|it| it.is_refuge)
            }
            _ => false,
        }
    }

    /// Who else has to agree to this, and to what (P6).
    fn agreed(&self) -> Option<Json> {
        let loosens = |step: &Step| {
            matches!(
                step,
                Step::AuthorizeSession { .. }
                    | Step::EmergencyTransfer { .. }
                    | Step::EmergencyPositions { .. }
                    | Step::EmergencyNative { .. }
            )
        };
        let steps = self.plan.steps();
        steps.iter().any(loosens).then(|| {
            json!({
                "wallet": self.wallet.name, "kind": self.plan.form().kind(),
                "nonce": self.plan.turn().nonce.to_string(), "calls": self.plan.described(),
            })
        })
    }

    fn claim(&self) -> Claim {
        let plan = &self.plan;
        Claim {
            wallet: self.wallet.id,
            holder: plan.account().place.wallet,
            kind: plan.form().kind(),
            turn: plan.turn(),
            calls_hash: plan.calls_hash(),
            is_cancellation: plan.steps() == [Step::CancelNonce],
            recipient: self.paid.as_ref().map(|it| it.address),
            outflow: i64::try_from(self.outflow()).unwrap_or(i64::MAX),
            left_before: self.left_before,
            expires_at: plan.expires_at(),
            replaces: self.replaces,
            agreed: self.agreed(),
        }
    }
}

impl NonceClaim for Claim {
    fn claim<'a>(
        &'a self,
        by: Claimant,
        change: &'a mut Change,
    ) -> BoxFuture<'a, Result<Result<(), SigningError>, LedgerError>> {
        Box::pin(async move {
            let claimed = operations::records::claim(by.intent, by.caller, self, change.tx());
            if let Err(why) = claimed.await? {
                return Ok(Err(why.into()));
            }
            if let Some(agreed) = &self.agreed {
                let approval = change.loosen();
                change.note_as(approval, "sign-operation", by.intent, agreed);
            }
            Ok(Ok(()))
        })
    }

    fn is_agreed(&self) -> bool {
        self.agreed.is_some()
    }
}

impl Ask for OperationDraft {
    fn action(&self) -> Action {
        self.actions()
            .first()
            .copied()
            .unwrap_or(Action::EmergencyExit)
    }

    fn resource(&self) -> Resource {
        let paid = self.paid.as_ref().map(|it| it.statement);
        self.wallet.resource().paying(paid)
    }

    fn stake(&self) -> Stake {
        let gravest = self.action();
        let steps = self.plan.steps();
        self.stake_of(steps.iter().find(|it| action(it, &self.plan) == gravest))
    }

    fn parts(&self) -> Vec<(Action, Stake)> {
        let part = |step: &Step| (action(step, &self.plan), self.stake_of(Some(step)));
        self.plan.steps().iter().map(part).collect()
    }
}

impl Draft for OperationDraft {
    fn operation(&self) -> &'static str {
        "wallet-operation"
    }

    fn subject(&self) -> Uuid {
        self.wallet.id.uuid()
    }

    fn key(&self) -> &Key {
        &self.wallet.key
    }

    /// What empties a wallet is signed as long as it is being replaced, too; what saves it, whatever has become of
    /// its key.
    fn business(&self) -> Business {
        let begins = [
            Action::DeployWallet,
            Action::SetUpTrading,
            Action::AuthorizeSessionKey,
        ];
        if self.actions().iter().any(|it| begins.contains(it)) {
            Business::Ordinary
        } else if self.plan.steps().iter().all(|it| self.saves(it)) {
            Business::Rescue
        } else {
            Business::Reduction
        }
    }

    fn limited(&self) -> Limited {
        let cash = self.outflow();
        // A refuge of a key that signs nothing else is no question of how much.
        let is_rescue = self.business() == Business::Rescue
            && !matches!(self.wallet.key.state, KeyState::Active | KeyState::Retiring);
        if cash.is_zero() || self.replaces.is_some() || is_rescue {
            return Limited::Nothing;
        }
        Limited::Withdrawal(self.wallet.id, cash)
    }

    fn useful(&self) -> Useful {
        let at = self
            .plan
            .expires_at()
            .map(OffsetDateTime::from_unix_timestamp);
        at.and_then(Result::ok)
            .map_or(Useful::WithoutEnd, Useful::Until)
    }

    fn tells_the_time(&self) -> bool {
        self.plan.expires_at().is_some()
    }

    fn prepare(&self, _now_ms: i64) -> Prepared {
        let mut record = self.plan.record();
        record["actions"] = json!(self.actions());
        if let Some(paid) = &self.paid {
            record["recipient"] = json!({ "name": paid.name, "address": paid.address });
        }
        if let Some(replaces) = self.replaces {
            record["replaces"] = json!(replaces);
        }
        if self.business() == Business::Rescue {
            record[RESCUE] = true.into();
        }
        if let Limited::Withdrawal(_, cash) = self.limited() {
            record["outflow"] = json!(cash.to_string());
        }
        let digest = *self.plan.digest();
        Prepared {
            nonce: Some(Arc::new(self.claim())),
            // The relayer wants some of a batch's time left.
            release_before_ms: self.plan.expires_at().map(|at| (at - 10) * 1_000),
            expires_at: self.useful().until(),
            ..Prepared::new(Payload::Digest(digest), digest, record)
        }
    }

    fn answer(&self, id: IntentId, prepared: &Prepared, signature: &Checked) -> Answer {
        let Checked::Ethereum(signature) = signature else {
            unreachable!("an operation is a digest, and its signature was checked as recoverable");
        };
        let sealed = self.plan.sealed(signature);
        let sealed = sealed.expect("what was worked out for its digest is worked out again");
        let body = if self.is_typed {
            // A session key's envelope is put around it by whoever has the typed data.
            let text = sealed
                .raw_transaction
                .unwrap_or_else(|| signature.to_string());
            serde_json::to_vec(&text)
        } else {
            serde_json::to_vec(&IssuedOperation {
                id,
                kind: self.plan.form().kind(),
                calls: self.plan.described().to_vec(),
                digest: Bytes32(prepared.digest),
                nonce: self.plan.turn().nonce.to_string(),
                expires_at: self.plan.expires_at(),
                actions: self.actions(),
                sealed,
            })
        };
        Answer {
            body: body.expect("plain data serializes"),
            is_secret: false,
        }
    }
}
