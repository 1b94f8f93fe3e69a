//! Requests with the answers that they are to have: a file that is kept beside a policy.
//!
//! It is the same question as the service asks, of the same code, so that what a file says is what callers
//! will meet.

use std::collections::BTreeMap;
use std::fmt;

use super::stake::Value;
use super::{Action, Judgement, Policy, Resource, Stake};
use crate::callers::Caller;
use crate::id::CallerId;
use crate::name::{Name, NotAName};

/// A file of requests.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// The requests.
    #[serde(rename = "test", default)]
    pub tests: Vec<Case>,
}

/// A request and its answer.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// The request.
    #[serde(flatten)]
    pub asked: CaseRequest,
    /// Whether it is permitted.
    pub permit: bool,
    /// By which rules, if that matters: their `@id`s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Vec<String>>,
}

/// A request as people write it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct CaseRequest {
    /// Who asks.
    pub caller: CaseCaller,
    /// What for, in the schema's words.
    pub action: Action,
    /// On what: nothing is the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<CaseResource>,
    /// What is at stake.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) context: BTreeMap<String, Value>,
}

impl fmt::Display for CaseRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.caller.roles.as_slice() {
            [] => f.write_str("somebody without a role")?,
            roles => f.write_str(&roles.join(" and "))?,
        }
        write!(f, " of {}: {}", self.caller.owner, self.action)?;
        if let Some(what) = &self.resource {
            write!(f, " on a {} of {}", what.kind.to_lowercase(), what.owner)?;
        }
        if !self.context.is_empty() {
            let stake = serde_json::to_string(&self.context).map_err(|_| fmt::Error)?;
            write!(f, " with {stake}")?;
        }
        Ok(())
    }
}

/// Who asks.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseCaller {
    /// Their name, if that matters.
    #[serde(default = "somebody")]
    pub name: String,
    /// Their desk.
    pub owner: String,
    /// Their roles.
    pub roles: Vec<String>,
}

/// On what somebody asks for something.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseResource {
    /// `Wallet`, `Client` or `Key`.
    pub kind: String,
    /// Its name, if that matters.
    #[serde(default = "something")]
    pub name: String,
    /// Its desk.
    pub owner: String,
    /// Its environment.
    #[serde(default = "prod")]
    pub environment: String,
    /// Of a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
}

fn somebody() -> String {
    "somebody".to_owned()
}

fn something() -> String {
    "something".to_owned()
}

fn prod() -> String {
    "prod".to_owned()
}

/// Why a request in a file is none.
#[derive(Debug, thiserror::Error)]
pub enum NotARequest {
    /// A name is none.
    #[error(transparent)]
    Name(#[from] NotAName),
    /// There is nothing of this kind.
    #[error("resource.kind {0} is none of Wallet, Client and Key")]
    Kind(String),
    /// The policy looks at more than the request says.
    #[error("the policy looks at context.{0}, which the request does not say")]
    Missing(String),
    /// The schema has no such request.
    #[error("the schema has no such request: action, resource and context do not go together")]
    Shape,
}

/// A request whose answer is another one.
#[derive(Debug)]
pub struct Failure {
    /// Which.
    pub name: String,
    /// What came of it.
    pub why: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.why)
    }
}

impl Suite {
    /// The requests that have another answer by this policy.
    pub fn failures(&self, policy: &Policy) -> Vec<Failure> {
        let failure = |case: &Case| {
            let why = match policy.answer(&case.asked) {
                Err(error) => error.to_string(),
                Ok(answer) => case.unlike(&answer)?,
            };
            let name = case.name.clone();
            Some(Failure { name, why })
        };
        self.tests.iter().filter_map(failure).collect()
    }
}

impl Case {
    /// How an answer is another one than this case says.
    fn unlike(&self, answer: &Judgement) -> Option<String> {
        if let Some(trouble) = &answer.trouble {
            return Some(format!("a rule cannot be evaluated: {trouble}"));
        }
        let rules = answer.rules.join(", ");
        if answer.permitted != self.permit {
            let is = if answer.permitted {
                "permitted"
            } else {
                "denied"
            };
            return Some(if rules.is_empty() {
                format!("it is {is}: no rule permits it")
            } else {
                format!("it is {is} by {rules}")
            });
        }
        let by = self.by.as_ref()?;
        let mut by = by.clone();
        by.sort();
        (by != answer.rules).then(|| format!("it is decided by {rules}, not {}", by.join(", ")))
    }
}

impl CaseRequest {
    /// Who asks, as the service knows callers.
    pub(super) fn caller(&self) -> Result<Caller, NotARequest> {
        let roles = self.caller.roles.iter().map(|role| role.parse());
        Ok(Caller {
            id: CallerId::SERVICE,
            credential: uuid::Uuid::nil(),
            kind: crate::callers::Kind::Token,
            name: self.caller.name.parse()?,
            owner: self.caller.owner.parse()?,
            roles: roles.collect::<Result<Vec<Name>, _>>()?,
            proposal: None,
            stated: Caller::unproven(uuid::Uuid::nil(), uuid::Uuid::nil()),
        })
    }

    /// On what, with what is at stake.
    pub(super) fn resource(&self) -> Result<Resource, NotARequest> {
        let resource = match &self.resource {
            None => Resource::service(),
            Some(what) => {
                let kinds = ["Wallet", "Client", "Key"];
                let kind = kinds.into_iter().find(|it| *it == what.kind);
                let kind = kind.ok_or_else(|| NotARequest::Kind(what.kind.clone()))?;
                let owned = Resource::owned(kind, &what.name, &what.owner, &what.environment);
                match (kind, &what.purpose) {
                    ("Key", purpose) => {
                        owned.with("purpose", purpose.as_deref().unwrap_or("wallet"))
                    }
                    _ => owned,
                }
            }
        };
        let context = self.context.iter();
        let stake = context.fold(Stake::new(), |stake, (name, value)| {
            stake.read(name.clone(), value.clone())
        });
        Ok(resource.at(stake))
    }
}
