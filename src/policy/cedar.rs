//! Decides by a policy file, in Cedar.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid,
    PolicySet, Request, RestrictedExpression, Schema, ValidationMode, Validator,
};
use sha2::{Digest, Sha256};

use super::memory::Memory;
use super::resource::Circumstance;
use super::{Action, Denied, Resource, roles};
use crate::callers::{Caller, break_glass};
use crate::guarded_file;

/// Why a policy file was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It cannot be read.
    #[error("cannot read the policy file {0}: {1}")]
    Unreadable(PathBuf, std::io::Error),
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
    schema: Schema,
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
    actions: BTreeMap<&'static str, EntityUid>,
}

impl Words {
    /// Those that we use.
    ///
    /// # Panics
    /// Never: a test makes them.
    fn parse() -> Self {
        let kind = |name| EntityTypeName::from_str(name).expect("a word of the schema parses");
        let kinds = ["Caller", "Wallet", "Client", "Key", "Service"].map(|name| (name, kind(name)));
        let action = |action: Action| {
            let id = EntityId::new(action.name());
            let uid = EntityUid::from_type_name_and_id(kind("Action"), id);
            (action.name(), uid)
        };
        Self {
            kinds: kinds.into(),
            actions: Action::ALL.map(action).into(),
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

    /// SHA-256 of the policy's text: which policy it was, in the audit log.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The roles that the policies name. Without any they go by something else.
    pub fn roles(&self) -> &BTreeSet<String> {
        &self.roles
    }

    /// Whether a caller could let others in, if they asked. No right follows from it.
    pub fn would_manage_callers(&self, caller: &Caller) -> bool {
        self.decide(caller, Action::ManageCallers, &Resource::service())
            .is_ok()
    }

    /// Whether a policy permits it and none forbids it.
    pub(super) fn decide(
        &self,
        caller: &Caller,
        action: Action,
        resource: &Resource,
    ) -> Result<(), Denied> {
        let denied = |rules| Denied {
            action,
            rules,
            hides: None,
        };
        if caller.is_break_glass() {
            // The way back in must not depend on what may be the reason for it: the policy file.
            return match action {
                Action::ManageCallers | Action::ViewCallers => Ok(()),
                _ => Err(denied(vec![break_glass::ROLE.to_owned()])),
            };
        }
        let pair = self.memory.pair(caller, resource);
        match pair.as_ref().and_then(|pair| pair.decided(action)) {
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
            .ask(caller, action, resource)
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
                let id = |policy| {
                    self.set
                        .policy(policy)
                        .and_then(|p| p.annotation("id"))
                        .map_or_else(|| policy.to_string(), str::to_owned)
                };
                let rules: Vec<_> = answer.diagnostics().reason().map(id).collect();
                if rules.is_empty() {
                    keep(false);
                }
                Err(denied(rules))
            }
        }
    }

    fn ask(
        &self,
        caller: &Caller,
        action: Action,
        resource: &Resource,
    ) -> Option<cedar_policy::Response> {
        let text = RestrictedExpression::new_string;
        let principal = self.memory.caller(caller, || self.principal(caller))?;
        let on = self.memory.resource(resource, || self.object(resource))?;
        let (who, what_on) = (principal.uid(), on.uid());
        let entities = Entities::from_entities([principal, on], None).ok()?;
        let what = self.words.actions.get(action.name())?.clone();
        let context = match &resource.circumstance {
            Circumstance::Nothing => Context::empty(),
            Circumstance::Scopes(scopes) => {
                let scopes = scopes.iter().map(|scope| text(scope.clone()));
                let scopes = RestrictedExpression::new_set(scopes);
                Context::from_pairs([("scopes".to_owned(), scopes)]).ok()?
            }
            Circumstance::Step { from, to } => {
                let step = [("from", from), ("to", to)];
                let step = step.map(|(name, state)| (name.to_owned(), text((*state).to_owned())));
                Context::from_pairs(step).ok()?
            }
        };
        let request = Request::new(who, what, what_on, context, Some(&self.schema)).ok()?;
        Some(
            self.authorizer
                .is_authorized(&request, &self.set, &entities),
        )
    }

    fn principal(&self, caller: &Caller) -> Option<Entity> {
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

    fn object(&self, resource: &Resource) -> Option<Entity> {
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
        let (schema, _) = Schema::from_cedarschema_str(include_str!("schema.cedarschema"))
            .map_err(|error| PolicyError::DoesNotFit(error.to_string()))?;
        let set = PolicySet::from_str(text).map_err(|e| PolicyError::Malformed(e.to_string()))?;
        let verdict = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
        let faults: Vec<_> = verdict
            .validation_errors()
            .map(ToString::to_string)
            .collect();
        if !faults.is_empty() {
            return Err(PolicyError::DoesNotFit(faults.join("; ")));
        }
        let mut roles = BTreeSet::new();
        if let Ok(policies) = set.clone().to_json() {
            roles::named_in(&policies, &mut roles);
        }
        Ok(Self {
            roles,
            set,
            schema,
            digest: Sha256::digest(text).into(),
            authorizer: Authorizer::new(),
            words: Words::parse(),
            memory: Memory::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::CallerId;

    const START: &str = include_str!("../../deploy/policies/start.cedar");

    fn caller(owner: &str, roles: &[&str]) -> Caller {
        Caller {
            id: CallerId::new(),
            credential: uuid::Uuid::now_v7(),
            name: "somebody".parse().unwrap(),
            owner: owner.parse().unwrap(),
            roles: roles.iter().map(|role| role.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn the_start_set_denies_what_it_does_not_name() {
        let policy: Policy = START.parse().unwrap();
        let wallet = Resource::owned("Wallet", &"w", &"desk-1", &"prod");
        let key = Resource::owned("Key", &"k", &"desk-1", &"prod").with("purpose", &"wallet");
        let service = Resource::service();
        let allowed = |who: &Caller, action, on: &Resource| policy.decide(who, action, on).is_ok();

        let trader = caller("desk-1", &["trader"]);
        assert!(allowed(&trader, Action::SignOrder, &wallet));
        assert!(allowed(&trader, Action::View, &wallet));
        assert!(!allowed(&trader, Action::CreateKey, &service));
        assert!(
            !allowed(&trader, Action::IssueAssertion, &wallet),
            "an action of another resource"
        );

        let neighbour = caller("desk-2", &["trader"]);
        assert!(!allowed(&neighbour, Action::SignOrder, &wallet));
        assert!(!allowed(&neighbour, Action::View, &wallet));

        let operator = caller("desk-1", &["operator"]);
        let step = key.clone().with_step("active", "suspended");
        assert!(allowed(&operator, Action::StepKey, &step));
        assert!(!allowed(&operator, Action::StepKey, &key), "no step named");
        assert!(!allowed(&operator, Action::SignOrder, &wallet));

        let auditor = caller("audit", &["auditor"]);
        assert!(allowed(&auditor, Action::ViewSignatures, &wallet));
        assert!(!allowed(&auditor, Action::StepKey, &step));

        let nobody = caller("desk-1", &["unheard-of"]);
        for action in [Action::SignOrder, Action::View, Action::ViewSignatures] {
            assert!(!allowed(&nobody, action, &wallet), "{action:?}");
        }
    }

    #[test]
    fn a_token_has_only_scopes_that_its_caller_may_have() {
        let policy: Policy = START.parse().unwrap();
        let client = |scopes: &[&str]| {
            let scopes = scopes.iter().map(ToString::to_string).collect();
            Resource::owned("Client", &"c", &"desk-1", &"prod").with_scopes(scopes)
        };
        let allowed = |who: &Caller, scopes: &[&str]| {
            policy
                .decide(who, Action::IssueToken, &client(scopes))
                .is_ok()
        };
        let trader = caller("desk-1", &["trader"]);
        assert!(allowed(&trader, &["read:orders", "write:orders"]));
        assert!(!allowed(&trader, &["read:orders", "write:funding"]));
        assert!(!allowed(&caller("desk-2", &["trader"]), &["read:orders"]));
        let treasurer = caller("desk-1", &["treasurer"]);
        assert!(allowed(&treasurer, &["write:funding"]));
        assert!(!allowed(&treasurer, &["write:orders"]));
        let reader = caller("desk-1", &["exchange-reader"]);
        assert!(allowed(&reader, &["read:positions"]));
        assert!(!allowed(&reader, &["read:positions", "write:orders"]));
        // Without the scopes nothing is decided.
        let bare = Resource::owned("Client", &"c", &"desk-1", &"prod");
        assert!(policy.decide(&trader, Action::IssueToken, &bare).is_err());
    }

    #[test]
    fn a_break_glass_caller_manages_callers_and_nothing_else() {
        let all = "permit (principal, action, resource);";
        let none = "forbid (principal, action, resource);";
        let glass = caller("break-glass", &[break_glass::ROLE, "operator"]);
        for text in [all, none, START] {
            let policy: Policy = text.parse().unwrap();
            for action in Action::ALL {
                let given = [Action::ManageCallers, Action::ViewCallers].contains(&action);
                let decided = policy.decide(&glass, action, &Resource::service());
                assert_eq!(decided.is_ok(), given, "{action:?}");
            }
        }
    }

    #[test]
    fn the_roles_that_a_policy_names_are_known() {
        let policy: Policy = START.parse().unwrap();
        let known: Vec<_> = policy.roles().iter().map(String::as_str).collect();
        let expected = [
            "auditor",
            "clob-login",
            "credential-holder",
            "custodian",
            "exchange-reader",
            "key-operator",
            "onboarder",
            "operator",
            "security-officer",
            "trader",
            "treasurer",
        ];
        assert_eq!(known, expected);
        let all: Policy = "permit (principal, action, resource);".parse().unwrap();
        assert!(all.roles().is_empty());
    }

    #[test]
    fn a_policy_that_cannot_be_evaluated_denies() {
        // Overflow is an error at run time that no validator foresees.
        let text = r#"
            permit (principal, action, resource);
            @id("sum") forbid (principal, action, resource)
            when { 9223372036854775807 + 1 == 0 };
        "#;
        let policy: Policy = text.parse().unwrap();
        let trader = caller("desk-1", &["trader"]);
        let wallet = Resource::owned("Wallet", &"w", &"desk-1", &"prod");
        assert!(policy.decide(&trader, Action::SignOrder, &wallet).is_err());
    }

    #[test]
    fn a_denial_names_the_rule_that_forbids() {
        let text = format!(
            "{START} @id(\"no-orders-today\") forbid (principal, action == Action::\"sign_order\", resource);"
        );
        let policy: Policy = text.parse().unwrap();
        let trader = caller("desk-1", &["trader"]);
        let wallet = Resource::owned("Wallet", &"w", &"desk-1", &"prod");
        let denied = policy
            .decide(&trader, Action::SignOrder, &wallet)
            .unwrap_err();
        assert_eq!(denied.rules, ["no-orders-today"]);
    }

    #[test]
    fn a_policy_that_does_not_fit_the_schema_is_refused() {
        for text in [
            "permit (principal, action == Action::\"sign\", resource);",
            "permit (principal, action, resource) when { principal.rolls.contains(\"x\") };",
            "permit (",
        ] {
            assert!(text.parse::<Policy>().is_err(), "{text}");
        }
    }
}
