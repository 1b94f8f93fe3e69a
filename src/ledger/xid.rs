//! The numbers of transactions.

use std::time::Duration;

use sqlx::postgres::PgConnection;

use super::LedgerError;
use super::error::code;

/// A transaction's number, to ask for after a lost answer.
#[derive(Clone, Debug)]
pub(crate) struct Xid(pub(super) String);

impl Xid {
    /// Waits until the transaction is over, one way or the other. Which way, its number cannot say: a
    /// server that crashed before the transaction reached its disk gives the number out again.
    pub(crate) async fn await_end(&self, session: &mut PgConnection) -> Result<(), LedgerError> {
        /// `invalid_parameter_value`: the server has given out no such number, so nothing runs under it.
        const IN_THE_FUTURE: &str = "22023";
        loop {
            let status = sqlx::query_scalar("select pg_xact_status($1::text::xid8)")
                .bind(&self.0)
                .fetch_one(&mut *session)
                .await;
            match status {
                Ok(Some::<String>(status)) if status == "in progress" => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) if code(&error).as_deref() != Some(IN_THE_FUTURE) => {
                    return Err(error.into());
                }
                _ => return Ok(()),
            }
        }
    }
}
