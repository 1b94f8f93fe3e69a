//! The policy is a version in the ledger: a file brings the first, and a change of it is decided by on every replica
//! once it is acknowledged, if others agree (P5, P6).

use std::path::PathBuf;

use chancery::app::App;
use chancery::audit::{Author, Effect, Event, Leaf, Log};
use chancery::authority::{Authority, Kind};
use chancery::clock::Clock;
use chancery::config::Config;
use chancery::ledger::Gate;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::administrators::run;
use crate::approvals::{Four, send_approval};
use crate::doctor::{doctor, says};
use crate::stand::{Stand, refused};
use crate::support::{Answer, Caller, Deployment, POLICY, Postgres, count, order};

const ORDERS: &str = "/v1/wallets/d-w/orders";

/// The start policy with one rule more: desk `d` signs no orders.
fn stricter() -> String {
    format!(
        "{POLICY}\n@id(\"not-now\") forbid (principal, action == Action::\"sign_order\", resource)
         when {{ principal.owner == \"d\" }};\n"
    )
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

fn replacement(text: &str, replaces: &str) -> Value {
    json!({ "text": text, "reason": "test", "replaces": replaces })
}

async fn replace(by: &Caller, text: &str, replaces: &str) -> Answer {
    by.post("/v1/policies", &replacement(text, replaces)).await
}

/// Has this be the policy.
pub(crate) async fn has(by: &Caller, text: &str) {
    let now = by.get("/v1/policy").await;
    assert_eq!(now.status, 200, "{}", now.text);
    let replaced = replace(by, text, now.json["digest"].as_str().unwrap()).await;
    assert_eq!(replaced.status, 201, "{}", replaced.text);
}

fn token_file(stand: &Stand) -> PathBuf {
    stand.deployment.dir.write("token", &stand.operator.token)
}

#[tokio::test]
async fn what_is_acknowledged_on_one_replica_is_decided_by_on_the_other_for_the_next_order() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let second = stand.deployment.serve(&[]).await;
    let elsewhere = second.caller(&stand.trader.token);
    let texts = [POLICY.to_owned(), stricter()];
    for round in 1..=count(10, 50) {
        let (now, before) = (&texts[round % 2], &texts[(round - 1) % 2]);
        let replaced = replace(&stand.operator, now, &digest(before)).await;
        assert_eq!(replaced.status, 201, "{round}: {}", replaced.text);
        let first = elsewhere.post(ORDERS, &order()).await;
        if round % 2 == 1 {
            refused("stricter", &first, 403, "denied", "not-now");
        } else {
            assert_eq!(first.status, 200, "{round}: {}", first.text);
        }
    }
    // So is what is only read, or refused.
    let auditor = stand.another("auditor", "audit", "auditor").await;
    let auditor = second.caller(&auditor.token);
    let blind = POLICY.replace("Action::\"view_log\", ", "");
    assert_ne!(blind, POLICY);
    for (text, status) in [(&blind, 403), (&POLICY.to_owned(), 200)].repeat(count(3, 25)) {
        has(&stand.operator, text).await;
        let seen = auditor.get("/v1/log").await;
        assert_eq!(seen.status, status, "{}", seen.text);
    }
    // Each signature names the policy that permitted it.
    let sql = "select leaf from leaves where kind = 'intent'";
    let leaves: Vec<Vec<u8>> = sqlx::query_scalar(sql)
        .fetch_all(&stand.database.pool)
        .await
        .unwrap();
    assert!(!leaves.is_empty());
    for leaf in leaves {
        let Event::Intent(intent) = Leaf::from_bytes(&leaf).unwrap().event else {
            panic!("{leaf:?}");
        };
        assert_eq!(hex::encode(intent.policy), digest(POLICY));
    }
}

#[tokio::test]
async fn what_was_answered_under_an_older_policy_is_not_answered_again_where_the_new_one_forbids_it()
 {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let second = stand.deployment.serve(&[]).await;
    let elsewhere = second.caller(&stand.trader.token);
    let signed = stand.trader.post_as("k", ORDERS, &order()).await.unwrap();
    assert_eq!(signed.status, 200, "{}", signed.text);
    has(&stand.operator, &stricter()).await;
    let again = elsewhere.post_as("k", ORDERS, &order()).await.unwrap();
    refused("replayed", &again, 403, "denied", "not-now");
    has(&stand.operator, POLICY).await;
    let again = elsewhere.post_as("k", ORDERS, &order()).await.unwrap();
    assert_eq!((again.status, &again.text), (200, &signed.text));
}

#[tokio::test]
async fn a_text_that_is_no_policy_for_these_callers_is_refused_and_the_old_one_stays() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let (operator, now) = (&stand.operator, digest(POLICY));
    let long = format!("{POLICY}\n//{}\n", "x".repeat(256 * 1024));
    let endless = "x".repeat(600 * 1024);
    let stranger = "permit (principal, action == Action::\"sign\", resource);";
    let wide = "permit (principal, action == Action::\"sign_order\", resource);";
    let frozen = POLICY.replace(
        "[\"operator\", \"security-officer\"].containsAny(principal.roles)",
        "principal.roles.contains(\"nobody\")",
    );
    assert_ne!(frozen, POLICY);
    for (what, text, replaces, status, problem, detail) in [
        (
            "malformed",
            "permit (",
            &*now,
            422,
            "policy-refused",
            "does not parse",
        ),
        (
            "misfitting",
            stranger,
            &*now,
            422,
            "policy-refused",
            "does not fit the schema",
        ),
        ("long", &*long, &*now, 422, "policy-refused", "longer than"),
        (
            "endless",
            &*endless,
            &*now,
            413,
            "body-too-large",
            "body_limit_bytes",
        ),
        (
            "stale",
            &*stricter(),
            &*digest("x"),
            409,
            "policy-replaced",
            &*now,
        ),
        (
            "no digest",
            &*stricter(),
            "abc",
            422,
            "invalid-field",
            "replaces",
        ),
        ("the same", POLICY, &*now, 422, "invalid-field", "already"),
        (
            "nobody manages callers",
            wide,
            &*now,
            409,
            "last-administrator",
            "manage callers",
        ),
        (
            "nobody replaces it",
            &*frozen,
            &*now,
            409,
            "last-administrator",
            "replace it",
        ),
    ] {
        let answer = replace(operator, text, replaces).await;
        refused(what, &answer, status, problem, detail);
    }
    let denied = replace(&stand.trader, &stricter(), &now).await;
    refused("a trader", &denied, 403, "denied", "replace_policy");
    let both = json!({ "name": "both", "owner": "d", "roles": ["operator", "trader"] });
    let both = operator.post("/v1/callers", &both).await;
    let both = stand.server.caller(both.json["token"].as_str().unwrap());
    let denied = replace(&both, &stricter(), &now).await;
    refused(
        "who signs",
        &denied,
        403,
        "denied",
        "who-signs-lets-nobody-in",
    );

    let all = operator.get("/v1/policies").await;
    assert_eq!(all.json.as_array().unwrap().len(), 1, "{}", all.text);
    assert_eq!(all.json[0]["digest"], now);
    assert_eq!(all.json[0]["stated_by_name"], "service");
    let signed = stand.trader.post(ORDERS, &order()).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
}

#[tokio::test]
async fn another_policy_decides_once_others_have_approved_it_and_only_in_place_of_the_one_that_they_saw()
 {
    let Some(four) = Four::new("").await else {
        return;
    };
    let (ann, was) = (&four.ann, digest(POLICY));
    let (one, other) = (stricter(), stricter().replace("not-now", "never"));
    let mut proposals = Vec::new();
    for (key, text) in [("one", &one), ("other", &other)] {
        let asked = ann
            .post_as(key, "/v1/policies", &replacement(text, &was))
            .await
            .unwrap();
        assert_eq!(asked.status, 202, "{}", asked.text);
        proposals.push(asked.json);
    }
    let sentence = format!(
        "replace policy {was} by {}: add not-now, change none, remove none (test)",
        digest(&one)
    );
    assert_eq!(proposals[0]["sentence"], sentence);
    assert!(
        proposals[0]["document"]
            .as_str()
            .unwrap()
            .contains("not-now")
    );
    assert_eq!(ann.get("/v1/policy").await.json["digest"], was);
    for proposal in &proposals {
        let own = four.sign("ann", proposal["hash"].as_str().unwrap());
        let own = send_approval(ann, proposal, &json!({ "ssh": own })).await;
        refused("one's own", &own, 403, "approval-refused", "themselves");
        let signature = four.sign("bob", proposal["hash"].as_str().unwrap());
        let approved = send_approval(&four.bob, proposal, &json!({ "ssh": signature })).await;
        assert_eq!(approved.status, 201, "{}", approved.text);
    }
    let done = ann
        .post_as("one", "/v1/policies", &replacement(&one, &was))
        .await
        .unwrap();
    assert_eq!(done.status, 201, "{}", done.text);
    let now = ann.get("/v1/policy").await.json;
    assert_eq!(now["digest"], digest(&one));
    assert_eq!(now["text"], one);
    assert_eq!(now["stated_by_name"], "operator");
    // The other one was approved in place of a policy that is gone.
    let late = ann
        .post_as("other", "/v1/policies", &replacement(&other, &was))
        .await
        .unwrap();
    refused("late", &late, 409, "policy-replaced", &digest(&one));
    let again = ann
        .post_as("one", "/v1/policies", &replacement(&one, &was))
        .await
        .unwrap();
    assert_eq!((again.status, &again.text), (201, &done.text));
    let replaced = "select count(*) from leaves where position('replace-policy'::bytea in leaf) > 0
                    and position('approved by bob'::bytea in leaf) > 0";
    assert_eq!(four.database.count(replaced).await, 1);
    // What was only proposed, or answered again, is not said to be done.
    four.server.heard("the policy is replaced").await;
    let log = four.server.log();
    assert_eq!(log.matches("the policy is replaced").count(), 1, "{log}");
}

#[tokio::test]
async fn the_file_brings_the_first_policy_and_none_after_it() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database().await;
    let deployment = Deployment::new(&database.url);
    let token = deployment.bootstrap();
    // Two that start at once bring one.
    let (first, second) = tokio::join!(deployment.serve(&[]), deployment.serve(&[]));
    let versions = "select count(*) from authority where kind = 'policy'";
    assert_eq!(database.count(versions).await, 1);
    let leaf = "select count(*) from leaves where kind = 'admin'
                and position('bring-policy'::bytea in leaf) > 0 and position('none (bootstrap)'::bytea in leaf) > 0";
    assert_eq!(database.count(leaf).await, 1);
    let brought =
        [&first, &second].map(|it| it.log().contains("is the first policy of this ledger"));
    assert!(brought.contains(&true));
    drop((first, second));

    deployment.dir.write("policy.cedar", &stricter());
    for text in [&*stricter(), "permit ("] {
        deployment.dir.write("policy.cedar", text);
        let server = deployment.serve(&[]).await;
        server.heard("is not the policy that decides").await;
        let shown = server.caller(&token).get("/v1/policy").await;
        assert_eq!(shown.json["digest"], digest(POLICY), "{}", shown.text);
        let (_, report) = doctor(&deployment, &[]);
        says(&report, "policy", "ok", &digest(POLICY));
        says(&report, "policy in the file", "unknown", &digest(text));
    }
    std::fs::remove_file(deployment.file("policy.cedar")).unwrap();
    let server = deployment.serve(&[]).await;
    server.heard("is not the policy that decides").await;
    assert_eq!(database.count(versions).await, 1);
    deployment.dir.write("policy.cedar", POLICY);
    let server = deployment.serve(&[]).await;
    assert!(
        !server.log().contains("is not the policy"),
        "{}",
        server.log()
    );
}

