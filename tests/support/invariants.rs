//! What holds of the ledger whatever has happened: looked up in the tables, and proved from the
//! leaves, not from what the service says about itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chancery::audit::leaf::{self, Event, Leaf};
use chancery::custody::PublicKey;
use chancery::ethereum::Address;
use chancery::sealing::Keyring;
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Database, Deployment};

/// An answer that a client received: under which idempotency key, and its body.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) key: String,
    pub(crate) body: String,
}

/// What is on record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) intents: usize,
    pub(crate) released: usize,
    pub(crate) refused: usize,
    pub(crate) abandoned: usize,
}

struct Row {
    operation: String,
    key: Uuid,
    caller: Uuid,
    digest: Vec<u8>,
    outcome: Option<String>,
}

/// `intent_id`, `order_hash`, `answer`, `answer_is_sealed`.
type Released = (Uuid, Option<Vec<u8>>, Vec<u8>, bool);

#[derive(Default)]
struct Leaves {
    intents: HashMap<Uuid, leaf::Intent>,
    /// The bytes of those.
    bytes: HashMap<Uuid, Vec<u8>>,
    ends: HashMap<Uuid, Event>,
}

/// Checks the whole database, and that every answer that was given is on record there, byte for
/// byte. No intent is open: the caller of this has waited for that.
pub(crate) async fn check(database: &Database, deployment: &Deployment, given: &[Given]) -> Counts {
    let leaves = leaves(database).await;
    let intents = intents(database).await;
    let mut counts = Counts {
        intents: intents.len(),
        ..Counts::default()
    };
    assert_eq!(leaves.intents.len(), intents.len(), "an INTENT for each");
    assert_eq!(leaves.ends.len(), intents.len(), "an end for each");
    for (id, row) in &intents {
        let begun = &leaves.intents[id];
        assert_eq!(begun.digest.as_slice(), row.digest, "{id}");
        assert_eq!(begun.key, row.key, "{id}");
        let (outcome, count) = match leaves.ends[id] {
            Event::Released(_) => ("released", &mut counts.released),
            Event::Refused(_) => ("refused", &mut counts.refused),
            Event::Abandoned(_) => ("abandoned", &mut counts.abandoned),
            _ => unreachable!("only ends were collected"),
        };
        assert_eq!(row.outcome.as_deref(), Some(outcome), "{id}");
        *count += 1;
    }
    jtis(database, &leaves).await;
    let answers = releases(database, deployment, &intents, &leaves).await;
    assert_eq!(
        answers.len(),
        counts.released,
        "a release for each RELEASED"
    );
    let mut under: HashMap<&str, &str> = HashMap::new();
    for (id, body) in &answers {
        let row = &intents[id];
        if let Some(key) = &leaves.intents[id].idempotency_key {
            let earlier = under.insert(key, body);
            assert!(
                earlier.is_none(),
                "two releases under {key} of {}",
                row.caller
            );
        }
    }
    for Given { key, body } in given {
        let recorded = under.get(key.as_str()).copied();
        assert_eq!(
            recorded,
            Some(body.as_str()),
            "what was answered under {key}"
        );
    }
    counts
}

/// Every leaf decodes, has its hash, is what its columns say, and has its place in a row without gaps.
async fn leaves(database: &Database) -> Leaves {
    type Columns = (i32, i64, i32, String, Uuid, Vec<u8>, Vec<u8>);
    let rows: Vec<Columns> = sqlx::query_as(
        "select run, batch, position, kind, subject_id, leaf, leaf_hash from leaves
         order by run, batch, position",
    )
    .fetch_all(&database.pool)
    .await
    .unwrap();
    let mut found = Leaves::default();
    let mut places = BTreeMap::new();
    let mut last = None;
    for (run, batch, position, kind, subject, bytes, hash) in rows {
        let expected = match last {
            Some((of, batch, position)) if of == run => [(batch, position + 1), (batch + 1, 0)],
            _ => [(1, 0); 2],
        };
        assert!(
            expected.contains(&(batch, position)),
            "{run} {batch} {position} does not follow {last:?}"
        );
        last = Some((run, batch, position));
        let leaf = Leaf::from_bytes(&bytes).expect("a leaf decodes");
        assert_eq!(leaf::leaf_hash(&bytes).as_slice(), hash);
        assert_eq!((leaf.kind(), leaf.subject()), (kind.as_str(), subject));
        match leaf.event {
            Event::Intent(intent) => {
                places.insert(subject, (run, batch));
                found.bytes.insert(subject, bytes);
                assert!(
                    found.intents.insert(subject, *intent).is_none(),
                    "{subject}"
                );
            }
            end @ (Event::Released(_) | Event::Refused(_) | Event::Abandoned(_)) => {
                if let Some((begun_in, begun_at)) = places.get(&subject)
                    && *begun_in == run
                {
                    assert!(*begun_at < batch, "{subject} ended before it began");
                }
                assert!(found.ends.insert(subject, end).is_none(), "{subject}");
            }
            Event::Token(token) => {
                let fetch = found.ends.get(&token.fetch);
                let released = matches!(fetch, Some(Event::Released(_)));
                assert!(released, "a token for an assertion that never left");
            }
            Event::Denied(_)
            | Event::Denials(_)
            | Event::DryRun(_)
            | Event::DryRuns(_)
            | Event::Admin(_) => {}
        }
    }
    found
}

