//! Proposals: what loosens, from the moment somebody asks for it until it is done, refused or forgotten.
//!
//! A proposal is made by the service, from what the operation itself would have put on record, when a
//! request reaches something that loosens and nobody has agreed. Approving takes a person's signature under
//! its hash; rejecting takes any one of those who could approve, withdrawing whoever asked. Each is a leaf.
//! What makes a proposal hold is in [`approvals`](crate::approvals), which the log asks at each commit.
//!
//! It **trusts** no token: a caller's token lets a person in, what counts is what they sign.

use std::sync::Arc;

use time::OffsetDateTime;

use crate::approvals::check::Over;
use crate::approvals::document::{Document, Effects, Request, Requester, hash};
use crate::approvals::records::{self, Given, Held};
use crate::approvals::signature::{BadSignature, Signature};
use crate::approvals::{Approval, Settings};
use crate::audit::{Author, Change, Effect, Log};
use crate::callers::Caller;
use crate::clock::timestamp;
use crate::id::{ApproverKeyId, CallerId, PersonId, ProposalId};
use crate::idempotency::{Key, RequestDigest};
use crate::ledger::{Gate, LedgerError};
use crate::notices::{self, Kind as Told, Notice};

/// So many proposals of one caller wait at a time (P11).
const WAITING: i64 = 50;

words! {
    /// How a proposal stands.
    #[derive(utoipa::ToSchema)]
    #[schema(as = ProposalState)]
    pub enum State {
        /// For approvals.
        Waiting = "waiting",
        /// For whoever asked, to repeat the request.
        Approved = "approved",
        /// The request was repeated, and what it does was begun.
        Executed = "executed",
        /// Somebody said no.
        Rejected = "rejected",
        /// Whoever asked took it back.
        Withdrawn = "withdrawn",
        /// It was not carried out in time.
        Expired = "expired",
    }
}

/// Why a proposal was not made, or not approved, or not ended.
#[derive(Debug, thiserror::Error)]
pub enum ProposalError {
    /// No such proposal.
    #[error("no such proposal")]
    NotFound,
    /// The caller is a program's.
    #[error("you belong to no person: what loosens is asked for and approved by people")]
    NoPerson,
    /// Too many wait.
    #[error("{WAITING} of your proposals wait already")]
    TooMany,
    /// It is over.
    #[error("the proposal is over: {0}")]
    Over(String),
    /// Their own.
    #[error("nobody approves what they asked for themselves")]
    Own,
    /// Another request came under the key.
    #[error("this Idempotency-Key came with another request before")]
    OtherRequest,
    /// The key is nobody's.
    #[error("the signature is by a key that nobody approves with, or not any more")]
    UnknownKey,
    /// Somebody else has signed.
    #[error("the signature is {0}'s, and you are somebody else")]
    SomebodyElse(String),
    /// Their role does not count here.
    #[error("you have none of the roles that this takes: {0}")]
    NoRole(String),
    /// The signature does not hold.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// Once is enough.
    #[error("you have approved it already")]
    Again,
    /// Only whoever asked withdraws.
    #[error("only whoever asked for it can withdraw it; others reject it")]
    NotYours,
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Proposals. Cheap to clone.
#[derive(Clone)]
pub struct Proposals {
    log: Log,
    rules: Arc<Settings>,
}

/// An approval, as people see it.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = ApprovalView)]
pub struct GivenView {
    /// Who.
    person: String,
    /// Their roles now.
    roles: Vec<String>,
    /// With which key.
    #[schema(value_type = String)]
    key: ApproverKeyId,
    /// That key, short.
    fingerprint: String,
    /// The whole signature.
    signature: Signature,
    #[serde(with = "time::serde::rfc3339")]
    approved_at: OffsetDateTime,
    /// Whether it counts: not where the key was revoked since, or the person has ended.
    counts: bool,
}

/// A proposal, as people see it.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = ProposalView)]
pub struct View {
    /// Its id.
    #[schema(value_type = String)]
    pub id: ProposalId,
    /// How it stands.
    pub state: State,
    /// What it would do, in words.
    pub sentence: String,
    /// SHA-256 of `document`, in hexadecimal: what approvers sign.
    pub hash: String,
    /// All of it, as one canonical text.
    pub document: String,
    /// Who asked: the person.
    pub requester: String,
    /// And the caller.
    #[schema(value_type = String)]
    pub caller: CallerId,
    /// Under which `Idempotency-Key` they asked, and repeat the request once it is approved.
    pub idempotency_key: String,
    /// Who has to approve it.
    pub needed: String,
    /// What is missing of that, if anything.
    pub missing: Option<String>,
    /// Who has.
    pub approvals: Vec<GivenView>,
    #[serde(with = "time::serde::rfc3339")]
    proposed_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
    /// Why it was rejected or withdrawn.
    reason: Option<String>,
}

/// A proposal that a request has made before.
pub struct Earlier {
    /// How it stands.
    pub view: View,
    request: RequestDigest,
    is_long_over: bool,
}

impl Earlier {
    /// Whether the request may go on under it: it is approved, or was begun under it a moment ago.
    pub fn lets(&self, request: RequestDigest) -> Result<bool, ProposalError> {
        if self.request != request {
            return Err(ProposalError::OtherRequest);
        }
        match self.view.state {
            State::Waiting => Ok(false),
            State::Approved => Ok(true),
            State::Executed if !self.is_long_over => Ok(true),
            over => Err(ProposalError::Over(format!("it is {over}"))),
        }
    }
}

impl Proposals {
    /// Proposals by these rules.
    pub fn new(log: Log, rules: Arc<Settings>) -> Self {
        Self { log, rules }
    }

