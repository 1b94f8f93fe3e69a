//! Where events go: standard error, as text or JSON.

use tracing_subscriber::EnvFilter;

/// How to write events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For collectors: one JSON object a line.
    Json,
}

/// Starts writing events. `filter` is `tracing`'s: `info`, `chancery=debug,info`, ….
pub fn start(format: LogFormat, filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let events = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => events.with_ansi(false).init(),
        LogFormat::Json => events.json().flatten_event(true).init(),
    }
}
