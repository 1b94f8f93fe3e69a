//! Copies of the log as it grows: to files, to syslog servers, to HTTP servers, to each by itself.
//!
//! It promises that each leaf goes to each copy at least once and in the order of the tree, from where the copy ended,
//! whoever dies meanwhile: one replica at a time sends, and what it sent is noted after it was taken. What comes
//! twice has the same index. It **trusts** a receiver to keep what it has taken; and with all that leaves tell.
//!
//! # Why
//! A file says by itself how far it is. What a server has taken is noted in the database, whose owner can put that
//! forward: then leaves are missing in the copy, and their indexes show it. Syslog has no receipts: what a
//! connection took just before it broke may be lost, so that some is sent again on the next one.

mod file;
mod http;
mod progress;
mod records;
mod syslog;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Evidence, Late};
use crate::audit::Leaf;
use crate::ledger::{Ledger, LedgerError};
use crate::name::Name;
use progress::Progress;

/// How often it is looked for leaves that a copy has not.
const LOOK: Duration = Duration::from_millis(250);

/// How long it is waited after something went wrong.
const PAUSE: Duration = Duration::from_secs(1);

/// So many leaves are sent at a time.
const AT_A_TIME: u16 = 512;

/// How long a receiver may take for them. A turn is longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// `[[evidence.copies]]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Its name. Where a server's copy has come to is noted under it.
    pub name: Name,
    /// Where it goes: `file:/path`, `syslog+tls://host:port`, `https://host/path`; `syslog+tcp://…` and `http://…` to
    /// this machine only.
    pub to: String,
    /// A file with the token that an HTTP server is shown.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// The authority of the server's certificates in PEM, where that is your own. No other counts then.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// How long leaves may be without their copy, in seconds.
    #[serde(default = "usual_late_after_s")]
    pub late_after_s: u64,
    /// What follows when that is over.
    #[serde(default = "usual_when_late")]
    pub when_late: WhenLate,
}

fn usual_late_after_s() -> u64 {
    60
}

fn usual_when_late() -> WhenLate {
    WhenLate::Alarm
}

words! {
    /// What follows when a copy is late.
    pub enum WhenLate {
        /// Somebody is told.
        Alarm = "alarm",
        /// That, and nothing is signed until it has caught up.
        Block = "block",
    }
}

/// Why a copy cannot be made as it is configured.
#[derive(Debug, thiserror::Error)]
#[error("[[evidence.copies]] {name}: {why}")]
pub struct BadCopy {
    name: Name,
    why: String,
}

/// Why leaves are not copied for now.
#[derive(Debug, thiserror::Error)]
enum NotCopied {
    #[error("{0}")]
    Receiver(String),
    #[error("it has {copy} leaves and the log {log}: it is the copy of a longer one")]
    Ahead { copy: u64, log: u64 },
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// How far a copy is.
#[derive(Clone, Debug)]
pub struct Extent {
    /// Which.
    pub name: Name,
    /// So many leaves it does not have yet.
    pub behind: u64,
    /// How old the newest moment is up to which it has all.
    pub behind_for: Duration,
}

/// A copy.
pub(super) struct Copy {
    settings: Settings,
    way: tokio::sync::Mutex<Way>,
    progress: Mutex<Progress>,
}

/// How leaves get there.
enum Way {
    File(file::File),
    Http(http::Server),
    Syslog(syslog::Server),
}

/// What a copy is of.
pub(super) struct Of<'a> {
    pub(super) ledger: &'a Ledger,
    /// The log's name.
    pub(super) origin: String,
    /// The newest published checkpoint, once there is one.
    pub(super) checkpoint: Option<String>,
    /// How many leaves had their place, and when.
    pub(super) size: u64,
    pub(super) at: Instant,
}

/// A leaf in its place.
type Placed = (u64, Vec<u8>);