    /// Whether anything is proposed at all: not where one operator may loosen alone.
    pub fn are_made(&self) -> bool {
        !self.rules.single_operator
    }

    /// Where people approve with passkeys.
    pub fn rules(&self) -> &Settings {
        &self.rules
    }

    /// What a request has proposed before.
    pub async fn of_request(
        &self,
        caller: CallerId,
        key: &Key,
    ) -> Result<Option<Earlier>, ProposalError> {
        let ledger = self.log.ledger();
        let Some(id) = records::of_request(caller, key, ledger).await? else {
            return Ok(None);
        };
        let held = self.held(id).await?;
        Ok(Some(Earlier {
            request: held.request,
            is_long_over: held.is_long_over,
            view: self.view(held).await?,
        }))
    }

    /// Puts on record what a request would do, for others to approve: the request, what it would put on
    /// record, and the digest of the policy that let it come so far.
    pub async fn propose(
        &self,
        author: &Author,
        caller: &Caller,
        key: &Key,
        what: (Request, Effects, [u8; 32]),
    ) -> Result<View, ProposalError> {
        let id = ProposalId::new();
        let mut change = self.log.begin(Gate::Shared, author).await?;
        let made = self.put(id, caller, key, what, &mut change).await;
        match made {
            Ok(true) => change.commit().await.map(drop)?,
            Ok(false) => change.abandon().await, // a twin was faster
            Err(error) => {
                change.abandon().await;
                return Err(error);
            }
        }
        let made = self.of_request(caller.id, key).await?;
        Ok(made.ok_or(ProposalError::NotFound)?.view)
    }

    async fn put(
        &self,
        id: ProposalId,
        caller: &Caller,
        key: &Key,
        (request, effects, policy): (Request, Effects, [u8; 32]),
        change: &mut Change,
    ) -> Result<bool, ProposalError> {
        let person = whose(caller.id, change).await?;
        let (person, person_name) = person.ok_or(ProposalError::NoPerson)?;
        if records::count_waiting(caller.id, change.tx()).await? >= WAITING {
            return Err(ProposalError::TooMany);
        }
        let document = Document {
            id,
            requester: Requester {
                caller: caller.id,
                name: caller.name.to_string(),
                person,
                person_name,
            },
            quorum: self.rules.quorum(&request.operation),
            request,
            effects,
            policy,
            expires_at: change.now() + self.rules.life(),
        };
        let text = document.to_text();
        let details = serde_json::json!({ "hash": hex::encode(hash(&text)), "document": text });
        change.note("propose", id, &details);
        change.tell(asked(&document));
        let Some(said) = records::insert(&document, &text, key, change.tx()).await? else {
            return Ok(false);
        };
        change.state(said, Effect::Loosens)?;
        Ok(true)
    }

