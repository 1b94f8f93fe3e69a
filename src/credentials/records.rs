//! `credentials`.

use uuid::Uuid;

use super::logins::records::{account, keys, nonce};
use super::{Account, Credential, CredentialNonce, Kind, SealedPair, State};
use crate::id::CallerId;
use crate::ledger::{Ledger, LedgerError, Tx};
use crate::name::Name;

/// What is put on record of an API key.
pub(crate) struct NewCredential<'a> {
    pub(crate) id: Uuid,
    pub(crate) kind: Kind,
    pub(crate) api_key: &'a str,
    pub(crate) nonce: Option<CredentialNonce>,
    pub(crate) sealed: &'a SealedPair,
    /// `created`, `derived` or `given`.
    pub(crate) origin: &'static str,
    pub(crate) by: CallerId,
}

/// Puts an API key on record as unproven. False: it is there already.
pub(crate) async fn insert(
    account: Uuid,
    new: &NewCredential<'_>,
    tx: &mut Tx,
) -> Result<bool, LedgerError> {
    let done = sqlx::query!(
        "insert into credentials (id, account_id, kind, api_key, nonce, version, sealed_in,
                                  sealed_secret, sealed_passphrase, origin, state, created_by)
         values ($1, $2, $3, $4, $5::text::numeric, $6, $7, $8, $9, $10, 'unproven', $11)
         on conflict do nothing",
        new.id,
        account,
        new.kind.name(),
        new.api_key,
        new.nonce.map(|nonce| nonce.to_string()),
        new.sealed.version,
        new.sealed.sealed_in,
        new.sealed.secret,
        new.sealed.passphrase,
        new.origin,
        new.by.uuid(),
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Moves the trading keys that may be live, but for `except`, to `replaced`.
pub(crate) async fn replace_others(
    account: Uuid,
    except: Uuid,
    tx: &mut Tx,
) -> Result<Vec<Uuid>, LedgerError> {
    Ok(sqlx::query_scalar!(
        "update credentials set state = 'replaced', state_at = now()
         where account_id = $1 and kind = 'trading' and id <> $2 and state in ('live', 'unproven')
         returning id",
        account,
        except,
    )
    .fetch_all(tx.connection())
    .await?)
}

/// Whether there is a trading key that may be live and is not among the known ones.
pub(crate) async fn any_unknown(
    account: Uuid,
    known: &[Uuid],
    tx: &mut Tx,
) -> Result<bool, LedgerError> {
    Ok(sqlx::query_scalar!(
        r#"select exists (
             select from credentials where account_id = $1 and kind = 'trading'
             and state in ('live', 'unproven') and id <> all($2)) as "any!""#,
        account,
        known,
    )
    .fetch_one(tx.connection())
    .await?)
}

