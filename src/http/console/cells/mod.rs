//! What stands in a cell, from what the API says.

use std::fmt::Write as _;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::clock;
use crate::percent::encoded;

/// Why writing to a text cannot fail.
const TAKES: &str = "a string takes what is written to it";

/// How a member is shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// As it is.
    Text,
    /// Something to copy: an id, an address, a digest.
    Code,
    /// A time, as how long ago it was or how far it is.
    Time,
    /// A word of a closed list.
    State,
    /// A name that leads to its page, whose path begins like this.
    Link(&'static str),
}

/// What stands in a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Nothing,
    Text(String),
    Code(String),
    Link {
        to: String,
        text: String,
    },
    Time {
        exact: String,
        near: String,
    },
    State {
        word: String,
        tone: &'static str,
    },
    /// How far something is from its beginning to its end.
    Left {
        percent: u8,
        text: String,
        tone: &'static str,
    },
    List(Vec<Cell>),
}

impl Cell {
    /// Plain words.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(shown(&text.into()))
    }

    /// A link to a page of the console.
    pub(super) fn link(to: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Link {
            to: to.into(),
            text: shown(&text.into()),
        }
    }

    /// A word with the tone it is said in.
    pub(super) fn state(word: &str) -> Self {
        Self::State {
            word: shown(word),
            tone: tone(word),
        }
    }

    /// A member, of what was answered at this time.
    pub(super) fn of(kind: Kind, value: &Value, now: OffsetDateTime) -> Self {
        match value {
            Value::Null => Self::Nothing,
            Value::String(text) if text.is_empty() => Self::Nothing,
            Value::Array(items) if items.is_empty() => Self::Nothing,
            Value::Array(items) => {
                Self::List(items.iter().map(|it| Self::of(kind, it, now)).collect())
            }
            Value::Object(of) if of.get("name").is_some_and(Value::is_string) => {
                Self::of(kind, &of["name"], now)
            }
            // What has no name is known by its id.
            Value::Object(of) if of.get("name").is_some_and(Value::is_null) => {
                Self::of(Kind::Code, of.get("id").unwrap_or(&Value::Null), now)
            }
            Value::Object(_) => Self::Code(shown(&value.to_string())),
            Value::Bool(is) => Self::text(if *is { "yes" } else { "no" }),
            Value::Number(number) => match kind {
                Kind::Link(path) => Self::link(format!("{path}{number}"), number.to_string()),
                _ => Self::text(number.to_string()),
            },
            Value::String(text) => Self::word(kind, text, now),
        }
    }

    fn word(kind: Kind, text: &str, now: OffsetDateTime) -> Self {
        match kind {
            Kind::Text => Self::text(text),
            Kind::Code => Self::Code(shown(text)),
            Kind::State => Self::state(text),
            Kind::Link(path) => Self::link(format!("{path}{}", encoded(text)), text),
            Kind::Time => match OffsetDateTime::parse(text, &Rfc3339) {
                Ok(at) => Self::Time {
                    exact: text.to_owned(),
                    near: near(at, now),
                },
                Err(_) => Self::text(text),
            },
        }
    }
}

/// How much is left of the time between two members, as of now.
pub(super) fn left(of: &Value, (begin, end): (&str, &str), now: OffsetDateTime) -> Cell {
    let time = |name: &str| OffsetDateTime::parse(of[name].as_str()?, &Rfc3339).ok();
    let (Some(begin), Some(end)) = (time(begin), time(end)) else {
        return Cell::Nothing;
    };
    let (gone, whole) = ((now - begin).whole_seconds(), (end - begin).whole_seconds());
    let percent = (gone.max(0) * 100 / whole.max(1)).min(100);
    let far = near(end, now);
    let far = format!("{} left", far.trim_start_matches("in "));
    let (text, tone) = match percent {
        _ if end <= now => ("over".to_owned(), "bad"),
        90.. => (far, "look"),
        _ => (far, "good"),
    };
    let percent = u8::try_from(percent).unwrap_or(100);
    Cell::Left {
        percent,
        text,
        tone,
    }
}

/// A moment, from milliseconds since 1970.
pub(super) fn moment(ms: i64, now: OffsetDateTime) -> Cell {
    let at = clock::of_unix_ms(ms).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    Cell::Time {
        exact: at.format(&Rfc3339).unwrap_or_default(),
        near: near(at, now),
    }
}

/// The milliseconds since 1970 that a member of such a name says.
pub(super) fn millis(name: &str, value: &Value) -> Option<i64> {
    name.ends_with("_at_ms").then(|| value.as_i64()).flatten()
}

/// A column: what it is called, the member, and how that is shown.
pub(super) type Column = (&'static str, &'static str, Kind);

/// The members of an object, in columns.
pub(super) fn row(columns: &[Column], of: &Value, now: OffsetDateTime) -> Vec<Cell> {
    let cell = |(_, member, kind): &Column| Cell::of(*kind, at(of, member), now);
    columns.iter().map(cell).collect()
}

/// The members that are there, each with what it is called.
pub(super) fn facts(columns: &[Column], of: &Value, now: OffsetDateTime) -> Vec<(String, Cell)> {
    let fact = |(head, member, kind): &Column| {
        let cell = Cell::of(*kind, at(of, member), now);
        (cell != Cell::Nothing).then(|| ((*head).to_owned(), cell))
    };
    columns.iter().filter_map(fact).collect()
}

/// A member, or one of a member's.
fn at<'a>(of: &'a Value, member: &str) -> &'a Value {
    member.split('.').fold(of, |of, name| &of[name])
}

/// Text in which nothing hides: what turns its direction around, or is not seen, is spelled out.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_invisible(c) {
            write!(shown, "[U+{:04X}]", u32::from(c)).expect(TAKES);
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Whether a character is not seen, or changes what is.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// How long ago, or how far away.
fn near(at: OffsetDateTime, now: OffsetDateTime) -> String {
    let seconds = (at - now).whole_seconds();
    let (size, unit) = match seconds.unsigned_abs() {
        far @ 0..120 => (far, "s"),
        far @ 120..7_200 => (far / 60, "min"),
        far @ 7_200..172_800 => (far / 3_600, "h"),
        far @ 172_800..63_072_000 => (far / 86_400, "d"),
        far => (far / 31_536_000, "y"),
    };
    if seconds < 0 {
        format!("{size} {unit} ago")
    } else {
        format!("in {size} {unit}")
    }
}

/// How a word is meant, for those who know it.
fn tone(word: &str) -> &'static str {
    match word {
        "active" | "live" | "as-recorded" | "approved" | "executed" | "delivered" | "succeeded"
        | "released" | "done" | "closed" => "good",
        "compromised" | "drift" | "dead" | "rejected" | "falsified" | "overdue" => "bad",
        "suspended" | "retiring" | "waiting" | "expired" | "unproven" | "destroy-pending"
        | "unknown" | "now" | "refused" | "abandoned" => "look",
        _ => "plain",
    }
}

#[cfg(test)]
mod tests;
