//! `destructions`, and rows of other tables that depend on a key.

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Obstacle, ObstacleKind, Request};
use crate::approvals::Approval;
use crate::ethereum::Address;
use crate::id::{CallerId, KeyId};
use crate::keys::{Key, KeyState, Purpose};
use crate::ledger::{Ledger, LedgerError, Tx};
use crate::name::Name;

/// A destruction on record.
#[derive(Clone, Debug)]
pub struct Destruction {
    /// The key.
    pub key: KeyId,
    /// The key's epoch while it waits.
    pub epoch: i64,
    /// Who asked for it.
    pub requested_by: CallerId,
    /// When.
    pub requested_at: OffsetDateTime,
    /// Why.
    pub reason: String,
    /// Who agreed.
    pub approval: String,
    /// The obstacles that were accepted.
    pub accepted: Vec<ObstacleKind>,
    /// Until when it can be cancelled.
    pub not_before: OffsetDateTime,
    /// When the device was about to get the order: since then there is no way back, unless the device waits.
    pub begun_at: Option<OffsetDateTime>,
    /// When the device destroys the key, where the device waits by itself. Until then it gives the key back.
    pub due_at: Option<OffsetDateTime>,
    /// Whether the key was disabled in the device before.
    pub was_disabled: bool,
    /// When it was over.
    pub ended_at: Option<OffsetDateTime>,
    /// `destroyed` or `cancelled`.
    pub outcome: Option<String>,
    /// Why the last attempt failed.
    pub trouble: Option<String>,
    /// The certificate.
    pub certificate: Option<serde_json::Value>,
    /// Whether the key was compromised before.
    pub was_compromised: bool,
    /// The key's state before.
    pub before: KeyState,
}

struct Row {
    key_id: Uuid,
    epoch: i64,
    requested_by: Uuid,
    requested_at: OffsetDateTime,
    reason: String,
    approval: String,
    accepted: Vec<String>,
    not_before: OffsetDateTime,
    begun_at: Option<OffsetDateTime>,
    due_at: Option<OffsetDateTime>,
    was_disabled: bool,
    ended_at: Option<OffsetDateTime>,
    outcome: Option<String>,
    trouble: Option<String>,
    certificate: Option<serde_json::Value>,
    was_compromised: bool,
    before: String,
}

macro_rules! select {
    ($which:literal, $($argument:expr),*) => {
        sqlx::query_as!(
            Row,
            r#"select key_id, epoch, requested_by, requested_at, reason, approval, accepted, not_before,
                      begun_at, due_at, was_disabled, ended_at, outcome, trouble, certificate,
                      exists (select from key_transitions t
                              where t.key_id = d.key_id and t.to_state = 'compromised') as "was_compromised!",
                      (select from_state from key_transitions t
                       where t.key_id = d.key_id and t.epoch = d.epoch) as "before!"
               from destructions d "# + $which,
            $($argument),*
        )
    };
}

impl TryFrom<Row> for Destruction {
    type Error = LedgerError;

    fn try_from(row: Row) -> Result<Self, LedgerError> {
        let corrupt =
            || LedgerError::Corrupt("destructions", format!("accepted of {}", row.key_id));
        let before = KeyState::from_name(&row.before).ok_or_else(|| {
            LedgerError::Corrupt("key_transitions", format!("from_state of {}", row.key_id))
        })?;
        let accepted = row.accepted.iter().map(|it| ObstacleKind::from_name(it));
        Ok(Self {
            accepted: accepted.collect::<Option<_>>().ok_or_else(corrupt)?,
            key: row.key_id.into(),
            epoch: row.epoch,
            requested_by: row.requested_by.into(),
            requested_at: row.requested_at,
            reason: row.reason,
            approval: row.approval,
            not_before: row.not_before,
            begun_at: row.begun_at,
            due_at: row.due_at,
            was_disabled: row.was_disabled,
            ended_at: row.ended_at,
            outcome: row.outcome,
            trouble: row.trouble,
            certificate: row.certificate,
            was_compromised: row.was_compromised,
            before,
        })
    }
}

/// A key's latest destruction.
pub(super) async fn latest(
    key: KeyId,
    ledger: &Ledger,
) -> Result<Option<Destruction>, LedgerError> {
    let row = select!("where key_id = $1 order by epoch desc limit 1", key.uuid())
        .fetch_optional(ledger.pool())
        .await?;
    row.map(Destruction::try_from).transpose()
}

/// The destruction that the transaction has just put on record.
pub(super) async fn of_epoch(
    key: KeyId,
    epoch: i64,
    tx: &mut Tx,
) -> Result<Destruction, LedgerError> {
    select!("where key_id = $1 and epoch = $2", key.uuid(), epoch)
        .fetch_one(tx.connection())
        .await?
        .try_into()
}

