//! Looks at the tables whose rows somebody may have a mark of.

use uuid::Uuid;

use super::Thing;
use crate::ledger::{Ledger, LedgerError};

struct Row {
    what: String,
    id: Option<Uuid>,
    name: Option<String>,
    of: Option<String>,
}

fn things(rows: Vec<Row>) -> Vec<Thing> {
    let thing = |row: Row| Thing {
        what: row.what,
        id: row.id,
        name: row.name,
        of: row.of,
    };
    rows.into_iter().map(thing).collect()
}

/// What has this id.
pub(super) async fn by_id(id: Uuid, ledger: &Ledger) -> Result<Vec<Thing>, LedgerError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select 'signature' as "what!", id, operation as name, null as of from intents where id = $1
           union all select 'jti', intent_id, null, null from jtis where jti = $1
           union all select 'caller', id, name, owner from callers where id = $1
           union all select 'credential', t.id, t.kind, c.name
               from caller_tokens t join callers c on c.id = t.caller_id where t.id = $1
           union all select 'person', id, name, null from people where id = $1
           union all select 'approver-key', k.id, k.name, p.name
               from approver_keys k join people p on p.id = k.person_id where k.id = $1
           union all select 'proposal', id, operation, outcome from proposals where id = $1
           union all select 'key', id, name, state from keys where id = $1
           union all select 'wallet', w.id, w.name, k.name from wallets w join keys k on k.id = w.key_id where w.id = $1
           union all select 'client', c.id, c.name, k.name from clients c join keys k on k.id = c.key_id where c.id = $1
           union all select 'rotation', id, kind, state from rotations where id = $1
           union all (select distinct kind, id, null, null from authority where kind in ('halt', 'limit') and id = $1)"#,
        id,
    )
    .fetch_all(ledger.pool())
    .await?;
    Ok(things(rows))
}

/// What these 32 bytes are, where it is no signature's.
pub(super) async fn by_hash(hash: &[u8], ledger: &Ledger) -> Result<Vec<Thing>, LedgerError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select 'key' as "what!", id, name, state as of from keys where public_key is not null and sha256(public_key) = $1
           union all select 'proposal', id, operation, outcome from proposals where hash = $1"#,
        hash,
    )
    .fetch_all(ledger.pool())
    .await?;
    Ok(things(rows))
}

/// What has this address, at most 100.
pub(super) async fn by_address(address: &[u8], ledger: &Ledger) -> Result<Vec<Thing>, LedgerError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select 'account' as "what!", id, chain_id::text as name, null as of
               from accounts where chain_id in (137, 80002) and address = $1
           union all (select 'funder', w.id, w.name, k.name
               from wallets w join keys k on k.id = w.key_id where w.funder = $1 limit 100)"#,
        address,
    )
    .fetch_all(ledger.pool())
    .await?;
    Ok(things(rows))
}

/// Whose nonce it is, at most 100.
pub(super) async fn by_nonce(nonce: &str, ledger: &Ledger) -> Result<Vec<Thing>, LedgerError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select 'nonce' as "what!", a.id as "id?", c.api_key as "name?", '0x' || encode(a.address, 'hex') as of
           from credential_nonces n
           join accounts a on a.id = n.account_id
           left join credentials c on c.account_id = n.account_id and c.nonce = n.nonce and c.kind = 'trading'
           where n.nonce = $1::text::numeric
           order by n.recorded_at desc limit 100"#,
        nonce,
    )
    .fetch_all(ledger.pool())
    .await?;
    Ok(things(rows))
}

/// What this text is, where it is no number and no hash: an API key, an idempotency key, a client's id there.
pub(super) async fn by_text(text: &str, ledger: &Ledger) -> Result<Vec<Thing>, LedgerError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select 'api-key' as "what!", c.account_id as "id?", c.state as "name?", '0x' || encode(a.address, 'hex') as of
               from credentials c join accounts a on a.id = c.account_id where c.api_key = $1
           union all (select 'idempotency-key', i.intent_id, $1, c.name
               from callers c
               cross join lateral (
                   select intent_id from idempotency_keys k where k.caller_id = c.id and k.key = $1 offset 0) i
               limit 100)
           union all select 'client', id, name, environment from clients where client_id = $1"#,
        text,
    )
    .fetch_all(ledger.pool())
    .await?;
    Ok(things(rows))
}
