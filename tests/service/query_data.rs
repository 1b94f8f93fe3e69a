//! The committed query data speaks of the schema that the migrations make, and of no other.

use serde_json::Value;
use sqlx::{AssertSqlSafe, Column, Either, Executor, Row, SqlSafeStr, Statement, TypeInfo};

use crate::support::{Deployment, Postgres};

#[tokio::test]
async fn the_query_data_fits_the_migrations() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.empty_database().await;
    Deployment::new(&database.url).run(&["migrate"]).unwrap();
    let mut connection = database.pool.acquire().await.unwrap();

    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/.sqlx");
    let mut checked = 0;
    for file in std::fs::read_dir(directory).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let recorded: Value = serde_json::from_str(&text).unwrap();
        let sql = recorded["query"].as_str().unwrap().to_owned();
        let live = connection
            .prepare(AssertSqlSafe(sql.clone()).into_sql_str())
            .await;
        let live = live.unwrap_or_else(|error| panic!("{error}: {sql}"));

        // One side writes TextArray, the other TEXT[].
        let plain = |name: &str| name.to_uppercase().replace("[]", "ARRAY");
        let name = |of: &Value| plain(of.as_str().unwrap_or("custom"));
        let columns: Vec<_> = recorded["describe"]["columns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| {
                (
                    c["name"].as_str().unwrap().to_owned(),
                    name(&c["type_info"]),
                )
            })
            .collect();
        let now: Vec<_> = live
            .columns()
            .iter()
            .map(|c| (c.name().to_owned(), plain(c.type_info().name())))
            .collect();
        assert_eq!(now, columns, "{sql}");
        let parameters = recorded["describe"]["parameters"]["Left"]
            .as_array()
            .unwrap()
            .len();
        let Some(Either::Left(now)) = live.parameters() else {
            panic!("no parameters: {sql}")
        };
        assert_eq!(now.len(), parameters, "{sql}");
        checked += 1;
    }
    assert!(checked > 20, "only {checked} queries have data");
}

/// Tables with a row or more for each signature.
const LARGE: [&str; 8] = [
    "intents",
    "ends",
    "leaves",
    "idempotency_keys",
    "signature_points",
    "jtis",
    "log_batches",
    "log_terms",
];

/// What goes through all signatures, and knows it.
const THROUGH_ALL: [&str; 4] = [
    "select w.name as wallet, count(*)", // the open orders of a key that goes
    // What `doctor --invariants` looks at is all that is on record.
    "select id from intents i where not exists",
    "select intent_id from ends e where not exists",
    "select count(*) as \"open!\" from intents i\n           where not exists",
];

#[tokio::test]
async fn no_query_goes_through_all_signatures() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database().await;
    let mut connection = database.pool.acquire().await.unwrap();
    // A sequential scan is what is left where no index serves.
    let settings = "set enable_seqscan = off; set plan_cache_mode = force_generic_plan";
    sqlx::raw_sql(settings)
        .execute(&mut *connection)
        .await
        .unwrap();
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/.sqlx");
    let mut checked = 0;
    for file in std::fs::read_dir(directory).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let recorded: Value = serde_json::from_str(&text).unwrap();
        let sql = recorded["query"].as_str().unwrap();
        let words = || sql.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        if !words().any(|word| LARGE.contains(&word)) || sql.contains("sign_group") {
            continue;
        }
        let parameters = recorded["describe"]["parameters"]["Left"].as_array();
        let nulls = vec!["null"; parameters.unwrap().len()].join(", ");
        let with = if nulls.is_empty() {
            nulls
        } else {
            format!("({nulls})")
        };
        let explain =
            format!("deallocate all; prepare q as {sql}; explain (format text) execute q{with}");
        let plan = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(&mut *connection);
        let plan: Vec<String> = plan.await.unwrap().iter().map(|row| row.get(0)).collect();
        let is_of_all = |at: usize| {
            let is_scan = LARGE.iter().any(|table| {
                plan[at].contains("Scan") && plan[at].contains(&format!(" on {table} "))
            });
            let next = plan.get(at + 1).map_or("", |line| line.trim());
            is_scan
                && !["Index Cond", "Recheck Cond"]
                    .iter()
                    .any(|it| next.starts_with(it))
        };
        let is_known = THROUGH_ALL.iter().any(|known| sql.starts_with(known));
        assert_eq!(
            (0..plan.len()).any(is_of_all),
            is_known,
            "{sql}\n{}",
            plan.join("\n")
        );
        checked += 1;
    }
    assert!(checked > 10, "{checked}");
}
