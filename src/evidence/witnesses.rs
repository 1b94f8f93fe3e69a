//! Witnesses (C2SP `tlog-witness`): others who sign that the log which they were shown has only ever grown.
//!
//! Each is shown a new checkpoint with the proof that it begins with the last one that this witness signed. Where the
//! quorum of the policy has signed, the checkpoint is published, with their signatures; before, it is not. Whoever has the
//! database and the sealing key still cannot tell two readers two stories then, unless the witnesses help.
//!
//! It **trusts** nothing that a witness answers but a signature that fits.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use tokio::task::JoinSet;

use super::nodes;
use crate::counterparty::{self, Counterparty, quoted};
use crate::guarded_file;
use crate::ledger::Ledger;
use crate::tlog::policy::BadPolicy;
use crate::tlog::{Checkpoint, Note, NoteKey, Policy, tree};

/// How long a witness may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// So often it is asked: it may say once from which size on it wants its proof.
const TURNS: u32 = 2;

/// Who is asked, and how many of them it takes.
pub(super) struct Witnesses {
    policy: Policy,
    all: Vec<Arc<Witness>>,
}

struct Witness {
    key: NoteKey,
    server: Counterparty,
    state: Mutex<State>,
}

/// What this replica knows of it.
#[derive(Default)]
struct State {
    /// How many leaves the last checkpoint had that it signed.
    seen: u64,
    trouble: Option<String>,
}

impl Witnesses {
    /// Those of a policy that names this log.
    pub(super) fn open(file: &Path, log: &NoteKey) -> Result<Self, String> {
        let text = guarded_file::read_rules(file).map_err(|error| error.to_string())?;
        let policy: Policy = text.parse().map_err(|error: BadPolicy| error.to_string())?;
        if !policy.logs().contains(log) {
            return Err(format!("it does not name this log: log {log}"));
        }
        let mut all = Vec::new();
        for (key, url) in policy.witnesses() {
            let Some(url) = url else { continue }; // whose signatures come from elsewhere
            let server = Counterparty::open(url, PATIENCE);
            all.push(Arc::new(Witness {
                key: key.clone(),
                server: server.map_err(|error| error.to_string())?,
                state: Mutex::default(),
            }));
        }
        Ok(Self { policy, all })
    }

    /// Whether enough of them have signed a note.
    pub(super) fn are_enough(&self, note: &Note) -> Result<(), String> {
        let trusted = self.policy.checkpoint(note);
        trusted.map(drop).map_err(|error| error.to_string())
    }

    /// The note with the signatures of all who give one; or who is missing.
    pub(super) async fn cosign(
        &self,
        note: Note,
        checkpoint: &Checkpoint,
        ledger: &Ledger,
    ) -> Result<Note, String> {
        let mut asking = JoinSet::new();
        for witness in &self.all {
            let (witness, note) = (witness.clone(), note.clone());
            let (checkpoint, ledger) = (checkpoint.clone(), ledger.clone());
            asking.spawn(async move {
                let line = witness.ask(&note, &checkpoint, &ledger).await;
                witness.note(line.as_ref().err());
                line.ok()
            });
        }
        let mut cosigned = note;
        while let Some(line) = asking.join_next().await {
            if let Ok(Some(line)) = line {
                cosigned = cosigned
                    .with_signature(&line)
                    .map_err(|error| error.to_string())?;
            }
        }
        self.are_enough(&cosigned).map(|()| cosigned)
    }
}

impl Witness {
    /// Its signature, as a line.
    async fn ask(
        &self,
        note: &Note,
        checkpoint: &Checkpoint,
        ledger: &Ledger,
    ) -> Result<String, String> {
        let size = checkpoint.size;
        let mut old = self.state().seen;
        for _ in 0..TURNS {
            if old > size {
                return Err(format!(
                    "it has signed for {old} leaves, and there are {size}"
                ));
            }
            let body = format!("old {old}\n{}\n{note}", proof(old, size, ledger).await?);
            let request = self.server.request(Method::POST, "/add-checkpoint", &[]);
            let reply = counterparty::send(request.body(body)).await;
            let reply = reply.map_err(|error| error.to_string())?;
            let text = String::from_utf8_lossy(&reply.body);
            match reply.status {
                200 => {
                    let line = self.own(note, &text).ok_or("its signature does not fit")?;
                    self.state().seen = size;
                    return Ok(line);
                }
                // It has seen another one last.
                409 => {
                    let seen = text.trim().parse();
                    old = seen.map_err(|_| "it does not say what it has seen".to_owned())?;
                }
                status => return Err(format!("it answered {status}: {}", quoted(&text))),
            }
        }
        Err("it was shown another checkpoint, each time".to_owned())
    }

    /// The line of an answer that is its signature of the note.
    fn own(&self, note: &Note, answer: &str) -> Option<String> {
        let lines = answer.lines().map(|line| format!("{line}\n"));
        let signs = |line: &String| {
            let signed = note.with_signature(line);
            signed.is_ok_and(|note| note.verified(&self.key).is_ok())
        };
        lines.take(64).find(signs)
    }

    /// Says so when it begins to fail, or to fail otherwise.
    fn note(&self, error: Option<&String>) {
        let mut state = self.state();
        if let Some(error) = error
            && state.trouble.as_ref() != Some(error)
        {
            tracing::warn!(witness.name = self.key.name(), %error, "a witness does not sign");
        }
        state.trouble = error.cloned();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That the log of one size begins with that of another: a hash in base64 on each line.
async fn proof(old: u64, new: u64, ledger: &Ledger) -> Result<String, String> {
    if old == 0 || old == new {
        return Ok(String::new());
    }
    let ranges = tree::consistency(old, new).unwrap_or_default();
    let hashes = nodes::hashes(&ranges, ledger).await;
    let hashes = hashes.map_err(|error| error.to_string())?;
    let line = |hash| format!("{}\n", STANDARD.encode(hash));
    Ok(hashes.into_iter().map(line).collect())
}
