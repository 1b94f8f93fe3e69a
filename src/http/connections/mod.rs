//! The connections that are open, and which of them ends when there are too many or nothing moves.
//!
//! A connection on which no request is under way makes way for a new one; one that does not send its
//! head or take its answers ends; and there is always one more for who asks after the service's health.
//! So clients that are slow or many hold up nobody but themselves (P11).

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::id::CallerId;
use crate::metrics::CONNECTIONS;

/// Connections beyond the limit, for who asks after the service's health.
const FOR_HEALTH: usize = 32;

/// So many strangers make way at a time: whoever opens many is not worth a look at all of them each
/// time.
const TOGETHER: usize = 16;

/// Who is connected.
pub(super) struct Connections {
    most: usize,
    head_timeout: Duration,
    write_timeout: Duration,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    all: BTreeMap<u64, Arc<Connection>>,
}

/// One of them.
pub(super) struct Connection {
    /// Cancelled to end it.
    pub(super) end: CancellationToken,
    state: Mutex<State>,
}

struct State {
    /// Who called last.
    caller: Option<CallerId>,
    /// Since when no request is under way.
    waits: Option<Instant>,
    /// Since when a head is on its way.
    head: Option<Instant>,
    /// Since when it takes no answer.
    stalled: Option<Instant>,
    /// How many requests there were, and how long the last one's body is, where that is known.
    requests: u64,
    body: Length,
}

/// How long a request's body is.
#[derive(Clone, Copy)]
pub(super) enum Length {
    Known(u64),
    /// It comes in chunks, and its end is told when it is there.
    InChunks,
}

/// Takes a connection off the list when it ends.
pub(super) struct Listed {
    number: u64,
    connections: Arc<Connections>,
    pub(super) connection: Arc<Connection>,
}

impl Connections {
    pub(super) fn new(settings: &super::Settings) -> Arc<Self> {
        Arc::new(Self {
            most: settings.connections.max(1),
            head_timeout: Duration::from_millis(settings.head_timeout_ms),
            write_timeout: Duration::from_millis(settings.write_timeout_ms),
            open: Mutex::default(),
        })
    }

    /// Lists a new connection. Where there are too many, others make way; where none of them can, there
    /// is no place for it.
    pub(super) fn list(self: &Arc<Self>) -> Option<Listed> {
        let mut open = self.lock();
        if open.all.len() >= self.most {
            let made_way = open.make_way(TOGETHER);
            if made_way == 0 && open.all.len() >= self.most + FOR_HEALTH {
                return None;
            }
        }
        let connection = Arc::new(Connection::new(Instant::now()));
        open.next += 1;
        let number = open.next;
        open.all.insert(number, connection.clone());
        CONNECTIONS.comes();
        Some(Listed {
            number,
            connections: self.clone(),
            connection,
        })
    }

    /// Ends one or some on which nothing is under way. For when the process has no descriptor left.
    pub(super) fn make_way(&self) {
        self.lock().make_way(TOGETHER);
    }

    /// Whether more requests than there are connections are under way, beside health's.
    pub(super) fn is_full(&self) -> bool {
        let open = self.lock();
        open.all.len() > self.most
            && open.all.values().filter(|it| it.is_busy()).count() > self.most
    }

    /// Ends those that do not send what they began, or do not take what they asked for. How many.
    pub(super) fn end_the_slow(&self, now: Instant) -> usize {
        let too_long = |since: Option<Instant>, most| since.is_some_and(|it| now - it > most);
        let mut ended = 0;
        self.lock().all.retain(|_, connection| {
            let state = connection.lock();
            let is_slow = too_long(state.head, self.head_timeout)
                || too_long(state.stalled, self.write_timeout);
            if is_slow {
                connection.end.cancel();
                ended += 1;
            }
            !is_slow
        });
        ended
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Ends up to so many on which nothing is under way: strangers, longest first, before any whose
    /// caller is known; of these one, of the caller who has most. How many.
    fn make_way(&mut self, most: usize) -> usize {
        let mut of: HashMap<CallerId, usize> = HashMap::new();
        let mut waiting = Vec::new();
        for (number, connection) in &self.all {
            let state = connection.lock();
            if let Some(caller) = state.caller {
                *of.entry(caller).or_default() += 1;
            }
            if let Some(since) = state.waits {
                waiting.push((state.caller, since, *number));
            }
        }
        waiting.sort_by_key(|(caller, since, _)| {
            let many = caller.map(|it| of.get(&it).copied().unwrap_or_default());
            (many.is_some(), Reverse(many), *since)
        });
        let strangers = waiting.iter().take_while(|(it, ..)| it.is_none()).count();
        waiting.truncate(strangers.max(1).min(most));
        for (_, _, number) in &waiting {
            if let Some(connection) = self.all.remove(number) {
                connection.end.cancel();
            }
        }
        waiting.len()
    }
}

impl Connection {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            end: CancellationToken::new(),
            state: Mutex::new(State {
                caller: None,
                waits: Some(now),
                head: None,
                stalled: None,
                requests: 0,
                body: Length::Known(0),
            }),
        }
    }

    /// Bytes came.
    pub(super) fn receives(&self) {
        let mut state = self.lock();
        if state.waits.is_some() && state.head.is_none() {
            state.head = Some(Instant::now());
        }
    }

    /// A request's head is there, and how long its body is.
    pub(super) fn begins(&self, body: Length) {
        let mut state = self.lock();
        state.waits = None;
        state.head = None;
        state.requests += 1;
        state.body = body;
    }

    /// How many requests there were.
    pub(super) fn requests(&self) -> u64 {
        self.lock().requests
    }

    /// How long the body is of the request after so many, if there was one.
    pub(super) fn body_after(&self, requests: u64) -> Option<Length> {
        let state = self.lock();
        (state.requests > requests).then_some(state.body)
    }

    /// A request is answered.
    pub(super) fn ends(&self) {
        self.lock().waits = Some(Instant::now());
    }

    /// It takes no more of an answer, or takes it again.
    pub(super) fn stalls(&self, stalls: bool) {
        let mut state = self.lock();
        if !stalls {
            state.stalled = None;
        } else if state.stalled.is_none() {
            state.stalled = Some(Instant::now());
        }
    }

    /// Says who calls.
    pub(super) fn is_of(&self, caller: CallerId) {
        self.lock().caller = Some(caller);
    }

    fn is_busy(&self) -> bool {
        self.lock().waits.is_none()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.connections.lock().all.remove(&self.number);
        CONNECTIONS.goes();
    }
}

#[cfg(test)]
mod tests;
