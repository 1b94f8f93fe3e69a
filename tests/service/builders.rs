//! Builders' API keys, and the remote builder-signing protocol.

use serde_json::{Value, json};

use crate::builder_sdk;
use crate::l2::{BUILDER, GIVE, KEY, PASSPHRASE, SECRET, expected, give, given, now, plain_post};
use crate::stand::{Stand, refused};

#[tokio::test]
async fn the_command_line_gives_a_builders_key_from_files() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let write = |name: &str, text: &str| {
        let path = stand.deployment.dir.write(name, text);
        path.display().to_string()
    };
    let token = write("operator.token", &stand.operator.token);
    let secret = write("secret", &format!("{SECRET}\n"));
    let passphrase = write("passphrase", &format!("{PASSPHRASE}\n"));
    let run = |args: &[&str]| {
        let service = ["--wallet", "d-w", "--url", &stand.server.base];
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_chancery"))
            .arg("credentials")
            .args(args)
            .args(service)
            .args(["--token-file", &token])
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert!(output.status.success(), "{args:?}: {text}");
        assert!(
            !text.contains(SECRET) && !text.contains(PASSPHRASE),
            "{text}"
        );
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let files = ["--secret-file", &secret, "--passphrase-file", &passphrase];
    let given = run(&[&["give-builder", KEY][..], &files].concat());
    assert_eq!(given["apiKey"], KEY);
    let listed = run(&["list"]);
    assert_eq!(listed[0]["kind"], "builder", "{listed}");
    let ask = json!({ "method": "POST", "path": "/order", "body": "{}" });
    let made = stand.trader.post(BUILDER, &ask).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let headers = &made.json["headers"];
    let wanted = expected(&headers["POLY_BUILDER_TIMESTAMP"], "POST", "/order", "{}");
    assert_eq!(headers["POLY_BUILDER_SIGNATURE"], wanted.as_str());
    assert_eq!(headers["POLY_BUILDER_PASSPHRASE"], PASSPHRASE);
}

#[tokio::test]
async fn a_builders_key_is_given_once_or_anew_and_never_shown() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let ask = json!({ "method": "POST", "path": "/order", "body": "{}" });
    refused(
        "none",
        &stand.trader.post(BUILDER, &ask).await,
        409,
        "no-credential",
        "builder",
    );
    refused(
        "trader",
        &stand.trader.post(GIVE, &given(KEY)).await,
        403,
        "denied",
        "create_credential",
    );
    for (member, value) in [
        ("apiKey", ""),
        ("apiKey", "a b"),
        ("secret", ""),
        ("secret", "!!!!"),
        ("passphrase", "a\nb"),
    ] {
        let mut wrong = given(KEY);
        wrong[member] = value.into();
        let answer = stand.operator.post(GIVE, &wrong).await;
        refused(member, &answer, 422, "invalid-field", member);
        assert!(!answer.text.contains("canary") && !answer.text.contains(SECRET));
    }
    let first = stand
        .operator
        .post_as("k", GIVE, &given(KEY))
        .await
        .unwrap();
    assert_eq!(
        (first.status, &first.json["version"]),
        (201, &json!(1)),
        "{}",
        first.text
    );
    let again = stand
        .operator
        .post_as("k", GIVE, &given(KEY))
        .await
        .unwrap();
    assert_eq!(again.text, first.text);

    let headers = async || {
        let made = stand.trader.post(BUILDER, &ask).await;
        assert_eq!(made.status, 200, "{}", made.text);
        made.json["headers"].clone()
    };
    let made = headers().await;
    let wanted = expected(&made["POLY_BUILDER_TIMESTAMP"], "POST", "/order", "{}");
    assert_eq!(made["POLY_BUILDER_SIGNATURE"], wanted.as_str());
    assert_eq!(made["POLY_BUILDER_API_KEY"], KEY);
    assert_eq!(made.as_object().unwrap().len(), 4);

    // Given anew, it has the new secrets at once; another key takes its place.
    let mut anew = given(KEY);
    anew["passphrase"] = "another".into();
    let second = stand.operator.post(GIVE, &anew).await;
    assert_eq!(second.json["version"], 2, "{}", second.text);
    assert_eq!(second.json["id"], first.json["id"]);
    assert_eq!(headers().await["POLY_BUILDER_PASSPHRASE"], "another");
    let other = stand.operator.post(GIVE, &given("other")).await;
    assert_eq!(other.status, 201, "{}", other.text);
    assert_eq!(headers().await["POLY_BUILDER_API_KEY"], "other");
    let in_use = "select count(*) from credentials where state in ('live', 'unproven')";
    assert_eq!(stand.database.count(in_use).await, 1);
}

