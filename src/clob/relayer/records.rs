//! `submissions`.

use ruint::aliases::U256;
use time::OffsetDateTime;
use uuid::Uuid;

use super::answers::Progress;
use super::{Counted, Transaction};
use crate::clob::Chain;
use crate::counterparty::quoted;
use crate::ethereum::Address;
use crate::id::WalletId;
use crate::ledger::{Ledger, LedgerError, Tx};

words! {
    /// How something stands that the relayer was asked to carry out.
    #[derive(utoipa::ToSchema)]
    #[schema(as = SubmissionState)]
    pub enum State {
        /// It is on its way.
        Sending = "sending",
        /// It may have been taken.
        Unclear = "unclear",
        /// It was not.
        Refused = "refused",
        /// It is under way.
        Taken = "taken",
        /// The relayer says that it did not happen.
        Failed = "failed",
        /// It happened.
        Executed = "executed",
    }
}

words! {
    /// The relayer's word for a body.
    #[derive(utoipa::ToSchema)]
    #[schema(as = SubmissionKind)]
    pub enum Kind {
        /// A Safe's transaction.
        Safe = "SAFE",
        /// What makes a Safe.
        SafeCreate = "SAFE-CREATE",
        /// Calls of a proxy wallet.
        Proxy = "PROXY",
        /// A deposit wallet's batch.
        Wallet = "WALLET",
        /// What makes a deposit wallet.
        WalletCreate = "WALLET-CREATE",
    }
}

impl Kind {
    /// Under what its nonce is counted, if it has one.
    pub(super) fn counted(self) -> Option<Counted> {
        match self {
            Self::Safe => Some(Counted::Safe),
            Self::Proxy => Some(Counted::Proxy),
            Self::Wallet => Some(Counted::Wallet),
            Self::SafeCreate | Self::WalletCreate => None,
        }
    }

    /// Whether it stands for an operation on record, and not for the making of a deposit wallet.
    pub(super) fn is_signed(self) -> bool {
        self != Self::WalletCreate
    }
}

/// Something that the relayer was asked to carry out.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The operation's id, or the wallet's that is to be made.
    pub id: Uuid,
    /// Of which wallet.
    pub wallet: WalletId,
    /// On which chain.
    pub chain: Chain,
    /// What was sent.
    pub kind: Kind,
    /// Whose nonce it has, and which.
    pub turn: Option<(Address, U256)>,
    /// How it stands.
    pub state: State,
    /// How often it was sent.
    pub tries: i32,
    /// What the relayer calls it.
    pub transaction_id: Option<String>,
    /// How far that is.
    pub progress: Option<Progress>,
    /// On the chain.
    pub transaction_hash: Option<[u8; 32]>,
    /// Why it was not taken, or cannot be followed.
    pub trouble: Option<String>,
    /// Since when.
    pub changed_at: OffsetDateTime,
}

struct Row {
    id: Uuid,
    wallet_id: Uuid,
    chain_id: i64,
    kind: String,
    counted: Option<Vec<u8>>,
    nonce: Option<String>,
    state: String,
    tries: i32,
    transaction_id: Option<String>,
    progress: Option<String>,
    transaction_hash: Option<Vec<u8>>,
    trouble: Option<String>,
    changed_at: OffsetDateTime,
}

impl TryFrom<Row> for Submission {
    type Error = LedgerError;

    fn try_from(row: Row) -> Result<Self, LedgerError> {
        let corrupt = |what: &str| LedgerError::Corrupt("submissions", what.to_owned());
        let chain = u64::try_from(row.chain_id).ok();
        let chain = chain.and_then(|id| Chain::try_from(id).ok());
        let turn = match (row.counted, row.nonce) {
            (Some(address), Some(nonce)) => {
                let address = address.try_into().map_err(|_| corrupt("counted"))?;
                let nonce = U256::from_str_radix(&nonce, 10).map_err(|_| corrupt("nonce"))?;
                Some((Address(address), nonce))
            }
            _ => None,
        };
        let progress = row.progress.as_deref().map(|word| {
            let known = Progress::from_name(word);
            known.ok_or_else(|| corrupt("progress"))
        });
        let hash = row.transaction_hash.map(|hash| {
            let hash = hash.try_into();
            hash.map_err(|_| corrupt("transaction_hash"))
        });
        Ok(Self {
            id: row.id,
            wallet: row.wallet_id.into(),
            chain: chain.ok_or_else(|| corrupt("chain_id"))?,
            kind: Kind::from_name(&row.kind).ok_or_else(|| corrupt("kind"))?,
            turn,
            state: State::from_name(&row.state).ok_or_else(|| corrupt("state"))?,
            tries: row.tries,
            transaction_id: row.transaction_id,
            progress: progress.transpose()?,
            transaction_hash: hash.transpose()?,
            trouble: row.trouble,
            changed_at: row.changed_at,
        })
    }
}

/// What is about to be sent.
#[derive(Clone, Debug)]
pub(super) struct New {
    pub(super) id: Uuid,
    pub(super) wallet: WalletId,
    pub(super) chain: Chain,
    pub(super) kind: Kind,
    pub(super) turn: Option<(Address, U256)>,
}

