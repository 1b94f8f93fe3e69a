//! The examples for callers: each gets an order and an assertion, from a service as they find it.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Deployment, Postgres, desk, skip};

#[path = "../../clients/examples/order.rs"]
mod example;

/// Runs an example, if what it takes is here; what it printed.
async fn run(command: &[&str], environment: &[(&str, &str)]) -> Option<String> {
    let mut program = tokio::process::Command::new(command[0]);
    let program = program
        .args(&command[1..])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/examples"))
        .envs(environment.iter().copied())
        .stdin(Stdio::null());
    let Ok(ran) = program.output().await else {
        skip(&format!("{} is not installed", command[0]));
        return None;
    };
    assert!(ran.status.success(), "{command:?}: {ran:?}");
    Some(String::from_utf8(ran.stdout).unwrap())
}

/// Whether these are an order and an assertion.
fn check(what: &str, answers: &[Value]) {
    assert_eq!(answers.len(), 2, "{what}: {answers:?}");
    let has = |member: &str| answers.iter().any(|it| it[member].is_string());
    let order = answers.iter().find(|it| it["order"].is_object()).unwrap();
    assert_eq!(order["order"]["makerAmount"], "11782400", "{what}");
    assert!(
        has("orderHash") && has("client_assertion"),
        "{what}: {answers:?}"
    );
}

#[tokio::test]
async fn each_example_gets_an_order_and_an_assertion() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database().await;
    let deployment = Deployment::new(&database.url);
    let operator = deployment.bootstrap();
    let server = deployment.serve(&[]).await;
    let token = desk(&server.caller(&operator), "d", "soft").await;
    let file = deployment.dir.write("bot.token", &format!("{token}\n"));
    let file = file.to_str().unwrap();
    let environment = [
        ("CHANCERY_URL", server.base.as_str()),
        ("CHANCERY_TOKEN_FILE", file),
        ("WALLET", "d-w"),
        ("CLIENT", "d-c"),
        ("GOCACHE", "/tmp/chancery-go"),
        ("GO111MODULE", "off"),
    ];
    // Node.js 20 has no types: they are taken out as its later versions do.
    let typed = include_str!("../../clients/examples/order.ts");
    let plain = typed
        .replace(
            "path: string, body: object, tries = 5): Promise<any>",
            "path, body, tries = 5)",
        )
        .replace("CHANCERY_TOKEN_FILE!", "CHANCERY_TOKEN_FILE");
    let plain = deployment.dir.write("order.mjs", &plain);
    for command in [
        ["bash", "order.sh"].as_slice(),
        &["python3", "order.py"],
        &["node", plain.to_str().unwrap()],
        &["go", "run", "order.go"],
    ] {
        let Some(printed) = run(command, &environment).await else {
            continue;
        };
        let answers = printed.lines().filter(|it| !it.is_empty());
        let answers: Vec<Value> = answers
            .map(|it| serde_json::from_str(it).unwrap())
            .collect();
        check(command[0], &answers);
    }
    let answers = example::run(&server.base, file, "d-w", "d-c").await;
    check("rust", &answers.unwrap());
    let refused = example::run(&server.base, file, "no-such", "d-c").await;
    assert!(refused.unwrap_err().contains("not"), "a refusal says why");
}
