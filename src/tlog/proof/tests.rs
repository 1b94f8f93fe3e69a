use aws_lc_rs::signature::Ed25519KeyPair;
use sha2::{Digest, Sha256};

use super::super::note::{Kind, NoteSigner};
use super::super::tree::Frontier;
use super::*;

fn leaf(n: u8) -> Hash {
    Sha256::digest([0, n]).into()
}

fn example() -> (Proof, Policy) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
    let signer = NoteSigner::new("log.example", Kind::Ed25519, pair).unwrap();
    let mut tree = Frontier::default();
    for n in 0..3 {
        tree.append(leaf(n), |_, _| {});
    }
    let checkpoint = Checkpoint {
        origin: "log.example".into(),
        size: 3,
        root: tree.root(),
    };
    let text = checkpoint.to_string();
    let note = format!("{text}\n{}", signer.sign(&text, 0))
        .parse()
        .unwrap();
    let hashes = vec![leaf(0), leaf(2)];
    let proof = Proof {
        extra: None,
        index: 1,
        hashes,
        note,
    };
    (proof, Policy::of_log(signer.key().clone()))
}

#[test]
fn a_proof_is_read_as_it_was_written_and_proves_one_leaf() {
    let (mut proof, policy) = example();
    for extra in [None, Some(b"order 7".to_vec())] {
        proof.extra = extra;
        let text = proof.to_string();
        let read: Proof = text.parse().unwrap();
        assert_eq!((&read, read.to_string()), (&proof, text));
        assert_eq!(read.verify(&leaf(1), &policy).unwrap().size, 3);
        assert_eq!(read.verify(&leaf(2), &policy), Err(NotProved::OtherRoot(1)));
    }
}

#[test]
fn nothing_in_a_proof_can_be_changed() {
    let (proof, policy) = example();
    let text = proof.to_string();
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(changed) = String::from_utf8(bytes) else {
            continue;
        };
        let read: Result<Proof, _> = changed.parse();
        let proved = read.is_ok_and(|it| it.verify(&leaf(1), &policy).is_ok());
        assert!(!proved, "at {at}");
    }
    for at in 0..text.len() {
        if text.is_char_boundary(at) {
            let cut: Result<Proof, _> = text[..at].parse();
            assert!(
                !cut.is_ok_and(|it| it.verify(&leaf(1), &policy).is_ok()),
                "cut at {at}"
            );
        }
    }
}
