//! Decides by a policy, in Cedar.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid,
    PolicySet, Request, RestrictedExpression, Schema, SchemaFragment, ValidationMode, Validator,
};
use sha2::{Digest, Sha256};

use super::bounds::{self, TooMuch};
use super::looks::{self, Looks};
use super::memory::Memory;
use super::resource::Circumstance;
use super::stake::Kind;
use super::{Action, Denied, Resource, roles};
use crate::callers::{Caller, break_glass};
use crate::guarded_file;
use crate::metrics::DECISIONS;

/// What can stand in `context`, by action.
type Declared = BTreeMap<String, BTreeMap<String, Kind>>;

/// What can be asked for, by whom, on what.
const SCHEMA: &str = include_str!("schema.cedarschema");

/// What is said to forbid an order with numbers that Cedar has no place for.
const BEYOND: &str = "numbers-beyond-policy";

/// Why a text is no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It cannot be read.
    #[error("cannot read the policy file {0}: {1}")]
    Unreadable(PathBuf, std::io::Error),
    /// There is too much of it to be read.
    #[error("the policy is not read: {0}")]
    TooMuch(#[from] TooMuch),
    /// It is not Cedar.
    #[error("the policy does not parse: {0}")]
    Malformed(String),
    /// It does not fit the schema.
    #[error("the policy does not fit the schema: {0}")]
    DoesNotFit(String),
}

/// A policy set, ready to decide.
pub struct Policy {
    set: PolicySet,
    /// Permits whatever the set could permit, whatever is at stake.
    wider: PolicySet,
    looks: Looks,
    /// For requests: they say of their context only what is looked at.
    schema: Schema,
    declared: Declared,
    /// In their JSON form.
    statements: serde_json::Value,
    digest: [u8; 32],
    authorizer: Authorizer,
    words: Words,
    roles: BTreeSet<String>,
    pub(super) memory: Memory,
}

/// Words of the schema as Cedar has them. Cedar parses them from text, which takes longer than a
/// decision.
struct Words {
    kinds: BTreeMap<&'static str, EntityTypeName>,
    actions: Vec<ActionWord>,
}

struct ActionWord {
    uid: EntityUid,
    /// Says of which group it is; none where it is of none.
    entity: Option<Entity>,
}

impl Words {
    /// Those that we use.
    ///
    /// # Panics
    /// Never: a test makes them.
    fn parse() -> Self {
        let kind = |name| EntityTypeName::from_str(name).expect("a word of the schema parses");
        let kinds = ["Caller", "Wallet", "Client", "Key", "Service"].map(|name| (name, kind(name)));
        let uid = |name| EntityUid::from_type_name_and_id(kind("Action"), EntityId::new(name));
        let word = |action: Action| {
            let entity = action.group().map(|group| {
                let groups = HashSet::from([uid(group)]);
                Entity::new_no_attrs(uid(action.name()), groups)
            });
            ActionWord {
                uid: uid(action.name()),
                entity,
            }
        };
        Self {
            kinds: kinds.into(),
            actions: Action::ALL.map(word).into(),
        }
    }

    fn uid(&self, kind: &str, id: &str) -> Option<EntityUid> {
        let kind = self.kinds.get(kind)?.clone();
        Some(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
    }
}

impl Policy {
    /// Loads a file.
    pub fn load(file: &Path) -> Result<Self, PolicyError> {
        let text = guarded_file::read_rules(file)
            .map_err(|error| PolicyError::Unreadable(file.to_owned(), error))?;
        text.parse()
    }

    /// One that permits nothing.
    ///
    /// # Panics
    /// Never: it says nothing that could be wrong.
    pub(super) fn nothing() -> Self {
        "".parse().expect("a policy without a rule parses")
    }

    /// SHA-256 of the policy's text: which policy it was, in the audit log.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The roles that the policies name. Without any they go by something else.
    pub fn roles(&self) -> &BTreeSet<String> {
        &self.roles
    }

    /// Whether a caller could let others in like themselves, if they asked, so that somebody is left who
    /// can. No right follows from it.
    pub fn would_manage_callers(&self, caller: &Caller) -> bool {
        let alike = Resource::of_caller(&caller.name, &caller.owner, &caller.roles);
        self.decide(caller, Action::CreateCaller, &alike).is_ok()
    }

    /// Whether a caller could put another policy in its place, if others agreed. No right follows from it.
    pub fn would_replace_itself(&self, caller: &Caller) -> bool {
        let service = Resource::service();
        self.decide(caller, Action::ReplacePolicy, &service).is_ok()
    }

