//! All recipients of a snapshot, and whether one of them may be sent to.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Recipient;
use crate::authority::{self, Kind, Parsed, Snapshot, Statement};
use crate::clob::Chain;
use crate::clock::timestamp;
use crate::ethereum::Address;
use crate::id::CallerId;
use crate::ledger::LedgerError;
use crate::name::Name;

/// What a row says, as it is stated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    pub(super) name: Name,
    pub(super) chain: Chain,
    pub(super) address: Address,
    pub(super) owner: Option<Name>,
    pub(super) signer_meant: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) refuge: bool,
    /// In microseconds since 1970.
    pub(super) stands_from: i64,
    pub(super) approval: String,
}

impl Body {
    pub(super) fn recipient(
        self,
        statement: Statement,
        at: OffsetDateTime,
        by: CallerId,
    ) -> Result<Recipient, LedgerError> {
        let nanos = i128::from(self.stands_from) * 1_000;
        let stands_from = OffsetDateTime::from_unix_timestamp_nanos(nanos)
            .map_err(|error| LedgerError::Corrupt("authority", error.to_string()))?;
        Ok(Recipient {
            id: statement.id,
            name: self.name,
            chain: self.chain,
            address: self.address,
            owner: self.owner,
            signer_meant: self.signer_meant,
            refuge: self.refuge,
            stands_from,
            approval: self.approval,
            at,
            by,
            statement,
        })
    }
}

/// The id among what decides: one address is there once on a chain, whatever it is called.
pub(super) fn id(chain: Chain, address: Address) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(b"chancery recipient");
    hash.update(chain.id().to_be_bytes());
    hash.update(address.0);
    let hash: [u8; 32] = hash.finalize().into();
    let (half, _) = hash.split_first_chunk::<16>().expect("32 bytes hold 16");
    uuid::Builder::from_custom_bytes(*half).into_uuid()
}

/// Who is meant.
#[derive(Clone, Copy, Debug)]
pub enum Payee<'a> {
    /// As people say it.
    Named(&'a Name),
    /// As a transaction that somebody else has built says it.
    At(Address),
}

/// Why nothing is sent to somebody.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoRecipient {
    /// There is none.
    #[error("no recipient {0} is registered on chain {1}: chancery recipients add")]
    Unknown(String, u64),
    /// It was added too lately.
    #[error("recipient {name} was added and waits until {}", timestamp(*until))]
    Waits {
        /// Who.
        name: Name,
        /// Until when.
        until: OffsetDateTime,
    },
    /// It is another desk's.
    #[error("recipient {0} is not for wallets of this owner")]
    OtherDesk(Name),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The recipients of a snapshot.
#[derive(Debug, Default)]
pub(super) struct Register {
    by_name: BTreeMap<Name, Arc<Recipient>>,
    by_place: BTreeMap<(u64, Address), Arc<Recipient>>,
}

impl Parsed for Register {
    const KINDS: &'static [Kind] = &[Kind::Recipient];

    fn parse(snapshot: &Snapshot) -> Result<Self, LedgerError> {
        let mut register = Self::default();
        for (row, stated) in snapshot.of(Kind::Recipient) {
            let body: Body = authority::read(Kind::Recipient, stated)?;
            let statement = Statement {
                kind: Kind::Recipient,
                id: row,
                version: stated.version,
            };
            let one = body.recipient(statement, stated.at, stated.by)?;
            if row != id(one.chain, one.address) {
                let why = format!("recipient {row} is of another address");
                return Err(LedgerError::Corrupt("authority", why));
            }
            register.insert(one)?;
        }
        Ok(register)
    }
}

impl Register {
    fn insert(&mut self, one: Recipient) -> Result<(), LedgerError> {
        let one = Arc::new(one);
        let place = (one.chain.id(), one.address);
        self.by_place.insert(place, Arc::clone(&one));
        match self.by_name.insert(one.name.clone(), one) {
            None => Ok(()),
            Some(twin) => {
                let why = format!("two recipients are called {}", twin.name);
                Err(LedgerError::Corrupt("authority", why))
            }
        }
    }

    /// All of them, by name.
    pub(super) fn all(&self) -> Vec<Arc<Recipient>> {
        self.by_name.values().cloned().collect()
    }

    /// The one with this name.
    pub(super) fn named(&self, name: &Name) -> Option<Arc<Recipient>> {
        self.by_name.get(name).cloned()
    }

    /// The one with this address.
    pub(super) fn at(&self, chain: Chain, address: Address) -> Option<Arc<Recipient>> {
        self.by_place.get(&(chain.id(), address)).cloned()
    }

    /// To whom a wallet of this desk and chain may send at a moment.
    pub(super) fn standing(
        &self,
        whom: Payee<'_>,
        chain: Chain,
        owner: &Name,
        now: OffsetDateTime,
    ) -> Result<Arc<Recipient>, NoRecipient> {
        let found = match whom {
            Payee::Named(name) => self.named(name).filter(|it| it.chain == chain),
            Payee::At(address) => self.at(chain, address),
        };
        let said = || match whom {
            Payee::Named(name) => name.to_string(),
            Payee::At(address) => address.to_string(),
        };
        let one = found.ok_or_else(|| NoRecipient::Unknown(said(), chain.id()))?;
        if one.owner.as_ref().is_some_and(|it| it != owner) {
            return Err(NoRecipient::OtherDesk(one.name.clone()));
        }
        if now < one.stands_from {
            return Err(NoRecipient::Waits {
                name: one.name.clone(),
                until: one.stands_from,
            });
        }
        Ok(one)
    }
}

#[cfg(test)]
mod tests;
