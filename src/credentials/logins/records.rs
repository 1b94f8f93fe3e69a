//! `accounts`, `credential_nonces` and `logins`. Nonces travel as text: Postgres keeps them as
//! `numeric(20)`, for a `bigint` is one bit short.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Login, LoginEntry, LoginRefused, NonceEntry, Origin, Purpose, Replaces};
use crate::credentials::{Account, CredentialNonce, State};
use crate::ethereum::Address;
use crate::id::{CallerId, IntentId};
use crate::idempotency::RequestDigest;
use crate::ledger::{Ledger, LedgerError, Tx};

/// The account's row, locked until the transaction ends.
pub(crate) async fn lock(account: &Account, tx: &mut Tx) -> Result<Uuid, LedgerError> {
    let (chain, address) = keys(account);
    sqlx::query!(
        "insert into accounts (id, chain_id, address) values ($1, $2, $3)
         on conflict (chain_id, address) do nothing",
        Uuid::now_v7(),
        chain,
        address,
    )
    .execute(tx.connection())
    .await?;
    let id = sqlx::query_scalar!(
        "select id from accounts where chain_id = $1 and address = $2 for update",
        chain,
        address,
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(id)
}

/// Puts a login on record with its intent, or says why it must not be signed.
pub(crate) async fn claim(
    intent: IntentId,
    caller: CallerId,
    request: RequestDigest,
    login: &Login,
    tx: &mut Tx,
) -> Result<Result<(), LoginRefused>, LedgerError> {
    let account = lock(&login.account, tx).await?;
    if let Err(refused) = decide(account, login, tx).await? {
        return Ok(Err(refused));
    }
    record_nonce(account, login.nonce, login.origin, caller, tx).await?;
    sqlx::query!(
        "insert into logins (intent_id, account_id, nonce, wallet_id, caller_id, purpose, signed_for,
                             request_digest)
         values ($1, $2, $3::text::numeric, $4, $5, $6, $7, $8)",
        intent.uuid(),
        account,
        login.nonce.to_string(),
        login.wallet.uuid(),
        caller.uuid(),
        login.purpose.name(),
        login.signed_for,
        request.0.as_slice(),
    )
    .execute(tx.connection())
    .await?;
    Ok(Ok(()))
}

async fn decide(
    account: Uuid,
    login: &Login,
    tx: &mut Tx,
) -> Result<Result<(), LoginRefused>, LedgerError> {
    if login.purpose == Purpose::Derive {
        return Ok(Ok(())); // the service sends it, and nothing comes of it
    }
    let nonce = login.nonce;
    let credentials = sqlx::query!(
        r#"select nonce::text as nonce, api_key, state in ('live', 'unproven') as "may_be_live!"
         from credentials where account_id = $1 and kind = 'trading' order by created_at desc"#,
        account,
    )
    .fetch_all(tx.connection())
    .await?;
    let text = nonce.to_string();
    let made = credentials
        .iter()
        .find(|it| it.nonce.as_deref() == Some(&text));
    match (made, login.purpose) {
        (Some(made), Purpose::Create) => {
            return Ok(Err(LoginRefused::AlreadyMade {
                nonce,
                api_key: made.api_key.clone(),
            }));
        }
        (Some(_), _) => return Ok(Ok(())), // creating again does nothing
        (None, _) if login.only_derives => return Ok(Err(LoginRefused::NotMade(nonce))),
        (None, _) => {}
    }
    let other = unsettled_in(account, tx)
        .await?
        .into_iter()
        .find(|(other, _)| *other != nonce);
    if let Some((nonce, signed_for)) = other {
        return Ok(Err(LoginRefused::Unsettled { nonce, signed_for }));
    }
    let would_end = credentials.iter().find(|it| {
        it.may_be_live
            && match &login.replaces {
                Replaces::Nothing => true,
                Replaces::Key(meant) => *meant != it.api_key,
                Replaces::Anything => false,
            }
    });
    Ok(match would_end {
        Some(it) => Err(LoginRefused::WouldReplace {
            api_key: it.api_key.clone(),
        }),
        None => Ok(()),
    })
}

