use super::*;

/// Of Go's package `note`: its documentation has this key and this note.
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\n\
    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn signer(name: &str, kind: Kind) -> NoteSigner {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    NoteSigner::new(name, kind, pair).unwrap()
}

#[test]
fn a_note_of_others_verifies() {
    let key: NoteKey = PETER.parse().unwrap();
    assert_eq!(key.to_string(), PETER);
    let note: Note = NOTE.parse().unwrap();
    assert_eq!(note.to_string(), NOTE);
    let text = note.verified(&key).unwrap();
    assert!(text.starts_with("If you think") && text.ends_with("problem is.\n"));
}

#[test]
fn a_text_that_was_changed_does_not_verify() {
    let key: NoteKey = PETER.parse().unwrap();
    let changed: Note = NOTE
        .replace("your problem is", "your answer is")
        .parse()
        .unwrap();
    assert_eq!(
        changed.verified(&key),
        Err(BadNote::Signature("PeterNeumann".into()))
    );
    let other = signer("PeterNeumann", Kind::Ed25519);
    let note: Note = NOTE.parse().unwrap();
    let unsigned = note.verified(other.key()).unwrap_err();
    assert!(matches!(unsigned, BadNote::Unsigned(_)), "{unsigned}");
}

#[test]
fn others_sign_too_and_a_witness_says_when() {
    let (log, witness) = (
        signer("log.example", Kind::Ed25519),
        signer("witness.example/w1", Kind::Cosignature),
    );
    let text = "log.example\n3\nroot\n";
    let note: Note = format!("{text}\n{}", log.sign(text, 0)).parse().unwrap();
    let note = note
        .with_signature(&witness.sign(text, 1_700_000_000))
        .unwrap();
    assert_eq!(note.to_string().parse(), Ok(note.clone()));
    let signed = note.signed_by([log.key(), witness.key()]).unwrap();
    assert_eq!(signed, [log.key(), witness.key()]);
    // At another time it is another statement.
    let (head, tail) = note
        .to_string()
        .rsplit_once(' ')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let mut bytes = STANDARD.decode(tail.trim_end()).unwrap();
    bytes[11] ^= 1;
    let moved: Note = format!("{head} {}\n", STANDARD.encode(bytes))
        .parse()
        .unwrap();
    let spoiled = moved.signed_by([witness.key()]);
    assert_eq!(
        spoiled,
        Err(BadNote::Signature("witness.example/w1".into()))
    );
    assert!(moved.verified(log.key()).is_ok());
}

#[test]
fn what_is_not_written_as_a_note_is_none() {
    for text in [
        "",
        "text\n",
        "text\n\n",
        "text\n\nnobody\n",
        "text\n\n\u{2014} name\n",
        "text\n\n\u{2014} name AAAA\n",
        "text\n\n\u{2014} na+me AAAAAA==\n",
        "te\u{1}xt\n\n\u{2014} name AAAAAAA=\n",
        "text\n\n\u{2014} name AAAAAAA=",
    ] {
        assert!(text.parse::<Note>().is_err(), "{text:?}");
    }
    assert_eq!("x".repeat(LARGEST + 1).parse::<Note>(), Err(BadNote::Large));
    for key in [
        "",
        "a",
        "a+b",
        "a+00000000+AQ==",
        PETER.replace("c7", "c8").as_str(),
        "a b+c74f20a3+AA==",
    ] {
        assert!(key.parse::<NoteKey>().is_err(), "{key}");
    }
}

#[test]
fn a_signer_shows_no_private_key() {
    let text = format!("{:?}", signer("log.example", Kind::Ed25519));
    let key = signer("log.example", Kind::Ed25519).key().to_string();
    assert_eq!(text, format!("NoteSigner({key:?})"));
}