#[tokio::test]
async fn a_policy_that_somebody_wrote_into_the_database_decides_nothing() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    has(&stand.operator, &stricter()).await;
    has(&stand.operator, POLICY).await;
    let wide = r#"{"text":"permit (principal, action, resource);","reason":"test"}"#;
    for (falsified, put_right) in [
        (
            format!("update authority set body = convert_to('{wide}', 'UTF8') where version = (select max(version) from authority)"),
            "update authority a set body = k.body from kept k where k.version = a.version".to_owned(),
        ),
        (
            // An old one is put back.
            "update authority set body = (select body from kept where kind = 'policy' order by version offset 1 limit 1)
             where version = (select max(version) from authority)".to_owned(),
            "update authority a set body = k.body from kept k where k.version = a.version".to_owned(),
        ),
    ] {
        let keep = format!("create table kept as table authority; {falsified}");
        stand.database.falsify("authority", &keep).await;
        let history = stand.operator.get("/v1/policies").await;
        refused("history", &history, 500, "falsified", "wrote");
        let said = stand.deployment.run(&["serve"]).unwrap_err();
        assert!(said.contains("is not as this service wrote it"), "{said}");
        stand.still_signs().await; // by what was proven
        let right = format!("{put_right}; drop table kept");
        stand.database.falsify("authority", &right).await;
        let history = stand.operator.get("/v1/policies").await;
        assert_eq!(history.json.as_array().unwrap().len(), 3, "{}", history.text);
    }
}

