//! The log proves itself (P9): a Merkle tree over all leaves, checkpoints of it that a key signs and that a
//! second place keeps, and proofs that need nobody's word.
//!
//! It promises that each leaf gets one index, for ever, at most a moment after it was committed; that no
//! two checkpoints disagree; that nothing is served from a database that is behind what was published, or
//! is another; and that nothing is signed while what was signed before is not published in time.
//!
//! It **trusts** the sealing key, under which the log's key rests, and whoever can write the published
//! checkpoint: who has both, and the database, can tell another story. Whoever has the database alone
//! cannot, but for leaves that no published checkpoint covers yet.
//!
//! # Why
//! Every replica may let the tree grow, and none leads: the statement that appends moves the tree from the
//! size that was read, so of two who come together one has read for nothing. Leaves are in the log with
//! their business rows, and get their index afterwards, so that no signature waits for another one's.

pub mod copies;
mod growth;
mod key;
mod nodes;
pub mod place;
mod records;
mod recovery;
mod watch;
mod witnesses;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::audit::Leaf;
use crate::ledger::{Ledger, LedgerError};
use crate::name::Name;
use crate::sealing::Keyring;
use crate::tlog::{Checkpoint, Note, NoteKey, NoteSigner, Proof, tree};
pub use growth::Tampered;
use place::Place;
use records::Placed;
pub use recovery::{NotRecovered, Recovery};
use witnesses::Witnesses;

/// `[evidence]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The log's name in checkpoints, such as `chancery.example/prod`. Set at the first start and never
    /// changed; one is made up without it.
    pub origin: Option<String>,
    /// The file to which checkpoints are published. The owner of the database should not be able to write it.
    pub checkpoint_file: Option<PathBuf>,
    /// The bucket to which they are published in its place. The owner of the database should not be able to write
    /// it either.
    pub checkpoint_bucket: Option<place::BucketSettings>,
    /// A file that names this log, witnesses, where they are asked, and how many have to sign (C2SP `tlog-policy`). What
    /// they have not signed is not published.
    pub witness_policy: Option<PathBuf>,
    /// How often checkpoints are signed while something is written, in milliseconds.
    pub checkpoint_every_ms: u64,
    /// How long what was written may be without a published checkpoint, in seconds.
    pub unpublished_at_most_s: u64,
    /// Whether signing goes on when that is over, with an alarm only.
    pub alarm_only: bool,
    /// `[[evidence.copies]]`
    pub copies: Vec<copies::Settings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            origin: None,
            checkpoint_file: None,
            checkpoint_bucket: None,
            witness_policy: None,
            checkpoint_every_ms: 2_000,
            unpublished_at_most_s: 60,
            alarm_only: false,
            copies: Vec::new(),
        }
    }
}

