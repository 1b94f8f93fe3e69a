//! Whatever goes wrong between the service and the CLOB, and wherever the process dies: no nonce is
//! lost, and no live API key ends by accident (P4).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::invariants;
use crate::support::load::settled;
use crate::support::venue::ClobServer;
use crate::support::{Answer, Caller, Database, Deployment, Postgres, Server, count, desk};

/// Logins are soon too old, leases soon over: what is lost is soon settled.
const SHORT: &str =
    "l1_window_s = 2\ntimeout_ms = 500\n[signing]\nlease_ms = 900\ndeadline_ms = 800";

/// What goes wrong at the venue, each by its name.
fn venue_faults() -> BTreeMap<&'static str, Value> {
    let mut faults = BTreeMap::new();
    for (step, method, path) in [
        ("create", "POST", "/auth/api-key"),
        ("derive", "GET", "/auth/derive-api-key"),
        ("prove", "GET", "/auth/api-keys"),
        ("delete", "DELETE", "/auth/api-key"),
    ] {
        for (what, fault) in [
            ("dropped-before", json!({ "phase": "before", "drop": true })),
            ("dropped-after", json!({ "phase": "after", "drop": true })),
            ("failed-after", json!({ "phase": "after", "status": 500 })),
            ("throttled", json!({ "status": 429 })),
            (
                "blocked",
                json!({ "status": 403, "body": "<html>blocked</html>" }),
            ),
            ("late", json!({ "phase": "after", "delay_ms": 900 })),
        ] {
            let mut whole = fault;
            whole["method"] = method.into();
            whole["path"] = path.into();
            let name = format!("{step}-{what}").leak();
            faults.insert(&*name, whole);
        }
    }
    faults
}

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// Something that is asked of the service.
#[derive(Clone, Debug)]
struct OperationRequest {
    key: String,
    method: &'static str,
    path: String,
    body: Value,
    /// The API key that may end with it.
    may_end: Option<String>,
}

/// A service that dies now and then, and a CLOB that loses things.
struct World {
    venue: ClobServer,
    deployment: Deployment,
    database: Database,
    token: String,
    login: String,
    server: Server,
    /// Where the next server dies, if at all.
    arm: Option<&'static str>,
    dice: Dice,
    next_nonce: u64,
    kills: usize,
    _postgres: std::sync::Arc<Postgres>,
}

impl World {
    async fn open(arm: Option<&'static str>, seed: u64) -> Option<Self> {
        let venue = ClobServer::start(&["--l1-skew-s=2"])?;
        let postgres = Postgres::shared()?;
        let database = postgres.database().await;
        let deployment = Deployment::new(&database.url);
        deployment.configure(&format!("{}{SHORT}", venue.section("polygon")));
        let token = deployment.bootstrap();
        let server = deployment.serve(&[]).await;
        let operator = server.caller(&token);
        desk(&operator, "d", "soft").await;
        let login = json!({ "name": "login", "owner": "d", "roles": ["clob-login", "trader"] });
        let login = operator.post("/v1/callers", &login).await;
        let login = login.json["token"].as_str().unwrap().to_owned();
        let mut world = Self {
            venue,
            deployment,
            database,
            token,
            login,
            server,
            arm,
            dice: Dice(seed),
            next_nonce: 1,
            kills: 0,
            _postgres: postgres,
        };
        world.restart().await;
        Some(world)
    }

    async fn restart(&mut self) {
        let armed = self
            .arm
            .map(|point| format!("{point}:{}", 1 + self.dice.below(3)));
        let environment: Vec<_> = armed
            .iter()
            .map(|armed| ("CHANCERY_FAIL_POINT", armed.as_str()))
            .collect();
        self.server = self.deployment.serve(&environment).await;
    }

    fn operator(&self) -> Caller {
        self.server.caller(&self.token)
    }

