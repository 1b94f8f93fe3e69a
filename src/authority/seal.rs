//! What makes a row of `authority` prove itself: each is chained to the one before it, and the head is
//! sealed.
//!
//! # Why
//! The seal is made with the service's sealing key, which every replica of every deployment has at its
//! start, whatever devices there are and however they are; the database never sees it. It has to be checked
//! once for each version and not for each signature, so a device would add nothing but a way to be away.
//! A former sealing key still opens, so keys are replaced as ever.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Head;
use super::row::{Link, Row};
use crate::sealing::Keyring;

/// Seals and opens heads. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Seal(Arc<Keyring>);

/// The link of a row, after that of the one before it.
pub(super) fn link(before: &Link, row: &Row) -> Link {
    let mut hash = Sha256::new();
    hash.update(b"chancery authority link 1\n");
    hash.update(before);
    hash.update(row.version.number().to_be_bytes());
    hash.update(row.at.unix_timestamp_nanos().to_be_bytes());
    hash.update(row.by.uuid().as_bytes());
    hash.update(row.id.as_bytes());
    hash.update([u8::from(row.tightens), u8::from(row.body.is_some())]);
    hash.update(
        u64::try_from(row.kind.len())
            .unwrap_or(u64::MAX)
            .to_be_bytes(),
    );
    hash.update(&row.kind);
    hash.update(row.body.as_deref().unwrap_or_default());
    hash.finalize().into()
}

impl Seal {
    pub(crate) fn new(keyring: Arc<Keyring>) -> Self {
        Self(keyring)
    }

    /// Seals a head.
    pub(super) fn seal(&self, head: Head, link: &Link) -> Vec<u8> {
        self.0.seal(&said(head, link), &[])
    }

    /// Whether this is the seal of a head. Nothing was sealed before the first version.
    pub(super) fn is_of(&self, head: Head, link: &Link, seal: Option<&[u8]>) -> bool {
        match seal {
            Some(seal) => self.0.open(&said(head, link), seal).is_ok(),
            None => head == Head::default() && *link == Link::default(),
        }
    }

    /// Whether it was made with the key that seals now.
    pub(super) fn is_current(&self, seal: &[u8]) -> bool {
        seal.starts_with(&self.0.head())
    }
}

fn said(head: Head, link: &Link) -> Vec<u8> {
    let (version, tightened) = (head.version.number(), head.tightened.number());
    let parts: [&[u8]; 4] = [
        b"chancery authority head 1\n",
        &version.to_be_bytes(),
        &tightened.to_be_bytes(),
        link,
    ];
    parts.concat()
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::super::Version;
    use super::*;
    use crate::id::CallerId;
    use crate::sealing::SealingKey;

    fn row() -> Row {
        Row {
            version: Version::from_ledger(1),
            at: OffsetDateTime::UNIX_EPOCH,
            by: CallerId::SERVICE,
            kind: "halt".into(),
            id: Uuid::from_u128(1),
            tightens: true,
            body: Some(b"a".to_vec()),
            link: None,
        }
    }

    #[test]
    fn a_link_changes_with_all_that_a_row_says() {
        let first = link(&Link::default(), &row());
        assert_eq!(first, link(&Link::default(), &row()));
        let changes: [fn(&mut Row); 8] = [
            |it| it.version = Version::from_ledger(2),
            |it| it.at += time::Duration::microseconds(1),
            |it| it.by = CallerId::from(Uuid::from_u128(9)),
            |it| it.kind = "hal".into(),
            |it| it.id = Uuid::from_u128(2),
            |it| it.tightens = false,
            |it| it.body = Some(b"b".to_vec()),
            |it| it.body = None,
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut row = row();
            change(&mut row);
            assert_ne!(link(&Link::default(), &row), first, "{number}");
        }
        assert_ne!(link(&[1; 32], &row()), first);
    }

    #[test]
    fn a_head_has_a_seal_of_its_own() {
        let seal = Seal::new(Arc::new(Keyring::from(SealingKey::from_bytes(&[7; 32]))));
        let other = Seal::new(Arc::new(Keyring::from(SealingKey::from_bytes(&[8; 32]))));
        let head = |version, tightened| Head {
            version: Version::from_ledger(version),
            tightened: Version::from_ledger(tightened),
        };
        let (link, sealed) = ([3; 32], seal.seal(head(5, 4), &[3; 32]));
        assert!(seal.is_of(head(5, 4), &link, Some(&sealed)));
        assert!(!other.is_of(head(5, 4), &link, Some(&sealed)));
        assert!(!seal.is_of(head(5, 3), &link, Some(&sealed)));
        assert!(!seal.is_of(head(6, 4), &link, Some(&sealed)));
        assert!(!seal.is_of(head(5, 4), &[4; 32], Some(&sealed)));
        assert!(!seal.is_of(head(5, 4), &link, None));
        assert!(seal.is_of(head(0, 0), &Link::default(), None));
        assert!(!seal.is_of(head(0, 0), &link, None));
    }
}
