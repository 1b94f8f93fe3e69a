//! No secret comes out where nobody has asked for it: each is searched for, in every form that it may take, in the
//! log at its most talkative, in every answer, in the metrics, in notices and in the whole database (P1).

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use chancery::custody::{Material, Scheme, wrapping};
use serde_json::{Value, json};

use crate::support::receiver::Receiver;
use crate::support::venue::ClobServer;
use crate::support::{Answer, Caller, Deployment, Postgres, Server, desk, order};

/// A secret, by a name for people.
struct Secret {
    name: String,
    /// It in each form.
    forms: Vec<String>,
}

impl Secret {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let hex = hex::encode(bytes);
        let mut forms = vec![
            hex.to_uppercase(),
            hex,
            // Without the last group, whose digits depend on what follows.
            STANDARD_NO_PAD.encode(&bytes[..bytes.len() / 3 * 3]),
            URL_SAFE_NO_PAD.encode(&bytes[..bytes.len() / 3 * 3]),
        ];
        if let Ok(text) = std::str::from_utf8(bytes) {
            forms.push(text.to_owned());
            let json = Value::from(text).to_string();
            forms.push(json.trim_matches('"').to_owned());
            let mut escaped = String::new();
            for byte in bytes {
                match byte {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                        escaped.push(char::from(*byte));
                    }
                    _ => write!(escaped, "%{byte:02X}").unwrap(),
                }
            }
            forms.push(escaped);
        }
        // As `Debug` shows bytes.
        let listed = bytes.iter().map(ToString::to_string);
        forms.push(listed.collect::<Vec<_>>().join(", "));
        let name = name.to_owned();
        Self { name, forms }
    }
}

/// Everything that came out.
#[derive(Default)]
struct Outputs(Vec<(String, String)>);

impl Outputs {
    fn add(&mut self, name: &str, text: &str) {
        self.0.push((name.to_owned(), text.to_owned()));
    }

    fn answer(&mut self, name: &str, answer: &Answer) {
        let headers = format!("{:?}", answer.headers);
        self.add(name, &format!("{headers}\n{}", answer.text));
    }

    /// Where a secret is, with what stands before it.
    fn find(&self, secret: &Secret) -> Option<String> {
        self.0.iter().find_map(|(name, text)| {
            let found = secret.forms.iter().filter_map(|form| text.find(form));
            let at = found.min()?;
            let before: String = text[..at].chars().rev().take(160).collect();
            let before: String = before.chars().rev().collect();
            Some(format!("{} in {name}, after {before}", secret.name))
        })
    }
}

/// What tries to get in with secrets of its own, in every place where a request has one.
async fn malformed(caller: &Caller, secret: &str, outputs: &mut Outputs) {
    let http = &caller.http;
    let url = |path: &str| format!("{}{path}", caller.base);
    let bearer = |request: reqwest::RequestBuilder| request.bearer_auth(&caller.token);
    let wallet = "/v1/wallets/d-w/orders";
    let mut body = order();
    body["price"] = secret.into();
    let requests = [
        ("a bearer that is none", http.get(url("/v1/keys")).bearer_auth(secret)),
        ("a basic login", http.get(url("/v1/keys")).basic_auth("me", Some(secret))),
        ("a cookie", http.get(url("/v1/keys")).header("cookie", format!("chancery={secret}"))),
        ("a query", bearer(http.get(url(&format!("/v1/keys?token={secret}"))))),
        ("a path", bearer(http.get(url(&format!("/v1/keys/{secret}"))))),
        ("a field", bearer(http.post(url(wallet))).header("idempotency-key", "f").json(&body)),
        (
            OWN_WORDS[0],
            bearer(http.post(url(wallet))).header("idempotency-key", "m").json(&json!({ secret: 1 })),
        ),
        (
            "half a body",
            bearer(http.post(url(wallet)))
                .header("idempotency-key", "h")
                .header("content-type", "application/json")
                .body(format!("{{\"tokenID\": \"{secret}")),
        ),
        (
            "a body of another kind",
            bearer(http.post(url(wallet))).header("content-type", "text/plain").body(secret.to_owned()),
        ),
        (OWN_WORDS[1], bearer(http.post(url("/rpc"))).json(&json!({ "jsonrpc": "2.0", "id": 1, "method": secret }))),
        (
            "typed data",
            bearer(http.post(url("/rpc"))).json(
                &json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_signTypedData_v4", "params": ["0x00", secret] }),
            ),
        ),
        (
            "material without an offer",
            bearer(http.post(url("/v1/keys/d-wk/material"))).header("idempotency-key", "w").json(&json!({ "wrapped": secret })),
        ),
    ];
    for (what, request) in requests {
        let answer = Answer::of(request).await.unwrap();
        assert!(
            answer.status >= 400 || answer.json["error"].is_object(),
            "{what}: {}",
            answer.text
        );
        if !OWN_WORDS.contains(&what) {
            outputs.answer(what, &answer);
        }
    }
}

