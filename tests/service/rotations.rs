//! Rotations of clients' keys: the whole way with a real authorization server, every guard on it, and
//! the ways back.

use serde_json::{Value, json};

use crate::doctor::{doctor, says};
use crate::oauth_server::OAuthServer;
use crate::stand::{Stand, refused};
use crate::support::{Answer, Caller};

const AUDIENCE: &str = "https://api.local.example";

/// A client `c` with key `k1`, which the authorization server knows, and an operator.
pub(crate) struct World {
    pub(crate) server: OAuthServer,
    pub(crate) stand: Stand,
}

/// An environment of the configuration at this server, and rotations that need no waiting for probes.
pub(crate) fn configuration(server: &OAuthServer) -> String {
    format!(
        r#"
        [oauth.environments.local]
        issuer = "{}"
        token_endpoint = "{}"
        token_audience = "{AUDIENCE}"
        kid = "thumbprint"
        timeout_ms = 1500
        [rotations]
        probe_every_s = 0
        "#,
        server.issuer, server.token_endpoint
    )
}

/// Makes client `c` with the active key `k1`, known to the server.
pub(crate) async fn make_client(operator: &Caller, server: &OAuthServer) {
    let key = json!({ "name": "k1", "purpose": "client", "backend": "soft", "environment": "local", "owner": "d" });
    ok(operator.post("/v1/keys", &key).await);
    let active = json!({ "to": "active", "reason": "test" });
    ok(operator.post("/v1/keys/k1/steps", &active).await);
    let client = json!({ "name": "c", "key": "k1", "owner": "d", "client_id": "cid" });
    ok(operator.post("/v1/clients", &client).await);
    let pem = operator.get("/v1/keys/k1").await.json["pem"].clone();
    let registration = json!({
        "grants": { AUDIENCE: ["read:orders"] }, "keys": [{ "pem": pem }],
    });
    server
        .admin(reqwest::Method::PUT, "clients/cid", &registration)
        .await;
}

#[track_caller]
pub(crate) fn ok(answer: Answer) -> Value {
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json
}

/// A step with what it takes.
pub(crate) fn taking(step: &str, with: &Value) -> Value {
    let mut body = with.clone();
    body["step"] = step.into();
    body
}

/// The body of an opening.
pub(crate) fn order(new_key: &str) -> Value {
    json!({ "client": "c", "new_key": new_key, "target_at": "2027-06-30T00:00:00Z", "reason": "period" })
}

impl World {
    pub(crate) async fn open() -> Option<Self> {
        let server = OAuthServer::start()?;
        let stand = Stand::new(&configuration(&server)).await?;
        make_client(&stand.operator, &server).await;
        Some(Self { server, stand })
    }

    async fn begin(&self, body: &Value) -> String {
        let opened = ok(self.stand.operator.post("/v1/rotations", body).await);
        opened["id"].as_str().unwrap().to_owned()
    }

    async fn ask(&self, id: &str, step: &str, body: &Value) -> Answer {
        let path = format!("/v1/rotations/{id}/steps");
        self.stand.operator.post(&path, &taking(step, body)).await
    }

    async fn show(&self, id: &str) -> Value {
        let shown = self
            .stand
            .operator
            .get(&format!("/v1/rotations/{id}"))
            .await;
        assert_eq!(shown.status, 200, "{}", shown.text);
        shown.json
    }

    /// Takes a step; its state afterwards.
    pub(crate) async fn step(&self, id: &str, step: &str) -> String {
        let body = match step {
            "generate" | "prove-removal" => json!({}),
            "submit" | "ask-removal" => json!({ "channel": "portal", "reference": "CASE-7" }),
            "confirm" => {
                let fingerprint = self.show(id).await["new_key"]["fingerprint"].clone();
                json!({ "fingerprint": fingerprint, "reference": "MAIL-8" })
            }
            _ => json!({ "reason": "test" }),
        };
        let moved = ok(self.ask(id, step, &body).await);
        moved["state"].as_str().unwrap().to_owned()
    }

    /// What a probe showed.
    pub(crate) async fn probe(&self, id: &str, key: &str) -> String {
        let probed = ok(self.ask(id, "probe", &json!({ "key": key })).await);
        let outcome = probed["probe"]["outcome"].as_str();
        outcome.unwrap().to_owned()
    }

    async fn key(&self, name: &str) -> Value {
        self.stand
            .operator
            .get(&format!("/v1/keys/{name}"))
            .await
            .json
    }

