//! The examples for callers: each gets an order and an assertion, from a service as they find it.

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::support::{Deployment, Postgres, desk, skip};

#[path = "../../clients/examples/order.rs"]
mod example;

/// Runs an example, if what it takes is here.
async fn run(command: &[&str], environment: &[(&str, &str)]) -> Option<Output> {
    let mut program = tokio::process::Command::new(command[0]);
    let program = program
        .args(&command[1..])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/examples"))
        .envs(environment.iter().copied())
        .stdin(Stdio::null());
    // 127 is a shell's word for a program that is not there: curl, for instance.
    let ran = program.output().await.ok();
    let ran = ran.filter(|it| it.status.code() != Some(127));
    if ran.is_none() {
        skip(&format!("{command:?}: what it takes is not installed"));
    }
    ran
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
        ("GOCACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/go")),
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
        let Some(ran) = run(command, &environment).await else {
            continue;
        };
        assert!(ran.status.success(), "{command:?}: {ran:?}");
        let answers = serde_json::Deserializer::from_slice(&ran.stdout).into_iter();
        let answers: Vec<Value> = answers.map(Result::unwrap).collect();
        check(command[0], &answers);
    }
    let mut refused = environment;
    refused[2] = ("WALLET", "no-such");
    if let Some(ran) = run(&["python3", "order.py"], &refused).await {
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(
            !ran.status.success() && said.contains("Check the name"),
            "a refusal says what to do: {said}"
        );
    }
    let answers = example::run(&server.base, file, "d-w", "d-c").await;
    check("rust", &answers.unwrap());
    let refused = example::run(&server.base, file, "no-such", "d-c").await;
    assert!(refused.unwrap_err().contains("not"), "a refusal says why");
}
