use super::*;

#[test]
fn only_a_key_out_of_use_is_switched_off_and_only_one_that_may_sign_again_on() {
    let those = |enabled| {
        let all = KeyState::ALL.into_iter();
        all.filter(move |state| state.switched(enabled).is_some())
            .collect::<Vec<_>>()
    };
    let (off, on) = (those(false), those(true));
    assert_eq!(
        off,
        [
            KeyState::Suspended,
            KeyState::Deactivated,
            KeyState::Compromised
        ]
    );
    let may = [
        KeyState::PreActivation,
        KeyState::Active,
        KeyState::Retiring,
        KeyState::Suspended,
    ];
    assert_eq!(on, may);
}
