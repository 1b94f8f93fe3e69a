//! Which limits something had at which time.

use serde_json::Value;

use super::CLOCKS_MS;
use crate::audit::leaf::Admin;
use crate::limits::{Limits, Scope};

/// From when on which limits held, where any did.
#[derive(Debug)]
pub(super) struct Era {
    pub(super) at_ms: i64,
    pub(super) limits: Option<Limits>,
}

/// The eras of one thing, in their order. Before the first nothing is known.
#[derive(Debug, Default)]
pub(super) struct Eras(Vec<Era>);

/// What a change says of limits, if it is one of limits.
pub(super) fn change(it: &Admin) -> Option<(Scope, Option<Limits>)> {
    let is_set = match it.action.as_str() {
        "set-limits" => true,
        "remove-limits" => false,
        _ => return None,
    };
    let details: Value = serde_json::from_str(&it.details).ok()?;
    let scope = Scope::try_from(details["scope"].as_str()?.to_owned()).ok()?;
    let limits = is_set.then(|| serde_json::from_value(details["after"].clone()));
    Some((scope, limits.transpose().ok()?))
}

impl Eras {
    pub(super) fn begin(&mut self, at_ms: i64, limits: Option<Limits>) {
        let place = self.0.partition_point(|it| it.at_ms <= at_ms);
        self.0.insert(place, Era { at_ms, limits });
    }

    /// Whether any era limits so.
    pub(super) fn any(&self, limits: impl Fn(&Limits) -> bool) -> bool {
        self.0
            .iter()
            .filter_map(|it| it.limits.as_ref())
            .any(limits)
    }

    /// Those in which something may have been decided that began and ended at these times; none, where that may have
    /// been before the first.
    pub(super) fn around(&self, from_ms: i64, to_ms: i64) -> &[Era] {
        let begun = |at_ms: i64| self.0.partition_point(|it| it.at_ms <= at_ms);
        let first = begun(from_ms.saturating_sub(CLOCKS_MS)).checked_sub(1);
        let end = begun(to_ms.saturating_add(CLOCKS_MS));
        first.and_then(|it| self.0.get(it..end)).unwrap_or_default()
    }
}

/// The least that each of these says, if each says something.
pub(super) fn least<T: Ord>(eras: &[Era], said: impl Fn(&Limits) -> Option<T>) -> Option<T> {
    let each: Option<Vec<T>> = eras
        .iter()
        .map(|it| it.limits.as_ref().and_then(&said))
        .collect();
    each?.into_iter().min()
}

/// The most.
pub(super) fn most<T: Ord>(eras: &[Era], said: impl Fn(&Limits) -> Option<T>) -> Option<T> {
    let each: Option<Vec<T>> = eras
        .iter()
        .map(|it| it.limits.as_ref().and_then(&said))
        .collect();
    each?.into_iter().max()
}