    /// Whether it hangs on more than caller and resource who may do this.
    pub(super) fn looks_at_stakes(&self, action: Action) -> bool {
        !self.looks.at(action).is_empty()
    }

    /// Whether a policy permits it and none forbids it.
    pub(super) fn decide(
        &self,
        caller: &Caller,
        action: Action,
        resource: &Resource,
    ) -> Result<(), Denied> {
        let denied = |rules: Vec<String>| Denied {
            action,
            rules,
            hides: None,
            halt: None,
        };
        if caller.is_break_glass() {
            // The way back in must not depend on what may be the reason for it: the policy.
            let role = || denied(vec![break_glass::ROLE.to_owned()]);
            return break_glass_may(action).then_some(()).ok_or_else(role);
        }
        let looked = self.looks.at(action);
        let circumstance = match &resource.circumstance {
            _ if looked.is_empty() => Circumstance::Nothing,
            Circumstance::Open => Circumstance::Open,
            Circumstance::At(stake) if !stake.is_beyond() => {
                Circumstance::At(stake.clone().only(|name| looked.contains(name)))
            }
            Circumstance::At(_) => return Err(denied(vec![BEYOND.to_owned()])),
            Circumstance::Nothing => return Err(denied(Vec::new())),
        };
        let pair = self.memory.pair(caller, resource, &circumstance);
        let decided = pair.as_ref().and_then(|pair| pair.decided(action));
        DECISIONS.asked(decided.is_some());
        match decided {
            Some(true) => return Ok(()),
            Some(false) => return Err(denied(Vec::new())),
            None => {}
        }
        let keep = |permitted| {
            if let Some(pair) = &pair {
                pair.keep(action, permitted);
            }
        };
        let answer = self
            .ask(caller, action, resource, &circumstance)
            .ok_or_else(|| denied(Vec::new()))?;
        let failed = answer.diagnostics().errors().next();
        if let Some(error) = failed {
            tracing::error!(%error, "a policy cannot be evaluated: denied");
            return Err(denied(Vec::new()));
        }
        match answer.decision() {
            Decision::Allow => {
                keep(true);
                Ok(())
            }
            Decision::Deny => {
                let rules = self.rules_of(&answer);
                if rules.is_empty() {
                    keep(false);
                }
                Err(denied(rules))
            }
        }
    }

    /// The rules that an answer follows from, by their `@id`s.
    pub(super) fn rules_of(&self, answer: &cedar_policy::Response) -> Vec<String> {
        let id = |policy| {
            let annotated = self.set.policy(policy).and_then(|it| it.annotation("id"));
            annotated.map_or_else(|| policy.to_string(), str::to_owned)
        };
        let mut rules: Vec<_> = answer.diagnostics().reason().map(id).collect();
        rules.sort_unstable();
        rules
    }

    /// At what of `context` it looks, for each action where it does.
    pub fn looks_at(&self) -> Vec<(Action, &BTreeSet<String>)> {
        let all = Action::ALL.map(|it| (it, self.looks.at(it)));
        all.into_iter().filter(|(_, it)| !it.is_empty()).collect()
    }

    /// What of `context` it looks at where somebody asks for this.
    pub(super) fn looked_at(&self, action: Action) -> &BTreeSet<String> {
        self.looks.at(action)
    }

    /// What kind of value this is in `context`.
    pub(super) fn kind_of(&self, action: Action, name: &str) -> Kind {
        let of_it = self.declared.get(action.name());
        of_it
            .and_then(|it| it.get(name))
            .copied()
            .unwrap_or(Kind::Text)
    }

    /// The policies in their JSON form.
    pub(super) fn statements(&self) -> &serde_json::Value {
        &self.statements
    }

    pub(super) fn word(&self, action: Action) -> EntityUid {
        self.words.actions[action as usize].uid.clone()
    }

    pub(super) fn ask(
        &self,
        caller: &Caller,
        action: Action,
        resource: &Resource,
        circumstance: &Circumstance,
    ) -> Option<cedar_policy::Response> {
        let principal = self.memory.caller(caller, || self.principal(caller))?;
        let on = self.memory.resource(resource, || self.object(resource))?;
        let (who, what_on) = (principal.uid(), on.uid());
        let word = &self.words.actions[action as usize];
        let entities = [principal, on].into_iter().chain(word.entity.clone());
        let entities = Entities::from_entities(entities, None).ok()?;
        let (context, set) = match circumstance {
            Circumstance::Nothing => (Context::empty(), &self.set),
            Circumstance::Open => (Context::empty(), &self.wider),
            Circumstance::At(stake) => (stake.context()?, &self.set),
        };
        let what = word.uid.clone();
        let request = Request::new(who, what, what_on, context, Some(&self.schema)).ok()?;
        Some(self.authorizer.is_authorized(&request, set, &entities))
    }