async fn intents(database: &Database) -> HashMap<Uuid, Row> {
    type Columns = (Uuid, String, Uuid, Uuid, Vec<u8>, Option<String>);
    let rows: Vec<Columns> =
        sqlx::query_as("select id, operation, key_id, caller_id, digest, outcome from signatures")
            .fetch_all(&database.pool)
            .await
            .unwrap();
    let row = |(id, operation, key, caller, digest, outcome)| {
        let row = Row {
            operation,
            key,
            caller,
            digest,
            outcome,
        };
        (id, row)
    };
    rows.into_iter().map(row).collect()
}

/// One `jti` for each assertion that was ever to be signed, and never the same.
async fn jtis(database: &Database, leaves: &Leaves) {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as("select intent_id, jti from jtis")
        .fetch_all(&database.pool)
        .await
        .unwrap();
    let known: HashMap<_, _> = rows.iter().copied().collect();
    assert_eq!(known.len(), rows.len(), "one jti for each intent");
    let distinct: BTreeSet<_> = rows.iter().map(|(_, jti)| jti).collect();
    assert_eq!(distinct.len(), rows.len(), "a jti is issued once");
    for (id, begun) in &leaves.intents {
        let record: Value = serde_json::from_str(&begun.record).unwrap();
        let claimed = record["claims"]["jti"].as_str();
        let recorded = known.get(id).map(|jti| jti.simple().to_string());
        assert_eq!(recorded.as_deref(), claimed, "{id}");
    }
}

/// Every release has the answer and the signature that its leaf says, the signature is the key's, and
/// nothing was released twice. The answers, by intent.
async fn releases(
    database: &Database,
    deployment: &Deployment,
    intents: &HashMap<Uuid, Row>,
    leaves: &Leaves,
) -> HashMap<Uuid, String> {
    let sealing = Keyring::from_files(&deployment.file("sealing.key"), &[]).unwrap();
    let keys: Vec<(Uuid, Vec<u8>)> =
        sqlx::query_as("select id, public_key from keys where public_key is not null")
            .fetch_all(&database.pool)
            .await
            .unwrap();
    let keys: HashMap<_, _> = keys
        .into_iter()
        .map(|(id, der)| (id, PublicKey::from_spki_der(&der).unwrap()))
        .collect();
    let rows: Vec<Released> =
        sqlx::query_as("select intent_id, s.order_hash, answer, answer_is_sealed
                        from ends join signatures s on s.id = intent_id where ends.outcome = 'released'")
            .fetch_all(&database.pool)
            .await
            .unwrap();
    let mut digests = BTreeSet::new();
    let mut answers = HashMap::new();
    for (id, order_hash, answer, sealed) in rows {
        let row = &intents[&id];
        let Event::Released(released) = &leaves.ends[&id] else {
            panic!("{id} has an answer and was not released");
        };
        assert_eq!(
            sealed,
            row.operation == "assertion",
            "credentials are sealed"
        );
        let body = if sealed {
            sealing.open(id.as_bytes(), &answer).unwrap().to_vec()
        } else {
            let leaf = &leaves.bytes[&id];
            lz4_flex::block::decompress_size_prepended_with_dict(&answer[1..], leaf).unwrap()
        };
        assert_eq!(sha256(&body), released.answer_hash);
        let body = String::from_utf8(body).unwrap();
        let json: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(json["id"], id.to_string());
        let signature = if sealed {
            assertion(&json, row, &keys[&row.key])
        } else {
            assert_eq!(json["orderHash"], hex(order_hash.as_deref().unwrap()));
            order(&json, row, &keys[&row.key])
        };
        assert_eq!(sha256(&signature), released.signature_hash);
        assert!(
            digests.insert(row.digest.clone()),
            "{id} was released twice"
        );
        answers.insert(id, body);
    }
    answers
}

/// The signature of an order, once it has led back to the wallet's address.
fn order(answer: &Value, row: &Row, key: &PublicKey) -> Vec<u8> {
    assert_eq!(answer["digest"], hex(&row.digest));
    let text = answer["signature"].as_str().unwrap();
    assert_eq!(answer["order"]["signature"], text);
    let bytes = ::hex::decode(text.trim_start_matches("0x")).unwrap();
    let signature = Signature::from_slice(&bytes[..64]).unwrap();
    let recovery = RecoveryId::from_byte(bytes[64] - 27).unwrap();
    let signer = VerifyingKey::recover_from_prehash(&row.digest, &signature, recovery).unwrap();
    assert_eq!(Some(Address::of(&signer.into())), key.address());
    bytes
}

/// The signature of an assertion, once it has been verified.
fn assertion(answer: &Value, row: &Row, key: &PublicKey) -> Vec<u8> {
    let token = answer["client_assertion"].as_str().unwrap();
    let (input, signature) = token.rsplit_once('.').unwrap();
    assert_eq!(sha256(input).as_slice(), row.digest);
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert!(key.verify_rs256(input.as_bytes(), &signature));
    signature
}

fn hex(bytes: &[u8]) -> String {
    format!("0x{}", ::hex::encode(bytes))
}

fn sha256(bytes: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
