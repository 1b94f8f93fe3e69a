//! What every request to the API comes through: who calls, a place and a turn; and before its answer
//! leaves, whether they are still who they were, and what decides is what it was.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header, request};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::time::{Instant, sleep_until, timeout};

use super::admission::{Admission, Admitted};
use super::again::Repeatable;
use super::approving;
use super::body::BodyLimit;
use super::caller;
use super::connections::Connection;
use super::problem::{self, Problem};
use super::query::Taking;
use super::settings::PublicJwks;
use crate::app::App;
use crate::callers::Recognised;
use crate::ledger::LedgerError;

/// What is still read of a body that is not wanted: a client that is cut off while it sends may not hear
/// why.
const LINGER: (usize, Duration) = (64 * 1024, Duration::from_millis(100));

/// So many refusals for want of a place are answered at once in so much time. Those beyond wait for its
/// end: a client that comes back without a pause costs no more than its connection then.
const AT_ONCE: (u32, Duration) = (64, Duration::from_millis(100));

/// Marks an answer that passed the gate: its caller's credential was asked for in the transaction that made
/// it durable, or behind one. See [`callers`](crate::callers).
#[derive(Clone, Copy)]
struct PassedGate;

/// An answer begins within this of the commit that lets it leave, or it is dropped: what takes a right away
/// waits for nobody's answer.
const FRESH: Duration = Duration::from_secs(1);

/// How often a request is run at most, each time because what decides was changed meanwhile.
const TIMES: u32 = 8;

/// What lets an answer leave was not durable before this.
#[derive(Clone, Copy)]
struct Durable(std::time::Instant);

/// Says of an answer that it passed the gate, with a commit that came after this. Whatever does not is held
/// until the caller was looked at again.
pub(super) fn passed_gate(mut answer: Response, since: std::time::Instant) -> Response {
    answer.extensions_mut().insert(PassedGate);
    durable(answer, since)
}

/// Says of an answer that part of it left with a commit that came after this.
pub(super) fn durable(mut answer: Response, since: std::time::Instant) -> Response {
    answer.extensions_mut().insert(Durable(since));
    answer
}

/// How many answers were dropped because they came too late.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// The answer, unless it comes too late.
fn in_time(answer: Response) -> Response {
    let late = answer.extensions().get::<Durable>();
    let late = late.map(|since| since.0.elapsed()).filter(|it| *it > FRESH);
    let Some(late) = late else { return answer };
    let dropped = DROPPED.fetch_add(1, Ordering::Relaxed) + 1;
    tracing::warn!(
        late_ms = late.as_millis(),
        dropped,
        "an answer came too late after its commit and was dropped"
    );
    Problem::from(LedgerError::OutcomeUnknown).into_response()
}

/// What it takes to admit requests. Cheap to clone.
#[derive(Clone)]
pub(super) struct Entrance(Arc<Inner>);

struct Inner {
    app: App,
    admission: Admission,
    pace: Pace,
    patience: Duration,
    body_limit: BodyLimit,
    public_jwks: PublicJwks,
    taking: Taking,
}

/// Admits a request: who calls, whether they have a place, and, where there is no body to wait for,
/// their turn. With a body the turn comes when it is read.
pub(super) async fn admit(
    State(entrance): State<Entrance>,
    request: Request,
    next: Next,
) -> Response {
    let answer = timeout(entrance.0.patience, entrance.0.through(request, next));
    answer.await.unwrap_or_else(|_| too_late().into_response())
}

fn too_late() -> Problem {
    Problem::new(
        &problem::DEADLINE_EXCEEDED,
        "the request took too long to arrive or to answer",
    )
}

impl Entrance {
    pub(super) fn new(app: App, settings: &super::Settings, taking: Taking) -> Self {
        Self(Arc::new(Inner {
            app,
            admission: Admission::new(settings),
            pace: Pace::default(),
            patience: Duration::from_millis(settings.request_timeout_ms),
            body_limit: BodyLimit(settings.body_limit_bytes),
            public_jwks: PublicJwks(settings.public_jwks),
            taking,
        }))
    }
}

