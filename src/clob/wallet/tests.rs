use super::*;

const KEY: Address = Address([1; 20]);
const WALLET: Address = Address([2; 20]);

fn profile(
    kind: SignatureType,
    funder: Option<Address>,
    session_key: bool,
) -> Result<Profile, ProfileError> {
    Profile::new(Chain::Polygon, kind, KEY, funder, session_key)
}

#[test]
fn numbers_lead_to_the_same_chain_and_type_and_others_nowhere() {
    for id in [137, 80002] {
        assert_eq!(Chain::try_from(id).unwrap().id(), id);
    }
    assert_eq!(Chain::try_from(1), Err(ProfileError::Chain(1)));
    for number in 0..4 {
        assert_eq!(SignatureType::try_from(number).unwrap().number(), number);
    }
    assert_eq!(
        SignatureType::try_from(4),
        Err(ProfileError::SignatureType(4))
    );
}

#[test]
fn parts_that_cannot_belong_together_are_refused() {
    use SignatureType::{Eoa, Poly1271, PolyGnosisSafe};
    assert_eq!(
        profile(Eoa, Some(WALLET), false),
        Err(ProfileError::FunderOfEoa(WALLET))
    );
    assert!(profile(Eoa, Some(KEY), false).is_ok());
    assert_eq!(
        profile(Poly1271, None, false),
        Err(ProfileError::FunderMissing)
    );
    assert_eq!(
        profile(PolyGnosisSafe, Some(WALLET), true),
        Err(ProfileError::SessionKey)
    );
    assert!(profile(Poly1271, Some(WALLET), true).is_ok());
}

#[test]
fn a_deposit_wallet_is_maker_and_signer() {
    let deposit = profile(SignatureType::Poly1271, Some(WALLET), false).unwrap();
    assert_eq!((deposit.maker(), deposit.order_signer()), (WALLET, WALLET));
    let safe = profile(SignatureType::PolyGnosisSafe, Some(WALLET), false).unwrap();
    assert_eq!((safe.maker(), safe.order_signer()), (WALLET, KEY));
    let eoa = profile(SignatureType::Eoa, None, false).unwrap();
    assert_eq!((eoa.maker(), eoa.order_signer()), (KEY, KEY));
}
