use time::Duration;
use uuid::Uuid;

use super::*;

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn deed(signer: u8, days: Option<i64>, is_done: bool) -> Deed {
    Deed {
        id: Uuid::from_u128(u128::from(signer)).into(),
        chain_id: 137,
        wallet: Address([9; 20]),
        signer: Address([signer; 20]),
        until: days.map(|days| NOW + Duration::days(days)),
        is_done,
    }
}

#[test]
fn a_key_stands_as_what_was_done_last_says_and_what_is_open_is_told() {
    let says = |deeds: &[(Option<i64>, bool)]| {
        let deeds = deeds.iter().map(|(days, done)| deed(1, *days, *done));
        let all = standing(deeds.collect(), NOW);
        all.first().map(|it| it.state)
    };
    for (deeds, state) in [
        (vec![], None),
        (vec![(Some(1), false)], Some(State::Authorizing)),
        (vec![(Some(1), true)], Some(State::Authorized)),
        (vec![(Some(-1), true)], Some(State::Expired)),
        (vec![(Some(1), true), (None, false)], Some(State::Revoking)),
        (vec![(Some(1), true), (None, true)], Some(State::Revoked)),
        (vec![(None, false)], None),
        (
            vec![(Some(1), true), (None, true), (Some(2), false)],
            Some(State::Authorizing),
        ),
        (
            vec![(Some(1), true), (None, true), (Some(2), true)],
            Some(State::Authorized),
        ),
        (
            vec![(Some(1), true), (Some(2), false)],
            Some(State::Authorized),
        ),
        (
            vec![(Some(-1), true), (Some(2), false)],
            Some(State::Authorizing),
        ),
    ] {
        assert_eq!(says(&deeds), state, "{deeds:?}");
    }
    let two = standing(vec![deed(1, Some(1), true), deed(2, None, true)], NOW);
    assert_eq!(two.len(), 2);
}

#[test]
fn what_is_being_revoked_still_ends_when_it_did() {
    let all = standing(vec![deed(1, Some(3), true), deed(1, None, false)], NOW);
    assert_eq!(all[0].valid_until, Some(NOW + Duration::days(3)));
}
