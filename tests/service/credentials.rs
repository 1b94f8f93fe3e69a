//! API keys of the CLOB, made against a CLOB that loses answers and nonces (P4).

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::venue::ClobServer;
use crate::support::{Caller, Database, Deployment, Postgres, Server, desk, order};

/// A service beside a CLOB, with a desk `d` whose wallet is `d-w`.
struct Desk {
    venue: ClobServer,
    operator: Caller,
    trader: Caller,
    server: Server,
    deployment: Deployment,
    database: Database,
    _postgres: Arc<Postgres>,
}

impl Desk {
    async fn open(settings: &str, flags: &[&str]) -> Option<Self> {
        let venue = ClobServer::start(flags)?;
        let postgres = Postgres::shared()?;
        let database = postgres.database().await;
        let deployment = Deployment::new(&database.url);
        deployment.configure(&format!("{}{settings}", venue.section("polygon")));
        let token = deployment.bootstrap();
        let server = deployment.serve(&[]).await;
        let operator = server.caller(&token);
        let trader = server.caller(&desk(&operator, "d", "soft").await);
        Some(Self {
            venue,
            operator,
            trader,
            server,
            deployment,
            database,
            _postgres: postgres,
        })
    }

    async fn ask(&self, body: Value) -> crate::support::Answer {
        self.operator
            .post("/v1/wallets/d-w/credentials", &body)
            .await
    }

    async fn create(&self, nonce: u64) -> crate::support::Answer {
        self.ask(json!({ "mode": "create", "nonce": nonce })).await
    }