/// States a policy that no program with our schema would, as a later one could.
async fn state_unfit(stand: &Stand) {
    let config = Config::load(&stand.deployment.file("config.toml")).unwrap();
    let (ledger, sealing) = (
        App::ledger(&config).unwrap(),
        App::keyring(&config).unwrap(),
    );
    let authority = Authority::open(ledger, sealing).await.unwrap();
    let log = Log::open(authority, "later", Clock::system())
        .await
        .unwrap();
    let id: uuid::Uuid = sqlx::query_scalar("select id from authority where kind = 'policy'")
        .fetch_one(&stand.database.pool)
        .await
        .unwrap();
    let body = json!({ "text": "permit (principal, action == Action::\"fly\", resource);", "reason": "later" });
    let body = format!(
        "{{\"text\":{},\"reason\":{}}}",
        body["text"], body["reason"]
    );
    let mut change = log
        .begin(Gate::Exclusive, &Author::service())
        .await
        .unwrap();
    let stated = change.decide(Kind::Policy, id, Some(body.as_bytes()), Effect::Tightens);
    stated.await.unwrap();
    change.note("replace-policy", id, &json!({}));
    change.commit().await.unwrap();
}

#[tokio::test]
async fn a_policy_that_this_program_cannot_read_stops_the_start_and_leaves_the_broken_glass() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    state_unfit(&stand).await;
    let denied = stand.trader.post(ORDERS, &order()).await;
    assert_eq!(denied.status, 404, "{}", denied.text); // nobody sees anything
    let denied = stand.operator.get("/v1/policy").await;
    refused("the operator", &denied, 403, "denied", "view_policy");
    stand.server.heard("policy-unfit").await;
    let said = stand.deployment.run(&["serve"]).unwrap_err();
    assert!(
        said.contains("fly") && said.contains("break-glass"),
        "{said}"
    );
    let (_, report) = doctor(&stand.deployment, &[]);
    says(&report, "policy", "wrong", "does not fit the schema");

    let config = stand.deployment.file("config.toml").display().to_string();
    let args = [
        "callers",
        "break-glass",
        "glass",
        "--reason",
        "the policy",
        "--device",
        "soft",
        "--owner-config",
        &config,
    ];
    let token = stand.deployment.run(&args).unwrap();
    let server = stand.deployment.serve(&[]).await;
    let glass = server.caller(token.trim());
    let order_of_glass = glass.post(ORDERS, &order()).await;
    assert_eq!(order_of_glass.status, 404, "{}", order_of_glass.text);
    has(&glass, POLICY).await;
    stand.still_signs().await;
    let all = stand.operator.get("/v1/policies").await;
    let names: Vec<_> = all
        .json
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["stated_by_name"].clone())
        .collect();
    assert_eq!(names, ["glass", "service", "service"], "{}", all.text);
}

