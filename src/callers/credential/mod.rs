//! By what callers are known: a token, a certificate, or the word of an issuer that is trusted with it.

use std::fmt;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use super::CallerError;
use super::spiffe::SpiffeId;

/// The longest life of a credential that is no secret: it says who somebody is, and has to be looked at
/// again by then.
pub const MAX_DAYS: u16 = 366;

/// The longest `iss` or `sub` that is registered.
const LONGEST: usize = 1_024;

words! {
    /// How a caller shows who they are.
    #[derive(PartialOrd, Ord, utoipa::ToSchema)]
    #[schema(as = CallerCredentialKind)]
    pub enum Kind {
        /// A token of this service.
        Token = "token",
        /// A certificate with a SPIFFE ID, from an authority of its trust domain.
        Spiffe = "spiffe",
        /// One certificate.
        Certificate = "certificate",
        /// A JWT from an issuer in the configuration.
        Jwt = "jwt",
    }
}

impl Kind {
    /// The word for it in a leaf, which leaves out the one that there was always.
    pub(crate) fn in_leaf(self) -> Option<String> {
        (self != Self::Token).then(|| self.name().to_owned())
    }
}

/// What was presented, as it is looked for. The kind is part of it: what somebody puts into a token never
/// stands for what another kind proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shown {
    pub(super) kind: Kind,
    pub(super) hash: [u8; 32],
}

impl Shown {
    /// A text that came as a token, whatever it is.
    pub(super) fn token(presented: &str) -> Self {
        Self {
            kind: Kind::Token,
            hash: super::token::hash(presented),
        }
    }
}

/// Who somebody is, for whom others vouch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// A name in a trust domain.
    Spiffe(SpiffeId),
    /// SHA-256 of a certificate's DER.
    Certificate([u8; 32]),
    /// `iss` and `sub`, both exactly.
    Jwt {
        /// Who says so.
        issuer: String,
        /// Of whom.
        subject: String,
    },
}

/// Who others say somebody is, and until when, in seconds since 1970.
pub(super) type Vouched = (Identity, i64);

impl Identity {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Spiffe(_) => Kind::Spiffe,
            Self::Certificate(_) => Kind::Certificate,
            Self::Jwt { .. } => Kind::Jwt,
        }
    }

    pub(super) fn shown(&self) -> Shown {
        let mut hash = Sha256::new_with_prefix("chancery credential\0");
        // Each part with its length: no two identities are the same bytes.
        let mut add = |part: &[u8]| {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        add(self.kind().name().as_bytes());
        match self {
            Self::Spiffe(id) => add(id.as_str().as_bytes()),
            Self::Certificate(fingerprint) => add(fingerprint),
            Self::Jwt { issuer, subject } => {
                add(issuer.as_bytes());
                add(subject.as_bytes());
            }
        }
        Shown {
            kind: self.kind(),
            hash: hash.finalize().into(),
        }
    }
}

/// As people read it.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spiffe(id) => f.write_str(id.as_str()),
            Self::Certificate(fingerprint) => f.write_str(&hex::encode(fingerprint)),
            Self::Jwt { issuer, subject } => write!(f, "{subject} at {issuer}"),
        }
    }
}

/// What it takes to give a caller a credential that somebody else vouches for.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
#[schema(as = NewCallerCredential)]
pub enum NewCredential {
    /// A SPIFFE ID. Its trust domain is in the configuration.
    Spiffe {
        /// `spiffe://` trust domain `/` path.
        #[schema(example = "spiffe://prod.example/desk-1/bot")]
        spiffe_id: String,
        /// How many days it counts, 1 to 366.
        #[schema(minimum = 1, maximum = 366)]
        days: u16,
    },
    /// One certificate, until it is over or another one takes its place.
    Certificate {
        /// SHA-256 of the certificate's DER: 64 hexadecimal digits, colons between them or not.
        sha256: String,
        /// How many days it counts, 1 to 366.
        #[schema(minimum = 1, maximum = 366)]
        days: u16,
    },
    /// Whom an issuer in the configuration says somebody is.
    Jwt {
        /// `iss`, exactly.
        #[schema(example = "https://kubernetes.default.svc.cluster.local")]
        issuer: String,
        /// `sub`, exactly.
        #[schema(example = "system:serviceaccount:desk-1:bot")]
        subject: String,
        /// How many days it counts, 1 to 366.
        #[schema(minimum = 1, maximum = 366)]
        days: u16,
    },
}

impl NewCredential {
    /// For how many days, and who.
    pub(super) fn parse(&self) -> Result<(u16, Identity), CallerError> {
        let (days, identity) = match self {
            Self::Spiffe { spiffe_id, days } => {
                let id = spiffe_id.parse().map_err(CallerError::SpiffeId)?;
                (*days, Identity::Spiffe(id))
            }
            Self::Certificate { sha256, days } => {
                let mut fingerprint = [0; 32];
                let digits = sha256.replace(':', "");
                hex::decode_to_slice(digits, &mut fingerprint)
                    .map_err(|_| CallerError::Fingerprint)?;
                (*days, Identity::Certificate(fingerprint))
            }
            Self::Jwt {
                issuer,
                subject,
                days,
            } => {
                for (name, text) in [("issuer", issuer), ("subject", subject)] {
                    let fits = (1..=LONGEST).contains(&text.len());
                    if !fits || text.chars().any(char::is_control) {
                        return Err(CallerError::Claim(name));
                    }
                }
                let (issuer, subject) = (issuer.clone(), subject.clone());
                (*days, Identity::Jwt { issuer, subject })
            }
        };
        if !(1..=MAX_DAYS).contains(&days) {
            return Err(CallerError::CredentialDays);
        }
        Ok((days, identity))
    }
}

/// A credential as operators see one. Never a token.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = CallerCredential)]
pub struct Credential {
    /// Its id, which every view of what was signed with it has.
    pub id: Uuid,
    /// What it is.
    pub kind: Kind,
    /// Who it says somebody is; null for a token.
    pub identity: Option<String>,
    /// When it was given.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// When it was revoked, if it was.
    #[serde(with = "time::serde::rfc3339::option")]
    pub revoked_at: Option<OffsetDateTime>,
}

#[cfg(test)]
mod tests;
