//! What was signed before rows were only added is carried over, and found.

use chancery::audit::leaf::{self, Event, Leaf};
use serde_json::json;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::support::{Database, Postgres};

/// The last migration of before.
const BEFORE: &str = "20261129055500";

/// An intent as it was kept, with its leaf and how it ended.
struct Old<'a> {
    id: Uuid,
    position: i32,
    expiration: &'a str,
    end: Option<(&'a str, Event)>,
}

async fn insert(database: &Database, boot: Uuid, old: &Old<'_>) {
    let record =
        json!({ "domain": { "version": "1" }, "struct": { "expiration": old.expiration } });
    let intent = leaf::Intent {
        intent: old.id,
        operation: "order".into(),
        caller: Uuid::nil(),
        credential: Uuid::nil(),
        subject: Uuid::nil(),
        key: Uuid::nil(),
        key_epoch: 1,
        policy: [0; 32],
        request_digest: [0; 32],
        idempotency_key: None,
        digest: [7; 32],
        record: record.to_string(),
        credential_kind: None,
    };
    write(
        database,
        boot,
        1,
        old.position,
        Event::Intent(Box::new(intent)),
    )
    .await;
    let outcome = old.end.as_ref().map(|(outcome, _)| *outcome);
    let insert = "insert into intents (id, operation, caller_id, subject_id, key_id, key_epoch, request_digest, digest,
                                       record, lease_until, outcome, ended_at)
                  values ($1, 'order', $2, $2, $2, 1, $3, $3, $4, now() - interval '1 hour', $5,
                          case when $5 is not null then now() end)";
    let insert = sqlx::query(insert).bind(old.id).bind(Uuid::nil());
    let insert = insert
        .bind([7_u8; 32].as_slice())
        .bind(record)
        .bind(outcome);
    insert.execute(&database.pool).await.unwrap();
    if let Some((outcome, event)) = &old.end {
        write(database, boot, 2, old.position, event.clone()).await;
        if *outcome == "released" {
            let release = "insert into releases (intent_id, order_hash, answer, answer_is_sealed)
                           values ($1, $2, '{}', false)";
            let release = sqlx::query(release)
                .bind(old.id)
                .bind([7_u8; 32].as_slice());
            release.execute(&database.pool).await.unwrap();
        }
    }
}

async fn write(database: &Database, boot: Uuid, batch: i64, position: i32, event: Event) {
    let leaf = Leaf::new(0, event);
    let bytes = leaf.to_bytes();
    let insert =
        "insert into leaves (writer, boot, batch, position, kind, subject_id, leaf, leaf_hash)
                  values ('w', $1, $2, $3, $4, $5, $6, $7)";
    let insert = sqlx::query(insert).bind(boot).bind(batch).bind(position);
    let insert = insert.bind(leaf.kind()).bind(leaf.subject()).bind(&bytes);
    let insert = insert.bind(leaf::leaf_hash(&bytes).as_slice());
    insert.execute(&database.pool).await.unwrap();
}

fn migrations() -> Vec<(String, String)> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap());
    let mut files: Vec<_> = files
        .map(|file| (file.file_name().into_string().unwrap(), file.path()))
        .filter(|(name, _)| name.chars().next().is_some_and(char::is_numeric))
        .map(|(name, path)| (name, std::fs::read_to_string(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signatures_of_before_keep_their_leaves_and_their_ends() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.empty_database().await;
    let (before, after): (Vec<_>, Vec<_>) = migrations()
        .into_iter()
        .partition(|(name, _)| name.as_str() < BEFORE || name.starts_with(BEFORE));
    assert!(before.len() > 20 && after.len() > 1);
    for (_, sql) in before {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&database.pool)
            .await
            .unwrap();
    }
    let boot = Uuid::now_v7();
    let run = "insert into writers (boot, writer, version) values ($1, 'w', '0')";
    sqlx::query(run)
        .bind(boot)
        .execute(&database.pool)
        .await
        .unwrap();
    let [released, refused, open] = [(); 3].map(|()| Uuid::now_v7());
    let release = Event::Released(leaf::Release {
        intent: released,
        attempt: 1,
        signature_hash: [1; 32],
        answer_hash: [2; 32],
        tries: None,
        device_request: None,
    });
    let refusal = Event::Refused(leaf::End {
        intent: refused,
        attempt: 1,
        reason: "key-not-active".into(),
        tries: None,
        device_request: None,
    });
    for (position, (id, expiration, end)) in [
        (released, "1700000000", Some(("released", release))),
        (refused, "0", Some(("refused", refusal))),
        (open, "0", None),
    ]
    .into_iter()
    .enumerate()
    {
        let position = i32::try_from(position).unwrap();
        let old = Old {
            id,
            position,
            expiration,
            end,
        };
        insert(&database, boot, &old).await;
    }

    for (name, sql) in after {
        let done = sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&database.pool)
            .await;
        done.unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    let rows: Vec<(Uuid, Option<String>, Option<Vec<u8>>)> =
        sqlx::query_as("select id, outcome, order_hash from signatures order by id")
            .fetch_all(&database.pool)
            .await
            .unwrap();
    let expected = [
        (released, Some("released".to_owned()), Some(vec![7_u8; 32])),
        (refused, Some("refused".to_owned()), None),
        (open, None, None),
    ];
    assert_eq!(rows, expected);
    let whole =
        "select count(*) from intents i join leaves l using (run, batch) where l.subject_id = i.id";
    assert_eq!(
        database.count(whole).await,
        3,
        "each names its leaf's batch"
    );
    let whole = "select count(*) from ends e join leaves l using (run, batch) where l.subject_id = e.intent_id";
    assert_eq!(database.count(whole).await, 2);
    let over = "select count(*) from ends where expires_at = to_timestamp(1700000000)";
    assert_eq!(database.count(over).await, 1);
    let open = "select count(*) from take_over(1000, 10)";
    assert_eq!(
        database.count(open).await,
        1,
        "what is open is still looked for"
    );
}
