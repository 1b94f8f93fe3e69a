//! Statements that are waited for until a time, and not for ever: a connection may be dead without a
//! sign of it, and whoever waits may hold what everybody else waits for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Error, Execute, Executor, Postgres, SqlStr};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

/// A way to the server, for statements that have their whole answer by then or fail.
#[derive(Debug)]
pub(crate) struct Bounded<W> {
    way: W,
    until: Instant,
}

impl<W> Bounded<W> {
    /// Until then.
    pub(super) fn new(way: W, until: Instant) -> Self {
        Self { way, until }
    }
}

impl<'c, W: Executor<'c, Database = Postgres>> Executor<'c> for Bounded<W> {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, Q>(
        self,
        query: Q,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'c: 'e,
        Q: 'q + Execute<'q, Postgres>,
    {
        Box::pin(Answers {
            answers: self.way.fetch_many(query),
            end: Box::pin(sleep_until(self.until)),
        })
    }

    fn fetch_optional<'e, 'q: 'e, Q>(self, query: Q) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        Q: 'q + Execute<'q, Postgres>,
    {
        Box::pin(by(self.until, self.way.fetch_optional(query)))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        Box::pin(by(self.until, self.way.prepare_with(sql, parameters)))
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        Box::pin(by(self.until, self.way.describe(sql)))
    }
}

async fn by<T>(until: Instant, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let done = timeout_at(until, work).await;
    done.unwrap_or_else(|_| Err(late()))
}

fn late() -> Error {
    Error::Io(io::Error::new(
        io::ErrorKind::TimedOut,
        "it does not answer in time",
    ))
}

/// What the server answers, until the end.
struct Answers<'e, T> {
    answers: BoxStream<'e, Result<T, Error>>,
    end: Pin<Box<Sleep>>,
}

impl<T> Stream for Answers<'_, T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.answers.as_mut().poll_next(cx);
        if next.is_ready() {
            return next;
        }
        self.end.as_mut().poll(cx).map(|()| Some(Err(late())))
    }
}