    async fn register(&self, key: &str) {
        let pem = self.key(key).await["pem"].clone();
        let body = json!({ "pem": pem });
        self.server
            .admin(reqwest::Method::POST, "clients/cid/keys", &body)
            .await;
    }

    pub(crate) async fn remove(&self, key: &str) {
        let kid = self.key(key).await["jwk"]["kid"].clone();
        let path = format!("clients/cid/keys/{}", kid.as_str().unwrap());
        self.server
            .admin(reqwest::Method::DELETE, &path, &json!({}))
            .await;
    }

    /// A trader asks for an assertion, which the server takes; under which key.
    pub(crate) async fn works(&self) -> String {
        let path = "/v1/clients/c/assertions";
        let issued = self.stand.trader.post(path, &json!({})).await;
        assert_eq!(issued.status, 200, "{}", issued.text);
        let (status, token) = self.server.exchange(&issued.json).await;
        assert_eq!(status, 200, "{token}");
        let client = self.stand.operator.get("/v1/clients/c").await;
        client.json["key"].as_str().unwrap().to_owned()
    }

    /// Makes all business look an hour old.
    pub(crate) async fn age(&self) {
        let sql = "update intents set created_at = created_at - interval '1 hour'";
        self.stand.database.falsify("intents", sql).await;
    }

    /// Up to the new key's registration.
    pub(crate) async fn registered(&self, new_key: &str) -> String {
        let id = self.begin(&order(new_key)).await;
        self.step(&id, "generate").await;
        self.step(&id, "submit").await;
        self.step(&id, "confirm").await;
        self.register(new_key).await;
        assert_eq!(self.probe(&id, "new").await, "succeeded");
        id
    }

    /// The thumbprints that the client's JWKS shows.
    async fn published(&self) -> Vec<String> {
        let set = self.stand.operator.get("/v1/clients/c/jwks.json").await;
        let keys = set.json["keys"].as_array().unwrap().clone();
        let kid = |key: &Value| key["kid"].as_str().unwrap().to_owned();
        keys.iter().map(kid).collect()
    }

