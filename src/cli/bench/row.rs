//! What was measured, a row each.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::device::Kind;
use super::load::{Pace, Tally};
use super::plan::{Operation, Plan};
use super::processes::Used;

/// One row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) subject: Subject,
    /// Connections, sessions.
    pub(super) at_once: usize,
    pub(super) pace: Pace,
    pub(super) tally: Tally,
    pub(super) used: Option<Used>,
    pub(super) memory: Option<Memory>,
}

/// What a row is about.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    /// A device by itself.
    Device(Kind, Operation),
    /// A commit by itself.
    Commit,
    /// The service.
    Plan(Plan),
}

/// The service's resident memory in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) before: u64,
    pub(super) most: u64,
    pub(super) after: u64,
}

/// The columns.
pub(super) const HEADINGS: &str =
    "      /s   p50 ms   p99 ms  99.9 ms   max ms  CPU µs each: service Postgres     load";

/// So wide are the names in front of them.
pub(super) const NAME: usize = 44;

impl Row {
    /// The plan, where the service was asked.
    pub(super) fn plan(&self) -> Option<&Plan> {
        match &self.subject {
            Subject::Plan(plan) => Some(plan),
            Subject::Device(..) | Subject::Commit => None,
        }
    }

    fn things(&self) -> f64 {
        self.plan().map_or(1, Plan::things) as f64
    }

    /// Orders, not requests.
    pub(super) fn a_second(&self) -> f64 {
        self.tally.a_second() * self.things()
    }

    /// In microseconds for each order: what `part` of the processor time comes to.
    pub(super) fn each(&self, part: impl Fn(&Used) -> std::time::Duration) -> Option<f64> {
        let all = self.tally.answered.count() as f64 * self.things();
        let used = self.used.as_ref().filter(|_| all > 0.0)?;
        Some(part(used).as_secs_f64() * 1e6 / all)
    }

    /// The row of the table.
    pub(super) fn line(&self) -> String {
        let answered = &self.tally.answered;
        let [p50, p99, p999, longest] = [
            answered.p50(),
            answered.p99(),
            answered.within(9_990),
            answered.longest(),
        ]
        .map(ms);
        let mut line = format!(
            "{:NAME$}{:8.0} {p50:8.2} {p99:8.2} {p999:8.2} {longest:8.2}",
            self.name,
            self.a_second(),
        );
        let each = [
            self.each(|used| used.service),
            self.each(|used| used.postgres),
            self.each(|used| used.load),
        ];
        if let (Some(_), [Some(service), Some(postgres), Some(load)]) = (self.plan(), each) {
            let _ = write!(line, "  {service:19.0} {postgres:8.0} {load:8.0}");
        }
        line
    }

    /// What else there is to say, a line each.
    pub(super) fn remarks(&self) -> Vec<String> {
        let tally = &self.tally;
        let mut remarks = Vec::new();
        if let Pace::Open(rate) | Pace::Flood(rate) = self.pace {
            remarks.push(format!(
                "asked {rate:.0}/s; since they were sent: p50 {:.2} ms, p99 {:.2} ms",
                ms(tally.since_sent.p50()),
                ms(tally.since_sent.p99()),
            ));
        }
        if tally.refused.count() > 0 {
            remarks.push(format!(
                "refused {:.0}/s, p50 {:.2} ms, p99 {:.2} ms",
                tally.refused_a_second(),
                ms(tally.refused.p50()),
                ms(tally.refused.p99()),
            ));
        }
        if tally.lost > 0 {
            remarks.push(format!(
                "{} connections closed without an answer",
                tally.lost
            ));
        }
        if tally.unsent > 0 {
            remarks.push(format!(
                "{} not sent: every connection was busy",
                tally.unsent
            ));
        }
        remarks
    }

    /// All of it, for programs.
    pub(super) fn json(&self) -> Value {
        let tally = &self.tally;
        let answered = &tally.answered;
        let (kind, operation, device, batch) = match &self.subject {
            Subject::Commit => ("commit", None, None, None),
            Subject::Device(kind, operation) => ("device", Some(*operation), Some(*kind), None),
            Subject::Plan(plan) => ("service", plan.operation, plan.device, plan.batch),
        };
        let (pace, rate) = match self.pace {
            Pace::Closed => ("closed", None),
            Pace::Open(rate) => ("open", Some(rate)),
            Pace::Flood(rate) => ("flood", Some(rate)),
        };
        let histogram: Vec<_> = answered
            .times()
            .map(|(time, count)| json!([micros(time), count]))
            .collect();
        json!({
            "name": self.name,
            "kind": kind,
            "operation": operation.map(Operation::name),
            "backend": device.map(Kind::name),
            "batch": batch,
            "at_once": self.at_once,
            "loop": pace,
            "rate": rate,
            "seconds": tally.time.as_secs_f64(),
            "requests": answered.count(),
            "signatures": answered.count() * self.plan().map_or(1, Plan::things) as u64,
            "a_second": self.a_second(),
            "refused": tally.refused.count(),
            "lost": tally.lost,
            "unsent": tally.unsent,
            "latency_us": {
                "p50": micros(answered.p50()),
                "p90": micros(answered.within(9_000)),
                "p99": micros(answered.p99()),
                "p999": micros(answered.within(9_990)),
                "max": micros(answered.longest()),
            },
            "refused_latency_us": {
                "p50": micros(tally.refused.p50()),
                "p99": micros(tally.refused.p99()),
            },
            "since_sent_us": {
                "p50": micros(tally.since_sent.p50()),
                "p99": micros(tally.since_sent.p99()),
            },
            "cpu_us_each": self.used.map(|_| match self.subject {
                Subject::Device(..) | Subject::Commit => json!({ "device": self.each(|it| it.load) }),
                Subject::Plan(_) => json!({
                    "service": self.each(|it| it.service),
                    "postgres": self.each(|it| it.postgres),
                    "load": self.each(|it| it.load),
                }),
            }),
            "memory_bytes": self.memory.map(|it| json!({
                "before": it.before, "most": it.most, "after": it.after,
            })),
            "histogram_us": histogram,
        })
    }
}

pub(super) fn ms(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn micros(time: std::time::Duration) -> f64 {
    (time.as_secs_f64() * 1e7).round() / 10.0
}
