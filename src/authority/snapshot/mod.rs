//! What holds at a version.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use time::OffsetDateTime;
use uuid::Uuid;

use super::row::{Link, News, Row};
use super::seal::{Seal, link};
use super::{Head, Said, Unlike, Version};
use crate::id::CallerId;
use crate::ledger::LedgerError;

words! {
    /// What a version is of.
    pub enum Kind {
        /// Something that is halted.
        Halt = "halt",
        /// Who may do what.
        Policy = "policy",
        /// How much of it.
        Limit = "limit",
        /// Somebody to whom credentials belong.
        Person = "person",
        /// With what a person approves.
        Approver = "approver",
        /// How many people something takes.
        Quorum = "quorum",
        /// What waits for approval, and what became of it.
        Proposal = "proposal",
        /// Who calls.
        Caller = "caller",
        /// By what they are known.
        Credential = "credential",
        /// What a key is, and its state.
        Key = "key",
        /// What a wallet signs with and for.
        Wallet = "wallet",
        /// What a client signs with and for.
        Client = "client",
        /// To whom wallets may send.
        Recipient = "recipient",
        /// That all rows are stated.
        Adoption = "adoption",
    }
}

/// What holds of one thing.
#[derive(Clone, Debug)]
pub struct Stated {
    /// The version that says so.
    pub version: Version,
    /// When it was decided.
    pub at: OffsetDateTime,
    /// By whom.
    pub by: CallerId,
    /// What, in the form of its kind.
    pub body: Arc<[u8]>,
}

impl Stated {
    fn uncommitted(body: Vec<u8>) -> Self {
        Self {
            version: Version::default(),
            at: OffsetDateTime::UNIX_EPOCH,
            by: CallerId::SERVICE,
            body: body.into(),
        }
    }
}

/// Into so many parts the things of a kind are put, by the last byte of their ids, which chance gives: a change
/// copies one of them, not all.
const PARTS: usize = 256;

/// What holds of all things of a kind.
#[derive(Clone, Debug)]
struct Things {
    changed: Version,
    parts: Vec<Arc<BTreeMap<Uuid, Stated>>>,
}

impl Default for Things {
    fn default() -> Self {
        Self {
            changed: Version::default(),
            parts: vec![Arc::default(); PARTS],
        }
    }
}

impl Things {
    fn part(&self, id: Uuid) -> &BTreeMap<Uuid, Stated> {
        &self.parts[usize::from(id.as_bytes()[15])]
    }

    fn part_mut(&mut self, id: Uuid) -> &mut BTreeMap<Uuid, Stated> {
        Arc::make_mut(&mut self.parts[usize::from(id.as_bytes()[15])])
    }
}

/// A thing as it was read, and by which version it is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Statement {
    /// What kind of thing.
    pub kind: Kind,
    /// Which.
    pub id: Uuid,
    /// By which version; 0: nobody has compared it.
    pub version: Version,
}

/// What holds at a version.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    version: Version,
    /// The versions that tighten, in their order.
    tightenings: Vec<Version>,
    link: Link,
    kinds: HashMap<Kind, Arc<Things>>,
}

impl Snapshot {
    /// Which.
    pub fn version(&self) -> Version {
        self.version
    }

    /// What its last version is chained with.
    pub fn link(&self) -> [u8; 32] {
        self.link
    }

    /// How far it goes.
    pub(super) fn head(&self) -> Head {
        Head {
            version: self.version,
            tightened: self.tightened_at(self.version),
        }
    }

    /// A seal of this.
    pub(super) fn sealed(&self, head: Head, seal: &Seal) -> Vec<u8> {
        seal.seal(head, &self.link)
    }

    /// The last version that tightens, as of a version that is known here.
    pub(super) fn tightened_at(&self, version: Version) -> Version {
        let until = self.tightenings.partition_point(|it| *it <= version);
        let last = until.checked_sub(1).and_then(|at| self.tightenings.get(at));
        last.copied().unwrap_or_default()
    }

