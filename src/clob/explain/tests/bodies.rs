//! Orders with one thing wrong in the body, in the domain, or in how the key was asked.

use serde_json::{Value, json};

use super::*;

/// The same of the body, and of what travels beside the signed members.
#[expect(clippy::too_many_lines, reason = "it is a list")]
pub(super) fn cases() -> Vec<(Code, Value, Expected)> {
    use search::Style::{Personal, Plain};
    let eoa = || signed(0, json!({}));
    let whole = || signed(0, json!({ "size": "25" }));
    let beside = |mut posted: Value, changes: Value| {
        let Value::Object(changes) = changes else {
            panic!("members")
        };
        for (name, value) in changes {
            if value.is_null() {
                posted.as_object_mut().unwrap().remove(&name);
            } else {
                posted[name] = value;
            }
        }
        posted
    };
    let now_s = NOW_MS / 1000;
    let now = || Expected {
        now_s: Some(now_s),
        ..none()
    };
    let ending = |kind: &str, expiration: Value| {
        beside(
            changed(eoa(), json!({ "expiration": expiration })),
            json!({ "orderType": kind }),
        )
    };
    let login = Domain {
        name: "ClobAuthDomain",
        version: "1",
        verifying_contract: None,
        ..v2()
    };
    let code = "6275696c646572"; // "builder"
    let zeros = "0".repeat(64 - code.len());
    let (left, right) = (format!("0x{zeros}{code}"), format!("0x{code}{zeros}"));
    let v1 = || signed(0, json!({ "version": 1 }));
    vec![
        (
            Code::LoginDomain,
            resigned(eoa(), json!({}), Plain, &login),
            none(),
        ),
        (
            Code::LoginDomain,
            resigned(
                v1(),
                json!({}),
                Plain,
                &Domain {
                    chain_id: 80002,
                    ..login
                },
            ),
            none(),
        ),
        (
            Code::Domain,
            resigned(v1(), json!({}), Plain, &v2()),
            none(),
        ),
        (
            Code::PersonalMessage,
            resigned(eoa(), json!({}), Personal, &v2()),
            none(),
        ),
        (
            Code::BytesPadded,
            changed(
                resigned(eoa(), json!({ "builder": left }), Plain, &v2()),
                json!({ "builder": right }),
            ),
            none(),
        ),
        (
            Code::BytesPadded,
            changed(
                resigned(eoa(), json!({ "metadata": right }), Plain, &v2()),
                json!({ "metadata": left }),
            ),
            none(),
        ),
        (
            Code::TimestampUnit,
            resigned(eoa(), json!({ "timestamp": "1700000000" }), Plain, &v2()),
            none(),
        ),
        (Code::Form, changed(eoa(), json!({ "side": 0 })), none()),
        (Code::Form, changed(eoa(), json!({ "side": "0" })), none()),
        (
            Code::Form,
            changed(eoa(), json!({ "makerAmount": 11_782_400 })),
            none(),
        ),
        (
            Code::Form,
            changed(eoa(), json!({ "takerAmount": "0x1410b80" })),
            none(),
        ),
        (
            Code::Form,
            resigned(eoa(), json!({ "tokenId": 1_234_567 }), Plain, &v2()),
            none(),
        ),
        (
            Code::Form,
            changed(eoa(), json!({ "signatureType": "0" })),
            none(),
        ),
        (Code::Form, beside(eoa(), json!({ "owner": null })), none()),
        (
            Code::Form,
            beside(eoa(), json!({ "orderType": null })),
            none(),
        ),
        (
            Code::Form,
            beside(eoa(), json!({ "postOnly": "false" })),
            none(),
        ),
        (
            Code::OrderType,
            beside(eoa(), json!({ "orderType": "gtc" })),
            none(),
        ),
        (Code::Expiration, ending("GTD", json!("0")), none()),
        (
            Code::Expiration,
            ending("GTC", json!((now_s + 600).to_string())),
            now(),
        ),
        (
            Code::Expiration,
            ending("GTD", json!((now_s - 1).to_string())),
            now(),
        ),
        (
            Code::Expiration,
            ending("GTD", json!((now_s + 60).to_string())),
            now(),
        ),
        (
            Code::ExpirationUnit,
            ending("GTD", json!((now_s * 1000 + 600_000).to_string())),
            now(),
        ),
        (
            Code::PostOnly,
            beside(whole(), json!({ "orderType": "FOK", "postOnly": true })),
            none(),
        ),
    ]
}
