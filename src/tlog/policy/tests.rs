use aws_lc_rs::signature::Ed25519KeyPair;

use super::super::note::NoteSigner;
use super::*;

fn signer(seed: u8, kind: Kind) -> NoteSigner {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    NoteSigner::new(&format!("{seed}.example"), kind, pair).unwrap()
}

fn policy(quorum: &str) -> (Policy, NoteSigner, Vec<NoteSigner>) {
    let log = signer(1, Kind::Ed25519);
    let witnesses: Vec<_> = (2..=4).map(|n| signer(n, Kind::Cosignature)).collect();
    let log_line = format!(
        "# whom we trust\n\nlog {} https://log.example/\n",
        log.key()
    );
    let lines = witnesses.iter().enumerate();
    let lines = lines.map(|(n, witness)| format!("witness w{n} {}", witness.key()));
    let lines: Vec<_> = lines.collect();
    (
        format!("{log_line}{}\n{quorum}", lines.join("\n"))
            .parse()
            .unwrap(),
        log,
        witnesses,
    )
}

#[test]
fn a_quorum_takes_as_many_as_it_says_and_each_once() {
    let groups = "group two 2 w0 w1\n group both all two w2\nquorum both\n";
    let (policy, log, witnesses) = policy(groups);
    let text = format!("1.example\n9\n{}\n", "A".repeat(43) + "=");
    let note: Note = format!("{text}\n{}", log.sign(&text, 0)).parse().unwrap();
    for signed in 0..8_usize {
        let mut note = note.clone();
        for (n, witness) in witnesses.iter().enumerate() {
            if signed >> n & 1 == 1 {
                note = note.with_signature(&witness.sign(&text, 5)).unwrap();
            }
        }
        let trusted = policy.checkpoint(&note);
        assert_eq!(trusted.is_ok(), signed == 7, "{signed}: {trusted:?}");
    }
}

#[test]
fn without_the_logs_own_signature_witnesses_are_worth_nothing() {
    let (policy, _, witnesses) = policy("group any any w0 w1 w2\nquorum any\n");
    let text = format!("1.example\n9\n{}\n", "A".repeat(43) + "=");
    let note: Note = format!("{text}\n{}", witnesses[0].sign(&text, 5))
        .parse()
        .unwrap();
    let untrusted = policy.checkpoint(&note).unwrap_err();
    assert!(
        matches!(untrusted, Unsatisfied::Note(BadNote::Unsigned(_))),
        "{untrusted}"
    );
}

#[test]
fn a_checkpoint_of_another_log_is_not_this_ones() {
    let (policy, log, _) = policy("quorum none\n");
    let text = format!("2.example\n9\n{}\n", "A".repeat(43) + "=");
    let note: Note = format!("{text}\n{}", log.sign(&text, 0)).parse().unwrap();
    assert!(policy.checkpoint(&note).is_err());
}

#[test]
fn a_policy_with_a_fault_names_the_line() {
    let (w, v) = (signer(2, Kind::Cosignature), signer(3, Kind::Cosignature));
    let (w, v, log) = (w.key(), v.key(), signer(1, Kind::Ed25519));
    let log = log.key();
    let faults = [
        (format!("log {log}\n"), 1),
        ("quorum nobody\n".into(), 1),
        ("quorum none\nquorum none\n".into(), 2),
        (format!("log {w}\nquorum none\n"), 1),
        (format!("witness a {log}\nquorum none\n"), 1),
        (format!("witness a {w}\nwitness b {w}\nquorum a\n"), 2),
        (format!("witness a {w}\nwitness a {v}\nquorum a\n"), 2),
        (format!("witness none {w}\nquorum none\n"), 1),
        (format!("witness a {w}\ngroup g 2 a\nquorum g\n"), 2),
        (format!("witness a {w}\ngroup g 0 a\nquorum g\n"), 2),
        (format!("witness a {w}\ngroup g all a a\nquorum g\n"), 2),
        (
            format!("witness a {w}\ngroup g any a\ngroup h any a\nquorum g\n"),
            3,
        ),
        ("trust me\nquorum none\n".into(), 1),
    ];
    for (text, line) in faults {
        let fault = text.parse::<Policy>().unwrap_err();
        assert_eq!(fault.line, line, "{text}: {fault}");
    }
}
