//! What people are told of what ends: of keys by the reminders on record, of the rest by stages.

use time::{Duration, OffsetDateTime};

use super::Cryptoperiods;
use super::{CredentialAge, Period, TokenEnd};
use crate::clob::session_keys::SessionKey;
use crate::clock::timestamp;
use crate::keys::Key;
use crate::ledger::LedgerError;
use crate::notices::{self, Kind, Notice};

/// So many days before the end they are told, and at the end.
const STAGES: [i64; 4] = [14, 3, 1, 0];

impl Cryptoperiods {
    /// Has people told of tokens and API keys that end: once for each and each stage, whoever looks.
    pub async fn tell(&self) -> Result<(), LedgerError> {
        let now = self.clock.now();
        let due = self.due(Duration::days(STAGES[0])).await?;
        let credentials = due.credentials.iter().map(|it| of_credential(it, now));
        let tokens = due.tokens.iter().map(|it| of_token(it, now));
        let session_keys = due.session_keys.iter().map(|it| of_session_key(it, now));
        let all = credentials.chain(tokens).chain(session_keys);
        let all: Vec<_> = all.flatten().collect();
        for notice in all {
            notices::tell(&notice, self.log.ledger()).await?;
        }
        Ok(())
    }
}

/// A key's period ends, or has ended while something still depends on it.
pub(super) fn of_key(period: &Period) -> Notice {
    let Period { key, name, .. } = period;
    let used = match period.used_by.join(", ") {
        none if none.is_empty() => "nothing".to_owned(),
        used => used,
    };
    let at = timestamp(period.ends_at);
    let sentence = format!(
        "the cryptoperiod of key {name} ends at {at}, and it signs for {used}: chancery rotations due"
    );
    Notice::new(Kind::Deadline, sentence).about("key", key)
}

/// A key's period is over.
pub(super) fn of_end(key: &Key) -> Notice {
    let sentence = format!(
        "key {} is deactivated: its cryptoperiod has ended",
        key.name
    );
    Notice::new(Kind::Deadline, sentence).about("key", &key.id)
}

fn of_credential(it: &CredentialAge, now: OffsetDateTime) -> Option<Notice> {
    let CredentialAge { api_key, .. } = it;
    let address = it.address.to_string();
    let sentence = format!(
        "an API key of account {address} is due to be replaced at {}: chancery rotations due",
        timestamp(it.ends_at)
    );
    let notice = Notice::new(Kind::Deadline, sentence).about("account", &address);
    staged(notice, &format!("credential {api_key}"), it.ends_at, now)
}

fn of_session_key(it: &SessionKey, now: OffsetDateTime) -> Option<Notice> {
    let (wallet, signer, ends_at) = (
        it.wallet.to_string(),
        it.signer.to_string(),
        it.valid_until?,
    );
    let sentence = format!(
        "session key {signer} of wallet {wallet} ends at {}: chancery rotations due",
        timestamp(ends_at)
    );
    let notice = Notice::new(Kind::Deadline, sentence).about("account", &wallet);
    let what = format!("session key {} {wallet} {signer}", it.chain_id);
    staged(notice, &what, ends_at, now)
}

fn of_token(it: &TokenEnd, now: OffsetDateTime) -> Option<Notice> {
    let TokenEnd { caller, .. } = it;
    let sentence = format!(
        "the last token of caller {caller} ends at {}: chancery callers token {caller}",
        timestamp(it.ends_at)
    );
    let notice = Notice::new(Kind::Deadline, sentence).about("caller", caller);
    staged(notice, &format!("token {caller}"), it.ends_at, now)
}

/// It is told once in each stage, of which the last is without end.
fn staged(
    notice: Notice,
    what: &str,
    ends_at: OffsetDateTime,
    now: OffsetDateTime,
) -> Option<Notice> {
    let left = ends_at - now;
    let passed = STAGES.iter().filter(|days| left <= Duration::days(**days));
    let days = passed.min()?;
    Some(notice.once(format!("{what} {} {days}", ends_at.unix_timestamp())))
}

#[cfg(test)]
mod tests;
