use super::*;

#[test]
fn a_refusal_does_not_read_like_a_fault() {
    for (kind, code) in [
        (&problem::NOT_AUTHENTICATED, 4100),
        (&problem::NOT_FOUND, 4100),
        (&problem::DENIED, 4001),
        (&problem::KEY_NOT_ACTIVE, 4001),
        (&problem::WOULD_REPLACE, 4001),
        (&problem::TYPED_DATA_REFUSED, -32602),
        (&problem::BODY_TOO_LARGE, -32600),
        (&problem::BUSY, -32005),
        (&problem::DEVICE_UNAVAILABLE, -32603),
        (&problem::DEADLINE_EXCEEDED, -32603),
        (&problem::SIGNATURE_INVALID, -32603),
    ] {
        let error = RpcError::from(Problem::new(kind, "why"));
        assert_eq!(
            (error.code, error.message.as_str()),
            (code, "why"),
            "{}",
            kind.name
        );
    }
    for kind in problem::CATALOGUE {
        let code = RpcError::from(Problem::new(kind, "")).code;
        // Libraries have misleading words for these.
        assert!(!(-32003..=-32000).contains(&code), "{}", kind.name);
        assert_eq!(
            code == -32603,
            kind.status >= 500 && kind.name != "busy",
            "{}",
            kind.name
        );
    }
}
