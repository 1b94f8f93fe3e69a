//! Traces: what came of a request, part by part, for whoever watches several services at once.
//!
//! A trace begins where a request comes in ([`begin`]): as its sender says (W3C Trace Context), or anew where
//! traces are sent somewhere. Spans of `tracing` within it are recorded, and [wait](take) until they are sent.
//! `traceparent` goes [out](outgoing) with what is asked of others, also where nothing is recorded here.
//!
//! It promises that nobody waits for it: what does not fit is lost, and counted. And that no secret goes with
//! it: of the fields of spans, which are the log's, those go out that stand in a list.
//!
//! It **trusts** senders for nothing but numbers: what one of them calls its trace is well-formed or ignored.
//!
//! # Why
//! OpenTelemetry's own libraries are eleven packages more, whose queue tells nobody in time what it lost, and
//! which take each field that somebody writes down. What is needed of them is a list of spans.

mod context;
mod recorder;
mod waiting;

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tracing::Span;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan as _;
use uuid::Uuid;

pub use context::Context;
pub use recorder::Recorder;
pub use waiting::take;

/// The header that says which trace a request is part of.
pub const TRACEPARENT: &str = "traceparent";

/// One in so many of the traces that begin here is recorded; none where it is 0.
static ONE_IN: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// What the next span is to be part of.
    static BEGINS: Cell<Option<Under>> = const { Cell::new(None) };
}

/// What a span stands under.
#[derive(Clone, Copy)]
struct Under {
    trace: [u8; 16],
    /// None where the trace begins with it.
    span: Option<[u8; 8]>,
    is_sampled: bool,
}

/// A span that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Where it stands.
    pub context: Context,
    /// Under which span.
    pub parent: Option<[u8; 8]>,
    /// What it was.
    pub name: &'static str,
    /// When it began.
    pub began: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// What is known of it.
    pub facts: Vec<(&'static str, Fact)>,
    /// What happened in it, and how long after its beginning.
    pub moments: Vec<(&'static str, Duration)>,
    /// Whether it was this service's fault that nothing came of it.
    pub failed: bool,
}

/// What is known of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A number.
    Number(i64),
    /// A word or a name.
    Text(String),
}

/// No fact is longer.
const LONGEST: usize = 128;

impl Fact {
    fn text(text: &str) -> Self {
        Self::Text(text.chars().take(LONGEST).collect())
    }
}

/// A span while it is open.
struct Open {
    context: Context,
    /// None where it is only passed on.
    recording: Option<Recording>,
}

