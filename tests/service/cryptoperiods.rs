//! A key's time: reminders once each, an end that nobody has to bring about, and what is due.

use chancery::app::App;
use chancery::clock::Clock;
use chancery::config::Config;
use serde_json::{Value, json};

use crate::stand::{Stand, refused};
use crate::support::{Database, Deployment, Postgres, desk, order};

const DAY_MS: i64 = 24 * 3600 * 1000;

/// Two replicas that share a clock, beside a service that made the keys.
struct Replicas {
    clock: Clock,
    start: i64,
    one: App,
    other: App,
}

impl Replicas {
    async fn new(deployment: &Deployment) -> Self {
        let config = Config::load(&deployment.file("config.toml")).unwrap();
        let start = Clock::system().unix_ms();
        let clock = Clock::fixed(start);
        let one = App::build(&config, clock.clone()).await.unwrap();
        let other = App::build(&config, clock.clone()).await.unwrap();
        Self {
            clock,
            start,
            one,
            other,
        }
    }

    async fn remind(&self) {
        let (one, other) = tokio::join!(
            Box::pin(self.one.cryptoperiods.remind()),
            Box::pin(self.other.cryptoperiods.remind()),
        );
        one.unwrap();
        other.unwrap();
    }
}

async fn hours(database: &Database, key: &str) -> Vec<i32> {
    let sql = "select a.hours_left from key_alarms a join keys k on k.id = a.key_id
               where k.name = $1 order by a.hours_left desc";
    let rows = sqlx::query_scalar(sql).bind(key);
    rows.fetch_all(&database.pool).await.unwrap()
}

#[tokio::test]
async fn each_reminder_is_raised_once_by_one_replica_also_after_a_restart() {
    let Some(stand) = Stand::new("[cryptoperiods]\nlook_every_s = 3600").await else {
        return;
    };
    let replicas = Replicas::new(&stand.deployment).await;
    let mut expected = Vec::new();
    for (day, due) in [
        (100, None),
        (121, Some(60 * 24)),
        (149, None),
        (151, Some(30 * 24)),
        (167, Some(14 * 24)),
        (174, Some(7 * 24)),
        (178, Some(3 * 24)),
        (180, Some(24)),
    ] {
        // A minute before the day is over, so that the last is the last day.
        replicas.clock.set(replicas.start + day * DAY_MS - 120_000);
        expected.extend(due);
        for _ in 0..2 {
            replicas.remind().await;
        }
        assert_eq!(hours(&stand.database, "d-ck").await, expected, "day {day}");
        let again = Replicas::new(&stand.deployment).await;
        again.clock.set(replicas.clock.unix_ms());
        again.remind().await;
        assert_eq!(hours(&stand.database, "d-ck").await, expected, "day {day}");
    }
    for hour in 1..4 {
        replicas
            .clock
            .set(replicas.start + 180 * DAY_MS + hour * 3_600_000);
        replicas.remind().await;
    }
    expected.extend([-1, -2, -3]);
    let raised = hours(&stand.database, "d-ck").await;
    assert_eq!(raised, expected);
    assert!(
        hours(&stand.database, "d-wk").await.is_empty(),
        "a wallet key has three years"
    );
    let leaves =
        "select count(*) from leaves where position('remind-of-cryptoperiod'::bytea in leaf) > 0";
    assert_eq!(
        stand.database.count(leaves).await,
        i64::try_from(raised.len()).unwrap()
    );
    // A clock that was set back says nothing again.
    replicas.clock.set(replicas.start + 151 * DAY_MS);
    replicas.remind().await;
    assert_eq!(hours(&stand.database, "d-ck").await, raised);
}

#[tokio::test]
async fn a_period_ends_by_both_clocks_and_its_key_is_deactivated() {
    let Some(stand) = Stand::new("[cryptoperiods]\nlook_every_s = 3600").await else {
        return;
    };
    let replicas = Replicas::new(&stand.deployment).await;
    let state = "select count(*) from keys where name = 'd-ck' and state = 'deactivated'";
    // This computer's clock alone is far ahead.
    replicas.clock.set(replicas.start + 200 * DAY_MS);
    replicas.one.cryptoperiods.end().await.unwrap();
    assert_eq!(stand.database.count(state).await, 0);

    let over = "set session_replication_role = replica;
                update keys set cryptoperiod_ends_at = now() - interval '1 minute' where name = 'd-ck';
                set session_replication_role = origin";
    sqlx::raw_sql(over)
        .execute(&stand.database.pool)
        .await
        .unwrap();
    stand.deployment.restate().await;
    let nothing = json!({});
    let late = stand
        .trader
        .post("/v1/clients/d-c/assertions", &nothing)
        .await;
    refused(
        "its time is over",
        &late,
        409,
        "key-expired",
        "cryptoperiod",
    );
    let (one, other) = tokio::join!(
        replicas.one.cryptoperiods.end(),
        replicas.other.cryptoperiods.end()
    );
    one.unwrap();
    other.unwrap();
    assert_eq!(stand.database.count(state).await, 1);
    let steps =
        "select count(*) from key_transitions where to_state = 'deactivated' and actor_id is null";
    assert_eq!(stand.database.count(steps).await, 1);

    // Its client has no other key, so it is due until somebody does something.
    let due = stand.operator.get("/v1/rotations/due").await.json;
    let entry = due
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "d-ck");
    let entry = entry.unwrap();
    assert_eq!(
        (&entry["state"], &entry["days_left"]),
        (&json!("deactivated"), &json!(0))
    );
    assert_eq!(entry["used_by"], json!(["client d-c"]));
    let client = stand.trader.get("/v1/rotations/due").await.json;
    assert!(
        client
            .as_array()
            .unwrap()
            .iter()
            .all(|it| it["kind"] != "token"),
        "not a trader's"
    );
}