/// Whoever sends a member or a method that nobody knows is told its name.
const OWN_WORDS: [&str; 2] = ["a member that nobody knows", "a method that nobody knows"];

/// Brings a private key of ours.
async fn import(operator: &Caller, outputs: &mut Outputs) -> Vec<u8> {
    let digits = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
    let material = Material::read(digits.as_bytes()).unwrap();
    let begin = json!({
        "name": "brought", "purpose": "wallet", "backend": "soft", "environment": "dev01",
        "owner": "d", "public_key": material.public_key().to_pem(),
    });
    let offer = operator.post("/v1/keys/import", &begin).await;
    assert_eq!(offer.status, 201, "{}", offer.text);
    let scheme: Scheme = serde_json::from_value(offer.json["scheme"].clone()).unwrap();
    let under = STANDARD
        .decode(offer.json["wrapping_key"].as_str().unwrap())
        .unwrap();
    let wrapped = wrapping::wrap(scheme, &under, material.pkcs8()).unwrap();
    let body = json!({ "wrapped": STANDARD.encode(wrapped) });
    let brought = operator.post("/v1/keys/brought/material", &body).await;
    assert_eq!(brought.status, 201, "{}", brought.text);
    outputs.answer("an offer", &offer);
    outputs.answer("a key that was brought", &brought);
    hex::decode(digits).unwrap()
}

/// The metrics, as text.
async fn metrics(server: &Server) -> String {
    server.heard("\"message\":\"metrics\"").await;
    let log = server.log();
    let events = log
        .lines()
        .filter_map(|it| serde_json::from_str::<Value>(it).ok());
    let mut told = events.filter(|it| it["message"] == "metrics");
    let told = told.next_back().unwrap();
    let address = told["listen"].as_str().unwrap().to_owned();
    let page = reqwest::get(format!("http://{address}/metrics"))
        .await
        .unwrap();
    page.text().await.unwrap()
}

