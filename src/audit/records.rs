//! `writers` and `leaves`.

use futures_core::future::BoxFuture;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::{Leaf, Place, leaf};
use crate::id::BootId;
use crate::ledger::{Bounded, Function, Ledger, LedgerError, Run};
use crate::standing::{self, Look, Standing};

/// A leaf on its way into the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) kind: &'static str,
    pub(crate) subject: Uuid,
    pub(crate) bytes: Vec<u8>,
    pub(crate) hash: [u8; 32],
}

impl Row {
    /// Writes a leaf as bytes.
    pub(crate) fn new(leaf: &Leaf) -> Self {
        let bytes = leaf.to_bytes();
        Self {
            kind: leaf.kind(),
            subject: leaf.subject(),
            hash: leaf::leaf_hash(&bytes),
            bytes,
        }
    }
}

/// Puts a run of a writer on record; says its number.
pub(super) async fn insert_run(
    boot: BootId,
    writer: &str,
    ledger: &Ledger,
) -> Result<i32, LedgerError> {
    let run = sqlx::query_scalar!(
        "insert into writers (boot, writer, version) values ($1, $2, $3) returning run",
        boot.uuid(),
        writer,
        env!("CARGO_PKG_VERSION"),
    )
    .fetch_one(ledger.pool())
    .await?;
    Ok(run)
}

pub(super) async fn insert_leaves(rows: Vec<Row>, place: Place<'_>) -> Result<(), LedgerError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut kinds = Vec::with_capacity(rows.len());
    let mut subjects = Vec::with_capacity(rows.len());
    let mut leaves = Vec::with_capacity(rows.len());
    let mut hashes = Vec::with_capacity(rows.len());
    for row in rows {
        kinds.push(row.kind.to_owned());
        subjects.push(row.subject);
        leaves.push(row.bytes);
        hashes.push(row.hash.to_vec());
    }
    sqlx::query!(
        "insert into leaves (run, batch, position, kind, subject_id, leaf, leaf_hash)
         select $1, $2, ($3 + n - 1)::int, kind, subject, leaf, hash
         from unnest($4::text[], $5::uuid[], $6::bytea[], $7::bytea[])
             with ordinality as row (kind, subject, leaf, hash, n)",
        place.run.number,
        place.batch,
        i64::from(place.position),
        &kinds,
        &subjects,
        &leaves,
        &hashes,
    )
    .execute(place.session)
    .await?;
    Ok(())
}

/// `take_turn`: answers the turn, and whether the batch is in the log.
pub(super) struct TakeTurn {
    pub(super) run: i32,
    pub(super) batch: i64,
}

impl Function for TakeTurn {
    type Answer = (i32, bool);

    fn call<'a>(
        &'a mut self,
        session: Bounded<&'a mut PgConnection>,
    ) -> BoxFuture<'a, Result<Self::Answer, sqlx::Error>> {
        Box::pin(async move {
            let row = sqlx::query!(
                r#"select turn as "turn!", is_there as "is_there!" from take_turn($1, $2)"#,
                self.run,
                self.batch,
            )
            .fetch_one(session)
            .await?;
            Ok((row.turn, row.is_there))
        })
    }
}

/// The hashes of a batch's leaves.
pub(super) async fn leaf_hashes(
    run: Run,
    batch: i64,
    ledger: &Ledger,
) -> Result<Vec<Vec<u8>>, LedgerError> {
    let hashes = sqlx::query_scalar!(
        "select leaf_hash from leaves where run = $1 and batch = $2",
        run.number,
        batch,
    )
    .fetch_all(ledger.pool())
    .await?;
    Ok(hashes)
}

/// Whether a leaf of kind admin is of this.
pub(super) async fn has_noted(subject: Uuid, ledger: &Ledger) -> Result<bool, LedgerError> {
    let noted = sqlx::query_scalar!(
        r#"select exists (
               select from leaves where subject_id = $1 and kind = 'admin'
                 and kind not in ('intent', 'released', 'refused', 'abandoned')) as "noted!""#,
        subject,
    )
    .fetch_one(ledger.pool())
    .await?;
    Ok(noted)
}

/// `vouch`: commits that this run was seen, and says how things stand behind the gate.
pub(super) struct Vouch<'l> {
    pub(super) run: i32,
    pub(super) look: &'l Look,
}

impl Function for Vouch<'_> {
    type Answer = Standing;

    fn call<'a>(
        &'a mut self,
        session: Bounded<&'a mut PgConnection>,
    ) -> BoxFuture<'a, Result<Self::Answer, sqlx::Error>> {
        Box::pin(async move {
            let rows = sqlx::query!(
                r#"select id, state, epoch, is_over, authority, tightened from vouch($1, $2, $3)"#,
                self.run,
                &self.look.keys(),
                &self.look.credentials(),
            )
            .fetch_all(session)
            .await?;
            let rows = rows.into_iter().map(|row| standing::Row {
                id: row.id,
                state: row.state,
                epoch: row.epoch,
                is_over: row.is_over,
                authority: row.authority,
                tightened: row.tightened,
            });
            Ok(rows.collect())
        })
    }
}
