//! `notices` and `notice_deliveries`.

use std::collections::BTreeMap;
use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Kind, Notice, State};
use crate::id::NoticeId;
use crate::ledger::{Ledger, LedgerError};
use crate::name::Name;

/// So many notices are addressed at a time.
const AT_A_TIME: i64 = 100;

/// So many are listed.
const LISTED: i64 = 1_000;

/// How long a notice is kept, in days.
const KEPT_DAYS: i32 = 30;

/// A delivery that this process is to try.
pub(super) struct Claimed {
    pub(super) notice: Notice,
    pub(super) at: OffsetDateTime,
    /// The number of the try, from 1.
    pub(super) attempt: i32,
}

/// How a try has ended.
pub(super) enum Outcome<'a> {
    /// The destination has taken it.
    Delivered,
    /// It is tried again after a while.
    Again(Duration, &'a str),
    /// It is not.
    Dead(&'a str),
}

/// A notice on record, for people.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = NoticeView)]
pub struct Told {
    /// Its id: `webhook-id`, and in the mail's `Message-ID`.
    #[schema(value_type = String)]
    pub id: NoticeId,
    /// Of what kind it is.
    pub kind: Kind,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// In one plain sentence.
    sentence: String,
    /// The names and ids in it.
    about: BTreeMap<String, String>,
    /// Its deliveries: none where no destination wants its kind, or it was not looked at yet.
    pub deliveries: Vec<Delivery>,
}

/// A notice on its way to a destination.
#[derive(Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[schema(as = NoticeDelivery)]
pub struct Delivery {
    /// The webhook's name, or `mail`.
    pub destination: String,
    /// How it stands.
    pub state: State,
    /// How often it was tried.
    attempts: i32,
    /// When it is tried next, while it waits.
    #[serde(with = "time::serde::rfc3339")]
    next_at: OffsetDateTime,
    /// Why the last try failed.
    trouble: Option<String>,
}

/// Leaves a notice. One that is told once and was told already is left out.
pub(crate) async fn insert(
    notice: &Notice,
    on: impl sqlx::PgExecutor<'_>,
) -> Result<(), LedgerError> {
    let about = serde_json::to_value(&notice.about).expect("plain data serializes");
    sqlx::query!(
        "insert into notices (id, kind, once, sentence, about) values ($1, $2, $3, $4, $5)
         on conflict (once) do nothing",
        notice.id.uuid(),
        notice.kind.name(),
        notice.once,
        notice.sentence,
        about,
    )
    .execute(on)
    .await?;
    Ok(())
}

/// Writes a delivery for each of these destinations that wants a notice's kind.
pub(super) async fn address(wanted: &[(Name, Kind)], ledger: &Ledger) -> Result<(), LedgerError> {
    let destinations: Vec<_> = wanted.iter().map(|it| it.0.to_string()).collect();
    let kinds: Vec<_> = wanted.iter().map(|it| it.1.name().to_owned()).collect();
    sqlx::query!(
        "with fresh as materialized (
             select id, kind from notices where addressed_at is null
             order by id limit $3 for update skip locked),
         addressed as (
             insert into notice_deliveries (notice_id, destination)
             select f.id, d.name from fresh f
             join unnest($1::text[], $2::text[]) as d (name, kind) on d.kind = f.kind)
         update notices n set addressed_at = clock_timestamp() from fresh f where n.id = f.id",
        &destinations,
        &kinds,
        AT_A_TIME,
    )
    .execute(ledger.pool())
    .await?;
    Ok(())
}

/// Takes the delivery to a destination that has been due longest, of alarms and halts before all others: whoever
/// asks for much has nobody told of those any later (P11). And puts its next try so far ahead.
pub(super) async fn claim(
    destination: &Name,
    lease: Duration,
    ledger: &Ledger,
) -> Result<Option<Claimed>, LedgerError> {
    let row = sqlx::query!(
        "with next as materialized (
             select w.notice_id from notice_deliveries w join notices a on a.id = w.notice_id
             where w.destination = $1 and w.state = 'waiting' and w.next_at <= clock_timestamp()
             order by a.kind in ('alarm', 'halt-set') desc, w.next_at limit 1
             for update of w skip locked)
         update notice_deliveries d
         set attempts = d.attempts + 1, next_at = clock_timestamp() + make_interval(secs => $2)
         from next, notices n
         where d.notice_id = next.notice_id and d.destination = $1 and n.id = d.notice_id
         returning n.id, n.kind, n.at, n.sentence, n.about, d.attempts",
        destination.as_str(),
        lease.as_secs_f64(),
    )
    .fetch_optional(ledger.pool())
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    Ok(Some(Claimed {
        notice: Notice {
            id: row.id.into(),
            kind: kind(&row.kind, row.id)?,
            sentence: row.sentence,
            about: about(row.about, row.id)?,
            once: None,
        },
        at: row.at,
        attempt: row.attempts,
    }))
}

