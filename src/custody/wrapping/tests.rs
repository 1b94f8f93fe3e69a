use super::*;

#[test]
fn what_was_wrapped_unwraps_with_its_pair_and_scheme_only() {
    let (pair, other) = (
        WrappingPair::generate().unwrap(),
        WrappingPair::generate().unwrap(),
    );
    let pair = WrappingPair::from_pkcs8(&pair.to_pkcs8().unwrap()).unwrap();
    for scheme in Scheme::ALL {
        for length in [32, 135, 1_217, 2_400] {
            let wrapped = wrap(scheme, &pair.public().unwrap(), &vec![7; length]).unwrap();
            assert_eq!(*pair.unwrap(scheme, &wrapped).unwrap(), vec![7; length]);
        }
    }
    let wrapped = wrap(Scheme::Sha256, &pair.public().unwrap(), &[7; 135]).unwrap();
    let refused = |pair: &WrappingPair, scheme, wrapped: &[u8]| {
        let refused = pair.unwrap(scheme, wrapped);
        assert!(matches!(refused, Err(CustodyError::DoesNotUnwrap)));
    };
    refused(&other, Scheme::Sha256, &wrapped);
    refused(&pair, Scheme::Sha1, &wrapped);
    for at in [0, 383, 384, wrapped.len() - 1] {
        let mut altered = wrapped.clone();
        altered[at] ^= 1;
        refused(&pair, Scheme::Sha256, &altered);
        refused(&pair, Scheme::Sha256, &wrapped[..at]);
    }
    assert_eq!(wrap(Scheme::Sha256, b"no key", &[7; 32]), Err(NotWrapped));
}
