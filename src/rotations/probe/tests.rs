use super::*;

fn probe(role: Role, minute: i64, outcome: Option<Outcome>) -> Probe {
    Probe {
        id: ProbeId::new(),
        rotation: RotationId::new(),
        key: KeyId::new(),
        role,
        actor_name: "x".into(),
        begun_at: OffsetDateTime::UNIX_EPOCH + time::Duration::minutes(minute),
        intent: None,
        outcome,
        error: None,
        http_status: None,
    }
}

#[test]
fn the_latest_word_about_a_key_counts_and_nothing_else_is_one() {
    let probes = [
        probe(Role::Old, 1, Some(Outcome::Refused)),
        probe(Role::New, 2, Some(Outcome::Refused)),
        probe(Role::New, 3, Some(Outcome::Succeeded)),
        probe(Role::New, 4, Some(Outcome::Inconclusive)),
        probe(Role::New, 5, Some(Outcome::Unknown)),
        probe(Role::New, 6, None),
    ];
    assert_eq!(latest(&probes, Role::New).unwrap().id, probes[2].id);
    assert_eq!(latest(&probes, Role::Old).unwrap().id, probes[0].id);
    assert!(latest(&probes[3..], Role::New).is_none());
}

#[test]
fn only_a_refusal_of_the_key_is_one() {
    use crate::oauth::exchange::{Quota, Refusal};
    let refusal = Refusal {
        status: 401,
        code: "invalid_client".into(),
        description: String::new(),
        server_time: None,
    };
    for (error, outcome) in [
        (ExchangeError::NotTaken(refusal.clone()), Outcome::Refused),
        (
            ExchangeError::NotGranted(refusal.clone()),
            Outcome::Inconclusive,
        ),
        (ExchangeError::NotUnderstood(refusal), Outcome::Inconclusive),
        (ExchangeError::Down(503), Outcome::Inconclusive),
        (ExchangeError::Edge(401), Outcome::Inconclusive),
        (
            ExchangeError::Wordless {
                status: 401,
                body: "it is empty",
            },
            Outcome::Inconclusive,
        ),
        (ExchangeError::Redirected(302), Outcome::Inconclusive),
        (ExchangeError::Nonsense("x"), Outcome::Inconclusive),
        (ExchangeError::Unreachable, Outcome::Inconclusive),
        (ExchangeError::NoAnswer, Outcome::Unknown),
        (
            ExchangeError::Throttled {
                retry_after_s: None,
                quota: Quota::default(),
            },
            Outcome::Inconclusive,
        ),
    ] {
        assert_eq!(Seen::of(&error).outcome, outcome, "{error}");
    }
}