#[tokio::test]
async fn a_period_is_shortened_by_one_and_lengthened_up_to_its_maximum() {
    let Some(stand) = Stand::new("[cryptoperiods]\nlook_every_s = 3600").await else {
        return;
    };
    let in_days = async |days: i64| {
        let sql = format!(
            "to_char((created_at + interval '{days} days') at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
        );
        let sql = sqlx::AssertSqlSafe(format!("select {sql} from keys where name = 'd-ck'"));
        let text: String = sqlx::query_scalar(sql)
            .fetch_one(&stand.database.pool)
            .await
            .unwrap();
        text
    };
    let path = "/v1/keys/d-ck/cryptoperiod";
    let set = async |days: i64| {
        let body = json!({ "ends_at": in_days(days).await, "reason": "test" });
        stand.operator.post(path, &body).await
    };
    for days in [30, 60, 730] {
        let changed = set(days).await;
        assert_eq!(changed.status, 201, "{}", changed.text);
        assert_eq!(
            changed.json["cryptoperiod_ends_at"],
            json!(in_days(days).await)
        );
    }
    refused("too long", &set(731).await, 422, "invalid-field", "730");
    refused("past", &set(-1).await, 422, "invalid-field", "past");
    let approvals = "select string_agg(approval, ',' order by at) from key_cryptoperiods";
    let approvals: String = sqlx::query_scalar(approvals)
        .fetch_one(&stand.database.pool)
        .await
        .unwrap();
    let two = "none (single operator),none (single operator)";
    assert_eq!(approvals, format!("not needed (tightening),{two}"));
    let body = json!({ "ends_at": in_days(20).await, "reason": "test" });
    let not_theirs = stand.trader.post(path, &body).await;
    refused("a trader", &not_theirs, 403, "denied", "set_cryptoperiod");

    // The database holds to it as well.
    for sql in [
        "update keys set cryptoperiod_ends_at = cryptoperiod_ends_at - interval '1 day'",
        "with c as (insert into key_cryptoperiods (key_id, was, ends_at, actor_id, approval, reason)
                    select k.id, cryptoperiod_ends_at, k.created_at + interval '800 days', c.id, '', ''
                    from keys k, (select id from callers limit 1) c where k.name = 'd-ck')
         update keys set cryptoperiod_ends_at = created_at + interval '800 days' where name = 'd-ck'",
    ] {
        let changed = sqlx::query(sql).execute(&stand.database.pool).await;
        assert!(changed.is_err(), "{sql}");
    }
}

#[tokio::test]
async fn what_is_due_is_listed_by_date_for_those_who_may_see_it() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database().await;
    let deployment = Deployment::new(&database.url);
    let token = deployment.bootstrap();
    let server = deployment.serve(&[]).await;
    let operator = server.caller(&token);
    let trader = server.caller(&desk(&operator, "d", "soft").await);
    desk(&operator, "e", "soft").await;
    assert_eq!(
        trader.post("/v1/wallets/d-w/orders", &order()).await.status,
        200
    );

    let all = operator.get("/v1/rotations/due?within_days=2000").await;
    assert_eq!(all.status, 200, "{}", all.text);
    let all = all.json.as_array().unwrap().clone();
    let ends: Vec<&Value> = all.iter().map(|it| &it["ends_at"]).collect();
    assert!(ends.is_sorted_by_key(|it| it.as_str().unwrap()), "{ends:?}");
    let names: Vec<_> = all.iter().filter_map(|it| it["name"].as_str()).collect();
    for name in ["d-ck", "d-wk", "e-ck", "e-wk", "d-trader", "e-trader"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    let client = all.iter().find(|it| it["name"] == "d-ck").unwrap();
    let next = client["next"].as_str().unwrap();
    assert!(
        next.starts_with("chancery rotations open --client d-c "),
        "{next}"
    );
    let wallet = all.iter().find(|it| it["name"] == "d-wk").unwrap();
    let next = wallet["next"].as_str().unwrap();
    assert!(
        next.starts_with("chancery rotations open --wallet d-w "),
        "{next}"
    );

    let own = trader.get("/v1/rotations/due?within_days=2000").await.json;
    let own: Vec<_> = own
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].clone())
        .collect();
    assert_eq!(own, ["d-ck", "d-wk"]);
    let soon = operator.get("/v1/rotations/due").await.json;
    assert!(
        soon.as_array()
            .unwrap()
            .iter()
            .all(|it| it["kind"] == "token"),
        "{soon}"
    );
    let far = operator.get("/v1/rotations/due?within_days=5000").await;
    refused("too far", &far, 400, "malformed-query", "within_days");
}