    /// Has people told, once, of each proposal that is in the last quarter of its time.
    pub async fn remind(&self) -> Result<(), LedgerError> {
        let ledger = self.log.ledger();
        for (id, operation, expires_at) in records::expiring(ledger).await? {
            let at = timestamp(expires_at);
            let sentence = format!(
                "a proposal of {operation} waits still and expires at {at}: chancery approvals show {id}"
            );
            let notice = Notice::new(Told::ApprovalExpiring, sentence).about("proposal", &id);
            notices::tell(&notice.once(format!("expiring {id}")), ledger).await?;
        }
        Ok(())
    }

    /// One.
    pub async fn show(&self, id: ProposalId) -> Result<View, ProposalError> {
        self.view(self.held(id).await?).await
    }

    async fn held(&self, id: ProposalId) -> Result<Held, ProposalError> {
        let look = || records::find(id, self.log.ledger());
        let held = self.log.authority().read(look).await?;
        held.ok_or(ProposalError::NotFound)
    }

    /// The latest, the newest first; only those that wait to be approved or carried out, where that is asked
    /// for.
    pub async fn list(&self, waiting: bool) -> Result<Vec<View>, ProposalError> {
        const AT_MOST: i64 = 500;
        let mut views = Vec::new();
        let look = || records::list(waiting, AT_MOST, self.log.ledger());
        for held in self.log.authority().read(look).await? {
            views.push(self.view(held).await?);
        }
        Ok(views)
    }

    /// Adds a person's approval.
    pub async fn approve(
        &self,
        id: ProposalId,
        signature: &Signature,
        change: &mut Change,
    ) -> Result<(), ProposalError> {
        let held = self.open(id, change).await?;
        let person = whose(change.author(), change).await?;
        let (person, _) = person.ok_or(ProposalError::NoPerson)?;
        if person == held.person {
            return Err(ProposalError::Own);
        }
        let named = signature.key()?;
        let mut key = records::key(&named, change.tx()).await?;
        change.prove(&mut key).await?;
        let key = key.ok_or(ProposalError::UnknownKey)?;
        if key.person != person {
            return Err(ProposalError::SomebodyElse(key.name));
        }
        let party = self.rules.passkeys.as_ref();
        key.key.verify(signature, &held.hash, party)?;
        let now = self.rules.quorum(&held.operation);
        if !(held.quorum().asks_for(&key.roles) || now.asks_for(&key.roles)) {
            return Err(ProposalError::NoRole(now.to_string()));
        }
        if !records::approve(id, &key, signature, change.tx()).await? {
            return Err(ProposalError::Again);
        }
        let details = serde_json::json!({
            "hash": hex::encode(held.hash), "person": key.person, "name": key.name, "key": key.id,
            "public_key": hex::encode(key.key.bytes()), "signature": signature,
        });
        change.note("approve-proposal", id, &details);
        Ok(())
    }

    /// Ends one because somebody who could approve it says no. The change stands at the exclusive gate.
    pub async fn reject(
        &self,
        id: ProposalId,
        reason: &str,
        change: &mut Change,
    ) -> Result<(), ProposalError> {
        self.open(id, change).await?;
        let person = whose(change.author(), change).await?;
        person.ok_or(ProposalError::NoPerson)?;
        self.end(id, State::Rejected, reason, change).await
    }

