//! Whom one trusts (C2SP `tlog-policy`): logs, witnesses, and how many of these have to agree.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use super::checkpoint::Checkpoint;
use super::note::{BadNote, Kind, Note, NoteKey};

/// So many lines are read.
const LINES: usize = 1_000;

/// Logs, witnesses, and the quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<NoteKey>,
    witnesses: Vec<(NoteKey, Option<String>)>,
    quorum: Quorum,
}

/// Who has to have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Quorum {
    None,
    Witness(usize),
    Group(usize, Vec<Quorum>),
}

/// Why a policy is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the policy: {fault}")]
pub struct BadPolicy {
    /// Where.
    pub line: usize,
    /// What.
    pub fault: String,
}

/// Why a checkpoint is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsatisfied {
    /// The note is spoilt, or no log signed it.
    #[error(transparent)]
    Note(#[from] BadNote),
    /// Too few witnesses signed it.
    #[error("the quorum of witnesses is not reached; of those that are known signed: {}", names(.0))]
    Quorum(Vec<String>),
}

fn names(of: &[String]) -> String {
    if of.is_empty() {
        "none".into()
    } else {
        of.join(", ")
    }
}

impl Policy {
    /// One log, and no witness.
    pub fn of_log(log: NoteKey) -> Self {
        Self {
            logs: vec![log],
            witnesses: Vec::new(),
            quorum: Quorum::None,
        }
    }

    /// The logs.
    pub fn logs(&self) -> &[NoteKey] {
        &self.logs
    }

    /// The witnesses, and where each is asked.
    pub fn witnesses(&self) -> impl Iterator<Item = (&NoteKey, Option<&str>)> {
        self.witnesses
            .iter()
            .map(|(key, url)| (key, url.as_deref()))
    }

    /// Whether these witnesses are enough.
    pub fn is_satisfied_by(&self, signed: &[&NoteKey]) -> bool {
        self.quorum
            .holds(&|at| signed.contains(&&self.witnesses[at].0))
    }

    /// The checkpoint of a note, if a log has signed it and the quorum of witnesses.
    pub fn checkpoint(&self, note: &Note) -> Result<Checkpoint, Unsatisfied> {
        let signed = note.signed_by(&self.logs)?;
        let Some(log) = signed.first() else {
            let known: Vec<_> = self.logs.iter().map(ToString::to_string).collect();
            return Err(BadNote::Unsigned(names(&known)).into());
        };
        let checkpoint = Checkpoint::signed(note, log)?;
        let signed = note.signed_by(self.witnesses.iter().map(|(key, _)| key))?;
        if self.is_satisfied_by(&signed) {
            Ok(checkpoint)
        } else {
            let signed = signed.into_iter().map(|key| key.name().to_owned());
            Err(Unsatisfied::Quorum(signed.collect()))
        }
    }
}

impl Quorum {
    fn holds(&self, signed: &impl Fn(usize) -> bool) -> bool {
        match self {
            Self::None => true,
            Self::Witness(at) => signed(*at),
            Self::Group(of, members) => members.iter().filter(|it| it.holds(signed)).count() >= *of,
        }
    }
}

/// What was read so far.
#[derive(Default)]
struct Reading<'t> {
    logs: Vec<NoteKey>,
    witnesses: Vec<(NoteKey, Option<String>)>,
    keys: HashSet<[u8; 32]>,
    names: HashMap<&'t str, Quorum>,
    members: HashSet<&'t str>,
    quorum: Option<Quorum>,
}

impl<'t> Reading<'t> {
    fn line(&mut self, words: &[&'t str]) -> Result<(), String> {
        match *words {
            ["log", key] | ["log", key, _] => {
                let key = self.key(key, Kind::Ed25519)?;
                self.logs.push(key);
            }
            ["witness", name, key, ref url @ ..] if url.len() < 2 => {
                let key = self.key(key, Kind::Cosignature)?;
                self.name(name, Quorum::Witness(self.witnesses.len()))?;
                let url = url.first().map(ToString::to_string);
                self.witnesses.push((key, url));
            }
            ["group", name, of, ref members @ ..] if !members.is_empty() => {
                let group = self.group(of, members)?;
                self.name(name, group)?;
            }
            ["quorum", name] => {
                let quorum = match name {
                    "none" => Quorum::None,
                    name => self.named(name)?.clone(),
                };
                if self.quorum.replace(quorum).is_some() {
                    return Err("a second quorum".into());
                }
            }
            _ => return Err("not a log, a witness, a group or a quorum".into()),
        }
        Ok(())
    }

    fn group(&mut self, of: &str, members: &[&'t str]) -> Result<Quorum, String> {
        let of = match of {
            "any" => 1,
            "all" => members.len(),
            number => number
                .parse()
                .map_err(|_| "all, any or a number".to_owned())?,
        };
        if of < 1 || of > members.len() {
            return Err(format!("{of} of {}", members.len()));
        }
        let mut all = Vec::new();
        for member in members {
            all.push(self.named(member)?.clone());
            // Nobody counts twice.
            if !self.members.insert(member) {
                return Err(format!("{member} is in a group already"));
            }
        }
        Ok(Quorum::Group(of, all))
    }

    fn key(&mut self, text: &str, kind: Kind) -> Result<NoteKey, String> {
        let key: NoteKey = text.parse().map_err(|error: BadNote| error.to_string())?;
        if key.kind() != kind {
            return Err("a key of another kind".into());
        }
        if !self.keys.insert(*key.public()) {
            return Err("the same key again".into());
        }
        Ok(key)
    }

    fn name(&mut self, name: &'t str, what: Quorum) -> Result<(), String> {
        if name == "none" || self.names.insert(name, what).is_some() {
            return Err(format!("{name} is taken"));
        }
        Ok(())
    }

    fn named(&self, name: &str) -> Result<&Quorum, String> {
        let unknown = || format!("{name} is not defined above");
        self.names.get(name).ok_or_else(unknown)
    }
}

impl FromStr for Policy {
    type Err = BadPolicy;

    fn from_str(text: &str) -> Result<Self, BadPolicy> {
        let mut reading = Reading::default();
        for (n, line) in text.lines().enumerate() {
            let line_fault = |fault: String| BadPolicy { line: n + 1, fault };
            if n == LINES {
                return Err(line_fault(format!("more than {LINES} lines")));
            }
            let words: Vec<_> = line
                .split([' ', '\t'])
                .filter(|it| !it.is_empty())
                .collect();
            if words.first().is_none_or(|word| word.starts_with('#')) {
                continue;
            }
            reading.line(&words).map_err(line_fault)?;
        }
        let Reading {
            logs,
            witnesses,
            quorum,
            ..
        } = reading;
        let quorum = quorum.ok_or_else(|| BadPolicy {
            line: text.lines().count(),
            fault: "there is no quorum".into(),
        })?;
        Ok(Self {
            logs,
            witnesses,
            quorum,
        })
    }
}

#[cfg(test)]
mod tests;
