//! The signature of a person under a proposal's hash, and the keys that make them.
//!
//! From a terminal it is what `ssh-keygen -Y sign -n chancery-approval` writes about the hash in
//! hexadecimal and a line feed; in a browser it is a passkey's, with the hash as its challenge. An auditor
//! checks either without us.

pub mod passkey;
pub mod ssh;

pub use passkey::{BadPasskey, Passkey, RelyingParty};
pub use ssh::{BadSsh, SshKey};

/// A signature, whole.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
#[schema(as = ApprovalSignature)]
pub enum Signature {
    /// What `ssh-keygen -Y sign -n chancery-approval` wrote.
    Ssh(String),
    /// What a browser gave for a passkey.
    Passkey(passkey::Assertion),
}

impl Signature {
    /// What the key that it names is on record as.
    pub fn key(&self) -> Result<Vec<u8>, BadSignature> {
        match self {
            Self::Ssh(armored) => Ok(ssh::key_of(armored)?.blob().to_vec()),
            Self::Passkey(assertion) => Ok(assertion.credential()?),
        }
    }
}

/// An approval.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApproval {
    /// Your signature under the proposal's hash.
    pub signature: Signature,
}

/// A public key that a person approves with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApproverKey {
    /// Of a terminal.
    Ssh(SshKey),
    /// Of a browser.
    Passkey(Passkey),
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// Of a terminal.
    #[error("the SSH signature: {0}")]
    Ssh(#[from] BadSsh),
    /// Of a browser.
    #[error("the passkey: {0}")]
    Passkey(#[from] BadPasskey),
    /// A key of one kind, a signature of another.
    #[error("the signature is of another kind than the key")]
    OtherKind,
    /// No section `[approvals.passkeys]`.
    #[error("passkeys are not set up: [approvals.passkeys] says where people approve")]
    NoPasskeys,
}

/// What is signed in a terminal: the hash in hexadecimal, and a line feed.
pub fn message(hash: &[u8; 32]) -> String {
    format!("{}\n", hex::encode(hash))
}

impl ApproverKey {
    /// The word for its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Ssh(_) => "ssh",
            Self::Passkey(_) => "passkey",
        }
    }

    /// As it is on record.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Ssh(key) => key.blob(),
            Self::Passkey(key) => key.public_key(),
        }
    }

    /// What a browser calls it.
    pub fn credential_id(&self) -> Option<&[u8]> {
        match self {
            Self::Ssh(_) => None,
            Self::Passkey(key) => Some(key.credential_id()),
        }
    }

    /// Short, to compare.
    pub fn fingerprint(&self) -> String {
        match self {
            Self::Ssh(key) => key.fingerprint(),
            Self::Passkey(key) => key.fingerprint(),
        }
    }

    /// As it was on record.
    pub(crate) fn from_record(
        kind: &str,
        public_key: Vec<u8>,
        credential_id: Option<Vec<u8>>,
    ) -> Option<Self> {
        match (kind, credential_id) {
            ("ssh", None) => SshKey::from_blob(public_key).ok().map(Self::Ssh),
            ("passkey", Some(id)) => Passkey::new(id, public_key).ok().map(Self::Passkey),
            _ => None,
        }
    }

    /// That this is a signature under a proposal's hash.
    pub fn verify(
        &self,
        signature: &Signature,
        hash: &[u8; 32],
        party: Option<&RelyingParty>,
    ) -> Result<(), BadSignature> {
        match (self, signature) {
            (Self::Ssh(key), Signature::Ssh(armored)) => {
                Ok(key.verify(armored, message(hash).as_bytes())?)
            }
            (Self::Passkey(key), Signature::Passkey(assertion)) => {
                let party = party.ok_or(BadSignature::NoPasskeys)?;
                Ok(key.verify(assertion, hash, party)?)
            }
            _ => Err(BadSignature::OtherKind),
        }
    }
}