    /// The API key that works at the venue, and the nonces of all that were made.
    async fn at_venue(&self) -> (Option<String>, BTreeMap<String, String>) {
        let state = self.venue.state().await;
        let keys = state["keys"].as_array().unwrap();
        let text = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        let active: Vec<_> = keys.iter().filter(|it| it["active"] == true).collect();
        assert!(active.len() <= 1);
        let made = keys
            .iter()
            .map(|it| (text(&it["nonce"]), text(&it["apiKey"])));
        (active.first().map(|it| text(&it["apiKey"])), made.collect())
    }

    /// What is wished for next, in view of what there is.
    async fn wish(&mut self) -> OperationRequest {
        let (active, made) = self.at_venue().await;
        let used: Vec<_> = made.keys().cloned().collect();
        let some_used = used
            .iter()
            .cycle()
            .nth(self.dice.below(97).try_into().unwrap())
            .cloned();
        let fresh = self.next_nonce.to_string();
        self.next_nonce += 1;
        let credentials = "/v1/wallets/d-w/credentials".to_owned();
        let (path, body, may_end) = match self.dice.below(12) {
            0..=3 => {
                let body = json!({ "mode": "create", "nonce": fresh, "replaces": active });
                (credentials, body, active)
            }
            4 => (
                credentials,
                json!({ "mode": "create", "nonce": fresh }),
                None,
            ),
            5 => {
                let nonce = some_used.unwrap_or(fresh);
                (
                    credentials,
                    json!({ "mode": "create-or-derive", "nonce": nonce }),
                    None,
                )
            }
            6 => (
                credentials,
                json!({ "mode": "derive", "nonce": some_used.unwrap_or(fresh) }),
                None,
            ),
            7 => {
                let nonce = some_used.unwrap_or(fresh);
                (
                    credentials,
                    json!({ "mode": "create", "nonce": nonce }),
                    None,
                )
            }
            8 => (
                credentials,
                json!({ "mode": "create-or-derive", "nonce": fresh, "replaces": active }),
                active,
            ),
            9 => {
                let body = json!({ "nonce": fresh, "replaces": active });
                ("/v1/wallets/d-w/l1-headers".to_owned(), body, active)
            }
            10 => {
                let from = self.dice.below(self.next_nonce);
                let body = json!({ "from": from.to_string(), "to": (from + 2).to_string() });
                ("/v1/wallets/d-w/nonce-searches".to_owned(), body, None)
            }
            _ => match active {
                Some(active) => {
                    let wish = OperationRequest {
                        key: uuid::Uuid::new_v4().to_string(),
                        method: "DELETE",
                        path: format!("{credentials}/{active}"),
                        body: Value::Null,
                        may_end: Some(active),
                    };
                    return wish;
                }
                None => (
                    credentials,
                    json!({ "mode": "create", "nonce": fresh }),
                    None,
                ),
            },
        };
        OperationRequest {
            key: uuid::Uuid::new_v4().to_string(),
            method: "POST",
            path,
            body,
            may_end,
        }
    }

    async fn ask(&self, wish: &OperationRequest) -> reqwest::Result<Answer> {
        let header = wish.path.ends_with("l1-headers");
        let caller = self
            .server
            .caller(if header { &self.login } else { &self.token });
        let url = format!("{}{}", caller.base, wish.path);
        let request = match wish.method {
            "DELETE" => caller.http.delete(url),
            _ => caller.http.post(url).json(&wish.body),
        };
        caller
            .send(request.header("idempotency-key", &wish.key))
            .await
    }

    /// Asks until there is an answer that is final, through deaths and faults.
    async fn insist(&mut self, wish: &OperationRequest) -> Answer {
        for _ in 0..200 {
            match self.ask(wish).await {
                Ok(answer) if answer.status < 500 && !waits(&answer) => return answer,
                Ok(answer) => {
                    assert_ne!(
                        answer.problem(),
                        "internal",
                        "{}\n{}",
                        answer.text,
                        self.server.log()
                    );
                    tokio::time::sleep(Duration::from_millis(150)).await;
                }
                Err(_) => self.buried().await,
            }
        }
        panic!("no end to {wish:?}: {}", self.server.log());
    }

