use time::OffsetDateTime;
use uuid::Uuid;

use super::super::Version;
use super::*;
use crate::id::CallerId;
use crate::sealing::SealingKey;

fn row() -> Row {
    Row {
        version: Version::from_ledger(1),
        at: OffsetDateTime::UNIX_EPOCH,
        by: CallerId::SERVICE,
        kind: "halt".into(),
        id: Uuid::from_u128(1),
        tightens: true,
        body: Some(b"a".to_vec()),
        link: None,
    }
}

#[test]
fn a_link_changes_with_all_that_a_row_says() {
    let first = link(&Link::default(), &row());
    assert_eq!(first, link(&Link::default(), &row()));
    let changes: [fn(&mut Row); 8] = [
        |it| it.version = Version::from_ledger(2),
        |it| it.at += time::Duration::microseconds(1),
        |it| it.by = CallerId::from(Uuid::from_u128(9)),
        |it| it.kind = "hal".into(),
        |it| it.id = Uuid::from_u128(2),
        |it| it.tightens = false,
        |it| it.body = Some(b"b".to_vec()),
        |it| it.body = None,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut row = row();
        change(&mut row);
        assert_ne!(link(&Link::default(), &row), first, "{number}");
    }
    assert_ne!(link(&[1; 32], &row()), first);
}

#[test]
fn a_head_has_a_seal_of_its_own() {
    let seal = Seal::new(Arc::new(Keyring::from(SealingKey::from_bytes(&[7; 32]))));
    let other = Seal::new(Arc::new(Keyring::from(SealingKey::from_bytes(&[8; 32]))));
    let head = |version, tightened| Head {
        version: Version::from_ledger(version),
        tightened: Version::from_ledger(tightened),
    };
    let (link, sealed) = ([3; 32], seal.seal(head(5, 4), &[3; 32]));
    assert!(seal.is_of(head(5, 4), &link, Some(&sealed)));
    assert!(!other.is_of(head(5, 4), &link, Some(&sealed)));
    assert!(!seal.is_of(head(5, 3), &link, Some(&sealed)));
    assert!(!seal.is_of(head(6, 4), &link, Some(&sealed)));
    assert!(!seal.is_of(head(5, 4), &[4; 32], Some(&sealed)));
    assert!(!seal.is_of(head(5, 4), &link, None));
    assert!(seal.is_of(head(0, 0), &Link::default(), None));
    assert!(!seal.is_of(head(0, 0), &link, None));
}
