//! Somebody can always let others in: a token that has no place is not made, the last who can manage
//! callers stays, and there is a way back in that is heard.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use sqlx::postgres::PgPool;

use crate::stand::{Stand, refused};
use crate::support::{Caller, Deployment, Postgres, desk};

const GRANTS: &str = include_str!("../../deploy/grants.sql");

/// Runs a command that speaks to the service; standard output, or what it complained of.
pub(crate) fn run(caller: &Caller, token_file: &Path, args: &[&str]) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_chancery"))
        .args(args)
        .args(["--url", &caller.base, "--token-file"])
        .arg(token_file)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

#[tokio::test]
async fn a_token_without_a_place_is_not_made() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database().await;
    let deployment = Deployment::new(&database.url);
    deployment.run(&["migrate"]).unwrap();
    let bootstrap = |file: &str| deployment.run(&["callers", "bootstrap", "--token-out", file]);
    let callers = async || database.count("select count(*) from callers").await;

    let nowhere = deployment.file("no/such/directory/token");
    let refusal = bootstrap(nowhere.to_str().unwrap()).unwrap_err();
    assert!(refusal.contains("nothing was done"), "{refusal}");
    assert_eq!(callers().await, 0);
    let place = deployment.file("operator.token");
    bootstrap(place.to_str().unwrap()).unwrap();
    assert_eq!(callers().await, 1);

    let server = deployment.serve(&[]).await;
    let token = std::fs::read_to_string(&place).unwrap();
    let operator = server.caller(token.trim());
    let known = place.to_str().unwrap();
    let create = [
        "callers",
        "create",
        "x",
        "--owner",
        "d",
        "--role",
        "trader",
        "--token-out",
    ];
    for (what, args) in [
        ("a caller", [&create[..], &[known]].concat()),
        (
            "a token",
            vec!["callers", "token", "operator", "--token-out", known],
        ),
    ] {
        let refusal = run(&operator, &place, &args).unwrap_err();
        assert!(refusal.contains("nothing was done"), "{what}: {refusal}");
    }
    assert_eq!(callers().await, 1);
    let tokens = database.count("select count(*) from caller_tokens").await;
    assert_eq!(tokens, 1);
    assert_eq!(std::fs::read_to_string(&place).unwrap(), token);
    let new = deployment.file("x.token");
    let args = [&create[..], &[new.to_str().unwrap()]].concat();
    run(&operator, &place, &args).unwrap();
    assert_eq!(callers().await, 2);
    let token = std::fs::read_to_string(&new).unwrap();
    let trader = server.caller(token.trim());
    assert_eq!(trader.get("/v1/wallets").await.status, 200);
}

#[tokio::test]
async fn the_last_who_can_manage_callers_is_not_revoked() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let revoke = async |by: &Caller, whom: &str| {
        let path = format!("/v1/callers/{whom}/revoke");
        by.post(&path, &json!({})).await
    };
    let last = revoke(&stand.operator, "operator").await;
    refused("alone", &last, 409, "last-administrator", "operator");
    stand.another("looker", "d", "auditor").await;
    let last = revoke(&stand.operator, "operator").await;
    refused("an auditor", &last, 409, "last-administrator", "operator");

    // Whoever has no token that works is nobody to let others in.
    let second = stand.another("second", "d", "operator").await;
    let end = |when: &str| {
        format!(
            "update caller_tokens set expires_at = now() {when} where caller_id =
             (select id from callers where name = 'second')"
        )
    };
    let run = async |sql: String| {
        let sql = sqlx::AssertSqlSafe(sql);
        sqlx::query(sql)
            .execute(&stand.database.pool)
            .await
            .unwrap();
    };
    run(end("- interval '1 minute'")).await;
    stand.deployment.restate().await;
    let last = revoke(&stand.operator, "operator").await;
    refused("expired", &last, 409, "last-administrator", "operator");

    // Two who revoke each other at the same time: one of them stays.
    run(end("+ interval '1 day'")).await;
    stand.deployment.restate().await;
    let (one, other) = tokio::join!(
        revoke(&stand.operator, "second"),
        revoke(&second, "operator"),
    );
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert!(
        [[201, 401], [201, 409]].contains(&statuses),
        "{} {}",
        one.text,
        other.text
    );
    let live = "select count(*) from callers where revoked_at is null and 'operator' = any(roles)";
    assert_eq!(stand.database.count(live).await, 1);
}

