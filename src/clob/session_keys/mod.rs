//! Session keys of deposit wallets: which keys may trade for a wallet, until when, as the operations on record say.
//!
//! A key is authorized and revoked by operations of the wallet's owner (`operations`), which are signed, submitted and
//! settled like any other. What stands here follows from those that were carried out, in the order of their nonces, so there
//! is nothing of its own to keep in step with them. A session key counts as a full key: that it cannot withdraw is the
//! relayer's filter, not the contract's.
//!
//! It **trusts** what is on record as carried out. A key that was authorized elsewhere is not seen.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use time::{OffsetDateTime, PrimitiveDateTime};

use super::Profile;
use super::SignatureType;
use crate::ethereum::Address;
use crate::id::IntentId;
use crate::ledger::{Ledger, LedgerError};
use crate::operations::records;

words! {
    /// How a session key stands.
    #[derive(utoipa::ToSchema)]
    #[schema(as = SessionKeyState)]
    pub enum State {
        /// What authorizes it is signed, and not on record as carried out.
        Authorizing = "authorizing",
        /// It may trade.
        Authorized = "authorized",
        /// It still may; what revokes it is signed, and not on record as carried out.
        Revoking = "revoking",
        /// It may not any more.
        Revoked = "revoked",
        /// Its time is over.
        Expired = "expired",
    }
}

/// A session key of a wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionKey {
    /// The wallet's chain.
    pub chain_id: u64,
    /// The wallet.
    pub wallet: Address,
    /// The key.
    pub signer: Address,
    /// How it stands.
    pub state: State,
    /// Until when it was authorized last.
    pub valid_until: Option<OffsetDateTime>,
    /// The operation that says so.
    pub by: IntentId,
}

/// An operation about a session key, in the order of nonces.
#[derive(Clone, Debug)]
struct Deed {
    id: IntentId,
    chain_id: u64,
    wallet: Address,
    signer: Address,
    /// Until when it authorizes; `None`: it revokes.
    until: Option<OffsetDateTime>,
    /// Whether it is on record as carried out; else it still may be.
    is_done: bool,
}

impl Deed {
    /// What one call of an operation says of a session key, if it does.
    fn of(of: &records::Deed, call: &Json) -> Option<Self> {
        let argument = |at: usize| call["arguments"][at].as_str();
        let until = match call["op"].as_str()? {
            "authorize_session_key" => {
                let until = argument(1)?.parse().ok();
                // One that is beyond all calendars does not end.
                let last = PrimitiveDateTime::MAX.assume_utc();
                let at = until.map(OffsetDateTime::from_unix_timestamp);
                Some(at.and_then(Result::ok).unwrap_or(last))
            }
            "revoke_session_key" => None,
            _ => return None,
        };
        Some(Self {
            id: of.id,
            chain_id: of.chain_id,
            wallet: of.holder,
            signer: argument(0)?.parse().ok()?,
            until,
            is_done: of.is_done,
        })
    }
}

/// The session keys that follow from operations on record, the oldest first.
pub(crate) fn of_deeds(all: &[records::Deed], now: OffsetDateTime) -> Vec<SessionKey> {
    let each = all
        .iter()
        .flat_map(|it| it.calls.iter().map(move |call| (it, call)));
    let deeds = each.filter_map(|(it, call)| Deed::of(it, call));
    standing(deeds.collect(), now)
}

/// What follows from what was done, of each wallet and key.
fn standing(deeds: Vec<Deed>, now: OffsetDateTime) -> Vec<SessionKey> {
    let mut all: BTreeMap<(u64, Address, Address), SessionKey> = BTreeMap::new();
    let (done, open): (Vec<_>, Vec<_>) = deeds.into_iter().partition(|it| it.is_done);
    for deed in done {
        let state = match deed.until {
            Some(until) if until <= now => State::Expired,
            Some(_) => State::Authorized,
            None => State::Revoked,
        };
        all.insert(place(&deed), of(&deed, state));
    }
    for deed in open {
        let before = all.get(&place(&deed)).map(|it| (it.state, it.valid_until));
        let one = match (deed.until, before) {
            // It may stay longer; until then it stands as it did.
            (Some(_), Some((State::Authorized, _))) => continue,
            (Some(_), _) => of(&deed, State::Authorizing),
            (None, Some((State::Authorized, valid_until))) => SessionKey {
                valid_until,
                ..of(&deed, State::Revoking)
            },
            (None, _) => continue,
        };
        all.insert(place(&deed), one);
    }
    all.into_values().collect()
}

fn place(deed: &Deed) -> (u64, Address, Address) {
    (deed.chain_id, deed.wallet, deed.signer)
}

fn of(deed: &Deed, state: State) -> SessionKey {
    SessionKey {
        chain_id: deed.chain_id,
        wallet: deed.wallet,
        signer: deed.signer,
        state,
        valid_until: deed.until,
        by: deed.id,
    }
}

/// The session keys of a wallet; none where it is no deposit wallet.
pub async fn of_wallet(
    profile: &Profile,
    now: OffsetDateTime,
    ledger: &Ledger,
) -> Result<Vec<SessionKey>, LedgerError> {
    if profile.signature_type() != SignatureType::Poly1271 {
        return Ok(Vec::new());
    }
    let wallet = (profile.chain().id(), profile.maker());
    Ok(of_deeds(&records::deeds(Some(wallet), ledger).await?, now))
}

/// The session keys of all wallets that may trade until some time before `until`, or could lately.
pub async fn ending(
    now: OffsetDateTime,
    until: OffsetDateTime,
    ledger: &Ledger,
) -> Result<Vec<SessionKey>, LedgerError> {
    let mut all = of_deeds(&records::deeds(None, ledger).await?, now);
    all.retain(|it| {
        matches!(it.state, State::Authorized | State::Expired)
            && it.valid_until.is_some_and(|at| at <= until)
    });
    Ok(all)
}

#[cfg(test)]
mod tests;
