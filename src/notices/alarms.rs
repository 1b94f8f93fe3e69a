//! Alarms become notices. Where the database is away they are sent from memory, as well as that goes: no more
//! than are kept, each a few times, and perhaps by several replicas.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::delivery::LOOK;
use super::{Kind, Message, Notice, Notices, records};
use crate::alarms::{self, Alarm};

/// After so long without the database that is an alarm of its own.
const AWAY: Duration = Duration::from_secs(30);

/// So many notices are kept while the database is away, and each is tried so often.
const KEPT: usize = 100;
const TRIES: u32 = 30;

/// An alarm about one thing is told once in so long.
const EVERY_S: i64 = 3_600;

/// How often old notices are forgotten.
const FORGET: Duration = Duration::from_hours(1);

/// A notice that is not on record.
struct Kept {
    notice: Notice,
    at: OffsetDateTime,
    /// Those who have not got it.
    left: Vec<usize>,
    tries: u32,
}

/// What this process knows of the way to the database.
#[derive(Default)]
struct Memory {
    kept: VecDeque<Kept>,
    /// Under what notices were kept within this hour.
    told: Vec<String>,
    away_since: Option<Instant>,
    is_said: bool,
    forgot: Option<Instant>,
}

impl Notices {
    /// Takes alarms, and writes for each notice to whom it goes, until the service stops.
    pub(super) async fn listen(self, stop: CancellationToken) {
        let mut memory = Memory::default();
        let pause = || stop.run_until_cancelled(tokio::time::sleep(LOOK));
        loop {
            let is_last = pause().await.is_none();
            self.look(&mut memory).await;
            if is_last {
                return; // what was raised until the end is on record
            }
        }
    }

    async fn look(&self, memory: &mut Memory) {
        let now = self.0.clock.now();
        for alarm in alarms::take() {
            memory.keep(of(&alarm, now), now, self.wanting(Kind::Alarm));
        }
        self.address(memory).await;
        if memory.is_away() && !memory.is_said {
            let sentence =
                "the database has been away for half a minute: nothing is signed until it is back";
            let notice = Notice::new(Kind::Alarm, sentence).about("alarm", &"database-away");
            memory.keep(notice, now, self.wanting(Kind::Alarm));
            memory.is_said = true;
        }
        let mut left = VecDeque::new();
        for mut kept in std::mem::take(&mut memory.kept) {
            if memory.away_since.is_none()
                && super::tell(&kept.notice, &self.0.ledger).await.is_ok()
            {
                continue;
            }
            self.send(&mut kept).await;
            if !kept.left.is_empty() && kept.tries < TRIES {
                left.push_back(kept);
            }
        }
        memory.kept = left;
    }

    /// Writes deliveries, and learns from it whether the database is there.
    async fn address(&self, memory: &mut Memory) {
        let wanted = self.0.destinations.iter().flat_map(|to| {
            let of = |kind: &Kind| (to.name.clone(), *kind);
            to.kinds().iter().map(of)
        });
        let wanted: Vec<_> = wanted.collect();
        match records::address(&wanted, &self.0.ledger).await {
            Ok(()) => {
                memory.away_since = None;
                memory.is_said = false;
            }
            Err(error) => {
                tracing::debug!(%error, "notices are not addressed for now");
                memory.away_since.get_or_insert_with(Instant::now);
            }
        }
        if memory.forgot.is_none_or(|at| at.elapsed() > FORGET) {
            memory.forgot = Some(Instant::now());
            if let Err(error) = records::forget(&self.0.ledger).await {
                tracing::debug!(%error, "old notices are not forgotten for now");
            }
        }
    }

    /// Sends from memory to those who have not got it.
    async fn send(&self, kept: &mut Kept) {
        kept.tries += 1;
        let message = Message::new(&kept.notice, kept.at, false);
        let mut left = Vec::new();
        for at in std::mem::take(&mut kept.left) {
            let to = &self.0.destinations[at];
            if let Err(error) = to.send(&message, self.0.clock.unix_s()).await {
                let id = kept.notice.id;
                tracing::warn!(notice.id = %id, destination = %to.name, %error, "a notice from memory is not delivered");
                left.push(at);
            }
        }
        kept.left = left;
    }

    /// The destinations that want this kind.
    fn wanting(&self, kind: Kind) -> Vec<usize> {
        let all = self.0.destinations.iter().enumerate();
        let wanting = all.filter(|(_, to)| to.kinds().contains(&kind));
        wanting.map(|(at, _)| at).collect()
    }
}

impl Memory {
    fn is_away(&self) -> bool {
        self.away_since.is_some_and(|since| since.elapsed() > AWAY)
    }

    /// Keeps a notice, unless the same was told within the hour.
    fn keep(&mut self, notice: Notice, at: OffsetDateTime, left: Vec<usize>) {
        if let Some(once) = &notice.once {
            if self.told.contains(once) || self.kept.len() >= KEPT {
                return;
            }
            if self.told.len() >= 10 * KEPT {
                self.told.clear();
            }
            self.told.push(once.clone());
        }
        self.kept.push_back(Kept {
            notice,
            at,
            left,
            tries: 0,
        });
    }
}

/// An alarm as a notice.
fn of(alarm: &Alarm, at: OffsetDateTime) -> Notice {
    let ids: Vec<_> = alarm.about.values().map(String::as_str).collect();
    let hour = at.unix_timestamp().div_euclid(EVERY_S);
    let once = format!("alarm {} {} {hour}", alarm.what, ids.join(" "));
    let sentence = match ids.as_slice() {
        [] => alarm.said.clone(),
        ids => format!("{} ({})", alarm.said, ids.join(", ")),
    };
    let mut notice = Notice::new(Kind::Alarm, sentence).about("alarm", &alarm.what);
    for (what, id) in &alarm.about {
        notice = notice.about(what, id);
    }
    notice.once(once)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_told_once_an_hour_and_another_besides() {
        let alarm = |key: &str| Alarm {
            what: "device-down".into(),
            said: "the token is down".into(),
            about: [("custody.backend", key.to_owned())].into(),
        };
        let at = |s| OffsetDateTime::from_unix_timestamp(s).unwrap();
        let mut memory = Memory::default();
        for (device, s) in [("a", 0), ("a", 3_599), ("b", 3_599), ("a", 3_600)] {
            memory.keep(of(&alarm(device), at(s)), at(s), vec![0]);
        }
        let kept: Vec<_> = memory.kept.iter().map(|it| &it.notice.sentence).collect();
        let said = |device: &str| format!("the token is down ({device})");
        assert_eq!(kept, [&said("a"), &said("b"), &said("a")]);
    }
}
