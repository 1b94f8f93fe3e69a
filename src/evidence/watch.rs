//! What every replica does all the time: lets the tree grow, signs, publishes.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::growth::{self, Grown, Tampered};
use super::place::Looked;
use super::{Evidence, EvidenceError, Extent, nodes, records};
use crate::tlog::{Checkpoint, Note};

/// How often it is looked for leaves that have no place yet.
const LOOK: Duration = Duration::from_millis(250);

/// So many leaves are placed at a time: more than any batch has.
const AT_A_TIME: usize = 8_192;

/// So often it is tried to publish before it is left for the next look. Each time, another replica was first.
const TURNS: u32 = 5;

impl Evidence {
    /// Looks after the tree until the service stops, and then once more, so that what was signed last is
    /// covered.
    pub async fn run(self, stop: CancellationToken) {
        let (mut signed, mut was_late) = (None::<Instant>, false);
        let every = Duration::from_millis(self.0.settings.checkpoint_every_ms);
        loop {
            let is_over = stop
                .run_until_cancelled(tokio::time::sleep(LOOK))
                .await
                .is_none();
            let is_time = is_over || signed.is_none_or(|at| at.elapsed() >= every);
            match self.look(is_time).await {
                Ok(true) => signed = Some(Instant::now()),
                Ok(false) => {}
                Err(error) => self.trouble(&error),
            }
            let is_late = self.lateness().is_err();
            if is_late && !was_late {
                tracing::error!(
                    alarm = "evidence-late",
                    "what was written has no published checkpoint in time: nothing leaves, unless that only alarms"
                );
            }
            was_late = is_late;
            if is_over {
                return;
            }
        }
    }

    /// Places what is new; signs and publishes, if it is time. Says whether it did.
    async fn look(&self, is_time: bool) -> Result<bool, EvidenceError> {
        let began = Instant::now();
        while self.grow().await? {}
        if !is_time {
            return Ok(false);
        }
        self.publish().await?;
        let mut state = self.state();
        state.covered = began;
        state.trouble = None;
        Ok(true)
    }

    /// Places leaves; says whether there may be more.
    pub(super) async fn grow(&self) -> Result<bool, EvidenceError> {
        let (head, leaves, grown) = self.growth().await?;
        if grown.tree.size() > head.tree.size() {
            records::grow(head.tree.size(), &grown, &self.0.ledger).await?;
        }
        Ok(leaves >= AT_A_TIME)
    }

    /// The tree, how many leaves have no place in it, and what it will be with them.
    async fn growth(&self) -> Result<(records::Head, usize, Grown), EvidenceError> {
        let ledger = &self.0.ledger;
        // First how far the tree is, then what has no place in it: the other way round, what another replica
        // has placed meanwhile would be placed twice.
        let head = records::head(ledger).await?;
        let leaves = records::unplaced(AT_A_TIME, ledger).await?;
        let is_cut = leaves.len() >= AT_A_TIME;
        let grown = growth::grow(&head.tree, &leaves, is_cut)?;
        Ok((head, leaves.len(), grown))
    }

    /// How far the tree is, and whether it could grow.
    pub(super) async fn extent(&self) -> Result<Extent, EvidenceError> {
        let (head, leaves, _) = self.growth().await?;
        Ok(Extent {
            size: head.tree.size(),
            waiting: leaves,
            place: self.0.place.as_ref().map(ToString::to_string),
            copies: self.copied().await,
        })
    }

    /// Signs the tree as it is, and publishes that. Where another replica comes first, it is looked again.
    async fn publish(&self) -> Result<(), EvidenceError> {
        for _ in 0..TURNS {
            if self.publish_once().await? {
                return Ok(());
            }
        }
        Err(EvidenceError::Overtaken)
    }

    async fn publish_once(&self) -> Result<bool, EvidenceError> {
        let seen = self.seen().await?;
        let checkpoint = self.now(seen.as_ref()).await?;
        let newest = self.newest();
        if self
            .signed(newest.as_ref())?
            .is_some_and(|it| it == checkpoint)
        {
            return Ok(true); // nothing was written since
        }
        // Another replica may have been first; it said the same.
        let note: Option<Note> = self.sign(&checkpoint).await?.parse().ok();
        let same = self
            .signed(note.as_ref())?
            .is_some_and(|it| it == checkpoint);
        let Some(note) = note.filter(|_| same) else {
            let other = "another checkpoint of the same size is on record";
            return Err(Tampered::Rollback(other).into());
        };
        if self.0.witnesses.is_none() {
            return self.put(seen, note, &checkpoint).await;
        }
        drop(seen); // nobody waits for witnesses at its lock
        let note = self.cosigned(note, &checkpoint).await?;
        let seen = self.seen().await?;
        self.now(seen.as_ref()).await?;
        self.put(seen, note, &checkpoint).await
    }

