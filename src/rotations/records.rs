//! `rotations`, `rotation_steps` and `rotation_alarms`.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Kind, Rotation, State, Step, Taken};
use crate::approvals::Approval;
use crate::id::{CallerId, ClientId, KeyId, RotationId};
use crate::ledger::{Ledger, LedgerError, Tx};
use crate::name::Name;

/// What stands for "not opened yet" in the ledger.
const NONE: &str = "none";

struct Row {
    id: Uuid,
    kind: String,
    subject_id: Uuid,
    environment: String,
    old_key_id: Uuid,
    new_key_id: Option<Uuid>,
    new_key: serde_json::Value,
    new_subject_id: Option<Uuid>,
    emergency: bool,
    state: String,
    seq: i32,
    target_at: OffsetDateTime,
    opened_at: OffsetDateTime,
}

impl TryFrom<Row> for Rotation {
    type Error = LedgerError;

    fn try_from(row: Row) -> Result<Self, LedgerError> {
        let corrupt =
            |what: &str| LedgerError::Corrupt("rotations", format!("{what} of {}", row.id));
        Ok(Self {
            id: row.id.into(),
            kind: Kind::from_name(&row.kind).ok_or_else(|| corrupt("kind"))?,
            subject: row.subject_id,
            state: State::from_name(&row.state).ok_or_else(|| corrupt("state"))?,
            ordered: serde_json::from_value(row.new_key.clone()).map_err(|_| corrupt("new_key"))?,
            environment: Name::from_record("rotations", row.environment.clone())?,
            old_key: row.old_key_id.into(),
            new_key: row.new_key_id.map(KeyId::from),
            new_subject: row.new_subject_id,
            emergency: row.emergency,
            seq: row.seq,
            target_at: row.target_at,
            opened_at: row.opened_at,
        })
    }
}

macro_rules! select {
    ($rest:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            Row,
            "select id, kind, subject_id, environment, old_key_id, new_key_id, new_key,
                    new_subject_id, emergency, state, seq, target_at, opened_at
             from rotations "
                + $rest
            $(, $argument)*
        )
    };
}

/// Newest first.
pub(super) async fn list(ledger: &Ledger) -> Result<Vec<Rotation>, LedgerError> {
    let rows = select!("order by opened_at desc, id desc")
        .fetch_all(ledger.pool())
        .await?;
    rows.into_iter().map(Rotation::try_from).collect()
}

pub(super) async fn find(id: RotationId, ledger: &Ledger) -> Result<Option<Rotation>, LedgerError> {
    let row = select!("where id = $1", id.uuid())
        .fetch_optional(ledger.pool())
        .await?;
    row.map(Rotation::try_from).transpose()
}

/// A rotation as it stands, which nobody else moves before this transaction has ended.
pub(super) async fn lock(id: RotationId, tx: &mut Tx) -> Result<Option<Rotation>, LedgerError> {
    let row = select!("where id = $1 for update", id.uuid())
        .fetch_optional(tx.connection())
        .await?;
    row.map(Rotation::try_from).transpose()
}

/// Those of one client or wallet, newest first.
pub(super) async fn of_subject(subject: Uuid, tx: &mut Tx) -> Result<Vec<Rotation>, LedgerError> {
    let rows = select!(
        "where subject_id = $1 or new_subject_id = $1 order by opened_at desc, id desc",
        subject
    )
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter().map(Rotation::try_from).collect()
}

/// Those of one client, newest first.
pub(super) async fn of_client(
    client: ClientId,
    ledger: &Ledger,
) -> Result<Vec<Rotation>, LedgerError> {
    let rows = select!(
        "where kind = 'client' and subject_id = $1 order by opened_at desc, id desc",
        client.uuid()
    )
    .fetch_all(ledger.pool())
    .await?;
    rows.into_iter().map(Rotation::try_from).collect()
}

/// The database's time.
pub(super) async fn now(tx: &mut Tx) -> Result<OffsetDateTime, LedgerError> {
    let now = sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#)
        .fetch_one(tx.connection())
        .await?;
    Ok(now)
}

