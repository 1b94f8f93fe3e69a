//! An alarm may be that the database is away: then it is told from memory.

use std::os::unix::fs::PermissionsExt as _;

use crate::Stand;
use crate::support::receiver::Receiver;
use crate::support::{Postgres, Scratch, order};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_the_database_is_away_is_told_from_memory_and_once() {
    let Some(mut postgres) = Postgres::start() else {
        return;
    };
    let receiver = Receiver::start().await;
    let scratch = Scratch::new();
    let secret = scratch.write("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let more = format!(
        "[[notices.webhooks]]\nname = \"on-call\"\nurl = \"{}\"\nsecret_files = [\"{}\"]\n",
        receiver.url,
        secret.display()
    );
    let stand = Stand::new(&postgres, &more).await;
    postgres.crash();
    let mut told = receiver.sees(1).await;
    while !told.iter().any(|it| it.body.contains("database-away")) {
        told = receiver.sees(told.len() + 1).await;
    }
    for post in &told {
        assert!(post.body.contains("\"recorded\":false"), "{}", post.body);
    }
    postgres.start_again();
    while stand
        .trader
        .post("/v1/wallets/d-w/orders", &order())
        .await
        .status
        != 200
    {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let away = receiver.seen();
    let away = away.iter().filter(|it| it.body.contains("database-away"));
    assert_eq!(away.count(), 1);
}