    /// Ends one because whoever asked takes it back. The change stands at the exclusive gate.
    pub async fn withdraw(
        &self,
        id: ProposalId,
        reason: &str,
        change: &mut Change,
    ) -> Result<(), ProposalError> {
        let held = self.open(id, change).await?;
        let person = whose(change.author(), change).await?;
        if held.caller != change.author() && person.is_none_or(|(it, _)| it != held.person) {
            return Err(ProposalError::NotYours);
        }
        self.end(id, State::Withdrawn, reason, change).await
    }

    async fn end(
        &self,
        id: ProposalId,
        state: State,
        reason: &str,
        change: &mut Change,
    ) -> Result<(), ProposalError> {
        let by = change.author();
        if let Some(said) = records::end(id, state.name(), by, Some(reason), change.tx()).await? {
            change.state(said, Effect::Tightens)?;
        }
        let action = match state {
            State::Rejected => "reject-proposal",
            _ => "withdraw-proposal",
        };
        let details = serde_json::json!({ "reason": reason });
        change.note_as(Approval::not_needed(), action, id, &details);
        Ok(())
    }

    /// One that is not over, held until the transaction is.
    async fn open(&self, id: ProposalId, change: &mut Change) -> Result<Held, ProposalError> {
        let held = records::lock(id, change.tx()).await?;
        let mut held = held.ok_or(ProposalError::NotFound)?;
        change.prove(&mut held).await?;
        let over = |over: Over| ProposalError::Over(over.to_string());
        held.is_open().map_err(over)?;
        Ok(held)
    }

    async fn view(&self, held: Held) -> Result<View, ProposalError> {
        let look = || records::approvals(held.id, self.log.ledger().pool());
        let given = self.log.authority().read(look).await?;
        let missing = held.is_approved(&given, &self.rules).err();
        let state = match held.is_open() {
            Err(Over::Ended(outcome)) if outcome == "rejected" => State::Rejected,
            Err(Over::Ended(_)) => State::Withdrawn,
            Err(Over::Done) => State::Executed,
            Err(Over::Expired | Over::Requester) => State::Expired,
            Ok(()) if missing.is_none() => State::Approved,
            Ok(()) => State::Waiting,
        };
        let said: serde_json::Value = serde_json::from_str(&held.document).unwrap_or_default();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let one = |it: Given| GivenView {
            counts: held.counts(&it, &self.rules),
            person: it.name,
            roles: it.roles,
            key: it.key_id,
            fingerprint: it.key.fingerprint(),
            signature: it.signature,
            approved_at: it.approved_at,
        };
        Ok(View {
            id: held.id,
            state,
            sentence: text(&said["sentence"]),
            hash: hex::encode(held.hash),
            caller: held.caller,
            idempotency_key: held.key.clone(),
            requester: text(&said["requester"]["person_name"]),
            needed: self.rules.quorum(&held.operation).to_string(),
            missing: missing.map(|it| it.to_string()),
            approvals: given.into_iter().map(one).collect(),
            proposed_at: held.proposed_at,
            expires_at: held.expires_at,
            reason: held.reason.clone(),
            document: held.document,
        })
    }
}

/// What is told of a proposal: who asks for which operation. What it would do is for those who may see it.
fn asked(document: &Document) -> Notice {
    let Document { id, request, .. } = document;
    let sentence = format!(
        "{} asks for {}, which others have to approve by {}: chancery approvals show {id}",
        document.requester.name,
        request.operation,
        timestamp(document.expires_at),
    );
    let notice = Notice::new(Told::ApprovalAsked, sentence).about("proposal", id);
    notice.about("caller", &document.requester.caller)
}

/// Whose a caller is, as the transaction sees it.
async fn whose(
    caller: CallerId,
    change: &mut Change,
) -> Result<Option<(PersonId, String)>, LedgerError> {
    let mut found = records::person_of(caller.uuid(), change.tx().connection()).await?;
    change.prove(&mut found).await?;
    Ok(found.map(|it| it.value))
}