#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "a list of what goes in and what comes out"
)]
async fn no_secret_is_where_nobody_asked_for_it() {
    let (Some(venue), Some(postgres)) = (ClobServer::start(&[]), Postgres::shared()) else {
        return;
    };
    let database = postgres.database().await;
    let deployment = Deployment::new(&database.url);
    let password = "kanarie+pass/word-0a1b2c3d4e5f";
    let webhook = format!(
        "whsec_{}",
        STANDARD.encode(b"kanarie-webhook-secret-012345678")
    );
    let owned = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        let path = deployment.dir.write(name, text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    let (password_file, webhook_file) =
        (owned("db.password", password), owned("webhook", &webhook));
    let receiver = Receiver::start().await;
    let more = format!(
        "{}[metrics]\nlisten = \"127.0.0.1:0\"\n[console]\nenabled = true\n
         [[notices.webhooks]]\nname = \"on-call\"\nurl = \"{}\"\nsecret_files = [\"{webhook_file}\"]\n",
        venue.section("polygon"),
        receiver.url,
    );
    let deployment = deployment.with_ledger(&format!("password_file = \"{password_file}\""));
    deployment.configure(&more);
    let (mut outputs, mut secrets) = (Outputs::default(), Vec::new());
    let mut secret = |name: &str, bytes: &[u8]| secrets.push(Secret::new(name, bytes));
    secret("the database's password", password.as_bytes());
    secret("the webhook's secret", b"kanarie-webhook-secret-012345678");
    for name in ["sealing.key", "keystore.key"] {
        let digits = std::fs::read_to_string(deployment.file(name)).unwrap();
        secret(name, &hex::decode(digits.trim()).unwrap());
    }

    let token = deployment.bootstrap();
    let server = deployment.serve_at("trace", &[]).await;
    let operator = server.caller(&token);
    let trader = server.caller(&desk(&operator, "d", "soft").await);
    secret("the operator's token", token.as_bytes());
    secret("the trader's token", trader.token.as_bytes());
    let private = import(&operator, &mut outputs).await;
    secret("a key that was brought", &private);
    let foreign = "kanarie+foreign/secret-5f4e3d2c1b0a";
    malformed(&trader, foreign, &mut outputs).await;
    secret(
        "what a caller put where it does not belong",
        foreign.as_bytes(),
    );

    // A secret of the CLOB's, which one caller may see.
    let made = operator
        .post(
            "/v1/wallets/d-w/credentials",
            &json!({ "mode": "create", "nonce": "0" }),
        )
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    outputs.answer("credentials", &made);
    let holder =
        json!({ "name": "holder", "owner": "d", "roles": ["credential-holder", "trader"] });
    let holder = operator.post("/v1/callers", &holder).await;
    let holder = server.caller(holder.json["token"].as_str().unwrap());
    secret("the holder's token", holder.token.as_bytes());
    let path = format!(
        "/v1/wallets/d-w/credentials/{}/reveal",
        made.json["apiKey"].as_str().unwrap()
    );
    let revealed = holder.post(&path, &json!({})).await;
    assert_eq!(revealed.status, 200, "{}", revealed.text);
    for member in ["secret", "passphrase"] {
        let text = revealed.json[member].as_str().unwrap();
        secret(member, text.as_bytes());
    }
    let body = json!({ "method": "GET", "path": "/data/orders" });
    // Headers of level 2 have the passphrase: that is how they are.
    let headers = trader.post("/v1/wallets/d-w/l2-headers", &body).await;
    assert_eq!(headers.status, 200, "{}", headers.text);

    // What is signed goes to its caller. An assertion lets in whoever has it.
    let signed = trader.post("/v1/wallets/d-w/orders", &order()).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    outputs.answer("an order", &signed);
    let assertion = trader.post("/v1/clients/d-c/assertions", &json!({})).await;
    assert_eq!(assertion.status, 200, "{}", assertion.text);
    let assertion = assertion.json["client_assertion"].as_str().unwrap();
    secret(
        "an assertion",
        assertion.rsplit('.').next().unwrap().as_bytes(),
    );
    for path in [
        "/v1/keys",
        "/v1/callers",
        "/v1/signatures",
        "/v1/audit/events",
        "/readyz",
        "/openapi.json",
    ] {
        outputs.answer(path, &operator.get(path).await);
    }
    let halt = json!({ "on": "everything", "reason": "test" });
    let halt = operator.post("/v1/halts", &halt).await;
    assert_eq!(halt.status, 201, "{}", halt.text);
    outputs.answer("a halt", &halt);
    outputs.add("metrics", &metrics(&server).await);
    for post in receiver.sees(1).await {
        outputs.add("a notice", &format!("{:?} {}", post.headers, post.body));
    }
    let doctor = deployment.run(&["doctor", "--json", "--invariants"]);
    outputs.add("doctor", &format!("{doctor:?}"));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid()));
    if let Ok(limits) = limits {
        let core = limits
            .lines()
            .find(|it| it.starts_with("Max core file size"));
        let columns: Vec<_> = core.unwrap().split_whitespace().collect();
        assert_eq!(columns[4..6], ["0", "0"], "no core is dumped");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()));
    if let Ok(status) = status {
        let locked = status.lines().find_map(|it| it.strip_prefix("VmLck:"));
        let locked = !locked.unwrap().trim().starts_with("0 ");
        let said = server.log().contains("memory: it is locked");
        assert_eq!(locked, said, "{status}");
    }
    outputs.add("the log", &server.log());
    drop(server);

    // A panic while a signature is in hands.
    let panics = deployment
        .serve_at(
            "trace",
            &[
                ("CHANCERY_FAIL_POINT", "device-after!:1"),
                ("RUST_BACKTRACE", "1"),
            ],
        )
        .await;
    let operator = panics.caller(&token);
    let halts = operator.get("/v1/halts").await;
    outputs.answer("halts", &halts);
    for halt in halts.json.as_array().unwrap() {
        let path = format!("/v1/halts/{}/lift", halt["id"].as_str().unwrap());
        let lifted = operator.post(&path, &json!({ "reason": "over" })).await;
        assert_eq!(lifted.status, 201, "{}", lifted.text);
    }
    let answer = panics
        .caller(&trader.token)
        .post_as("p", "/v1/clients/d-c/assertions", &json!({}))
        .await;
    outputs.add("what a panic answers", &format!("{answer:?}"));
    panics.heard("a panic").await;
    outputs.add("the log of a panic", &panics.log());
    drop(panics);

    let dump = std::process::Command::new("pg_dump")
        .arg("--inserts")
        .arg(format!("--dbname={}", database.over_socket()))
        .output()
        .unwrap();
    assert!(dump.status.success(), "{dump:?}");
    let dump = String::from_utf8_lossy(&dump.stdout).into_owned();
    assert!(dump.contains("caller_tokens"), "it is the whole database");
    outputs.add("the database", &dump);

    // The search finds what is there: the public key, which is in the database as bytes.
    let public = operator_key(&dump);
    assert!(
        outputs
            .find(&Secret::new("a public key", &public))
            .is_some()
    );
    let found: Vec<_> = secrets.iter().filter_map(|it| outputs.find(it)).collect();
    assert!(found.is_empty(), "{found:#?}");
    println!(
        "{} secrets in {} outputs: none found",
        secrets.len(),
        outputs.0.len()
    );
}

/// Some bytes that the dump holds, in the form that it has for them.
fn operator_key(dump: &str) -> Vec<u8> {
    let at = dump.find("'\\x3056").expect("a secp256k1 key, as SPKI");
    let digits: String = dump[at + 3..]
        .chars()
        .take_while(char::is_ascii_hexdigit)
        .collect();
    hex::decode(digits).unwrap()
}
