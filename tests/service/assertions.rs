//! Assertions: what they say, that a server takes them once, and when they are answered again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chancery::app::App;
use chancery::audit::Logged;
use chancery::clock::{Clock, Settings};
use chancery::config::Config;
use chancery::custody::{
    self, Custody, CustodyError, Destruction, DeviceKey, Evidence, KeyTemplate, Place,
    RawSignature, Sealer, Sign, Vault,
};
use chancery::policy::Permit;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::oauth_server::OAuthServer;
use crate::stand::{Stand, refused};
use crate::support::{Caller, Database, Deployment, Postgres, desk, order};

const ORDERS: &str = "/v1/wallets/d-w/orders";
const BATCH: &str = "/v1/wallets/d-w/orders/batch";
const ASSERTIONS: &str = "/v1/clients/d-c/assertions";
const AUDIENCE: &str = "https://api.dev01.polymarketexchange.com";
const ENDPOINT: &str = "https://pmx-dev01.us.auth0.com/oauth/token";

#[tokio::test]
async fn an_assertion_says_exactly_what_the_documentation_asks_for() {
    let Some(stand) = Stand::new(
        r#"
        [oauth.environments.other]
        issuer = "https://issuer.example/"
        token_endpoint = "https://issuer.example/oauth/token"
        token_audience = "https://api.example"
        assertion_aud = "issuer"
        typ = "client-authentication+jwt"
        kid = "thumbprint"
        lifetime_s = 300
        "#,
    )
    .await
    else {
        return;
    };
    let issued = stand.trader.post(ASSERTIONS, &json!({})).await;
    assert_eq!(issued.status, 200, "{}", issued.text);
    assert_eq!(issued.headers["cache-control"], "no-store");
    for (member, value) in [
        ("client_id", "d-client"),
        ("grant_type", "client_credentials"),
        ("audience", AUDIENCE),
        ("token_endpoint", ENDPOINT),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
    ] {
        assert_eq!(issued.json[member], value, "{member}");
    }
    let assertion = issued.json["client_assertion"].as_str().unwrap();
    let (header, claims) = parts(assertion);
    assert_eq!(header, json!({ "alg": "RS256", "typ": "JWT" }));
    let mut members: Vec<_> = claims.as_object().unwrap().keys().collect();
    members.sort();
    assert_eq!(members, ["aud", "exp", "iat", "iss", "jti", "sub"]);
    assert_eq!(claims["iss"], "d-client");
    assert_eq!(claims["sub"], "d-client");
    assert_eq!(claims["aud"], ENDPOINT, "one string");
    let time = |claim: &str| claims[claim].as_i64().unwrap();
    assert_eq!(time("exp") - time("iat"), 60);
    assert!((0..5).contains(&(Clock::system().unix_s() - time("iat"))));
    assert_eq!(claims["jti"].as_str().unwrap().len(), 32);
    verify(&stand.trader, "d-c", assertion, ENDPOINT).await;

    let second = stand.trader.post(ASSERTIONS, &json!({})).await;
    let (_, again) = parts(second.json["client_assertion"].as_str().unwrap());
    assert_ne!(again["jti"], claims["jti"], "a new one for each");
    let jtis = "select count(*) from jtis";
    assert_eq!(stand.database.count(jtis).await, 2);

    client(&stand.operator, "other").await;
    let issued = stand
        .trader
        .post("/v1/clients/other-c/assertions", &json!({}))
        .await;
    let assertion = issued.json["client_assertion"].as_str().unwrap();
    let (header, claims) = parts(assertion);
    let jwk = stand.trader.get("/v1/clients/other-c").await.json["jwk"].clone();
    let expected = json!({ "alg": "RS256", "typ": "client-authentication+jwt", "kid": jwk["kid"] });
    assert_eq!(header, expected);
    assert_eq!(claims["aud"], "https://issuer.example/");
    let time = |claim: &str| claims[claim].as_i64().unwrap();
    assert_eq!(time("exp") - time("iat"), 300);
    verify(
        &stand.trader,
        "other-c",
        assertion,
        "https://issuer.example/",
    )
    .await;

    // Nothing of it can be chosen by a caller.
    for member in ["aud", "exp", "scope", "claims", "lifetime_s"] {
        let answer = stand.trader.post(ASSERTIONS, &json!({ member: "x" })).await;
        refused(member, &answer, 422, "invalid-field", member);
    }
}

