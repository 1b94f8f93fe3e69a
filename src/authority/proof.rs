//! Comparing what was read with what is stated.

use super::{Authority, Said, Snapshot, Statement};
use crate::ledger::LedgerError;

/// How often rows are read again that change while they are read.
const TRIES: u32 = 5;

/// What was read, and can be compared with what is stated.
pub trait Proved {
    /// Compares it, and keeps by which version it is so.
    fn prove(&mut self, by: &Snapshot) -> Result<(), Unlike>;
}

/// A row that does not say what is stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unlike {
    /// Where it is.
    pub table: &'static str,
    /// What is stated of its thing; of version 0: nothing.
    pub stated: Statement,
}

impl From<Unlike> for LedgerError {
    fn from(unlike: Unlike) -> Self {
        let Statement { kind, id, .. } = unlike.stated;
        Self::Falsified(unlike.table, format!("{kind} {id}"))
    }
}

impl Proved for Said {
    fn prove(&mut self, by: &Snapshot) -> Result<(), Unlike> {
        by.proves(self).map(drop)
    }
}

impl<T: Proved> Proved for Option<T> {
    fn prove(&mut self, by: &Snapshot) -> Result<(), Unlike> {
        self.iter_mut().try_for_each(|it| it.prove(by))
    }
}

impl<T: Proved> Proved for Vec<T> {
    fn prove(&mut self, by: &Snapshot) -> Result<(), Unlike> {
        self.iter_mut().try_for_each(|it| it.prove(by))
    }
}

impl<T: Proved, const N: usize> Proved for [T; N] {
    fn prove(&mut self, by: &Snapshot) -> Result<(), Unlike> {
        self.iter_mut().try_for_each(|it| it.prove(by))
    }
}

/// Something, with what the rows say that it was read from.
#[derive(Clone, Debug)]
pub struct Read<T> {
    /// What was read.
    pub value: T,
    /// What its rows say.
    pub said: Vec<Said>,
}

impl<T> Proved for Read<T> {
    fn prove(&mut self, by: &Snapshot) -> Result<(), Unlike> {
        self.said.prove(by)
    }
}

impl Authority {
    /// Reads rows that are what is stated. Those that change meanwhile are read again.
    pub(crate) async fn read<T: Proved, F: Future<Output = Result<T, LedgerError>> + Send>(
        &self,
        look: impl Fn() -> F,
    ) -> Result<T, LedgerError> {
        for _ in 0..TRIES {
            let before = self.now();
            let mut read = look().await?;
            if self.is_stated(&mut read, &before, &[]).await? {
                return Ok(read);
            }
        }
        Err(LedgerError::AuthorityChanged)
    }

    /// Compares rows with what is stated, and with what their own transaction states.
    pub(crate) async fn prove(
        &self,
        rows: &mut impl Proved,
        own: &[Said],
    ) -> Result<(), LedgerError> {
        let before = self.now();
        let is_stated = self.is_stated(rows, &before, own).await?;
        is_stated.then_some(()).ok_or(LedgerError::AuthorityChanged)
    }

    /// Whether rows are what is stated; `false`: something was stated anew since a look from before they were
    /// read.
    async fn is_stated<T: Proved>(
        &self,
        rows: &mut T,
        before: &Snapshot,
        own: &[Said],
    ) -> Result<bool, LedgerError> {
        let compare = |rows: &mut T, with: &Snapshot| {
            if own.is_empty() {
                rows.prove(with)
            } else {
                rows.prove(&with.and(own))
            }
        };
        if compare(rows, &self.now()).is_ok() {
            return Ok(true);
        }
        // The rows may be newer than what was loaded.
        self.catch_up().await?;
        let now = self.now();
        let Err(unlike) = compare(rows, &now) else {
            return Ok(true);
        };
        // Or older. What was stated before they were read and is so now was so meanwhile.
        let Statement { kind, id, .. } = unlike.stated;
        let version = |it: &Snapshot| it.find(kind, id).map(|it| it.version);
        if version(before) != version(&now) {
            return Ok(false);
        }
        let error = LedgerError::from(unlike);
        tracing::error!(alarm = "falsified", %error, "a row does not say what is stated");
        Err(error)
    }
}
