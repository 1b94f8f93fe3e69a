//! What a leaf is found by.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::audit::leaf::{Event, Intent, Leaf};

words! {
    /// What kind of thing an auditor looks for.
    #[derive(utoipa::ToSchema)]
    pub enum RecordKind {
        /// What was to be signed, of any kind, and how it ended.
        Signature = "signature",
        /// Orders among it.
        Order = "order",
        /// Client assertions among it.
        Assertion = "assertion",
        /// Logins at the CLOB among it, each with its nonce.
        ClobAuth = "clob-auth",
        /// Access tokens that were handed out.
        Token = "token",
        /// What was refused or abandoned, by the policy or on its way.
        Refusal = "refusal",
        /// What was only tried.
        DryRun = "dry-run",
        /// What somebody changed.
        Change = "change",
        /// Proposals among it: made, approved, rejected, carried out.
        Approval = "approval",
        /// API keys and nonces of the CLOB among it.
        Credential = "credential",
        /// Rotations among it.
        Rotation = "rotation",
        /// What somebody looked up.
        LookUp = "look-up",
    }
}

/// What a leaf is found by, as the ledger has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(i64);

impl Term {
    /// Everything of a kind.
    pub fn kind(kind: RecordKind) -> Self {
        Self::new("kind", kind.name().as_bytes())
    }

    /// What somebody asked for or did.
    pub fn by(caller: Uuid) -> Self {
        Self::new("by", caller.as_bytes())
    }

    /// What something is named in: a credential, a key, a wallet, a client, a proposal.
    pub fn of(id: Uuid) -> Self {
        Self::new("of", id.as_bytes())
    }

    /// Orders of a market, by the token id.
    pub fn market(token_id: &str) -> Self {
        Self::new("market", token_id.as_bytes())
    }

    /// Changes of this name.
    pub fn action(action: &str) -> Self {
        Self::new("action", action.as_bytes())
    }

    /// As the ledger has it.
    pub(super) fn number(self) -> i64 {
        self.0
    }

    fn new(of: &str, value: &[u8]) -> Self {
        let hash = Sha256::new()
            .chain_update(of)
            .chain_update([0])
            .chain_update(value)
            .finalize();
        let first = hash.first_chunk::<8>().copied().unwrap_or_default();
        Self(i64::from_be_bytes(first))
    }
}

/// What a leaf is found by; the end of an intent by what its intent is found by, too. A release has nothing: it is
/// shown with its intent.
pub(super) fn of(leaf: &Leaf, begun: Option<&Intent>) -> Vec<Term> {
    let mut terms = match &leaf.event {
        Event::Intent(it) => of_intent(it),
        Event::Released(_) => Vec::new(),
        Event::Refused(_) | Event::Abandoned(_) => of_end(begun),
        Event::Denied(it) => with(RecordKind::Refusal, [Term::by(it.caller)]),
        Event::Denials(it) => with(RecordKind::Refusal, [Term::by(it.caller)]),
        Event::DryRun(it) => with(RecordKind::DryRun, [Term::by(it.caller)]),
        Event::DryRuns(it) => with(RecordKind::DryRun, [Term::by(it.caller)]),
        Event::Admin(it) => {
            let mut terms = with(
                RecordKind::Change,
                [
                    Term::by(it.actor),
                    Term::of(it.subject),
                    Term::action(&it.action),
                ],
            );
            terms.extend(kind_of(&it.action).map(Term::kind));
            terms
        }
        Event::Token(it) => with(
            RecordKind::Token,
            [it.client, it.key, it.credential, it.fetch]
                .map(Term::of)
                .into_iter()
                .chain([Term::by(it.caller)]),
        ),
    };
    terms.sort_unstable();
    terms.dedup();
    terms
}

fn with(kind: RecordKind, terms: impl IntoIterator<Item = Term>) -> Vec<Term> {
    let mut all = vec![Term::kind(kind)];
    all.extend(terms);
    all
}

fn of_intent(intent: &Intent) -> Vec<Term> {
    let mut terms = with(RecordKind::Signature, parties(intent));
    terms.extend(RecordKind::from_name(&intent.operation).map(Term::kind));
    terms
}

fn of_end(begun: Option<&Intent>) -> Vec<Term> {
    with(RecordKind::Refusal, begun.into_iter().flat_map(parties))
}

fn parties(intent: &Intent) -> impl Iterator<Item = Term> {
    let ids = [intent.credential, intent.subject, intent.key].map(Term::of);
    let market = market_of(&intent.record);
    ids.into_iter()
        .chain([Term::by(intent.caller)])
        .chain(market.as_deref().map(Term::market))
}

/// The token id of an order, as its record has it.
pub fn market_of(record: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Record {
        #[serde(rename = "struct")]
        it: Option<Struct>,
    }
    #[derive(serde::Deserialize)]
    struct Struct {
        #[serde(rename = "tokenId")]
        token_id: Option<String>,
    }
    let record: Record = serde_json::from_str(record).ok()?;
    record.it?.token_id
}

/// What a change is about, where that is something auditors ask for by itself.
pub fn kind_of(action: &str) -> Option<RecordKind> {
    let says = |word: &str| action.split('-').any(|it| it == word);
    if says("proposal") || says("propose") {
        Some(RecordKind::Approval)
    } else if says("rotation") || says("probe") || action == "switch-client-key" {
        Some(RecordKind::Rotation)
    } else if action == SEARCH || action.starts_with("look-up") {
        Some(RecordKind::LookUp)
    } else if ["credential", "login", "nonce", "nonces"]
        .into_iter()
        .any(says)
        && !says("caller")
    {
        Some(RecordKind::Credential)
    } else {
        None
    }
}

/// What a search of the log is called in its own leaf.
pub const SEARCH: &str = "search-log";

#[cfg(test)]
mod tests;
