//! How credentials and keys stand: what somebody knew of them a moment ago is looked at once more
//! behind the gate, in the transaction that makes an effect durable.
//!
//! Whoever takes a right away holds the gate alone until that is committed, so whoever looks here
//! afterwards sees it, on every replica.

mod records;

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::authority::{Head, Version};
use crate::id::KeyId;
use crate::ledger::{LedgerError, Tx};

/// The credentials and keys that are looked at.
#[derive(Clone, Debug, Default)]
pub struct Look {
    credentials: HashSet<Uuid>,
    keys: HashSet<KeyId>,
}

/// What is true of them.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    live: HashSet<Uuid>,
    keys: HashMap<KeyId, KeyStanding>,
    /// How far what decides has come; `None`: nothing was looked at, and nothing is upheld.
    head: Option<Head>,
}

/// What is true of a key.
#[derive(Clone, Debug)]
pub struct KeyStanding {
    /// Its state, by the ledger's name.
    pub state: String,
    /// How often the state has changed.
    pub epoch: i64,
    /// Whether its cryptoperiod is over.
    pub is_over: bool,
}

impl Look {
    /// At a credential and a key, as far as there are any.
    pub fn at(credential: Option<Uuid>, key: Option<KeyId>) -> Self {
        Self {
            credentials: credential.into_iter().collect(),
            keys: key.into_iter().collect(),
        }
    }

    /// At all that another looks at, too.
    pub fn join(&mut self, other: Self) {
        self.credentials.extend(other.credentials);
        self.keys.extend(other.keys);
    }

    /// The keys.
    pub(crate) fn keys(&self) -> Vec<Uuid> {
        self.keys.iter().map(|id| id.uuid()).collect()
    }

    /// The credentials.
    pub(crate) fn credentials(&self) -> Vec<Uuid> {
        self.credentials.iter().copied().collect()
    }

    /// Whether there is nothing to look at.
    pub fn is_empty(&self) -> bool {
        self.credentials.is_empty() && self.keys.is_empty()
    }
}

impl Standing {
    /// Of one key, as far as it is on record, of a credential that is good, if it is, and of what decides.
    pub(crate) fn of(
        id: KeyId,
        key: Option<KeyStanding>,
        live: Option<Uuid>,
        head: Option<Head>,
    ) -> Self {
        Self {
            live: live.into_iter().collect(),
            keys: key.map(|key| (id, key)).into_iter().collect(),
            head,
        }
    }

    /// Looks, in a transaction that has passed the gate.
    pub(crate) async fn behind_gate(look: &Look, tx: &mut Tx) -> Result<Self, LedgerError> {
        records::look(look, tx).await
    }

    /// Whether a credential is good: neither it nor its caller is revoked, and it has not expired.
    pub fn is_live(&self, credential: Uuid) -> bool {
        self.live.contains(&credential)
    }

    /// Whether what was decided by this version of what decides still holds.
    pub fn upholds(&self, decided: Version) -> bool {
        self.head.is_some_and(|head| head.upholds(decided))
    }

    /// How far what decides has come.
    pub fn head(&self) -> Option<Head> {
        self.head
    }

    /// What is true of a key; `None`: it is not on record.
    pub fn key(&self, id: KeyId) -> Option<&KeyStanding> {
        self.keys.get(&id)
    }
}

/// What the database says: a key has a state, a good credential has none, what decides has no id.
pub(crate) struct Row {
    pub(crate) id: Option<Uuid>,
    pub(crate) state: Option<String>,
    pub(crate) epoch: Option<i64>,
    pub(crate) is_over: Option<bool>,
    pub(crate) authority: Option<i64>,
    pub(crate) tightened: Option<i64>,
}

impl FromIterator<Row> for Standing {
    fn from_iter<I: IntoIterator<Item = Row>>(rows: I) -> Self {
        let mut standing = Self::default();
        for row in rows {
            match (row.id, row.state, row.epoch, row.is_over) {
                (Some(id), Some(state), Some(epoch), Some(is_over)) => {
                    let key = KeyStanding {
                        state,
                        epoch,
                        is_over,
                    };
                    standing.keys.insert(id.into(), key);
                }
                (Some(id), ..) => {
                    standing.live.insert(id);
                }
                (None, ..) => standing.head = Head::read(row.authority, row.tightened),
            }
        }
        standing
    }
}
