//! The list of steps is the same in the code and in the database, and what is not on it is refused by
//! both. What is late is said once.

use std::collections::BTreeSet;

use chancery::rotations::rule::edges;
use chancery::rotations::{Kind, State, Step};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::stand::{Stand, refused};
use crate::support::Database;

/// A step of a client's rotation as it is asked for.
fn asked(step: Step) -> Option<Value> {
    let because = json!({ "reason": "test" });
    let sent = json!({ "channel": "x", "reference": "y" });
    let mut body = match step {
        Step::Generate | Step::ProveRemoval => json!({}),
        Step::Confirm => json!({ "fingerprint": "00", "reference": "y" }),
        Step::Submit | Step::AskRemoval => sent,
        Step::Switch | Step::Close | Step::Abandon | Step::RollBack => because,
        _ => return None,
    };
    body["step"] = step.name().into();
    Some(body)
}

async fn run(database: &Database, sql: String) -> Result<(), String> {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&database.pool);
    done.await.map(drop).map_err(|error| error.to_string())
}

/// An open rotation of client `d-c`.
async fn opened(stand: &Stand, new_key: &str, target_at: &str) -> String {
    let order =
        json!({ "client": "d-c", "new_key": new_key, "target_at": target_at, "reason": "test" });
    let opened = stand.operator.post("/v1/rotations", &order).await;
    assert_eq!(opened.status, 201, "{}", opened.text);
    opened.json["id"].as_str().unwrap().to_owned()
}

const FAR: &str = "2027-06-30T00:00:00Z";

#[tokio::test]
async fn a_step_that_is_not_on_the_list_is_refused_by_code_and_database() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let database = &stand.database;
    let rows: Vec<(String, String, String, String)> =
        sqlx::query_as("select kind, step, from_state, to_state from rotation_edges")
            .fetch_all(&database.pool)
            .await
            .unwrap();
    let recorded: BTreeSet<_> = rows.into_iter().collect();
    let known: BTreeSet<_> = edges()
        .map(|(kind, step, from, to)| {
            let from = from.map_or("none", State::name);
            let words = [kind.name(), step.name(), from, to.name()];
            let [kind, step, from, to] = words.map(str::to_owned);
            (kind, step, from, to)
        })
        .collect();
    assert_eq!(recorded, known);

    let id = opened(&stand, "k2", FAR).await;
    let steps = format!("/v1/rotations/{id}/steps");
    let generate = json!({ "step": "generate" });
    let made = stand.operator.post(&steps, &generate).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let (mut by_code, mut by_database) = (0, 0);
    for kind in Kind::ALL {
        for state in State::ALL {
            let put = format!(
                "alter table rotations disable trigger all;
                 alter table rotation_steps disable trigger all;
                 delete from rotation_steps;
                 update rotations set state = '{state}', kind = '{}', seq = 7 where id = '{id}';
                 alter table rotations enable trigger all;
                 alter table rotation_steps enable trigger all;",
                kind.name()
            );
            run(database, put).await.unwrap();
            // The state does not move without a recorded step.
            let jump = format!("update rotations set state = 'closed', seq = 8 where id = '{id}'");
            assert!(run(database, jump).await.is_err(), "{state}");
            for step in Step::ALL {
                for to in State::ALL {
                    let insert = |from: &str, seq: i32| {
                        format!(
                            "insert into rotation_steps (rotation_id, seq, kind, step, from_state, to_state,
                                                         actor_id, approval, evidence)
                             select id, {seq}, kind, '{step}', '{from}', '{to}', opened_by, 'x', '{{}}'
                             from rotations where id = '{id}'"
                        )
                    };
                    if edges().any(|it| it == (kind, step, Some(state), to)) {
                        // On the list, but not from where the rotation stands, or out of turn.
                        assert!(run(database, insert(state.name(), 9)).await.is_err());
                        continue;
                    }
                    let error = run(database, insert(state.name(), 8)).await.unwrap_err();
                    assert!(
                        error.contains("rotation_steps_edge_exists"),
                        "{kind:?} {state} {step} {to}: {error}"
                    );
                    by_database += 1;
                }
                let on_the_list = state.takes(kind, step).is_ok();
                if kind == Kind::Client
                    && !on_the_list
                    && let Some(body) = asked(step)
                {
                    let answer = stand.operator.post(&steps, &body).await;
                    refused(step.name(), &answer, 409, "no-such-step", state.name());
                    by_code += 1;
                }
            }
        }
    }
    println!("{by_code} refused by the code, {by_database} by the database");
    assert!(by_code > 100 && by_database > 6_000);
}

#[tokio::test]
async fn an_alarm_is_raised_once_whoever_looks_and_whatever_is_restarted() {
    let Some(stand) = Stand::new("[rotations]\nwatch_every_s = 1").await else {
        return;
    };
    let second = stand.deployment.serve(&[]).await;
    let soon = "select to_char((now() + interval '2 s') at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    let soon: String = sqlx::query_scalar(soon)
        .fetch_one(&stand.database.pool)
        .await
        .unwrap();
    let id = opened(&stand, "k2", &soon).await;
    let alarms = "select count(*) from rotation_alarms";
    stand.database.becomes(alarms, 1).await;

    // Three days in which nobody registers the key.
    let put = format!(
        "alter table rotations disable trigger all;
         update rotations set state = 'submitted', seq = 2 where id = '{id}';
         alter table rotations enable trigger all;
         alter table rotation_steps disable trigger all;
         insert into rotation_steps (rotation_id, seq, kind, step, from_state, to_state, actor_id,
                                     approval, evidence, at)
         select id, 2, kind, 'submit', 'generated', 'submitted', opened_by, 'x', '{{}}',
                now() - interval '3 days 1 minute'
         from rotations where id = '{id}';
         alter table rotation_steps enable trigger all;"
    );
    run(&stand.database, put).await.unwrap();
    stand.database.becomes(alarms, 2).await;
    let third = stand.deployment.serve(&[]).await;
    let looked = "select count(*) from writers";
    stand.database.becomes(looked, 4).await; // bootstrap and three servers
    let shown = stand.operator.get(&format!("/v1/rotations/{id}")).await;
    assert_eq!(shown.json["status"]["overdue"], true, "{}", shown.text);
    let late = stand
        .operator
        .get("/v1/rotations?overdue=true&open=true")
        .await;
    assert_eq!(late.json[0]["id"], json!(id));
    let in_time = stand.operator.get("/v1/rotations?overdue=false").await;
    assert_eq!(in_time.json, json!([]));
    let names: BTreeSet<_> = shown.json["alarms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["alarm"].as_str().unwrap().to_owned())
        .collect();
    let expected = ["registration-3d", "target"].map(str::to_owned);
    assert_eq!(names, expected.into());
    let said = [&stand.server, &second, &third];
    let said: usize = said
        .iter()
        .map(|it| it.log().matches("a rotation is late").count())
        .sum();
    assert_eq!(said, 2, "each by one replica, once");
    assert_eq!(stand.database.count(alarms).await, 2);
}