/// Opens all that are configured. Nobody is spoken to yet.
pub(super) fn open(settings: &[Settings]) -> Result<Vec<Copy>, BadCopy> {
    let mut copies: Vec<Copy> = Vec::new();
    for it in settings {
        let bad = |why: String| BadCopy {
            name: it.name.clone(),
            why,
        };
        if copies.iter().any(|other| other.settings.name == it.name) {
            return Err(bad("the name is taken".into()));
        }
        copies.push(Copy {
            way: tokio::sync::Mutex::new(Way::open(it).map_err(bad)?),
            settings: it.clone(),
            progress: Mutex::new(Progress::new(Instant::now())),
        });
    }
    Ok(copies)
}

impl Way {
    fn open(settings: &Settings) -> Result<Self, String> {
        let Settings { to, ca_file, .. } = settings;
        let is_http = to.starts_with("http:") || to.starts_with("https:");
        if settings.token_file.is_some() && !is_http {
            return Err("token_file: only an HTTP server is shown a token".into());
        }
        if let Some(path) = to.strip_prefix("file:") {
            return Ok(Self::File(file::File::new(path.into())));
        }
        if is_http {
            let token = settings.token_file.as_deref();
            return http::Server::open(to, token, ca_file.as_deref()).map(Self::Http);
        }
        syslog::Server::open(to, ca_file.as_deref()).map(Self::Syslog)
    }
}

impl Copy {
    /// Copies what comes until the service stops, and then once more.
    pub(super) async fn run(&self, evidence: &Evidence, stop: CancellationToken) {
        let me = Uuid::now_v7();
        let mut pause = LOOK;
        loop {
            let is_over = stop
                .run_until_cancelled(tokio::time::sleep(pause))
                .await
                .is_none();
            let round = async {
                let at_most = if is_over { Duration::ZERO } else { LOOK };
                let round = self.round(&evidence.to_copy(at_most).await?, me).await;
                match round {
                    // Another replica may have seen more meanwhile, and sent it.
                    Err(NotCopied::Ahead { .. }) => {
                        let now = evidence.to_copy(Duration::ZERO).await?;
                        self.round(&now, me).await
                    }
                    round => round,
                }
            };
            pause = match round.await {
                Ok(()) => {
                    self.progress().trouble = None;
                    LOOK
                }
                Err(error) => {
                    self.trouble(&error);
                    PAUSE
                }
            };
            self.alarm();
            if is_over {
                return;
            }
        }
    }

    /// Sends all that is new, if no other replica does.
    async fn round(&self, of: &Of<'_>, me: Uuid) -> Result<(), NotCopied> {
        self.progress().grown(of.size, of.at);
        let mut way = self.way.lock().await;
        let Some(mut next) = self.turn(&mut way, of, me).await? else {
            return Ok(());
        };
        while next < of.size {
            let leaves = super::records::leaves(next, AT_A_TIME, of.ledger).await?;
            let Some((last, _)) = leaves.last() else {
                return Err(LedgerError::Corrupt("leaves", format!("none at {next}")).into());
            };
            let after = last + 1;
            let sent = match &mut *way {
                Way::File(file) => file.write(leaves).await,
                Way::Http(server) => within(server.post(&of.origin, &leaves)).await,
                Way::Syslog(server) => within(server.send(&leaves)).await,
            };
            sent.map_err(NotCopied::Receiver)?;
            let is_noted = match &*way {
                Way::File(_) => true,
                _ => records::advance(&self.settings.name, me, next, after, of.ledger).await?,
            };
            if !is_noted {
                return Ok(()); // another replica has taken over
            }
            next = after;
            self.progress().copied(next);
        }
        Ok(())
    }

    /// From which leaf on it is this replica's turn to send; `None`: there is nothing to send, or another sends.
    async fn turn(&self, way: &mut Way, of: &Of<'_>, me: Uuid) -> Result<Option<u64>, NotCopied> {
        let name = &self.settings.name;
        let (next, is_mine) = match way {
            Way::File(file) => file.turn(of).await.map_err(NotCopied::Receiver)?,
            Way::Http(_) | Way::Syslog(_) => {
                let next = records::next(name, of.ledger).await?;
                if next >= of.size {
                    (next, false)
                } else {
                    let mine = records::take(name, me, of.ledger).await?;
                    (mine.unwrap_or(next), mine.is_some())
                }
            }
        };
        if next > of.size {
            let (copy, log) = (next, of.size);
            return Err(NotCopied::Ahead { copy, log });
        }
        self.progress().copied(next);
        // What the last connection has taken is not known.
        let repeated = match way {
            Way::Syslog(server) if is_mine => {
                server.repeats().await.map_err(NotCopied::Receiver)?
            }
            _ => 0,
        };
        let from = next.saturating_sub(repeated);
        if from < next && is_mine && !records::advance(name, me, next, from, of.ledger).await? {
            return Ok(None);
        }
        Ok(is_mine.then_some(from))
    }