/// Moves an API key to another state. False: it was not in one of these.
pub(crate) async fn step(
    id: Uuid,
    from: &[State],
    to: State,
    tx: &mut Tx,
) -> Result<bool, LedgerError> {
    let from: Vec<String> = from.iter().map(|state| state.name().to_owned()).collect();
    let done = sqlx::query!(
        "update credentials set state = $3, state_at = now()
         where id = $1 and state = any($2) and state <> $3",
        id,
        &from,
        to.name(),
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// All API keys of an account, newest first.
pub(crate) async fn of_account(
    account: &Account,
    ledger: &Ledger,
) -> Result<Vec<Credential>, LedgerError> {
    let (chain, address) = keys(account);
    let rows = sqlx::query!(
        r#"select c.id, c.kind, c.api_key, c.nonce::text as nonce, c.version, c.sealed_in,
                  c.sealed_secret, c.sealed_passphrase, c.state, c.state_at, c.created_at, c.created_by
         from credentials c join accounts a on a.id = c.account_id
         where a.chain_id = $1 and a.address = $2 order by c.id desc"#,
        chain,
        address,
    )
    .fetch_all(ledger.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            let corrupt =
                |what: &str| LedgerError::Corrupt("credentials", format!("{what} of {}", row.id));
            Ok(Credential {
                id: row.id,
                account: *account,
                kind: Kind::from_name(&row.kind).ok_or_else(|| corrupt("kind"))?,
                nonce: row.nonce.as_deref().map(nonce).transpose()?,
                state: State::from_name(&row.state).ok_or_else(|| corrupt("state"))?,
                api_key: row.api_key,
                state_at: row.state_at,
                created_at: row.created_at,
                created_by: row.created_by.into(),
                sealed: SealedPair {
                    sealed_in: row.sealed_in,
                    version: row.version,
                    secret: row.sealed_secret,
                    passphrase: row.sealed_passphrase,
                },
            })
        })
        .collect()
}

/// Puts other sealed secrets in an API key's row, which nobody has tried then. False: the row is of
/// another version than `from`.
pub(crate) async fn reseal(
    id: Uuid,
    from: i32,
    sealed: &SealedPair,
    tx: &mut Tx,
) -> Result<bool, LedgerError> {
    let done = sqlx::query!(
        "update credentials set version = $3, sealed_in = $4, sealed_secret = $5,
                sealed_passphrase = $6, state = 'unproven', state_at = now()
         where id = $1 and version = $2",
        id,
        from,
        sealed.version,
        sealed.sealed_in,
        sealed.secret,
        sealed.passphrase,
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The accounts that have a builder's API key in use.
pub(crate) async fn builders(ledger: &Ledger) -> Result<Vec<Account>, LedgerError> {
    let rows = sqlx::query!(
        "select distinct a.chain_id, a.address
         from credentials c join accounts a on a.id = c.account_id
         where c.kind = 'builder' and c.state in ('live', 'unproven')"
    )
    .fetch_all(ledger.pool())
    .await?;
    rows.iter()
        .map(|row| account(row.chain_id, &row.address))
        .collect()
}

/// An API key's secrets as they rest, with all that they are bound to.
pub(crate) struct Resting {
    pub(crate) id: Uuid,
    pub(crate) account: Account,
    pub(crate) kind: Kind,
    pub(crate) api_key: String,
    pub(crate) sealed: SealedPair,
}

/// What rests sealed in a device, in the order of ids.
pub(crate) async fn sealed_in(
    device: &Name,
    after: Option<Uuid>,
    at_most: i64,
    ledger: &Ledger,
) -> Result<Vec<Resting>, LedgerError> {
    let rows = sqlx::query!(
        "select c.id, c.kind, c.api_key, c.version, c.sealed_in, c.sealed_secret,
                c.sealed_passphrase, a.chain_id, a.address
         from credentials c join accounts a on a.id = c.account_id
         where c.sealed_in = $1 and c.id > $2 order by c.id limit $3",
        device.as_str(),
        after.unwrap_or_default(),
        at_most,
    )
    .fetch_all(ledger.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            let corrupt = || LedgerError::Corrupt("credentials", format!("kind of {}", row.id));
            Ok(Resting {
                id: row.id,
                account: account(row.chain_id, &row.address)?,
                kind: Kind::from_name(&row.kind).ok_or_else(corrupt)?,
                api_key: row.api_key,
                sealed: SealedPair {
                    sealed_in: row.sealed_in,
                    version: row.version,
                    secret: row.sealed_secret,
                    passphrase: row.sealed_passphrase,
                },
            })
        })
        .collect()
}

/// Puts the same secrets, sealed anew, in their row. False: the row is of another version than `from`.
pub(crate) async fn put_resealed(
    id: Uuid,
    from: i32,
    sealed: &SealedPair,
    tx: &mut Tx,
) -> Result<bool, LedgerError> {
    let done = sqlx::query!(
        "update credentials set version = $3, sealed_secret = $4, sealed_passphrase = $5,
                sealed_in = $6
         where id = $1 and version = $2",
        id,
        from,
        sealed.version,
        sealed.secret,
        sealed.passphrase,
        sealed.sealed_in,
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}
