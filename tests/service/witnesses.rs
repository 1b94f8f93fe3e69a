//! P9: what witnesses have not signed is not published, and they sign only what their last checkpoint is the beginning of.

use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::Ed25519KeyPair;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chancery::tlog::note::Kind;
use chancery::tlog::tree::is_consistent;
use chancery::tlog::{Checkpoint, Note, NoteKey, NoteSigner, Policy};
use chancery::verification;

use crate::evidence::{export, until};
use crate::stand::{Stand, refused};
use crate::support::order;

/// A witness of one log.
#[derive(Clone)]
struct Witness {
    url: String,
    signer: Arc<NoteSigner>,
    state: Arc<Mutex<Seen>>,
}

struct Seen {
    log: NoteKey,
    last: Option<Checkpoint>,
    is_away: bool,
}

impl Witness {
    async fn start(seed: u8, log: &NoteKey) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let name = format!("witness.test/{seed}");
        let witness = Self {
            url: format!("http://{}/w", listener.local_addr().unwrap()),
            signer: Arc::new(NoteSigner::new(&name, Kind::Cosignature, pair).unwrap()),
            state: Arc::new(Mutex::new(Seen {
                log: log.clone(),
                last: None,
                is_away: false,
            })),
        };
        let router = axum::Router::new()
            .route("/w/add-checkpoint", post(add_checkpoint))
            .with_state(witness.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        witness
    }

    fn is_away(&self, is_away: bool) {
        self.state.lock().unwrap().is_away = is_away;
    }

    fn seen(&self) -> u64 {
        let state = self.state.lock().unwrap();
        state.last.as_ref().map_or(0, |it| it.size)
    }
}

async fn add_checkpoint(
    State(witness): State<Witness>,
    body: String,
) -> Result<String, (StatusCode, String)> {
    let mut state = witness.state.lock().unwrap();
    let fails = |status: StatusCode, why: &str| Err((status, why.to_owned()));
    if state.is_away {
        return fails(StatusCode::SERVICE_UNAVAILABLE, "away");
    }
    let (head, note) = body.split_once("\n\n").unwrap();
    let note: Note = note.parse().unwrap();
    let now = Checkpoint::signed(&note, &state.log).unwrap();
    let mut lines = head.lines();
    let old = lines.next().unwrap().strip_prefix("old ").unwrap();
    let last = state.last.as_ref().map_or(0, |it| it.size);
    if old != last.to_string() {
        return fails(StatusCode::CONFLICT, &format!("{last}\n"));
    }
    let proof: Vec<[u8; 32]> = lines
        .map(|line| STANDARD.decode(line).unwrap().try_into().unwrap())
        .collect();
    let follows = match &state.last {
        None => proof.is_empty(),
        Some(last) if last.size == now.size => proof.is_empty() && last.root == now.root,
        Some(last) => is_consistent(last.size, &last.root, now.size, &now.root, &proof),
    };
    if !follows {
        return fails(StatusCode::UNPROCESSABLE_ENTITY, "it does not follow");
    }
    state.last = Some(now);
    Ok(witness.signer.sign(note.text(), 1_800_000_000))
}

#[tokio::test]
async fn a_checkpoint_is_published_once_a_quorum_of_witnesses_has_signed_it() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let auditor = stand.another("audit", "auditors", "auditor").await;
    let log: NoteKey = {
        let log = auditor.get("/v1/log").await;
        log.json["key"].as_str().unwrap().parse().unwrap()
    };
    let mut witnesses = Vec::new();
    for seed in 1..=3 {
        witnesses.push(Witness::start(seed, &log).await);
    }
    let lines = (0..)
        .zip(&witnesses)
        .map(|(n, it)| format!("witness w{n} {} {}\n", it.signer.key(), it.url));
    let lines = lines.collect::<Vec<_>>().concat();
    let quorum = "group two 2 w0 w1 w2\nquorum two\n";
    let text = format!("log {log}\n{lines}{quorum}");
    let policy: Policy = text.parse().unwrap();
    let file = stand.deployment.dir.write("witnesses", &text);
    let published = stand.deployment.file("checkpoint");
    let evidence = format!(
        "[evidence]\ncheckpoint_every_ms = 200\nunpublished_at_most_s = 2\ncheckpoint_file = \"{}\"\nwitness_policy = \"{}\"",
        published.display(),
        file.display()
    );
    stand.deployment.configure(&evidence);
    assert_eq!(stand.server.terminate(), Some(0));
    let mut server = stand.deployment.serve(&[]).await;
    let newest = || {
        let note: Note = std::fs::read_to_string(&published).ok()?.parse().ok()?;
        Some(policy.checkpoint(&note).unwrap().size)
    };
    let grows = async |from: Option<u64>| {
        until("a checkpoint", async || {
            newest().filter(|it| Some(*it) > from)
        })
        .await
    };
    let sign = async |server: &crate::support::Server| {
        let trader = server.caller(&stand.trader.token);
        trader.post("/v1/wallets/d-w/orders", &order()).await
    };
    let size = grows(None).await;
    // Two are enough.
    witnesses[0].is_away(true);
    assert_eq!(sign(&server).await.status, 200);
    let size = grows(Some(size)).await;
    assert!(witnesses[0].seen() < size);
    // One is not, and what is not published in time stops what leaves.
    witnesses[1].is_away(true);
    let late = until("a refusal", async || {
        let signed = sign(&server).await;
        (signed.status != 200).then_some(signed)
    })
    .await;
    refused("late", &late, 503, "evidence-late", "witnesses");
    assert_eq!(newest(), Some(size));
    // Back again, and shown all that it missed.
    witnesses[0].is_away(false);
    let size = grows(Some(size)).await;
    until("a signature", async || {
        (sign(&server).await.status == 200).then_some(())
    })
    .await;
    // Another process does not know what they saw last, and learns it.
    assert_eq!(server.terminate(), Some(0));
    server = stand.deployment.serve(&[]).await;
    assert_eq!(sign(&server).await.status, 200);
    grows(Some(size)).await;
    let text = stand.deployment.file("export.jsonl");
    export(&server.caller(&auditor.token), &text).await;
    let read = std::fs::File::open(&text).unwrap();
    let report = verification::verify(std::io::BufReader::new(read), &policy, &[]).unwrap();
    assert!(report.verified, "{report:?}");

    assert_eq!(server.terminate(), Some(0));
    let other = witnesses[0].signer.key();
    stand
        .deployment
        .dir
        .write("witnesses", &format!("witness w {other}\nquorum w\n"));
    let refused = stand.deployment.run(&["serve"]).unwrap_err();
    assert!(refused.contains("does not name this log"), "{refused}");
}
