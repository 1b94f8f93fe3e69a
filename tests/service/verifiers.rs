//! Two verifiers that share no code find the same changes to a log.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chancery::audit::leaf::{Event, Intent, Leaf, Token, leaf_hash};
use chancery::tlog::note::Kind;
use chancery::tlog::{Checkpoint, Frontier, Note, NoteKey, NoteSigner, Policy};
use chancery::verification;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::builder_sdk::{installed, python_packages};
use crate::evidence::{export, proved};
use crate::stand::Stand;
use crate::support::{Scratch, count, order};

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

/// An export, taken apart.
#[derive(Clone)]
struct Export {
    head: Value,
    leaves: Vec<(usize, Vec<u8>)>,
}

impl Export {
    fn read(text: &str) -> Self {
        let mut lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let head = lines.next().unwrap();
        let leaf = |line: Value| {
            let index = usize::try_from(line["index"].as_u64().unwrap()).unwrap();
            (
                index,
                STANDARD.decode(line["leaf"].as_str().unwrap()).unwrap(),
            )
        };
        Self {
            head,
            leaves: lines.map(leaf).collect(),
        }
    }

    fn write(&self) -> String {
        let leaves = self.leaves.iter().map(|(index, leaf)| {
            let line = json!({ "index": index, "leaf": STANDARD.encode(leaf) });
            format!("{line}\n")
        });
        format!("{}\n{}", self.head, leaves.collect::<String>())
    }

    /// As somebody would who hides what they did.
    fn number_anew(&mut self) {
        for (n, (index, _)) in self.leaves.iter_mut().enumerate() {
            *index = n;
        }
    }

    /// Changes it like somebody who has the database; says how.
    fn change(&mut self, random: &mut Random, older: &Value) -> &'static str {
        let size = self.leaves.len();
        let at = random.below(size);
        let how = match random.below(8) {
            0 => {
                let leaf = &mut self.leaves[at].1;
                let byte = random.below(leaf.len());
                leaf[byte] ^= 1 << random.below(8);
                "a bit"
            }
            1 => {
                let leaf = &mut self.leaves[at].1;
                leaf.truncate(random.below(leaf.len()));
                "a shorter leaf"
            }
            2 => {
                self.leaves.remove(at);
                "a leaf less"
            }
            3 => {
                let twin = self.leaves[random.below(size)].clone();
                self.leaves.insert(at, twin);
                "a leaf more"
            }
            4 => {
                // Two leaves with the same bytes would be no change.
                let other = (at + 1 + random.below(size - 1)) % size;
                self.leaves.swap(at, other);
                "two that changed places"
            }
            5 => {
                let moved = self.leaves.remove(at);
                let to = (at + 1 + random.below(size - 2)) % (size - 1);
                self.leaves
                    .insert(if to == at { (to + 1) % size } else { to }, moved);
                "one that moved"
            }
            6 => {
                self.leaves.truncate(at);
                "a tail less"
            }
            _ => {
                // A backup, with the checkpoint that was the newest then.
                self.head = older.clone();
                self.leaves.truncate(at);
                "an older database"
            }
        };
        if random.below(2) == 0 {
            self.number_anew();
        }
        how
    }
}

