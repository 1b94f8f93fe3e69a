//! Callers by the word of an issuer: the rules that make it safe, one line each.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::KeyPair;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::revoke;
use super::secure::Secure;
use crate::stand::refused;
use crate::support::order;

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
const BOT: &str = "system:serviceaccount:desk-1:bot";

/// Signs as an issuer does, with P-256.
struct Key(KeyPair);

impl Key {
    fn new() -> Self {
        Self(KeyPair::generate().unwrap())
    }

    fn jwk(&self, kid: &str) -> Value {
        let point = self.0.public_key_raw();
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({
            "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256",
            "x": part(&point[1..33]), "y": part(&point[33..]),
        })
    }

    fn sign(&self, header: &Header, claims: &Value) -> String {
        let key = EncodingKey::from_ec_pem(self.0.serialize_pem().as_bytes()).unwrap();
        jsonwebtoken::encode(header, claims, &key).unwrap()
    }
}

fn header(kid: &str) -> Header {
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some(kid.to_owned());
    header
}

fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

fn claims() -> Value {
    let now = now();
    json!({
        "iss": ISSUER, "sub": BOT, "aud": ["chancery"],
        "exp": now + 600, "nbf": now, "iat": now, "jti": "1",
        "kubernetes.io": { "namespace": "desk-1" },
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn sets(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// Header and claims as text, with a signature that is none, or one of another kind.
fn crafted(header: &Value, claims: &str, signature: &[u8]) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signature = URL_SAFE_NO_PAD.encode(signature);
    format!("{}.{}.{signature}", part(&header.to_string()), part(claims))
}

fn settings(place: &str, more: &str) -> String {
    format!(
        "[[callers.jwt]]
        issuer = \"{ISSUER}\"
        audience = \"chancery\"
        algorithms = [\"ES256\"]
        {place}
        {more}"
    )
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn a_jwt_that_breaks_a_rule_is_nobodys() {
    let Some(secure) = Secure::start(&settings("jwks_file = \"DIR/jwks.json\"", "")).await else {
        return;
    };
    let (key, other) = (Key::new(), Key::new());
    let encryption = {
        let mut jwk = other.jwk("enc");
        jwk["use"] = "enc".into();
        jwk
    };
    let secret = json!({ "kty": "oct", "kid": "secret", "k": URL_SAFE_NO_PAD.encode("secret") });
    let take = async |text: &str| {
        secure.write("jwks.json", text);
        secure.hang_up();
    };
    take(&sets(&[key.jwk("one"), encryption, secret])).await;
    let new = json!({ "kind": "jwt", "issuer": ISSUER, "subject": BOT, "days": 1 });
    let bot = secure.give("d-trader", new).await;

    let good = |claims: &Value| key.sign(&header("one"), claims);
    let by = |header: &Header| key.sign(header, &claims());
    let changed = |change: &dyn Fn(&mut Header)| {
        let mut it = header("one");
        change(&mut it);
        by(&it)
    };
    let t = now();
    let twice = {
        let text = claims().to_string();
        text.replacen('{', "{\"sub\":\"system:serviceaccount:desk-1:other\",", 1)
    };
    let hs256 = {
        // The public key, which everybody has, as a shared secret.
        let secret = EncodingKey::from_secret(key.0.public_key_raw()).unwrap();
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("one".to_owned());
        jsonwebtoken::encode(&header, &claims(), &secret).unwrap()
    };
    let cut = {
        let whole = good(&claims());
        whole[..whole.len() - 4].to_owned()
    };
    // What is sent; the problem, or none; what its detail says.
    let table: Vec<(&str, String, &str, &str)> = vec![
        ("as it should be", good(&claims()), "", ""),
        (
            "aud as a text",
            good(&with("aud", json!("chancery"))),
            "",
            "",
        ),
        ("an hour", good(&with("exp", json!(t + 3_590))), "", ""),
        (
            "within the leeway",
            good(&with("exp", json!(t - 2))),
            "",
            "",
        ),
        (
            "without a key id, of one key",
            changed(&|it| it.kid = None),
            "",
            "",
        ),
        (
            "a place for keys is not looked at",
            changed(&|it| it.jku = Some("https://evil.example/".into())),
            "",
            "",
        ),
        (
            "no issuer of ours",
            good(&with("iss", json!("https://evil.example"))),
            "jwt-refused",
            "issuer",
        ),
        (
            "a slash more",
            good(&with("iss", json!(format!("{ISSUER}/")))),
            "jwt-refused",
            "issuer",
        ),
        (
            "issuer of another type",
            good(&with("iss", json!([ISSUER]))),
            "jwt-refused",
            "all needed",
        ),
        ("no iss", good(&without("iss")), "jwt-refused", "all needed"),
        ("no sub", good(&without("sub")), "jwt-refused", "all needed"),
        ("no aud", good(&without("aud")), "jwt-refused", "all needed"),
        ("no exp", good(&without("exp")), "jwt-refused", "all needed"),
        ("no nbf", good(&without("nbf")), "jwt-refused", "all needed"),
        ("no iat", good(&without("iat")), "jwt-refused", "all needed"),
        (
            "exp as a text",
            good(&with("exp", json!((t + 600).to_string()))),
            "jwt-refused",
            "all needed",
        ),
        (
            "exp as a fraction",
            good(&with("exp", json!(600.5))),
            "jwt-refused",
            "all needed",
        ),
        (
            "exp of null",
            good(&with("exp", Value::Null)),
            "jwt-refused",
            "all needed",
        ),
        (
            "nbf as a text",
            good(&with("nbf", json!("0"))),
            "jwt-refused",
            "all needed",
        ),
        (
            "iat as a list",
            good(&with("iat", json!([t]))),
            "jwt-refused",
            "all needed",
        ),
        (
            "sub as a number",
            good(&with("sub", json!(7))),
            "jwt-refused",
            "all needed",
        ),
        (
            "aud as a number",
            good(&with("aud", json!(7))),
            "jwt-refused",
            "all needed",
        ),
        (
            "for somebody else",
            good(&with("aud", json!(["vault"]))),
            "jwt-refused",
            "aud",
        ),
        (
            "for others too",
            good(&with("aud", json!(["chancery", "vault"]))),
            "jwt-refused",
            "aud",
        ),
        (
            "for nobody",
            good(&with("aud", json!([]))),
            "jwt-refused",
            "aud",
        ),
        (
            "in other letters",
            good(&with("aud", json!("Chancery"))),
            "jwt-refused",
            "aud",
        ),
        (
            "over",
            good(&with("exp", json!(t - 11))),
            "jwt-refused",
            "expired",
        ),
        (
            "long over",
            good(&with("exp", json!(0))),
            "jwt-refused",
            "expired",
        ),
        (
            "to come",
            good(&with("nbf", json!(t + 60))),
            "jwt-refused",
            "future",
        ),
        (
            "made in the future",
            good(&with("iat", json!(t + 60))),
            "jwt-refused",
            "future",
        ),
        (
            "for a day",
            good(&with("exp", json!(t + 86_400))),
            "jwt-refused",
            "longer",
        ),
        (
            "for ever",
            good(&with("exp", json!(i64::MAX))),
            "jwt-refused",
            "longer",
        ),
        (
            "made long ago",
            good(&with("iat", json!(t - 86_400))),
            "jwt-refused",
            "longer",
        ),
        (
            "somebody else",
            good(&with("sub", json!("system:serviceaccount:desk-1:bot2"))),
            "not-authenticated",
            "",
        ),
        (
            "other letters",
            good(&with("sub", json!(BOT.to_uppercase()))),
            "not-authenticated",
            "",
        ),
        (
            "a space more",
            good(&with("sub", json!(format!("{BOT} ")))),
            "not-authenticated",
            "",
        ),
        (
            "none",
            crafted(
                &json!({ "alg": "none", "kid": "one" }),
                &claims().to_string(),
                b"",
            ),
            "jwt-refused",
            "alg",
        ),
        (
            "None",
            crafted(
                &json!({ "alg": "None", "kid": "one" }),
                &claims().to_string(),
                b"",
            ),
            "jwt-refused",
            "alg",
        ),
        ("HS256", hs256, "jwt-refused", "alg"),
        (
            "another key",
            other.sign(&header("one"), &claims()),
            "jwt-refused",
            "signature",
        ),
        (
            "a key that it brings",
            {
                let mut brought = header("one");
                brought.jwk = serde_json::from_value(other.jwk("one")).unwrap();
                other.sign(&brought, &claims())
            },
            "jwt-refused",
            "signature",
        ),
        (
            "a key for something else",
            other.sign(&header("enc"), &claims()),
            "jwt-refused",
            "kid",
        ),
        (
            "a shared secret",
            changed(&|it| it.kid = Some("secret".into())),
            "jwt-refused",
            "kid",
        ),
        (
            "no key of the issuer",
            changed(&|it| it.kid = Some("two".into())),
            "jwt-refused",
            "kid",
        ),
        (
            "a path",
            changed(&|it| it.kid = Some("../../../dev/null".into())),
            "jwt-refused",
            "kid",
        ),
        (
            "what nobody understands",
            changed(&|it| it.crit = Some(vec!["x".into()])),
            "jwt-refused",
            "signature",
        ),
        ("a signature cut off", cut, "jwt-refused", "signature"),
        (
            "a claim twice",
            crafted(&json!({ "alg": "ES256", "kid": "one" }), &twice, &[0; 64]),
            "jwt-refused",
            "",
        ),
        ("a list", crafted(&json!([]), "[]", b"x"), "jwt-refused", ""),
        ("nothing", "..".to_owned(), "jwt-refused", "no JWT"),
        (
            "too long",
            good(&with("x", json!("x".repeat(8_192)))),
            "jwt-refused",
            "no JWT",
        ),
    ];
    // Its keys are there.
    let mut answer = secure.caller(&table[0].1, None).get("/v1/wallets").await;
    for _ in 0..50 {
        if answer.status == 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        answer = secure.caller(&table[0].1, None).get("/v1/wallets").await;
    }
    for (what, jwt, problem, detail) in &table {
        let answer = secure.caller(jwt, None).get("/v1/wallets").await;
        if problem.is_empty() {
            assert_eq!(answer.status, 200, "{what}: {}", answer.text);
        } else {
            refused(what, &answer, 401, problem, detail);
        }
    }

    // What was signed says so, and the credential is revoked by itself.
    let caller = secure.caller(&good(&claims()), None);
    let path = "/v1/wallets/d-w/orders";
    let signed = caller.post_as("one", path, &order()).await.unwrap();
    assert_eq!(signed.status, 200, "{}", signed.text);
    let seen = caller.get("/v1/signatures?idempotency_key=one").await.json;
    let seen = &seen[0];
    assert_eq!(
        (&seen["credential"], seen["credential_kind"].as_str()),
        (&bot, Some("jwt"))
    );
    // Keys that are half written, or none, take nothing away; others do.
    take(&sets(&[key.jwk("one")])[..40]).await;
    secure.heard("the issuer's keys are not there").await;
    assert_eq!(caller.get("/v1/wallets").await.status, 200);
    let revoked = revoke(&secure.operator(), "d-trader", &bot).await;
    assert_eq!(revoked.status, 201, "{}", revoked.text);
    for _ in 0..2 {
        let answer = caller.post_as("one", path, &order()).await.unwrap();
        refused("revoked", &answer, 401, "not-authenticated", "");
    }
}

/// An issuer with a URL, which tests can take away.
struct Server {
    url: String,
    /// What it answers; nothing: it hangs up.
    answer: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn start(answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let (answer, asked) = (Arc::new(Mutex::new(Some(answer))), Arc::default());
        let server = Self { url, answer, asked };
        let (answer, asked) = (server.answer.clone(), server.asked.clone());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                asked.fetch_add(1, Ordering::SeqCst);
                let Some(body) = answer.lock().unwrap().clone() else {
                    continue;
                };
                let mut head = [0; 4_096];
                drop(stream.read(&mut head).await);
                let text = format!(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len(),
                );
                drop(stream.write_all(text.as_bytes()).await);
            }
        });
        server
    }

    fn says(&self, answer: Option<String>) {
        *self.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Asks until this is what is answered.
async fn becomes(secure: &Secure, jwt: &str, status: u16) -> crate::support::Answer {
    let caller = secure.caller(jwt, None);
    let mut answer = caller.get("/v1/wallets").await;
    for _ in 0..150 {
        if answer.status == status {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        answer = caller.get("/v1/wallets").await;
    }
    assert_eq!(answer.status, status, "{}", answer.text);
    answer
}

#[tokio::test]
async fn an_issuer_that_is_away_is_believed_for_a_stated_time_and_not_asked_for_each_invention() {
    let (one, two) = (Key::new(), Key::new());
    let server = Server::start(sets(&[one.jwk("one")])).await;
    let place = format!("jwks_url = \"{}\"", server.url);
    let Some(secure) = Secure::start(&settings(&place, "jwks_max_age_s = 20")).await else {
        return;
    };
    let new = json!({ "kind": "jwt", "issuer": ISSUER, "subject": BOT, "days": 1 });
    secure.give("d-trader", new).await;
    let (by_one, by_two) = (
        one.sign(&header("one"), &claims()),
        two.sign(&header("two"), &claims()),
    );
    becomes(&secure, &by_one, 200).await;
    let asked = server.asked();
    for number in 0..40 {
        let invented = two.sign(&header(&format!("kid-{number}")), &claims());
        let answer = secure.caller(&invented, None).get("/v1/wallets").await;
        refused("invented", &answer, 401, "jwt-refused", "kid");
    }
    assert!(server.asked() <= asked + 2, "{} {asked}", server.asked());

    // A new key comes, and the old one goes.
    server.says(Some(sets(&[two.jwk("two")])));
    becomes(&secure, &by_two, 200).await;
    becomes(&secure, &by_one, 401).await;
    // It is away: what is known goes on, what is not is refused, and then nobody is known.
    server.says(None);
    secure.heard("the issuer's keys are not there").await;
    assert_eq!(
        secure.caller(&by_two, None).get("/v1/wallets").await.status,
        200
    );
    let answer = secure.caller(&by_one, None).get("/v1/wallets").await;
    refused("unknown", &answer, 401, "jwt-refused", "kid");
    let away = becomes(&secure, &by_two, 503).await;
    refused("away", &away, 503, "issuer-unavailable", "too old");
    assert!(away.headers.contains_key("retry-after"));
    // Who comes with something else notices nothing.
    let trader = secure.caller(&secure.trader, None);
    assert_eq!(trader.get("/v1/wallets").await.status, 200);
}
