use super::*;

const SIGNER: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const STRANGER: Address = Address([7; 20]);

fn signer() -> Address {
    SIGNER.parse().unwrap()
}

fn new(chain: u64, kind: u8, funder: Option<Address>, session_key: bool) -> NewWallet {
    serde_json::from_value(serde_json::json!({
        "name": "w", "owner": "d", "key": "k", "chainId": chain, "signatureType": kind,
        "funder": funder, "session_key": session_key,
    }))
    .unwrap()
}

/// What creating the wallet does: the funder on record, and whether it had to be said.
fn create(new: &NewWallet, unverified: bool) -> Result<(Option<Address>, bool), FunderError> {
    let funder = choose(new, signer())?;
    let profile = Profile::new(
        new.chain,
        new.signature_type,
        signer(),
        funder,
        new.session_key,
    )
    .unwrap();
    let unverified = check(&profile, unverified)?;
    Ok((funder, unverified))
}

#[test]
fn a_funder_that_was_not_said_is_derived_where_there_is_one() {
    let derived = Derived::of(signer());
    for (kind, funder) in [(0, None), (1, Some(derived.proxy)), (2, Some(derived.safe))] {
        assert_eq!(
            create(&new(137, kind, None, false), false),
            Ok((funder, false))
        );
    }
    for (chain, kind) in [(137, 3), (80002, 1), (80002, 2), (80002, 3)] {
        let missing = create(&new(chain, kind, None, false), true).unwrap_err();
        assert!(matches!(missing, FunderError::Missing(..)), "{missing}");
        let named = missing
            .to_string()
            .contains(&derived.deposit_wallet.to_string());
        assert_eq!(named, chain == 137, "{missing}");
    }
}

#[test]
fn the_key_s_own_wallet_is_taken_and_no_other_unless_it_is_said() {
    let derived = Derived::of(signer());
    let own = [
        (1, derived.proxy),
        (2, derived.safe),
        (3, derived.deposit_wallet),
        (3, derived.deposit_wallet_uups),
    ];
    for kind in 1..=3 {
        for (of, funder) in own.into_iter().chain([(0, signer()), (9, STRANGER)]) {
            let wallet = new(137, kind, Some(funder), false);
            if of == kind {
                // Said without need, it is not on record.
                assert_eq!(create(&wallet, true), Ok((Some(funder), false)));
                assert_eq!(create(&wallet, false), Ok((Some(funder), false)));
                continue;
            }
            let refusal = create(&wallet, false).unwrap_err();
            let said = refusal.to_string();
            for (_, address) in own {
                assert!(said.contains(&address.to_string()), "{said}");
            }
            let fits = format!("it fits signatureType {of}");
            assert_eq!(said.contains(&fits), of != 9, "{said}");
            assert_eq!(create(&wallet, true), Ok((Some(funder), true)));
            let amoy = new(80002, kind, Some(funder), false);
            assert_eq!(create(&amoy, false), Ok((Some(funder), false)));
        }
    }
}

#[test]
fn a_session_key_s_wallet_has_to_be_said() {
    let wallet = new(137, 3, Some(STRANGER), true);
    assert_eq!(
        create(&wallet, false),
        Err(FunderError::SessionKey(STRANGER))
    );
    assert_eq!(create(&wallet, true), Ok((Some(STRANGER), true)));
}

#[test]
fn who_uses_an_unverified_wallet_is_told() {
    let derived = Derived::of(signer());
    for chain in [Chain::Polygon, Chain::Amoy] {
        for (kind, funder, told) in [
            (SignatureType::Eoa, None, false),
            (SignatureType::PolyProxy, Some(derived.proxy), false),
            (SignatureType::PolyProxy, Some(derived.safe), true),
            (SignatureType::Poly1271, Some(STRANGER), true),
        ] {
            let profile = Profile::new(chain, kind, signer(), funder, false).unwrap();
            assert_eq!(warnings(&profile, &derived).len(), usize::from(told));
        }
    }
}
