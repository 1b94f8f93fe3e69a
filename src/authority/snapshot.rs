//! What holds at a version.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use time::OffsetDateTime;
use uuid::Uuid;

use super::Version;
use super::records::{News, Row};
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
        /// Who calls.
        Caller = "caller",
        /// A key's state.
        Key = "key",
        /// What a wallet signs with and for.
        Wallet = "wallet",
        /// What a client signs with and for.
        Client = "client",
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

/// What holds of all things of a kind.
#[derive(Clone, Debug, Default)]
struct Things {
    changed: Version,
    stated: BTreeMap<Uuid, Stated>,
}

/// What holds at a version.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    version: Version,
    kinds: HashMap<Kind, Arc<Things>>,
}

impl Snapshot {
    /// Which.
    pub fn version(&self) -> Version {
        self.version
    }

    /// What holds of things of a kind, by id.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = (Uuid, &Stated)> {
        let things = self.kinds.get(&kind).into_iter();
        things.flat_map(|it| it.stated.iter().map(|(id, stated)| (*id, stated)))
    }

    /// What holds of one thing; `None`: nothing was decided, or it is gone.
    pub fn find(&self, kind: Kind, id: Uuid) -> Option<&Stated> {
        self.kinds.get(&kind)?.stated.get(&id)
    }

    /// The last version in which anything of these kinds changed.
    pub(super) fn changed(&self, kinds: &[Kind]) -> Version {
        let changed = kinds.iter().filter_map(|kind| self.kinds.get(kind));
        changed.map(|it| it.changed).max().unwrap_or_default()
    }

    /// What holds after what came since; `None`: nothing did.
    pub(super) fn with(&self, news: News) -> Result<Option<Self>, LedgerError> {
        let corrupt = |what: String| Err(LedgerError::Corrupt("authority", what));
        let News { version, rows } = news;
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
            after.state(kind, row);
        }
        if after.version != version {
            let missing = after.version.number() + 1;
            return corrupt(format!("version {missing} is missing"));
        }
        Ok((after.version != self.version).then_some(after))
    }

    fn state(&mut self, kind: Kind, row: Row) {
        self.version = row.version;
        let things = Arc::make_mut(self.kinds.entry(kind).or_default());
        things.changed = row.version;
        match row.body {
            None => things.stated.remove(&row.id),
            Some(body) => things.stated.insert(
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
mod tests {
    use super::*;

    fn row(number: i64, kind: &str, id: u128, body: Option<&[u8]>) -> Row {
        Row {
            version: Version::from_ledger(number),
            at: OffsetDateTime::UNIX_EPOCH,
            by: CallerId::from(Uuid::nil()),
            kind: kind.to_owned(),
            id: Uuid::from_u128(id),
            body: body.map(<[u8]>::to_vec),
        }
    }

    fn news(version: i64, rows: Vec<Row>) -> News {
        News {
            version: Version::from_ledger(version),
            rows,
        }
    }

    #[test]
    fn the_newest_row_of_a_thing_is_what_holds_and_the_rest_is_left_alone() {
        let rows = vec![
            row(1, "halt", 1, Some(b"a")),
            row(2, "halt", 2, Some(b"b")),
            row(3, "policy", 1, Some(b"c")),
        ];
        let first = Snapshot::default().with(news(3, rows)).unwrap().unwrap();
        assert!(first.with(news(3, vec![])).unwrap().is_none());
        let rows = vec![row(4, "halt", 1, None), row(5, "halt", 2, Some(b"d"))];
        let second = first.with(news(5, rows)).unwrap().unwrap();

        let bodies = |snapshot: &Snapshot| -> Vec<Vec<u8>> {
            let halts = snapshot.of(Kind::Halt);
            halts.map(|(_, it)| it.body.to_vec()).collect()
        };
        assert_eq!(bodies(&first), [b"a", b"b"]);
        assert_eq!(bodies(&second), [b"d"]);
        assert!(second.find(Kind::Halt, Uuid::from_u128(1)).is_none());
        assert_eq!(second.changed(&[Kind::Policy]).number(), 3);
        assert_eq!(second.changed(&[Kind::Policy, Kind::Halt]).number(), 5);
        assert_eq!(second.changed(&[Kind::Limit]).number(), 0);
    }

    #[test]
    fn what_does_not_follow_is_refused() {
        let first = news(1, vec![row(1, "halt", 1, Some(b"a"))]);
        let first = Snapshot::default().with(first).unwrap().unwrap();
        for wrong in [
            news(0, vec![]),
            news(2, vec![]),
            news(3, vec![row(3, "halt", 1, None)]),
            news(3, vec![row(2, "halt", 1, None)]),
            news(2, vec![row(2, "hold", 1, None)]),
        ] {
            first.with(wrong).unwrap_err();
        }
    }
}