/// Destructions that have waited long enough by our clock and the database's, and those that were begun.
pub(super) async fn due(
    now: OffsetDateTime,
    ledger: &Ledger,
) -> Result<Vec<Destruction>, LedgerError> {
    let rows = select!(
        "where ended_at is null and (begun_at is not null or not_before <= least($1, now()))
         order by not_before limit 100",
        now
    )
    .fetch_all(ledger.pool())
    .await?;
    rows.into_iter().map(Destruction::try_from).collect()
}

/// The wait is counted by the database's clock.
pub(super) async fn insert(
    moved: &Key,
    request: &Request,
    wait: Duration,
    by: CallerId,
    approval: Approval,
    tx: &mut Tx,
) -> Result<(), LedgerError> {
    let accepted: Vec<_> = request.accept.iter().map(|it| it.name().into()).collect();
    sqlx::query!(
        "insert into destructions (key_id, epoch, requested_by, reason, approval, accepted, not_before)
         values ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))",
        moved.id.uuid(),
        moved.epoch,
        by.uuid(),
        request.reason.as_str(),
        approval.to_string(),
        &accepted as &[String],
        wait.as_seconds_f64(),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Cancels the destruction that a key waits for. `Some(false)`: it has begun and goes on. `None`: there is
/// none.
pub(super) async fn cancel(
    key: &Key,
    given_back: bool,
    tx: &mut Tx,
) -> Result<Option<bool>, LedgerError> {
    let begun = sqlx::query_scalar!(
        r#"select begun_at is not null and (due_at is null or not $3) as "begun!" from destructions
           where key_id = $1 and epoch = $2 and ended_at is null for update"#,
        key.id.uuid(),
        key.epoch,
        given_back,
    )
    .fetch_optional(tx.connection())
    .await?;
    if begun == Some(false) {
        sqlx::query!(
            "update destructions set outcome = 'cancelled', ended_at = now(), trouble = null
             where key_id = $1 and epoch = $2",
            key.id.uuid(),
            key.epoch,
        )
        .execute(tx.connection())
        .await?;
    }
    Ok(begun.map(|begun| !begun))
}

/// Puts on record that the device gets the order next. `false`: it was cancelled, or another replica began.
pub(super) async fn begin(
    due: &Destruction,
    was_disabled: bool,
    tx: &mut Tx,
) -> Result<bool, LedgerError> {
    let begun = sqlx::query!(
        "update destructions d set begun_at = now(), was_disabled = $3, trouble = null
         where key_id = $1 and epoch = $2 and begun_at is null and ended_at is null
           and exists (select from keys k where k.id = d.key_id and k.epoch = d.epoch)",
        due.key.uuid(),
        due.epoch,
        was_disabled,
    )
    .execute(tx.connection())
    .await?;
    Ok(begun.rows_affected() == 1)
}

/// Puts on record when the device destroys the key. `false`: the destruction is over, or the date is known.
pub(super) async fn set_due(
    due: &Destruction,
    at: OffsetDateTime,
    tx: &mut Tx,
) -> Result<bool, LedgerError> {
    let set = sqlx::query!(
        "update destructions set due_at = $3, trouble = null
         where key_id = $1 and epoch = $2 and begun_at is not null and ended_at is null
           and due_at is distinct from $3",
        due.key.uuid(),
        due.epoch,
        at,
    )
    .execute(tx.connection())
    .await?;
    Ok(set.rows_affected() == 1)
}

/// Clears the trouble of an earlier attempt.
pub(super) async fn clear_trouble(due: &Destruction, ledger: &Ledger) -> Result<(), LedgerError> {
    sqlx::query!(
        "update destructions set trouble = null
         where key_id = $1 and epoch = $2 and ended_at is null",
        due.key.uuid(),
        due.epoch,
    )
    .execute(ledger.pool())
    .await?;
    Ok(())
}

/// Whether the device ever got an order to destroy this key.
pub(super) async fn was_begun(key: KeyId, ledger: &Ledger) -> Result<bool, LedgerError> {
    let begun = sqlx::query_scalar!(
        r#"select exists (select from destructions where key_id = $1 and begun_at is not null) as "begun!""#,
        key.uuid(),
    )
    .fetch_one(ledger.pool())
    .await?;
    Ok(begun)
}

