//! Callers by certificate: the rules that make it safe, one line each.

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use serde_json::json;
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

use super::secure::{Pki, Secure, client};
use super::{credentials, revoke};
use crate::stand::refused;
use crate::support::{Answer, order};

const BOT: &str = "spiffe://prod.example/desk-1/bot";
const ORDERS: &str = "/v1/wallets/d-w/orders";

type Shown = (String, String);

fn changed(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = client(&[BOT]);
    change(&mut params);
    params
}

/// SHA-256 of a certificate's DER.
fn fingerprint(pem: &str) -> String {
    use base64::Engine as _;
    let body: String = pem.lines().filter(|it| !it.starts_with('-')).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body);
    hex::encode(Sha256::digest(der.unwrap()))
}

/// Signed by an authority under this one, with these name constraints for URIs.
fn under_constraints(pki: &Pki, params: &CertificateParams) -> Shown {
    let name = b"prod.example";
    let tagged = |tag: u8, inner: &[u8]| {
        let length = u8::try_from(inner.len()).unwrap();
        [&[tag, length], inner].concat()
    };
    let constraints = tagged(0x30, &tagged(0xa0, &tagged(0x30, &tagged(0x86, name))));
    let mut constraints = CustomExtension::from_oid_content(&[2, 5, 29, 30], constraints);
    constraints.set_criticality(true);
    under(pki, params, vec![constraints])
}

fn under(pki: &Pki, params: &CertificateParams, extensions: Vec<CustomExtension>) -> Shown {
    let mut middle = CertificateParams::default();
    middle.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    middle.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    middle.custom_extensions = extensions;
    middle
        .distinguished_name
        .push(rcgen::DnType::CommonName, "in the middle");
    let key = KeyPair::generate().unwrap();
    let certificate = middle.signed_by(&key, &pki.issuer).unwrap();
    let issuer = Issuer::new(middle, key);
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, &issuer).unwrap();
    let chain = format!("{}{}", leaf.pem(), certificate.pem());
    (chain, key.serialize_pem())
}

