//! What a row says that decides, in one form for each kind: every column of it on which a yes or a no stands.
//!
//! A row that is revoked, or has ended, says nothing more: it is stated as gone. What stays on record for good
//! (keys, wallets, clients) is stated as long as it is there. Nothing here is secret: a credential is there by
//! its hash.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Kind, write};

/// The form of a kind.
pub trait Form: Serialize {
    /// Which.
    const KIND: Kind;
    /// Where its rows are.
    const TABLE: &'static str;
}

/// What a row says of a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub(super) table: &'static str,
    pub(super) kind: Kind,
    pub(super) id: Uuid,
    /// `None`: that it is gone.
    pub(super) body: Option<Vec<u8>>,
}

impl Said {
    /// What a row says; `None`: it is revoked, or has ended.
    pub fn of<F: Form>(id: impl Into<Uuid>, form: Option<&F>) -> Self {
        Self {
            table: F::TABLE,
            kind: F::KIND,
            id: id.into(),
            body: form.map(|form| write(form)),
        }
    }

    /// Where it is.
    pub fn table(&self) -> &'static str {
        self.table
    }

    /// Of which thing.
    pub fn thing(&self) -> (Kind, Uuid) {
        (self.kind, self.id)
    }
}

macro_rules! form {
    ($(#[$doc:meta])* $name:ident of $kind:ident in $table:literal { $($(#[$of:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$of])* pub $field: $type,)*
        }

        impl Form for $name {
            const KIND: Kind = Kind::$kind;
            const TABLE: &'static str = $table;
        }
    };
}

form!(
    /// Who somebody is, and what the policy knows them as.
    Caller of Caller in "callers" {
        /// Their name.
        name: String,
        /// Their desk.
        owner: String,
        /// What the policy knows them as.
        roles: Vec<String>,
        /// Whose they are.
        person: Option<Uuid>,
    }
);

form!(
    /// By what a caller is known, and until when.
    Credential of Credential in "caller_tokens" {
        /// Who.
        caller: Uuid,
        /// What it is.
        kind: String,
        /// Who it says somebody is.
        identity: Option<String>,
        /// What is presented, as SHA-256 in hexadecimal.
        hash: String,
        /// In microseconds since 1970.
        expires_at: i64,
    }
);

form!(
    /// What quorums count somebody as.
    Person of Person in "people" {
        /// Their name.
        name: String,
        /// As what they count.
        roles: Vec<String>,
    }
);

form!(
    /// With what somebody approves.
    Approver of Approver in "approver_keys" {
        /// Who.
        person: Uuid,
        /// Of which kind.
        kind: String,
        /// What its owner calls it.
        name: String,
        /// In hexadecimal.
        public_key: String,
        /// In hexadecimal.
        credential_id: Option<String>,
    }
);

form!(
    /// What was proposed, by whom, and what became of it.
    Proposal of Proposal in "proposals" {
        /// Which caller asked.
        caller: Uuid,
        /// Whose they are.
        person: Uuid,
        /// For which request, as SHA-256 in hexadecimal.
        request: String,
        /// For what.
        operation: String,
        /// Of the document that people sign, as SHA-256 in hexadecimal.
        hash: String,
        /// In microseconds since 1970.
        expires_at: i64,
        /// What became of it.
        outcome: Option<String>,
        /// When, in microseconds since 1970.
        ended_at: Option<i64>,
    }
);

form!(
    /// What a key is, where it is, and what it may be used for.
    Key of Key in "keys" {
        /// Its name.
        name: String,
        /// What it is for.
        purpose: String,
        /// What kind of key.
        algorithm: String,
        /// Which device holds it.
        backend: String,
        /// What that calls it.
        device_ref: Option<String>,
        /// Where it comes from.
        origin: String,
        /// Where it is used.
        environment: String,
        /// Whose it is.
        owner: String,
        /// Its state.
        state: String,
        /// How often that has changed.
        epoch: i64,
        /// `SubjectPublicKeyInfo` in hexadecimal.
        public_key: Option<String>,
        /// As its device stated them.
        attributes: BTreeMap<String, bool>,
        /// In microseconds since 1970.
        created_at: i64,
        /// In microseconds since 1970.
        ends_at: i64,
    }
);

form!(
    /// What a wallet signs with and for.
    Wallet of Wallet in "wallets" {
        /// Its name.
        name: String,
        /// Whose it is.
        owner: String,
        /// With which key.
        key: Uuid,
        /// On which chain.
        chain: u64,
        /// How its signatures are checked.
        signature_type: u8,
        /// Who pays, in hexadecimal.
        funder: Option<String>,
        /// Whether the key is a session key.
        session_key: bool,
        /// Whether somebody took a funder that does not follow from the key.
        funder_unverified: bool,
        /// Whether a raw `ClobAuth` may end a live credential.
        allow_replace: bool,
        /// Which wallet takes its orders.
        successor: Option<String>,
        /// Whether nothing is left of it.
        closed: bool,
    }
);

form!(
    /// What a client signs with and for.
    Client of Client in "clients" {
        /// Its name.
        name: String,
        /// Whose it is.
        owner: String,
        /// At which counterparty.
        environment: String,
        /// What that calls it.
        client_id: String,
        /// With which key.
        key: Uuid,
    }
);

/// A time as forms have it: as exact as the ledger keeps it.
pub fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
}