/// Puts the end on record. `false`: another replica did.
pub(super) async fn finish(
    due: &Destruction,
    certificate: &serde_json::Value,
    tx: &mut Tx,
) -> Result<bool, LedgerError> {
    let ended = sqlx::query!(
        "update destructions set outcome = 'destroyed', ended_at = now(), trouble = null, certificate = $3
         where key_id = $1 and epoch = $2 and begun_at is not null and ended_at is null",
        due.key.uuid(),
        due.epoch,
        certificate,
    )
    .execute(tx.connection())
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// Puts on record why an attempt failed. Returns whether that is news.
pub(super) async fn set_trouble(
    due: &Destruction,
    trouble: &str,
    ledger: &Ledger,
) -> Result<bool, LedgerError> {
    let news = sqlx::query!(
        "update destructions set trouble = $3
         where key_id = $1 and epoch = $2 and ended_at is null and trouble is distinct from $3",
        due.key.uuid(),
        due.epoch,
        trouble,
    )
    .execute(ledger.pool())
    .await?;
    Ok(news.rows_affected() == 1)
}

/// What depends on a key besides orders.
pub(super) async fn obstacles(
    key: &Key,
    address: Option<&Address>,
    users: Vec<Obstacle>,
    ledger: &Ledger,
) -> Result<Vec<Obstacle>, LedgerError> {
    let mut found = Vec::new();
    let open = sqlx::query_scalar!(
        r#"select count(*) as "open!" from intents i
           where i.key_id = $1 and i.lease_until >= (select until from swept)
             and not exists (select from ends e where e.intent_id = i.id)"#,
        key.id.uuid(),
    )
    .fetch_one(ledger.pool())
    .await?;
    if open > 0 {
        let detail = format!("{open} signatures without an end");
        found.push(Obstacle::new(ObstacleKind::UnderWay, detail));
    }
    if let Some(address) = address {
        found.extend(credentials(address, ledger).await?);
    }
    found.extend(users);
    if key.purpose == Purpose::Client {
        found.extend(registration(key, ledger).await?);
    }
    Ok(found)
}

async fn credentials(address: &Address, ledger: &Ledger) -> Result<Vec<Obstacle>, LedgerError> {
    let rows = sqlx::query!(
        r#"select a.chain_id as "chain_id!", c.api_key as "what!", c.state as "state!"
           from credentials c join accounts a on a.id = c.account_id
           where a.address = $1 and c.kind = 'trading' and c.state in ('live', 'unproven')
           union all
           select a.chain_id, l.nonce::text, 'login'
           from logins l join accounts a on a.id = l.account_id
           left join ends e on e.intent_id = l.intent_id
           where a.address = $1 and l.outcome is null and l.purpose <> 'derive'
             and e.outcome is distinct from 'refused' and e.outcome is distinct from 'abandoned'"#,
        address.0.as_slice(),
    )
    .fetch_all(ledger.pool())
    .await?;
    let rows = rows.into_iter().map(|row| {
        let (chain, what) = (row.chain_id, row.what);
        match row.state.as_str() {
            "login" => {
                let detail = format!("what nonce {what} did on chain {chain} is not known");
                Obstacle::new(ObstacleKind::UnsettledLogins, detail)
            }
            state => {
                let detail = format!("API key {what} on chain {chain} is {state}");
                Obstacle::new(ObstacleKind::LiveCredentials, detail)
            }
        }
    });
    Ok(rows.collect())
}

/// Whether the counterparty has a client key registered: one that was in use or handed in counts as
/// registered until a rotation has proved that it is removed.
async fn registration(key: &Key, ledger: &Ledger) -> Result<Vec<Obstacle>, LedgerError> {
    let registered = sqlx::query_scalar!(
        r#"with steps as (
               select r.old_key_id, r.new_key_id, r.state, s.step
               from rotations r join rotation_steps s on s.rotation_id = r.id
               where $1 in (r.old_key_id, r.new_key_id))
           select (exists (select from key_transitions where key_id = $1 and to_state = 'active')
                   or exists (select from steps where new_key_id = $1 and step = 'submit'))
              and not exists (
                   select from steps
                   where step = 'prove-removal'
                     and case when state in ('abandoned', 'rolled-back') then new_key_id else old_key_id end = $1)
              as "is!""#,
        key.id.uuid(),
    )
    .fetch_one(ledger.pool())
    .await?;
    let registered = registered.then(|| {
        let detail = "its removal at the counterparty is not proved".to_owned();
        Obstacle::new(ObstacleKind::Registered, detail)
    });
    Ok(registered.into_iter().collect())
}

/// Destructions that begin within so long, and were asked for longer before.
pub(super) async fn about_to_begin(
    within: Duration,
    ledger: &Ledger,
) -> Result<Vec<(Name, KeyId, OffsetDateTime)>, LedgerError> {
    let rows = sqlx::query!(
        "select k.name, d.key_id, d.not_before
         from destructions d join keys k on k.id = d.key_id
         where d.ended_at is null and d.begun_at is null
           and d.not_before < now() + make_interval(secs => $1)
           and d.requested_at < d.not_before - make_interval(secs => $1)",
        within.as_seconds_f64(),
    )
    .fetch_all(ledger.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            let name = Name::from_record("keys", row.name)?;
            Ok((name, row.key_id.into(), row.not_before))
        })
        .collect()
}
