//! Signing in at an identity provider: who comes in by its word, and by which word nobody does.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Response, Url, redirect};
use serde_json::{Value, json};

use crate::oauth_server::IdentityProvider;
use crate::stand::Stand;

/// A browser, with the cookies of one host.
struct Browser {
    http: Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn new() -> Self {
        let http = Client::builder().redirect(redirect::Policy::none());
        Self {
            http: http.build().unwrap(),
            cookies: BTreeMap::new(),
        }
    }

    async fn open(&mut self, url: &str) -> Response {
        let cookies = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let cookies = cookies.collect::<Vec<_>>().join("; ");
        let answer = self
            .http
            .get(url)
            .header(COOKIE, cookies)
            .send()
            .await
            .unwrap();
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if cookie.contains("Max-Age=0") || value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }
}

/// A service whose people sign in at a provider.
struct House {
    stand: Stand,
    provider: IdentityProvider,
    base: String,
}

/// Where an answer leads to.
fn led_to(answer: &Response) -> String {
    let to = answer.headers()[LOCATION].to_str().unwrap();
    answer.url().join(to).unwrap().to_string()
}

impl House {
    async fn new(more: &str) -> Option<Self> {
        // The provider has to know where it leads back to before the service starts.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", free.local_addr().unwrap());
        drop(free);
        let provider = IdentityProvider::start(&format!("{base}/sign-in/callback"))?;
        let issuer = &provider.issuer;
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let dir = dir.join(format!("oidc-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&dir).unwrap();
        let secret = dir.join("secret");
        let mut file = std::fs::OpenOptions::new();
        let file = file.write(true).create_new(true).mode(0o600).open(&secret);
        file.unwrap().write_all(b"a secret of the tests\n").unwrap();
        let stand = Stand::new(&format!(
            "[http]
            listen = \"{}\"
            [[callers.jwt]]
            issuer = \"{issuer}\"
            audience = \"chancery\"
            algorithms = [\"RS256\"]
            jwks_url = \"{issuer}/jwks\"
            [console]
            enabled = true
            [console.oidc]
            issuer = \"{issuer}\"
            client_id = \"chancery-console\"
            client_secret_file = \"{}\"
            authorization_endpoint = \"{issuer}/auth\"
            token_endpoint = \"{issuer}/token\"
            origin = \"{base}\"
            {more}",
            base.trim_start_matches("http://"),
            secret.display(),
        ))
        .await?;
        let new = json!({ "kind": "jwt", "issuer": issuer, "subject": "ann", "days": 1 });
        let added = stand
            .operator
            .post("/v1/callers/d-trader/credentials", &new)
            .await;
        assert_eq!(added.status, 201, "{}", added.text);
        Some(Self {
            stand,
            provider,
            base,
        })
    }

    /// Somebody goes to the provider and is led back: their browser, and where to.
    async fn goes(&self) -> (Browser, String) {
        let mut here = Browser::new();
        let answer = here
            .open(&format!("{}/sign-in/go?next=%2Fwallets", self.base))
            .await;
        assert_eq!(answer.status(), 303);
        let mut there = Browser::new();
        let mut url = led_to(&answer);
        for _ in 0..8 {
            if url.starts_with(&self.base) {
                return (here, url);
            }
            let answer = there.open(&url).await;
            assert!(
                answer.status().is_redirection(),
                "{url}: {}",
                answer.text().await.unwrap()
            );
            url = led_to(&answer);
        }
        panic!("nobody is led back: {url}");
    }

    /// That nobody is signed in by this, and why.
    async fn refuses(&self, what: &str, (mut browser, back): (Browser, String), why: &str) {
        let answer = browser.open(&back).await;
        assert_eq!(answer.status(), 401, "{what}");
        assert!(!browser.cookies.contains_key("__Host-chancery"), "{what}");
        let text = answer.text().await.unwrap();
        assert!(text.contains(why), "{what}: {text}");
    }
}

/// The same address with another value in its query.
fn with(url: &str, name: &str, value: &str) -> String {
    let mut url: Url = url.parse().unwrap();
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    url.query_pairs_mut().clear().extend_pairs(
        pairs
            .iter()
            .map(|(its, is)| (its.as_str(), if its == name { value } else { is.as_str() })),
    );
    url.to_string()
}

fn in_seconds(seconds: i64) -> Value {
    (time::OffsetDateTime::now_utc().unix_timestamp() + seconds).into()
}

#[tokio::test]
async fn whom_the_provider_names_is_signed_in_as_that_caller() {
    let Some(house) = House::new("").await else {
        return;
    };
    let mut browser = Browser::new();
    let page = browser
        .open(&format!("{}/sign-in?next=%2Fwallets", house.base))
        .await;
    let text = page.text().await.unwrap();
    assert!(
        text.contains("href=\"/sign-in/go?next=%2Fwallets\""),
        "{text}"
    );
    let (mut browser, back) = house.goes().await;
    let answer = browser.open(&back).await;
    assert_eq!(answer.status(), 200);
    let cookies: Vec<_> = answer.headers().get_all(SET_COOKIE).iter().collect();
    let cookies = format!("{cookies:?}");
    assert!(
        cookies.contains("SameSite=Strict") && cookies.contains("HttpOnly"),
        "{cookies}"
    );
    assert_eq!(
        browser.cookies.keys().collect::<Vec<_>>(),
        ["__Host-chancery"]
    );
    let text = answer.text().await.unwrap();
    assert!(text.contains("url=/wallets"), "{text}");
    let page = browser
        .open(&format!("{}/wallets", house.base))
        .await
        .text()
        .await
        .unwrap();
    assert!(page.contains("d-trader") && page.contains("d-w"), "{page}");

    // The credential is revoked, and whoever came by it is out.
    let caller = house.stand.operator.get("/v1/callers/d-trader").await.json;
    let credentials = caller["credentials"].as_array().unwrap();
    let jwt = credentials.iter().find(|it| it["kind"] == "jwt").unwrap();
    let path = format!(
        "/v1/callers/d-trader/credentials/{}/revoke",
        jwt["id"].as_str().unwrap()
    );
    let gone = house.stand.operator.post(&path, &json!({})).await;
    assert_eq!(gone.status, 201, "{}", gone.text);
    let out = browser.open(&format!("{}/wallets", house.base)).await;
    assert_eq!(out.status(), 401);
}

#[tokio::test]
async fn nobody_is_signed_in_by_a_word_that_is_not_for_this_sign_in() {
    let Some(house) = House::new("amr = [\"mfa\"]").await else {
        return;
    };
    let mfa = |mut claims: Value| {
        claims["amr"] = json!(["pwd", "mfa"]);
        json!({ "claims": claims })
    };
    house.provider.is_to(&mfa(json!({}))).await;
    let (browser, back) = house.goes().await;
    let state = with(&back, "state", "another");
    house
        .refuses(
            "another state",
            (browser, state),
            "was not begun in this browser",
        )
        .await;
    let (_, back) = house.goes().await;
    house
        .refuses(
            "another browser",
            (Browser::new(), back),
            "was not begun in this browser",
        )
        .await;
    let (browser, back) = house.goes().await;
    let code = with(&back, "code", "invented");
    house
        .refuses("an invented code", (browser, code), "invalid_grant")
        .await;
    let (browser, back) = house.goes().await;
    let denied = format!("{}&error=access_denied", with(&back, "code", ""));
    house
        .refuses("a refusal", (browser, denied), "access_denied")
        .await;

    let (mut browser, back) = house.goes().await;
    let kept = Browser {
        cookies: browser.cookies.clone(),
        ..Browser::new()
    };
    assert_eq!(browser.open(&back).await.status(), 200);
    house
        .refuses("the same code again", (kept, back), "invalid_grant")
        .await;

    for (what, claims, why) in [
        ("another nonce", json!({ "nonce": "another" }), "nonce"),
        ("no nonce", json!({ "nonce": null }), "iss, sub"),
        (
            "another issuer",
            json!({ "iss": "https://id.example" }),
            "issuer",
        ),
        ("another audience", json!({ "aud": "another" }), "aud"),
        (
            "others in the audience",
            json!({ "aud": ["chancery-console", "another"] }),
            "aud",
        ),
        ("a token for calls", json!({ "aud": "chancery" }), "aud"),
        ("for another party", json!({ "azp": "another" }), "aud"),
        ("expired", json!({ "exp": in_seconds(-60) }), "expired"),
        ("of long ago", json!({ "iat": in_seconds(-600) }), "expired"),
        ("of the future", json!({ "iat": in_seconds(600) }), "future"),
        (
            "somebody else",
            json!({ "sub": "nobody" }),
            "Nobody here is known by your account",
        ),
    ] {
        house.provider.is_to(&mfa(claims)).await;
        house.refuses(what, house.goes().await, why).await;
    }
    house
        .provider
        .is_to(&json!({ "claims": { "amr": ["pwd"] } }))
        .await;
    house
        .refuses("one factor", house.goes().await, "another factor")
        .await;
    let forged = json!({ "claims": { "amr": ["mfa"] }, "forged": true });
    house.provider.is_to(&forged).await;
    house
        .refuses("another key", house.goes().await, "signature")
        .await;
}
