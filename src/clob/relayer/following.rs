//! Following what the relayer has taken, until it says what became of it.

use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::answers::{Progress, Transaction};
use super::records::{self, State, Submission};
use super::submitting::NotSubmitted;
use super::{RelayerError, Submissions};
use crate::approvals::Approval;
use crate::audit::Author;
use crate::ledger::{Gate, LedgerError};
use crate::operations;

/// How often it is looked what is due.
const LOOK: Duration = Duration::from_secs(2);

/// What a look at the relayer says.
enum Seen {
    /// It is under way; why it is not over although one might think so.
    UnderWay(Option<&'static str>),
    /// It happened; the nonce that is the next one now.
    Executed(Option<ruint::aliases::U256>),
    /// It did not.
    Failed,
}

impl Transaction {
    /// Whether it ended without having happened.
    pub(super) fn is_over_for_nothing(&self) -> bool {
        matches!(self.progress(), Some(Progress::Invalid | Progress::Failed))
    }
}

impl Submissions {
    /// Looks how far something is that was taken, and puts that on record.
    pub async fn follow(&self, submission: &Submission) -> Result<Submission, NotSubmitted> {
        let relayer = self.0.relayers.on(submission.chain)?;
        let known = submission.transaction_id.as_deref().unwrap_or_default();
        let unclear = |what: &str| RelayerError::Unclear(format!("the relayer {what}"));
        let found = relayer.transaction(known).await?;
        let transaction = found.ok_or_else(|| unclear("knows no such transaction any more"))?;
        let progress = transaction.progress();
        let progress = progress
            .ok_or_else(|| unclear("has a word for its progress that is not known here"))?;
        let seen = match (progress, submission.kind.counted(), submission.turn) {
            (Progress::Invalid | Progress::Failed, ..) => Seen::Failed,
            (Progress::New | Progress::Executed | Progress::Mined, ..) => Seen::UnderWay(None),
            (Progress::Confirmed, Some(counted), Some((address, nonce))) => {
                let next = relayer.nonce(address, counted).await?;
                if next > nonce {
                    Seen::Executed(Some(next))
                } else {
                    Seen::UnderWay(Some(
                        "the relayer says that it is confirmed, and that its nonce is not spent",
                    ))
                }
            }
            (Progress::Confirmed, ..) => Seen::Executed(None),
        };
        self.record(submission, &transaction, seen).await?;
        let now = self.show(submission.id).await?;
        let gone = || LedgerError::Corrupt("submissions", format!("{} is missing", submission.id));
        Ok(now.ok_or_else(gone)?)
    }

    async fn record(
        &self,
        submission: &Submission,
        transaction: &Transaction,
        seen: Seen,
    ) -> Result<(), LedgerError> {
        let id = submission.id;
        let (state, next) = match seen {
            Seen::UnderWay(trouble) => {
                return records::goes_on(id, transaction, trouble, self.0.log.ledger()).await;
            }
            Seen::Executed(next) => (State::Executed, next),
            Seen::Failed => (State::Failed, None),
        };
        let mut change = self.0.log.begin(Gate::Shared, &Author::service()).await?;
        if !records::end(id, transaction, state, change.tx()).await? {
            change.abandon().await; // another replica was faster
            return Ok(());
        }
        let hash = transaction.hash();
        if state == State::Executed && submission.kind.is_signed() {
            let settlement = operations::records::Settlement {
                state: operations::State::Executed,
                transaction_hash: hash,
                next_nonce: next,
            };
            operations::records::settle(id.into(), &settlement, change.tx()).await?;
        }
        let details = json!({
            "outcome": state, "progress": transaction.progress(), "transactionID": transaction.id,
            "transactionHash": hash.map(|it| format!("0x{}", hex::encode(it))),
            "nextNonce": next.map(|it| it.to_string()),
        });
        change.note_as(Approval::automatic(), "settle-submission", id, &details);
        if state == State::Failed {
            let (kind, wallet) = (submission.kind, submission.wallet);
            change.once_durable(move || {
                tracing::error!(alarm = "operation-failed", operation.id = %id, wallet.id = %wallet, %kind,
                    "the relayer says that an operation did not happen");
            });
        }
        change.commit().await?;
        Ok(())
    }

    /// Follows what was taken, until the service stops. Any replica does it for all.
    pub async fn watch(self, stop: CancellationToken) {
        let pause = || stop.run_until_cancelled(tokio::time::sleep(LOOK));
        while pause().await.is_some() {
            let due = match records::due(self.0.log.ledger()).await {
                Ok(due) => due,
                Err(error) => {
                    tracing::debug!(%error, "what the relayer has is not followed for now");
                    continue;
                }
            };
            for submission in due {
                if let Err(error) = self.follow(&submission).await {
                    tracing::warn!(operation.id = %submission.id, %error,
                        "what became of an operation at the relayer is not known for now");
                }
            }
        }
    }
}
