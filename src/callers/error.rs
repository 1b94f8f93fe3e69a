//! Why somebody is not known, or not made known.

use super::{break_glass, certificate, credential, jwks, jwt, spiffe};
use crate::ledger::LedgerError;
use crate::name::Name;

/// Why a caller was not made, changed or recognised.
#[derive(Debug, thiserror::Error)]
pub enum CallerError {
    /// No such token, or one that was revoked or has expired.
    #[error("the token is not valid")]
    NotRecognised,
    /// The name is taken.
    #[error("a caller with this name exists")]
    NameTaken,
    /// A certificate by which nobody is known.
    #[error("the certificate is refused: {0}")]
    Certificate(#[from] certificate::NotByCertificate),
    /// A JWT by which nobody is known.
    #[error("the JWT is refused: {0}")]
    Jwt(jwt::NotByJwt),
    /// Nobody knows the issuer's keys.
    #[error(transparent)]
    IssuerAway(#[from] jwks::KeysError),
    /// Nobody knows what the time is.
    #[error(
        "this computer's clock is {0} ms from the database's, and nobody can say what has expired"
    )]
    ClockOff(i64),
    /// Too many tokens that nobody has seen are being looked for.
    #[error("too many unknown tokens are being looked for")]
    Busy,
    /// No caller has this name.
    #[error("no such caller")]
    NotFound,
    /// There is an operator already.
    #[error("there are callers already: the first one was made at an earlier bootstrap")]
    AlreadyBootstrapped,
    /// A token lives 1 to 90 days.
    #[error("token_days is 1 to 90")]
    TokenDays,
    /// A caller needs a role, or no policy line will ever fit it.
    #[error("roles is empty: a caller has at least one")]
    NoRole,
    /// No such credential of this caller.
    #[error("no such credential")]
    NoCredential,
    /// Somebody is known by it already.
    #[error("a caller is known by this already: revoke that credential first")]
    CredentialTaken,
    /// A credential that is no secret lives 1 to 366 days.
    #[error("days is 1 to {}", credential::MAX_DAYS)]
    CredentialDays,
    /// Not a SPIFFE ID.
    #[error("spiffe_id: {0}")]
    SpiffeId(spiffe::NotASpiffeId),
    /// Not a fingerprint.
    #[error("sha256 is 64 hexadecimal digits, of the certificate's DER")]
    Fingerprint,
    /// Not a claim that is compared.
    #[error("{0} is 1 to 1024 bytes of plain text")]
    Claim(&'static str),
    /// A name that is somebody's id, or could be.
    #[error("name: {0} is the form of an id, and callers are shown by both")]
    LikeAnId(Name),
    /// The role that only a break-glass gives.
    #[error(
        "roles: {} is not given by anybody; chancery callers break-glass makes such a caller",
        break_glass::ROLE
    )]
    ReservedRole,
    /// A break-glass caller has one token, which is short.
    #[error("a break-glass caller gets no other token: make an operator with the one it has")]
    OneToken,
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}
