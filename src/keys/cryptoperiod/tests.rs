use std::collections::BTreeMap;

use super::*;
use crate::custody::Algorithm;
use crate::id::KeyId;

const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn at(days: i64) -> OffsetDateTime {
    START + Duration::days(days)
}

fn key(state: KeyState) -> Key {
    let name = || "k".parse().unwrap();
    Key {
        id: KeyId::new(),
        name: name(),
        purpose: Purpose::Client,
        algorithm: Algorithm::Rsa2048,
        backend: name(),
        environment: name(),
        owner: name(),
        state,
        epoch: 1,
        public_key: None,
        attributes: BTreeMap::default(),
        origin: crate::keys::Origin::Created,
        device_ref: None,
        created_at: START,
        cryptoperiod_ends_at: at(180),
        stated: crate::authority::Version::default(),
    }
}

#[test]
fn each_threshold_is_due_until_the_next_and_then_every_hour() {
    let due = |purpose: Purpose, left: Duration| purpose.reminder_due(START + left, START);
    for (left, hours) in [
        (Duration::days(61), None),
        (Duration::days(60), Some(60 * 24)),
        (Duration::days(31), Some(60 * 24)),
        (Duration::days(30), Some(30 * 24)),
        (Duration::hours(25), Some(3 * 24)),
        (Duration::hours(24), Some(24)),
        (Duration::seconds(1), Some(24)),
        (Duration::ZERO, Some(0)),
        (Duration::minutes(-59), Some(0)),
        (Duration::hours(-1), Some(-1)),
        (Duration::days(-2), Some(-48)),
    ] {
        assert_eq!(due(Purpose::Client, left), hours, "{left}");
    }
    assert_eq!(due(Purpose::Wallet, Duration::days(91)), None);
    assert_eq!(due(Purpose::Wallet, Duration::days(90)), Some(90 * 24));
    assert_eq!(due(Purpose::Wallet, Duration::days(3)), Some(7 * 24));
}

#[test]
fn a_period_never_passes_its_maximum_and_never_comes_back() {
    let active = key(KeyState::Active);
    assert_eq!(change(&active, at(90), at(1)), Ok(false));
    assert_eq!(change(&active, at(730), at(1)), Ok(true));
    let second = Duration::seconds(1);
    for (ends_at, now, why) in [
        (at(730) + second, at(1), BadPeriod::TooLong(730)),
        (at(1), at(1), BadPeriod::Past),
        (at(180), at(1), BadPeriod::Same),
        (at(200), at(180), BadPeriod::Over),
    ] {
        assert_eq!(change(&active, ends_at, now), Err(why));
    }
    for state in KeyState::ALL {
        let alive = ["pre-activation", "active", "retiring", "suspended"];
        let changed = change(&key(state), at(90), at(1));
        assert_eq!(
            changed.is_ok(),
            alive.contains(&state.name()),
            "{}",
            state.name()
        );
    }
}
