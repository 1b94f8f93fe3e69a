//! What becomes of a span of `tracing` that is part of a trace.

use std::fmt;
use std::time::{Instant, SystemTime};

use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer;
use tracing_subscriber::registry::LookupSpan;
use uuid::Uuid;

use super::{BEGINS, Context, Ended, Fact, Open, Recording, Under, is_recorded, waiting};

/// The fields that are told, and what they are called there.
const TOLD: [(&str, &str); 7] = [
    ("request_id", "chancery.request_id"),
    ("method", "http.request.method"),
    ("operation", "http.route"),
    ("caller.id", "chancery.caller.id"),
    ("key.id", "chancery.key.id"),
    ("custody.backend", "chancery.custody.backend"),
    ("server.address", "server.address"),
];

/// Records spans. It goes on top of the log, whose filter says which there are.
#[derive(Debug)]
pub struct Recorder;

impl<S> layer::Layer<S> for Recorder
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: layer::Context<'_, S>) {
        let begins = BEGINS.take();
        let Some(span) = context.span(id) else { return };
        let Some(under) = begins.or_else(|| {
            let around = span.parent()?;
            let extensions = around.extensions();
            Some(extensions.get::<Open>()?.context.into())
        }) else {
            return;
        };
        let Some(open) = open(under, attributes) else {
            return;
        };
        span.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: layer::Context<'_, S>) {
        if !is_recorded() {
            return;
        }
        let Some(span) = context.span(id) else { return };
        if let Some(Open {
            recording: Some(recording),
            ..
        }) = span.extensions_mut().get_mut::<Open>()
        {
            values.record(recording);
        }
    }

    fn on_close(&self, id: Id, context: layer::Context<'_, S>) {
        let Some(span) = context.span(&id) else {
            return;
        };
        let open = span.extensions_mut().remove::<Open>();
        if let Some(Open {
            context,
            recording: Some(recording),
        }) = open
        {
            waiting::put(recording.ended(context));
        }
    }
}

/// A span that stands under another, with what is known of it from the start.
fn open(under: Under, attributes: &Attributes<'_>) -> Option<Open> {
    if !under.is_sampled || !is_recorded() {
        // Those who are asked hear of whoever asked us.
        let context = Context {
            trace: under.trace,
            span: under.span?,
            is_sampled: under.is_sampled,
        };
        return Some(Open {
            context,
            recording: None,
        });
    }
    let mut recording = Recording {
        parent: under.span,
        name: attributes.metadata().name(),
        #[expect(
            clippy::disallowed_methods,
            reason = "for people who compare machines; nothing is decided by it"
        )]
        began: SystemTime::now(),
        since: Instant::now(),
        facts: Vec::new(),
        moments: Vec::new(),
        failed: false,
    };
    attributes.record(&mut recording);
    let (_, span) = Uuid::new_v4().as_u64_pair();
    let context = Context {
        trace: under.trace,
        span: span.to_be_bytes(),
        is_sampled: true,
    };
    Some(Open {
        context,
        recording: Some(recording),
    })
}

impl Recording {
    fn ended(self, context: Context) -> Ended {
        Ended {
            context,
            parent: self.parent,
            name: self.name,
            began: self.began,
            took: self.since.elapsed(),
            facts: self.facts,
            moments: self.moments,
            failed: self.failed,
        }
    }
}

impl Visit for Recording {
    fn record_str(&mut self, field: &Field, value: &str) {
        if let Some((_, name)) = TOLD.iter().find(|it| it.0 == field.name()) {
            self.facts.push((name, Fact::text(value)));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if TOLD.iter().any(|it| it.0 == field.name()) {
            self.record_str(field, &format!("{value:?}"));
        }
    }
}