/// Why there is no evidence.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The log's name is another.
    #[error("[evidence] origin: the log is named {0}, and a log keeps its name")]
    OtherOrigin(String),
    /// The log's key.
    #[error("the log's key: {0}")]
    Key(&'static str),
    /// Somebody changed what was written.
    #[error(transparent)]
    Tampered(#[from] Tampered),
    /// The published checkpoint cannot be read or written.
    #[error("the published checkpoint at {0}: {1}")]
    Place(String, std::io::Error),
    /// Others have published each time when it was tried.
    #[error("other replicas were first, each time")]
    Overtaken,
    /// The bucket cannot be used as it is configured.
    #[error("[evidence] checkpoint_bucket: {0}")]
    Bucket(String),
    /// There is one second place.
    #[error("[evidence] checkpoint_file and checkpoint_bucket are both set: name one of them")]
    TwoPlaces,
    /// The witnesses' policy.
    #[error("[evidence] witness_policy {0}: {1}")]
    WitnessPolicy(PathBuf, String),
    /// Too few witnesses have signed.
    #[error("witnesses: {0}")]
    Witnesses(String),
    /// A copy cannot be made.
    #[error(transparent)]
    Copy(#[from] copies::BadCopy),
    /// There is no checkpoint of that size.
    #[error("the log has {0} leaves")]
    Beyond(u64),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What was written is not published in time: nothing is signed until it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Late(String);

/// The log's tree. Cheap to clone.
#[derive(Clone)]
pub struct Evidence(Arc<Inner>);

struct Inner {
    settings: Settings,
    ledger: Ledger,
    signer: NoteSigner,
    place: Option<Place>,
    witnesses: Option<Witnesses>,
    copies: Vec<copies::Copy>,
    /// When copies last looked how far the tree is, and how far it was.
    looked: tokio::sync::Mutex<Option<(Instant, String, u64)>>,
    state: Mutex<State>,
}

/// How far it is, as this replica knows.
struct State {
    /// All that was committed before this is in a published checkpoint.
    covered: Instant,
    /// What is wrong, if something is.
    trouble: Option<String>,
    /// The newest published checkpoint.
    newest: Option<Note>,
}

/// How far the log has come.
#[derive(Debug)]
pub struct Extent {
    /// So many leaves have their place.
    pub size: u64,
    /// So many more wait for theirs, as far as one look goes.
    pub waiting: usize,
    /// Where its checkpoints are published, but for the database.
    pub place: Option<String>,
    /// How many leaves its copies have, or why that is not known.
    pub copies: Vec<(Name, Result<u64, String>)>,
}

/// A leaf of an intent, and where it is in the tree, as far as a checkpoint covers it.
pub struct Proved {
    /// What kind of leaf.
    pub kind: &'static str,
    /// Its place in the tree; `None`: it gets one in a moment.
    pub index: Option<u64>,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its proof; `None`: the next checkpoint will cover it.
    pub proof: Option<Proof>,
}

impl Evidence {
    /// Opens the log's tree. Refuses a database that is not the one whose checkpoint was published last.
    pub async fn open(
        settings: &Settings,
        ledger: Ledger,
        sealing: &Keyring,
    ) -> Result<Self, EvidenceError> {
        let evidence = Self::unseen(settings, ledger, sealing).await?;
        evidence.compare().await?;
        Ok(evidence)
    }

    /// The same before it is looked at what was published.
    async fn unseen(
        settings: &Settings,
        ledger: Ledger,
        sealing: &Keyring,
    ) -> Result<Self, EvidenceError> {
        let made_up = format!("chancery/{}", Uuid::now_v7());
        let origin = settings.origin.clone().unwrap_or(made_up);
        let named = records::name_log(&origin, &ledger).await?;
        if settings.origin.as_ref().is_some_and(|it| *it != named) {
            return Err(EvidenceError::OtherOrigin(named));
        }
        let signer = key::open(&named, &ledger, sealing).await?;
        let place = Place::of(settings)?;
        if place.is_none() {
            tracing::warn!(
                "neither [evidence] checkpoint_file nor checkpoint_bucket is set: checkpoints stay in the database, whose owner can change both"
            );
        }
        let witnesses = settings.witness_policy.as_ref().map(|file| {
            let bad = |why| EvidenceError::WitnessPolicy(file.clone(), why);
            Witnesses::open(file, signer.key()).map_err(bad)
        });
        Ok(Self(Arc::new(Inner {
            place,
            witnesses: witnesses.transpose()?,
            copies: copies::open(&settings.copies)?,
            looked: tokio::sync::Mutex::default(),
            settings: settings.clone(),
            ledger,
            signer,
            state: Mutex::new(State {
                covered: Instant::now(),
                trouble: None,
                newest: None,
            }),
        })))
    }

    /// Compares the log with what was published and sees whether all can have their place, as at a start, and
    /// changes nothing. `None`: there is none yet.
    pub async fn measure(
        settings: &Settings,
        ledger: Ledger,
        sealing: &Keyring,
    ) -> Result<Option<Extent>, EvidenceError> {
        if records::name(&ledger).await?.is_none() {
            return Ok(None);
        }
        let evidence = Self::open(settings, ledger, sealing).await?;
        evidence.extent().await.map(Some)
    }

    /// The key by which checkpoints are verified.
    pub fn key(&self) -> &NoteKey {
        self.0.signer.key()
    }

    /// The newest checkpoint that is published.
    pub fn newest(&self) -> Option<Note> {
        self.state().newest.clone()
    }

    /// How old the newest moment is that a published checkpoint covers, with all that was written before.
    pub fn behind(&self) -> Duration {
        self.state().covered.elapsed()
    }

    /// Whether all is published in time, and in the copies that may stop it; without that nothing may leave.
    pub fn is_current(&self) -> Result<(), Late> {
        self.0
            .copies
            .iter()
            .try_for_each(copies::Copy::is_current)?;
        if self.0.settings.alarm_only {
            return Ok(());
        }
        self.lateness()
    }

    /// The same, whatever follows from it.
    pub fn lateness(&self) -> Result<(), Late> {
        let state = self.state();
        let late = state.covered.elapsed();
        if late < Duration::from_secs(self.0.settings.unpublished_at_most_s) {
            return Ok(());
        }
        let why = state
            .trouble
            .as_deref()
            .unwrap_or("no checkpoint was signed");
        Err(Late(format!(
            "what was written in the last {} s has no published checkpoint: {why}",
            late.as_secs()
        )))
    }

    /// Copies of the log, each as a task that goes on until the service stops.
    pub fn copying(
        &self,
        stop: &CancellationToken,
    ) -> impl Iterator<Item = impl Future<Output = ()> + Send + 'static> {
        (0..self.0.copies.len()).map(|number| {
            let (own, stop) = (self.clone(), stop.clone());
            async move { own.0.copies[number].run(&own, stop).await }
        })
    }

    /// How far each copy is, as this replica knows.
    pub fn copies(&self) -> Vec<copies::Extent> {
        self.0.copies.iter().map(copies::Copy::extent).collect()
    }

    /// How many leaves each copy has, or why that is not known.
    pub async fn copied(&self) -> Vec<(Name, Result<u64, String>)> {
        let mut all = Vec::new();
        for copy in &self.0.copies {
            all.push(copy.measure(&self.0.ledger).await);
        }
        all
    }

    /// What is to be copied, as it was at most so long ago: all copies share one look.
    async fn to_copy(&self, at_most: Duration) -> Result<copies::Of<'_>, LedgerError> {
        let mut looked = self.0.looked.lock().await;
        let fresh = looked.take().filter(|it| it.0.elapsed() < at_most);
        let (at, origin, size) = if let Some(it) = fresh {
            looked.insert(it)
        } else {
            let now = Instant::now();
            let head = records::head(&self.0.ledger).await?;
            looked.insert((now, head.origin, head.tree.size()))
        };
        Ok(copies::Of {
            ledger: &self.0.ledger,
            origin: origin.clone(),
            checkpoint: self.newest().map(|note| note.to_string()),
            size: *size,
            at: *at,
        })
    }

    /// What was written of an intent, with proofs.
    pub async fn prove(&self, intent: Uuid) -> Result<Vec<Proved>, EvidenceError> {
        let placed = records::leaves_of(intent, &self.0.ledger).await?;
        self.prove_all(placed).await
    }

    /// The same of the leaf of a change, by what it is of; `None`: there is none.
    pub async fn prove_change(&self, subject: Uuid) -> Result<Option<Proved>, EvidenceError> {
        let placed = records::leaf_about(subject, &self.0.ledger).await?;
        Ok(self.prove_all(placed.into_iter().collect()).await?.pop())
    }

    /// The same of the leaf at an index; `None`: there is none yet.
    pub async fn prove_leaf(&self, index: u64) -> Result<Option<Proved>, EvidenceError> {
        let leaves = self.leaves(index, 1).await?.into_iter();
        let placed = leaves.map(|(index, leaf)| Placed {
            index: Some(index),
            leaf,
        });
        Ok(self.prove_all(placed.collect()).await?.pop())
    }

    async fn prove_all(&self, placed: Vec<Placed>) -> Result<Vec<Proved>, EvidenceError> {
        let newest = self.newest();
        let covering = newest.as_ref().and_then(|note| {
            let checkpoint = Checkpoint::signed(note, self.key()).ok()?;
            Some((note, checkpoint.size))
        });
        let mut proved = Vec::new();
        for placed in placed {
            let proof = match (placed.index, covering) {
                (Some(index), Some((note, size))) if index < size => {
                    let ranges = tree::inclusion(index, size).unwrap_or_default();
                    let hashes = nodes::hashes(&ranges, &self.0.ledger).await?;
                    Some(Proof {
                        extra: Some(placed.leaf.clone()),
                        index,
                        hashes,
                        note: note.clone(),
                    })
                }
                _ => None,
            };
            let leaf = Leaf::from_bytes(&placed.leaf);
            proved.push(Proved {
                kind: leaf.map_or("unreadable", |leaf| leaf.kind()),
                index: placed.index,
                bytes: placed.leaf,
                proof,
            });
        }
        Ok(proved)
    }

    /// The last checkpoint that was signed before a moment: how many leaves it covers, and the note. It is the same
    /// whenever that is asked, once the moment is past.
    pub async fn checkpoint_before(
        &self,
        at: OffsetDateTime,
    ) -> Result<Option<(u64, String)>, EvidenceError> {
        Ok(records::checkpoint_before(at, &self.0.ledger).await?)
    }

    /// The roots of perfect subtrees of which the tree was made at a size, from left to right: with them and the
    /// leaves behind them a later root is computed.
    pub async fn frontier(&self, size: u64) -> Result<Vec<tree::Hash>, EvidenceError> {
        Ok(nodes::frontier(size, &self.0.ledger).await?)
    }

    /// The hashes that show that the log at one size begins with the log at another.
    pub async fn consistency(&self, old: u64, new: u64) -> Result<Vec<tree::Hash>, EvidenceError> {
        let size = records::head(&self.0.ledger).await?.tree.size();
        let ranges = tree::consistency(old, new).filter(|_| new <= size);
        let ranges = ranges.ok_or(EvidenceError::Beyond(size))?;
        Ok(nodes::hashes(&ranges, &self.0.ledger).await?)
    }

    /// Leaves from an index on, in the order of the tree, at most so many.
    pub async fn leaves(
        &self,
        from: u64,
        limit: u16,
    ) -> Result<Vec<(u64, Vec<u8>)>, EvidenceError> {
        Ok(records::leaves(from, limit, &self.0.ledger).await?)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
