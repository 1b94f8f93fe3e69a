//! Stretches of the log, and where in one the leaves of a term are.

use std::collections::BTreeMap;

use super::terms::Term;

/// So many leaves are a stretch.
pub(super) const SIZE: u64 = 8_192;

/// So many bytes have a bit for each leaf. Fewer places than would fill as many are a list.
const BITS: usize = 1_024;

/// A stretch that is whole: the times in it, and the places of each term.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
    pub(super) terms: Vec<i64>,
    pub(super) places: Vec<Vec<u8>>,
}

impl Stretch {
    /// Of its leaves, each with its place, its time and its terms.
    pub(super) fn of<'a>(leaves: impl Iterator<Item = (u16, i64, &'a [Term])>) -> Self {
        let (mut from_ms, mut to_ms) = (i64::MAX, i64::MIN);
        let mut by_term: BTreeMap<Term, Vec<u16>> = BTreeMap::new();
        for (place, at_ms, terms) in leaves {
            from_ms = from_ms.min(at_ms);
            to_ms = to_ms.max(at_ms);
            for term in terms {
                by_term.entry(*term).or_default().push(place);
            }
        }
        let (terms, places) = by_term
            .into_iter()
            .map(|(term, places)| (term.number(), pack(&places)))
            .unzip();
        Self {
            from_ms,
            to_ms,
            terms,
            places,
        }
    }
}

fn pack(places: &[u16]) -> Vec<u8> {
    if 2 * places.len() < BITS {
        return places.iter().flat_map(|it| it.to_be_bytes()).collect();
    }
    let mut bits = vec![0; BITS];
    for place in places {
        if let Some(byte) = bits.get_mut(usize::from(place / 8)) {
            *byte |= 1 << (place % 8);
        }
    }
    bits
}

/// What was packed; `None`: it is none of that.
fn unpack(packed: &[u8]) -> Option<Vec<u16>> {
    if packed.len() == BITS {
        let set = |place: &u16| packed[usize::from(place / 8)] & (1 << (place % 8)) != 0;
        return Some((0..u16::try_from(SIZE).ok()?).filter(set).collect());
    }
    let (pairs, rest) = packed.as_chunks::<2>();
    let places: Vec<u16> = pairs.iter().map(|it| u16::from_be_bytes(*it)).collect();
    let fits = rest.is_empty() && places.iter().all(|it| u64::from(*it) < SIZE);
    fits.then_some(places)
}

/// The places that all of these have, the last first.
pub(super) fn shared<'a>(packed: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u16>> {
    let mut all: Option<Vec<u16>> = None;
    for it in packed {
        let places = unpack(it)?;
        all = Some(match all {
            None => places,
            Some(mut before) => {
                before.retain(|place| places.binary_search(place).is_ok());
                before
            }
        });
    }
    let mut all = all?;
    all.reverse();
    Some(all)
}

#[cfg(test)]
mod tests;