    pub(super) fn principal(&self, caller: &Caller) -> Option<Entity> {
        let text = RestrictedExpression::new_string;
        let roles = caller.roles.iter().map(|role| text(role.to_string()));
        let attributes = [
            ("name".to_owned(), text(caller.name.to_string())),
            ("owner".to_owned(), text(caller.owner.to_string())),
            ("roles".to_owned(), RestrictedExpression::new_set(roles)),
        ];
        let uid = self.words.uid("Caller", &caller.id.to_string())?;
        Entity::new(uid, attributes.into(), HashSet::new()).ok()
    }

    pub(super) fn object(&self, resource: &Resource) -> Option<Entity> {
        let text = |value: &String| RestrictedExpression::new_string(value.clone());
        let attributes = resource.attributes.iter();
        let attributes = attributes.map(|(name, value)| ((*name).to_owned(), text(value)));
        let uid = self.words.uid(resource.kind, &resource.name)?;
        Entity::new(uid, attributes.collect(), HashSet::new()).ok()
    }
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        bounds::check(text)?;
        let does_not_fit = |error: &dyn ToString| PolicyError::DoesNotFit(error.to_string());
        let (schema, _) = Schema::from_cedarschema_str(SCHEMA).map_err(|e| does_not_fit(&e))?;
        let (requests, declared) = schema_of_requests().map_err(|e| does_not_fit(&e))?;
        let set = PolicySet::from_str(text).map_err(|e| PolicyError::Malformed(e.to_string()))?;
        let verdict = Validator::new(schema).validate(&set, ValidationMode::Strict);
        let faults: Vec<_> = verdict
            .validation_errors()
            .map(ToString::to_string)
            .collect();
        if !faults.is_empty() {
            return Err(PolicyError::DoesNotFit(faults.join("; ")));
        }
        let policies = set.clone().to_json().map_err(|e| does_not_fit(&e))?;
        let mut roles = BTreeSet::new();
        roles::named_in(&policies, &mut roles);
        let wider = looks::widened(&policies);
        let wider = wider.ok_or_else(|| does_not_fit(&"it has something else than policies"))?;
        Ok(Self {
            roles,
            wider,
            looks: Looks::of(&policies, |action| {
                let of_it = declared.get(action.name());
                of_it
                    .into_iter()
                    .flat_map(BTreeMap::keys)
                    .cloned()
                    .collect()
            }),
            declared,
            set,
            statements: policies,
            schema: requests,
            digest: Sha256::digest(text).into(),
            authorizer: Authorizer::new(),
            words: Words::parse(),
            memory: Memory::new(),
        })
    }
}

/// Whether a break-glass caller may do this, whatever the policies say.
pub(super) fn break_glass_may(action: Action) -> bool {
    matches!(
        action,
        Action::CreateCaller
            | Action::GrantCredential
            | Action::RevokeCaller
            | Action::ViewCallers
            | Action::ManagePeople
            | Action::ViewPolicy
            | Action::ReplacePolicy
    )
}

/// The schema with nothing in `context` that has to be said, and what can be said there, by action.
fn schema_of_requests() -> Result<(Schema, Declared), Box<dyn Error>> {
    let (fragment, _) = SchemaFragment::from_cedarschema_str(SCHEMA)?;
    let mut schema = fragment.to_json_value()?;
    let mut declared = BTreeMap::new();
    let actions = schema.pointer_mut("//actions");
    let actions = actions.and_then(serde_json::Value::as_object_mut);
    for (name, action) in actions.into_iter().flatten() {
        let attributes = action.pointer_mut("/appliesTo/context/attributes");
        let Some(attributes) = attributes.and_then(serde_json::Value::as_object_mut) else {
            continue;
        };
        for attribute in attributes.values_mut() {
            attribute["required"] = false.into();
        }
        let kinds = attributes
            .iter()
            .map(|(name, it)| (name.clone(), Kind::of(it)));
        declared.insert(name.clone(), kinds.collect());
    }
    Ok((Schema::from_json_value(schema)?, declared))
}
