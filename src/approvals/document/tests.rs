use super::*;

fn document() -> Document {
    let body = json!({ "to": "active", "secret": "s3", "reason": "r" });
    let mut effects = Effects::default();
    effects.add(
        "step-key",
        &json!({ "name": "k", "from": "suspended", "to": "active", "reason": "r", "id": 7 }),
    );
    Document {
        id: uuid::Uuid::from_u128(1).into(),
        requester: Requester {
            caller: uuid::Uuid::from_u128(2).into(),
            name: "operator".into(),
            person: uuid::Uuid::from_u128(3).into(),
            person_name: "ann".into(),
        },
        request: Request {
            method: "POST".into(),
            path: "/v1/keys/k/steps".into(),
            operation: "POST /v1/keys/{key}/steps".into(),
            digest: RequestDigest::of("POST", "/v1/keys/k/steps", &body),
            body,
        },
        effects,
        quorum: Quorum::of(&[], ""),
        policy: [9; 32],
        expires_at: OffsetDateTime::UNIX_EPOCH,
    }
}

#[test]
fn a_document_says_in_words_what_it_holds_and_no_secret() {
    let text = document().to_text();
    assert!(
        text.contains(r#""sentence":"move key k from suspended to active (r)""#),
        "{text}"
    );
    assert!(!text.contains("s3"), "{text}");
    assert!(!text.contains(r#""id":7"#), "{text}");
}

#[test]
fn a_policy_is_said_by_digests_and_by_rules_of_which_some_are_named() {
    let many: Vec<_> = (0..25).map(|n| format!("r{n}")).collect();
    let details = json!({
        "from": "f0", "to": "70", "reason": "r", "added": many, "changed": ["x"], "removed": [],
    });
    let said = said("replace-policy", &details);
    assert!(
        said.starts_with("replace policy f0 by 70: add r0 and r1 and"),
        "{said}"
    );
    let end = "r19 and 5 more, change x, remove none (r)";
    assert!(said.ends_with(end), "{said}");
}

#[test]
fn whatever_is_proposed_otherwise_has_another_hash() {
    let was = hash(&document().to_text());
    let changes: [fn(&mut Document); 8] = [
        |it| it.id = uuid::Uuid::from_u128(8).into(),
        |it| it.requester.caller = uuid::Uuid::from_u128(8).into(),
        |it| it.requester.person = uuid::Uuid::from_u128(8).into(),
        |it| it.request.path.push('x'),
        |it| it.request.digest.0[0] ^= 1, // a secret, too
        |it| it.effects.add("x", &json!({})),
        |it| it.policy[0] ^= 1,
        |it| it.expires_at += time::Duration::seconds(1),
    ];
    for change in changes {
        let mut other = document();
        change(&mut other);
        assert_ne!(hash(&other.to_text()), was);
    }
}
