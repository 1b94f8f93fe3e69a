//! Answers of administrative writes, which rest sealed under the service's own key.

use serde_json::json;
use uuid::Uuid;

use super::{Resealing, ResealingError};
use crate::audit::Change;
use crate::idempotency::records::{self, Kept};
use crate::ledger::LedgerError;
use crate::sealing::{HEAD, named_in};

/// Where a stretch begins: after the answer to this request.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AnswersStretchStart)]
pub struct AnswersAfter {
    /// Whose request.
    pub caller: Uuid,
    /// Its idempotency key.
    pub key: String,
}

/// How many answers rest under a key.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct AnswersHeld {
    /// The key's id, never the key. None: those that name no key that is there.
    pub id: Option<String>,
    /// Whether it is the one that seals now.
    pub seals: bool,
    /// How many answers.
    pub answers: i64,
}

/// A stretch of answers that was sealed anew.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = ResealedAnswers)]
pub struct AnswersStep {
    /// How many rest under the current key now that did not before.
    pub resealed: u64,
    /// How many do not open. They are forgotten at their time.
    pub stuck: u64,
    /// Where to go on. None: all has been looked at.
    pub next: Option<AnswersAfter>,
}

impl Resealing {
    /// How many administrative answers rest under each of the service's keys.
    pub async fn answers_held(&self) -> Result<Vec<AnswersHeld>, LedgerError> {
        let current = self.sealing.current();
        let mut held: Vec<AnswersHeld> = Vec::new();
        let ids = self.sealing.ids().map(Some).chain([None]);
        let length = i32::try_from(HEAD).unwrap_or(i32::MAX);
        let heads = records::count_answers_by_head(length, self.log.ledger()).await?;
        let known =
            |head: &[u8]| named_in(head).filter(|id| self.sealing.ids().any(|known| known == *id));
        for id in ids {
            let answers = heads.iter().filter(|(head, _)| known(head) == id);
            let answers: i64 = answers.map(|(_, answers)| answers).sum();
            let text = id.map(|id| id.to_string());
            if held.iter().all(|it| it.id != text) && (id.is_some() || answers > 0) {
                held.push(AnswersHeld {
                    seals: id == Some(current),
                    id: text,
                    answers,
                });
            }
        }
        Ok(held)
    }

    /// Seals a stretch of administrative answers anew, each opened again before it is written.
    pub(crate) async fn reseal_answers(
        &self,
        after: Option<AnswersAfter>,
        at_most: i64,
        change: &mut Change,
    ) -> Result<AnswersStep, ResealingError> {
        let after = after.map(|after| (after.caller, after.key));
        let head = self.sealing.head();
        let ledger = self.log.ledger();
        let rows = records::answers_under_others(&head, after.as_ref(), at_most, ledger).await?;
        let (mut resealed, mut stuck) = (0, 0);
        for kept in &rows {
            match self.sealed_anew(kept) {
                Some(sealed) => {
                    let put = records::put_resealed(kept, &sealed, change.tx()).await?;
                    resealed += u64::from(put);
                }
                None => stuck += 1,
            }
        }
        let under = self.sealing.current().to_string();
        let details = json!({ "under": under, "resealed": resealed, "stuck": stuck });
        change.note("reseal-answers", Uuid::now_v7(), &details);
        Ok(AnswersStep {
            resealed,
            stuck,
            next: rows.last().map(|kept| AnswersAfter {
                caller: kept.caller,
                key: kept.key.clone(),
            }),
        })
    }

    fn sealed_anew(&self, kept: &Kept) -> Option<Vec<u8>> {
        let aad = [kept.caller.as_bytes(), kept.key.as_bytes()].concat();
        let opened = self.sealing.open(&aad, &kept.answer).ok()?;
        let sealed = self.sealing.seal(&aad, &opened);
        let again = self.sealing.open(&aad, &sealed).ok()?;
        (again == opened).then_some(sealed)
    }
}