#[tokio::test]
async fn a_server_takes_an_assertion_once() {
    let (Some(documented), Some(renewed)) = (OAuthServer::start(), OAuthServer::start()) else {
        return;
    };
    let section = |name: &str, server: &OAuthServer, more: &str| {
        format!(
            "[oauth.environments.{name}]\nissuer = \"{}\"\ntoken_endpoint = \"{}\"\ntoken_audience = \"https://api.{name}\"\n{more}\n",
            server.issuer, server.token_endpoint
        )
    };
    let both = section("endpoint", &documented, "")
        + &section(
            "issuer",
            &renewed,
            "assertion_aud = \"issuer\"\nkid = \"thumbprint\"",
        );
    let Some(stand) = Stand::new(&both).await else {
        return;
    };
    let aud_policy = json!({ "aud_policy": "issuer" });
    for (name, server) in [("endpoint", &documented), ("issuer", &renewed)] {
        client(&stand.operator, name).await;
        let shown = stand
            .trader
            .get(&format!("/v1/clients/{name}-c"))
            .await
            .json;
        let registration = json!({
            "grants": { format!("https://api.{name}"): ["read:orders"] },
            "keys": [{ "pem": shown["pem"] }],
        });
        let path = format!("clients/{}", shown["client_id"].as_str().unwrap());
        let registered = server
            .admin(reqwest::Method::PUT, &path, &registration)
            .await;
        assert_eq!(registered["keys"][0]["kid"], shown["jwk"]["kid"]);
    }
    renewed
        .admin(reqwest::Method::PATCH, "settings", &aud_policy)
        .await;
    let issue = async |name: &str| {
        let path = format!("/v1/clients/{name}-c/assertions");
        let issued = stand.trader.post(&path, &json!({})).await;
        assert_eq!(issued.status, 200, "{}", issued.text);
        issued.json
    };

    let assertion = issue("endpoint").await;
    let (status, token) = documented.exchange(&assertion).await;
    assert_eq!(status, 200, "{token}");
    assert!(token["access_token"].is_string());
    let (status, answer) = documented.exchange(&assertion).await;
    assert_eq!(status, 401, "a second delivery: {answer}");
    let (status, answer) = documented.exchange(&issue("endpoint").await).await;
    assert_eq!(status, 200, "a new one: {answer}");
    let (status, answer) = renewed.exchange(&issue("issuer").await).await;
    assert_eq!(status, 200, "{answer}");

    documented
        .admin(reqwest::Method::PATCH, "settings", &aud_policy)
        .await;
    let (status, answer) = documented.exchange(&issue("endpoint").await).await;
    assert_eq!(status, 401, "an `aud` that is no longer taken: {answer}");
}

/// Two servers that know the same client under the same key; only what the assertion says keeps what
/// is meant for one from the other.
#[tokio::test]
async fn a_key_of_one_environment_signs_for_no_other() {
    let (Some(dev), Some(prod)) = (OAuthServer::start(), OAuthServer::start()) else {
        return;
    };
    let section = |name: &str, server: &OAuthServer| {
        format!(
            "[oauth.environments.{name}]\nissuer = \"{}\"\ntoken_endpoint = \"{}\"\ntoken_audience = \"https://api.{name}\"\n",
            server.issuer, server.token_endpoint
        )
    };
    let Some(stand) = Stand::new(&(section("dev", &dev) + &section("prod", &prod))).await else {
        return;
    };
    client(&stand.operator, "dev").await;
    let shown = stand.trader.get("/v1/clients/dev-c").await.json;
    for (server, audience) in [(&dev, "https://api.dev"), (&prod, "https://api.prod")] {
        let registration =
            json!({ "grants": { audience: ["read:orders"] }, "keys": [{ "pem": shown["pem"] }] });
        server
            .admin(reqwest::Method::PUT, "clients/dev-client", &registration)
            .await;
    }
    let issue = async || {
        let issued = stand
            .trader
            .post("/v1/clients/dev-c/assertions", &json!({}))
            .await;
        assert_eq!(issued.status, 200, "{}", issued.text);
        issued.json
    };
    let mut issued = issue().await;
    issued["token_endpoint"] = prod.token_endpoint.clone().into();
    issued["audience"] = "https://api.prod".into();
    let (status, answer) = prod.exchange(&issued).await;
    assert_eq!(status, 401, "{answer}");
    let (status, answer) = dev.exchange(&issue().await).await;
    assert_eq!(status, 200, "{answer}");

    // Nobody can say otherwise: not with a new client, and not in the database.
    let new = json!({
        "name": "x", "owner": "d", "key": "dev-k", "client_id": "x", "environment": "prod",
    });
    let answer = stand.operator.post("/v1/clients", &new).await;
    refused("environment", &answer, 422, "invalid-field", "environment");
    for sql in [
        "update clients set environment = 'prod' where name = 'dev-c'",
        "update keys set environment = 'prod' where name = 'dev-k'",
    ] {
        let error = sqlx::raw_sql(sql)
            .execute(&stand.database.pool)
            .await
            .unwrap_err();
        let constraint = error.as_database_error().unwrap().constraint();
        assert_eq!(constraint, Some("clients_key_is_of_their_environment"));
    }
}

