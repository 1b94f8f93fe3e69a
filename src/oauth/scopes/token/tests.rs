use super::*;

fn token(claims: &Value) -> String {
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

#[test]
fn a_token_says_its_scopes() {
    let claims = serde_json::json!({
        "iss": "https://issuer/", "azp": "c1", "aud": "https://api", "exp": 12,
        "scope": "read:orders write:orders read:orders",
    });
    let bare = token(&claims);
    let read = TokenClaims::read(&bare).unwrap();
    assert_eq!(read.scopes, ["read:orders", "write:orders"]);
    assert_eq!(read.audiences, ["https://api"]);
    assert_eq!(
        (read.issuer.as_deref(), read.client_id.as_deref()),
        (Some("https://issuer/"), Some("c1"))
    );
    assert_eq!(read.expires_at, Some(12));
    assert_eq!(TokenClaims::read(&format!(" Bearer {bare}\n")), Ok(read));

    let other = serde_json::json!({ "scope": ["a", 1, "b"], "aud": ["x", "y"], "exp": "12" });
    let read = TokenClaims::read(&token(&other)).unwrap();
    assert_eq!(read.scopes, ["a", "b"]);
    assert_eq!(read.audiences, ["x", "y"]);
    assert_eq!(read.expires_at, None);

    let fine = serde_json::json!({ "iat": 12.0, "exp": 192.9 });
    let read = TokenClaims::read(&token(&fine)).unwrap();
    assert_eq!((read.issued_at, read.expires_at), (Some(12), Some(192)));
}

#[test]
fn what_is_no_token_is_not_read() {
    for text in [
        "",
        "a.b",
        "a.b.c",
        "e30.W10.e30",
        "a.e30.b.c",
        "e30.e3.e30",
        "Bearer",
    ] {
        assert_eq!(TokenClaims::read(text), Err(NotAToken::NotAJwt), "{text}");
    }
    let large = format!("e30.{}.e30", "A".repeat(TOKEN_LIMIT));
    assert_eq!(TokenClaims::read(&large), Err(NotAToken::TooLarge));
    assert!(TokenClaims::read("e30.e30.").unwrap().scopes.is_empty());
}
