//! How credentials and keys stand: what somebody knew of them a moment ago is looked at once more
//! behind the gate, in the transaction that makes an effect durable.
//!
//! Whoever takes a right away holds the gate alone until that is committed, so whoever looks here
//! afterwards sees it, on every replica.

mod records;

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

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
    /// Of one key, as far as it is on record, and of a credential that is good, if it is.
    pub(crate) fn of(id: KeyId, key: Option<KeyStanding>, live: Option<Uuid>) -> Self {
        Self {
            live: live.into_iter().collect(),
            keys: key.map(|key| (id, key)).into_iter().collect(),
        }
    }

    /// Looks, in a transaction that has passed the gate.
    pub(crate) async fn behind_gate(look: &Look, tx: &mut Tx) -> Result<Self, LedgerError> {
        if look.is_empty() {
            return Ok(Self::default());
        }
        records::look(look, tx).await
    }

    /// Whether a credential is good: neither it nor its caller is revoked, and it has not expired.
    pub fn is_live(&self, credential: Uuid) -> bool {
        self.live.contains(&credential)
    }

    /// What is true of a key; `None`: it is not on record.
    pub fn key(&self, id: KeyId) -> Option<&KeyStanding> {
        self.keys.get(&id)
    }
}

/// What the database says: a key has a state, a good credential has none.
impl FromIterator<(Uuid, Option<String>, Option<i64>, Option<bool>)> for Standing {
    fn from_iter<I>(rows: I) -> Self
    where
        I: IntoIterator<Item = (Uuid, Option<String>, Option<i64>, Option<bool>)>,
    {
        let mut standing = Self::default();
        for (id, state, epoch, is_over) in rows {
            if let (Some(state), Some(epoch), Some(is_over)) = (state, epoch, is_over) {
                let key = KeyStanding {
                    state,
                    epoch,
                    is_over,
                };
                standing.keys.insert(id.into(), key);
            } else {
                standing.live.insert(id);
            }
        }
        standing
    }
}
