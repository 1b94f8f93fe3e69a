use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::*;
use crate::custody::{Algorithm, PublicKey};
use crate::id::{ClientId, KeyId};
use crate::keys::{KeyState, Origin, Purpose};
use crate::oauth::environment::Settings;

const NOW: i64 = 1_790_000_000;
const ENDPOINT: &str = "https://pmx-preprod.us.auth0.com/oauth/token";

/// What is known in the cases: two environments, a client in each.
struct World {
    settings: Settings,
    clients: Vec<Client>,
    keys: Vec<Key>,
    recorded: Option<Recorded>,
    clock_ahead_ms: Option<i64>,
}

fn key(name: &str, environment: &str, low: u8) -> Key {
    // Odd and large enough; nobody signs with it.
    let mut modulus = [0xc5_u8; 256];
    modulus[255] = low | 1;
    Key {
        id: KeyId::new(),
        name: name.parse().unwrap(),
        purpose: Purpose::Client,
        algorithm: Algorithm::Rsa2048,
        backend: "soft".parse().unwrap(),
        device_ref: None,
        origin: Origin::Created,
        environment: environment.parse().unwrap(),
        owner: "desk".parse().unwrap(),
        state: KeyState::Active,
        epoch: 1,
        public_key: Some(PublicKey::from_rsa_parts(&modulus, &[1, 0, 1]).unwrap()),
        attributes: BTreeMap::default(),
        created_at: OffsetDateTime::UNIX_EPOCH,
        cryptoperiod_ends_at: OffsetDateTime::UNIX_EPOCH,
    }
}

fn client(name: &str, client_id: &str, key: &Key) -> Client {
    Client {
        id: ClientId::new(),
        name: name.parse().unwrap(),
        owner: "desk".parse().unwrap(),
        environment: key.environment.clone(),
        client_id: client_id.to_owned(),
        key: key.clone(),
        kid: None,
        created_at: OffsetDateTime::UNIX_EPOCH,
    }
}

impl World {
    fn new() -> Self {
        let settings = toml::from_str(
            r#"
            [environments.preprod]
            issuer = "https://pmx-preprod.us.auth0.com/"
            token_endpoint = "https://pmx-preprod.us.auth0.com/oauth/token"
            token_audience = "https://api.preprod.polymarketexchange.com"
            [environments.prod]
            issuer = "https://pmx-prod.us.auth0.com/"
            token_endpoint = "https://pmx-prod.us.auth0.com/oauth/token"
            token_audience = "https://api.prod.polymarketexchange.com"
            "#,
        )
        .unwrap();
        let keys = vec![
            key("current", "preprod", 1),
            key("retired", "preprod", 3),
            key("of-prod", "prod", 5),
        ];
        let clients = vec![
            client("here", "c1", &keys[0]),
            client("there", "c2", &keys[2]),
        ];
        Self {
            settings,
            clients,
            keys,
            recorded: None,
            clock_ahead_ms: None,
        }
    }

    fn explain(&self, question: &Question) -> Explanation {
        let preprod = "preprod".parse().unwrap();
        question.explain(&Known {
            environments: &self.settings.environments,
            environment: Some(&preprod),
            client: None,
            clients: &self.clients,
            keys: &self.keys,
            recorded: self.recorded.as_ref(),
            clock_ahead_ms: self.clock_ahead_ms,
            now: NOW,
        })
    }

    fn kid(&self, at: usize) -> String {
        self.keys[at].public_key.as_ref().unwrap().thumbprint()
    }
}

fn codes(explanation: &Explanation) -> Vec<Code> {
    explanation.findings.iter().map(|it| it.code).collect()
}

fn good() -> Value {
    json!({ "iss": "c1", "sub": "c1", "aud": ENDPOINT, "iat": NOW - 1, "exp": NOW + 59, "jti": "j" })
}

fn presented(header: Option<Value>, claims: &Value) -> Presented {
    Presented {
        header: header.map(|it| it.as_object().unwrap().clone()),
        claims: claims.as_object().unwrap().clone(),
        length: None,
    }
}

fn about(header: Option<Value>, claims: &Value) -> Question {
    Question {
        assertion: Some(presented(header, claims)),
        sent_at: Some(NOW),
        ..Question::default()
    }
}