/// One key, one answer; but a credential is not handed out when it is worth nothing any more. Replicas
/// whose clocks differ say the same.
#[tokio::test]
async fn an_assertion_is_answered_again_until_it_expires_by_the_databases_clock() {
    let Some(within) = Within::new(60, 0).await else {
        return;
    };
    let ask = async |key: &str| {
        within
            .trader
            .post_as(key, ASSERTIONS, &json!({}))
            .await
            .unwrap()
    };
    let first = ask("k").await;
    assert_eq!(first.status, 200, "{}", first.text);
    within.advance(3_600);
    let again = ask("k").await;
    assert_eq!(again.text, first.text);
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(again.headers["cache-control"], "no-store");

    within.advance(-3_600 - 70);
    let short = ask("l").await;
    assert_eq!(short.status, 200, "{}", short.text);
    for _ in 0..2 {
        refused("expired", &ask("l").await, 410, "answer-expired", "expired");
    }
    within.advance(70);
    refused("expired", &ask("l").await, 410, "answer-expired", "expired");
    let fresh = ask("m").await;
    assert_eq!(fresh.status, 200, "{}", fresh.text);
    assert_eq!(
        within.outcomes().await,
        ["released", "released", "released"]
    );
}

/// What carries a time is not signed by a replica whose clock is off, and what carries none is.
#[tokio::test]
async fn a_replica_whose_clock_is_off_is_not_ready_and_issues_no_assertion() {
    let Some(within) = Within::new(60, 0).await else {
        return;
    };
    let ready = async |status: u16, clock: &str| {
        within.app.watch_clock(Settings::default()).await;
        let ready = within.trader.get("/readyz").await;
        assert_eq!(ready.status, status, "{}", ready.text);
        assert_eq!(ready.json["checks"]["clock"], clock, "{}", ready.text);
    };
    let wanted = |version: u8| {
        let mut order = order();
        order["version"] = json!(version);
        order
    };
    for days in [463, -463] {
        within.clock.set(Clock::system().unix_ms());
        ready(200, "ok").await;
        let issued = within.trader.post(ASSERTIONS, &json!({})).await;
        assert_eq!(issued.status, 200, "{}", issued.text);
        within.advance(days * 24 * 3600);
        ready(503, "unavailable").await;
        let off = within.trader.post(ASSERTIONS, &json!({})).await;
        refused("off", &off, 503, "clock-off", "ahead of the database's");
        let second = within.trader.post(ORDERS, &wanted(2)).await;
        refused("off", &second, 503, "clock-off", "");
        let both = json!({ "orders": [wanted(2), wanted(1)] });
        let both = within.trader.post(BATCH, &both).await;
        let statuses = [0, 1].map(|n| both.json["orders"][n]["status"].clone());
        assert_eq!(statuses, [503, 200], "{}", both.text);
        let first = within.trader.post(ORDERS, &wanted(1)).await;
        assert_eq!(first.status, 200, "{}", first.text);
    }
}

