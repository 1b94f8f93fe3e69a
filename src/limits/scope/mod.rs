//! What is limited: somebody, a key, both together, a wallet, a market, everything.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Token, What};
use crate::id::{CallerId, KeyId, WalletId};

/// What a limit is of.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(into = "String", try_from = "String")]
pub enum Scope {
    /// All that the service does for callers.
    Global,
    /// All that a caller asks for.
    Caller(CallerId),
    /// All that is signed with a key.
    Key(KeyId),
    /// What a caller has signed with a key.
    CallerKey(CallerId, KeyId),
    /// All that is signed for a wallet.
    Wallet(WalletId),
    /// All orders for a token.
    Market(Token),
}

words! {
    /// The kinds of what is limited.
    #[derive(utoipa::ToSchema, PartialOrd, Ord)]
    #[schema(as = LimitScope)]
    pub enum ScopeKind {
        /// All that the service does for callers.
        Global = "global",
        /// All that a caller asks for.
        Caller = "caller",
        /// All that is signed with a key.
        Key = "key",
        /// What a caller has signed with a key.
        CallerKey = "caller-key",
        /// All that is signed for a wallet.
        Wallet = "wallet",
        /// All orders for a token.
        Market = "market",
    }
}

/// The text names nothing that can be limited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names nothing that is limited")]
pub struct NotAScope(String);

impl Scope {
    /// Of which kind.
    pub fn kind(&self) -> ScopeKind {
        match self {
            Self::Global => ScopeKind::Global,
            Self::Caller(_) => ScopeKind::Caller,
            Self::Key(_) => ScopeKind::Key,
            Self::CallerKey(..) => ScopeKind::CallerKey,
            Self::Wallet(_) => ScopeKind::Wallet,
            Self::Market(_) => ScopeKind::Market,
        }
    }

    /// Which of its kind.
    pub fn subject(&self) -> String {
        match self {
            Self::Global => "all".to_owned(),
            Self::Caller(id) => id.to_string(),
            Self::Key(id) => id.to_string(),
            Self::CallerKey(caller, key) => format!("{caller},{key}"),
            Self::Wallet(id) => id.to_string(),
            Self::Market(token) => token.to_string(),
        }
    }

    /// All that something of this caller's belongs to, the widest first.
    pub(crate) fn around(
        caller: CallerId,
        key: Option<KeyId>,
        wallet: Option<WalletId>,
        market: Option<Token>,
    ) -> [Option<Self>; 6] {
        [
            Some(Self::Global),
            Some(Self::Caller(caller)),
            key.map(Self::Key),
            key.map(|key| Self::CallerKey(caller, key)),
            wallet.map(Self::Wallet),
            market.map(Self::Market),
        ]
    }

    /// Its id among what decides.
    pub fn id(&self) -> Uuid {
        named(&[self.kind().name(), &self.subject()])
    }

    /// The id of its counter of such things.
    pub(super) fn counter(&self, what: What) -> Uuid {
        named(&[self.kind().name(), &self.subject(), what.name()])
    }
}

/// A UUID of version 8 that stands for these words.
fn named(words: &[&str]) -> Uuid {
    let mut hash = Sha256::new();
    for word in words {
        hash.update((word.len() as u64).to_be_bytes());
        hash.update(word);
    }
    let hash: [u8; 32] = hash.finalize().into();
    let (half, _) = hash.split_first_chunk::<16>().expect("32 bytes hold 16");
    uuid::Builder::from_custom_bytes(*half).into_uuid()
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.subject())
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

impl TryFrom<String> for Scope {
    type Error = NotAScope;

    fn try_from(text: String) -> Result<Self, NotAScope> {
        let parsed = || {
            let (kind, subject) = text.split_once(':')?;
            Some(match ScopeKind::from_name(kind)? {
                ScopeKind::Global => (subject == "all").then_some(Self::Global)?,
                ScopeKind::Caller => Self::Caller(CallerId::from_str(subject).ok()?),
                ScopeKind::Key => Self::Key(KeyId::from_str(subject).ok()?),
                ScopeKind::CallerKey => {
                    let (caller, key) = subject.split_once(',')?;
                    Self::CallerKey(caller.parse().ok()?, key.parse().ok()?)
                }
                ScopeKind::Wallet => Self::Wallet(WalletId::from_str(subject).ok()?),
                ScopeKind::Market => Self::Market(Token::try_from(subject.to_owned()).ok()?),
            })
        };
        let parsed = parsed().filter(|scope| scope.to_string() == text);
        parsed.ok_or(NotAScope(text))
    }
}

#[cfg(test)]
mod tests;