fn self_signed(params: &CertificateParams) -> Shown {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn a_certificate_that_breaks_a_rule_is_nobodys() {
    let Some(secure) = Secure::start("").await else {
        return;
    };
    let bot = secure.give_spiffe("d-trader", BOT).await;
    let now = OffsetDateTime::now_utc();
    let pinned = self_signed(&client(&[]));
    let new = json!({ "kind": "certificate", "sha256": fingerprint(&pinned.0), "days": 1 });
    let pin = secure.give("d-trader", new).await;
    let over = self_signed(&{
        let mut params = client(&[]);
        params.not_after = now - Duration::hours(1);
        params
    });
    let new = json!({ "kind": "certificate", "sha256": fingerprint(&over.0), "days": 1 });
    secure.give("d-trader", new).await;
    // Pinned, and with a name all the same: the name is what counts, and it is nobody's.
    let both = secure.prod.sign(&client(&["spiffe://prod.example/nobody"]));
    let new = json!({ "kind": "certificate", "sha256": fingerprint(&both.0), "days": 1 });
    secure.give("d-trader", new).await;

    let sign = |params: &CertificateParams| secure.prod.sign(params);
    // What is shown; the problem, or none; what its detail says.
    let table: Vec<(&str, Shown, &str, &str)> = vec![
        ("as it should be", sign(&client(&[BOT])), "", ""),
        (
            "from below",
            under(&secure.prod, &client(&[BOT]), vec![]),
            "",
            "",
        ),
        ("pinned", pinned.clone(), "", ""),
        (
            "two URIs",
            sign(&client(&[BOT, "spiffe://prod.example/other"])),
            "certificate-refused",
            "2 URIs",
        ),
        (
            "the same twice",
            sign(&client(&[BOT, BOT])),
            "certificate-refused",
            "2 URIs",
        ),
        (
            "another URI too",
            sign(&client(&[BOT, "https://prod.example/"])),
            "certificate-refused",
            "2 URIs",
        ),
        (
            "no path",
            sign(&client(&["spiffe://prod.example"])),
            "certificate-refused",
            "no path",
        ),
        (
            "a URL",
            sign(&client(&["https://prod.example/desk-1/bot"])),
            "certificate-refused",
            "no SPIFFE ID",
        ),
        (
            "dots",
            sign(&client(&["spiffe://prod.example/x/../desk-1/bot"])),
            "certificate-refused",
            "no SPIFFE ID",
        ),
        (
            "capitals",
            sign(&client(&["spiffe://PROD.example/desk-1/bot"])),
            "certificate-refused",
            "no SPIFFE ID",
        ),
        (
            "somebody else",
            sign(&client(&["spiffe://prod.example/desk-1/bot2"])),
            "not-authenticated",
            "",
        ),
        (
            "other letters",
            sign(&client(&["spiffe://prod.example/Desk-1/bot"])),
            "not-authenticated",
            "",
        ),
        (
            "an authority",
            sign(&changed(|it| {
                it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            })),
            "certificate-refused",
            "(CA)",
        ),
        (
            "no digitalSignature",
            sign(&changed(|it| {
                it.key_usages = vec![KeyUsagePurpose::KeyAgreement];
            })),
            "certificate-refused",
            "digitalSignature",
        ),
        (
            "no key usage",
            sign(&changed(|it| it.key_usages = vec![])),
            "certificate-refused",
            "digitalSignature",
        ),
        (
            "signs certificates",
            sign(&changed(|it| {
                it.key_usages.push(KeyUsagePurpose::KeyCertSign);
            })),
            "certificate-refused",
            "digitalSignature",
        ),
        (
            "signs lists",
            sign(&changed(|it| it.key_usages.push(KeyUsagePurpose::CrlSign))),
            "certificate-refused",
            "digitalSignature",
        ),
        (
            "for servers",
            sign(&changed(|it| {
                it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            })),
            "certificate-refused",
            "no authority",
        ),
        (
            "expired",
            sign(&changed(|it| it.not_after = now - Duration::minutes(1))),
            "certificate-refused",
            "expired",
        ),
        (
            "to come",
            sign(&changed(|it| it.not_before = now + Duration::hours(1))),
            "certificate-refused",
            "not valid yet",
        ),
        (
            "another domain's authority",
            secure.test.sign(&client(&[BOT])),
            "certificate-refused",
            "no authority",
        ),
        (
            "no domain of ours",
            sign(&client(&["spiffe://evil.example/desk-1/bot"])),
            "certificate-refused",
            "trust domain",
        ),
        (
            "a longer domain",
            sign(&client(&["spiffe://prod.example.evil/desk-1/bot"])),
            "certificate-refused",
            "trust domain",
        ),
        (
            "nobody's authority",
            Pki::new().sign(&client(&[BOT])),
            "certificate-refused",
            "no authority",
        ),
        (
            "by itself",
            self_signed(&client(&[BOT])),
            "certificate-refused",
            "no authority",
        ),
        (
            "constraints for URIs",
            under_constraints(&secure.prod, &client(&[BOT])),
            "certificate-refused",
            "no authority",
        ),
        (
            "not pinned",
            self_signed(&client(&[])),
            "not-authenticated",
            "",
        ),
        (
            "of the domain, without a name",
            sign(&client(&[])),
            "not-authenticated",
            "",
        ),
        ("pinned and over", over, "certificate-refused", "expired"),
        ("pinned, with a name", both, "not-authenticated", ""),
    ];
    for (what, shown, problem, detail) in &table {
        let caller = secure.caller("", Some(shown));
        let answer = Answer::of(caller.http.get(format!("{}/v1/wallets", caller.base))).await;
        let answer = answer.unwrap();
        if problem.is_empty() {
            assert_eq!(answer.status, 200, "{what}: {}", answer.text);
        } else {
            refused(what, &answer, 401, problem, detail);
            // A token does not help who shows the wrong certificate.
            let caller = secure.caller(&secure.trader, Some(shown));
            let answer = caller.get("/v1/wallets").await;
            refused(what, &answer, 401, problem, detail);
        }
    }

    // Two credentials are one caller's, or nobody's.
    let shown = sign(&client(&[BOT]));
    let agree = secure.caller(&secure.trader, Some(&shown));
    assert_eq!(agree.get("/v1/wallets").await.status, 200);
    let disagree = secure.caller(&secure.token, Some(&shown));
    let answer = disagree.get("/v1/callers").await;
    refused(
        "two callers",
        &answer,
        401,
        "credentials-disagree",
        "another's",
    );
    secure.heard("the credentials of two callers").await;
    let wrong = secure.caller("chancery_no", Some(&shown));
    let answer = wrong.get("/v1/wallets").await;
    refused("a wrong token", &answer, 401, "not-authenticated", "");
    let nobody = secure.caller("", None);
    let nobody = Answer::of(nobody.http.get(format!("{}/v1/wallets", nobody.base))).await;
    refused(
        "nothing",
        &nobody.unwrap(),
        401,
        "not-authenticated",
        "neither",
    );

    // What was signed says with which credential, and that is revoked by itself, on the same connection.
    let bot_caller = secure.caller("", Some(&shown));
    let post = async |key: &str| {
        let request = bot_caller.http.post(format!("{}{ORDERS}", bot_caller.base));
        let request = request.header("idempotency-key", key).json(&order());
        Answer::of(request).await.unwrap()
    };
    let signed = post("one").await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    let id = signed.json["id"].as_str().unwrap();
    let seen = agree.get(&format!("/v1/signatures/{id}")).await.json;
    assert_eq!(
        (&seen["credential"], seen["credential_kind"].as_str()),
        (&bot, Some("spiffe"))
    );
    let operator = secure.operator();
    let revoked = revoke(&operator, "d-trader", &bot).await;
    assert_eq!(revoked.status, 201, "{}", revoked.text);
    refused("revoked", &post("one").await, 401, "not-authenticated", "");
    refused("revoked", &post("two").await, 401, "not-authenticated", "");
    let still = secure.caller("", Some(&pinned));
    let still = Answer::of(still.http.get(format!("{}/v1/wallets", still.base))).await;
    assert_eq!(still.unwrap().status, 200);
    let all = credentials(&operator, "d-trader").await;
    let of = |id: &serde_json::Value| all.iter().find(|it| it["id"] == *id).unwrap();
    assert_eq!(of(&bot)["identity"], BOT);
    assert!(of(&bot)["revoked_at"].is_string());
    assert_eq!(of(&pin)["identity"], fingerprint(&pinned.0).as_str());
}

#[tokio::test]
async fn a_certificate_that_ends_and_an_authority_that_goes_end_what_was_open() {
    let Some(secure) = Secure::start("").await else {
        return;
    };
    secure.give_spiffe("d-trader", BOT).await;
    let soon = OffsetDateTime::now_utc() + Duration::seconds(8);
    let short = secure.prod.sign(&changed(|it| it.not_after = soon));
    let long = secure.prod.sign(&client(&[BOT]));
    let ask = async |caller: &crate::support::Caller| {
        let request = caller.http.get(format!("{}/v1/wallets", caller.base));
        Answer::of(request).await.unwrap()
    };
    let (short, long) = (
        secure.caller("", Some(&short)),
        secure.caller("", Some(&long)),
    );
    assert_eq!(ask(&short).await.status, 200);
    assert_eq!(ask(&long).await.status, 200);
    // On the connection that is open.
    let mut answer = ask(&short).await;
    while answer.status == 200 && OffsetDateTime::now_utc() < soon + Duration::seconds(10) {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        answer = ask(&short).await;
    }
    refused("over", &answer, 401, "certificate-refused", "expired");
    assert_eq!(ask(&long).await.status, 200);

    // Half a bundle takes nothing away.
    let pem = &secure.prod.pem;
    secure.write("prod.pem", &pem[..pem.len() / 2]);
    secure.hang_up();
    secure.heard("the new authorities are not taken").await;
    assert_eq!(ask(&long).await.status, 200);
    secure.write("prod.pem", "");
    secure.hang_up();
    for _ in 0..3 {
        assert_eq!(ask(&long).await.status, 200);
    }
    // Another authority does.
    let next = Pki::new();
    secure.write("prod.pem", &next.pem);
    secure.hang_up();
    secure
        .heard("the trust domain's authorities are those")
        .await;
    refused(
        "gone",
        &ask(&long).await,
        401,
        "certificate-refused",
        "no authority",
    );
    let new = secure.caller("", Some(&next.sign(&client(&[BOT]))));
    assert_eq!(ask(&new).await.status, 200);
}

#[tokio::test]
async fn a_session_is_worth_nothing_without_the_certificate_that_is_asked_for() {
    let console = "[console]\nenabled = true\nclient_certificates = true";
    let Some(secure) = Secure::start(console).await else {
        return;
    };
    let other = "spiffe://prod.example/ops/ann";
    secure.give_spiffe("d-trader", BOT).await;
    secure.give_spiffe("operator", other).await;
    let [theirs, another] = [BOT, other].map(|id| secure.prod.sign(&client(&[id])));
    let browser = |shown: Option<&Shown>| {
        let authority = reqwest::Certificate::from_pem(secure.service.pem.as_bytes()).unwrap();
        let mut http = reqwest::Client::builder()
            .tls_certs_only([authority])
            .redirect(reqwest::redirect::Policy::none());
        if let Some((certificate, key)) = shown {
            let pem = format!("{certificate}{key}");
            http = http.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap());
        }
        http.build().unwrap()
    };
    let [with, without, with_another] = [Some(&theirs), None, Some(&another)].map(browser);
    let sign_in = async |http: &reqwest::Client| {
        let form = [("token", secure.trader.as_str())];
        let request = http.post(format!("{}/sign-in", secure.server.base));
        let request = request.header("sec-fetch-site", "same-origin").form(&form);
        request.send().await.unwrap()
    };
    for http in [&without, &with_another] {
        let answer = sign_in(http).await;
        assert_eq!(answer.status(), 401);
        assert!(answer.headers().get("set-cookie").is_none());
    }
    let answer = sign_in(&with).await;
    assert_eq!(answer.status(), 303);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let reads = async |http: &reqwest::Client, path: &str| {
        let request = http.get(format!("{}{path}", secure.server.base));
        let answer = request.header("cookie", &cookie).send().await.unwrap();
        answer.status().as_u16()
    };
    for path in ["/wallets", "/v1/wallets"] {
        assert_eq!(reads(&with, path).await, 200, "{path}");
        for http in [&without, &with_another] {
            let status = reads(http, path).await;
            assert!([401, 403].contains(&status), "{path}: {status}");
        }
    }
}

#[tokio::test]
async fn the_command_line_shows_a_certificate_in_place_of_a_token() {
    let Some(secure) = Secure::start("").await else {
        return;
    };
    secure.give_spiffe("d-trader", BOT).await;
    let (certificate, key) = secure.prod.sign(&client(&[BOT]));
    secure.write_secret("bot.pem", &format!("{certificate}{key}"));
    secure.write_secret("half.pem", &certificate);
    secure.write("open.pem", &format!("{certificate}{key}"));
    let list = |file: &str| {
        let file = secure.deployment.file(file).display().to_string();
        secure.command(&["wallets", "list", "--client-cert-file", &file], true)
    };
    let listed = list("bot.pem").unwrap();
    assert!(listed.contains("\"d-w\""), "{listed}");
    for (file, why) in [
        ("half.pem", "its key are wanted"),
        ("open.pem", "read"),
        ("none.pem", "cannot read the certificate"),
    ] {
        let refused = list(file).unwrap_err();
        assert!(refused.contains(why), "{file}: {refused}");
    }
}