#[tokio::test]
async fn a_role_that_only_a_break_glass_gives_is_given_by_nobody() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let new = json!({ "name": "x", "owner": "d", "roles": ["operator", "break-glass"] });
    let made = stand.operator.post("/v1/callers", &new).await;
    refused("role", &made, 422, "invalid-field", "break-glass");
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, with one database")]
async fn who_has_the_schema_and_the_device_gets_back_in_and_is_heard() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let database = postgres.empty_database().await;
    let roles = "create role chancery_owner login; create role chancery_service login;
                 alter schema public owner to chancery_owner;
                 grant all on schema public to chancery_owner;";
    sqlx::raw_sql(roles).execute(&database.pool).await.unwrap();
    let of = |role: &str| {
        let role = format!("user={role}");
        database.url.replacen("user=chancery", &role, 1)
    };
    let owner = Deployment::new(&of("chancery_owner"));
    owner.run(&["migrate"]).unwrap();
    let pool = PgPool::connect(&owner.database_url).await.unwrap();
    sqlx::raw_sql(GRANTS).execute(&pool).await.unwrap();

    let deployment = Deployment::new(&of("chancery_service"));
    let keystore = |name: &str| {
        chancery::sealing::SealingKey::create_file(&deployment.file(name)).unwrap();
        deployment.file(name).display().to_string()
    };
    let section = |name: &str, key_file: &str| {
        format!(
            "[custody.{name}]\nkind = \"sealed\"\naccept_keys_in_software = true\nmaster_key_file = \"{key_file}\"\n"
        )
    };
    let more = format!(
        "[cryptoperiods]\nlook_every_s = 1\n{}",
        section("empty", &keystore("other.key"))
    );
    deployment.configure(&more);
    let token = deployment.run(&["callers", "bootstrap"]).unwrap();
    let server = deployment.serve(&[]).await;
    let operator = server.caller(token.trim());
    desk(&operator, "d", "soft").await;
    sqlx::query("update caller_tokens set expires_at = now() - interval '1 minute'")
        .execute(&database.pool)
        .await
        .unwrap();
    deployment.restate().await;
    let doctor = deployment.run(&["doctor"]).unwrap_err();
    assert!(doctor.contains("something wrong"), "{doctor}");
    server.heard("nobody can manage callers").await;

    let owners = owner.file("config.toml").display().to_string();
    let services = deployment.file("config.toml").display().to_string();
    let break_glass = |name: &str, device: &str, owner: &str| {
        let reason = "all tokens ended";
        let args = ["callers", "break-glass", name, "--reason", reason];
        deployment.run(&[&args[..], &["--device", device, "--owner-config", owner]].concat())
    };
    for (what, device, config, why) in [
        (
            "the service's role",
            "soft",
            &services,
            "does not own the schema",
        ),
        (
            "another device",
            "empty",
            &owners,
            "no key on record is in empty",
        ),
        ("no device", "none", &owners, "no section"),
    ] {
        let refusal = break_glass("glass", device, config).unwrap_err();
        assert!(refusal.contains(why), "{what}: {refusal}");
    }
    // The right device, and another master key than its own.
    let right = std::fs::read_to_string(deployment.file("keystore.key")).unwrap();
    let wrong = std::fs::read_to_string(deployment.file("other.key")).unwrap();
    std::fs::write(deployment.file("keystore.key"), wrong).unwrap();
    let refusal = break_glass("glass", "soft", &owners).unwrap_err();
    assert!(refusal.contains("sealed under a key"), "{refusal}");
    std::fs::write(deployment.file("keystore.key"), right).unwrap();
    let made = "select count(*) from callers where name = 'glass'";
    assert_eq!(database.count(made).await, 0);

    let token = break_glass("glass", "soft", &owners).unwrap();
    let glass = server.caller(token.trim());
    server.heard("glass broke the glass").await;
    let leaf = "select count(*) from leaves where kind = 'admin'
                and position('break-glass'::bytea in leaf) > 0
                and position('chancery_owner'::bytea in leaf) > 0
                and position('all tokens ended'::bytea in leaf) > 0";
    assert_eq!(database.count(leaf).await, 1);
    let hour = "select count(*) from caller_tokens t join callers c on c.id = t.caller_id
                where c.name = 'glass' and t.expires_at between now() + interval '55 minutes'
                and now() + interval '60 minutes'";
    assert_eq!(database.count(hour).await, 1);

    // It manages callers, and nothing else.
    for path in ["/v1/keys/d-wk", "/v1/wallets/d-w"] {
        assert_eq!(glass.get(path).await.status, 404, "{path}");
    }
    let key = json!({ "name": "k", "purpose": "wallet", "backend": "soft", "environment": "dev01", "owner": "d" });
    let denied = glass.post("/v1/keys", &key).await;
    refused("a key", &denied, 403, "denied", "break-glass");
    let longer = glass
        .post("/v1/callers/glass/tokens", &json!({ "token_days": 90 }))
        .await;
    refused("a longer token", &longer, 409, "one-token", "break-glass");
    let new = json!({ "name": "second", "owner": "d", "roles": ["operator"] });
    let made = glass.post("/v1/callers", &new).await;
    assert_eq!(made.status, 201, "{}", made.text);

    let second = server.caller(made.json["token"].as_str().unwrap());
    let due = async || second.get("/v1/rotations/due").await.json;
    let first = due().await[0].clone();
    assert_eq!(
        (&first["kind"], &first["name"], &first["next"]),
        (
            &json!("break-glass"),
            &json!("glass"),
            &json!("chancery callers revoke glass")
        )
    );
    let revoked = second.post("/v1/callers/glass/revoke", &json!({})).await;
    assert_eq!(revoked.status, 201, "{}", revoked.text);
    assert_ne!(due().await[0]["kind"], "break-glass");
    assert_eq!(glass.get("/v1/callers").await.status, 401);
    let file = deployment.file("config.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("https://pmx-dev01.us.auth0.com", "http://127.0.0.1:1");
    std::fs::write(&file, text).unwrap();
    let doctor = deployment.run(&["doctor"]).unwrap();
    assert!(doctor.contains("1 can manage callers"), "{doctor}");

    // Its last token ends in days: that is said before.
    sqlx::query("update caller_tokens set expires_at = now() + interval '5 days'")
        .execute(&database.pool)
        .await
        .unwrap();
    deployment.restate().await;
    server.heard("can manage callers, when the token of").await;
    let doctor = deployment.run(&["doctor"]).unwrap();
    assert!(doctor.contains("nobody can manage callers"), "{doctor}");
}
