use super::super::{form, write};
use super::*;
use crate::sealing::{Keyring, SealingKey};

fn seal(byte: u8) -> Seal {
    Seal::new(Arc::new(Keyring::from(SealingKey::from_bytes(&[byte; 32]))))
}

fn row(number: i64, kind: &str, id: u128, body: Option<&[u8]>) -> Row {
    Row {
        version: Version::from_ledger(number),
        at: OffsetDateTime::UNIX_EPOCH,
        by: CallerId::from(Uuid::nil()),
        kind: kind.to_owned(),
        id: Uuid::from_u128(id),
        tightens: body.is_some(),
        body: body.map(<[u8]>::to_vec),
        link: None,
    }
}

/// Rows with their links, after those of a snapshot, and the head that they lead to.
fn news(after: &Snapshot, mut rows: Vec<Row>) -> News {
    let (mut last, mut head) = (after.link, after.head());
    for row in &mut rows {
        last = link(&last, row);
        row.link = Some(last);
        head.version = row.version;
        if row.tightens {
            head.tightened = row.version;
        }
    }
    let sealed = (head.version != Version::default()).then(|| seal(7).seal(head, &last));
    News {
        head,
        link: Some(last),
        seal: sealed,
        rows,
    }
}

fn after(snapshot: &Snapshot, rows: Vec<Row>) -> Snapshot {
    let news = news(snapshot, rows);
    snapshot.with(news, &seal(7)).unwrap().unwrap()
}

#[test]
fn the_newest_row_of_a_thing_is_what_holds_and_the_rest_is_left_alone() {
    let nothing = Snapshot::default();
    assert!(
        nothing
            .with(news(&nothing, vec![]), &seal(7))
            .unwrap()
            .is_none()
    );
    let first = after(
        &nothing,
        vec![
            row(1, "halt", 1, Some(b"a")),
            row(2, "halt", 2, Some(b"b")),
            row(3, "policy", 1, Some(b"c")),
        ],
    );
    assert!(
        first
            .with(news(&first, vec![]), &seal(7))
            .unwrap()
            .is_none()
    );
    let rows = vec![row(4, "halt", 1, None), row(5, "halt", 2, Some(b"d"))];
    let second = after(&first, rows);

    let bodies = |snapshot: &Snapshot| -> Vec<Vec<u8>> {
        let halts = snapshot.of(Kind::Halt);
        let mut bodies: Vec<_> = halts.map(|(_, it)| it.body.to_vec()).collect();
        bodies.sort();
        bodies
    };
    assert_eq!(bodies(&first), [b"a", b"b"]);
    assert_eq!(bodies(&second), [b"d"]);
    assert!(second.find(Kind::Halt, Uuid::from_u128(1)).is_none());
    assert_eq!(second.changed(&[Kind::Policy]).number(), 3);
    assert_eq!(second.changed(&[Kind::Policy, Kind::Halt]).number(), 5);
    assert_eq!(second.changed(&[Kind::Limit]).number(), 0);
    let at = |number| second.tightened_at(Version::from_ledger(number)).number();
    assert_eq!([0, 1, 3, 4, 5].map(at), [0, 1, 3, 3, 5]);
}

#[test]
fn a_row_says_what_is_stated_and_nothing_else() {
    let form = |name: &str| form::Person {
        name: name.into(),
        roles: vec!["security-officer".into()],
    };
    let body = write(&form("ann"));
    let ann = Uuid::from_u128(1);
    let snapshot = after(
        &Snapshot::default(),
        vec![
            row(1, "person", 1, Some(&body)),
            row(2, "person", 2, Some(&body)),
            row(3, "person", 2, None),
        ],
    );
    let is_so = |by: &Snapshot, id: u128, says: Option<&str>| {
        let form = says.map(form);
        by.proves(&Said::of(Uuid::from_u128(id), form.as_ref()))
    };
    let version = is_so(&snapshot, 1, Some("ann")).unwrap();
    let statement = Statement {
        kind: Kind::Person,
        id: ann,
        version,
    };
    assert!(version.number() == 1 && snapshot.is_at(statement));
    for id in [2, 3] {
        assert_eq!(is_so(&snapshot, id, None), Ok(Version::default()));
        assert!(is_so(&snapshot, id, Some("ann")).is_err(), "{id}");
    }
    assert!(is_so(&snapshot, 1, Some("bob")).is_err());
    assert!(is_so(&snapshot, 1, None).is_err());
    let own = [
        Said::of::<form::Person>(ann, None),
        Said::of(Uuid::from_u128(3), Some(&form("cid"))),
    ];
    let meanwhile = snapshot.and(&own);
    assert!(is_so(&meanwhile, 1, None).is_ok() && is_so(&meanwhile, 1, Some("ann")).is_err());
    assert!(is_so(&meanwhile, 3, Some("cid")).is_ok());
    assert!(snapshot.is_at(statement) && !meanwhile.is_at(statement));
}

type Change = fn(&mut News);

#[test]
fn what_does_not_follow_or_is_not_sealed_is_refused() {
    let nothing = Snapshot::default();
    let first = after(&nothing, vec![row(1, "halt", 1, Some(b"a"))]);
    let next = || vec![row(2, "halt", 1, None), row(3, "halt", 2, Some(b"b"))];
    let good = || news(&first, next());
    assert!(first.with(good(), &seal(7)).unwrap().is_some());
    assert!(first.with(good(), &seal(8)).is_err(), "another key");
    let changes: [(&str, Change); 11] = [
        ("went back", |it| {
            it.head.version = Version::from_ledger(0);
            it.rows.clear();
        }),
        ("missing at the end", |it| drop(it.rows.pop())),
        ("missing at the beginning", |it| drop(it.rows.remove(0))),
        ("all missing", |it| it.rows.clear()),
        ("changed", |it| it.rows[1].body = Some(b"c".to_vec())),
        ("no more there", |it| it.rows[1].body = None),
        ("loosened", |it| it.rows[1].tightens = false),
        ("unknown", |it| it.rows[1].kind = "hold".into()),
        ("unlinked", |it| it.rows[1].link = None),
        ("tightened less", |it| {
            it.head.tightened = Version::from_ledger(1);
        }),
        ("unsealed", |it| it.seal = None),
    ];
    for (what, change) in changes {
        let mut news = good();
        change(&mut news);
        assert!(first.with(news, &seal(7)).is_err(), "{what}");
    }
    // Whoever links a row of their own still has no seal for it.
    let mut forged = news(&first, vec![row(2, "halt", 1, None)]);
    forged.seal = good().seal;
    assert!(first.with(forged, &seal(7)).is_err());
}