    /// What holds of things of a kind, in no order.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = (Uuid, &Stated)> {
        let parts = self.kinds.get(&kind).into_iter().flat_map(|it| &it.parts);
        parts.flat_map(|it| it.iter().map(|(id, stated)| (*id, stated)))
    }

    /// What holds of one thing; `None`: nothing was decided, or it is gone.
    pub fn find(&self, kind: Kind, id: Uuid) -> Option<&Stated> {
        self.kinds.get(&kind)?.part(id).get(&id)
    }

    /// Whether a thing still is as it was read.
    pub fn is_at(&self, statement: Statement) -> bool {
        let Statement { kind, id, version } = statement;
        self.find(kind, id).is_some_and(|it| it.version == version)
    }

    /// Whether all of these still are.
    pub fn are_at<'a>(&self, statements: impl IntoIterator<Item = &'a Statement>) -> bool {
        statements.into_iter().all(|it| self.is_at(*it))
    }

    /// By which version a row says what is stated of its thing.
    pub fn proves(&self, said: &Said) -> Result<Version, Unlike> {
        let stated = self.find(said.kind, said.id);
        let version = stated.map(|it| it.version).unwrap_or_default();
        if stated.map(|it| &*it.body) == said.body.as_deref() {
            return Ok(version);
        }
        let (table, kind, id) = (said.table, said.kind, said.id);
        Err(Unlike {
            table,
            stated: Statement { kind, id, version },
        })
    }

    /// The same after what a transaction states that is not committed.
    pub(super) fn and(&self, own: &[Said]) -> Self {
        let mut after = self.clone();
        for Said { kind, id, body, .. } in own.iter().cloned() {
            let things = Arc::make_mut(after.kinds.entry(kind).or_default());
            match body {
                None => things.part_mut(id).remove(&id),
                Some(body) => things.part_mut(id).insert(id, Stated::uncommitted(body)),
            };
        }
        after
    }

    #[cfg(test)]
    pub(super) fn at(kind: Kind, version: i64) -> Self {
        let changed = Version::from_ledger(version);
        let things = Things {
            changed,
            ..Things::default()
        };
        Self {
            version: changed,
            kinds: HashMap::from([(kind, Arc::new(things))]),
            ..Self::default()
        }
    }

    /// The last version in which anything of these kinds changed.
    pub(super) fn changed(&self, kinds: &[Kind]) -> Version {
        let changed = kinds.iter().filter_map(|kind| self.kinds.get(kind));
        changed.map(|it| it.changed).max().unwrap_or_default()
    }

    /// What holds after what came since, if all of that proves itself; `None`: nothing did.
    pub(super) fn with(&self, news: News, seal: &Seal) -> Result<Option<Self>, LedgerError> {
        let after = self.through(news, seal, |_, _| {})?;
        Ok((after.version != self.version).then_some(after))
    }

    /// The same, with a look at each row, and at what held before it. Nothing of that is proven before the end.
    pub(super) fn through(
        &self,
        news: News,
        seal: &Seal,
        mut look: impl FnMut(&Self, &Row),
    ) -> Result<Self, LedgerError> {
        let corrupt = |what: String| Err(LedgerError::Falsified("authority", what));
        let News {
            head,
            link: head_link,
            seal: sealed,
            rows,
        } = news;
        let version = head.version;
        if version < self.version {
            let (ours, theirs) = (self.version.number(), version.number());
            return corrupt(format!("it went back from version {ours} to {theirs}"));
        }
        let mut after = self.clone();
        for row in rows {
            let number = row.version.number();
            if number != after.version.number() + 1 {
                return corrupt(format!("version {number} has no version before it"));
            }
            let Some(kind) = Kind::from_name(&row.kind) else {
                return corrupt(format!("version {number} is of an unknown kind"));
            };
            let linked = link(&after.link, &row);
            if row.link != Some(linked) {
                return corrupt(format!(
                    "version {number} does not follow from the one before"
                ));
            }
            look(&after, &row);
            after.link = linked;
            after.state(kind, row);
        }
        if after.version != version {
            let missing = after.version.number() + 1;
            return corrupt(format!("version {missing} is missing"));
        }
        let is_linked = head_link.unwrap_or_default() == after.link;
        if after.head() != head || !is_linked || !seal.is_of(head, &after.link, sealed.as_deref()) {
            return corrupt(format!(
                "the head at version {} is not sealed with a key that [sealing] names",
                version.number()
            ));
        }
        Ok(after)
    }

    fn state(&mut self, kind: Kind, row: Row) {
        self.version = row.version;
        if row.tightens {
            self.tightenings.push(row.version);
        }
        let things = Arc::make_mut(self.kinds.entry(kind).or_default());
        things.changed = row.version;
        let part = things.part_mut(row.id);
        match row.body {
            None => part.remove(&row.id),
            Some(body) => part.insert(
                row.id,
                Stated {
                    version: row.version,
                    at: row.at,
                    by: row.by,
                    body: body.into(),
                },
            ),
        };
    }
}

#[cfg(test)]
mod tests;
