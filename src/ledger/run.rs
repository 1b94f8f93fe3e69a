//! Runs of writers, and their turns: how it is found out what became of a call whose answer was lost.
//!
//! Whoever writes for a run holds the run's lock until that is committed or rolled back, and looks behind
//! it whether its turn is still on. Whoever takes a new connection waits for the lock, so that what was under
//! way is over; raises the turn, so that what was sent and has not begun writes nothing any more; and
//! then reads what there is.

/// An advisory lock, as `pg_locks` shows it.
pub(super) struct Lock {
    pub(super) class: i64,
    pub(super) object: i64,
    pub(super) kind: i16,
}

/// The class of the advisory locks of runs: there, nobody else has a lock of the same number.
pub(super) const CLASS: i32 = 0x7275_6e73;

/// Whether the server takes what is written in a transaction.
pub(super) const WRITES: &str = "not current_setting('transaction_read_only')::boolean";

/// A run of a writer, and whose turn it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) number: i32,
    pub(crate) turn: i32,
}

impl Run {
    /// Statements after which the run is locked, and which say last whether the turn is still on.
    pub(super) fn statements(self) -> (String, String) {
        let Self { number, turn } = self;
        let lock = format!("select pg_advisory_xact_lock({CLASS}, {number});");
        let fits = format!(
            "; select turn = {turn} and {WRITES} as fits from writers where run = {number}"
        );
        (lock, fits)
    }
}

/// The lock of a run.
pub(super) fn lock(number: i32) -> Lock {
    Lock {
        class: i64::from(CLASS),
        object: i64::from(number),
        kind: 2,
    }
}