/// A good assertion with one claim put in, changed, or taken away with null.
fn with(claim: &str, value: Value) -> Question {
    let mut claims = good();
    let members = claims.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(claim);
    } else {
        members.insert(claim.to_owned(), value);
    }
    about(None, &claims)
}

fn answered(answer: Value) -> Question {
    Question {
        answer: Some(serde_json::from_value(answer).unwrap()),
        ..Question::default()
    }
}

fn called(answer: Value, path: &str) -> Question {
    Question {
        call: Some(Wanted {
            method: None,
            path: path.to_owned(),
        }),
        ..answered(answer)
    }
}

fn token(aud: &str, expires_at: i64) -> TokenClaims {
    TokenClaims {
        scopes: vec!["read:orders".into()],
        audiences: vec![aud.into()],
        expires_at: Some(expires_at),
        ..TokenClaims::default()
    }
}

fn unreadable(jwt: &str) -> Question {
    Question {
        unreadable: Presented::read(jwt).err(),
        ..Question::default()
    }
}

fn sent(member: &str, value: &str) -> Question {
    Question {
        sent: Some(serde_json::from_value(json!({ member: value })).unwrap()),
        ..about(None, &good())
    }
}

/// Each code, from something that has this one thing wrong with it.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_thing_that_can_be_wrong_is_found_by_itself() {
    let world = World::new();
    let kid = |at: usize| json!({ "alg": "RS256", "typ": "JWT", "kid": world.kid(at) });
    let api = "https://api.preprod.polymarketexchange.com";
    let endpoint = |status: u16, error: &str| {
        answered(
            json!({ "status": status, "body": { "error": error, "error_description": "why" } }),
        )
    };
    let of_token = |token: TokenClaims| Question {
        token: Some(token),
        sent_at: Some(NOW),
        ..answered(json!({ "status": 401 }))
    };
    let mut cases = vec![
        // The API.
        (
            Code::TokenNotTaken,
            answered(json!({ "status": 401, "body": { "code": 16, "message": "x" } })),
        ),
        (Code::TokenNotTaken, answered(json!({ "status": 401 }))),
        (Code::TokenNotTaken, answered(json!({ "grpc_status": 16 }))),
        (
            Code::ScopeMissing,
            answered(
                json!({ "status": 403, "body": { "code": 7, "message": "permission denied: missing required scope read:positions" } }),
            ),
        ),
        (
            Code::ScopeMissing,
            answered(
                json!({ "grpc_status": 7, "body": "permission denied: missing required scope read:orders" }),
            ),
        ),
        (
            Code::ScopeMissing,
            answered(
                json!({ "from": "api", "status": 403, "body": r#"{"code":7,"message":"permission denied: missing required scope read:kyc"}"# }),
            ),
        ),
        (
            Code::AddressNotAllowed,
            answered(json!({ "status": 403, "body": "Forbidden" })),
        ),
        (
            Code::AddressNotAllowed,
            answered(
                json!({ "status": 403, "body": { "code": 7, "message": "permission denied" } }),
            ),
        ),
        (
            Code::AddressNotAllowed,
            answered(
                json!({ "status": 403, "body": { "message": "permission denied: missing required scope x" } }),
            ),
        ),
        (
            Code::AddressNotAllowed,
            called(json!({ "status": 403, "body": "<html>" }), "/v1/users"),
        ),
        (
            Code::RateLimited,
            answered(json!({ "status": 429, "headers": { "Retry-After": "3" } })),
        ),
        (Code::RateLimited, answered(json!({ "grpc_status": 8 }))),
        (Code::RateLimited, endpoint(429, "too_many_requests")),
        (Code::RateLimited, endpoint(403, "too_many_requests")),
        (
            Code::EndpointDisabled,
            called(json!({ "status": 404 }), "/v1/incentives/earnings"),
        ),
        (
            Code::EndpointUnknown,
            called(json!({ "status": 404 }), "/v1/position"),
        ),
        (
            Code::EndpointUnknown,
            called(json!({ "grpc_status": 12 }), "CreateSomething"),
        ),
        // The token endpoint.
        (Code::InvalidClient, endpoint(401, "invalid_client")),
        (Code::InvalidClient, endpoint(400, "invalid_client")),
        (
            Code::InvalidClientAssertion,
            endpoint(401, "invalid_client_assertion"),
        ),
        (Code::InvalidRequest, endpoint(400, "invalid_request")),
        (Code::GrantRefused, endpoint(400, "unsupported_grant_type")),
        (Code::GrantRefused, endpoint(400, "unauthorized_client")),
        (Code::NotGranted, endpoint(403, "access_denied")),
        (Code::NotGranted, endpoint(400, "invalid_scope")),
        (Code::NotGranted, endpoint(400, "invalid_target")),
        (
            Code::ServerTrouble,
            answered(json!({ "status": 503, "body": "<html>" })),
        ),
        (Code::ServerTrouble, answered(json!({ "grpc_status": 14 }))),
        (Code::Redirected, answered(json!({ "status": 302 }))),
        (
            Code::EdgeAnswered,
            answered(
                json!({ "from": "token-endpoint", "status": 403, "body": " <!DOCTYPE html>" }),
            ),
        ),
        (
            Code::EdgeAnswered,
            answered(json!({ "status": 200, "body": "<html>" })),
        ),
        (
            Code::NoReason,
            answered(json!({ "from": "token-endpoint", "status": 401, "body": "" })),
        ),
        (
            Code::NoReason,
            answered(json!({ "from": "token-endpoint", "status": 404, "body": "not here" })),
        ),
        (
            Code::AnswerUnusable,
            answered(json!({ "status": 200, "body": "" })),
        ),
        (
            Code::AnswerUnusable,
            answered(json!({ "status": 200, "body": { "access_token": "a" } })),
        ),
        (
            Code::AnswerUnusable,
            answered(json!({ "status": 200, "body": { "access_token": "a", "expires_in": -1 } })),
        ),
        (
            Code::OutcomeUnknown,
            Question {
                failure: Some(Failure::Timeout),
                ..Question::default()
            },
        ),
        (
            Code::OutcomeUnknown,
            Question {
                failure: Some(Failure::Reset),
                ..Question::default()
            },
        ),
        (
            Code::NotDelivered,
            Question {
                failure: Some(Failure::Unreachable),
                ..Question::default()
            },
        ),
        // The assertion.
        (Code::TooLong, with("jti", json!("j".repeat(65)))),
        (
            Code::Algorithm,
            about(Some(json!({ "alg": "HS256" })), &good()),
        ),
        (
            Code::Algorithm,
            about(Some(json!({ "alg": "none", "typ": "JWT" })), &good()),
        ),
        (
            Code::Algorithm,
            about(Some(json!({ "typ": "JWT" })), &good()),
        ),
        (
            Code::TokenKind,
            about(Some(json!({ "alg": "RS256", "typ": "at+jwt" })), &good()),
        ),
        (
            Code::KeyUnknown,
            about(Some(json!({ "alg": "RS256", "kid": "k1" })), &good()),
        ),
        (Code::KeyOfAnother, about(Some(kid(1)), &good())),
        (Code::AudIsApi, with("aud", json!(api))),
        (
            Code::AudIsApi,
            with("aud", json!("https://api.prod.polymarketexchange.com/")),
        ),
        (
            Code::AudElsewhere,
            with("aud", json!("https://pmx-prod.us.auth0.com/oauth/token")),
        ),
        (
            Code::AudElsewhere,
            with("aud", json!("https://pmx-prod.us.auth0.com")),
        ),
        (
            Code::AudSpelling,
            with("aud", json!(format!("{ENDPOINT}/"))),
        ),
        (
            Code::AudSpelling,
            with("aud", json!("https://PMX-preprod.us.auth0.com/oauth/token")),
        ),
        (
            Code::AudPolicy,
            with("aud", json!("https://pmx-preprod.us.auth0.com/")),
        ),
        (
            Code::AudPolicy,
            with("aud", json!("https://pmx-preprod.us.auth0.com")),
        ),
        (Code::AudWrong, with("aud", json!("polymarket"))),
        (Code::AudWrong, with("aud", json!(7))),
        (Code::AudList, with("aud", json!([ENDPOINT]))),
        (Code::IssuerNotSubject, with("sub", json!("c9"))),
        (Code::LifetimeTooLong, with("exp", json!(NOW + 300))),
        (Code::TimeUnit, with("exp", json!((NOW + 59) * 1000))),
        (Code::TimeUnit, with("iat", json!(1_789_999_999.5))),
        (Code::TimeUnit, with("nbf", json!("now"))),
        (Code::NotYet, with("nbf", json!(NOW + 11))),
        (Code::NotYet, with("iat", json!(NOW + 11))),
        (Code::Malformed, unreadable("not a JWT")),
        (Code::TooLong, unreadable(&"A".repeat(20_000))),
        // The request.
        (Code::ClientIdDiffers, sent("client_id", "here")),
        (Code::AudienceDiffers, sent("audience", ENDPOINT)),
        (
            Code::AudienceDiffers,
            sent("audience", "https://api.preprod.polymarketexchange.com/"),
        ),
        (
            Code::RequestMember,
            sent("grant_type", "authorization_code"),
        ),
        (
            Code::RequestMember,
            sent("client_assertion_type", "jwt-bearer"),
        ),
    ];
    for claim in ["iss", "sub", "aud", "iat", "exp", "jti"] {
        cases.push((Code::ClaimMissing, with(claim, Value::Null)));
    }
    let mut met = BTreeSet::new();
    for (code, question) in cases {
        let explanation = world.explain(&question);
        assert_eq!(codes(&explanation), [code], "{question:?}");
        assert_eq!(explanation.verdict, Verdict::Found);
        met.insert(code);
    }
    // These never come alone, or need another world.
    for (code, also, question) in [
        (
            Code::TokenExpired,
            Code::TokenNotTaken,
            of_token(token(api, NOW - 1)),
        ),
        (
            Code::TokenElsewhere,
            Code::TokenNotTaken,
            of_token(token("https://api", NOW + 1)),
        ),
        (
            Code::ClientUnknown,
            Code::IssuerNotSubject,
            with("iss", json!("c9")),
        ),
        (
            Code::ClientElsewhere,
            Code::IssuerNotSubject,
            with("iss", json!("c2")),
        ),
        (
            Code::LifetimeBackwards,
            Code::Expired,
            with("exp", json!(NOW - 1)),
        ),
        (
            Code::Expired,
            Code::LifetimeBackwards,
            with("exp", json!(NOW - 2)),
        ),
    ] {
        let found = codes(&world.explain(&question));
        assert!(
            found.contains(&code) && found.contains(&also) && found.len() == 2,
            "{found:?}"
        );
        met.insert(code);
    }

    let mut other = World::new();
    other.clients[0].key.state = KeyState::Suspended;
    assert_eq!(
        codes(&other.explain(&about(None, &good()))),
        [Code::KeyNotActive]
    );
    met.insert(Code::KeyNotActive);

    let mut other = World::new();
    let record = |claims: &Value, released| Recorded {
        presented: presented(None, claims),
        released,
        handed_out: true,
    };
    other.recorded = Some(record(&good(), false));
    assert_eq!(
        codes(&other.explain(&about(None, &good()))),
        [Code::NeverReleased]
    );
    other.recorded = Some(record(&good(), true));
    assert_eq!(
        codes(&other.explain(&with("iat", json!(NOW - 2)))),
        [Code::JtiReused]
    );
    other.clock_ahead_ms = Some(-3_600_000);
    assert_eq!(
        codes(&other.explain(&about(None, &good()))),
        [Code::ClockOff]
    );
    met.extend([Code::NeverReleased, Code::JtiReused, Code::ClockOff]);

    let missing: Vec<_> = Code::ALL.iter().filter(|it| !met.contains(it)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_good_assertion_has_nothing_wrong_with_it() {
    let world = World::new();
    let kid = world.kid(0);
    for header in [
        None,
        Some(json!({ "alg": "RS256" })),
        Some(json!({ "alg": "RS256", "typ": "client-authentication+jwt", "kid": kid })),
    ] {
        let explanation = world.explain(&about(header, &good()));
        assert_eq!(explanation.findings, []);
        assert_eq!(explanation.verdict, Verdict::NothingWrong);
    }
}

#[test]
fn what_is_not_known_is_not_guessed() {
    let world = World::new();
    for question in [
        Question::default(),
        answered(json!({ "status": 418 })),
        answered(json!({ "status": 404 })),
        answered(json!({ "status": 400, "body": { "error": "server_says_something_new" } })),
        answered(json!({ "status": 200, "body": { "access_token": "a", "expires_in": 180 } })),
        called(json!({ "status": 404 }), "/v1/positions"),
        // It was refused, and nothing is wrong with it that can be seen.
        Question {
            answer: Some(
                serde_json::from_value(json!({ "from": "token-endpoint", "status": 400 })).unwrap(),
            ),
            ..about(None, &good())
        },
    ] {
        let explanation = world.explain(&question);
        assert_eq!(explanation.findings, [], "{question:?}");
        assert_eq!(explanation.verdict, Verdict::NoneOfThese, "{question:?}");
    }

    // That it has ended by now says nothing of when it arrived.
    let mut late = with("exp", json!(NOW - 1));
    late.assertion.as_mut().unwrap().claims["iat"] = json!(NOW - 61);
    late.sent_at = None;
    let explanation = world.explain(&late);
    assert_eq!(explanation.verdict, Verdict::NothingWrong);
    assert_eq!(explanation.notes.len(), 1, "{:?}", explanation.notes);
}

#[test]
fn the_server_s_clock_says_when_it_arrived() {
    let world = World::new();
    // 1994-11-15 08:12:31, long before iat.
    let answer = json!({
        "status": 401, "body": { "error": "invalid_client" },
        "headers": { "Date": "Tue, 15 Nov 1994 08:12:31 GMT" },
    });
    let question = Question {
        answer: Some(serde_json::from_value(answer).unwrap()),
        ..about(None, &good())
    };
    let found = codes(&world.explain(&question));
    assert_eq!(found, [Code::InvalidClient, Code::NotYet, Code::ClockOff]);
}

#[test]
fn nobody_learns_of_clients_and_keys_that_they_do_not_see() {
    let mut world = World::new();
    let kid = world.kid(2);
    world.clients.truncate(1);
    world.keys.truncate(2);
    let mut claims = good();
    claims["iss"] = json!("c2");
    claims["sub"] = json!("c2");
    let of_other = world.explain(&about(Some(json!({ "alg": "RS256", "kid": kid })), &claims));
    claims["iss"] = json!("nobody");
    claims["sub"] = json!("nobody");
    let of_nobody = world.explain(&about(Some(json!({ "alg": "RS256", "kid": "k" })), &claims));
    assert_eq!(codes(&of_other), codes(&of_nobody));
    assert_eq!(codes(&of_other), [Code::ClientUnknown, Code::KeyUnknown]);
}

#[test]
fn an_assertion_is_read_without_its_signature() {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let jwt = format!(
        "{}.{}.c2VjcmV0",
        part(&json!({ "alg": "RS256" })),
        part(&good())
    );
    let read = Presented::read(&jwt).unwrap();
    assert_eq!(read.text("iss"), Some("c1"));
    assert_eq!(read.header_text("alg"), Some("RS256"));
    assert!(!format!("{read:?}").contains("c2VjcmV0"));
    assert_eq!(read.length, Some(jwt.len()));
    let long = format!("{jwt}{}", "A".repeat(2048));
    let question = Question {
        assertion: Some(Presented::read(&long).unwrap()),
        sent_at: Some(NOW),
        ..Question::default()
    };
    assert_eq!(codes(&World::new().explain(&question)), [Code::TooLong]);
    for (text, why) in [
        ("", NotAnAssertion::NotAJwt),
        ("a.b.c", NotAnAssertion::NotAJwt),
        ("W10.e30.", NotAnAssertion::NotAJwt),
        ("e30.e30", NotAnAssertion::NotAJwt),
    ] {
        assert_eq!(Presented::read(text).unwrap_err(), why, "{text}");
    }
    let large = "A".repeat(20_000);
    assert_eq!(
        Presented::read(&large).unwrap_err(),
        NotAnAssertion::TooLarge
    );
}