#[tokio::test]
async fn what_decided_on_an_earlier_day_is_shown_and_explained() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let moment = async || {
        let pause = || tokio::time::sleep(std::time::Duration::from_millis(20));
        pause().await;
        let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap();
        pause().await;
        now
    };
    let explain = async |at: Option<&str>| {
        let mut path =
            "/v1/policy/explain?caller=d-trader&action=sign_order&resource=wallet:d-w".to_owned();
        if let Some(at) = at {
            path = format!("{path}&at={at}");
        }
        stand.operator.get(&path).await
    };
    let first = moment().await;
    let halt = json!({ "on": "wallet", "name": "d-w", "reason": "test" });
    let halt = stand.operator.post("/v1/halts", &halt).await;
    assert_eq!(halt.status, 201, "{}", halt.text);
    let halted = moment().await;
    let lift = format!("/v1/halts/{}/lift", halt.json["id"].as_str().unwrap());
    let lifted = stand
        .operator
        .post(&lift, &json!({ "reason": "over" }))
        .await;
    assert_eq!(lifted.status, 201, "{}", lifted.text);
    has(&stand.operator, &stricter()).await;
    let revoked = stand
        .operator
        .post("/v1/callers/d-trader/revoke", &json!({}))
        .await;
    assert_eq!(revoked.status, 201, "{}", revoked.text);

    let said = explain(Some(&first)).await.json;
    assert_eq!(said["permitted"], true, "{said}");
    assert_eq!(said["rules"], json!(["trader-signs-own-orders"]));
    assert_eq!(
        (&said["policy"], &said["halt"]),
        (&json!(digest(POLICY)), &Value::Null)
    );
    assert_eq!(
        (&said["revoked"], &said["made_later"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(said["of_today"], json!([])); // both are as they were stated
    let said = explain(Some(&halted)).await.json;
    assert_eq!(said["permitted"], true, "{said}");
    assert!(
        said["halt"].as_str().unwrap().contains("wallet d-w: test"),
        "{said}"
    );
    let said = explain(None).await.json;
    assert_eq!(said["permitted"], false, "{said}");
    assert_eq!(said["rules"], json!(["not-now"]));
    assert_eq!(
        (&said["policy"], &said["revoked"]),
        (&json!(digest(&stricter())), &json!(true))
    );
    assert_eq!(said["of_today"], json!([]));
    let said = explain(Some("2020-01-01T00:00:00Z")).await.json;
    assert_eq!(
        (&said["permitted"], &said["version"]),
        (&json!(false), &Value::Null),
        "{said}"
    );
    assert_eq!(said["made_later"], true);
    for wrong in ["2999-01-01T00:00:00Z", "yesterday"] {
        refused(
            wrong,
            &explain(Some(wrong)).await,
            400,
            "malformed-query",
            "at",
        );
    }

    let all = stand.operator.get("/v1/policies").await.json;
    let version = all[1]["version"].as_i64().unwrap();
    assert_eq!(all[0]["digest"], digest(&stricter()));
    let shown = stand.operator.get(&format!("/v1/policies/{version}")).await;
    assert_eq!(shown.json["text"], POLICY, "{}", shown.text);
    for missing in ["0", "x"] {
        let shown = stand.operator.get(&format!("/v1/policies/{missing}")).await;
        refused(missing, &shown, 404, "not-found", "policy");
    }
}

#[tokio::test]
async fn the_command_line_shows_compares_and_replaces_what_decides() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let (operator, token) = (&stand.operator, token_file(&stand));
    let says = |args: &[&str]| run(operator, &token, &[&["policy"], args].concat());
    assert_eq!(says(&["show", "--text"]).unwrap(), POLICY);
    let file = stand.deployment.dir.write("new.cedar", &stricter());
    let file = file.to_str().unwrap();
    let diff = says(&["diff", "--active", file]).unwrap();
    assert!(
        diff.contains("denied     trader of d: sign_order"),
        "{diff}"
    );
    let done = says(&["propose", file, "--reason", "test"]).unwrap();
    let done: Value = serde_json::from_str(&done).unwrap();
    assert_eq!(done["digest"], digest(&stricter()), "{done}");
    let again = says(&["propose", file, "--reason", "test"]).unwrap_err();
    assert!(again.contains("is the policy already"), "{again}");
    let stale = format!("{POLICY}// another\n");
    let stale = stand.deployment.dir.write("stale.cedar", &stale);
    let stale = [
        "propose",
        stale.to_str().unwrap(),
        "--reason",
        "test",
        "--replaces",
        &digest(POLICY),
    ];
    let stale = says(&stale).unwrap_err();
    assert!(stale.contains("another one by now"), "{stale}");
    let history: Value = serde_json::from_str(&says(&["history"]).unwrap()).unwrap();
    assert_eq!(history[1]["digest"], digest(POLICY), "{history}");
    let version = history[1]["version"].to_string();
    assert_eq!(says(&["show", "--text", &version]).unwrap(), POLICY);
    let at = history[1]["stated_at"].as_str().unwrap();
    let question = [
        "explain",
        "--caller",
        "d-trader",
        "--action",
        "sign_order",
        "--resource",
        "wallet:d-w",
    ];
    let now = says(&question).unwrap();
    assert!(now.contains("not-now"), "{now}");
    let then = says(&[&question[..], &["--at", at]].concat()).unwrap();
    assert!(then.contains("trader-signs-own-orders"), "{then}");
    let wrong = says(&["diff", file]).unwrap_err();
    assert!(wrong.contains("--active"), "{wrong}");
}
