//! What devices and the database say of keys, limits and notices, for whoever watches the service.

use super::App;
use super::measuring::{many, seconds};
use crate::limits::{LimitError, Scope, ScopeKind};
use crate::metrics::Family;
use crate::notices::State;

/// So many keys are shown, those that end first, and so many documents of limits are looked at.
const MOST: usize = 200;

/// Ends beyond this are nobody's concern yet.
const AHEAD: time::Duration = time::Duration::days(4_000);

/// How many days ahead something is due.
const SOON: i64 = 30;

/// Some of it, or why that is not known.
pub(super) type Part = Result<Vec<Family>, Box<dyn std::error::Error + Send + Sync>>;

impl App {
    /// What ends, and when.
    pub(super) async fn ends(&self) -> Part {
        let mut due = self.cryptoperiods.due(AHEAD).await?;
        due.keys.sort_by_key(|it| it.ends_at);
        let mut keys = Family::levels(
            "chancery_key_ends_timestamp_seconds",
            "When a key's cryptoperiod ends",
        );
        for period in due.keys.iter().take(MOST) {
            let of = [
                ("key", period.name.as_str()),
                ("purpose", period.purpose.name()),
            ];
            keys.set(of, seconds(period.ends_at));
        }
        let soon = self.clock.now() + time::Duration::days(SOON);
        let mut ends = Family::levels(
            "chancery_due",
            "How many end within 30 days, or have ended and were not replaced",
        );
        for (kind, number) in [
            (
                "key",
                due.keys.iter().filter(|it| it.ends_at <= soon).count(),
            ),
            (
                "credential",
                due.credentials
                    .iter()
                    .filter(|it| it.ends_at <= soon)
                    .count(),
            ),
            (
                "token",
                due.tokens.iter().filter(|it| it.ends_at <= soon).count(),
            ),
            (
                "session-key",
                due.session_keys
                    .iter()
                    .filter(|it| it.valid_until.is_some_and(|at| at <= soon))
                    .count(),
            ),
        ] {
            ends.set([("kind", kind)], many(number));
        }
        Ok(vec![keys, ends])
    }

    /// How much of limits is used.
    pub(crate) async fn shares(&self) -> Result<Vec<(Scope, &'static str, f64)>, LimitError> {
        let mut shares = Vec::new();
        let book = self.limits.book()?;
        for (scope, _) in book.all().into_iter().take(MOST) {
            let used = self.limits.usage(scope).await?.into_iter();
            shares.extend(used.map(|it| (scope, it.limit, it.share())));
        }
        Ok(shares)
    }

    /// The same of each limit where it is most, for each kind of thing that is limited.
    pub(super) async fn limits_used(&self) -> Part {
        let mut most: Vec<(ScopeKind, &'static str, f64)> = Vec::new();
        for (scope, limit, share) in self.shares().await? {
            let kind = scope.kind();
            let known = most.iter_mut().find(|it| (it.0, it.1) == (kind, limit));
            match known {
                Some(known) => known.2 = known.2.max(share),
                None => most.push((kind, limit, share)),
            }
        }
        let mut used = Family::levels(
            "chancery_limit_used_ratio",
            "How much of a limit is used, of the thing where it is most",
        );
        for (scope, limit, share) in most {
            used.set([("scope", scope.name()), ("limit", limit)], share);
        }
        Ok(vec![used])
    }

    /// What the last look into the devices found.
    pub(super) async fn attested(&self) -> Part {
        let mut keys = Family::levels(
            "chancery_attested_keys",
            "Keys at the last look into all devices, and whether they were as recorded",
        );
        let mut at = Family::levels(
            "chancery_attestation_timestamp_seconds",
            "When all devices were last looked into",
        );
        if let Some((round, ended_at)) = self.attestations.last_round().await? {
            let as_recorded = round.looked_at - round.drifted - round.unknown;
            for (verdict, number) in [
                ("as-recorded", as_recorded),
                ("drifted", round.drifted),
                ("unknown", round.unknown),
            ] {
                keys.set([("verdict", verdict)], number);
            }
            at.set([], seconds(ended_at));
        }
        Ok(vec![keys, at])
    }

    /// What waits for people.
    pub(super) async fn waiting(&self) -> Part {
        let rotations = self.rotations.list().await?;
        let now = self.clock.now();
        let open = rotations.iter().filter(|it| it.state.is_open());
        let late = open.clone().filter(|it| it.target_at < now).count();
        let mut all = Family::levels("chancery_rotations", "Rotations that are not over");
        all.set([("state", "open")], many(open.count()));
        all.set([("state", "overdue")], many(late));
        let dead = self.notices.list(Some(State::Dead)).await?;
        let halts = self.rights.halts().list().await?;
        Ok(vec![
            all,
            Family::level(
                "chancery_notices_dead",
                "Notices that could not be delivered, of the latest",
                [],
                many(dead.len()),
            ),
            Family::level(
                "chancery_halts",
                "Halts that are in force",
                [],
                many(halts.len()),
            ),
        ])
    }
}
