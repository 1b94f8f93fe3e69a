//! The service's role serves, and cannot change what is evidence (`deploy/grants.sql`).

use sqlx::postgres::PgPool;

use crate::support::{Deployment, Postgres, desk, order};

const GRANTS: &str = include_str!("../../deploy/grants.sql");

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, with one database")]
async fn the_service_role_serves_and_cannot_change_evidence() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let database = postgres.empty_database().await;
    let roles = "create role chancery_owner login; create role chancery_service login;
                 alter schema public owner to chancery_owner;
                 grant all on schema public to chancery_owner;";
    sqlx::raw_sql(roles).execute(&database.pool).await.unwrap();
    let of = |role: &str| {
        database
            .url
            .replacen("user=chancery", &format!("user={role}"), 1)
    };

    let owner = Deployment::new(&of("chancery_owner"));
    owner.run(&["migrate"]).unwrap();
    let pool = PgPool::connect(&owner.database_url).await.unwrap();
    for _ in 0..2 {
        sqlx::raw_sql(GRANTS).execute(&pool).await.unwrap(); // a second time harms nothing
    }

    let deployment = Deployment::new(&of("chancery_service"));
    deployment.configure("[cryptoperiods]\nlook_every_s = 1");
    let token = deployment.run(&["callers", "bootstrap"]).unwrap();
    // It asks an environment's server, which a test's is not: this one is nobody's.
    let file = deployment.file("config.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("https://pmx-dev01.us.auth0.com", "http://127.0.0.1:1");
    std::fs::write(&file, text).unwrap();
    deployment.run(&["doctor"]).unwrap();
    let server = deployment.serve(&[]).await;
    let operator = server.caller(token.trim());
    let trader = server.caller(&desk(&operator, "d", "soft").await);
    for _ in 0..2 {
        let path = "/v1/wallets/d-w/orders";
        let signed = trader.post_as("k", path, &order()).await.unwrap();
        assert_eq!(signed.status, 200, "{}", signed.text);
    }
    for nonce in ["0", "1"] {
        let revoke = serde_json::json!({
            "operations": [{ "op": "revoke_collateral", "token": "pusd", "spender": "exchange_v2" }], "nonce": nonce,
            "fees": { "maxFeePerGas": "2", "maxPriorityFeePerGas": "1", "gas": "60000" },
        });
        let signed = trader.post("/v1/wallets/d-w/operations", &revoke).await;
        assert_eq!(signed.status, 200, "{}", signed.text);
    }
    let nothing = serde_json::json!({});
    let issued = trader.post("/v1/clients/d-c/assertions", &nothing).await;
    assert_eq!(issued.status, 200, "{}", issued.text);
    let token = serde_json::json!({ "token_days": 1 });
    let issued = operator.post("/v1/callers/d-trader/tokens", &token).await;
    assert_eq!(issued.status, 201, "{}", issued.text);
    for name in ["k", "reminded"] {
        let key = serde_json::json!({
            "name": name, "purpose": "wallet", "backend": "soft", "environment": "dev01",
            "owner": "d", "cryptoperiod_days": 50,
        });
        let made = operator.post("/v1/keys", &key).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    let reason = serde_json::json!({ "reason": "test" });
    let asked = operator.post("/v1/keys/k/destruction", &reason).await;
    assert_eq!(asked.status, 201, "{}", asked.text);
    let over = "update destructions set not_before = now() - interval '1 second'";
    sqlx::query(over).execute(&pool).await.unwrap();
    let destroyed = "select count(*) from keys where name = 'k' and state = 'destroyed'";
    database.becomes(destroyed, 1).await;
    let reminded = "select count(*) from key_alarms a join keys k on k.id = a.key_id
                    where k.name = 'reminded'";
    database.becomes(reminded, 1).await;
    let suspend = serde_json::json!({ "to": "suspended", "reason": "test" });
    let suspended = operator.post("/v1/keys/d-wk/steps", &suspend).await;
    assert_eq!(suspended.status, 201, "{}", suspended.text);
    let revoked = operator.post("/v1/callers/d-trader/revoke", &nothing).await;
    assert_eq!(revoked.status, 201, "{}", revoked.text);

    let service = PgPool::connect(&deployment.database_url).await.unwrap();
    // What the token broker writes and forgets.
    let place =
        "insert into token_slots (slot, client_id, key_id, key_epoch, lease_holder, lease_until)
                 select sha256('x'), id, key_id, 0, id, now() from clients limit 1";
    let fetch = "insert into token_fetches (id, slot, generation, granted, expires_at)
                 select gen_random_uuid(), slot, generation, granted, now() from token_slots";
    let renew = "update token_slots set generation = 1, forced_at = now(), lease_holder = null,
                 lease_until = null, granted = null, granted_at = null, touched_at = now()";
    for sql in [
        place,
        fetch,
        renew,
        "delete from token_fetches",
        fetch,
        "delete from token_slots",
    ] {
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&service);
        assert_eq!(done.await.unwrap().rows_affected(), 1, "{sql}");
    }
    for table in [
        "leaves",
        "intents",
        "ends",
        "takeovers",
        "jtis",
        "key_transitions",
        "key_cryptoperiods",
        "key_alarms",
        "credential_nonces",
    ] {
        let column = match table {
            "leaves" => "kind",
            "intents" => "digest",
            "ends" | "takeovers" => "attempt",
            "jtis" => "jti",
            "key_transitions" | "key_cryptoperiods" => "reason",
            "key_alarms" => "hours_left",
            _ => "recorded_by",
        };
        for sql in [
            format!("update {table} set {column} = {column}"),
            format!("delete from {table}"),
            format!("truncate {table} cascade"),
            format!("alter table {table} disable trigger all"),
            format!("drop table {table} cascade"),
        ] {
            refused(&service, &sql).await;
        }
    }
    for sql in [
        "update keys set name = 'x'",
        "update callers set roles = array['operator']",
        "update wallets set key_id = key_id",
        "delete from swept",
        "delete from callers",
        "create table mine (n int)",
        "update _sqlx_migrations set success = false",
    ] {
        refused(&service, sql).await;
    }
}

/// For want of the right, not for anything else.
async fn refused(pool: &PgPool, sql: &str) {
    let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()));
    let error = done.execute(pool).await.unwrap_err();
    let code = error.as_database_error().unwrap().code().unwrap();
    assert_eq!(code, "42501", "{sql}: {error}");
}