    /// A server that did not answer is dead; the next one goes on.
    async fn buried(&mut self) {
        assert!(self.server.wait_killed(), "{}", self.server.log());
        self.kills += 1;
        self.restart().await;
    }

    /// One wish to its end, and what follows from its answer.
    async fn live_through(&mut self, wish: &OperationRequest) -> Answer {
        let answer = self.insist(wish).await;
        if wish.path.ends_with("l1-headers") && answer.status == 200 {
            // The header is spent, and its answer may be lost.
            let mut spend = reqwest::Client::new().post(format!("{}/auth/api-key", self.venue.url));
            for (name, value) in answer.json["headers"].as_object().unwrap() {
                spend = spend.header(name, value.as_str().unwrap());
            }
            drop(spend.send().await);
        }
        if wish.path.ends_with("nonce-searches") && answer.status == 201 {
            let steps = format!(
                "/v1/nonce-searches/{}/steps",
                answer.json["id"].as_str().unwrap()
            );
            let step = OperationRequest {
                path: steps,
                body: json!({ "count": 3 }),
                ..wish.clone()
            };
            return self.insist(&step).await;
        }
        answer
    }

    /// Everything that the venue was shown is on record, and everything that it made is found.
    async fn check(&mut self) {
        self.arm = None;
        if self.server.is_alive() {
            self.server.terminate();
        }
        self.restart().await;
        self.venue.heal().await;
        let recorded: Vec<(String, i64)> =
            sqlx::query_as("select nonce::text, signed_for from logins")
                .fetch_all(&self.database.pool)
                .await
                .unwrap();
        let recorded: BTreeSet<_> = recorded.into_iter().collect();
        let mut shown = 0;
        for request in self.venue.requests().await {
            let poly = &request["poly"];
            let Some(nonce) = poly["poly_nonce"].as_str() else {
                continue;
            };
            let timestamp = poly["poly_timestamp"].as_str().unwrap().parse().unwrap();
            let known = recorded.contains(&(nonce.to_owned(), timestamp));
            assert!(known, "nonce {nonce} was shown and is not on record");
            shown += 1;
        }
        assert!(shown > 0);

        let (active, made) = self.at_venue().await;
        for (nonce, api_key) in &made {
            let derive = OperationRequest {
                key: uuid::Uuid::new_v4().to_string(),
                method: "POST",
                path: "/v1/wallets/d-w/credentials".to_owned(),
                body: json!({ "mode": "derive", "nonce": nonce }),
                may_end: None,
            };
            let derived = self.insist(&derive).await;
            if derived.problem() != "credential-not-usable" {
                assert_eq!(
                    derived.json["apiKey"].as_str(),
                    Some(api_key.as_str()),
                    "{}",
                    derived.text
                );
            }
            let found = self
                .operator()
                .get(&format!("/v1/nonces?nonce={nonce}"))
                .await;
            assert_eq!(
                found.json[0]["apiKey"].as_str(),
                Some(api_key.as_str()),
                "{}",
                found.text
            );
        }
        let sql = "select api_key from credentials where state = 'live'";
        let live: Option<String> = sqlx::query_scalar(sql)
            .fetch_optional(&self.database.pool)
            .await
            .unwrap();
        assert_eq!(live, active);
        assert_eq!(self.at_venue().await.0, active);
        // What is on record keeps the promises, whatever the venue knows of it.
        settled(&self.database).await;
        invariants::check(&self.database, &self.deployment, &[]).await;
    }
}

/// Whether the answer says to come again.
fn waits(answer: &Answer) -> bool {
    ["nonce-unsettled", "in-flight"].contains(&answer.problem())
}

