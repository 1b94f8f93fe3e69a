//! `writers` and `leaves`.

use uuid::Uuid;

use crate::id::BootId;
use crate::ledger::{Ledger, LedgerError, Tx};

/// A leaf on its way into the table.
pub(super) struct Row {
    pub(super) kind: &'static str,
    pub(super) subject: Uuid,
    pub(super) bytes: Vec<u8>,
    pub(super) hash: [u8; 32],
}

pub(super) async fn insert_boot(
    boot: BootId,
    writer: &str,
    ledger: &Ledger,
) -> Result<(), LedgerError> {
    sqlx::query!(
        "insert into writers (boot, writer, version) values ($1, $2, $3)",
        boot.uuid(),
        writer,
        env!("CARGO_PKG_VERSION"),
    )
    .execute(ledger.pool())
    .await?;
    Ok(())
}

pub(super) async fn insert_leaves(
    writer: &str,
    boot: BootId,
    batch: i64,
    rows: Vec<Row>,
    tx: &mut Tx,
) -> Result<(), LedgerError> {
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
        "insert into leaves (writer, boot, batch, position, kind, subject_id, leaf, leaf_hash)
         select $1, $2, $3, n - 1, kind, subject, leaf, hash
         from unnest($4::text[], $5::uuid[], $6::bytea[], $7::bytea[])
             with ordinality as row (kind, subject, leaf, hash, n)",
        writer,
        boot.uuid(),
        batch,
        &kinds,
        &subjects,
        &leaves,
        &hashes,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Whether a batch is in the log; moves `seen_at`, so that there is something to commit.
pub(super) async fn confirm(
    writer: &str,
    boot: BootId,
    batch: i64,
    tx: &mut Tx,
) -> Result<bool, LedgerError> {
    let there = sqlx::query_scalar!(
        r#"update writers set seen_at = now() where boot = $2
         returning exists (
             select from leaves where writer = $1 and boot = $2 and batch = $3) as "there!""#,
        writer,
        boot.uuid(),
        batch,
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(there)
}
