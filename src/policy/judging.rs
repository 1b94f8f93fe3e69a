//! What a policy says to a request, and why: for people, and for the tools that try policies out.

use cedar_policy::{Context, Entities, PolicySet, Request};
use serde_json::{Value, json};

use super::cases::{CaseRequest, NotARequest};
use super::cedar::break_glass_may;
use super::looks::{concerns, statements};
use super::resource::Circumstance;
use super::{Action, Policy, Resource, Stake};
use crate::callers::{Caller, break_glass};

/// So many rules are named that would permit it if more were true.
const NEAREST: usize = 5;

/// What a policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Whether it is permitted.
    pub permitted: bool,
    /// The rules that decided, by their `@id`s: those that forbid, else those that permit.
    pub rules: Vec<String>,
    /// What could not be evaluated, which denies.
    pub trouble: Option<String>,
}

/// What a policy says, and what would have to be otherwise for a yes.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = PolicyExplanation)]
pub struct Explanation {
    /// Whether it is permitted.
    pub permitted: bool,
    /// The rules that decided, by their `@id`s: those that forbid, else those that permit.
    pub rules: Vec<String>,
    /// A rule that could not be evaluated, which denies.
    pub trouble: Option<String>,
    /// The rules that come nearest to permitting it, and what each misses.
    pub missing: Vec<Missing>,
}

/// What a rule misses.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = RuleMissing)]
pub struct Missing {
    /// Its `@id`.
    pub rule: String,
    /// Its conditions that do not hold.
    pub conditions: Vec<String>,
}

impl Policy {
    /// What it says to a request in a file.
    pub fn answer(&self, asked: &CaseRequest) -> Result<Judgement, NotARequest> {
        self.judge(&asked.caller()?, asked.action, &asked.resource()?)
    }

    /// What it says to a request in a file, and why.
    pub fn explain_asked(&self, asked: &CaseRequest) -> Result<Explanation, NotARequest> {
        self.explain(&asked.caller()?, asked.action, &asked.resource()?)
    }

    /// What it says, and why.
    pub fn explain(
        &self,
        caller: &Caller,
        action: Action,
        resource: &Resource,
    ) -> Result<Explanation, NotARequest> {
        let said = self.judge(caller, action, resource)?;
        let missing = if said.permitted || !said.rules.is_empty() {
            Vec::new()
        } else {
            self.missing(caller, action, resource)
        };
        Ok(Explanation {
            permitted: said.permitted,
            rules: said.rules,
            trouble: said.trouble,
            missing,
        })
    }

    fn judge(
        &self,
        caller: &Caller,
        action: Action,
        resource: &Resource,
    ) -> Result<Judgement, NotARequest> {
        if caller.is_break_glass() {
            return Ok(Judgement {
                permitted: break_glass_may(action),
                rules: vec![break_glass::ROLE.to_owned()],
                trouble: None,
            });
        }
        let none = Stake::new();
        let stake = match &resource.circumstance {
            Circumstance::At(stake) => stake,
            Circumstance::Nothing | Circumstance::Open => &none,
        };
        if let Some(unsaid) = self.looked_at(action).iter().find(|it| !stake.says(it)) {
            return Err(NotARequest::Missing(unsaid.clone()));
        }
        let at = Circumstance::At(stake.clone());
        let answer = self.ask(caller, action, resource, &at);
        let answer = answer.ok_or(NotARequest::Shape)?;
        let trouble = answer.diagnostics().errors().next();
        let trouble = trouble.map(ToString::to_string);
        Ok(Judgement {
            permitted: trouble.is_none() && answer.decision() == cedar_policy::Decision::Allow,
            rules: self.rules_of(&answer),
            trouble,
        })
    }

