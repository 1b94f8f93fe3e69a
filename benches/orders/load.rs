//! The load: keep-alive connections on which one request follows the other.
//!
//! HTTP is spoken by hand: a client library would take more of the shared processors than the
//! requests themselves.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::devices::Kind;
use crate::stage::{Stage, Used};

/// What is asked for, again and again.
#[derive(Clone)]
pub(crate) struct Plan {
    /// `order`, `assertion`, or nothing.
    pub(crate) operation: &'static str,
    pub(crate) name: String,
    /// Where the key is.
    pub(crate) device: Option<Kind>,
    path: String,
    /// `None`: a `GET`.
    body: Option<String>,
    /// How many signatures a request asks for.
    pub(crate) signatures: usize,
}

impl Plan {
    pub(crate) fn new(
        operation: &'static str,
        name: String,
        path: String,
        body: &str,
        device: Kind,
    ) -> Self {
        Self {
            operation,
            name,
            device: Some(device),
            path,
            body: Some(body.to_owned()),
            signatures: 1,
        }
    }

    /// So many orders a request.
    pub(crate) fn batch(
        size: usize,
        name: String,
        path: String,
        order: &str,
        device: Kind,
    ) -> Self {
        let orders = vec![order; size].join(",");
        let body = format!(r#"{{"orders":[{orders}]}}"#);
        Self {
            signatures: size,
            ..Self::new("order", name, path, &body, device)
        }
    }

    /// A request that costs HTTP and nothing else.
    pub(crate) fn nothing() -> Self {
        Self {
            operation: "",
            name: "GET /healthz".to_owned(),
            device: None,
            path: "/healthz".to_owned(),
            body: None,
            signatures: 0,
        }
    }

    /// The name of its row with so many connections.
    pub(crate) fn row(&self, connections: usize) -> String {
        format!("{}, {connections} connections", self.name)
    }

    /// Whether a request asks for several orders, even if it is for one.
    pub(crate) fn is_batch(&self) -> bool {
        self.path.ends_with("/batch")
    }

    fn request(&self, token: &str, key: &str) -> String {
        let Some(body) = &self.body else {
            return format!("GET {} HTTP/1.1\r\nhost: chancery\r\n\r\n", self.path);
        };
        format!(
            "POST {} HTTP/1.1\r\nhost: chancery\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\nidempotency-key: {key}\r\n\
             content-length: {}\r\n\r\n{body}",
            self.path,
            body.len(),
        )
    }
}

/// What came of it.
pub(crate) struct Measured {
    /// Sorted.
    latencies: Vec<Duration>,
    time: Duration,
    used: Option<Used>,
}

impl Measured {
    pub(crate) const HEADINGS: &str =
        "      /s   p50 ms   p99 ms  CPU µs each: service Postgres     load";

    pub(crate) fn new(mut latencies: Vec<Duration>, time: Duration, used: Option<Used>) -> Self {
        latencies.sort_unstable();
        Self {
            latencies,
            time,
            used,
        }
    }

    pub(crate) fn a_second(&self) -> f64 {
        self.latencies.len() as f64 / self.time.as_secs_f64()
    }

    pub(crate) fn p50(&self) -> Duration {
        self.percentile(50)
    }

    fn percentile(&self, percent: usize) -> Duration {
        let at = self.latencies.len() * percent / 100;
        let last = self.latencies.len().saturating_sub(1);
        self.latencies
            .get(at.min(last))
            .copied()
            .unwrap_or_default()
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p50, p99) = (ms(self.p50()), ms(self.percentile(99)));
        write!(f, "{:8.0} {p50:8.2} {p99:8.2}", self.a_second())?;
        if let Some(used) = &self.used {
            let each = |time: Duration| time.as_secs_f64() * 1e6 / self.latencies.len() as f64;
            let (service, postgres, load) =
                (each(used.service), each(used.postgres), each(used.load));
            write!(f, "  {service:19.0} {postgres:8.0} {load:8.0}")?;
        }
        Ok(())
    }
}

pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Asks on so many connections for so long.
pub(crate) async fn run(
    stage: &Stage,
    plan: &Plan,
    connections: usize,
    time: Duration,
) -> anyhow::Result<Measured> {
    let before = stage.used();
    let start = Instant::now();
    let mut asking = JoinSet::new();
    for _ in 0..connections {
        let (plan, address) = (plan.clone(), stage.address().to_owned());
        let token = stage.trader().to_owned();
        asking.spawn(async move { ask(&plan, &address, &token, start + time).await });
    }
    let mut latencies = Vec::new();
    while let Some(asked) = asking.join_next().await {
        latencies.extend(asked??);
    }
    let time = start.elapsed();
    let used = before.zip(stage.used());
    Ok(Measured::new(
        latencies,
        time,
        used.map(|(before, after)| after.since(&before)),
    ))
}

async fn ask(
    plan: &Plan,
    address: &str,
    token: &str,
    until: Instant,
) -> anyhow::Result<Vec<Duration>> {
    let mut connection = TcpStream::connect(address).await?;
    connection.set_nodelay(true)?;
    let run = uuid::Uuid::new_v4().simple().to_string();
    let mut buffer = Vec::with_capacity(8 * 1024);
    let mut latencies = Vec::new();
    for number in 0_u64.. {
        let start = Instant::now();
        if start >= until {
            break;
        }
        let request = plan.request(token, &format!("{run}-{number}"));
        connection.write_all(request.as_bytes()).await?;
        answer(&mut connection, &mut buffer).await?;
        if plan.is_batch() {
            let failed = buffer.windows(10).any(|ten| ten == b"\"problem\":");
            ensure!(!failed, "an order of a batch was not signed");
        }
        latencies.push(start.elapsed());
    }
    Ok(latencies)
}

/// Reads one answer, which must be 200.
async fn answer(connection: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<()> {
    buffer.clear();
    let mut whole = usize::MAX;
    while buffer.len() < whole {
        let read = connection.read_buf(buffer).await?;
        ensure!(read > 0, "the service closed the connection");
        if whole == usize::MAX
            && let Some(head) = buffer.windows(4).position(|four| four == b"\r\n\r\n")
        {
            let text = std::str::from_utf8(&buffer[..head])?;
            let length = text
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .context("the answer has no length")?;
            whole = head + 4 + length.parse::<usize>()?;
        }
    }
    if !buffer.starts_with(b"HTTP/1.1 200 ") {
        bail!("the service says: {}", String::from_utf8_lossy(buffer));
    }
    Ok(())
}
