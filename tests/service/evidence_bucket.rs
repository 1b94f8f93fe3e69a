//! Checkpoints in an S3 bucket: what is published there is never overwritten by what does not go on with it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chancery::evidence::{Settings, place::Place};
use tokio::net::{TcpListener, TcpStream};

use crate::doctor::{doctor, says};
use crate::evidence::{back_up, put_back, until};
use crate::kms::CREDENTIALS;
use crate::kms_server::{MiniStack, REGION};
use crate::stand::{Stand, refused};
use crate::support::{Deployment, order, skip};

const BUCKET: &str = "evidence";
const OBJECT: &str = "evidence/prod/checkpoint";

async fn store() -> Option<MiniStack> {
    match MiniStack::start().await {
        Ok(store) => {
            store.bucket(BUCKET).await;
            Some(store)
        }
        Err(why) => {
            skip(&format!("no MiniStack: {why}"));
            None
        }
    }
}

/// The setting.
fn bucket(url: &str) -> String {
    format!(
        "checkpoint_bucket = {{ name = \"{BUCKET}\", object = \"prod/checkpoint\", region = \"{REGION}\", \
         endpoint_url = \"{url}\" }}"
    )
}

/// The size of a published checkpoint.
fn size(note: &str) -> i64 {
    note.lines().nth(1).unwrap().parse().unwrap()
}

/// What `serve` complains of, which it has to.
fn complains(deployment: &Deployment) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_chancery"))
        .args(["serve", "--config"])
        .arg(deployment.file("config.toml"))
        .envs(CREDENTIALS)
        .output()
        .unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn of_sixteen_who_race_for_a_bucket_one_wins() {
    let Some(store) = store().await else { return };
    // The host's credentials are the environment's, which a test does not change for others.
    if std::env::var_os("AWS_ACCESS_KEY_ID").is_none() {
        let again = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "evidence_bucket::of_sixteen_who_race_for_a_bucket_one_wins",
            ])
            .envs(CREDENTIALS)
            .output()
            .unwrap();
        assert!(again.status.success(), "{again:?}");
        return;
    }
    let settings: Settings = toml::from_str(&bucket(&store.url)).unwrap();
    let place = Place::of(&settings).unwrap().unwrap();
    let mut stands = None;
    for round in 0..8 {
        // All see the same, then all write.
        let mut seen = Vec::new();
        for _ in 0..16 {
            let looked = place.look().await.unwrap();
            assert_eq!(looked.note, stands);
            seen.push(looked);
        }
        let writers = seen.into_iter().enumerate().map(|(n, looked)| {
            let place = place.clone();
            tokio::spawn(async move {
                let note = format!("{round} {n}\n");
                place.put(looked, &note).await.unwrap().then_some(note)
            })
        });
        let mut won = BTreeSet::new();
        for writer in writers.collect::<Vec<_>>() {
            won.extend(writer.await.unwrap());
        }
        assert_eq!(won.len(), 1, "{won:?}");
        stands = won.pop_first();
        assert_eq!(store.object(OBJECT).await, stands);
    }
}

