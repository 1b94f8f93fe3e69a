use super::*;

#[test]
fn destroyed_is_the_end_and_compromised_never_signs_again() {
    for to in KeyState::ALL {
        assert!(KeyState::Destroyed.step(to).is_err(), "{to:?}");
    }
    assert!(KeyState::Compromised.step(KeyState::Active).is_err());
    assert!(KeyState::Deactivated.step(KeyState::Active).is_err());
}

#[test]
fn what_was_used_never_comes_back_as_new() {
    use KeyState::{Compromised, Deactivated, PreActivation};
    for before in [Deactivated, Compromised] {
        assert!(!before.may_come_back(PreActivation));
        assert!(before.may_come_back(before));
    }
    assert!(!Compromised.may_come_back(Deactivated));
    assert!(PreActivation.may_come_back(PreActivation));
    for before in KeyState::ALL {
        for never in [KeyState::Active, KeyState::Retiring, KeyState::Suspended] {
            assert!(before == never || !before.may_come_back(never));
        }
    }
}

#[test]
fn names_come_back() {
    for state in KeyState::ALL {
        assert_eq!(KeyState::from_name(state.name()), Some(state));
    }
}
