//! `attestations` and `attestation_rounds`.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Attestation, Look, Verdict};
use crate::custody::Evidence;
use crate::id::{CallerId, KeyId};
use crate::ledger::{Ledger, LedgerError, Tx};

/// A round, and what it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// How many keys were looked at.
    pub looked_at: i32,
    /// How many keys' devices contradict the record.
    pub drifted: i32,
    /// How many keys' devices say nothing.
    pub unknown: i32,
}

pub(super) async fn insert(attestation: &Attestation, tx: &mut Tx) -> Result<(), LedgerError> {
    let Attestation { look, .. } = attestation;
    let attributes = look.attributes.as_ref().map(|it| serde_json::json!(it));
    sqlx::query!(
        "insert into attestations (id, key_id, at, evidence, verdict, findings, attributes, possession,
                                   statement, actor_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        attestation.id.uuid(),
        attestation.key.uuid(),
        look.at,
        look.evidence.name(),
        look.verdict.name(),
        serde_json::json!(look.findings),
        attributes,
        attestation.possession,
        attestation.statement,
        attestation.actor.map(CallerId::uuid),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

pub(super) async fn latest(
    key: KeyId,
    ledger: &Ledger,
) -> Result<Option<Attestation>, LedgerError> {
    let row = sqlx::query!(
        "select id, key_id, at, evidence, verdict, findings, attributes, possession, statement, actor_id
         from attestations where key_id = $1 order by at desc, id desc limit 1",
        key.uuid(),
    )
    .fetch_optional(ledger.pool())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let corrupt =
        |what: &str| LedgerError::Corrupt("attestations", format!("{what} of {}", row.id));
    let findings = serde_json::from_value(row.findings).map_err(|_| corrupt("findings"))?;
    let attributes = row.attributes.map(serde_json::from_value).transpose();
    Ok(Some(Attestation {
        id: row.id.into(),
        key: row.key_id.into(),
        look: Look {
            at: row.at,
            evidence: Evidence::from_name(&row.evidence).ok_or_else(|| corrupt("evidence"))?,
            verdict: Verdict::from_name(&row.verdict).ok_or_else(|| corrupt("verdict"))?,
            findings,
            attributes: attributes.map_err(|_| corrupt("attributes"))?,
        },
        possession: row.possession,
        statement: row.statement,
        actor: row.actor_id.map(CallerId::from),
    }))
}

pub(super) async fn insert_round(
    round: &Round,
    began_at: OffsetDateTime,
    ledger: &Ledger,
) -> Result<(), LedgerError> {
    sqlx::query!(
        "insert into attestation_rounds (id, began_at, looked_at, drifted, unknown)
         values ($1, $2, $3, $4, $5)",
        Uuid::now_v7(),
        began_at,
        round.looked_at,
        round.drifted,
        round.unknown,
    )
    .execute(ledger.pool())
    .await?;
    Ok(())
}

/// The latest round, and when it ended.
pub(super) async fn last_round(
    ledger: &Ledger,
) -> Result<Option<(Round, OffsetDateTime)>, LedgerError> {
    let row = sqlx::query!(
        "select looked_at, drifted, unknown, ended_at from attestation_rounds order by ended_at desc limit 1"
    )
    .fetch_optional(ledger.pool())
    .await?;
    Ok(row.map(|row| {
        let round = Round {
            looked_at: row.looked_at,
            drifted: row.drifted,
            unknown: row.unknown,
        };
        (round, row.ended_at)
    }))
}

/// Whether a round ended within this time, by the database's clock.
pub(super) async fn was_round_within(time: Duration, ledger: &Ledger) -> Result<bool, LedgerError> {
    let was = sqlx::query_scalar!(
        r#"select exists (select from attestation_rounds
                          where ended_at > now() - make_interval(secs => $1)) as "was!""#,
        time.as_secs_f64(),
    )
    .fetch_one(ledger.pool())
    .await?;
    Ok(was)
}
