use super::*;
use crate::audit::leaf::{Admin, End};

fn intent() -> Intent {
    let id = Uuid::from_u128;
    Intent {
        intent: id(1),
        operation: "order".into(),
        caller: id(2),
        credential: id(3),
        subject: id(4),
        key: id(5),
        key_epoch: 1,
        policy: [0; 32],
        request_digest: [0; 32],
        idempotency_key: None,
        digest: [0; 32],
        record: r#"{"domain":{},"struct":{"tokenId":"1234"}}"#.into(),
        credential_kind: None,
    }
}

#[test]
fn an_order_and_its_refusal_are_found_by_all_who_had_a_part_in_it() {
    let id = Uuid::from_u128;
    let begun = Leaf::new(0, Event::Intent(Box::new(intent())));
    let terms = of(&begun, None);
    let parts = [
        Term::of(id(3)),
        Term::of(id(4)),
        Term::of(id(5)),
        Term::by(id(2)),
        Term::market("1234"),
    ];
    for term in parts.into_iter().chain([
        Term::kind(RecordKind::Order),
        Term::kind(RecordKind::Signature),
    ]) {
        assert!(terms.contains(&term), "{term:?}");
    }
    assert!(
        !terms.contains(&Term::of(id(2))),
        "who asked is not who it was done to"
    );
    let end = End {
        intent: id(1),
        attempt: 1,
        reason: "halted".into(),
        tries: None,
        device_request: None,
    };
    let refused = of(&Leaf::new(0, Event::Refused(end)), Some(&intent()));
    for term in parts.into_iter().chain([Term::kind(RecordKind::Refusal)]) {
        assert!(refused.contains(&term), "{term:?}");
    }
    assert!(!refused.contains(&Term::kind(RecordKind::Order)));
}

#[test]
fn changes_are_found_by_what_they_are_about() {
    let of_action = |action: &str| {
        let admin = Admin {
            actor: Uuid::nil(),
            action: action.into(),
            subject: Uuid::nil(),
            approval: String::new(),
            details: "{}".into(),
        };
        let terms = of(&Leaf::new(0, Event::Admin(admin)), None);
        let kinds = RecordKind::ALL
            .into_iter()
            .filter(|it| terms.contains(&Term::kind(*it)));
        kinds.map(RecordKind::name).collect::<Vec<_>>()
    };
    for (action, kind) in [
        ("approve-proposal", "approval"),
        ("carry-out-proposal", "approval"),
        ("switch-client-key", "rotation"),
        ("record-credential", "credential"),
        ("declare-nonces", "credential"),
        ("settle-login", "credential"),
        ("look-up-nonces", "look-up"),
        (SEARCH, "look-up"),
    ] {
        assert_eq!(of_action(action), ["change", kind], "{action}");
    }
    for action in ["create-key", "revoke-caller-credential"] {
        assert_eq!(of_action(action), ["change"], "{action}");
    }
}
