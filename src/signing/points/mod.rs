//! The `r` of what leaves: the same one under a key for two digests gives the key away (P8).

pub(super) mod records;

use std::collections::{BTreeMap, HashSet};

use crate::id::{IntentId, KeyId};
use crate::ledger::{LedgerError, Tx};

/// The `r` of a signature, and what it is of.
pub(super) struct Point {
    pub(super) intent: IntentId,
    pub(super) key: KeyId,
    pub(super) r: [u8; 32],
    pub(super) digest: [u8; 32],
}

/// Which digest each (key, r) was used for.
type Uses = BTreeMap<(KeyId, [u8; 32]), [u8; 32]>;

/// Puts points on record; says whose `r` was used for another digest, whenever and by whichever
/// replica. One for the same digest is normal: whoever signs it again as RFC 6979 says gets the same.
pub(super) async fn record(
    points: &[Point],
    tx: &mut Tx,
) -> Result<HashSet<IntentId>, LedgerError> {
    let mut first = Uses::new(); // in the order of the index, as every replica has it
    for point in points {
        first.entry((point.key, point.r)).or_insert(point.digest);
    }
    if first.is_empty() {
        return Ok(HashSet::new());
    }
    let taken = records::insert(&first, tx).await?;
    first.extend(taken);
    Ok(repeated(points, &first))
}

fn repeated(points: &[Point], uses: &Uses) -> HashSet<IntentId> {
    let differs = |point: &&Point| uses.get(&(point.key, point.r)) != Some(&point.digest);
    points
        .iter()
        .filter(differs)
        .map(|point| point.intent)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_r_belongs_to_one_digest_of_one_key() {
        let (key, other) = (KeyId::new(), KeyId::new());
        let point = |key, r, digest| Point {
            intent: IntentId::new(),
            key,
            r: [r; 32],
            digest: [digest; 32],
        };
        let points = [
            point(key, 1, 1),
            point(key, 1, 1),
            point(key, 1, 2),
            point(key, 2, 2),
            point(other, 1, 2),
        ];
        let uses = [((key, 1), 1), ((key, 2), 2), ((other, 1), 2)]
            .map(|((key, r), digest)| ((key, [r; 32]), [digest; 32]));
        let wrong = repeated(&points, &uses.into());
        assert_eq!(wrong, [points[2].intent].into());
    }
}