#[tokio::test]
async fn replicas_publish_to_one_bucket_and_an_older_database_is_not_served() {
    let Some(store) = store().await else { return };
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    stand.deployment.configure(&format!(
        "[evidence]\ncheckpoint_every_ms = 50\n{}",
        bucket(&store.url)
    ));
    assert_eq!(stand.server.terminate(), Some(0));
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(stand.deployment.serve(&CREDENTIALS).await);
    }
    let published = async || store.object(OBJECT).await;
    until("a checkpoint", async || published().await).await;
    let kept = back_up(&stand.database).await;
    // All replicas write and publish at once; what stands there only ever grows.
    let mut last = 0;
    for _ in 0..10 {
        for server in &servers {
            let trader = server.caller(&stand.trader.token);
            let signed = trader.post("/v1/wallets/d-w/orders", &order()).await;
            assert_eq!(signed.status, 200, "{}", signed.text);
        }
        let now = size(&published().await.unwrap());
        assert!(now >= last, "{now} after {last}");
        last = now;
    }
    let all = stand.database.count("select count(*) from leaves").await;
    until("a checkpoint of all of it", async || {
        let now = size(&published().await?);
        (now >= all && now > kept).then_some(())
    })
    .await;
    for server in &servers {
        let log = server.log();
        assert!(!log.contains("\"level\":\"ERROR\""), "{log}");
    }
    let (_, report) = doctor(&stand.deployment, &CREDENTIALS);
    says(&report, "audit log", "ok", "s3://evidence/prod/checkpoint");
    drop(servers);

    put_back(&stand.database).await;
    let refused = complains(&stand.deployment);
    assert!(
        refused.contains("audit-rollback") && refused.contains("an older one"),
        "{refused}"
    );
    let (_, report) = doctor(&stand.deployment, &CREDENTIALS);
    says(&report, "audit log", "wrong", "audit-rollback");

    // What is no checkpoint of this log is not written over either.
    store.set_object(OBJECT, Some("something else\n")).await;
    let refused = complains(&stand.deployment);
    assert!(refused.contains("no checkpoint"), "{refused}");
}

/// A way to the store that can be cut.
async fn way(to: &str) -> (String, Arc<AtomicBool>) {
    let to = to.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let is_cut = Arc::new(AtomicBool::new(false));
    let cut = is_cut.clone();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let (to, cut) = (to.clone(), cut.clone());
            tokio::spawn(async move {
                let mut to = TcpStream::connect(to).await.ok()?;
                let copy = tokio::io::copy_bidirectional(&mut from, &mut to);
                let until_cut = async {
                    while !cut.load(Ordering::Relaxed) {
                        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    }
                };
                tokio::select! { _ = copy => {}, () = until_cut => {} }
                Some(())
            });
        }
    });
    (url, is_cut)
}

#[tokio::test]
async fn nothing_is_signed_while_the_bucket_is_away() {
    let Some(store) = store().await else { return };
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let (url, is_cut) = way(&store.url).await;
    stand.deployment.configure(&format!(
        "[evidence]\ncheckpoint_every_ms = 100\nunpublished_at_most_s = 4\n{}",
        bucket(&url)
    ));
    let server = stand.deployment.serve(&CREDENTIALS).await;
    let trader = server.caller(&stand.trader.token);
    until("a checkpoint", async || store.object(OBJECT).await).await;
    let path = "/v1/wallets/d-w/orders";
    let signed = trader.post(path, &order()).await;
    assert_eq!(signed.status, 200, "{}", signed.text);

    is_cut.store(true, Ordering::Relaxed);
    let late = until("a refusal", async || {
        let answer = trader.post(path, &order()).await;
        (answer.status != 200).then_some(answer)
    });
    refused(
        "the bucket is away",
        &late.await,
        503,
        "evidence-late",
        "s3://evidence/prod/checkpoint",
    );
    // A start without it is refused too: an older database could not be told.
    let refused = complains(&stand.deployment);
    assert!(
        refused.contains("s3://evidence/prod/checkpoint"),
        "{refused}"
    );
    let told = server.log().matches("no checkpoint is published").count();
    assert_eq!(told, 1, "it is said once");
    is_cut.store(false, Ordering::Relaxed);
    until("a signature", async || {
        let answer = trader.post(path, &order()).await;
        (answer.status == 200).then_some(())
    })
    .await;

    // A bucket that is not there is no bucket in which nothing stands.
    let elsewhere = bucket(&store.url).replace("name = \"evidence\"", "name = \"nowhere\"");
    stand
        .deployment
        .configure(&format!("[evidence]\n{elsewhere}"));
    let refused = complains(&stand.deployment);
    assert!(refused.contains("there is no such bucket"), "{refused}");
    let both = format!(
        "[evidence]\ncheckpoint_file = \"/tmp/never\"\n{}",
        bucket(&url)
    );
    stand.deployment.configure(&both);
    let refused = complains(&stand.deployment);
    assert!(refused.contains("name one of them"), "{refused}");
}
