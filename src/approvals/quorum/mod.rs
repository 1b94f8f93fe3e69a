//! How many people, and which, have to approve.

use std::collections::BTreeMap;

use crate::name::Name;
use crate::within::Within;

/// Whose approval is enough where nothing is said: one security officer.
const OFFICER: &str = "security-officer";

/// `[[approvals.quorums]]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// For which operation, as the API's document has it: `POST /v1/keys/{key}/destruction`. For all of
    /// them unless it is said.
    #[serde(default)]
    pub on: Option<String>,
    /// A role that people have.
    pub role: Name,
    /// How many with this role.
    pub people: Within<1, 9>,
}

/// How many people of each role have to approve. One person counts once, whatever roles they have.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Quorum(BTreeMap<Name, u64>);

/// Who is still missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{have} of {need} approvals count; what is needed: {quorum}")]
pub struct Missing {
    have: usize,
    need: u64,
    quorum: String,
}

impl Quorum {
    /// What these rules ask for. Rules for one operation are added to those for all; of two for one role the
    /// larger counts.
    pub(super) fn of(rules: &[Rule], operation: &str) -> Self {
        let mut of = BTreeMap::new();
        let is_met = |rule: &&Rule| rule.on.as_deref().is_none_or(|on| on == operation);
        for rule in rules.iter().filter(is_met) {
            let people = of.entry(rule.role.clone()).or_insert(0);
            *people = rule.people.get().max(*people);
        }
        if of.is_empty() {
            let role = Name::try_from(OFFICER.to_owned()).expect("the role is a name");
            of.insert(role, 1);
        }
        Self(of)
    }

    /// Whether anybody with these roles takes a place.
    pub fn asks_for(&self, roles: &[String]) -> bool {
        self.0
            .keys()
            .any(|it| roles.iter().any(|role| role == it.as_str()))
    }

    /// Whether these people, each with their roles and none twice, are enough: each place is taken by
    /// somebody of its own.
    pub fn is_met_by(&self, people: &[Vec<String>]) -> Result<(), Missing> {
        let places: Vec<&Name> = self
            .0
            .iter()
            .flat_map(|(role, people)| (0..*people).map(move |_| role))
            .collect();
        // Which place each person has taken.
        let mut taken: Vec<Option<usize>> = vec![None; people.len()];
        for place in 0..places.len() {
            let mut asked = vec![false; people.len()];
            seat(place, &places, people, &mut taken, &mut asked);
        }
        let have = taken.iter().flatten().count();
        if have == places.len() {
            return Ok(());
        }
        Err(Missing {
            have,
            need: places.len() as u64,
            quorum: self.to_string(),
        })
    }
}

/// Finds somebody for a place, where need be by giving others another one of theirs.
fn seat(
    place: usize,
    places: &[&Name],
    people: &[Vec<String>],
    taken: &mut [Option<usize>],
    asked: &mut [bool],
) -> bool {
    for (person, roles) in people.iter().enumerate() {
        let fits = roles.iter().any(|it| it == places[place].as_str());
        if !fits || asked[person] {
            continue;
        }
        asked[person] = true;
        let is_free = match taken[person] {
            None => true,
            Some(other) => seat(other, places, people, taken, asked),
        };
        if is_free {
            taken[person] = Some(place);
            return true;
        }
    }
    false
}

impl std::fmt::Display for Quorum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, (role, people)) in self.0.iter().enumerate() {
            let comma = if number > 0 { ", " } else { "" };
            write!(f, "{comma}{people} × {role}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
