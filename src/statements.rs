//! All rows that decide, and what is stated of them in [`authority`].
//!
//! It promises that each row is stated: those of a ledger from before there were statements are stated once, as
//! they are found, by whichever process comes first, on record and with a warning. A mark says that it was
//! done; from then on a row without a statement is refused. Where the mark is gone although the log says that it
//! was made, somebody has emptied `authority`, and nothing starts.
//!
//! It also compares all rows, for the doctor, and now and then for whoever reads the log: what is read into use is
//! compared there and then, but a row that is gone is not read.
//!
//! It **trusts** the rows of a ledger that it adopts: nobody knows better.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::approvals::Approval;
use crate::audit::{Author, Change, Effect, Log};
use crate::authority::{self, Authority, Kind, Said, Snapshot};
use crate::clob::wallets;
use crate::ledger::{Gate, LedgerError, Tx};
use crate::oauth::clients;
use crate::{approvals, callers, keys, people};

/// What the mark and its leaf are about.
const MARK: Uuid = Uuid::from_u128(0x6368_616e_6365_7279_8000_6164_6f70_7401);

/// The kinds that are rows of other tables.
const ROWS: [Kind; 8] = [
    Kind::Caller,
    Kind::Credential,
    Kind::Person,
    Kind::Approver,
    Kind::Proposal,
    Kind::Key,
    Kind::Wallet,
    Kind::Client,
];

/// How long it may take to read all rows, and state them: some hundred thousand are read in seconds.
const PATIENCE: Duration = Duration::from_mins(5);

/// How often all rows are compared.
const COMPARE: Duration = Duration::from_hours(1);

/// How many rows there were, by table.
type Counts = BTreeMap<&'static str, u64>;

/// Sees to it that all rows are stated.
pub async fn adopt(log: &Log) -> Result<(), LedgerError> {
    let is_marked = || log.authority().now().find(Kind::Adoption, MARK).is_some();
    if is_marked() {
        return Ok(());
    }
    if log.has_noted(MARK).await? {
        log.authority().catch_up().await?; // another one was faster
        if is_marked() {
            return Ok(());
        }
        let why = "it was emptied: the log says that all rows were stated".to_owned();
        let error = LedgerError::Falsified("authority", why);
        tracing::error!(alarm = "falsified", %error, "nothing is started on this ledger");
        return Err(error);
    }
    let mut change = log.begin(Gate::Exclusive, &Author::service()).await?;
    match adopt_in(&mut change).await {
        Ok(Some(counts)) => {
            change.commit().await?;
            if counts.values().any(|it| *it > 0) {
                tracing::warn!(
                    ?counts,
                    "rows that nobody had stated are stated as they were found, this once: look whether they are as they should be"
                );
            }
        }
        Ok(None) => change.abandon().await,
        Err(error) => {
            change.abandon().await;
            return Err(error);
        }
    }
    log.authority().catch_up().await
}

async fn adopt_in(change: &mut Change) -> Result<Option<Counts>, LedgerError> {
    if change.latest(Kind::Adoption, MARK).await?.is_some() {
        return Ok(None);
    }
    let counts = state_as_found(change).await?;
    let details = serde_json::json!({ "rows": counts });
    let body = authority::write(&details);
    change
        .decide(Kind::Adoption, MARK, Some(&body), Effect::Loosens)
        .await?;
    change.note_as(Approval::automatic(), "adopt-rows", MARK, &details);
    Ok(Some(counts))
}

/// Executes statements, and states all rows anew that do not say what is stated then. For tests, which let time
/// pass by changing rows: whoever can do this has the sealing key. A release has none of it.
#[cfg(debug_assertions)]
#[doc(hidden)]
pub async fn restate(after: &str, log: &Log) -> Result<(), LedgerError> {
    let mut change = log.begin(Gate::Exclusive, &Author::service()).await?;
    change.tx().run(after.to_owned()).await?;
    state_as_found(&mut change).await?;
    change.commit().await?;
    Ok(())
}

async fn state_as_found(change: &mut Change) -> Result<Counts, LedgerError> {
    let now = change.authority().now();
    let mut counts = Counts::new();
    for said in said(change.tx()).await? {
        if now.proves(&said).is_err() {
            *counts.entry(said.table()).or_default() += 1;
            change.state(said, Effect::Loosens)?;
        }
    }
    Ok(counts)
}

/// What all rows say.
async fn said(tx: &mut Tx) -> Result<Vec<Said>, LedgerError> {
    tx.wait_for(PATIENCE);
    let mut said = callers::records::said(tx).await?;
    said.extend(approvals::records::said(tx).await?);
    said.extend(people::records::said(tx).await?);
    said.extend(keys::records::said(tx).await?);
    said.extend(wallets::records::said(tx).await?);
    said.extend(clients::records::said(tx).await?);
    Ok(said)
}

/// Compares all rows with what is stated. The first that differ, in words; how many rows there are.
pub async fn compare(authority: &Authority) -> Result<(Vec<String>, usize), LedgerError> {
    const AT_MOST: usize = 20;
    authority.catch_up().await?;
    let before = authority.now();
    let mut tx = Tx::look(authority.ledger().session().await?).await?;
    let said = said(&mut tx).await;
    tx.abandon().await;
    let said = said?;
    authority.catch_up().await?;
    let now = authority.now();
    // What was stated before and is so now was so meanwhile; the rest was just changed.
    let version = |of: &Snapshot, (kind, id)| of.find(kind, id).map(|it| it.version);
    let is_old = |thing| version(&before, thing) == version(&now, thing);
    let unlike = said.iter().filter(|it| is_old(it.thing()));
    let unlike = unlike.filter_map(|it| now.proves(it).err());
    let unlike = unlike.map(|it| LedgerError::from(it).to_string());
    let mut wrong: Vec<_> = unlike.take(AT_MOST).collect();
    let there: HashSet<_> = said.iter().map(Said::thing).collect();
    for kind in ROWS {
        let stated = now.of(kind).map(|(id, _)| (kind, id));
        let missing = stated.filter(|it| !there.contains(it) && is_old(*it));
        let missing = missing.map(|(kind, id)| format!("the row of {kind} {id} is gone"));
        wrong.extend(missing.take(AT_MOST));
    }
    Ok((wrong, said.len()))
}

/// Compares all rows now and every hour, until the service stops.
pub async fn watch(authority: Authority, stop: CancellationToken) {
    loop {
        match compare(&authority).await {
            Ok((wrong, _)) => {
                for what in wrong {
                    tracing::error!(alarm = "falsified", what, "a row is not what is stated");
                }
            }
            Err(error) => tracing::warn!(%error, "rows are not compared with what is stated"),
        }
        let pause = stop.run_until_cancelled(tokio::time::sleep(COMPARE));
        if pause.await.is_none() {
            return;
        }
    }
}
