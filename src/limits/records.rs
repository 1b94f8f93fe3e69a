//! `limit_counters`, which `reserve_limits` counts in.

use time::OffsetDateTime;
use uuid::Uuid;

use super::book::Body;
use super::limited::What;
use super::reservation::{Counter, Full, Reservation};
use super::{Exceeded, Limits, Scope};
use crate::authority::Kind;
use crate::ledger::{Ledger, LedgerError, Tx};

/// How much of a limit is used.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = LimitUsed)]
pub struct Used {
    /// Which.
    #[schema(value_type = String, example = "notional_1h")]
    pub limit: &'static str,
    /// What it allows.
    pub value: String,
    /// How much of it is used.
    pub used: String,
    /// How much is left.
    pub left: String,
}

impl Used {
    /// How much is used of what is used and left together.
    #[expect(
        clippy::float_arithmetic,
        reason = "for who watches; nothing is decided by it"
    )]
    pub fn share(&self) -> f64 {
        let number = |text: &str| text.parse::<f64>().unwrap_or_default();
        let (used, left) = (number(&self.used), number(&self.left));
        if used + left > 0.0 {
            used / (used + left)
        } else {
            0.0
        }
    }
}

/// The limits of something, as a transaction behind the gate sees them.
pub(super) async fn find(scope: &Scope, tx: &mut Tx) -> Result<Option<Limits>, LedgerError> {
    let body = sqlx::query_scalar!(
        "select body from authority where kind = $1 and id = $2 order by version desc limit 1",
        Kind::Limit.name(),
        scope.id(),
    )
    .fetch_optional(tx.connection())
    .await?;
    let Some(body) = body.flatten() else {
        return Ok(None);
    };
    let body: Body = serde_json::from_slice(&body)
        .map_err(|error| LedgerError::Corrupt("authority", format!("{scope}: {error}")))?;
    Ok(Some(body.limits))
}

/// Sees to it that all is there that is to be counted in.
pub(super) async fn insert_counters(
    scope: &Scope,
    limits: &Limits,
    tx: &mut Tx,
) -> Result<(), LedgerError> {
    for what in What::ALL {
        let Some(counter) = Counter::of(*scope, what, limits.said()) else {
            continue;
        };
        sqlx::query!(
            "insert into limit_counters (id, scope, subject, what) values ($1, $2, $3, $4)
             on conflict (id) do nothing",
            counter.id,
            scope.kind().name(),
            scope.subject(),
            what.name(),
        )
        .execute(tx.connection())
        .await?;
    }
    Ok(())
}

/// How much is used of what is counted, now.
pub(super) async fn usage(
    scope: &Scope,
    limits: &Limits,
    ledger: &Ledger,
) -> Result<Vec<Used>, LedgerError> {
    let mut all = Vec::new();
    for what in What::ALL {
        if let Some(counter) = Counter::of(*scope, what, limits.said()) {
            all.extend(usage_of(&counter, ledger).await?);
        }
    }
    Ok(all)
}

/// How much is used of what one counter counts, now.
pub(super) async fn usage_of(counter: &Counter, ledger: &Ledger) -> Result<Vec<Used>, LedgerError> {
    let mut all = Vec::new();
    let row = sqlx::query!(
            r#"select (select sum(v) from unnest(slid(minute, slid_to / 5, greatest(slid_to, s) / 5)) v)::bigint as "minute!",
                      (select sum(v) from unnest(slid(hour, slid_to / 300, greatest(slid_to, s) / 300)) v)::bigint as "hour!",
                      (select sum(v) from unnest(slid(day, slid_to / 3600, greatest(slid_to, s) / 3600)) v)::bigint as "day!",
                      open, greatest(paced_to - us, 0)::bigint as "ahead_us!"
             from limit_counters,
                  (select floor(extract(epoch from clock_timestamp()))::bigint as s,
                          floor(extract(epoch from clock_timestamp()) * 1000000)::bigint as us) clock
             where id = $1"#,
            counter.id,
        )
        .fetch_optional(ledger.pool())
        .await?;
    let row = row.ok_or_else(|| LedgerError::Corrupt("limit_counters", counter.id.to_string()))?;
    for (of, limit, used) in [
        ("minute", counter.minute, row.minute),
        ("hour", counter.hour, row.hour),
        ("day", counter.day, row.day),
        ("open", counter.open, row.open),
    ] {
        if let Some(most) = limit {
            all.push(used_of(counter, of, used, most));
        }
    }
    if let (Some(every), Some(burst)) = (counter.every_us(), counter.burst()) {
        let ahead = u64::try_from(row.ahead_us).unwrap_or_default();
        let every = u64::try_from(every).unwrap_or(1).max(1);
        let used = i64::try_from(ahead.div_ceil(every)).unwrap_or(i64::MAX);
        all.push(used_of(counter, "pace", used, burst));
    }
    Ok(all)
}