    /// Evaluates each condition of each rule that could permit it by itself.
    fn missing(&self, caller: &Caller, action: Action, resource: &Resource) -> Vec<Missing> {
        let mut conditions = Vec::new();
        let permits = statements(self.statements()).filter(|(_, it)| it["effect"] == "permit");
        for (name, statement) in permits.filter(|(_, it)| concerns(it, action)) {
            let rule = statement["annotations"]["id"].as_str().unwrap_or(name);
            let head = json!({
                "effect": "permit", "conditions": [], "action": { "op": "All" },
                "principal": statement["principal"], "resource": statement["resource"],
            });
            conditions.push((rule, head));
            let all = statement["conditions"].as_array();
            for condition in all.into_iter().flatten() {
                for body in parts(&condition["body"], condition["kind"] == "when") {
                    let body = json!({ "kind": condition["kind"], "body": body });
                    let alone = json!({
                        "effect": "permit", "conditions": [body], "action": { "op": "All" },
                        "principal": { "op": "All" }, "resource": { "op": "All" },
                    });
                    conditions.push((rule, alone));
                }
            }
        }
        let numbered = conditions.iter().enumerate();
        let set: serde_json::Map<String, Value> = numbered
            .map(|(number, (_, it))| (number.to_string(), it.clone()))
            .collect();
        let set = json!({ "staticPolicies": set, "templates": {}, "templateLinks": [] });
        let Some((set, holding)) = PolicySet::from_json_value(set)
            .ok()
            .and_then(|set| Some((set.clone(), self.holding(caller, action, resource, &set)?)))
        else {
            return Vec::new();
        };
        let mut missing: Vec<Missing> = Vec::new();
        for (number, (rule, _)) in conditions.iter().enumerate() {
            let number = number.to_string();
            if missing.last().is_none_or(|it| it.rule != *rule) {
                let (rule, conditions) = ((*rule).to_owned(), Vec::new());
                missing.push(Missing { rule, conditions });
            }
            if !holding.contains(&number)
                && let Some(last) = missing.last_mut()
            {
                let alone = set.policy(&cedar_policy::PolicyId::new(number));
                let text = alone.and_then(cedar_policy::Policy::to_cedar);
                last.conditions.push(short(&text.unwrap_or_default()));
            }
        }
        missing.sort_by_key(|it| it.conditions.len());
        missing.truncate(NEAREST);
        missing
    }

    /// Which policies of a set of permits hold.
    fn holding(
        &self,
        caller: &Caller,
        action: Action,
        resource: &Resource,
        set: &PolicySet,
    ) -> Option<Vec<String>> {
        let (principal, on) = (self.principal(caller)?, self.object(resource)?);
        let (who, what) = (principal.uid(), on.uid());
        let entities = Entities::from_entities([principal, on], None).ok()?;
        let context = match &resource.circumstance {
            Circumstance::At(stake) => stake.context()?,
            Circumstance::Nothing | Circumstance::Open => Context::empty(),
        };
        let action = self.word(action);
        let request = Request::new(who, action, what, context, None).ok()?;
        let answer = cedar_policy::Authorizer::new().is_authorized(&request, set, &entities);
        Some(
            answer
                .diagnostics()
                .reason()
                .map(ToString::to_string)
                .collect(),
        )
    }
}

/// The parts of a conjunction; of an `unless`, those of a disjunction.
fn parts(body: &Value, is_when: bool) -> Vec<&Value> {
    let operator = if is_when { "&&" } else { "||" };
    match body.get(operator) {
        Some(both) => {
            let mut all = parts(&both["left"], is_when);
            all.extend(parts(&both["right"], is_when));
            all
        }
        None => vec![body],
    }
}

/// A policy of one condition, without what is around that.
fn short(policy: &str) -> String {
    let words: Vec<_> = policy.split_whitespace().collect();
    let text = words.join(" ");
    let text = text.trim_end_matches(';').trim_end();
    for kind in [" when { ", " unless { "] {
        if let Some((_, inner)) = text.split_once(kind) {
            let inner = inner.trim_end_matches('}').trim();
            return match kind {
                " unless { " => format!("not ({inner})"),
                _ => inner.to_owned(),
            };
        }
    }
    text.to_owned()
}