/// A try that may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Try {
    /// Which, from 1 on.
    pub(super) number: i32,
}

/// Puts a try on record; `None`: the relayer has it already.
pub(super) async fn begin(new: &New, tx: &mut Tx) -> Result<Option<Try>, LedgerError> {
    let number = sqlx::query_scalar!(
        "insert into submissions as s (id, wallet_id, chain_id, kind, counted, nonce)
         values ($1, $2, $3, $4, $5, $6::text::numeric)
         on conflict (id) do update
            set state = 'sending', tries = s.tries + 1, trouble = null, transaction_id = null, progress = null,
                changed_at = now()
            where s.state not in ('taken', 'executed')
         returning tries",
        new.id,
        new.wallet.uuid(),
        i64::try_from(new.chain.id()).unwrap_or_default(),
        new.kind.name(),
        new.turn.map(|(address, _)| address.0.to_vec()),
        new.turn.map(|(_, nonce)| nonce.to_string()),
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(number.map(|number| Try { number }))
}

/// The relayer has it. Whoever says so is right, whatever others were told meanwhile.
pub(super) async fn taken(id: Uuid, transaction: &str, tx: &mut Tx) -> Result<bool, LedgerError> {
    let done = sqlx::query!(
        "update submissions set state = 'taken', transaction_id = $2, progress = 'NEW', trouble = null,
                changed_at = now(), look_at = now() + interval '2 s'
         where id = $1 and state not in ('taken', 'executed')",
        id,
        transaction,
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A try was not taken, or nobody knows. One that came after it says more.
pub(super) async fn not_taken(
    id: Uuid,
    of: Try,
    state: State,
    trouble: &str,
    tx: &mut Tx,
) -> Result<bool, LedgerError> {
    let done = sqlx::query!(
        "update submissions set state = $3, trouble = $4, changed_at = now()
         where id = $1 and tries = $2 and state = 'sending'",
        id,
        of.number,
        state.name(),
        quoted(trouble),
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How far the relayer has come with it.
pub(super) async fn goes_on(
    id: Uuid,
    transaction: &Transaction,
    trouble: Option<&str>,
    ledger: &Ledger,
) -> Result<(), LedgerError> {
    sqlx::query!(
        "update submissions set progress = coalesce($2, progress), transaction_hash = coalesce($3, transaction_hash),
                trouble = $4, changed_at = now()
         where id = $1 and state = 'taken' and transaction_id = $5",
        id,
        transaction.progress().map(Progress::name),
        transaction.hash().map(|it| it.to_vec()),
        trouble.map(quoted),
        transaction.id,
    )
    .execute(ledger.pool())
    .await?;
    Ok(())
}

/// What became of it. `false`: somebody else was faster.
pub(super) async fn end(
    id: Uuid,
    transaction: &Transaction,
    state: State,
    tx: &mut Tx,
) -> Result<bool, LedgerError> {
    let done = sqlx::query!(
        "update submissions set state = $2, progress = coalesce($3, progress),
                transaction_hash = coalesce($4, transaction_hash), trouble = null, changed_at = now()
         where id = $1 and state = 'taken' and transaction_id = $5",
        id,
        state.name(),
        transaction.progress().map(Progress::name),
        transaction.hash().map(|it| it.to_vec()),
        transaction.id,
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

macro_rules! select {
    ($which:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            Row,
            "select id, wallet_id, chain_id, kind, counted, nonce::text, state, tries, transaction_id, progress,
                    transaction_hash, trouble, changed_at
             from submissions " + $which
            $(, $argument)*
        )
    };
}

/// One.
pub(crate) async fn find(id: Uuid, ledger: &Ledger) -> Result<Option<Submission>, LedgerError> {
    let row = select!("where id = $1", id)
        .fetch_optional(ledger.pool())
        .await?;
    row.map(Submission::try_from).transpose()
}

/// The latest of a wallet, the newest first.
pub(crate) async fn of_wallet(
    wallet: WalletId,
    ledger: &Ledger,
) -> Result<Vec<Submission>, LedgerError> {
    let rows = select!(
        "where wallet_id = $1 order by first_at desc limit 100",
        wallet.uuid()
    )
    .fetch_all(ledger.pool())
    .await?;
    rows.into_iter().map(Submission::try_from).collect()
}

/// Those that are to be looked after now, which nobody else does meanwhile.
pub(super) async fn due(ledger: &Ledger) -> Result<Vec<Submission>, LedgerError> {
    let ids = sqlx::query_scalar!(
        "update submissions set look_at = now() + interval '10 s'
         where id in (select id from submissions where state = 'taken' and look_at <= now()
                      order by look_at limit 20 for update skip locked)
         returning id"
    )
    .fetch_all(ledger.pool())
    .await?;
    let rows = select!("where id = any($1) order by id", &ids)
        .fetch_all(ledger.pool())
        .await?;
    rows.into_iter().map(Submission::try_from).collect()
}
