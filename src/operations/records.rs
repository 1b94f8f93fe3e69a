//! `operation_accounts` and `operations`. Nonces travel as text: Postgres keeps them as `numeric(78)`.

use ruint::aliases::U256;
use time::OffsetDateTime;
use uuid::Uuid;

use super::account::{Counter, Turn};
use super::claim::{Claim, NotClaimed, State};
use super::form::PlanKind;
use crate::audit::{Event, Leaf};
use crate::ethereum::Address;
use crate::id::{CallerId, IntentId, WalletId};
use crate::ledger::{Ledger, LedgerError, Tx};

/// How long after a deadline nothing is carried out any more, whatever clocks say.
const GRACE_S: i32 = 60;

/// An operation on record.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// Its signature's id.
    pub id: IntentId,
    /// Who asked.
    pub caller: CallerId,
    /// What was signed.
    pub kind: PlanKind,
    /// With which nonce.
    pub turn: Turn,
    /// Whom it pays.
    pub recipient: Option<Address>,
    /// What leaves, in units of 10⁻⁶.
    pub outflow: i64,
    /// Until when it can be carried out.
    pub expires_at: Option<OffsetDateTime>,
    /// The one that it is to replace.
    pub replaces: Option<IntentId>,
    /// When it was put on record.
    pub at: OffsetDateTime,
    /// What became of it.
    pub state: State,
    /// When that was put on record.
    pub settled_at: Option<OffsetDateTime>,
    /// The transaction that carried it out.
    pub transaction_hash: Option<[u8; 32]>,
}

fn chain(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

fn number(text: &str) -> Result<U256, LedgerError> {
    U256::from_str_radix(text, 10)
        .map_err(|_| LedgerError::Corrupt("operations", format!("nonce {text}")))
}

/// Claims the nonce of an operation with its intent, or says why it must not be signed.
pub(crate) async fn claim(
    intent: IntentId,
    caller: CallerId,
    claim: &Claim,
    tx: &mut Tx,
) -> Result<Result<(), NotClaimed>, LedgerError> {
    lock(claim, tx).await?;
    free_unsigned(&claim.turn, tx).await?;
    if let Err(why) = make_room(claim, tx).await? {
        return Ok(Err(why));
    }
    if let Err(why) = follows(claim, tx).await? {
        return Ok(Err(why));
    }
    if claim.outflow > 0
        && let Err(why) = pays_once(claim, tx).await?
    {
        return Ok(Err(why));
    }
    let expires_at = claim.expires_at.map(OffsetDateTime::from_unix_timestamp);
    sqlx::query!(
        "insert into operations (intent_id, wallet_id, caller_id, chain_id, holder, kind, counter, counted, nonce,
                                 calls_hash, recipient, outflow, expires_at, replaces)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::numeric, $10, $11, $12, $13, $14)",
        intent.uuid(),
        claim.wallet.uuid(),
        caller.uuid(),
        chain(claim.turn.chain_id),
        claim.holder.0.as_slice(),
        claim.kind.name(),
        claim.turn.counter.name(),
        claim.turn.address.0.as_slice(),
        claim.turn.nonce.to_string(),
        claim.calls_hash.as_slice(),
        claim.recipient.map(|it| it.0.to_vec()),
        claim.outflow,
        expires_at.and_then(Result::ok),
        claim.replaces.map(IntentId::uuid),
    )
    .execute(tx.connection())
    .await?;
    Ok(Ok(()))
}

