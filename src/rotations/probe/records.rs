//! `probes`.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Outcome, Probe, Role, Seen};
use crate::id::{CallerId, IntentId, KeyId, ProbeId, RotationId};
use crate::ledger::{Ledger, LedgerError, Tx};

struct ProbeRow {
    id: Uuid,
    rotation_id: Uuid,
    key_id: Uuid,
    role: String,
    actor: String,
    begun_at: OffsetDateTime,
    intent_id: Option<Uuid>,
    outcome: Option<String>,
    error: Option<String>,
    http_status: Option<i32>,
}

impl TryFrom<ProbeRow> for Probe {
    type Error = LedgerError;

    fn try_from(row: ProbeRow) -> Result<Self, LedgerError> {
        let corrupt = |what: &str| LedgerError::Corrupt("probes", what.to_owned());
        let outcome = row.outcome.map(|name| {
            let outcome = Outcome::from_name(&name);
            outcome.ok_or_else(|| corrupt(&name))
        });
        Ok(Self {
            id: row.id.into(),
            rotation: row.rotation_id.into(),
            key: row.key_id.into(),
            role: Role::from_name(&row.role).ok_or_else(|| corrupt(&row.role))?,
            actor_name: row.actor,
            begun_at: row.begun_at,
            intent: row.intent_id.map(IntentId::from),
            outcome: outcome.transpose()?,
            error: row.error,
            http_status: row.http_status,
        })
    }
}

/// The probes of some rotations, oldest first.
pub(in crate::rotations) async fn probes(
    rotations: &[RotationId],
    ledger: &Ledger,
) -> Result<Vec<Probe>, LedgerError> {
    let ids: Vec<Uuid> = rotations.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query_as!(
        ProbeRow,
        "select p.id, p.rotation_id, p.key_id, p.role, c.name as actor, p.begun_at, p.intent_id,
                p.outcome, p.error, p.http_status
         from probes p join callers c on c.id = p.actor_id
         where p.rotation_id = any($1) order by p.begun_at, p.id",
        &ids,
    )
    .fetch_all(ledger.pool())
    .await?;
    rows.into_iter().map(Probe::try_from).collect()
}

/// The probes of one rotation, oldest first, in a transaction.
pub(in crate::rotations) async fn probes_in(
    rotation: RotationId,
    tx: &mut Tx,
) -> Result<Vec<Probe>, LedgerError> {
    let rows = sqlx::query_as!(
        ProbeRow,
        "select p.id, p.rotation_id, p.key_id, p.role, c.name as actor, p.begun_at, p.intent_id,
                p.outcome, p.error, p.http_status
         from probes p join callers c on c.id = p.actor_id
         where p.rotation_id = $1 order by p.begun_at, p.id",
        rotation.uuid(),
    )
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter().map(Probe::try_from).collect()
}

/// Whether a key was probed within the last seconds; if so, in how many it may be again.
pub(in crate::rotations) async fn probed_lately(
    key: KeyId,
    every_s: u32,
    tx: &mut Tx,
) -> Result<Option<u32>, LedgerError> {
    let left = sqlx::query_scalar!(
        r#"select ceil(extract(epoch from
                max(begun_at) + make_interval(secs => $2) - clock_timestamp()))::int as "left"
         from probes where key_id = $1"#,
        key.uuid(),
        f64::from(every_s),
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(left
        .filter(|left| *left > 0)
        .and_then(|left| u32::try_from(left).ok()))
}

pub(in crate::rotations) async fn insert_probe(
    probe: ProbeId,
    rotation: RotationId,
    key: KeyId,
    role: Role,
    author: CallerId,
    tx: &mut Tx,
) -> Result<(), LedgerError> {
    sqlx::query!(
        "insert into probes (id, rotation_id, key_id, role, actor_id, begun_at)
         values ($1, $2, $3, $4, $5, clock_timestamp())",
        probe.uuid(),
        rotation.uuid(),
        key.uuid(),
        role.name(),
        author.uuid(),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// What a probe brought, once.
pub(in crate::rotations) async fn settle_probe(
    probe: ProbeId,
    seen: &Seen,
    tx: &mut Tx,
) -> Result<(), LedgerError> {
    sqlx::query!(
        "update probes set intent_id = $2, outcome = $3, error = $4, http_status = $5,
                           expires_in = $6, settled_at = clock_timestamp()
         where id = $1",
        probe.uuid(),
        seen.intent.map(IntentId::uuid),
        seen.outcome.name(),
        seen.error,
        seen.http_status,
        seen.expires_in,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// How long the tokens live that probes of this rotation brought.
pub(in crate::rotations) async fn token_life(
    rotation: RotationId,
    tx: &mut Tx,
) -> Result<Option<i32>, LedgerError> {
    let life = sqlx::query_scalar!(
        "select max(expires_in) from probes where rotation_id = $1",
        rotation.uuid(),
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(life)
}
