use super::*;

const SIGN: &str = r#"{"eventVersion":"1.08","eventID":"e1","eventSource":"kms.amazonaws.com","eventName":"Sign",
    "eventTime":"2026-11-30T12:00:01Z","requestID":"r1","requestParameters":{"keyId":"k","messageType":"DIGEST"},
    "userIdentity":{"arn":"arn:aws:iam::1:user/a"},"sourceIPAddress":"192.0.2.1",
    "resources":[{"ARN":"arn:aws:kms:eu-west-1:1:key/k"}]}"#;

#[test]
fn each_form_in_which_people_have_a_trail_is_read() {
    let other = SIGN.replace("\"Sign\"", "\"Decrypt\"").replace("e1", "e2");
    let failed = SIGN.replace(
        "\"requestID\"",
        "\"errorCode\":\"AccessDenied\",\"requestID\"",
    );
    let failed = failed.replace("e1", "e3").replace("12:00:01", "12:00:09");
    let quoted = serde_json::to_string(SIGN).unwrap();
    for text in [
        format!(r#"{{"Records":[{SIGN},{other},{failed}]}}"#),
        format!(r#"{{"Records":[{SIGN}]}} {{"Records":[{other},{failed},{SIGN}]}}"#),
        format!(
            r#"{{"Events":[{{"EventId":"e1","CloudTrailEvent":{quoted}}}]}} [{other},{failed}]"#
        ),
        format!("{SIGN}\n{other}\n{failed}\n"),
    ] {
        let mut trail = Trail::default();
        trail.add(text.as_bytes()).unwrap();
        let signatures: Vec<_> = trail.signatures.values().collect();
        assert_eq!(signatures.len(), 1, "{text}");
        let Event {
            request, key, by, ..
        } = signatures[0];
        assert_eq!(
            (request.as_deref(), key.as_str(), by.as_str()),
            (
                Some("r1"),
                "arn:aws:kms:eu-west-1:1:key/k",
                "arn:aws:iam::1:user/a from 192.0.2.1"
            )
        );
        let (first, last) = trail.span.unwrap();
        assert_eq!(last - first, 8_000);
    }
    for text in ["{", "{}", r#"{"leaf":1}"#, "7"] {
        assert!(Trail::default().add(text.as_bytes()).is_err(), "{text}");
    }
}
