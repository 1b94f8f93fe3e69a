//! What is to go wrong, as the file says it.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use cryptoki_sys::{CK_ATTRIBUTE_TYPE, CK_FLAGS, CK_RV, CK_ULONG};

/// What happens instead of a call, or to its answer.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Note,
    Code(CK_RV),
    After(CK_RV),
    Hang(PathBuf),
    Pause(Duration),
    Limit(u64),
    MaxSessions(CK_ULONG),
    Flags(CK_FLAGS),
    Attribute(CK_ATTRIBUTE_TYPE, Vec<u8>),
    BarePoint,
    Sign(String),
}

#[derive(Debug)]
struct Rule {
    function: String,
    first: u64,
    times: u64,
    action: Action,
    calls: u64,
}

impl Rule {
    fn strikes(&self, call: u64) -> bool {
        call >= self.first && call - self.first < self.times
    }
}

#[derive(Default)]
struct Rules {
    text: String,
    rules: Vec<Rule>,
}

static RULES: Mutex<Option<Rules>> = Mutex::new(None);
static FILE: LazyLock<Option<PathBuf>> =
    LazyLock::new(|| std::env::var_os("PKCS11_FAULTS_FILE").map(PathBuf::from));

/// Counts a call, waits where that is what a rule wants, and says what else is to happen to it.
pub(crate) fn strike(function: &str) -> Option<Action> {
    let action = with_rules(|rules| {
        let mut struck = None;
        for rule in rules.iter_mut().filter(|rule| rule.function == function) {
            rule.calls += 1;
            if struck.is_none() && rule.strikes(rule.calls) {
                struck = Some(rule.action.clone());
            }
        }
        struck
    })?;
    note(function);
    match &action {
        Action::Hang(file) => {
            while file.exists() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Action::Pause(time) => std::thread::sleep(*time),
        _ => {}
    }
    Some(action)
}

/// What the next call of a function would meet; it is not counted.
pub(crate) fn next(function: &str) -> Option<Action> {
    with_rules(|rules| {
        let mut of = rules.iter().filter(|rule| rule.function == function);
        of.find(|rule| rule.strikes(rule.calls + 1))
            .map(|rule| rule.action.clone())
    })
}

fn with_rules<T>(with: impl FnOnce(&mut Vec<Rule>) -> Option<T>) -> Option<T> {
    let mut rules = RULES.lock().unwrap_or_else(PoisonError::into_inner);
    // Read while it is locked: an older text must not come after a newer one.
    let text = std::fs::read_to_string(FILE.as_ref()?).ok()?;
    let rules = rules.get_or_insert_default();
    if rules.text != text {
        rules.rules = text.lines().filter_map(parse).collect();
        rules.text = text;
    }
    with(&mut rules.rules)
}

fn note(function: &str) {
    let Some(file) = &*FILE else { return };
    let file = file.with_extension("struck");
    let mut options = std::fs::OpenOptions::new();
    if let Ok(mut file) = options.create(true).append(true).open(file) {
        // In one piece: others write as well.
        drop(file.write_all(format!("{function}\n").as_bytes()));
    }
}

/// A rule; nothing for an empty line or one that begins with `#`. Anything else ends the process.
fn parse(line: &str) -> Option<Rule> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (function, first, times, action) = match words.as_slice() {
        [] => return None,
        [comment, ..] if comment.starts_with('#') => return None,
        [function, first, times, action @ ..] => (*function, *first, *times, action),
        _ => nonsense(line),
    };
    let known = |text: &str| number(text).unwrap_or_else(|| nonsense(line));
    let action = match action {
        ["note"] => Action::Note,
        ["code", code] => Action::Code(known(code)),
        ["after", code] => Action::After(known(code)),
        ["hang", file] => Action::Hang(file.into()),
        ["pause", ms] => Action::Pause(Duration::from_millis(known(ms))),
        ["limit", most] => Action::Limit(known(most)),
        ["max-sessions", most] => Action::MaxSessions(known(most)),
        ["flags", flags] => Action::Flags(known(flags)),
        ["attribute", attribute, value] => Action::Attribute(
            known(attribute),
            bytes(value).unwrap_or_else(|| nonsense(line)),
        ),
        ["bare-point"] => Action::BarePoint,
        ["sign", how] => Action::Sign((*how).to_owned()),
        _ => nonsense(line),
    };
    Some(Rule {
        function: function.to_owned(),
        first: known(first),
        times: if times == "*" { u64::MAX } else { known(times) },
        action,
        calls: 0,
    })
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    (0..hex.len()).step_by(2).map(byte).collect()
}

pub(crate) fn nonsense(line: &str) -> ! {
    eprintln!("pkcs11-faults: not a rule: {line}");
    std::process::abort();
}