#[tokio::test]
async fn each_of_many_changes_is_found_by_both_verifiers() {
    let Some(stand) = Stand::new("[evidence]\ncheckpoint_every_ms = 200").await else {
        return;
    };
    let requirements = source("requirements.txt");
    let Some(packages) = installed("verifier", &requirements, |dir| {
        python_packages(dir, &requirements)
    }) else {
        return;
    };
    let auditor = stand.another("audit", "auditors", "auditor").await;
    proved(&stand, &auditor).await;
    let file = stand.deployment.file("export.jsonl");
    export(&auditor, &file).await;
    let older = Export::read(&std::fs::read_to_string(&file).unwrap()).head;
    std::fs::remove_file(&file).unwrap();
    for _ in 0..10 {
        let batch = json!({ "orders": [order(), order()] });
        let batch = stand
            .trader
            .post("/v1/wallets/d-w/orders/batch", &batch)
            .await;
        assert_eq!(batch.status, 200, "{}", batch.text);
        let assertion = stand
            .trader
            .post("/v1/clients/d-c/assertions", &json!({}))
            .await;
        assert_eq!(assertion.status, 200, "{}", assertion.text);
        let denied = stand.trader.get("/v1/log").await;
        assert_eq!(denied.status, 403, "{}", denied.text);
    }
    proved(&stand, &auditor).await;
    export(&auditor, &file).await;
    let whole = Export::read(&std::fs::read_to_string(&file).unwrap());
    let key: NoteKey = {
        let log = auditor.get("/v1/log").await;
        log.json["key"].as_str().unwrap().parse().unwrap()
    };
    let (policy, kept) = (
        Policy::of_log(key.clone()),
        whole.head["checkpoint"].as_str().unwrap(),
    );
    let note: Note = kept.parse().unwrap();
    let checkpoint = stand.deployment.dir.write("kept", kept);

    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let folder = stand.deployment.file("changed");
    std::fs::create_dir(&folder).unwrap();
    let mut ours = Vec::new();
    let mut changes = vec![("nothing", whole.clone())];
    while changes.len() <= count(400, 20_000) {
        let mut other = whole.clone();
        let how = other.change(&mut random, &older);
        if other.write() != whole.write() {
            changes.push((how, other));
        }
    }
    for (n, (how, changed)) in changes.iter().enumerate() {
        let text = changed.write();
        std::fs::write(folder.join(format!("{n:05}")), &text).unwrap();
        let report = verification::verify(Cursor::new(text), &policy, std::slice::from_ref(&note));
        let report = report.unwrap();
        assert_eq!(report.verified, n == 0, "{how}: {report:?}");
        let mut kinds: Vec<_> = report.faults.iter().map(|it| it.kind.to_owned()).collect();
        kinds.sort();
        ours.push((*how, report.covered, kinds));
    }
    let theirs = the_other(&packages, &folder, &key, &[&checkpoint]);
    assert_eq!(theirs.len(), ours.len());
    for (n, (theirs, (how, covered, kinds))) in theirs.iter().zip(&ours).enumerate() {
        assert_eq!(theirs["verified"], n == 0, "{how}: {theirs}");
        assert_eq!(theirs["covered"], *covered, "{how}: {theirs}");
        let faults = theirs["faults"].as_array().unwrap().iter();
        let mut found: Vec<_> = faults
            .map(|it| it["kind"].as_str().unwrap().to_owned())
            .collect();
        found.sort();
        assert_eq!(&found, kinds, "{how}: {theirs}");
    }
}

#[tokio::test]
async fn answers_that_callers_have_kept_are_held_against_their_hashes() {
    let Some(stand) = Stand::new("[evidence]\ncheckpoint_every_ms = 200").await else {
        return;
    };
    let requirements = source("requirements.txt");
    let Some(packages) = installed("verifier", &requirements, |dir| {
        python_packages(dir, &requirements)
    }) else {
        return;
    };
    let auditor = stand.another("audit", "auditors", "auditor").await;
    let mut answers = Vec::new();
    for _ in 0..2 {
        let signed = stand.trader.post("/v1/wallets/d-w/orders", &order()).await;
        answers.push(signed.text);
        let path = "/v1/clients/d-c/assertions";
        answers.push(stand.trader.post(path, &json!({})).await.text);
    }
    proved(&stand, &auditor).await;
    let folder = stand.deployment.file("exports");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("export.jsonl");
    export(&auditor, &file).await;
    std::fs::remove_file(file.with_extension("token")).unwrap();
    let key = auditor.get("/v1/log").await.json["key"].clone();
    let key: NoteKey = key.as_str().unwrap().parse().unwrap();
    let policy = Policy::of_log(key.clone());
    let both = |text: &str| {
        let answers = verification::Answers::read(text.as_bytes()).unwrap();
        let text_file = stand.deployment.dir.write("answers", text);
        let export = Cursor::new(std::fs::read_to_string(&file).unwrap());
        let ours = verification::verify_answers(export, &policy, &[], answers).unwrap();
        let more = [std::ffi::OsStr::new("--answers"), text_file.as_os_str()];
        let theirs = the_other_with(&more, &packages, &folder, &key, &[]).remove(0);
        let kinds: Vec<_> = ours.faults.iter().map(|it| it.kind).collect();
        let found = theirs["faults"].as_array().unwrap().iter();
        assert!(found.map(|it| &it["kind"]).eq(&kinds), "{theirs} {ours:?}");
        assert_eq!(theirs["answers"], ours.answers, "{theirs}");
        (ours.verified, ours.answers, kinds)
    };
    assert_eq!(both(&answers.join("\n")), (true, 4, vec![]));
    // A signature that was not given; an answer of nobody's.
    let changed = answers[0].replacen("\"signature\":\"0x", "\"signature\":\"0xf", 1);
    let text = format!("{changed}\n{}\n{{\"id\":\"none\"}}\n", answers[1]);
    let kinds = vec!["answer-changed", "answer-unknown"];
    assert_eq!(both(&text), (false, 1, kinds));
}

