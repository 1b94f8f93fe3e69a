//! What people are told of a destruction: that it was asked for, and once more a day before it begins.

use time::{Duration, OffsetDateTime};

use super::{Destructions, records};
use crate::clock::timestamp;
use crate::id::KeyId;
use crate::ledger::LedgerError;
use crate::name::Name;
use crate::notices::{self, Kind, Notice};

/// So long before it begins they are told again.
const BEFORE: Duration = Duration::days(1);

/// A key waits to be destroyed.
pub(super) fn asked(name: &Name, key: KeyId, not_before: OffsetDateTime) -> Notice {
    let at = timestamp(not_before);
    let sentence = format!(
        "key {name} is destroyed at {at} unless somebody objects until then: chancery keys show {name}"
    );
    Notice::new(Kind::Deadline, sentence).about("key", &key)
}

impl Destructions {
    /// Has people told, once, of each key that is about to be destroyed.
    pub async fn remind(&self) -> Result<(), LedgerError> {
        for about_to in records::about_to_begin(BEFORE, &self.ledger).await? {
            let (name, key, not_before) = about_to;
            let once = format!("destruction {key} {}", not_before.unix_timestamp());
            let notice = asked(&name, key, not_before).once(once);
            notices::tell(&notice, &self.ledger).await?;
        }
        Ok(())
    }
}