    async fn holder(&self, roles: &[&str]) -> Caller {
        let name = format!("c-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
        let caller = json!({ "name": name, "owner": "d", "roles": roles });
        let made = self.operator.post("/v1/callers", &caller).await;
        assert_eq!(made.status, 201, "{}", made.text);
        self.server.caller(made.json["token"].as_str().unwrap())
    }

    async fn nonces(&self, query: &str) -> Value {
        let found = self.operator.get(&format!("/v1/nonces?{query}")).await;
        assert_eq!(found.status, 200, "{}", found.text);
        found.json
    }

    /// The API key that the venue takes from the wallet's address.
    async fn active(&self) -> Option<String> {
        active(&self.venue.state().await)
    }
}

/// The one active API key that the venue has.
pub(crate) fn active(state: &Value) -> Option<String> {
    let keys = state["keys"].as_array().unwrap();
    let active: Vec<_> = keys.iter().filter(|it| it["active"] == true).collect();
    assert!(active.len() <= 1, "{active:?}");
    active
        .first()
        .map(|it| it["apiKey"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn nonces_are_told_in_pages_that_hold_each_of_them_once() {
    let Some(desk) = Desk::open("", &[]).await else {
        return;
    };
    let many: Vec<u64> = (0..7).collect();
    let declared = json!({ "nonces": many });
    let path = "/v1/wallets/d-w/nonces";
    let done = desk.operator.post(path, &declared).await;
    assert_eq!(done.json["new"], 7, "{}", done.text);

    let (mut told, mut pages) = (Vec::new(), 0);
    let mut next = Some("/v1/nonces?wallet=d-w&limit=3".to_owned());
    while let Some(path) = next {
        let answer = desk.operator.get(&path).await;
        next = chancery::http::next_of(&answer.headers);
        let page = &answer.json;
        let page = page.as_array().unwrap();
        assert!(page.len() <= 3, "{page:?}");
        told.extend(
            page.iter()
                .map(|it| it["nonce"].as_str().unwrap().parse::<u64>().unwrap()),
        );
        pages += 1;
    }
    told.sort_unstable();
    assert_eq!((told, pages), (many, 3));
    for wrong in ["limit=0", "limit=1001", "after=x", "after=137-x-1"] {
        let answer = desk.operator.get(&format!("/v1/nonces?{wrong}")).await;
        assert_eq!(
            (answer.status, answer.problem()),
            (400, "malformed-query"),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn an_api_key_is_made_proved_found_and_made_anew_only_by_name() {
    let Some(desk) = Desk::open("", &[]).await else {
        return;
    };
    let made = desk.create(7).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(
        (&made.json["state"], &made.json["how"], &made.json["nonce"]),
        (&json!("live"), &json!("created"), &json!("7")),
        "{}",
        made.text
    );
    let first = made.json["apiKey"].as_str().unwrap().to_owned();
    assert_eq!(desk.active().await.as_deref(), Some(first.as_str()));

    // The same nonce, and another: both are refused, and say what to do.
    let again = desk.create(7).await;
    assert_eq!((again.status, again.problem()), (409, "nonce-already-used"));
    let other = desk.create(8).await;
    assert_eq!((other.status, other.problem()), (409, "would-replace"));
    assert!(other.text.contains(&first), "{}", other.text);
    assert_eq!(desk.venue.asked("/auth/api-key").await, 1);

    let derived = desk.ask(json!({ "mode": "derive", "nonce": "7" })).await;
    assert_eq!(derived.json["apiKey"], first, "{}", derived.text);
    let either = desk
        .ask(json!({ "mode": "create-or-derive", "nonce": 7 }))
        .await;
    assert_eq!(either.json["how"], "derived", "{}", either.text);

    let meant = json!({ "mode": "create", "nonce": 8, "replaces": first });
    let second = desk.ask(meant).await;
    assert_eq!(second.status, 201, "{}", second.text);
    assert_ne!(second.json["apiKey"], first);

    let all = desk.operator.get("/v1/wallets/d-w/credentials").await;
    let states: Vec<_> = all
        .json
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["state"])
        .collect();
    assert_eq!(states, ["live", "replaced"], "{}", all.text);
    // A key that was replaced stays so, however often it is derived.
    let dead = desk.ask(json!({ "mode": "derive", "nonce": 7 })).await;
    assert_eq!(
        (dead.status, &dead.json["state"]),
        (201, &json!("replaced")),
        "{}",
        dead.text
    );

    let found = desk.nonces(&format!("apiKey={first}")).await;
    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found[0]["nonce"], "7");
    assert_eq!(found[0]["outcome"], "made");
    assert_eq!(found[0]["state"], "replaced");
    assert_eq!(found[0]["logins"][0]["purpose"], "create");
    assert_eq!(desk.nonces("wallet=d-w").await.as_array().unwrap().len(), 2);
    assert_eq!(
        desk.nonces("nonce=8").await[0]["apiKey"],
        second.json["apiKey"]
    );
    let later = desk.nonces("from=2999-01-01T00:00:00Z").await;
    assert_eq!(later, json!([]));

    let listed = desk.operator.get("/v1/wallets/d-w/api-keys").await;
    assert_eq!(listed.status, 200, "{}", listed.text);
    assert_eq!(listed.json[0]["state"], "live", "{}", listed.text);

    let live = second.json["apiKey"].as_str().unwrap();
    let path = format!("/v1/wallets/d-w/credentials/{live}");
    let url = format!("{}{path}", desk.operator.base);
    for _ in 0..2 {
        let deleted = desk
            .operator
            .send(desk.operator.http.delete(&url))
            .await
            .unwrap();
        assert_eq!(
            (deleted.status, &deleted.json["state"]),
            (200, &json!("deleted")),
            "{}",
            deleted.text
        );
    }
    assert_eq!(desk.active().await, None);
}

#[tokio::test]
async fn a_request_that_is_repeated_has_one_answer() {
    let Some(desk) = Desk::open("", &[]).await else {
        return;
    };
    let path = "/v1/wallets/d-w/credentials";
    let body = json!({ "mode": "create", "nonce": 1 });
    let first = desk.operator.post_as("k", path, &body).await.unwrap();
    assert_eq!(first.status, 201, "{}", first.text);
    let again = desk.operator.post_as("k", path, &body).await.unwrap();
    assert_eq!(again.text, first.text);
    assert!(again.headers.contains_key("idempotency-replayed"));
    let other = json!({ "mode": "create", "nonce": 2 });
    let other = desk.operator.post_as("k", path, &other).await.unwrap();
    assert_eq!(other.problem(), "idempotency-key-reused");
}

#[tokio::test]
async fn a_lost_answer_is_made_up_for_by_deriving() {
    let Some(desk) = Desk::open("", &[]).await else {
        return;
    };
    let lost = |fault: Value| {
        let mut whole = json!({ "method": "POST", "path": "/auth/api-key", "phase": "after" });
        whole
            .as_object_mut()
            .unwrap()
            .extend(fault.as_object().unwrap().clone());
        whole
    };
    let mut replaces = None::<String>;
    for (nonce, fault) in [
        (1, json!({ "drop": true })),
        (2, json!({ "status": 500 })),
        (3, json!({ "status": 200, "body": "<html>blocked</html>" })),
    ] {
        desk.venue.fault(lost(fault)).await;
        let body = json!({ "mode": "create", "nonce": nonce, "replaces": replaces });
        let made = desk.ask(body).await;
        assert_eq!(
            (made.status, &made.json["state"]),
            (201, &json!("live")),
            "{}",
            made.text
        );
        assert_eq!(made.json["apiKey"].as_str(), desk.active().await.as_deref());
        replaces = desk.active().await;
    }
}

#[tokio::test]
async fn while_a_login_is_not_settled_no_other_nonce_is_used() {
    let Some(desk) = Desk::open("l1_window_s = 3\n", &["--l1-skew-s=3"]).await else {
        return;
    };
    // The login is lost on its way; nobody knows whether it will arrive.
    desk.venue
        .fault(
            json!({ "method": "POST", "path": "/auth/api-key", "phase": "before", "drop": true }),
        )
        .await;
    let unknown = desk.create(1).await;
    assert_eq!(
        (unknown.status, unknown.problem()),
        (503, "credential-unknown"),
        "{}",
        unknown.text
    );
    assert_eq!(desk.nonces("nonce=1").await[0]["outcome"], "open");
    let other = desk.create(2).await;
    assert_eq!(
        (other.status, other.problem()),
        (409, "nonce-unsettled"),
        "{}",
        other.text
    );
    assert!(other.headers.contains_key("retry-after"));

    // When it can no longer arrive, the other nonce may be used.
    let made = loop {
        let made = desk.create(2).await;
        if made.problem() != "nonce-unsettled" {
            break made;
        }
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    };
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(desk.nonces("nonce=1").await[0]["outcome"], "nothing");
}

#[tokio::test]
async fn the_venue_s_refusals_are_told_apart() {
    let Some(desk) = Desk::open("", &[]).await else {
        return;
    };
    for (status, text, problem) in [
        (401, "INVALID_SIGNATURE", "login-refused"),
        (401, "Invalid L1 Request headers", "login-refused"),
        (400, "Invalid Funder Address", "funder-refused"),
        (400, "Could not create api key", "could-not-create"),
        (400, "something new", "venue-refused"),
        (429, "Too Many Requests", "venue-unavailable"),
    ] {
        let body = json!({ "error": text }).to_string();
        desk.venue
            .fault(json!({ "method": "POST", "path": "/auth/api-key", "status": status, "body": body }))
            .await;
        let refused = desk.create(1).await;
        assert_eq!(
            refused.problem(),
            problem,
            "{status} {text}: {}",
            refused.text
        );
        // What was refused is settled: the nonce is free for another try, and so are others.
        assert_ne!(desk.nonces("nonce=1").await[0]["outcome"], "open", "{text}");
    }
    let nothing = desk.ask(json!({ "mode": "derive", "nonce": 5 })).await;
    assert_eq!(
        (nothing.status, nothing.problem()),
        (409, "could-not-derive")
    );

    // A clock that is wrong is named.
    desk.venue
        .configure(json!({ "clock_offset_s": 4000 }))
        .await;
    let late = desk.create(1).await;
    assert_eq!(late.problem(), "login-refused", "{}", late.text);
    assert!(late.text.contains("clock"), "{}", late.text);
    desk.venue.configure(json!({ "clock_offset_s": 0 })).await;
    assert_eq!(desk.create(1).await.status, 201);
}

#[tokio::test]
async fn a_header_is_taken_for_a_create() {
    let Some(desk) = Desk::open("", &[]).await else {
        return;
    };
    let login = desk.holder(&["clob-login", "trader"]).await;
    let path = "/v1/wallets/d-w/l1-headers";
    for caller in [&desk.operator, &desk.trader] {
        let denied = caller.post(path, &json!({})).await;
        assert_eq!((denied.status, denied.problem()), (403, "denied"));
    }
    let header = login
        .post(path, &json!({ "nonce": "18446744073709551615" }))
        .await;
    assert_eq!(header.status, 200, "{}", header.text);
    assert_eq!(header.headers["cache-control"], "no-store");
    assert_eq!(header.json["headers"]["POLY_NONCE"], "18446744073709551615");

    // It is spent to create, and the service learns that by itself.
    let mut spend = login.http.post(format!("{}/auth/api-key", desk.venue.url));
    for (name, value) in header.json["headers"].as_object().unwrap() {
        spend = spend.header(name, value.as_str().unwrap());
    }
    let made: Value = spend.send().await.unwrap().json().await.unwrap();
    let found = loop {
        let found = desk.nonces("wallet=d-w").await;
        if found[0]["outcome"] != "open" {
            break found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    };
    assert_eq!(found[0]["outcome"], "made");
    assert_eq!(found[0]["apiKey"], made["apiKey"]);

    // Now a header for another nonce would end that key.
    let refused = login.post(path, &json!({ "nonce": 3 })).await;
    assert_eq!((refused.status, refused.problem()), (409, "would-replace"));
    let meant = json!({ "nonce": 3, "replaces": made["apiKey"] });
    assert_eq!(login.post(path, &meant).await.status, 200);
}

#[tokio::test]
async fn nonces_from_elsewhere_are_declared_or_searched_for() {
    let Some(desk) = Desk::open("", &[]).await else {
        return;
    };
    // Made elsewhere: by a header that nobody recorded, as far as this database knows.
    let made = desk.create(13).await;
    assert_eq!(made.status, 201);
    for table in ["logins", "credentials", "credential_nonces"] {
        let sql = format!(
            "alter table {table} disable trigger all; delete from {table}; alter table {table} enable trigger all"
        );
        let sql = sqlx::AssertSqlSafe(sql);
        sqlx::raw_sql(sql)
            .execute(&desk.database.pool)
            .await
            .unwrap();
    }
    assert_eq!(desk.nonces("wallet=d-w").await, json!([]));

    let bad = desk
        .operator
        .post(
            "/v1/wallets/d-w/nonce-searches",
            &json!({ "from": 5, "to": 4 }),
        )
        .await;
    assert_eq!(
        (bad.status, bad.problem()),
        (422, "invalid-field"),
        "{}",
        bad.text
    );
    let begun = desk
        .operator
        .post("/v1/wallets/d-w/nonce-searches", &json!({ "to": 20 }))
        .await;
    assert_eq!(begun.status, 201, "{}", begun.text);
    let steps = format!(
        "/v1/nonce-searches/{}/steps",
        begun.json["id"].as_str().unwrap()
    );
    let first = desk.operator.post(&steps, &json!({ "count": 4 })).await;
    assert_eq!(
        (&first.json["next"], &first.json["found"]),
        (&json!("4"), &json!(0)),
        "{}",
        first.text
    );
    // A fault stops it, and it goes on where it was.
    desk.venue
        .fault(json!({ "path": "/auth/derive-api-key", "skip": 2, "status": 503 }))
        .await;
    let stopped = desk.operator.post(&steps, &json!({ "count": 9 })).await;
    assert_eq!(stopped.status, 503, "{}", stopped.text);
    let shown = desk.operator.get(steps.trim_end_matches("/steps")).await;
    assert_eq!(shown.json["next"], "6", "{}", shown.text);
    let over = loop {
        let step = desk.operator.post(&steps, &json!({})).await;
        assert_eq!(step.status, 200, "{}", step.text);
        if step.json["next"].is_null() {
            break step;
        }
    };
    assert_eq!(over.json["found"], 1);
    let found = desk.nonces("nonce=13").await;
    assert_eq!(found[0]["apiKey"], made.json["apiKey"]);
    assert_eq!(
        (&found[0]["origin"], &found[0]["state"]),
        (&json!("searched"), &json!("live"))
    );

    let declared = desk
        .operator
        .post("/v1/wallets/d-w/nonces", &json!({ "nonces": [13, "77"] }))
        .await;
    assert_eq!(
        (declared.status, &declared.json["new"]),
        (201, &json!(1)),
        "{}",
        declared.text
    );
    assert_eq!(desk.nonces("nonce=77").await[0]["outcome"], "unknown");
}

#[tokio::test]
async fn secrets_go_to_those_who_have_the_right_and_nowhere_else() {
    let Some(mut desk) = Desk::open("", &[]).await else {
        return;
    };
    let made = desk.create(0).await;
    let key = made.json["apiKey"].as_str().unwrap().to_owned();
    let path = format!("/v1/wallets/d-w/credentials/{key}/reveal");
    for caller in [&desk.operator, &desk.trader] {
        assert_eq!(caller.post(&path, &json!({})).await.status, 403);
    }
    let holder = desk.holder(&["credential-holder", "trader"]).await;
    let revealed = holder.post(&path, &json!({})).await;
    assert_eq!(revealed.status, 200, "{}", revealed.text);
    assert_eq!(revealed.headers["cache-control"], "no-store");
    let sql = "select count(*) from leaves where position('reveal-credential'::bytea in leaf) > 0";
    assert_eq!(desk.database.count(sql).await, 1);

    // They stop with the key, as what is signed with it does.
    for (to, status) in [("suspended", 409), ("active", 200)] {
        let step = json!({ "to": to, "reason": "test" });
        let moved = desk.operator.post("/v1/keys/d-wk/steps", &step).await;
        assert_eq!(moved.status, 201, "{}", moved.text);
        let answer = holder.post(&path, &json!({})).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        let told = answer.json["secret"].is_string();
        assert_eq!(told, status == 200, "{}", answer.text);
    }
    assert_eq!(desk.database.count(sql).await, 2);

    let signed = desk.trader.post("/v1/wallets/d-w/orders", &order()).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    assert_eq!(desk.server.terminate(), Some(0));
    let dump = std::process::Command::new("pg_dump")
        .arg("--inserts")
        .arg(format!("--dbname={}", desk.database.url))
        .output()
        .unwrap();
    let dump = String::from_utf8_lossy(&dump.stdout).into_owned();
    assert!(dump.contains(&key));
    let places = [dump, desk.server.log(), made.text];
    for member in ["secret", "passphrase"] {
        let secret = revealed.json[member].as_str().unwrap();
        assert!(secret.len() > 10);
        for place in &places {
            assert!(!place.contains(secret), "{member}");
            assert!(
                !place.contains(&hex::encode(secret)),
                "{member} in hexadecimal"
            );
        }
    }
    drop(desk.deployment);
}
