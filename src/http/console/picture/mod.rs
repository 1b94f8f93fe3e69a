//! Pictures of the last hour: lines, drawn here, each with what they show in words.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::recent::{Moment, Share};

/// The picture's size in its own units, without what is written beside it.
const SIZE: (u64, u64) = (600, 120);

/// So many limits have a line.
const LIMITS: usize = 3;

/// Beyond this, time is not told apart, in microseconds.
const LONGEST: u64 = 20_000_000;

/// A picture of a few lines.
pub(super) struct Picture {
    pub(super) title: &'static str,
    /// What is to be seen on it.
    pub(super) said: String,
    /// How much the upper edge stands for.
    pub(super) top: String,
    /// None where nothing is known.
    pub(super) lines: Vec<Line>,
}

/// A line, told apart from others by how it is drawn.
pub(super) struct Line {
    pub(super) name: String,
    /// As SVG writes it.
    pub(super) path: String,
}

/// One number a minute, where there is one.
type Numbers = Vec<Option<u64>>;

/// How much was signed and refused.
pub(super) fn work(minutes: &[Moment]) -> Picture {
    let signed: Numbers = minutes.iter().map(|it| Some(it.signed)).collect();
    let refused: Numbers = minutes.iter().map(|it| Some(it.refused)).collect();
    let said = [("Signatures", &signed), ("Refusals", &refused)].map(|(name, numbers)| {
        let numbers: Vec<u64> = numbers.iter().copied().flatten().collect();
        let (last, most) = (numbers.last(), numbers.iter().max());
        let (last, most) = (last.copied().unwrap_or(0), most.copied().unwrap_or(0));
        let all: u64 = numbers.iter().sum();
        format!("{name}: {last} in the last minute, {most} in the busiest, {all} in all.")
    });
    let top = highest(&[&signed, &refused]);
    Picture {
        title: "Signatures and refusals a minute",
        said: said.join(" "),
        top: top.to_string(),
        lines: vec![
            line("signatures", &signed, top),
            line("refusals", &refused, top),
        ],
    }
}

/// How long it took.
pub(super) fn latency(minutes: &[Moment]) -> Picture {
    let within = |percent| -> Numbers {
        let each = minutes.iter().map(|it| it.within(percent));
        each.map(|it| it.map(|micros| micros.min(LONGEST)))
            .collect()
    };
    let (half, most) = (within(50), within(99));
    let said = match minutes.last() {
        Some(last) if last.within(50).is_some() => format!(
            "Of the signatures of the last minute half took at most {}, 99 of 100 at most {}, from the record of the intent to that of its end.",
            time(last.within(50)),
            time(last.within(99))
        ),
        _ => "Nothing was signed in the last minute.".to_owned(),
    };
    let top = highest(&[&half, &most]);
    let is_known = half.iter().any(Option::is_some);
    let lines = vec![
        line("half of them (p50)", &half, top),
        line("99 of 100 (p99)", &most, top),
    ];
    Picture {
        title: "How long signatures take",
        said,
        top: time(Some(top)),
        lines: if is_known { lines } else { Vec::new() },
    }
}

/// How much of limits is used, of those that are nearest their end now.
pub(super) fn limits(minutes: &[Moment], names: &HashMap<String, String>) -> Picture {
    let now = minutes.last().map_or(&[][..], |it| it.limits.as_slice());
    let now = now.get(..LIMITS).unwrap_or(now);
    let then = |minute: &Moment, (scope, limit, _): &Share| {
        let mut limits = minute.limits.iter();
        let found = limits.find(|it| (it.0, it.1) == (*scope, *limit));
        found.map(|it| u64::from(it.2))
    };
    let name = |(scope, limit, _): &Share| {
        let of = scope.to_string();
        format!("{limit} of {}", names.get(&of).unwrap_or(&of))
    };
    let each = now.iter().map(|share| {
        let numbers: Numbers = minutes.iter().map(|it| then(it, share)).collect();
        line(&name(share), &numbers, 100)
    });
    let said = now
        .iter()
        .map(|share| format!("{}: {} % used.", name(share), share.2));
    let said: Vec<_> = said.collect();
    Picture {
        title: "Limits that are nearest their end",
        said: if said.is_empty() {
            "Nothing that is limited is counted.".to_owned()
        } else {
            said.join(" ")
        },
        top: "100 %".to_owned(),
        lines: each.collect(),
    }
}

/// A time as people say it; the longest is not told exactly.
pub(super) fn time(micros: Option<u64>) -> String {
    match micros {
        None => "–".to_owned(),
        Some(micros) if micros >= LONGEST => "more than 10 s".to_owned(),
        Some(micros @ 1_000_000..) => format!("{} s", micros / 1_000_000),
        Some(micros @ 1_000..) => format!("{} ms", micros / 1_000),
        Some(micros) => format!("{micros} µs"),
    }
}

fn highest(all: &[&Numbers]) -> u64 {
    let all = all.iter().flat_map(|it| it.iter().copied().flatten());
    all.max().unwrap_or(0).max(1)
}

/// From the left, an hour ago, to the right, which is now; where there is no number, there is no line.
fn line(name: &str, numbers: &[Option<u64>], top: u64) -> Line {
    let (width, height) = SIZE;
    let mut path = String::new();
    let mut is_drawn = false;
    for (minutes_ago, number) in (0_u64..60).rev().zip(padded(numbers)) {
        let Some(number) = number else {
            is_drawn = false;
            continue;
        };
        let x = width - minutes_ago * width / 59;
        let y = height - number.min(top) * height / top;
        let (word, dot) = if is_drawn { ('L', "") } else { ('M', "h0") };
        write!(path, "{word}{x} {y}{dot}").expect("a string takes what is written to it");
        is_drawn = true;
    }
    Line {
        name: super::cells::shown(name),
        path,
    }
}

/// An hour, of which the beginning may not be known.
fn padded(numbers: &[Option<u64>]) -> impl Iterator<Item = Option<u64>> {
    let unknown = 60_usize.saturating_sub(numbers.len());
    std::iter::repeat_n(None, unknown).chain(numbers.iter().copied())
}

#[cfg(test)]
mod tests;