struct Recording {
    parent: Option<[u8; 8]>,
    name: &'static str,
    began: SystemTime,
    since: Instant,
    facts: Vec<(&'static str, Fact)>,
    moments: Vec<(&'static str, Duration)>,
    failed: bool,
}

/// Records one in so many of the traces that begin here from now on, and those that senders have recorded.
pub fn record(one_in: u32) {
    ONE_IN.store(one_in, Ordering::Relaxed);
}

fn is_recorded() -> bool {
    ONE_IN.load(Ordering::Relaxed) > 0
}

/// Makes the span of a request, as part of the trace that its sender names, or of a new one.
pub fn begin(traceparent: Option<&str>, span: impl FnOnce() -> Span) -> Span {
    let sent = traceparent.and_then(Context::parse);
    BEGINS.set(sent.map(Under::from).or_else(Under::anew));
    let span = span();
    BEGINS.set(None); // also where nobody listens
    span
}

/// `traceparent` for what is asked of somebody now.
pub fn outgoing() -> Option<String> {
    within(|open| open.context.to_string())
}

/// Which trace this is, for the log.
pub fn trace_id() -> Option<String> {
    within(|open| hex::encode(open.context.trace))
}

/// Notes a number of what is under way: `http.response.status_code`.
pub fn note(what: &'static str, number: i64) {
    on_record(|recording| recording.facts.push((what, Fact::Number(number))));
}

/// Notes a word of it.
pub fn note_word(what: &'static str, word: &str) {
    on_record(|recording| recording.facts.push((what, Fact::text(word))));
}

/// Notes that something has come to pass.
pub fn mark(moment: &'static str) {
    on_record(|recording| {
        let after = recording.since.elapsed();
        recording.moments.push((moment, after));
    });
}

/// Notes that nothing came of it, by this service's fault.
pub fn failed() {
    on_record(|recording| recording.failed = true);
}

fn on_record(work: impl FnOnce(&mut Recording)) {
    if is_recorded() {
        within(|open| open.recording.as_mut().map(work));
    }
}

/// Looks at the span that is under way.
fn within<T>(work: impl FnOnce(&mut Open) -> T) -> Option<T> {
    let looked = Span::current().with_subscriber(|(id, dispatch)| {
        let registry = dispatch.downcast_ref::<Registry>()?;
        let span = registry.span(id)?;
        let mut extensions = span.extensions_mut();
        extensions.get_mut::<Open>().map(work)
    });
    looked.flatten()
}

impl Under {
    /// A trace of our own, if it is one of those that are recorded.
    fn anew() -> Option<Self> {
        let one_in = ONE_IN.load(Ordering::Relaxed);
        if one_in == 0 {
            return None;
        }
        let trace = Uuid::new_v4().as_u128();
        let dice = u64::try_from(trace & u128::from(u64::MAX)).unwrap_or_default();
        dice.is_multiple_of(one_in.into()).then_some(Self {
            trace: trace.to_be_bytes(),
            span: None,
            is_sampled: true,
        })
    }
}

impl From<Context> for Under {
    fn from(context: Context) -> Self {
        Self {
            trace: context.trace,
            span: Some(context.span),
            is_sampled: context.is_sampled,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    const SENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// What is recorded is the process's.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    fn listening(one_in: u32, work: impl FnOnce()) {
        let _alone = ONE_AT_A_TIME.lock();
        record(one_in);
        take(usize::MAX);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(Recorder), work);
    }

    #[test]
    fn what_was_sent_is_passed_on_where_nothing_is_recorded() {
        listening(0, || {
            let span = begin(Some(SENT), || tracing::info_span!("request"));
            let inner = span.in_scope(|| tracing::info_span!("sign"));
            assert_eq!(inner.in_scope(outgoing).as_deref(), Some(SENT));
            drop((inner, span));
            let alone = begin(None, || tracing::info_span!("request"));
            assert_eq!(alone.in_scope(outgoing), None);
            assert_eq!(tracing::info_span!("by itself").in_scope(outgoing), None);
            assert!(take(10).is_empty());
        });
    }

    #[test]
    fn spans_of_a_trace_are_recorded_with_what_stands_in_the_list() {
        listening(1, || {
            let span = begin(Some(SENT), || {
                tracing::info_span!(
                    "request",
                    operation = "/v1/keys",
                    caller.id = tracing::field::Empty
                )
            });
            span.record("caller.id", tracing::field::display("c-1"));
            let inner = span.in_scope(|| tracing::info_span!("sign", key.id = 7, pin = "hunter2"));
            let out = inner.in_scope(outgoing).unwrap();
            inner.in_scope(|| mark("signed"));
            span.in_scope(|| note("http.response.status_code", 200));
            drop(inner);
            drop(span);
            let [sign, request] = take(10).try_into().unwrap();
            assert_eq!(sign.context.to_string(), out);
            assert!(
                out.starts_with("00-0af7651916cd43dd8448eb211c80319c-"),
                "{out}"
            );
            assert_eq!(
                request.parent,
                Some([0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31])
            );
            assert_eq!(sign.parent, Some(request.context.span));
            assert_eq!((sign.moments[0].0, request.moments.len()), ("signed", 0));
            assert_eq!(
                request.facts,
                [
                    ("http.route", Fact::text("/v1/keys")),
                    ("chancery.caller.id", Fact::text("c-1")),
                    ("http.response.status_code", Fact::Number(200)),
                ]
            );
            assert!(!format!("{sign:?}").contains("hunter2"));
            assert_eq!(sign.facts, [("chancery.key.id", Fact::text("7"))]);
        });
    }

    #[test]
    fn a_trace_that_its_sender_does_not_record_is_not_recorded_here() {
        listening(1, || {
            let sent = SENT.replace("-01", "-00");
            let span = begin(Some(&sent), || tracing::info_span!("request"));
            assert_eq!(span.in_scope(outgoing), Some(sent));
            drop(span);
            drop(begin(None, || tracing::info_span!("request")));
            assert_eq!(take(10).len(), 1, "a trace of our own");
            record(u32::MAX);
            for _ in 0..100 {
                drop(begin(None, || tracing::info_span!("request")));
            }
            assert!(take(10).is_empty(), "one in many");
        });
    }

    #[test]
    fn what_nobody_takes_is_lost_and_counted() {
        listening(1, || {
            let before = crate::metrics::SPANS_LOST.value();
            for _ in 0..waiting::CAPACITY + 7 {
                drop(begin(None, || tracing::info_span!("request")));
            }
            assert_eq!(crate::metrics::SPANS_LOST.value() - before, 7);
            assert_eq!(take(usize::MAX).len(), waiting::CAPACITY);
        });
    }
}
