//! Batches of leaves that a function of the database writes.

use futures_core::future::BoxFuture;
use sqlx::postgres::PgConnection;

use crate::ledger::{Bounded, Function, Run};

/// Where the next leaves of this run go: the connection, and their place in the log.
pub(crate) struct Place<'a> {
    /// The way to the server.
    pub(crate) session: Bounded<&'a mut PgConnection>,
    /// The run, and its turn.
    pub(crate) run: Run,
    /// The batch.
    pub(crate) batch: i64,
    /// The first position in it that is free.
    pub(crate) position: i32,
}

/// A function of the database that writes a batch of leaves, and its arguments.
pub(crate) trait Batch: Send {
    /// What it answers.
    type Answer: Send;

    /// Calls it; says also how many leaves it has written.
    fn write<'a>(
        &'a mut self,
        place: Place<'a>,
    ) -> BoxFuture<'a, Result<(Self::Answer, usize), sqlx::Error>>;
}

/// A batch that has its number.
pub(super) struct Numbered<'b, B> {
    pub(super) batch: &'b mut B,
    pub(super) run: Run,
    pub(super) number: i64,
}

impl<B: Batch> Function for Numbered<'_, B> {
    type Answer = (B::Answer, usize);

    fn call<'a>(
        &'a mut self,
        session: Bounded<&'a mut PgConnection>,
    ) -> BoxFuture<'a, Result<Self::Answer, sqlx::Error>> {
        self.batch.write(Place {
            session,
            run: self.run,
            batch: self.number,
            position: 0,
        })
    }
}

/// What a batch has become.
pub(crate) enum Written<T> {
    /// What the function has answered.
    Answered(T),
    /// It is durable, and its answer was lost: the hashes of its leaves.
    Found(Vec<Vec<u8>>),
}