    async fn kid(&self, key: &str) -> String {
        self.key(key).await["jwk"]["kid"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

#[tokio::test]
async fn a_rotation_goes_its_five_steps_and_each_leaves_its_evidence() {
    let Some(world) = World::open().await else {
        return;
    };
    assert_eq!(world.works().await, "k1");
    let id = world.begin(&order("k2")).await;
    assert_eq!(world.step(&id, "generate").await, "generated");
    assert_eq!(world.key("k2").await["state"], "pre-activation");
    assert_eq!(
        world.probe(&id, "new").await,
        "refused",
        "not registered yet"
    );
    assert_eq!(world.step(&id, "submit").await, "submitted");
    assert_eq!(world.show(&id).await["status"]["waits_for"], "counterparty");
    assert_eq!(world.step(&id, "confirm").await, "submitted");
    assert_eq!(world.probe(&id, "new").await, "refused");
    world.register("k2").await;
    assert_eq!(world.probe(&id, "new").await, "succeeded");
    assert_eq!(world.show(&id).await["state"], "registered");
    assert_eq!(world.works().await, "k1", "nothing has changed for callers");
    let (k1, k2) = (world.kid("k1").await, world.kid("k2").await);
    assert_eq!(world.published().await, [k1.clone(), k2.clone()]);

    assert_eq!(world.step(&id, "switch").await, "switched");
    assert_eq!(world.works().await, "k2");
    assert_eq!(world.key("k1").await["state"], "retiring");
    assert_eq!(world.published().await, [k2.clone(), k1.clone()]);

    let early = world
        .ask(
            &id,
            "ask-removal",
            &json!({ "channel": "x", "reference": "y" }),
        )
        .await;
    refused("soak", &early, 409, "rotation-not-ready", "a moment ago");
    assert!(early.headers.contains_key("retry-after"));
    world.age().await;
    assert_eq!(world.step(&id, "ask-removal").await, "removal-asked");
    assert_eq!(
        world.probe(&id, "old").await,
        "succeeded",
        "not removed yet"
    );
    let early = world.ask(&id, "prove-removal", &json!({})).await;
    refused("removal", &early, 409, "rotation-not-ready", "still took");
    world.stand.server.heard("still-taken").await; // an alarm
    world.remove("k1").await;
    assert_eq!(world.probe(&id, "old").await, "refused");
    let early = world.ask(&id, "prove-removal", &json!({})).await;
    refused("both", &early, 409, "rotation-not-ready", "once more");
    assert_eq!(world.probe(&id, "new").await, "succeeded");
    assert_eq!(world.step(&id, "prove-removal").await, "removal-proved");
    assert_eq!(world.published().await, [k2]);
    assert_eq!(world.step(&id, "close").await, "closed");
    assert_eq!(world.key("k1").await["state"], "deactivated");
    assert_eq!(world.works().await, "k2");

    let shown = world.show(&id).await;
    let steps = shown["steps"].as_array().unwrap();
    let names: Vec<_> = steps
        .iter()
        .map(|it| it["step"].as_str().unwrap())
        .collect();
    let all = [
        "open",
        "generate",
        "submit",
        "confirm",
        "probe",
        "switch",
        "ask-removal",
        "prove-removal",
        "close",
    ];
    assert_eq!(names, all);
    let evidence = |step: &str| {
        let found = steps.iter().find(|it| it["step"] == step);
        found.unwrap()["evidence"].clone()
    };
    let fingerprint = &shown["new_key"]["fingerprint"];
    assert_eq!(evidence("submit")["key"]["fingerprint"], *fingerprint);
    assert_eq!(evidence("submit")["client_id"], "cid");
    assert_eq!(evidence("confirm")["quoted"], *fingerprint);
    assert_eq!(evidence("ask-removal")["goes"]["name"], "k1");
    assert_eq!(evidence("ask-removal")["stays"]["name"], "k2");
    let probes = shown["probes"].as_array().unwrap();
    let outcome = |id: &Value| probes.iter().find(|it| it["id"] == *id).unwrap()["outcome"].clone();
    assert_eq!(outcome(&evidence("switch")["probe"]), "succeeded");
    assert_eq!(outcome(&evidence("prove-removal")["refused"]), "refused");
    for step in steps {
        assert!(!step["by"].as_str().unwrap().is_empty());
        assert!(!step["approval"].as_str().unwrap().is_empty());
    }
    let leaves = "select count(*) from leaves l join rotations r on r.id = l.subject_id";
    let of_steps = i64::try_from(steps.len()).unwrap();
    let of_probes = 2 * i64::try_from(probes.len()).unwrap();
    let leaves = world.stand.database.count(leaves).await;
    assert_eq!(leaves, of_steps + of_probes, "a leaf for each");
    // No token was kept or shown.
    assert!(!shown.to_string().contains("eyJ"));
    assert!(!world.stand.server.log().contains("eyJ"));
}

/// A server that names keys itself knows each by its own name, and a refusal of another key's name
/// says nothing of this one.
#[tokio::test]
async fn a_kid_goes_with_its_key() {
    let Some(server) = OAuthServer::start() else {
        return;
    };
    let literal = "kid = { literal = \"named-1\" }";
    let configuration = configuration(&server).replace("kid = \"thumbprint\"", literal);
    // `doctor` has to find nothing wrong, and it looks at how durable Postgres is.
    let Some(stand) = Stand::durable(&configuration).await else {
        return;
    };
    make_client(&stand.operator, &server).await;
    let world = World { server, stand };
    let pem = world.key("k1").await["pem"].clone();
    let registration = json!({
        "grants": { AUDIENCE: ["read:orders"] }, "keys": [{ "pem": pem, "kid": "named-1" }],
    });
    let put = reqwest::Method::PUT;
    world.server.admin(put, "clients/cid", &registration).await;
    assert_eq!(world.works().await, "k1");
    let (content, report) = doctor(&world.stand.deployment, &[]);
    assert!(content, "{report:#}");
    assert!(!report.to_string().contains("would name"), "{report:#}");

    let id = world.begin(&order("k2")).await;
    world.step(&id, "generate").await;
    world.step(&id, "submit").await;
    let (_, report) = doctor(&world.stand.deployment, &[]);
    says(&report, "kid", "unknown", "would name k1 and k2");
    let new = json!({ "key": "new" });
    for _ in 0..2 {
        let early = world.ask(&id, "probe", &new).await;
        refused("no kid", &early, 409, "rotation-not-ready", "confirm --kid");
        assert_eq!(world.step(&id, "confirm").await, "submitted");
    }
    let fingerprint = world.show(&id).await["new_key"]["fingerprint"].clone();
    let confirm = async |kid: &str| {
        let body = json!({ "fingerprint": fingerprint, "reference": "MAIL-9", "kid": kid });
        world.ask(&id, "confirm", &body).await
    };
    let wrong = confirm("named 2").await;
    refused("a blank", &wrong, 422, "invalid-field", "kid");
    ok(confirm("named-7").await);
    let pem = world.key("k2").await["pem"].clone();
    let registration = json!({ "pem": pem, "kid": "named-2" });
    let post = reqwest::Method::POST;
    world
        .server
        .admin(post, "clients/cid/keys", &registration)
        .await;
    assert_eq!(world.probe(&id, "new").await, "refused", "it is mistyped");
    ok(confirm("named-2").await);
    assert_eq!(world.probe(&id, "new").await, "succeeded");
    assert_eq!(world.works().await, "k1");
    world.step(&id, "switch").await;
    assert_eq!(world.works().await, "k2");
    let client = world.stand.operator.get("/v1/clients/c").await;
    assert_eq!(client.json["kid"], "named-2");

    world.age().await;
    world.step(&id, "ask-removal").await;
    assert_eq!(world.probe(&id, "old").await, "succeeded");
    let path = "clients/cid/keys/named-1";
    let delete = reqwest::Method::DELETE;
    world.server.admin(delete, path, &json!({})).await;
    assert_eq!(world.probe(&id, "old").await, "refused");
    assert_eq!(world.probe(&id, "new").await, "succeeded");
    world.step(&id, "prove-removal").await;
    assert_eq!(world.step(&id, "close").await, "closed");
    let steps = world.show(&id).await["steps"].clone();
    let steps = steps.as_array().unwrap().iter();
    let kids = steps.filter_map(|it| it["evidence"]["kid"].as_str());
    assert_eq!(kids.collect::<Vec<_>>(), ["named-7", "named-2"]);
}

#[tokio::test]
async fn a_step_that_was_answered_is_not_taken_twice() {
    let Some(world) = World::open().await else {
        return;
    };
    let operator = &world.stand.operator;
    let first = operator
        .post_as("o", "/v1/rotations", &order("k2"))
        .await
        .unwrap();
    let again = operator
        .post_as("o", "/v1/rotations", &order("k2"))
        .await
        .unwrap();
    assert_eq!((first.status, &first.text), (201, &again.text));
    let id = first.json["id"].as_str().unwrap();
    for (step, body) in [
        ("generate", json!({})),
        ("submit", json!({ "channel": "x", "reference": "y" })),
        ("probe", json!({ "key": "new" })),
    ] {
        let path = format!("/v1/rotations/{id}/steps");
        let body = taking(step, &body);
        let first = operator.post_as(step, &path, &body).await.unwrap();
        let again = operator.post_as(step, &path, &body).await.unwrap();
        assert_eq!((first.status, &first.text), (201, &again.text), "{step}");
        assert_eq!(again.headers["idempotency-replayed"], "true");
    }
    let shown = world.show(id).await;
    assert_eq!(shown["steps"].as_array().unwrap().len(), 3);
    assert_eq!(shown["probes"].as_array().unwrap().len(), 1);
}

/// Also where the step cannot be taken any more from where it led.
#[tokio::test]
async fn a_confirmation_that_was_answered_is_answered_again() {
    let Some(world) = World::open().await else {
        return;
    };
    let id = world.begin(&order("k2")).await;
    world.step(&id, "generate").await;
    world.step(&id, "submit").await;
    world.register("k2").await;
    assert_eq!(world.probe(&id, "new").await, "succeeded");
    let fingerprint = world.show(&id).await["new_key"]["fingerprint"].clone();
    let body = json!({ "step": "confirm", "fingerprint": fingerprint, "reference": "MAIL-8" });
    let path = format!("/v1/rotations/{id}/steps");
    let operator = &world.stand.operator;
    let first = operator.post_as("c", &path, &body).await.unwrap();
    assert_eq!(first.json["state"], "registered", "{}", first.text);
    let again = operator.post_as("c", &path, &body).await.unwrap();
    assert_eq!((first.status, &first.text), (201, &again.text));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    let anew = world.ask(&id, "confirm", &body).await;
    refused("anew", &anew, 409, "no-such-step", "confirm");
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, with one rotation")]
async fn what_stands_against_a_rotation_is_said() {
    let Some(world) = World::open().await else {
        return;
    };
    let operator = &world.stand.operator;
    let open = async |body: &Value| operator.post("/v1/rotations", body).await;
    for (member, value, problem, status, says) in [
        ("client", json!("nobody"), "not-found", 404, "client"),
        ("client", Value::Null, "invalid-field", 422, "client"),
        ("new_key", json!("k1"), "name-taken", 409, "name"),
        (
            "target_at",
            json!("2020-01-01T00:00:00Z"),
            "invalid-field",
            422,
            "target_at",
        ),
        (
            "target_at",
            json!("2099-01-01T00:00:00Z"),
            "invalid-field",
            422,
            "target_at",
        ),
        (
            "algorithm",
            json!("secp256k1"),
            "invalid-field",
            422,
            "algorithm",
        ),
        (
            "cryptoperiod_days",
            json!(731),
            "invalid-field",
            422,
            "cryptoperiod_days",
        ),
        ("reason", json!(" "), "invalid-field", 422, "reason"),
        (
            "emergency",
            json!("halt"),
            "invalid-field",
            422,
            "emergency",
        ),
        ("surprise", json!(1), "invalid-field", 422, "surprise"),
    ] {
        let mut body = order("k2");
        body[member] = value;
        refused(member, &open(&body).await, status, problem, says);
    }
    // Who may not rotate sees, or does not.
    let denied = world.stand.trader.post("/v1/rotations", &order("k2")).await;
    refused("a trader", &denied, 403, "denied", "rotate_key");
    let stranger = world.stand.another("s", "other", "trader").await;
    let hidden = stranger.post("/v1/rotations", &order("k2")).await;
    refused("a stranger", &hidden, 404, "not-found", "client");

    let id = world.begin(&order("k2")).await;
    let path = format!("/v1/rotations/{id}");
    assert_eq!(stranger.get(&path).await.status, 404);
    assert_eq!(stranger.get("/v1/rotations").await.json, json!([]));
    assert_eq!(world.stand.trader.get(&path).await.status, 200);
    for step in ["abandon", "switch"] {
        let body = json!({ "step": step, "reason": "x" });
        let denied = world
            .stand
            .trader
            .post(&format!("{path}/steps"), &body)
            .await;
        refused(step, &denied, 403, "denied", "rotate_key");
    }
    let denied = world
        .stand
        .trader
        .post(
            &format!("{path}/steps"),
            &json!({ "step": "probe", "key": "old" }),
        )
        .await;
    refused("a probe", &denied, 403, "denied", "probe_key");
    let second = open(&order("k3")).await;
    refused("a second one", &second, 409, "rotation-open", "open");
    for id in ["no-id", "00000000-0000-7000-8000-000000000000"] {
        let missing = operator.get(&format!("/v1/rotations/{id}")).await;
        refused(id, &missing, 404, "not-found", "rotation");
    }

    let early = world.ask(&id, "probe", &json!({ "key": "new" })).await;
    refused("no key", &early, 409, "rotation-not-ready", "generate");
    world.step(&id, "generate").await;
    let wrong = json!({ "channel": "x", "reference": "y", "pem_sha256": "00".repeat(32) });
    let other = world.ask(&id, "submit", &wrong).await;
    refused("another file", &other, 422, "not-the-key", "pem_sha256");
    world.step(&id, "submit").await;
    let fingerprint = world.key("k1").await["fingerprint"].clone();
    let wrong = json!({ "fingerprint": fingerprint, "reference": "x" });
    let other = world.ask(&id, "confirm", &wrong).await;
    refused("another key", &other, 422, "not-the-key", "fingerprint");
    let leaves = "select count(*) from leaves where position('rotation-fingerprint-differs'::bytea in leaf) > 0";
    assert_eq!(world.stand.database.count(leaves).await, 1, "on record");

    // Proof and confirmation may come in either order, and both are needed.
    world.register("k2").await;
    assert_eq!(world.probe(&id, "new").await, "succeeded");
    assert_eq!(world.show(&id).await["state"], "submitted");
    assert_eq!(world.step(&id, "confirm").await, "registered");
    // A later refusal takes the proof away.
    world.remove("k2").await;
    assert_eq!(world.probe(&id, "new").await, "refused");
    let stale = world.ask(&id, "switch", &json!({ "reason": "x" })).await;
    refused(
        "unproved",
        &stale,
        409,
        "rotation-not-ready",
        "refused the new key",
    );
    world.register("k2").await;
    assert_eq!(world.probe(&id, "new").await, "succeeded");
    // Somebody else's client has the old key too.
    let shared = json!({ "name": "c2", "key": "k1", "owner": "d", "client_id": "cid2" });
    ok(operator.post("/v1/clients", &shared).await);
    let cut_off = world.ask(&id, "switch", &json!({ "reason": "x" })).await;
    refused("shared", &cut_off, 409, "rotation-not-ready", "c2");
    assert_eq!(world.works().await, "k1");
}

#[tokio::test]
async fn a_probe_that_shows_nothing_proves_nothing() {
    let Some(world) = World::open().await else {
        return;
    };
    let id = world.begin(&order("k2")).await;
    world.step(&id, "generate").await;
    world.step(&id, "submit").await;
    world.step(&id, "confirm").await;
    world.register("k2").await;
    for (fault, outcome) in [
        (
            json!({ "status": 429, "body": { "error": "too_many_requests" } }),
            "inconclusive",
        ),
        (json!({ "status": 503 }), "inconclusive"),
        (
            json!({ "raw": "<html>blocked", "status": 403 }),
            "inconclusive",
        ),
        (
            json!({ "status": 302, "headers": { "location": "http://127.0.0.1:1/" } }),
            "inconclusive",
        ),
        (
            json!({ "status": 403, "body": { "error": "access_denied" } }),
            "inconclusive",
        ),
        (json!({ "raw": "{}" }), "inconclusive"),
        (json!({ "drop": true }), "unknown"),
        (
            json!({ "delay_ms": 2500, "status": 401, "body": { "error": "invalid_client" } }),
            "unknown",
        ),
    ] {
        world
            .server
            .admin(reqwest::Method::POST, "faults", &fault)
            .await;
        assert_eq!(world.probe(&id, "new").await, outcome, "{fault}");
        assert_eq!(world.show(&id).await["state"], "submitted", "{fault}");
    }
    let jtis = "select count(*) - count(distinct jti) from jtis";
    assert_eq!(world.stand.database.count(jtis).await, 0);
    assert_eq!(world.probe(&id, "new").await, "succeeded");
    world.step(&id, "switch").await;
    world.age().await;
    world.step(&id, "ask-removal").await;
    // What refuses everything does not prove that one key was removed.
    let fault = json!({ "status": 401, "body": { "error": "invalid_client" }, "times": 2 });
    world
        .server
        .admin(reqwest::Method::POST, "faults", &fault)
        .await;
    assert_eq!(world.probe(&id, "old").await, "refused");
    assert_eq!(world.probe(&id, "new").await, "refused");
    let refusal = world.ask(&id, "prove-removal", &json!({})).await;
    refused(
        "both refused",
        &refusal,
        409,
        "rotation-not-ready",
        "refused the new key",
    );
}

#[tokio::test]
async fn a_key_is_not_probed_twice_in_a_moment() {
    let Some(server) = OAuthServer::start() else {
        return;
    };
    let slow = configuration(&server).replace("probe_every_s = 0", "probe_every_s = 10");
    let Some(stand) = Stand::new(&slow).await else {
        return;
    };
    make_client(&stand.operator, &server).await;
    let world = World { server, stand };
    let id = world.begin(&order("k2")).await;
    world.step(&id, "generate").await;
    assert_eq!(world.probe(&id, "new").await, "refused");
    let again = world.ask(&id, "probe", &json!({ "key": "new" })).await;
    refused("again", &again, 429, "probed-lately", "a moment ago");
    let wait: u32 = again.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=10).contains(&wait), "{wait}");
    assert_eq!(world.probe(&id, "old").await, "succeeded", "another key");
}

#[tokio::test]
async fn a_rotation_is_rolled_back_while_the_old_key_is_registered() {
    let Some(world) = World::open().await else {
        return;
    };
    let id = world.registered("k2").await;
    world.step(&id, "switch").await;
    assert_eq!(world.works().await, "k2");
    let because = json!({ "reason": "errors" });
    let unproved = world.ask(&id, "roll-back", &because).await;
    refused("unproved", &unproved, 409, "rotation-not-ready", "probe");
    assert_eq!(world.probe(&id, "old").await, "succeeded");
    assert_eq!(world.step(&id, "roll-back").await, "rolled-back");
    assert_eq!(world.works().await, "k1");
    assert_eq!(world.key("k2").await["state"], "retiring");

    // The new key is still registered, and takes the place of another one.
    let next = world
        .stand
        .operator
        .post("/v1/rotations", &order("k3"))
        .await;
    refused("two keys", &next, 409, "key-left-behind", &id);
    world.age().await;
    world.step(&id, "ask-removal").await;
    world.remove("k2").await;
    assert_eq!(world.probe(&id, "new").await, "refused");
    assert_eq!(world.probe(&id, "old").await, "succeeded");
    assert_eq!(world.step(&id, "prove-removal").await, "rolled-back");
    assert_eq!(world.key("k2").await["state"], "deactivated");
    let again = world.ask(&id, "prove-removal", &json!({})).await;
    refused(
        "again",
        &again,
        409,
        "rotation-not-ready",
        "removed already",
    );
    world.registered("k3").await;
}

#[tokio::test]
async fn a_submitted_key_that_was_given_up_has_to_be_removed_all_the_same() {
    let Some(world) = World::open().await else {
        return;
    };
    let id = world.begin(&order("k2")).await;
    world.step(&id, "generate").await;
    assert_eq!(world.step(&id, "abandon").await, "abandoned");
    // That one never left.
    let id = world.begin(&order("k3")).await;
    world.step(&id, "generate").await;
    world.step(&id, "submit").await;
    world.register("k3").await;
    assert_eq!(world.step(&id, "abandon").await, "abandoned");
    let next = world
        .stand
        .operator
        .post("/v1/rotations", &order("k4"))
        .await;
    refused("two keys", &next, 409, "key-left-behind", &id);
    world.step(&id, "ask-removal").await;
    assert_eq!(world.probe(&id, "new").await, "succeeded", "still there");
    world.remove("k3").await;
    assert_eq!(world.probe(&id, "new").await, "refused");
    assert_eq!(world.probe(&id, "old").await, "succeeded");
    world.step(&id, "prove-removal").await;
    world.begin(&order("k4")).await;
    assert_eq!(world.works().await, "k1");
}

#[tokio::test]
async fn the_wrong_key_removed_is_noticed_and_the_way_back_is_open() {
    let Some(world) = World::open().await else {
        return;
    };
    let id = world.registered("k2").await;
    world.step(&id, "switch").await;
    world.age().await;
    world.step(&id, "ask-removal").await;
    world.remove("k2").await;
    assert_eq!(world.probe(&id, "old").await, "succeeded");
    assert_eq!(world.probe(&id, "new").await, "refused");
    let refusal = world.ask(&id, "prove-removal", &json!({})).await;
    refused(
        "the wrong one",
        &refusal,
        409,
        "rotation-not-ready",
        "still took",
    );
    let shown = world.show(&id).await;
    let alarms = shown["alarms"].to_string();
    assert!(
        alarms.contains("wrong-key-removed") && alarms.contains("still-taken"),
        "{alarms}"
    );
    assert_eq!(world.step(&id, "roll-back").await, "rolled-back");
    assert_eq!(world.works().await, "k1");
}

#[tokio::test]
async fn a_removal_is_proved_of_an_old_key_that_was_deactivated_meanwhile() {
    let Some(world) = World::open().await else {
        return;
    };
    let id = world.registered("k2").await;
    world.step(&id, "switch").await;
    world.age().await;
    world.step(&id, "ask-removal").await;
    // By hand, or because its period is over.
    let end = json!({ "to": "deactivated", "reason": "period" });
    ok(world.stand.operator.post("/v1/keys/k1/steps", &end).await);
    world.remove("k1").await;
    assert_eq!(world.probe(&id, "old").await, "refused");
    assert_eq!(world.probe(&id, "new").await, "succeeded");
    assert_eq!(world.step(&id, "prove-removal").await, "removal-proved");
    assert_eq!(world.step(&id, "close").await, "closed");
}

#[tokio::test]
async fn in_an_emergency_the_old_key_stops_first_and_may_be_removed_first() {
    let Some(world) = World::open().await else {
        return;
    };
    // A rotation that was given up holds the second place at the counterparty.
    let left = world.begin(&order("k2")).await;
    world.step(&left, "generate").await;
    world.step(&left, "submit").await;
    world.register("k2").await;
    world.step(&left, "abandon").await;

    let mut body = order("k3");
    body["emergency"] = json!("compromised");
    let id = world.begin(&body).await;
    assert_eq!(world.key("k1").await["state"], "compromised");
    let path = "/v1/clients/c/assertions";
    let dark = world.stand.trader.post(path, &json!({})).await;
    refused("dark", &dark, 409, "key-not-active", "compromised");
    assert!(world.published().await.is_empty(), "nobody is to trust it");
    assert_eq!(world.step(&id, "ask-removal").await, "requested", "at once");
    assert_eq!(world.probe(&id, "old").await, "succeeded");
    world.remove("k1").await;
    assert_eq!(world.probe(&id, "old").await, "refused");
    world.step(&id, "generate").await;
    world.step(&id, "submit").await;
    world.step(&id, "confirm").await;
    world.register("k3").await;
    assert_eq!(world.probe(&id, "new").await, "succeeded");
    assert_eq!(
        world.step(&id, "switch").await,
        "removal-asked",
        "it was asked already"
    );
    assert_eq!(world.works().await, "k3");
    assert_eq!(world.step(&id, "prove-removal").await, "removal-proved");
    assert_eq!(world.step(&id, "close").await, "closed");
    assert_eq!(world.key("k1").await["state"], "compromised", "for ever");
    let back = world.ask(&id, "roll-back", &json!({ "reason": "x" })).await;
    refused("back", &back, 409, "no-such-step", "closed");
}

#[tokio::test]
async fn before_the_switch_a_key_that_signs_is_not_asked_to_be_removed() {
    let Some(world) = World::open().await else {
        return;
    };
    let id = world.registered("k2").await;
    let body = json!({ "channel": "x", "reference": "y" });
    let early = world.ask(&id, "ask-removal", &body).await;
    refused("early", &early, 409, "rotation-not-ready", "still signs");
    // Suspended by hand meanwhile, it may go first, and the new key takes over.
    let stop = json!({ "to": "suspended", "reason": "doubt" });
    ok(world.stand.operator.post("/v1/keys/k1/steps", &stop).await);
    assert_eq!(world.step(&id, "ask-removal").await, "registered");
    assert_eq!(world.step(&id, "switch").await, "removal-asked");
    assert_eq!(world.works().await, "k2");
    let back = world.probe(&id, "old").await;
    assert_eq!(back, "succeeded");
    let back = world.ask(&id, "roll-back", &json!({ "reason": "x" })).await;
    refused("back", &back, 409, "rotation-not-ready", "suspended");
}

#[tokio::test]
async fn a_client_gets_another_key_in_a_rotation_only() {
    let Some(world) = World::open().await else {
        return;
    };
    let key = json!({ "name": "x", "purpose": "client", "backend": "soft", "environment": "local", "owner": "d" });
    ok(world.stand.operator.post("/v1/keys", &key).await);
    let sql = "update clients set key_id = (select id from keys where name = 'x') where name = 'c'";
    let error = sqlx::query(sql).execute(&world.stand.database.pool).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("no rotation that gives it this key"),
        "{error}"
    );
    let id = world.begin(&order("k2")).await;
    world.step(&id, "generate").await;
    let sql = sql.replace("'x'", "'k2'");
    let sql = sqlx::AssertSqlSafe(sql);
    let error = sqlx::query(sql).execute(&world.stand.database.pool).await;
    assert!(error.is_err(), "not before the switch");
}

#[tokio::test]
async fn the_command_line_goes_the_whole_way() {
    let Some(world) = World::open().await else {
        return;
    };
    let token = world
        .stand
        .deployment
        .dir
        .write("operator.token", &world.stand.operator.token);
    let run = async |args: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_chancery"));
        command.arg("rotations").args(args);
        command.env("CHANCERY_URL", &world.stand.server.base);
        command.env("CHANCERY_TOKEN_FILE", &token);
        let output = command.output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{args:?}: {}",
            text(&output.stderr)
        );
        text(&output.stdout)
    };
    let said = run(&[
        "open",
        "--client",
        "c",
        "--new-key",
        "k2",
        "--target",
        "2027-06-30",
        "--reason",
        "period",
    ])
    .await;
    let id = said.split(' ').nth(1).unwrap().to_owned();
    assert!(
        said.contains(&format!("chancery rotations generate {id}")),
        "{said}"
    );
    run(&["generate", &id]).await;
    run(&[
        "submit",
        &id,
        "--channel",
        "portal",
        "--reference",
        "CASE-1",
    ])
    .await;
    let fingerprint = world.key("k2").await["fingerprint"].clone();
    let fingerprint = fingerprint.as_str().unwrap();
    let said = run(&[
        "confirm",
        &id,
        "--fingerprint",
        fingerprint,
        "--reference",
        "MAIL",
    ])
    .await;
    assert!(
        said.contains("Missing: a probe of the new key that succeeds"),
        "{said}"
    );
    world.register("k2").await;
    let said = run(&["probe", &id, "new"]).await;
    assert!(said.contains("[>] 4 switch"), "{said}");
    run(&["switch", &id, "--reason", "registered"]).await;
    world.age().await;
    run(&[
        "ask-removal",
        &id,
        "--channel",
        "portal",
        "--reference",
        "CASE-2",
    ])
    .await;
    world.remove("k1").await;
    run(&["probe", &id, "old"]).await;
    run(&["probe", &id, "new"]).await;
    run(&["prove-removal", &id]).await;
    let said = run(&["close", &id, "--reason", "done"]).await;
    assert!(said.contains("[x] 5 remove"), "{said}");
    assert!(said.contains("Waits for: nobody"), "{said}");
    let listed = run(&["list"]).await;
    assert!(listed.contains("closed"), "{listed}");
    assert_eq!(run(&["list", "--open"]).await, "");
}