impl Inner {
    async fn through(&self, request: Request, next: Next) -> Response {
        let (mut parts, body) = request.into_parts();
        let (who, admitted) = match self.enter(&mut parts).await {
            Ok(entered) => entered,
            Err(problem) => return self.refuse(problem, &parts, body).await,
        };
        if body.is_end_stream()
            && let Err(problem) = admitted.begin(1).await
        {
            return problem.into_response();
        }
        parts.extensions.insert(self.body_limit);
        parts.extensions.insert(self.public_jwks);
        let Some(who) = who else {
            parts.extensions.insert(admitted);
            return in_time(next.run(Request::from_parts(parts, body)).await);
        };
        let again = Repeatable::new(&mut parts);
        parts.extensions.insert(admitted);
        let mut request = Request::from_parts(parts, body);
        for _ in 0..TIMES {
            let decided = self.app.authority.now().version();
            let answer = approving::run(&self.app, &who.caller, request, next.clone()).await;
            if may_leave(&answer) {
                return in_time(answer);
            }
            // One look for all who wait for it. Where there is none, what was known goes on to decide.
            let (still, looked) =
                tokio::join!(self.app.callers.still(&who), self.app.authority.catch_up());
            if let Err(error) = still {
                return Problem::from(error).into_response();
            }
            let is_newest = looked.is_err() || self.app.authority.now().version() == decided;
            request = match again.request() {
                Some(request) if !is_newest && again.may_end_otherwise(&answer) => request,
                _ => return in_time(answer),
            };
        }
        Problem::from(LedgerError::AuthorityChanged).into_response()
    }

    async fn enter(
        &self,
        parts: &mut request::Parts,
    ) -> Result<(Option<Recognised>, Admitted), Problem> {
        let who = caller::identify(parts, &self.app).await?;
        self.taking.check(parts)?;
        let id = who.as_ref().map(|it| it.caller.id);
        let admitted = self.admission.enter(id)?;
        if let (Some(connection), Some(id)) = (parts.extensions.get::<Arc<Connection>>(), id) {
            connection.is_of(id);
        }
        Ok((who, admitted))
    }

    async fn refuse(&self, problem: Problem, parts: &request::Parts, body: Body) -> Response {
        // Who waits for leave to send has nothing on its way.
        if !parts.headers.contains_key(header::EXPECT) {
            linger(body).await;
        }
        if problem.says_when() {
            self.pace.keep().await;
        }
        problem.into_response()
    }
}

/// Whether nothing but this replica's memory stands behind an answer, and that is enough: it passed the
/// gate, or tells of nothing but the service.
fn may_leave(answer: &Response) -> bool {
    let status = answer.status();
    answer.extensions().get::<PassedGate>().is_some()
        || status.is_server_error()
        || matches!(
            status,
            StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS
        )
}

/// Reads a little of what is not wanted.
async fn linger(body: Body) {
    let (most, patience) = LINGER;
    let mut body = pin!(body);
    let skip = async {
        let mut seen = 0;
        while seen < most
            && let Some(Ok(frame)) = poll_fn(|context| body.as_mut().poll_frame(context)).await
        {
            seen += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    drop(timeout(patience, skip).await);
}

/// How fast refusals leave.
#[derive(Default)]
struct Pace(Mutex<Option<(Instant, u32)>>);

impl Pace {
    async fn keep(&self) {
        if let Some(until) = self.next(Instant::now()) {
            sleep_until(until).await;
        }
    }

    /// Until when the refusal waits that comes now.
    fn next(&self, now: Instant) -> Option<Instant> {
        let (most, moment) = AT_ONCE;
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, many) = match *current {
            Some((since, many)) if now < since + moment => (since, many + 1),
            _ => (now, 1),
        };
        *current = Some((since, many));
        (many > most).then_some(since + moment)
    }
}

#[cfg(test)]
mod tests;
