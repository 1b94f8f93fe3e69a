mod catalogue;

use std::collections::BTreeMap;

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
        stated: crate::authority::Version::default(),
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
        stated: crate::authority::Version::default(),
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
        call: Some(ApiCall {
            method: None,
            path: path.to_owned(),
        }),
        ..answered(answer)
    }
}

#[test]
fn a_scope_that_a_call_needs_and_a_token_lacks_is_not_taken_for_an_address() {
    let world = World::new();
    let refused = |path: &str, token: Option<TokenClaims>| {
        let question = Question {
            token,
            ..called(json!({ "status": 403, "body": "Forbidden" }), path)
        };
        let explanation = world.explain(&question);
        (codes(&explanation), explanation.notes)
    };
    let api = "https://api.preprod.polymarketexchange.com";
    let (found, notes) = refused("GET /v1/positions", Some(token(api, NOW)));
    assert_eq!(found, [Code::ScopeMissing]);
    assert!(
        notes.iter().any(|it| it.contains("does not carry it")),
        "{notes:?}"
    );
    // Without the token it is not known, and both are said.
    let (found, notes) = refused("GET /v1/positions", None);
    assert_eq!(found, [Code::AddressNotAllowed]);
    assert!(
        notes.iter().any(|it| it.contains("needs read:positions")),
        "{notes:?}"
    );
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
