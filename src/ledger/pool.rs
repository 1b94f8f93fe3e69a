//! Connections for look-ups, to wherever the primary is.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgPool, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Connection as _, Describe, Either, Error, Execute, Executor, Postgres, SqlStr};
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, sleep};

use super::PATIENCE;
use super::servers::Servers;

/// So long without a connection, and it is looked whether another server is the primary by now. Many
/// who wait look once.
const MOMENT: Duration = Duration::from_millis(250);

/// Connections to the primary that are kept, and given to one look-up after the other.
pub(crate) struct Pool {
    servers: Arc<Servers>,
    connections: u32,
    there: ArcSwap<There>,
    /// When it was last looked for the primary.
    looked: Mutex<Option<Instant>>,
}

/// The connections to one server.
struct There {
    at: usize,
    pool: PgPool,
    /// Told when the server is found to be no primary.
    is_wrong: Arc<Notify>,
}

impl There {
    fn open(servers: &Arc<Servers>, at: usize, connections: u32) -> Self {
        let (asked, is_wrong) = (servers.clone(), Arc::new(Notify::new()));
        let told = is_wrong.clone();
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(PATIENCE)
            .after_connect(move |session, _| {
                let (servers, told) = (asked.clone(), told.clone());
                Box::pin(async move {
                    let greeted = servers.greet(session).await;
                    // What is only read may be read where nothing can be written.
                    greeted.map(drop).inspect_err(|error| {
                        tracing::warn!(%error, "a connection to the database is not taken");
                        told.notify_waiters();
                    })
                })
            })
            .connect_lazy_with(servers.way(at).clone());
        Self { at, pool, is_wrong }
    }
}

impl Pool {
    /// So many connections at most.
    pub(super) fn new(servers: Arc<Servers>, connections: u32) -> Self {
        let there = There::open(&servers, servers.last(), connections);
        Self {
            servers,
            connections,
            there: ArcSwap::from_pointee(there),
            looked: Mutex::default(),
        }
    }

    /// How many connections are open, and how many of these have nothing to do.
    pub(super) fn connections(&self) -> (u32, usize) {
        let there = self.there.load();
        (there.pool.size(), there.pool.num_idle())
    }

    /// The connections to the server that was the primary last. Those to another go with whoever still
    /// has one.
    fn there(&self) -> Arc<There> {
        let (there, at) = (self.there.load_full(), self.servers.last());
        if there.at == at {
            return there;
        }
        let there = Arc::new(There::open(&self.servers, at, self.connections));
        self.there.store(there.clone());
        there
    }

    async fn acquire(&self) -> Result<PoolConnection<Postgres>, Error> {
        loop {
            let there = self.there();
            let mut acquiring = pin!(there.pool.acquire());
            if self.servers.is_one() {
                return acquiring.await;
            }
            loop {
                let got = tokio::select! {
                    got = &mut acquiring => Some(got),
                    () = sleep(MOMENT) => None,
                    () = there.is_wrong.notified() => None,
                };
                if let Some(Ok(session)) = got {
                    return Ok(session);
                }
                self.look().await;
                match got {
                    _ if self.servers.last() != there.at => break,
                    Some(failed) => return failed,
                    None => {}
                }
            }
        }
    }

    /// Looks for the primary, unless somebody just has.
    async fn look(&self) {
        let mut looked = self.looked.lock().await;
        if looked.is_none_or(|at| at.elapsed() > MOMENT) {
            if let Ok(session) = self.servers.connect().await {
                drop(session.close().await);
            }
            *looked = Some(Instant::now());
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl<'c> Executor<'c> for &'c Pool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, Q>(
        self,
        query: Q,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'c: 'e,
        Q: 'q + Execute<'q, Postgres>,
    {
        Box::pin(Answers::Coming(Box::pin(async move {
            let mut session = self.acquire().await?;
            let mut answers = session.fetch_many(query);
            let mut all = Vec::new();
            while let Some(answer) = poll_fn(|cx| answers.as_mut().poll_next(cx)).await {
                all.push(answer?);
            }
            Ok(all)
        })))
    }

    fn fetch_optional<'e, 'q: 'e, Q>(self, query: Q) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        Q: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move { self.acquire().await?.fetch_optional(query).await })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        Box::pin(async move { self.acquire().await?.prepare_with(sql, parameters).await })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        Box::pin(async move { self.acquire().await?.describe(sql).await })
    }
}

type Answer = Either<PgQueryResult, PgRow>;

/// What a statement has answered, once all of it is there and the connection is free for the next.
enum Answers<'e> {
    Coming(BoxFuture<'e, Result<Vec<Answer>, Error>>),
    There(std::vec::IntoIter<Answer>),
}

impl Stream for Answers<'_> {
    type Item = Result<Answer, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let next = match &mut *self {
                Self::Coming(all) => match all.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(all)) => Self::There(all.into_iter()),
                    Poll::Ready(Err(error)) => {
                        *self = Self::There(Vec::new().into_iter());
                        return Poll::Ready(Some(Err(error)));
                    }
                },
                Self::There(rest) => return Poll::Ready(rest.next().map(Ok)),
            };
            *self = next;
        }
    }
}
