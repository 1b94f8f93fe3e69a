//! A look at `keys` and `caller_tokens`, which others write.

use super::{Look, Standing};
use crate::ledger::{LedgerError, Tx};

pub(super) async fn look(look: &Look, tx: &mut Tx) -> Result<Standing, LedgerError> {
    let rows = sqlx::query!(
        r#"select id as "id!", state, epoch, is_over from standing($1, $2)"#,
        &look.keys(),
        &look.credentials(),
    )
    .fetch_all(tx.connection())
    .await?;
    let rows = rows
        .into_iter()
        .map(|row| (row.id, row.state, row.epoch, row.is_over));
    Ok(rows.collect())
}
