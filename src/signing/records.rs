//! `intents`, `ends`, `takeovers` and `jtis`, which functions of the database write. Their columns keep the names of
//! those who first had an alias and an identifier: an order's hash, an assertion's `jti`.

use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use time::OffsetDateTime;
use uuid::Uuid;

use super::columns::{Columns, Decided};
use super::packed;
use super::signatures::{By, Entry};
use super::{LARGEST_BATCH, SameRequest};
use crate::audit::{Batch, Event, Leaf, Place, leaf};
use crate::authority::Head;
use crate::callers::Kind;
use crate::clock::Clock;
use crate::id::IntentId;
use crate::ledger::{Ledger, LedgerError};
use crate::limits::records::fulls;
use crate::standing::KeyStanding;

/// A group on its way into the log by itself.
pub(super) struct SignGroup<'c> {
    pub(super) columns: &'c Columns<'c>,
    pub(super) lease_ms: u64,
    pub(super) clock: &'c Clock,
}

impl Batch for SignGroup<'_> {
    type Answer = Decided;

    fn write<'a>(
        &'a mut self,
        place: Place<'a>,
    ) -> BoxFuture<'a, Result<(Decided, usize), sqlx::Error>> {
        Box::pin(async move {
            let now_ms = self.clock.unix_ms(); // what is left of a life is less at a second call
            let decided = sign_group(self.columns, self.lease_ms, now_ms, place).await?;
            let leaves = decided.leaves;
            Ok((decided, leaves))
        })
    }
}

/// `sign_group`, which commits by itself where it is not part of a transaction.
#[expect(
    clippy::many_single_char_names,
    clippy::too_many_lines,
    reason = "the function has as many arguments, and they begin with these letters"
)]
pub(super) async fn sign_group(
    columns: &Columns<'_>,
    lease_ms: u64,
    now_ms: i64,
    place: Place<'_>,
) -> Result<Decided, sqlx::Error> {
    let Columns {
        rights,
        ends: e,
        batches: b,
        intents: i,
        identifiers: j,
        notes: n,
        asks,
    } = columns;
    let c = &asks.columns;
    let (u_asker, u_counter) = asks.pairs(i.intent.len());
    let points = e.r.iter().flatten().count();
    let left_ms = e.left_ms(now_ms);
    let begun = Instant::now();
    let row = sqlx::query!(
        r#"select holds, key_state as "key_state: Vec<Option<String>>", key_epoch as "key_epoch: Vec<Option<i64>>",
                  key_is_over as "key_is_over: Vec<Option<bool>>", is_live, authority, tightened, ended, late, repeated, held, won, leaves as "leaves!", took_us as "took_us!",
                  full_asker, full_counter, full_of, full_used, full_until as "full_until: Vec<Option<OffsetDateTime>>",
                  same, same_intent, same_key
         from sign_group($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
                         $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40,
                         $41, $42, $43, $44, $45, $46, $47, $48, $49, $50, $51, $52, $53, $54, $55, $56, $57, $58, $59, $60,
                         $61, $62, $63, $64, $65, $66)"#,
        place.run.number,
        place.run.turn,
        place.batch,
        place.position,
        i32::try_from(lease_ms).unwrap_or(i32::MAX),
        i32::try_from(points).unwrap_or(i32::MAX),
        &rights.keys(),
        &rights.epochs(),
        &rights.credentials(),
        &rights.states() as &[&str],
        &rights.last(),
        &rights.decided(),
        &e.intent,
        &e.attempt,
        &e.right,
        &e.outcome as &[&str],
        &e.reason as &[Option<&str>],
        &left_ms as &[Option<i64>],
        &e.r as &[Option<&[u8]>],
        &e.digest as &[Option<&[u8]>],
        &e.alias as &[Option<&[u8]>],
        &e.answer as &[Option<&[u8]>],
        &e.sealed,
        &e.expires as &[Option<OffsetDateTime>],
        &e.leaf as &[&[u8]],
        &e.hash as &[&[u8]],
        &b.caller,
        &b.key as &[&str],
        &b.request as &[&[u8]],
        &b.until as &[Option<OffsetDateTime>],
        &b.hours,
        &i.intent,
        &i.right,
        &i.batch,
        &i.operation as &[&str],
        &i.errand as &[&str],
        &i.caller,
        &i.subject,
        &i.request as &[&[u8]],
        &i.key as &[Option<&str>],
        &i.until as &[Option<OffsetDateTime>],
        &i.hours,
        &i.digest as &[&[u8]],
        &i.leaf as &[&[u8]],
        &i.hash as &[&[u8]],
        &i.amount,
        &j.intent,
        &j.id,
        &j.issuer,
        &j.issued,
        &j.expires,
        &n.right,
        &n.kind as &[&str],
        &n.subject,
        &n.leaf as &[&[u8]],
        &n.hash as &[&[u8]],
        &c.id,
        &c.minute as &[Option<i64>],
        &c.hour as &[Option<i64>],
        &c.day as &[Option<i64>],
        &c.open as &[Option<i64>],
        &c.every as &[Option<i64>],
        &c.burst as &[Option<i64>],
        &u_asker,
        &u_counter,
        i.apart_s(),
    )
    .fetch_one(place.session)
    .await?;
    let keys = standings(row.key_state, row.key_epoch, row.key_is_over);
    let holds = row.holds.unwrap_or_default().into_iter();
    let facts = holds.zip(keys).zip(row.is_live.unwrap_or_default());
    let facts = facts.map(|((holds, key), is_live)| (holds, key, is_live));
    let fulls = fulls(row.full_counter, row.full_of, row.full_used, row.full_until);
    let full = row.full_asker.unwrap_or_default().into_iter().zip(fulls);
    let full = full
        .filter_map(|(asker, (counter, full))| columns.unfit(asker, counter, &full))
        .collect();
    let first = row.same_intent.unwrap_or_default().into_iter();
    let first = first.zip(row.same_key.unwrap_or_default());
    let first = first.map(|(id, key)| SameRequest { id: id.into(), key });
    let same = row.same.unwrap_or_default().into_iter().zip(first);
    let head = Head::read(row.authority, row.tightened);
    let set = |ids: Option<Vec<Uuid>>| ids.unwrap_or_default().into_iter().collect();
    Ok(Decided {
        rights: rights.standings(facts, head),
        head,
        ended: set(row.ended),
        late: set(row.late),
        repeated: set(row.repeated),
        held: row.held.unwrap_or_default().into_iter().collect(),
        won: set(row.won),
        same: same.collect(),
        full,
        leaves: usize::try_from(row.leaves).unwrap_or_default(),
        // The call arrived no earlier, and its commit came after that.
        since: Some(begun + Duration::from_micros(row.took_us.try_into().unwrap_or_default())),
    })
}