#[tokio::test]
async fn what_ends_is_counted_by_the_database_s_clock() {
    let Some(within) = Within::new(60, 0).await else {
        return;
    };
    for (round, days) in [463, -463].into_iter().enumerate() {
        within.clock.set(Clock::system().unix_ms());
        within.advance(days * 24 * 3600);
        let name = format!("c-{round}");
        let caller = json!({ "name": name, "owner": "d", "roles": ["trader"], "token_days": 7 });
        let made = within.operator.post("/v1/callers", &caller).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let key = json!({
            "name": name, "purpose": "wallet", "backend": "soft", "environment": "dev01",
            "owner": "d", "cryptoperiod_days": 7,
        });
        let made = within.operator.post("/v1/keys", &key).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let why = json!({ "reason": "test" });
        let path = format!("/v1/keys/{name}/destruction");
        let asked = within.operator.post(&path, &why).await;
        assert_eq!(asked.status, 201, "{}", asked.text);
        for ends in [
            "select expires_at - interval '7 days' from caller_tokens t
             join callers c on c.id = t.caller_id where c.name = $1",
            "select cryptoperiod_ends_at - interval '168 hours' from keys where name = $1",
            "select not_before - interval '72 hours' from destructions d
             join keys k on k.id = d.key_id where k.name = $1",
        ] {
            let off = format!("select abs(extract(epoch from now() - ({ends})))::bigint");
            let off = sqlx::query_scalar(sqlx::AssertSqlSafe(off)).bind(&name);
            let off: i64 = off.fetch_one(&within.database.pool).await.unwrap();
            assert!(off < 3600, "{days} days: {off} s: {ends}");
        }
    }
}

#[tokio::test]
async fn a_signature_that_came_late_is_made_once_more() {
    let Some(within) = Within::new(60, 1).await else {
        return;
    };
    let issued = within
        .trader
        .post_as("k", ASSERTIONS, &json!({}))
        .await
        .unwrap();
    assert_eq!(issued.status, 200, "{}", issued.text);
    let left = issued.json["exp"].as_i64().unwrap() - within.clock.unix_s();
    assert_eq!(left, 59, "it is as good as new");
    assert_eq!(within.outcomes().await, ["abandoned", "released"]);
    let jtis = "select count(distinct jti) from jtis";
    assert_eq!(within.database.count(jtis).await, 2, "each on record (P4)");

    let again = within
        .trader
        .post_as("k", ASSERTIONS, &json!({}))
        .await
        .unwrap();
    assert_eq!(again.text, issued.text);
}

#[tokio::test]
async fn a_device_that_is_always_late_is_said_to_be() {
    let Some(within) = Within::new(60, 2).await else {
        return;
    };
    let late = within
        .trader
        .post_as("k", ASSERTIONS, &json!({}))
        .await
        .unwrap();
    refused("late", &late, 504, "device-timed-out", "twice");
    assert_eq!(within.outcomes().await, ["abandoned", "abandoned"]);
    // Nothing was released under the key, so the same request may be tried again.
    let issued = within
        .trader
        .post_as("k", ASSERTIONS, &json!({}))
        .await
        .unwrap();
    assert_eq!(issued.status, 200, "{}", issued.text);
}

/// The service in this process, with a clock that a test moves.
struct Within {
    app: App,
    operator: Caller,
    trader: Caller,
    clock: Clock,
    database: Database,
    _deployment: Deployment,
    _serving: JoinSet<()>,
    _postgres: Arc<Postgres>,
}

