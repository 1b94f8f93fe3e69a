use time::Duration;

use super::*;
use crate::authority::Version;

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn one(called: &str, chain: Chain, byte: u8, owner: Option<&str>) -> Recipient {
    let address = Address([byte; 20]);
    Recipient {
        id: id(chain, address),
        name: name(called),
        chain,
        address,
        owner: owner.map(name),
        signer_meant: false,
        refuge: false,
        stands_from: NOW,
        approval: "none".into(),
        at: NOW,
        by: CallerId::SERVICE,
        statement: Statement {
            kind: Kind::Recipient,
            id: id(chain, address),
            version: Version::default(),
        },
    }
}

#[test]
fn only_who_stands_on_the_chain_and_for_the_desk_may_be_sent_to() {
    let mut register = Register::default();
    let late = Recipient {
        stands_from: NOW + Duration::microseconds(1),
        ..one("late", Chain::Polygon, 3, None)
    };
    for it in [
        one("treasury", Chain::Polygon, 1, None),
        one("own", Chain::Polygon, 2, Some("desk-1")),
        late,
    ] {
        register.insert(it).unwrap();
    }
    let ask = |whom: Payee<'_>, chain, owner: &str, now| {
        let found = register.standing(whom, chain, &name(owner), now);
        found.map(|it| it.name.to_string())
    };
    let named = |called: &str, chain, owner| {
        let called = name(called);
        ask(Payee::Named(&called), chain, owner, NOW)
    };
    assert_eq!(
        named("treasury", Chain::Polygon, "desk-2").unwrap(),
        "treasury"
    );
    assert_eq!(named("own", Chain::Polygon, "desk-1").unwrap(), "own");
    let at = |byte, chain| ask(Payee::At(Address([byte; 20])), chain, "desk-1", NOW);
    assert_eq!(at(2, Chain::Polygon).unwrap(), "own");

    let unknown = |it: Result<String, NoRecipient>| matches!(it, Err(NoRecipient::Unknown(..)));
    assert!(unknown(named("treasury", Chain::Amoy, "desk-1")));
    assert!(unknown(named("nobody", Chain::Polygon, "desk-1")));
    assert!(unknown(at(1, Chain::Amoy)) && unknown(at(9, Chain::Polygon)));
    let other = named("own", Chain::Polygon, "desk-2");
    assert!(matches!(other, Err(NoRecipient::OtherDesk(_))));
    let late = name("late");
    let ask_late = |now| ask(Payee::Named(&late), Chain::Polygon, "desk-1", now);
    assert!(matches!(ask_late(NOW), Err(NoRecipient::Waits { .. })));
    assert!(ask_late(NOW + Duration::microseconds(1)).is_ok());
}

#[test]
fn two_of_one_name_are_no_register_and_one_address_has_one_id_on_each_chain() {
    let mut register = Register::default();
    register.insert(one("a", Chain::Polygon, 1, None)).unwrap();
    register.insert(one("a", Chain::Amoy, 1, None)).unwrap_err();
    let address = Address([1; 20]);
    assert_ne!(id(Chain::Polygon, address), id(Chain::Amoy, address));
    assert_eq!(id(Chain::Amoy, address), id(Chain::Amoy, address));
}
