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
mod tests {
    use aws_lc_rs::signature::Ed25519KeyPair;

    use super::super::note::NoteSigner;
    use super::*;

    fn signer(seed: u8, kind: Kind) -> NoteSigner {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        NoteSigner::new(&format!("{seed}.example"), kind, pair).unwrap()
    }

    fn policy(quorum: &str) -> (Policy, NoteSigner, Vec<NoteSigner>) {
        let log = signer(1, Kind::Ed25519);
        let witnesses: Vec<_> = (2..=4).map(|n| signer(n, Kind::Cosignature)).collect();
        let log_line = format!(
            "# whom we trust\n\nlog {} https://log.example/\n",
            log.key()
        );
        let lines = witnesses.iter().enumerate();
        let lines = lines.map(|(n, witness)| format!("witness w{n} {}", witness.key()));
        let lines: Vec<_> = lines.collect();
        (
            format!("{log_line}{}\n{quorum}", lines.join("\n"))
                .parse()
                .unwrap(),
            log,
            witnesses,
        )
    }

    #[test]
    fn a_quorum_takes_as_many_as_it_says_and_each_once() {
        let groups = "group two 2 w0 w1\n group both all two w2\nquorum both\n";
        let (policy, log, witnesses) = policy(groups);
        let text = format!("1.example\n9\n{}\n", "A".repeat(43) + "=");
        let note: Note = format!("{text}\n{}", log.sign(&text, 0)).parse().unwrap();
        for signed in 0..8_usize {
            let mut note = note.clone();
            for (n, witness) in witnesses.iter().enumerate() {
                if signed >> n & 1 == 1 {
                    note = note.with_signature(&witness.sign(&text, 5)).unwrap();
                }
            }
            let trusted = policy.checkpoint(&note);
            assert_eq!(trusted.is_ok(), signed == 7, "{signed}: {trusted:?}");
        }
    }

    #[test]
    fn without_the_logs_own_signature_witnesses_are_worth_nothing() {
        let (policy, _, witnesses) = policy("group any any w0 w1 w2\nquorum any\n");
        let text = format!("1.example\n9\n{}\n", "A".repeat(43) + "=");
        let note: Note = format!("{text}\n{}", witnesses[0].sign(&text, 5))
            .parse()
            .unwrap();
        let untrusted = policy.checkpoint(&note).unwrap_err();
        assert!(
            matches!(untrusted, Unsatisfied::Note(BadNote::Unsigned(_))),
            "{untrusted}"
        );
    }

    #[test]
    fn a_checkpoint_of_another_log_is_not_this_ones() {
        let (policy, log, _) = policy("quorum none\n");
        let text = format!("2.example\n9\n{}\n", "A".repeat(43) + "=");
        let note: Note = format!("{text}\n{}", log.sign(&text, 0)).parse().unwrap();
        assert!(policy.checkpoint(&note).is_err());
    }

    #[test]
    fn a_policy_with_a_fault_names_the_line() {
        let (w, v) = (signer(2, Kind::Cosignature), signer(3, Kind::Cosignature));
        let (w, v, log) = (w.key(), v.key(), signer(1, Kind::Ed25519));
        let log = log.key();
        let faults = [
            (format!("log {log}\n"), 1),
            ("quorum nobody\n".into(), 1),
            ("quorum none\nquorum none\n".into(), 2),
            (format!("log {w}\nquorum none\n"), 1),
            (format!("witness a {log}\nquorum none\n"), 1),
            (format!("witness a {w}\nwitness b {w}\nquorum a\n"), 2),
            (format!("witness a {w}\nwitness a {v}\nquorum a\n"), 2),
            (format!("witness none {w}\nquorum none\n"), 1),
            (format!("witness a {w}\ngroup g 2 a\nquorum g\n"), 2),
            (format!("witness a {w}\ngroup g 0 a\nquorum g\n"), 2),
            (format!("witness a {w}\ngroup g all a a\nquorum g\n"), 2),
            (
                format!("witness a {w}\ngroup g any a\ngroup h any a\nquorum g\n"),
                3,
            ),
            ("trust me\nquorum none\n".into(), 1),
        ];
        for (text, line) in faults {
            let fault = text.parse::<Policy>().unwrap_err();
            assert_eq!(fault.line, line, "{text}: {fault}");
        }
    }
}