    /// Whether all may leave: this copy is in time, or its lateness only alarms.
    pub(super) fn is_current(&self) -> Result<(), Late> {
        match self.settings.when_late {
            WhenLate::Alarm => Ok(()),
            WhenLate::Block => self.lateness(),
        }
    }

    fn lateness(&self) -> Result<(), Late> {
        let progress = self.progress();
        let late = progress.covered().elapsed();
        if late < Duration::from_secs(self.settings.late_after_s) {
            return Ok(());
        }
        let why = progress
            .trouble
            .as_deref()
            .unwrap_or("it is not fast enough");
        let (name, late) = (&self.settings.name, late.as_secs());
        Err(Late(format!(
            "what was written in the last {late} s is not in the copy {name}: {why}"
        )))
    }

    fn alarm(&self) {
        let late = self.lateness();
        let mut progress = self.progress();
        if let Err(late) = &late
            && !progress.was_late
        {
            let (name, when_late) = (&self.settings.name, self.settings.when_late);
            tracing::error!(alarm = "copy-late", copy.name = %name, copy.when_late = %when_late, error = %late,
                "a copy of the log is late");
        }
        progress.was_late = late.is_err();
    }

    fn trouble(&self, error: &NotCopied) {
        let text = error.to_string();
        let mut progress = self.progress();
        if progress.trouble.as_ref() != Some(&text) {
            let name = &self.settings.name;
            tracing::warn!(copy.name = %name, %error, "leaves are not copied for now");
        }
        progress.trouble = Some(text);
    }

    /// How far it is, as this replica knows.
    pub(super) fn extent(&self) -> Extent {
        let progress = self.progress();
        Extent {
            name: self.settings.name.clone(),
            behind: progress.behind(),
            behind_for: progress.covered().elapsed(),
        }
    }

    /// How many leaves it has, if it can be reached; none is sent.
    pub(super) async fn measure(&self, ledger: &Ledger) -> (Name, Result<u64, String>) {
        let name = self.settings.name.clone();
        let next = match &mut *self.way.lock().await {
            Way::File(file) => file.end().await.map(Some),
            Way::Http(server) => server.reach().await.map(|()| None),
            Way::Syslog(server) => server.reach().await.map(|()| None),
        };
        let noted = records::next(&name, ledger).await;
        let noted = noted.map_err(|error| error.to_string());
        (name, next.and_then(|next| next.map_or(noted, Ok)))
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The host of a URL, as it is connected to.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    host.trim_matches(['[', ']']).to_owned()
}

/// Connects.
async fn reach(host: &str, port: u16) -> Result<TcpStream, String> {
    let connecting = tokio::time::timeout(PATIENCE, TcpStream::connect((host, port))).await;
    let late = |_| "it cannot be reached".to_owned();
    connecting.map_err(late)?.map_err(|error| error.to_string())
}

async fn within(sending: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let late = |_| "it did not answer in time".to_owned();
    tokio::time::timeout(PATIENCE, sending)
        .await
        .map_err(late)?
}

/// A leaf as a line of an export.
fn line((index, leaf): &Placed) -> Value {
    json!({ "index": index, "leaf": STANDARD.encode(leaf) })
}

/// The same, and what it says for whoever reads it there.
fn told(placed: &Placed) -> Value {
    let mut line = line(placed);
    if let Some(leaf) = Leaf::from_bytes(&placed.1) {
        line["event"] = leaf.for_people();
    }
    line
}