/// What the verifier in Python finds in each file of a folder.
pub(crate) fn the_other(
    packages: &Path,
    folder: &Path,
    key: &NoteKey,
    kept: &[&Path],
) -> Vec<Value> {
    the_other_with(&[], packages, folder, key, kept)
}

/// The same with more arguments.
fn the_other_with(
    more: &[&std::ffi::OsStr],
    packages: &Path,
    folder: &Path,
    key: &NoteKey,
    kept: &[&Path],
) -> Vec<Value> {
    let output = Command::new("python3")
        .arg(source("verify.py"))
        .args(more)
        .arg("--each")
        .args([folder, Path::new(&key.to_string())])
        .args(kept)
        .env("PYTHONPATH", packages.join("packages"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let found: Vec<_> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!found.is_empty(), "{said}");
    found
}

/// An export of these leaves, as whoever has the log's key can make one; and that key.
pub(crate) fn signed(leaves: &[Leaf]) -> (String, NoteKey) {
    let mut tree = Frontier::default();
    let leaves: Vec<_> = leaves.iter().map(Leaf::to_bytes).collect();
    for leaf in &leaves {
        tree.append(leaf_hash(leaf), |_, _| {});
    }
    let pair = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
    let signer = NoteSigner::new("log.test", Kind::Ed25519, pair).unwrap();
    let text = Checkpoint {
        origin: "log.test".into(),
        size: tree.size(),
        root: tree.root(),
    }
    .to_string();
    let note = format!("{text}\n{}", signer.sign(&text, 0));
    let export = Export {
        head: json!({ "chancery_export": 1, "origin": "log.test", "checkpoint": note }),
        leaves: leaves.into_iter().enumerate().collect(),
    };
    (export.write(), signer.key().clone())
}

#[test]
fn leaves_of_who_came_without_a_token_are_leaves_to_both_verifiers() {
    let requirements = source("requirements.txt");
    let Some(packages) = installed("verifier", &requirements, |dir| {
        python_packages(dir, &requirements)
    }) else {
        return;
    };
    let (id, kind) = (Uuid::from_u128(7), Some("spiffe".to_owned()));
    let intent = Event::Intent(Box::new(Intent {
        intent: id,
        operation: "order".into(),
        caller: id,
        credential: id,
        subject: id,
        key: id,
        key_epoch: 1,
        policy: [1; 32],
        request_digest: [2; 32],
        idempotency_key: None,
        digest: [3; 32],
        record: "{}".into(),
        credential_kind: kind.clone(),
    }));
    let token = Event::Token(Token {
        fetch: id,
        client: id,
        key: id,
        key_epoch: 1,
        caller: id,
        credential: id,
        policy: [1; 32],
        scopes: "read:orders".into(),
        expires_at_ms: 1,
        credential_kind: kind,
    });
    let leaves = [intent, token].map(|event| Leaf::new(1, event));
    for leaf in &leaves {
        assert_eq!(leaf.for_people()["credential_kind"], "spiffe");
    }
    let (export, key) = signed(&leaves);
    let policy = Policy::of_log(key.clone());
    let report = verification::verify(Cursor::new(&export), &policy, &[]).unwrap();
    assert!(report.verified, "{report:?}");
    let scratch = Scratch::new();
    scratch.write("export", &export);
    let found = the_other(&packages, scratch.path(), &key, &[]);
    assert_eq!(found[0]["verified"], true, "{found:?}");
}

pub(crate) fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/verifier")
        .join(file)
}
