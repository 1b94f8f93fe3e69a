//! What the rows of a group ask of the counters of limits, as columns.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::limits::records::Counters;
use crate::limits::{Counter, Exceeded, Full, Reservation};

/// Counters, each once, by number from 1; and who asks of which.
#[derive(Default)]
pub(super) struct Asks {
    pub(super) columns: Counters,
    numbers: HashMap<Uuid, i32>,
    list: Vec<Arc<Counter>>,
    of_intents: Vec<(i32, i32)>,
    of_notes: Vec<(i32, i32)>,
}

impl Asks {
    /// What the intent with this number asks.
    pub(super) fn of_intent(&mut self, number: usize, reservation: &Reservation) {
        let asked = self.pairs_of(number, reservation);
        self.of_intents.extend(asked);
    }

    /// What the note with this number asks.
    pub(super) fn of_note(&mut self, number: usize, reservation: &Reservation) {
        let asked = self.pairs_of(number, reservation);
        self.of_notes.extend(asked);
    }

    fn pairs_of(&mut self, number: usize, reservation: &Reservation) -> Vec<(i32, i32)> {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        let counters = reservation.counters.iter();
        counters.map(|it| (number, self.number(it))).collect()
    }

    fn number(&mut self, counter: &Arc<Counter>) -> i32 {
        *self.numbers.entry(counter.id).or_insert_with(|| {
            self.columns.push(counter);
            self.list.push(Arc::clone(counter));
            i32::try_from(self.list.len()).unwrap_or(i32::MAX)
        })
    }

    /// Who asks, by number, and of which counter; notes are numbered behind so many intents.
    pub(super) fn pairs(&self, intents: usize) -> (Vec<i32>, Vec<i32>) {
        let behind = i32::try_from(intents).unwrap_or(i32::MAX);
        let notes = self
            .of_notes
            .iter()
            .map(|(n, counter)| (n + behind, *counter));
        self.of_intents.iter().copied().chain(notes).unzip()
    }

    /// Why something that asked for so much does not fit.
    pub(super) fn exceeded(&self, number: i32, asked: i64, full: &Full) -> Option<Exceeded> {
        let at = usize::try_from(number).ok()?.checked_sub(1)?;
        Some(self.list.get(at)?.exceeded(asked, full))
    }
}