fn used_of(counter: &Counter, of: &str, used: i64, most: i64) -> Used {
    let (limit, value) = counter.limit(of);
    Used {
        limit,
        value,
        used: used.to_string(),
        left: most.saturating_sub(used).max(0).to_string(),
    }
}

/// Counters as columns, one array for each argument of `reserve_limits`.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) id: Vec<Uuid>,
    pub(crate) minute: Vec<Option<i64>>,
    pub(crate) hour: Vec<Option<i64>>,
    pub(crate) day: Vec<Option<i64>>,
    pub(crate) open: Vec<Option<i64>>,
    pub(crate) every: Vec<Option<i64>>,
    pub(crate) burst: Vec<Option<i64>>,
}

impl From<&Reservation> for Counters {
    fn from(asks: &Reservation) -> Self {
        let mut counters = Self::default();
        asks.counters.iter().for_each(|it| counters.push(it));
        counters
    }
}

impl Counters {
    pub(crate) fn push(&mut self, counter: &Counter) {
        self.id.push(counter.id);
        self.minute.push(counter.minute);
        self.hour.push(counter.hour);
        self.day.push(counter.day);
        self.open.push(counter.open);
        self.every.push(counter.every_us());
        self.burst.push(counter.burst());
    }
}

/// Reserves by itself, where nothing else goes with it; or says what stands in the way.
pub(super) async fn reserve(
    asks: &Reservation,
    ledger: &Ledger,
) -> Result<Result<(), Exceeded>, LedgerError> {
    let c = Counters::from(asks);
    let numbers: Vec<i32> = (1..).take(asks.counters.len()).collect();
    let rows = vec![1; numbers.len()];
    let row = sqlx::query!(
        r#"select full_counter as "counter: Vec<i32>", full_of as "of: Vec<String>", full_used as "used: Vec<i64>",
                  full_until as "until: Vec<Option<OffsetDateTime>>"
         from reserve_limits(clock_timestamp(), $1, $2, $3, $4, $5, $6, $7, '{}', '{}', '{}', '{}', $8, $9, $10)"#,
        &c.id,
        &c.minute as &[Option<i64>],
        &c.hour as &[Option<i64>],
        &c.day as &[Option<i64>],
        &c.open as &[Option<i64>],
        &c.every as &[Option<i64>],
        &c.burst as &[Option<i64>],
        &[asks.amount] as &[i64],
        &rows,
        &numbers,
    )
    .fetch_one(ledger.pool())
    .await?;
    let all = fulls(row.counter, row.of, row.used, row.until);
    Ok(asks.exceeded(&all).map_or(Ok(()), Err))
}

/// Says what would stand in the way, and reserves nothing.
pub(super) async fn would_fit(
    asks: &Reservation,
    ledger: &Ledger,
) -> Result<Result<(), Exceeded>, LedgerError> {
    let c = Counters::from(asks);
    let row = sqlx::query!(
        r#"select full_counter as "counter: Vec<i32>", full_of as "of: Vec<String>", full_used as "used: Vec<i64>",
                  full_until as "until: Vec<Option<OffsetDateTime>>"
         from limits_would_fit($1, $2, $3, $4, $5, $6, $7, $8)"#,
        &c.id,
        &c.minute as &[Option<i64>],
        &c.hour as &[Option<i64>],
        &c.day as &[Option<i64>],
        &c.open as &[Option<i64>],
        &c.every as &[Option<i64>],
        &c.burst as &[Option<i64>],
        asks.amount,
    )
    .fetch_one(ledger.pool())
    .await?;
    let all = fulls(row.counter, row.of, row.used, row.until);
    Ok(asks.exceeded(&all).map_or(Ok(()), Err))
}

/// What does not fit, by the number of its counter.
pub(crate) fn fulls(
    counter: Option<Vec<i32>>,
    of: Option<Vec<String>>,
    used: Option<Vec<i64>>,
    until: Option<Vec<Option<OffsetDateTime>>>,
) -> Vec<(i32, Full)> {
    let numbers = counter.unwrap_or_default().into_iter();
    let which = numbers.zip(of.unwrap_or_default());
    let how = used.unwrap_or_default().into_iter();
    let how = how.zip(until.unwrap_or_default());
    which
        .zip(how)
        .map(|((number, of), (used, until))| (number, Full { of, used, until }))
        .collect()
}