/// Puts on record how a try has ended. That it was taken holds, whoever has begun another try since.
pub(super) async fn settle(
    claimed: &Claimed,
    destination: &Name,
    outcome: &Outcome<'_>,
    ledger: &Ledger,
) -> Result<(), LedgerError> {
    let (state, after, trouble) = match *outcome {
        Outcome::Delivered => (State::Delivered, Duration::ZERO, None),
        Outcome::Again(after, why) => (State::Waiting, after, Some(why)),
        Outcome::Dead(why) => (State::Dead, Duration::ZERO, Some(why)),
    };
    sqlx::query!(
        "update notice_deliveries
         set state = $4, trouble = $6, next_at = clock_timestamp() + make_interval(secs => $5),
             ended_at = case when $4 <> 'waiting' then clock_timestamp() end
         where notice_id = $1 and destination = $2 and state = 'waiting'
           and (attempts = $3 or $4 = 'delivered')",
        claimed.notice.id.uuid(),
        destination.as_str(),
        claimed.attempt,
        state.name(),
        after.as_secs_f64(),
        trouble,
    )
    .execute(ledger.pool())
    .await?;
    Ok(())
}

/// Forgets what is old, whatever has become of it.
pub(super) async fn forget(ledger: &Ledger) -> Result<(), LedgerError> {
    sqlx::query!(
        "delete from notices where at < now() - make_interval(days => $1)",
        KEPT_DAYS
    )
    .execute(ledger.pool())
    .await?;
    Ok(())
}

/// The latest, the newest first; those with a delivery in this state, where one is given.
pub(super) async fn list(state: Option<State>, ledger: &Ledger) -> Result<Vec<Told>, LedgerError> {
    let rows = sqlx::query!(
        r#"select n.id, n.kind, n.at, n.sentence, n.about,
                  coalesce((select jsonb_agg(jsonb_build_object('destination', d.destination, 'state', d.state,
                                'attempts', d.attempts, 'next_at', d.next_at, 'trouble', d.trouble)
                                order by d.destination)
                            from notice_deliveries d where d.notice_id = n.id), '[]') as "deliveries!"
           from notices n
           where $1::text is null
              or exists (select from notice_deliveries d where d.notice_id = n.id and d.state = $1)
           order by n.id desc limit $2"#,
        state.map(State::name),
        LISTED,
    )
    .fetch_all(ledger.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Told {
                id: row.id.into(),
                kind: kind(&row.kind, row.id)?,
                at: row.at,
                sentence: row.sentence,
                about: about(row.about, row.id)?,
                deliveries: serde_json::from_value(row.deliveries)
                    .map_err(|error| corrupt(row.id, &error))?,
            })
        })
        .collect()
}

/// How many deliveries are dead, and how many wait for a destination that is none of these.
pub(crate) async fn stuck(
    destinations: &[String],
    ledger: &Ledger,
) -> Result<(i64, i64), LedgerError> {
    let row = sqlx::query!(
        r#"select count(*) filter (where state = 'dead') as "dead!",
                  count(*) filter (where state = 'waiting' and destination <> all($1)) as "stray!"
           from notice_deliveries"#,
        destinations,
    )
    .fetch_one(ledger.pool())
    .await?;
    Ok((row.dead, row.stray))
}

fn kind(name: &str, id: Uuid) -> Result<Kind, LedgerError> {
    Kind::from_name(name).ok_or_else(|| corrupt(id, &name))
}

fn about(value: serde_json::Value, id: Uuid) -> Result<BTreeMap<String, String>, LedgerError> {
    serde_json::from_value(value).map_err(|error| corrupt(id, &error))
}

fn corrupt(id: Uuid, why: &dyn std::fmt::Display) -> LedgerError {
    LedgerError::Corrupt("notices", format!("{id}: {why}"))
}
