//! A look at `keys` and `caller_tokens`, which others write.

use uuid::Uuid;

use super::{KeyStanding, Look, Standing};
use crate::ledger::{LedgerError, Tx};

pub(super) async fn look(look: &Look, tx: &mut Tx) -> Result<Standing, LedgerError> {
    let keys: Vec<Uuid> = look.keys.iter().map(|id| id.uuid()).collect();
    let credentials: Vec<Uuid> = look.credentials.iter().copied().collect();
    let rows = sqlx::query!(
        r#"select id as "id!", state, epoch, cryptoperiod_ends_at <= now() as expired
         from keys where id = any($1)
         union all
         select t.id, null, null, null
         from caller_tokens t join callers c on c.id = t.caller_id
         where t.id = any($2)
           and t.revoked_at is null and t.expires_at > now() and c.revoked_at is null"#,
        &keys,
        &credentials,
    )
    .fetch_all(tx.connection())
    .await?;
    let mut standing = Standing::default();
    for row in rows {
        if let (Some(state), Some(epoch), Some(is_over)) = (row.state, row.epoch, row.expired) {
            let key = KeyStanding {
                state,
                epoch,
                is_over,
            };
            standing.keys.insert(row.id.into(), key);
        } else {
            standing.live.insert(row.id);
        }
    }
    Ok(standing)
}