#[tokio::test]
async fn remote_builders_get_four_strings_and_say_nothing_in_three_ways() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let ask = json!({ "method": "GET", "path": "/builder/trades" });
    let none = plain_post(&stand.trader, "/sign", &ask).await;
    refused("no key", &none, 409, "no-credential", "0 builders");
    give(&stand).await;

    let now = now();
    for (body, timestamp) in [
        (json!("nothing"), json!("nothing")),
        (Value::Null, Value::Null),
        (json!(""), json!("")),
        (json!("{\"a\":1}"), json!(now)),
        (json!("{\"a\":1}"), json!(now.to_string())),
        (Value::Null, json!(1_000_000)),
    ] {
        for path in ["/sign", "/v1/wallets/d-w/sign"] {
            let mut ask = ask.clone();
            for (member, value) in [("body", &body), ("timestamp", &timestamp)] {
                if value != "nothing" {
                    ask[member] = value.clone();
                }
            }
            let made = plain_post(&stand.trader, path, &ask).await;
            assert_eq!(made.status, 200, "{ask}: {}", made.text);
            let headers = made.json.as_object().unwrap();
            assert_eq!(headers.len(), 4, "{}", made.text);
            assert!(
                headers
                    .values()
                    .all(|it| it.as_str().is_some_and(|it| !it.is_empty()))
            );
            let at = &made.json["POLY_BUILDER_TIMESTAMP"];
            let body = body.as_str().filter(|it| *it != "nothing").unwrap_or("");
            let wanted = expected(at, "GET", "/builder/trades", body);
            assert_eq!(made.json["POLY_BUILDER_SIGNATURE"], wanted.as_str());
            let at: i64 = at.as_str().unwrap().parse().unwrap();
            assert!(at.abs_diff(now) < 60, "{at}");
            if timestamp == now || timestamp.as_str() == Some(&now.to_string()) {
                assert_eq!(at, now);
            }
        }
    }

    let stranger = stand.server.caller("nobody");
    let other = stand.another("e-trader", "e", "trader").await;
    let bad = json!({ "method": "GET", "path": "/x?y" });
    let time = json!({ "method": "GET", "path": "/x", "timestamp": "soon" });
    for (what, caller, path, ask, status) in [
        ("token", &stranger, "/sign", &ask, 401),
        ("right", &other, "/sign", &ask, 409),
        ("wallet", &other, "/v1/wallets/d-w/sign", &ask, 404),
        ("role", &stand.operator, "/v1/wallets/d-w/sign", &ask, 403),
        ("path", &stand.trader, "/sign", &bad, 422),
        ("time", &stand.trader, "/sign", &time, 422),
        ("body", &stand.trader, "/sign", &json!({}), 422),
    ] {
        let answer = plain_post(caller, path, ask).await;
        assert_eq!(answer.status, status, "{what} {}", answer.text);
        assert_eq!(answer.json["error"], answer.json["detail"], "{what}");
        assert!(
            answer.json["error"].is_string() && answer.json["type"].is_string(),
            "{what}"
        );
    }
}

#[tokio::test]
async fn the_venues_builder_sdks_get_what_they_would_make_themselves() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    give(&stand).await;
    let requests = json!([
        { "method": "GET", "path": "/builder/trades" },
        { "method": "POST", "path": "/order", "body": "{\"note\":\"caf\u{e9} \u{20ac}\"}" },
        { "method": "POST", "path": "/submit", "body": "{\"a\":[1,2]}", "timestamp": now() },
    ]);
    for path in ["/sign", "/v1/wallets/d-w/sign"] {
        let asked = json!({
            "url": format!("{}{path}", stand.server.base), "token": stand.trader.token,
            "key": KEY, "secret": SECRET, "passphrase": PASSPHRASE, "requests": requests,
        });
        for answers in [builder_sdk::javascript(&asked), builder_sdk::python(&asked)] {
            let Some(answers) = answers else { continue };
            assert_eq!(answers.len(), 3);
            for answer in answers {
                assert_eq!(answer["remote"], answer["local"]);
                assert_eq!(answer["remote"]["POLY_BUILDER_API_KEY"], KEY);
            }
        }
    }
}