/// In one order, so that no two wait for each other.
async fn lock(claim: &Claim, tx: &mut Tx) -> Result<(), LedgerError> {
    let chain = chain(claim.turn.chain_id);
    let addresses = [claim.holder.0.to_vec(), claim.turn.address.0.to_vec()];
    sqlx::query!(
        "insert into operation_accounts (chain_id, address)
         select distinct $1::bigint, a from unnest($2::bytea[]) as a order by a
         on conflict (chain_id, address) do nothing",
        chain,
        &addresses,
    )
    .execute(tx.connection())
    .await?;
    sqlx::query!(
        "select address from operation_accounts where chain_id = $1 and address = any($2) order by address for update",
        chain,
        &addresses,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(())
}

/// An intent that ended without a release holds no nonce.
async fn free_unsigned(turn: &Turn, tx: &mut Tx) -> Result<(), LedgerError> {
    sqlx::query!(
        "update operations o set state = 'unsigned', settled_at = now()
         from ends e
         where o.chain_id = $1 and o.counted = $2 and o.counter = $3 and o.state = 'live'
           and e.intent_id = o.intent_id and e.outcome <> 'released'",
        chain(turn.chain_id),
        turn.address.0.as_slice(),
        turn.counter.name(),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Moves the live one with this nonce aside, where that is meant and may be.
async fn make_room(claim: &Claim, tx: &mut Tx) -> Result<Result<(), NotClaimed>, LedgerError> {
    let turn = &claim.turn;
    let holder = sqlx::query!(
        r#"select intent_id, calls_hash,
                  coalesce(expires_at + make_interval(secs => $5) < now(), false) as "is_over!"
         from operations
         where chain_id = $1 and counted = $2 and counter = $3 and nonce = $4::text::numeric and state = 'live'"#,
        chain(turn.chain_id),
        turn.address.0.as_slice(),
        turn.counter.name(),
        turn.nonce.to_string(),
        f64::from(GRACE_S),
    )
    .fetch_optional(tx.connection())
    .await?;
    let refused = |why| Ok(Err(NotClaimed::NoReplacement(why)));
    let Some(holder) = holder else {
        return match claim.replaces {
            Some(_) => refused("no live operation of this wallet has this id and this nonce"),
            None => Ok(Ok(())),
        };
    };
    let by: IntentId = holder.intent_id.into();
    let state = match claim.replaces {
        None if holder.is_over => State::Expired,
        None => {
            let nonce = turn.nonce;
            return Ok(Err(NotClaimed::Taken { nonce, by }));
        }
        Some(meant) if meant != by => {
            return refused("no live operation of this wallet has this id and this nonce");
        }
        Some(_) => match turn.counter {
            Counter::Transactions | Counter::Safe | Counter::Deposit if claim.is_cancellation => {
                State::Replaced
            }
            Counter::Transactions if holder.calls_hash == claim.calls_hash => State::Replaced,
            Counter::Transactions => {
                return refused(
                    "a transaction's place is taken by the same with other fees, or by cancel_nonce",
                );
            }
            Counter::Safe | Counter::Deposit => {
                return refused("its place is taken by cancel_nonce only");
            }
            Counter::RelayHub | Counter::SafeCreation => {
                return refused("nothing takes its place");
            }
        },
    };
    sqlx::query!(
        "update operations set state = $2 where intent_id = $1",
        by.uuid(),
        state.name(),
    )
    .execute(tx.connection())
    .await?;
    Ok(Ok(()))
}

/// A nonce that is on record as spent is not signed for, nor one after a gap.
async fn follows(claim: &Claim, tx: &mut Tx) -> Result<Result<(), NotClaimed>, LedgerError> {
    let turn = &claim.turn;
    let known = sqlx::query!(
        r#"select (max(nonce) filter (where state <> 'unsigned') + 1)::text as after_last,
                  greatest(max(nonce) filter (where state = 'executed') + 1, max(next_nonce))::text as unspent
         from operations where chain_id = $1 and counted = $2 and counter = $3"#,
        chain(turn.chain_id),
        turn.address.0.as_slice(),
        turn.counter.name(),
    )
    .fetch_one(tx.connection())
    .await?;
    let after_last = known.after_last.as_deref().map(number).transpose()?;
    let unspent = known.unspent.as_deref().map(number).transpose()?;
    let nonce = turn.nonce;
    if let Some(next) = unspent
        && nonce < next
    {
        return Ok(Err(NotClaimed::Spent { nonce, next }));
    }
    if let Some(next) = after_last.max(unspent)
        && nonce > next
    {
        return Ok(Err(NotClaimed::Ahead { nonce, next }));
    }
    Ok(Ok(()))
}

/// What leaves is counted again under the lock, and nothing is paid with two nonces.
async fn pays_once(claim: &Claim, tx: &mut Tx) -> Result<Result<(), NotClaimed>, LedgerError> {
    let turn = &claim.turn;
    let twin = sqlx::query!(
        r#"select intent_id, nonce::text as "nonce!" from operations
         where chain_id = $1 and holder = $2 and calls_hash = $3 and state in ('live', 'replaced', 'expired')
           and outflow > 0 and (counter <> $4 or nonce <> $5::text::numeric)
         order by intent_id limit 1"#,
        chain(turn.chain_id),
        claim.holder.0.as_slice(),
        claim.calls_hash.as_slice(),
        turn.counter.name(),
        turn.nonce.to_string(),
    )
    .fetch_optional(tx.connection())
    .await?;
    if let Some(twin) = twin {
        return Ok(Err(NotClaimed::Unsettled {
            by: twin.intent_id.into(),
            nonce: number(&twin.nonce)?,
        }));
    }
    let left = sqlx::query_scalar!(
        r#"select least(coalesce(sum(outflow), 0), 9223372036854775807)::bigint as "left!" from operations
         where chain_id = $1 and holder = $2 and outflow > 0 and at > now() - interval '24 hours'
           and state not in ('unsigned', 'dead')"#,
        chain(turn.chain_id),
        claim.holder.0.as_slice(),
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(if left > claim.left_before {
        Err(NotClaimed::Moved)
    } else {
        Ok(())
    })
}

/// How much has left an account within a day, in units of 10⁻⁶, as far as it is on record now.
pub(crate) async fn left(
    chain_id: u64,
    holder: Address,
    ledger: &Ledger,
) -> Result<i64, LedgerError> {
    let left = sqlx::query_scalar!(
        r#"select least(coalesce(sum(o.outflow), 0), 9223372036854775807)::bigint as "left!" from operations o
         where o.chain_id = $1 and o.holder = $2 and o.outflow > 0 and o.at > now() - interval '24 hours'
           and o.state not in ('unsigned', 'dead')"#,
        chain(chain_id),
        holder.0.as_slice(),
    )
    .fetch_one(ledger.pool())
    .await?;
    Ok(left)
}

/// What becomes of an operation, as somebody has shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settlement {
    /// `executed` or `dead`.
    pub state: State,
    /// The transaction that carried it out.
    pub transaction_hash: Option<[u8; 32]>,
    /// The counter, as it was seen.
    pub next_nonce: Option<U256>,
}

/// Puts on record what became of an operation that was open, and then of those that were after its nonce too. Says
/// whether it was open.
pub(crate) async fn settle(
    id: IntentId,
    settlement: &Settlement,
    tx: &mut Tx,
) -> Result<bool, LedgerError> {
    let done = sqlx::query!(
        r#"update operations set state = $2, settled_at = now(), transaction_hash = $3, next_nonce = $4::text::numeric
         where intent_id = $1 and state in ('live', 'replaced', 'expired')
         returning chain_id, counted, counter, nonce::text as "nonce!""#,
        id.uuid(),
        settlement.state.name(),
        settlement.transaction_hash.map(|it| it.to_vec()),
        settlement.next_nonce.map(|it| it.to_string()),
    )
    .fetch_optional(tx.connection())
    .await?;
    let Some(done) = done else {
        return Ok(false);
    };
    if settlement.state == State::Executed {
        sqlx::query!(
            "update operations set state = 'dead', settled_at = now()
             where chain_id = $1 and counted = $2 and counter = $3 and nonce = $4::text::numeric
               and state in ('live', 'replaced', 'expired')",
            done.chain_id,
            done.counted,
            done.counter,
            done.nonce,
        )
        .execute(tx.connection())
        .await?;
    }
    Ok(true)
}

/// Which operations are looked for; everything that is not given fits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Of this wallet.
    pub wallet: Option<WalletId>,
    /// This one.
    pub id: Option<IntentId>,
    /// With this nonce.
    pub nonce: Option<U256>,
    /// Carried out by this transaction.
    pub transaction_hash: Option<[u8; 32]>,
    /// Paying them.
    pub recipient: Option<Address>,
    /// In this state.
    pub state: Option<State>,
    /// Older than this one.
    pub before: Option<Uuid>,
}

/// What was carried out for an account, or still may be.
#[derive(Clone, Debug)]
pub(crate) struct Deed {
    /// The operation.
    pub id: IntentId,
    /// On which chain.
    pub chain_id: u64,
    /// What holds the assets.
    pub holder: Address,
    /// Whether it is on record as carried out; else it still may be.
    pub is_done: bool,
    /// Its calls, as its leaf has them.
    pub calls: Vec<serde_json::Value>,
}

/// What was carried out within 200 days, or still may be, of one account or of all, in the order of nonces.
pub(crate) async fn deeds(
    account: Option<(u64, Address)>,
    ledger: &Ledger,
) -> Result<Vec<Deed>, LedgerError> {
    let rows = sqlx::query!(
        r#"select o.intent_id, o.chain_id, o.holder, o.state, l.leaf
           from operations o
           join intents i on i.id = o.intent_id
           join leaves l on l.run = i.run and l.batch = i.batch and l.subject_id = i.id
           where ($1::bigint is null or (o.chain_id = $1 and o.holder = $2))
             and o.state not in ('unsigned', 'dead') and o.at > now() - interval '200 days'
           order by o.chain_id, o.holder, o.counter, o.nonce, o.intent_id"#,
        account.map(|(id, _)| chain(id)),
        account.map(|(_, address)| address.0.to_vec()),
    )
    .fetch_all(ledger.pool())
    .await?;
    let leaf = |row: &[u8]| Leaf::from_bytes(row).map(|it| it.event);
    rows.into_iter()
        // What somebody has agreed to stands beside the intent.
        .filter(|row| !matches!(leaf(&row.leaf), Some(Event::Admin(_))))
        .map(|row| {
            let corrupt = || LedgerError::Corrupt("leaves", row.intent_id.to_string());
            let Some(Event::Intent(intent)) = leaf(&row.leaf) else {
                return Err(corrupt());
            };
            let record: serde_json::Value =
                serde_json::from_str(&intent.record).map_err(|_| corrupt())?;
            let holder = row.holder.try_into().map_err(|_| corrupt())?;
            Ok(Deed {
                id: row.intent_id.into(),
                chain_id: row.chain_id.unsigned_abs(),
                holder: Address(holder),
                is_done: row.state == State::Executed.name(),
                calls: record["calls"].as_array().cloned().unwrap_or_default(),
            })
        })
        .collect()
}

/// The most that one look-up answers.
pub(crate) const MOST: i64 = 100;

/// Operations on record, newest first.
pub(crate) async fn find(filter: &Filter, ledger: &Ledger) -> Result<Vec<Operation>, LedgerError> {
    let rows = sqlx::query!(
        r#"select o.intent_id, o.wallet_id, o.caller_id, o.chain_id, o.kind, o.counter, o.counted,
                  o.nonce::text as "nonce!", o.recipient, o.outflow, o.expires_at, o.replaces, o.at, o.settled_at,
                  o.transaction_hash,
                  case when o.state = 'live' and e.outcome <> 'released' then 'unsigned' else o.state end as "state!"
         from operations o left join ends e on e.intent_id = o.intent_id
         where ($1::uuid is null or o.wallet_id = $1)
           and ($2::uuid is null or o.intent_id = $2)
           and ($3::text is null or o.nonce = $3::text::numeric)
           and ($4::bytea is null or o.transaction_hash = $4)
           and ($5::bytea is null or o.recipient = $5)
           and ($6::text is null or o.state = $6)
           and ($7::uuid is null or o.intent_id < $7)
         order by o.intent_id desc limit $8"#,
        filter.wallet.map(WalletId::uuid),
        filter.id.map(IntentId::uuid),
        filter.nonce.map(|it| it.to_string()),
        filter.transaction_hash.map(|it| it.to_vec()),
        filter.recipient.map(|it| it.0.to_vec()),
        filter.state.map(State::name),
        filter.before,
        MOST,
    )
    .fetch_all(ledger.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            let corrupt = |what: &str| LedgerError::Corrupt("operations", what.to_owned());
            let address = |bytes: Vec<u8>| {
                let bytes = bytes.try_into().map_err(|_| corrupt("address"))?;
                Ok::<_, LedgerError>(Address(bytes))
            };
            let hash = |bytes: Vec<u8>| bytes.try_into().map_err(|_| corrupt("transaction_hash"));
            Ok(Operation {
                id: row.intent_id.into(),
                caller: row.caller_id.into(),
                kind: PlanKind::from_name(&row.kind).ok_or_else(|| corrupt("kind"))?,
                turn: Turn {
                    chain_id: row.chain_id.try_into().map_err(|_| corrupt("chain_id"))?,
                    address: address(row.counted)?,
                    counter: Counter::from_name(&row.counter).ok_or_else(|| corrupt("counter"))?,
                    nonce: number(&row.nonce)?,
                },
                recipient: row.recipient.map(address).transpose()?,
                outflow: row.outflow,
                expires_at: row.expires_at,
                replaces: row.replaces.map(Into::into),
                at: row.at,
                state: State::from_name(&row.state).ok_or_else(|| corrupt("state"))?,
                settled_at: row.settled_at,
                transaction_hash: row.transaction_hash.map(hash).transpose()?,
            })
        })
        .collect()
}
