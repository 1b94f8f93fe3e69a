//! Why a key was not made, found or moved.

use super::{BadPeriod, KeyState, NotAStep};
use crate::approvals::ApprovalNeeded;
use crate::custody::CustodyError;
use crate::ledger::LedgerError;
use crate::name::Name;

/// Why a key was not made, found or moved.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The name is taken.
    #[error("a key with this name exists")]
    NameTaken,
    /// No key has this name.
    #[error("no such key")]
    NotFound,
    /// It is on record, under another name: this one, where it is known.
    #[error("this key is on record already, {}", under(.0.as_deref()))]
    OnRecord(Option<String>),
    /// It was declared compromised.
    #[error("this key was declared compromised: it is not taken again")]
    WasCompromised,
    /// The name is a word of the API.
    #[error("name: {0:?} is a word of the API; choose another")]
    Reserved(Name),
    /// No device has the name.
    #[error("backend: no device is called {name}; there is {}", listed(.there))]
    NoSuchDevice {
        /// The name.
        name: Name,
        /// Those that are configured.
        there: Vec<Name>,
    },
    /// What was announced is not a public key.
    #[error("public_key: this is not a PEM public key, -----BEGIN PUBLIC KEY-----")]
    NotAPublicKey,
    /// Nothing is waited for.
    #[error("no key is waited for: the import was not begun, or its time is over, or it is done")]
    NoImport,
    /// Another request is at the device.
    #[error("another request is bringing this key")]
    ImportUnderWay,
    /// The algorithm does not fit the purpose.
    #[error("a wallet key is secp256k1; any other is rsa2048, rsa3072 or rsa4096")]
    WrongAlgorithm,
    /// The cryptoperiod is too long, or nothing.
    #[error("cryptoperiod_days is 1 to {0} for such a key")]
    Cryptoperiod(u16),
    /// The cryptoperiod is not changed so.
    #[error(transparent)]
    BadPeriod(#[from] BadPeriod),
    /// The step does not exist.
    #[error(transparent)]
    NotAStep(#[from] NotAStep),
    /// The key was moved by somebody else in the meantime.
    #[error("the key changed in the meantime")]
    Changed,
    /// The device never made the key.
    #[error("the device has not made this key")]
    NeverMade,
    /// Its public half is on record.
    #[error("the key has its public half on record, or is one that is brought")]
    NoOrphan,
    /// In this state it is not switched so in its device.
    #[error("a key that is {} is not {} in its device: {}", .from.name(), if *.enabled { "enabled" } else { "disabled" }, if *.enabled { "it never signs again" } else { "suspend it first, or leave it to its destruction" })]
    NotSwitched {
        /// Its state.
        from: KeyState,
        /// What was asked for.
        enabled: bool,
    },
    /// It is being made, or its device may still be at it.
    #[error("the key is being made, or its device may still be at it")]
    BeingMade {
        /// After how many seconds that is over.
        retry_after_s: u32,
    },
    /// A second person is needed.
    #[error(transparent)]
    ApprovalNeeded(#[from] ApprovalNeeded),
    /// The device.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

fn listed(names: &[Name]) -> String {
    let names: Vec<_> = names.iter().map(Name::as_str).collect();
    names.join(", ")
}

fn under(name: Option<&str>) -> String {
    name.map_or_else(
        || "under another name".to_owned(),
        |name| format!("as {name}"),
    )
}