/// Puts a nonce on record, unless it is there already; says whether it was not.
pub(crate) async fn record_nonce(
    account: Uuid,
    nonce: CredentialNonce,
    origin: Origin,
    caller: CallerId,
    tx: &mut Tx,
) -> Result<bool, LedgerError> {
    let done = sqlx::query!(
        "insert into credential_nonces (account_id, nonce, origin, recorded_by)
         values ($1, $2::text::numeric, $3, $4) on conflict (account_id, nonce) do nothing",
        account,
        nonce.to_string(),
        origin.name(),
        caller.uuid(),
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

macro_rules! unsettled {
    ($account:expr) => {
        sqlx::query!(
            r#"select l.nonce::text as "nonce!", max(l.signed_for) as "signed_for!"
             from logins l left join ends e on e.intent_id = l.intent_id
             where l.account_id = $1 and l.outcome is null and l.purpose <> 'derive'
               and e.outcome is distinct from 'refused' and e.outcome is distinct from 'abandoned'
             group by l.nonce order by l.nonce"#,
            $account,
        )
    };
}

async fn unsettled_in(
    account: Uuid,
    tx: &mut Tx,
) -> Result<Vec<(CredentialNonce, i64)>, LedgerError> {
    let rows = unsettled!(account).fetch_all(tx.connection()).await?;
    rows.into_iter()
        .map(|row| Ok((nonce(&row.nonce)?, row.signed_for)))
        .collect()
}

/// Nonces whose outcome is not known, each with its latest timestamp. A signature that never left its
/// intent does not count.
pub(crate) async fn unsettled(
    account: &Account,
    ledger: &Ledger,
) -> Result<Vec<(CredentialNonce, i64)>, LedgerError> {
    let Some(id) = find_account(account, ledger).await? else {
        return Ok(Vec::new());
    };
    let rows = unsettled!(id).fetch_all(ledger.pool()).await?;
    rows.into_iter()
        .map(|row| Ok((nonce(&row.nonce)?, row.signed_for)))
        .collect()
}

async fn find_account(account: &Account, ledger: &Ledger) -> Result<Option<Uuid>, LedgerError> {
    let (chain, address) = keys(account);
    Ok(sqlx::query_scalar!(
        "select id from accounts where chain_id = $1 and address = $2",
        chain,
        address
    )
    .fetch_optional(ledger.pool())
    .await?)
}

/// The venue refused this very message: it did nothing.
pub(crate) async fn settle_refused(intent: IntentId, tx: &mut Tx) -> Result<(), LedgerError> {
    sqlx::query!(
        "update logins set outcome = 'refused', settled_at = now()
         where intent_id = $1 and outcome is null",
        intent.uuid(),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The nonce made an API key: that is what all its logins led to.
pub(crate) async fn settle_made(
    account: Uuid,
    nonce: CredentialNonce,
    tx: &mut Tx,
) -> Result<(), LedgerError> {
    sqlx::query!(
        "update logins set outcome = 'made', settled_at = now()
         where account_id = $1 and nonce = $2::text::numeric and outcome is null",
        account,
        nonce.to_string(),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The nonce made nothing, and what was signed for `latest` or earlier can make nothing any more.
/// Says how many logins that settled.
pub(crate) async fn settle_nothing(
    account: Uuid,
    nonce: CredentialNonce,
    latest: i64,
    tx: &mut Tx,
) -> Result<u64, LedgerError> {
    let done = sqlx::query!(
        "update logins set outcome = 'nothing', settled_at = now()
         where account_id = $1 and nonce = $2::text::numeric and outcome is null and signed_for <= $3",
        account,
        nonce.to_string(),
        latest,
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected())
}

/// Whether one of the nonce's logins was asked for by this very request.
pub(crate) async fn was_asked_for_by(
    account: &Account,
    nonce: CredentialNonce,
    request: &RequestDigest,
    ledger: &Ledger,
) -> Result<bool, LedgerError> {
    let (chain, address) = keys(account);
    let any = sqlx::query_scalar!(
        r#"select exists (
             select from accounts a
             join logins l on l.account_id = a.id and l.nonce = $3::text::numeric
             where a.chain_id = $1 and a.address = $2 and l.request_digest = $4) as "any!""#,
        chain,
        address,
        nonce.to_string(),
        request.0.as_slice(),
    )
    .fetch_one(ledger.pool())
    .await?;
    Ok(any)
}

/// What nonces are looked for; everything that is not given fits.
#[derive(Clone, Debug, Default)]
pub struct NonceFilter {
    /// Nonces of these accounts.
    pub accounts: Vec<Account>,
    /// This nonce only.
    pub nonce: Option<CredentialNonce>,
    /// Nonces that made this API key.
    pub api_key: Option<String>,
    /// Recorded then or later.
    pub from: Option<OffsetDateTime>,
    /// Recorded before.
    pub until: Option<OffsetDateTime>,
    /// Nonces that come after this one in the list.
    pub after: Option<(Account, CredentialNonce)>,
    /// How many at most.
    pub limit: i64,
}

/// Nonces on record, newest first, with their logins.
pub(crate) async fn nonces(
    filter: &NonceFilter,
    ledger: &Ledger,
) -> Result<Vec<NonceEntry>, LedgerError> {
    let chains: Vec<i64> = filter.accounts.iter().map(|it| keys(it).0).collect();
    let addresses: Vec<Vec<u8>> = filter
        .accounts
        .iter()
        .map(|it| it.address.0.to_vec())
        .collect();
    let after = filter.after.as_ref().map(|(account, _)| keys(account));
    let rows = sqlx::query!(
        r#"select n.account_id, a.chain_id, a.address, n.nonce::text as "nonce!", n.origin, n.recorded_at,
                  n.recorded_by, c.api_key as "api_key?", c.state as "state?"
         from unnest($1::bigint[], $2::bytea[]) as wanted (chain_id, address)
         join accounts a on a.chain_id = wanted.chain_id and a.address = wanted.address
         join credential_nonces n on n.account_id = a.id
         left join credentials c on c.account_id = n.account_id and c.nonce = n.nonce and c.kind = 'trading'
         where ($3::text is null or n.nonce = $3::text::numeric)
           and ($4::text is null or c.api_key = $4)
           and ($5::timestamptz is null or n.recorded_at >= $5)
           and ($6::timestamptz is null or n.recorded_at < $6)
           and ($7::bigint is null or (n.recorded_at, n.account_id, n.nonce) < (
               select m.recorded_at, m.account_id, m.nonce
               from accounts b join credential_nonces m on m.account_id = b.id
               where b.chain_id = $7 and b.address = $8 and m.nonce = $9::text::numeric))
         order by n.recorded_at desc, n.account_id desc, n.nonce desc limit $10"#,
        &chains,
        &addresses,
        filter.nonce.map(|nonce| nonce.to_string()),
        filter.api_key,
        filter.from,
        filter.until,
        after.map(|(chain, _)| chain),
        after.map(|(_, address)| address),
        filter.after.map(|(_, nonce)| nonce.to_string()),
        filter.limit,
    )
    .fetch_all(ledger.pool())
    .await?;
    let accounts: Vec<Uuid> = rows.iter().map(|row| row.account_id).collect();
    let wanted: Vec<String> = rows.iter().map(|row| row.nonce.clone()).collect();
    let mut logins = logins(&accounts, &wanted, ledger).await?;
    rows.into_iter()
        .map(|row| {
            let corrupt = |what: &str| LedgerError::Corrupt("credentials", what.to_owned());
            let made = match (row.api_key, row.state) {
                (Some(key), Some(state)) => {
                    let state = State::from_name(&state).ok_or_else(|| corrupt("state"))?;
                    Some((key, state))
                }
                _ => None,
            };
            Ok(NonceEntry {
                account: account(row.chain_id, &row.address)?,
                nonce: nonce(&row.nonce)?,
                origin: row.origin,
                recorded_at: row.recorded_at,
                recorded_by: row.recorded_by.into(),
                made,
                logins: logins
                    .remove(&(row.account_id, row.nonce))
                    .unwrap_or_default(),
            })
        })
        .collect()
}

async fn logins(
    accounts: &[Uuid],
    nonces: &[String],
    ledger: &Ledger,
) -> Result<BTreeMap<(Uuid, String), Vec<LoginEntry>>, LedgerError> {
    let rows = sqlx::query!(
        r#"select l.intent_id, l.account_id, l.nonce::text as "nonce!", l.wallet_id, l.caller_id, l.purpose,
                  l.signed_for, l.at, l.outcome, e.outcome as "signature?"
         from (select distinct account_id, nonce::numeric as nonce
               from unnest($1::uuid[], $2::text[]) as row (account_id, nonce)) wanted
         cross join lateral (
             select * from logins l where l.account_id = wanted.account_id and l.nonce = wanted.nonce
             order by l.intent_id desc limit 50) l
         left join ends e on e.intent_id = l.intent_id
         order by l.intent_id"#,
        accounts,
        nonces,
    )
    .fetch_all(ledger.pool())
    .await?;
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in rows {
        let entry = LoginEntry {
            intent: row.intent_id.into(),
            wallet: row.wallet_id.into(),
            caller: row.caller_id.into(),
            purpose: row.purpose,
            signed_for: row.signed_for,
            at: row.at,
            signature: row.signature,
            outcome: row.outcome,
        };
        found
            .entry((row.account_id, row.nonce))
            .or_default()
            .push(entry);
    }
    Ok(found)
}

/// The account as its columns.
pub(in crate::credentials) fn keys(account: &Account) -> (i64, &[u8]) {
    let chain = i64::try_from(account.chain_id).unwrap_or(i64::MAX);
    (chain, &account.address.0)
}

/// The account of these columns.
pub(in crate::credentials) fn account(chain: i64, address: &[u8]) -> Result<Account, LedgerError> {
    let corrupt = || LedgerError::Corrupt("accounts", "chain or address".to_owned());
    Ok(Account {
        chain_id: chain.try_into().map_err(|_| corrupt())?,
        address: Address(address.try_into().map_err(|_| corrupt())?),
    })
}

/// The nonce of a column.
pub(in crate::credentials) fn nonce(text: &str) -> Result<CredentialNonce, LedgerError> {
    text.parse()
        .map_err(|_| LedgerError::Corrupt("credential_nonces", format!("nonce {text}")))
}
