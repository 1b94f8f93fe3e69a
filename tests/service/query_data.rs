//! The committed query data speaks of the schema that the migrations make, and of no other.

use serde_json::Value;
use sqlx::{AssertSqlSafe, Column, Either, Executor, SqlSafeStr, Statement, TypeInfo};

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