    /// Puts a checkpoint in the second place, unless there is one as good; `false`: to be looked again.
    async fn put(
        &self,
        seen: Option<Looked>,
        note: Note,
        checkpoint: &Checkpoint,
    ) -> Result<bool, EvidenceError> {
        let Some((place, seen)) = self.0.place.as_ref().zip(seen) else {
            self.state().newest = Some(note);
            return Ok(true);
        };
        let there: Option<Note> = seen.note.as_ref().and_then(|it| it.parse().ok());
        let size = self.signed(there.as_ref())?.map(|it| it.size);
        if let Some(there) = there.filter(|_| size >= Some(checkpoint.size)) {
            if self.is_witnessed(&there) {
                self.state().newest = Some(there);
                return Ok(true);
            }
            if size > Some(checkpoint.size) {
                return Ok(false); // that one has to be witnessed
            }
        }
        let is_done = place.put(seen, &note.to_string()).await;
        let is_done = is_done.map_err(|error| self.away(error))?;
        if is_done {
            self.state().newest = Some(note);
        }
        Ok(is_done)
    }

    /// The note, as witnesses sign it too, where there are any. The tree goes on growing meanwhile.
    async fn cosigned(&self, note: Note, checkpoint: &Checkpoint) -> Result<Note, EvidenceError> {
        let Some(witnesses) = &self.0.witnesses else {
            return Ok(note);
        };
        tokio::select! {
            note = witnesses.cosign(note, checkpoint, &self.0.ledger) => note.map_err(EvidenceError::Witnesses),
            error = self.go_on_growing() => Err(error),
        }
    }

    async fn go_on_growing(&self) -> EvidenceError {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Err(error) = self.grow().await {
                return error;
            }
        }
    }

    /// Whether enough witnesses have signed a note.
    fn is_witnessed(&self, note: &Note) -> bool {
        let witnesses = self.0.witnesses.as_ref();
        witnesses.is_none_or(|it| it.are_enough(note).is_ok())
    }

    /// The checkpoint's note: this one's, unless another replica has signed it before.
    pub(super) async fn sign(&self, checkpoint: &Checkpoint) -> Result<String, EvidenceError> {
        let text = checkpoint.to_string();
        let note = format!("{text}\n{}", self.0.signer.sign(&text, 0));
        Ok(records::keep_checkpoint(checkpoint.size, &note, &self.0.ledger).await?)
    }

    /// Compares the tree on record with what was published last, before anything is served.
    pub(super) async fn compare(&self) -> Result<(), EvidenceError> {
        let seen = self.seen().await?;
        self.now(seen.as_ref()).await?;
        Ok(())
    }

    /// What stands in the second place, if there is one.
    pub(super) async fn seen(&self) -> Result<Option<Looked>, EvidenceError> {
        match &self.0.place {
            Some(place) => {
                let seen = place.look().await;
                seen.map(Some).map_err(|error| self.away(error))
            }
            None => Ok(None),
        }
    }

    /// The tree as it is, which begins with what was published. That is read first: the other way round,
    /// another replica might have published more.
    pub(super) async fn now(&self, seen: Option<&Looked>) -> Result<Checkpoint, EvidenceError> {
        let mut published = records::newest_checkpoint(&self.0.ledger)
            .await?
            .into_iter()
            .collect::<Vec<_>>();
        published.extend(seen.and_then(|it| it.note.clone()));
        let head = records::head(&self.0.ledger).await?;
        let now = Checkpoint {
            origin: head.origin,
            size: head.tree.size(),
            root: head.tree.root(),
        };
        for note in published {
            self.follows(&note, &now).await?;
        }
        Ok(now)
    }

    /// That the tree begins with what was published.
    pub(super) async fn follows(
        &self,
        published: &str,
        now: &Checkpoint,
    ) -> Result<(), EvidenceError> {
        let note: Option<Note> = published.parse().ok();
        let Some(before) = self.signed(note.as_ref())? else {
            return Err(Tampered::Rollback("what was published is no checkpoint").into());
        };
        if before.size > now.size {
            let older =
                "the database has fewer leaves than the published checkpoint: it is an older one";
            return Err(Tampered::Rollback(older).into());
        }
        let root = if before.size == now.size {
            now.root
        } else {
            nodes::root(before.size, &self.0.ledger).await?
        };
        if root == before.root {
            return Ok(());
        }
        let other = "the database has other leaves than the published checkpoint";
        Err(Tampered::Rollback(other).into())
    }

    /// What a note says that this log's key has signed.
    pub(super) fn signed(&self, note: Option<&Note>) -> Result<Option<Checkpoint>, EvidenceError> {
        let checkpoint = note.map(|note| Checkpoint::signed(note, self.key()));
        let others = |_| Tampered::Rollback("a checkpoint is not signed by this log's key");
        Ok(checkpoint.transpose().map_err(others)?)
    }

    fn trouble(&self, error: &EvidenceError) {
        let text = error.to_string();
        let mut state = self.state();
        if state.trouble.as_ref() == Some(&text) {
            return;
        }
        if matches!(error, EvidenceError::Tampered(_)) {
            tracing::error!(alarm = "audit-tampered", %error, "the audit log does not prove itself");
        } else {
            tracing::warn!(%error, "no checkpoint is published for now");
        }
        state.trouble = Some(text);
    }

    pub(super) fn away(&self, error: std::io::Error) -> EvidenceError {
        let place = self.0.place.as_ref().map(ToString::to_string);
        EvidenceError::Place(place.unwrap_or_default(), error)
    }
}