/// A rotation that is not opened yet: its first step does that.
pub(super) async fn insert(
    rotation: &Rotation,
    author: CallerId,
    tx: &mut Tx,
) -> Result<OffsetDateTime, LedgerError> {
    let opened_at = sqlx::query_scalar!(
        "insert into rotations (id, kind, subject_id, environment, old_key_id, new_key, emergency,
                                target_at, opened_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning opened_at",
        rotation.id.uuid(),
        rotation.kind.name(),
        rotation.subject,
        rotation.environment.as_str(),
        rotation.old_key.uuid(),
        serde_json::json!(rotation.ordered),
        rotation.emergency,
        rotation.target_at,
        author.uuid(),
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(opened_at)
}

/// The new key's id, before its device is asked to make it.
pub(super) async fn set_new_key(
    rotation: RotationId,
    key: KeyId,
    tx: &mut Tx,
) -> Result<(), LedgerError> {
    sqlx::query!(
        "update rotations set new_key_id = $2 where id = $1",
        rotation.uuid(),
        key.uuid(),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The wallet that takes the place of the old one.
pub(super) async fn set_new_subject(
    rotation: RotationId,
    subject: Uuid,
    tx: &mut Tx,
) -> Result<(), LedgerError> {
    sqlx::query!(
        "update rotations set new_subject_id = $2 where id = $1",
        rotation.uuid(),
        subject,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// What is recorded of a step.
pub(super) struct NewStep<'a> {
    pub(super) step: Step,
    /// `None`: the rotation is opened.
    pub(super) from: Option<State>,
    pub(super) to: State,
    pub(super) author: CallerId,
    pub(super) approval: Approval,
    pub(super) evidence: &'a serde_json::Value,
}

/// Records a step and takes it; `false` if the rotation is not where it was seen.
pub(super) async fn take(
    rotation: &Rotation,
    new: &NewStep<'_>,
    tx: &mut Tx,
) -> Result<bool, LedgerError> {
    let from = new.from.map_or(NONE, State::name);
    let inserted = sqlx::query!(
        "insert into rotation_steps (rotation_id, seq, kind, step, from_state, to_state, actor_id,
                                     approval, evidence)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict (rotation_id, seq) do nothing",
        rotation.id.uuid(),
        rotation.seq + 1,
        rotation.kind.name(),
        new.step.name(),
        from,
        new.to.name(),
        new.author.uuid(),
        new.approval.to_string(),
        new.evidence,
    )
    .execute(tx.connection())
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(false);
    }
    let moved = sqlx::query!(
        "update rotations set state = $4, seq = seq + 1 where id = $1 and seq = $2 and state = $3",
        rotation.id.uuid(),
        rotation.seq,
        from,
        new.to.name(),
    )
    .execute(tx.connection())
    .await?;
    Ok(moved.rows_affected() == 1)
}

struct StepRow {
    rotation_id: Uuid,
    seq: i32,
    step: String,
    from_state: String,
    to_state: String,
    actor_id: Uuid,
    actor: String,
    approval: String,
    evidence: serde_json::Value,
    at: OffsetDateTime,
}

impl TryFrom<StepRow> for Taken {
    type Error = LedgerError;

    fn try_from(row: StepRow) -> Result<Self, LedgerError> {
        let corrupt = |what: &str| LedgerError::Corrupt("rotation_steps", what.to_owned());
        let from = if row.from_state == NONE {
            None
        } else {
            let from = State::from_name(&row.from_state);
            Some(from.ok_or_else(|| corrupt(&row.from_state))?)
        };
        Ok(Self {
            rotation: row.rotation_id.into(),
            seq: row.seq,
            step: Step::from_name(&row.step).ok_or_else(|| corrupt(&row.step))?,
            from,
            to: State::from_name(&row.to_state).ok_or_else(|| corrupt(&row.to_state))?,
            actor: row.actor_id.into(),
            actor_name: row.actor,
            approval: row.approval,
            evidence: row.evidence,
            at: row.at,
        })
    }
}

/// The steps of some rotations, in their order.
pub(super) async fn steps(
    rotations: &[RotationId],
    ledger: &Ledger,
) -> Result<Vec<Taken>, LedgerError> {
    let ids: Vec<Uuid> = rotations.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query_as!(
        StepRow,
        "select s.rotation_id, s.seq, s.step, s.from_state, s.to_state, s.actor_id,
                c.name as actor, s.approval, s.evidence, s.at
         from rotation_steps s join callers c on c.id = s.actor_id
         where s.rotation_id = any($1) order by s.rotation_id, s.seq",
        &ids,
    )
    .fetch_all(ledger.pool())
    .await?;
    rows.into_iter().map(Taken::try_from).collect()
}

/// The steps of one rotation, in their order, in a transaction.
pub(super) async fn steps_in(rotation: RotationId, tx: &mut Tx) -> Result<Vec<Taken>, LedgerError> {
    let rows = sqlx::query_as!(
        StepRow,
        "select s.rotation_id, s.seq, s.step, s.from_state, s.to_state, s.actor_id,
                c.name as actor, s.approval, s.evidence, s.at
         from rotation_steps s join callers c on c.id = s.actor_id
         where s.rotation_id = $1 order by s.seq",
        rotation.uuid(),
    )
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter().map(Taken::try_from).collect()
}

/// For how many seconds more a key has to have signed no business before it may go. Identifiers of
/// intents begin with their time, so only the latest are looked at.
pub(super) async fn soaks_for(
    key: KeyId,
    soak_s: i64,
    tx: &mut Tx,
) -> Result<Option<u32>, LedgerError> {
    let left = sqlx::query_scalar!(
        r#"select ceil(extract(epoch from
                max(created_at) + make_interval(secs => $2::float8) - clock_timestamp()))::int as "left"
         from intents
         where key_id = $1 and errand <> 'probe'
           -- The statement's time: no index serves a comparison with a volatile one.
           and id >= (lpad(to_hex((extract(epoch from
                   statement_timestamp() - make_interval(secs => $2::float8 + 600)) * 1000)::bigint),
                   12, '0') || repeat('0', 20))::uuid"#,
        key.uuid(),
        i32::try_from(soak_s).map_or(f64::from(i32::MAX), f64::from),
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(left
        .filter(|left| *left > 0)
        .and_then(|left| u32::try_from(left).ok()))
}

/// Puts an alarm on record.
pub(super) async fn raise_alarm(
    rotation: RotationId,
    seq: i32,
    alarm: &str,
    tx: &mut Tx,
) -> Result<(), LedgerError> {
    sqlx::query!(
        "insert into rotation_alarms (rotation_id, seq, alarm) values ($1, $2, $3)
         on conflict do nothing",
        rotation.uuid(),
        seq,
        alarm,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Puts alarms on record; says which of them nobody has raised before.
pub(super) async fn raise_alarms(
    due: &[(RotationId, i32, String)],
    ledger: &Ledger,
) -> Result<Vec<(RotationId, String)>, LedgerError> {
    let rotations: Vec<Uuid> = due.iter().map(|(id, ..)| id.uuid()).collect();
    let seqs: Vec<i32> = due.iter().map(|(_, seq, _)| *seq).collect();
    let alarms: Vec<String> = due.iter().map(|(.., it)| it.clone()).collect();
    let rows = sqlx::query!(
        "insert into rotation_alarms (rotation_id, seq, alarm)
         select * from unnest($1::uuid[], $2::int[], $3::text[])
         on conflict do nothing returning rotation_id, alarm",
        &rotations,
        &seqs,
        &alarms,
    )
    .fetch_all(ledger.pool())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.rotation_id.into(), row.alarm))
        .collect())
}

/// The alarms of a rotation, oldest first.
pub(super) async fn alarms(
    rotation: RotationId,
    ledger: &Ledger,
) -> Result<Vec<(String, OffsetDateTime)>, LedgerError> {
    let rows = sqlx::query!(
        "select alarm, raised_at from rotation_alarms where rotation_id = $1 order by raised_at",
        rotation.uuid(),
    )
    .fetch_all(ledger.pool())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.alarm, row.raised_at))
        .collect())
}