/// What is answered in the end, where it is a refusal.
const REFUSALS: [&str; 5] = [
    "would-replace",
    "nonce-already-used",
    "could-not-derive",
    "credential-not-usable",
    "not-found",
];

async fn one_wish(world: &mut World) -> u16 {
    let wish = world.wish().await;
    let before = world.at_venue().await.0;
    let answer = world.live_through(&wish).await;
    let known = answer.status < 300 || REFUSALS.contains(&answer.problem());
    assert!(known, "{wish:?}: {}", answer.text);
    let after = world.at_venue().await.0;
    let meant = before == after || before.is_none() || before == wish.may_end;
    assert!(
        meant,
        "{before:?} ended by accident: {wish:?} {}",
        answer.text
    );
    answer.status
}

/// Kills servers at a point until it was enough.
async fn kill_at(point: &'static str) {
    let seed = point.bytes().map(u64::from).sum();
    let Some(mut world) = World::open(Some(point), seed).await else {
        return;
    };
    let kills = count(8, 260);
    let (mut wishes, mut granted) = (0, 0);
    while world.kills < kills {
        wishes += 1;
        assert!(wishes < 40 * kills, "{point} is hardly ever passed");
        if point == "create-refused" {
            let body = json!({ "error": "Could not create api key" }).to_string();
            let fault =
                json!({ "method": "POST", "path": "/auth/api-key", "status": 400, "body": body });
            world.venue.fault(fault).await;
        } else if point == "nothing-came" || world.dice.below(6) == 0 {
            let fault = json!({ "method": "POST", "path": "/auth/api-key", "phase": "before", "drop": true });
            world.venue.fault(fault).await;
        }
        granted += usize::from(one_wish(&mut world).await < 300);
    }
    world.check().await;
    assert!(granted > 0);
    println!("{point}: killed {kills} times, {wishes} wishes, {granted} granted");
}

/// Lets one thing go wrong at the venue, again and again.
async fn lose(name: &'static str) {
    let seed = name.bytes().map(u64::from).sum();
    let Some(mut world) = World::open(None, seed).await else {
        return;
    };
    let fault = &venue_faults()[name];
    let runs = count(8, 150);
    let mut granted = 0;
    for _ in 0..runs {
        let mut fault = fault.clone();
        fault["skip"] = world.dice.below(2).into();
        world.venue.fault(fault).await;
        granted += usize::from(one_wish(&mut world).await < 300);
    }
    world.check().await;
    assert!(granted > 0);
    println!("{name}: {runs} wishes, {granted} granted");
}

points! {
    chancery::fail::POINTS.into_iter().chain(chancery::fail::API_KEY_POINTS);
    accepted "accepted"
    intent_joined "intent-joined"
    intent_before_commit "intent-before-commit"
    intent_after_commit "intent-after-commit"
    intent_told "intent-told"
    device_before "device-before"
    device_after "device-after"
    checked "checked"
    release_joined "release-joined"
    release_before_commit "release-before-commit"
    release_after_commit "release-after-commit"
    release_told "release-told"
    create_signed "create-signed"
    create_answered "create-answered"
    create_refused "create-refused"
    derive_signed "derive-signed"
    derive_answered "derive-answered"
    credential_sealed "credential-sealed"
    credential_before_commit "credential-before-commit"
    credential_recorded "credential-recorded"
    prove_begun "prove-begun"
    prove_answered "prove-answered"
    delete_answered "delete-answered"
    nothing_came "nothing-came"
    search_tried "search-tried"
}

/// The faults of one step.
async fn lose_all_of(step: &str) {
    let mut any = false;
    for name in venue_faults()
        .into_keys()
        .filter(|name| name.starts_with(step))
    {
        lose(name).await;
        any = true;
    }
    assert!(any);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_while_creating() {
    lose_all_of("create").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_while_deriving() {
    lose_all_of("derive").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_while_proving() {
    lose_all_of("prove").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_while_deleting() {
    lose_all_of("delete").await;
}
