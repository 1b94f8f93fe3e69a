//! Each entry of the catalogue, found where it is the only thing wrong.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

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
            Code::ScopeMissing,
            answered(
                json!({ "status": 403, "body": { "message": "permission denied: missing required scope x" } }),
            ),
        ),
        (
            Code::ScopeMissing,
            answered(json!({ "status": 403, "body": "Insufficient SCOPE" })),
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
