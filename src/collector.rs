//! Where traces go: an OpenTelemetry collector, by OTLP over HTTP, in JSON.
//!
//! It promises that nobody waits for the collector: spans wait in memory, in bounded number; what a collector
//! does not take is tried again for a while, and then lost and counted. It **trusts** the collector with what
//! the log says, and with no secret: `traces` sees to that.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::counterparty::{self, BadCounterparty, Counterparty, Reply};
use crate::guarded_file;
use crate::metrics::{SPANS_LOST, SPANS_SENT};
use crate::traces::{self, Ended, Fact};
use crate::within::Within;

/// `[telemetry]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where traces are posted; nowhere unless it is set.
    pub traces_url: Option<String>,
    /// What is shown there as a bearer token.
    pub token_file: Option<PathBuf>,
    /// The authority of its certificates, where that is one's own.
    pub ca_file: Option<PathBuf>,
    /// One in so many of the traces that begin here is recorded.
    pub one_in: Within<1, 1_000_000>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            traces_url: None,
            token_file: None,
            ca_file: None,
            one_in: Within::of(1),
        }
    }
}

/// How long the collector may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often spans are sent.
const EVERY: Duration = Duration::from_millis(250);
/// So many in one request.
const TOGETHER: usize = 512;
/// How often the same ones are tried, and how long after each time.
const TRIES: u32 = 3;
const AGAIN: Duration = Duration::from_secs(2);
/// Statuses after which a collector wants the same once more.
const LATER: [u16; 4] = [429, 502, 503, 504];

/// Why traces go nowhere.
#[derive(Debug, thiserror::Error)]
pub enum BadCollector {
    /// The URL, or the authorities.
    #[error("[telemetry] traces_url = {0}")]
    Url(#[from] BadCounterparty),
    /// The token.
    #[error("[telemetry] token_file {0}: {1}")]
    Token(PathBuf, std::io::Error),
}

/// What takes traces.
pub struct Collector {
    server: Counterparty,
    token: Option<Zeroizing<String>>,
    one_in: u32,
    /// Who we are: this service's attributes.
    resource: Value,
}

impl Collector {
    /// The one that the settings name, for a replica of this name.
    pub fn open(settings: &Settings, replica: &str) -> Result<Option<Self>, BadCollector> {
        let Some(url) = &settings.traces_url else {
            return Ok(None);
        };
        let read = |file: &PathBuf| {
            let token = guarded_file::read_secret(file);
            token.map_err(|error| BadCollector::Token(file.clone(), error))
        };
        let who = [
            ("service.name", "chancery"),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("service.instance.id", replica),
        ];
        let who = who.map(|(key, value)| json!({ "key": key, "value": { "stringValue": value } }));
        Ok(Some(Self {
            server: Counterparty::open_trusting(url, PATIENCE, settings.ca_file.as_deref())?,
            token: settings.token_file.as_ref().map(read).transpose()?,
            one_in: u32::try_from(settings.one_in.get()).unwrap_or(u32::MAX),
            resource: json!({ "attributes": who }),
        }))
    }

    /// Whether it takes traces, for the doctor: none are sent.
    pub async fn answers(&self) -> Result<(), String> {
        self.post(&[]).await.map(drop).map_err(|error| error.0)
    }

    /// Has traces recorded, and sends them until it stops; what is left then is tried once.
    pub async fn run(self, stop: CancellationToken) {
        traces::record(self.one_in);
        let mut takes = true;
        loop {
            let pause = stop.run_until_cancelled(tokio::time::sleep(EVERY)).await;
            loop {
                let ended = traces::take(TOGETHER);
                if ended.is_empty() {
                    break;
                }
                takes = self.send(&ended, takes, &stop).await;
                if stop.is_cancelled() && !takes {
                    break;
                }
            }
            if pause.is_none() {
                traces::record(0);
                return;
            }
        }
    }

