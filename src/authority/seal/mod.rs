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
mod tests;
