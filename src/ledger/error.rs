//! What goes wrong with Postgres.

use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// What went wrong with Postgres, as far as callers can act on it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// Not reachable, not answering, or answering with an error of its own. Nothing was committed.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The server cut a statement short: a lock that did not come, a deadlock. Nothing was committed.
    #[error("the database gave up: {0}")]
    Aborted(String),
    /// A named constraint said no. Nothing was committed.
    #[error("the database refused: {0}")]
    Violation(String),
    /// The commit was sent and its answer was lost, and could not be found out in time.
    #[error("whether the transaction was committed is not known yet")]
    OutcomeUnknown,
    /// The configuration does not say how to reach the server, or says it in a way that is not taken.
    #[error("[ledger] {0}")]
    Settings(String),
    /// The caller or their credential was revoked, or it expired, before the transaction passed the
    /// gate. Nothing was committed.
    #[error("the caller was revoked meanwhile")]
    CallerRevoked,
    /// What decides was tightened before the transaction passed the gate: the right to it has to be looked at
    /// again. Nothing was committed.
    #[error("what is allowed changed meanwhile")]
    AuthorityChanged,
    /// The change loosens, and nobody has agreed to it. Nothing was committed. What it would have put on
    /// record, as JSON; null where that is on record as a proposal.
    #[error("this loosens what is guarded, and nobody else has agreed to it")]
    NotAgreed(std::sync::Arc<serde_json::Value>),
    /// What was agreed to does not hold behind the gate. Nothing was committed.
    #[error("the proposal does not hold: {0}")]
    AgreementOver(String),
    /// The database, or what stands between, does not keep what the service relies on.
    #[error("the database cannot be the ledger: {0}")]
    Engine(String),
    /// The schema is not the one this program knows.
    #[error("{0}")]
    Schema(String),
    /// What decides, or what the gate reads of it, is not what this service put there: somebody else wrote to
    /// the database. Nothing was released.
    #[error("{0} is not as this service wrote it: {1}")]
    Falsified(&'static str, String),
    /// A row does not hold what the code that wrote it puts there.
    #[error("a row of {0} cannot be read: {1}")]
    Corrupt(&'static str, String),
}

impl LedgerError {
    /// The same for another who waited for it.
    #[must_use]
    pub fn again(&self) -> Self {
        match self {
            Self::OutcomeUnknown => Self::OutcomeUnknown,
            Self::CallerRevoked => Self::CallerRevoked,
            Self::AuthorityChanged => Self::AuthorityChanged,
            Self::Falsified(table, what) => Self::Falsified(table, what.clone()),
            Self::NotAgreed(effects) => Self::NotAgreed(effects.clone()),
            Self::AgreementOver(why) => Self::AgreementOver(why.clone()),
            other => Self::Unavailable(other.to_string()),
        }
    }

    /// The named constraint that was violated, if that is what happened.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Violation(name) => Some(name),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for LedgerError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(from_server)
                if is_refusal(&error) && !is_wrong_server(&error) =>
            {
                match from_server.constraint() {
                    Some(constraint) => Self::Violation(constraint.to_owned()),
                    None => Self::Aborted(error.to_string()),
                }
            }
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error()?;
    error.code().map(std::borrow::Cow::into_owned)
}

/// Whether the server takes nothing that is written to it: it is no primary, or not any more. It has
/// refused nothing, and another may take it.
pub(super) fn is_wrong_server(error: &sqlx::Error) -> bool {
    /// `read_only_sql_transaction`
    const READ_ONLY: &str = "25006";
    code(error).as_deref() == Some(READ_ONLY)
}

/// Whether the server said no and goes on. One that ends the session with its words, or goes down with
/// them, may have committed first.
pub(super) fn is_refusal(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else {
        return false;
    };
    let severity = error
        .try_downcast_ref::<PgDatabaseError>()
        .map(PgDatabaseError::severity);
    severity == Some(PgSeverity::Error)
}
