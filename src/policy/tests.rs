//! What policies decide, by the start set and by others.

use super::*;
use crate::callers::{Caller, break_glass};
use crate::id::CallerId;

const START: &str = include_str!("../../deploy/policies/start.cedar");

pub(super) fn caller(owner: &str, roles: &[&str]) -> Caller {
    Caller {
        id: CallerId::new(),
        credential: uuid::Uuid::now_v7(),
        kind: crate::callers::Kind::Token,
        name: "somebody".parse().unwrap(),
        owner: owner.parse().unwrap(),
        roles: roles.iter().map(|role| role.parse().unwrap()).collect(),
        proposal: None,
        stated: Caller::unproven(uuid::Uuid::nil(), uuid::Uuid::nil()),
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
fn a_break_glass_caller_manages_callers_and_the_policy_and_nothing_else() {
    let all = "permit (principal, action, resource);";
    let none = "forbid (principal, action, resource);";
    let glass = caller("break-glass", &[break_glass::ROLE, "operator"]);
    for text in [all, none, START] {
        let policy: Policy = text.parse().unwrap();
        for action in Action::ALL {
            let given = action.group().is_some()
                || [
                    Action::ViewCallers,
                    Action::ManagePeople,
                    Action::ViewPolicy,
                    Action::ReplacePolicy,
                ]
                .contains(&action);
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
        "registrar",
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

fn order(side: &str, notional: i64) -> Stake {
    Stake::new()
        .word("side", side)
        .number("price", 560_000)
        .number("size", 1_000_000)
        .number("notional", notional)
        .word(
            "token_id",
            "71321045679252212594626385532706912750332728571942532289631379312455583992999",
        )
        .flag("neg_risk", false)
        .word("order_type", "GTC")
        .number("expiration", 0)
        .flag("post_only", false)
        .code("version", 2)
        .code("signature_type", 0)
        .word("funder", "0x00")
}

#[test]
fn a_policy_sees_what_an_order_signs() {
    let text = r#"
        permit (principal, action == Action::"sign_order", resource)
        when {
            principal.owner == resource.owner && context.side == "BUY" && context.notional <= 1000000
            && context.price < 990000 && context.size > 0 && context.expiration == 0
            && !context.neg_risk && !context.post_only && context.order_type == "GTC"
            && context.version == 2 && context.signature_type == 0 && context.funder != ""
            && context.token_id like "713*"
        };
    "#;
    let policy: Policy = text.parse().unwrap();
    let trader = caller("desk-1", &["trader"]);
    let wallet = Resource::owned("Wallet", &"w", &"desk-1", &"prod");
    let others = Resource::owned("Wallet", &"w", &"desk-2", &"prod");
    let signs = |on: Resource| policy.decide(&trader, Action::SignOrder, &on).is_ok();
    for _ in 0..2 {
        assert!(signs(wallet.clone().at(order("BUY", 1_000_000))));
        assert!(!signs(wallet.clone().at(order("BUY", 1_000_001))));
        assert!(!signs(wallet.clone().at(order("SELL", 1))));
        assert!(!signs(others.clone().at(order("BUY", 1))));
    }
    assert!(!signs(wallet.clone()), "nothing is known of it");
    // Before the order is made only what no order could change is denied.
    assert!(signs(wallet.clone().open()));
    assert!(!signs(others.open()));
    let beyond = order("BUY", 1).number("size", u64::MAX);
    assert!(!signs(wallet.at(beyond)), "more than can be seen");
}

#[test]
fn a_forbid_by_what_is_at_stake_is_no_reason_not_to_look() {
    let text = r#"
        permit (principal, action, resource);
        @id("no-sales") forbid (principal, action == Action::"sign_order", resource)
        when { context.side == "SELL" };
        @id("nothing-of-theirs") forbid (principal, action == Action::"sign_order", resource)
        unless { resource.owner == "desk-1" || context.side == "BUY" };
    "#;
    let policy: Policy = text.parse().unwrap();
    let trader = caller("desk-1", &["trader"]);
    let on = |owner: &str| Resource::owned("Wallet", &"w", &owner, &"prod");
    let decide = |on: Resource| policy.decide(&trader, Action::SignOrder, &on);
    assert!(decide(on("desk-2").open()).is_ok());
    assert!(decide(on("desk-2").at(order("BUY", 1))).is_ok());
    let denied = decide(on("desk-2").at(order("SELL", 1))).unwrap_err();
    assert_eq!(denied.rules, ["no-sales", "nothing-of-theirs"]);
}

#[test]
fn what_no_policy_looks_at_changes_no_decision_and_no_memory() {
    let policy: Policy = START.parse().unwrap();
    let trader = caller("desk-1", &["trader"]);
    let wallet = Resource::owned("Wallet", &"w", &"desk-1", &"prod");
    assert!(!policy.looks_at_stakes(Action::SignOrder));
    for resource in [
        wallet.clone(),
        wallet.clone().open(),
        wallet.clone().at(order("BUY", 1)),
        wallet.clone().at(order("SELL", 1).number("size", u64::MAX)),
    ] {
        assert!(policy.decide(&trader, Action::SignOrder, &resource).is_ok());
    }
    let text = r#"permit (principal, action == Action::"sign_order", resource)
        when { context.side == "BUY" };"#;
    let sides: Policy = text.parse().unwrap();
    let looked: Vec<_> = sides.looked_at(Action::SignOrder).iter().collect();
    assert_eq!(looked, ["side"]);
    assert!(sides.looked_at(Action::IssueToken).is_empty());
}

#[test]
fn a_name_for_several_actions_means_each_of_them() {
    let text =
        r#"permit (principal, action in [Action::"manage_callers", Action::"view"], resource);"#;
    let policy: Policy = text.parse().unwrap();
    let somebody = caller("desk-1", &["x"]);
    let whom = Resource::of_caller(&"other", &"desk-2", &["trader"]);
    for action in Action::ALL {
        let given = action.group().is_some() || action == Action::View;
        let on = match action {
            Action::View => Resource::owned("Wallet", &"w", &"desk-1", &"prod"),
            _ => whom.clone(),
        };
        let decided = policy.decide(&somebody, action, &on).is_ok();
        assert_eq!(decided, given, "{action}");
    }
}

#[test]
fn a_grant_is_decided_on_what_is_granted() {
    let policy: Policy = START.parse().unwrap();
    let may = |who: &Caller, owner: &str, roles: &[&str]| {
        let whom = Resource::of_caller(&"new", &owner, roles);
        let decide = |action| policy.decide(who, action, &whom).is_ok();
        assert_eq!(
            decide(Action::CreateCaller),
            decide(Action::GrantCredential)
        );
        decide(Action::CreateCaller)
    };
    let operator = caller("desk-1", &["operator"]);
    let registrar = caller("security", &["registrar"]);
    assert!(may(&operator, "desk-1", &["trader"]));
    assert!(!may(&operator, "desk-2", &["trader"]));
    assert!(!may(&operator, "desk-1", &["registrar"]));
    assert!(may(&registrar, "desk-2", &["trader"]) && may(&registrar, "desk-2", &["registrar"]));
    assert!(!may(
        &caller("desk-1", &["operator", "trader"]),
        "desk-1",
        &["trader"]
    ));
    for who in [&operator, &registrar] {
        assert!(policy.would_manage_callers(who));
    }
    assert!(!policy.would_manage_callers(&caller("desk-1", &["trader", "operator"])));
}

#[test]
fn the_start_policy_gives_the_answers_that_are_kept_beside_it() {
    let policy: Policy = START.parse().unwrap();
    let tests = include_str!("../../deploy/policies/start.tests.toml");
    let suite: Suite = toml::from_str(tests).unwrap();
    let failures: Vec<_> = suite.failures(&policy);
    let failures: Vec<_> = failures.iter().map(ToString::to_string).collect();
    assert!(
        failures.is_empty() && suite.tests.len() > 10,
        "{failures:?}"
    );
    let none: Policy = "forbid (principal, action, resource);".parse().unwrap();
    assert!(suite.failures(&none).len() >= suite.tests.iter().filter(|it| it.permit).count());
}

#[test]
fn a_request_that_says_too_little_is_no_test() {
    let text = r#"permit (principal, action == Action::"sign_order", resource)
        when { context.side == "BUY" };"#;
    let policy: Policy = text.parse().unwrap();
    let ask = |context: serde_json::Value| {
        let asked = serde_json::json!({
            "caller": { "owner": "d", "roles": [] }, "action": "sign_order",
            "resource": { "kind": "Wallet", "owner": "d" }, "context": context,
        });
        policy.answer(&serde_json::from_value(asked).unwrap())
    };
    assert!(ask(serde_json::json!({ "side": "BUY" })).unwrap().permitted);
    assert!(matches!(
        ask(serde_json::json!({})),
        Err(NotARequest::Missing(_))
    ));
    for wrong in [
        serde_json::json!({ "side": 1 }),
        serde_json::json!({ "side": "BUY", "sied": "BUY" }),
    ] {
        assert!(matches!(ask(wrong), Err(NotARequest::Shape)));
    }
}

#[test]
fn an_explanation_says_which_rule_decided_and_what_is_missing() {
    let policy: Policy = START.parse().unwrap();
    let wallet = Resource::owned("Wallet", &"w", &"desk-1", &"prod");
    let explain = |who: &Caller| policy.explain(who, Action::SignOrder, &wallet).unwrap();
    let own = explain(&caller("desk-1", &["trader"]));
    assert_eq!(
        (own.permitted, &own.rules[..]),
        (true, &["trader-signs-own-orders".to_owned()][..])
    );
    let others = explain(&caller("desk-2", &["trader"]));
    let missing = Missing {
        rule: "trader-signs-own-orders".to_owned(),
        conditions: vec!["principal.owner == resource.owner".to_owned()],
    };
    assert_eq!((others.permitted, others.missing), (false, vec![missing]));
    let whom = Resource::of_caller(&"new", &"desk-1", &["registrar"]);
    let operator = caller("desk-1", &["operator"]);
    let forbidden = policy
        .explain(&operator, Action::CreateCaller, &whom)
        .unwrap();
    assert_eq!(forbidden.rules, ["only-a-registrar-makes-one"]);
    assert!(!forbidden.permitted && forbidden.missing.is_empty());
}

#[test]
fn a_comparison_names_what_becomes_permitted_and_what_denied() {
    let old: Policy = START.parse().unwrap();
    assert!(differences(&old, &old).found.is_empty());
    let new = START.replace("principal.owner == context.owner", "true")
        + r#"@id("small") forbid (principal, action == Action::"sign_order", resource)
             when { context.notional > 1000000 };"#;
    let found = differences(&old, &new.parse().unwrap());
    let of = |action, permitted| {
        let mut all = found.found.iter();
        all.find(|it| it.request.action == action && it.permitted == permitted)
    };
    let granted = of(Action::CreateCaller, true).expect("more can be let in");
    assert_eq!(granted.request.caller.roles, ["operator"]);
    let denied = of(Action::SignOrder, false).expect("less can be signed");
    assert_eq!(denied.request.caller.roles, ["trader"]);
    let of_it = serde_json::to_value(&denied.request).unwrap();
    assert_eq!(of_it["context"]["notional"], 1_000_001);
    assert!(of(Action::SignOrder, true).is_none() && of(Action::IssueToken, false).is_none());
}
