//! What one replica does at a time, however long it takes and without a transaction.

use sqlx::postgres::PgConnection;
use tokio::sync::OwnedSemaphorePermit;

use super::{Ledger, LedgerError, in_time};

/// How many things a replica holds at a time, each with a connection.
pub(super) const AT_MOST: u32 = 6;

/// Something that is held: the connection that holds it by being open, and its place among the others.
pub(crate) struct Held {
    _session: PgConnection,
    _place: OwnedSemaphorePermit,
}

impl Ledger {
    /// Holds something; `None`: somebody else holds it. It is free again when the handle is dropped or
    /// the process dies.
    pub(crate) async fn hold(&self, what: uuid::Uuid) -> Result<Option<Held>, LedgerError> {
        let places = self.places.clone();
        let place = tokio::time::timeout(super::PATIENCE, places.acquire_owned());
        let Ok(Ok(place)) = place.await else {
            let why = format!("{AT_MOST} keys are being made, looked at or destroyed already");
            return Err(LedgerError::Unavailable(why));
        };
        let (high, low) = what.as_u64_pair();
        let mut session = self.session().await?;
        let lock = sqlx::query_scalar("select pg_try_advisory_lock($1)")
            .bind((high ^ low).cast_signed())
            .fetch_one(&mut session);
        let held: bool = in_time(async { Ok(lock.await?) }).await?;
        Ok(held.then_some(Held {
            _session: session,
            _place: place,
        }))
    }
}