impl Within {
    /// With assertions of this lifetime, and a device that is late this often.
    async fn new(lifetime_s: u32, late: u32) -> Option<Self> {
        let postgres = Postgres::shared()?;
        let database = postgres.database().await;
        let deployment = Deployment::new(&database.url);
        let operator = deployment.bootstrap();
        let file = deployment.file("config.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text + &format!("\nlifetime_s = {lifetime_s}\n")).unwrap();
        let config = Config::load(&file).unwrap();

        let clock = Clock::fixed(Clock::system().unix_ms());
        let ledger = App::ledger(&config).unwrap();
        let soft: chancery::name::Name = "soft".parse().unwrap();
        let slow = Slow {
            device: custody::open(&soft, &config.custody[&soft], &ledger).unwrap(),
            clock: clock.clone(),
            late: AtomicU32::new(late),
        };
        let device: Arc<dyn Custody> = Arc::new(slow);
        let vault = Vault::new(BTreeMap::from([(soft, device)]), &config.secrets);
        let app = App::build_with(&config, clock.clone(), ledger, vault)
            .await
            .unwrap();

        let listener = chancery::http::listen(&config.http).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = chancery::http::router(app.clone(), &config.http);
        let mut serving = JoinSet::new();
        let tasks = app.tasks.clone();
        serving.spawn(async move {
            let never = CancellationToken::new();
            chancery::http::serve(listener, router, &config.http, &tasks, never).await;
        });
        let caller = |token: &str| Caller {
            base: base.clone(),
            token: token.to_owned(),
            http: reqwest::Client::new(),
        };
        let operator = caller(&operator);
        let trader = caller(&desk(&operator, "d", "soft").await);
        Some(Self {
            app,
            operator,
            trader,
            clock,
            database,
            _deployment: deployment,
            _serving: serving,
            _postgres: postgres,
        })
    }

    fn advance(&self, seconds: i64) {
        self.clock.set(self.clock.unix_ms() + seconds * 1000);
    }

    async fn outcomes(&self) -> Vec<String> {
        sqlx::query_scalar("select coalesce(outcome, 'open') from signatures order by id")
            .fetch_all(&self.database.pool)
            .await
            .unwrap()
    }
}

/// A device on which most of a minute passes while it signs.
struct Slow {
    device: Arc<dyn Custody>,
    clock: Clock,
    /// How often still.
    late: AtomicU32,
}

#[async_trait]
impl Custody for Slow {
    async fn sign(&self, permit: &Logged<Permit<Sign>>) -> Result<RawSignature, CustodyError> {
        let less = |left: u32| left.checked_sub(1);
        if self
            .late
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
            .is_ok()
        {
            self.clock.set(self.clock.unix_ms() + 45_000);
        }
        self.device.sign(permit).await
    }

    async fn generate(&self, template: &KeyTemplate) -> Result<DeviceKey, CustodyError> {
        self.device.generate(template).await
    }

    async fn inspect(&self, key: &Place) -> Result<DeviceKey, CustodyError> {
        self.device.inspect(key).await
    }

    async fn destroy(&self, key: &Place) -> Result<Destruction, CustodyError> {
        self.device.destroy(key).await
    }

    fn seals(&self) -> Option<&dyn Sealer> {
        self.device.seals()
    }

    fn evidence(&self) -> Evidence {
        self.device.evidence()
    }

    async fn health(&self) -> Result<(), CustodyError> {
        self.device.health().await
    }
}

/// A client of desk `d` in this environment, with an active key.
async fn client(operator: &Caller, environment: &str) {
    let key = json!({
        "name": format!("{environment}-k"), "purpose": "client", "backend": "soft",
        "environment": environment, "owner": "d",
    });
    let step = json!({ "to": "active", "reason": "test" });
    let client = json!({
        "name": format!("{environment}-c"), "owner": "d", "key": format!("{environment}-k"),
        "client_id": format!("{environment}-client"),
    });
    let steps = format!("/v1/keys/{environment}-k/steps");
    for (path, body) in [("/v1/keys", key), (&steps, step), ("/v1/clients", client)] {
        let made = operator.post(path, &body).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
}

/// Header and claims, as they are.
fn parts(assertion: &str) -> (Value, Value) {
    let decode = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let parts: Vec<_> = assertion.split('.').collect();
    assert_eq!(parts.len(), 3);
    (decode(parts[0]), decode(parts[1]))
}

/// An independent library takes it, under the public key that the client shows.
async fn verify(caller: &Caller, client: &str, assertion: &str, audience: &str) {
    let shown = caller.get(&format!("/v1/clients/{client}")).await.json;
    let pem = shown["pem"].as_str().unwrap();
    let key = DecodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
    let mut rules = Validation::new(jsonwebtoken::Algorithm::RS256);
    rules.leeway = 0;
    rules.set_audience(&[audience]);
    rules.set_issuer(&[shown["client_id"].as_str().unwrap()]);
    rules.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
    jsonwebtoken::decode::<Value>(assertion, &key, &rules).unwrap();
}
