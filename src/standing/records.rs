//! A look at `keys` and `caller_tokens`, which others write.

use super::{Look, Row, Standing};
use crate::ledger::{LedgerError, Tx};

pub(super) async fn look(look: &Look, tx: &mut Tx) -> Result<Standing, LedgerError> {
    let rows = sqlx::query!(
        r#"select id, state, epoch, is_over, authority, tightened from standing($1, $2)"#,
        &look.keys(),
        &look.credentials(),
    )
    .fetch_all(tx.connection())
    .await?;
    let rows = rows.into_iter().map(|row| Row {
        id: row.id,
        state: row.state,
        epoch: row.epoch,
        is_over: row.is_over,
        authority: row.authority,
        tightened: row.tightened,
    });
    Ok(rows.collect())
}