/// How keys stand, in the order of the rights; `None`: one is not on record.
fn standings(
    states: Option<Vec<Option<String>>>,
    epochs: Option<Vec<Option<i64>>>,
    are_over: Option<Vec<Option<bool>>>,
) -> impl Iterator<Item = Option<KeyStanding>> {
    let states = states.unwrap_or_default().into_iter();
    let facts = states.zip(epochs.unwrap_or_default());
    facts
        .zip(are_over.unwrap_or_default())
        .map(|((state, epoch), is_over)| {
            Some(KeyStanding {
                state: state?,
                epoch: epoch?,
                is_over: is_over?,
            })
        })
}

/// Takes over intents whose lease has run out; says which, as which attempt.
pub(super) async fn take_over(
    lease_ms: u64,
    at_most: i32,
    ledger: &Ledger,
) -> Result<Vec<(IntentId, i32)>, LedgerError> {
    let rows = sqlx::query!(
        r#"select intent_id as "intent_id!", attempt as "attempt!" from take_over($1, $2)"#,
        i32::try_from(lease_ms).unwrap_or(i32::MAX),
        at_most,
    )
    .fetch_all(ledger.pool())
    .await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|row| (row.intent_id.into(), row.attempt))
        .collect())
}

pub(super) async fn find_signatures(by: &By, ledger: &Ledger) -> Result<Vec<Entry>, LedgerError> {
    let (mut id, mut identifier, mut alias, mut caller) = (None, None, None, None);
    let (mut digests, mut r, mut keys) = (Vec::new(), None, Vec::new());
    match by {
        By::Id(it) => id = Some(it.uuid()),
        By::Digest(it) => digests = vec![it.to_vec()],
        By::Digests(all) => digests = all.iter().map(|it| it.to_vec()).collect(),
        By::R(it) => r = Some(it.as_slice()),
        By::Alias(it) => alias = Some(it.as_slice()),
        By::Identifier(it) => identifier = Some(*it),
        By::IdempotencyKey(by, it) => {
            caller = Some(by.uuid());
            let items = (0..LARGEST_BATCH).map_while(|number| it.of_item(number).ok());
            keys = items.map(|key| key.to_string()).collect();
            keys.push(it.to_string());
        }
    }
    let rows = sqlx::query!(
        r#"with found as materialized (
             select id from intents where id = $1
             union all select id from intents where digest = any($2)
             union all select intent_id from ends where order_hash = $3
             -- An order whose hash is its digest.
             union all select i.id from intents i join ends e on e.intent_id = i.id
                 where i.digest = $3 and i.operation = 'order' and e.order_hash is null
             union all select intent_id from idempotency_keys where caller_id = $4 and key = any($5)
             union all select i.id from signature_points p join intents i on i.digest = p.digest and i.key_id = p.key_id
                 where p.r = $6
             union all select intent_id from jtis where jti = $7
             -- Here, so that few rows are looked up however many the planner expects.
             order by id desc limit 100)
         select i.id, i.operation, i.caller_id, i.subject_id, i.key_id, i.digest, l.leaf, e.outcome as "outcome?",
                e.reason, i.created_at, e.ended_at as "ended_at?",
                case when i.operation = 'order' and e.outcome = 'released' then coalesce(e.order_hash, i.digest)
                     end as order_hash,
                case when e.answer_is_sealed then null else e.answer end as answer, d.leaf as "released_leaf?"
         from intents i
         join leaves l on l.run = i.run and l.batch = i.batch and l.subject_id = i.id
         left join ends e on e.intent_id = i.id
         left join leaves d on d.run = e.run and d.batch = e.batch and d.subject_id = e.intent_id
         where i.id in (select id from found)
         order by i.id desc"#,
        id,
        &digests,
        alias,
        caller,
        &keys,
        r,
        identifier,
    )
    .fetch_all(ledger.pool())
    .await?;
    rows.into_iter()
        .filter(|row| !is_agreement(&row.leaf))
        .map(|row| {
            let corrupt = |table| LedgerError::Corrupt(table, row.id.to_string());
            let unpack = |stored| {
                let answer = packed::unpack(stored, &row.leaf).ok_or_else(|| corrupt("ends"))?;
                let released = row.released_leaf.as_deref().unwrap_or_default();
                packed::is_as_released(&answer, released, row.id.into())?;
                Ok::<_, LedgerError>(answer)
            };
            let intent = intent(&row.leaf).ok_or_else(|| corrupt("leaves"))?;
            let kind = intent.credential_kind.as_deref();
            Ok(Entry {
                id: row.id.into(),
                operation: row.operation,
                caller: row.caller_id.into(),
                credential: intent.credential,
                kind: kind
                    .map_or(Some(Kind::Token), Kind::from_name)
                    .ok_or_else(|| corrupt("leaves"))?,
                subject: row.subject_id,
                key: row.key_id.into(),
                digest: row.digest,
                alias: row.order_hash,
                record: serde_json::from_str(&intent.record).map_err(|_| corrupt("leaves"))?,
                outcome: row.outcome,
                reason: row.reason,
                created_at: row.created_at,
                ended_at: row.ended_at,
                answer: row.answer.map(unpack).transpose()?,
                withheld: None,
            })
        })
        .collect()
}

/// Whether a leaf says on whose agreement something is signed: it stands beside the intent's, under the same id.
fn is_agreement(leaf: &[u8]) -> bool {
    matches!(
        Leaf::from_bytes(leaf).map(|it| it.event),
        Some(Event::Admin(_))
    )
}

/// What was to be signed, and for whom, as the leaf of its intent says.
fn intent(leaf: &[u8]) -> Option<Box<leaf::Intent>> {
    match Leaf::from_bytes(leaf)?.event {
        Event::Intent(intent) => Some(intent),
        _ => None,
    }
}