    /// Sends spans, a few times if need be, and says whether they were taken. It is told when that changes.
    async fn send(&self, ended: &[Ended], took: bool, stop: &CancellationToken) -> bool {
        let sent = u64::try_from(ended.len()).unwrap_or(u64::MAX);
        let mut tried = 0;
        let error = loop {
            tried += 1;
            match self.post(ended).await {
                Ok(rejected) => {
                    SPANS_SENT.add(sent.saturating_sub(rejected));
                    SPANS_LOST.add(rejected);
                    if !took {
                        tracing::info!("the collector takes traces again");
                    }
                    return true;
                }
                Err(NotTaken(error, again)) => {
                    if !again || tried == TRIES {
                        break error;
                    }
                    let pause = stop.run_until_cancelled(tokio::time::sleep(AGAIN));
                    if pause.await.is_none() {
                        break error;
                    }
                }
            }
        };
        SPANS_LOST.add(sent);
        if took {
            tracing::warn!(error, "traces are lost: the collector does not take them");
        }
        false
    }

    /// Posts spans; how many of them it would not have.
    async fn post(&self, ended: &[Ended]) -> Result<u64, NotTaken> {
        let spans: Vec<Value> = ended.iter().map(span).collect();
        let scope = json!({ "scope": { "name": "chancery" }, "spans": spans });
        let body = json!({
            "resourceSpans": [{ "resource": self.resource, "scopeSpans": [scope] }],
        });
        let mut request = self
            .server
            .post()
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_string());
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.trim());
        }
        match counterparty::send(request).await {
            Ok(reply) if (200..300).contains(&reply.status) => Ok(rejected(&reply)),
            Ok(Reply { status, .. }) => Err(NotTaken(
                format!("it answered {status}"),
                LATER.contains(&status),
            )),
            Err(error) => Err(NotTaken(error.to_string(), true)),
        }
    }
}

/// Why, and whether the same is worth another try.
struct NotTaken(String, bool);

/// `partialSuccess.rejectedSpans`, which is a number or, as protobuf has it, the text of one.
fn rejected(reply: &Reply) -> u64 {
    let body: Value = serde_json::from_slice(reply.text()).unwrap_or_default();
    let rejected = &body["partialSuccess"]["rejectedSpans"];
    let text = rejected.as_str().and_then(|it| it.parse().ok());
    text.or_else(|| rejected.as_u64()).unwrap_or(0)
}

/// A span as OTLP has it in JSON: ids in hexadecimal digits, times in nanoseconds since 1970 as text.
fn span(ended: &Ended) -> Value {
    let at = |after: Duration| nanoseconds(ended.began, after);
    let fact = |what: &str| ended.facts.iter().find(|it| it.0 == what).map(|it| &it.1);
    let (name, kind) = match (ended.name, fact("http.request.method"), fact("http.route")) {
        ("request", Some(Fact::Text(method)), Some(Fact::Text(route))) => {
            (format!("{method} {route}"), SERVER)
        }
        ("call", Some(Fact::Text(method)), _) => (method.clone(), CLIENT),
        (name, ..) => (name.to_owned(), INTERNAL),
    };
    let facts = ended.facts.iter().map(|(key, fact)| {
        let value = match fact {
            Fact::Number(number) => json!({ "intValue": number.to_string() }),
            Fact::Text(text) => json!({ "stringValue": text }),
        };
        json!({ "key": key, "value": value })
    });
    let moments = ended.moments.iter();
    let moments = moments.map(|(name, after)| json!({ "name": name, "timeUnixNano": at(*after) }));
    let mut span = json!({
        "traceId": hex::encode(ended.context.trace),
        "spanId": hex::encode(ended.context.span),
        "name": name,
        "kind": kind,
        "startTimeUnixNano": at(Duration::ZERO),
        "endTimeUnixNano": at(ended.took),
        "attributes": facts.collect::<Vec<_>>(),
        "events": moments.collect::<Vec<_>>(),
        "status": if ended.failed { json!({ "code": FAILED }) } else { json!({}) },
    });
    if let Some(parent) = ended.parent {
        span["parentSpanId"] = hex::encode(parent).into();
    }
    span
}

/// `SPAN_KIND_…` and `STATUS_CODE_ERROR`.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
const FAILED: u8 = 2;

fn nanoseconds(began: SystemTime, after: Duration) -> String {
    let since = began.duration_since(UNIX_EPOCH).unwrap_or_default();
    (since + after).as_nanos().to_string()
}
