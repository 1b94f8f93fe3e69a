use super::*;

/// The key of RFC 7638 §3.1.
fn example() -> PublicKey {
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    PublicKey::from_rsa_parts(&URL_SAFE_NO_PAD.decode(n).unwrap(), &[1, 0, 1]).unwrap()
}

/// The generator, whose coordinates SEC 2 §2.4.1 gives.
fn generator() -> PublicKey {
    let point = "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";
    PublicKey::from_ec_point(&hex::decode(point).unwrap()).unwrap()
}

#[test]
fn the_thumbprint_is_rfc_7638s() {
    let thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
    assert_eq!(example().thumbprint(), thumbprint);
    let jwk = example().jwk();
    assert_eq!(jwk["kid"], thumbprint);
    assert_eq!(
        (&jwk["kty"], &jwk["e"], &jwk["alg"], &jwk["use"]),
        (
            &json!("RSA"),
            &json!("AQAB"),
            &json!("RS256"),
            &json!("sig")
        )
    );
}

#[test]
fn a_wallet_key_has_a_jwk_and_an_address() {
    let jwk = generator().jwk();
    assert_eq!(jwk["crv"], "secp256k1");
    assert_eq!(jwk["x"], "eb5mfvncu6xVoGKVzocLBwKb_NstzijZWfKBWxb4F5g");
    assert!(jwk.get("alg").is_none());
    // The address of private key 1 is known to every Ethereum developer.
    let address = generator().address().unwrap().to_string();
    assert_eq!(address, "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf");
    assert_eq!(example().address(), None);
}

#[test]
fn every_key_survives_its_der_and_pem_form() {
    for key in [generator(), example()] {
        let der = key.to_spki_der();
        assert_eq!(PublicKey::from_spki_der(&der).as_ref(), Ok(&key));
        let fingerprint: [u8; 32] = Sha256::digest(&der).into();
        assert_eq!(key.fingerprint(), fingerprint);
        assert_eq!(PublicKey::from_pem(&key.to_pem()).as_ref(), Ok(&key));
        assert!(key.to_pem().starts_with("-----BEGIN PUBLIC KEY-----\n"));
    }
    assert_eq!(generator().to_spki_der().len(), 88);
    assert_eq!(generator().algorithm(), Some(Algorithm::Secp256k1));
    assert_eq!(example().algorithm(), Some(Algorithm::Rsa2048));
    assert_eq!(PublicKey::from_spki_der(&[]), Err(NotAPublicKey));
}

#[test]
fn a_point_is_taken_bare_or_wrapped_and_only_on_the_curve() {
    let PublicKey::Secp256k1(key) = generator() else {
        unreachable!("the generator is a point")
    };
    for compress in [false, true] {
        let bare = key.to_encoded_point(compress).as_bytes().to_vec();
        let length = u8::try_from(bare.len()).unwrap();
        let wrapped = [&[4, length], bare.as_slice()].concat();
        assert_eq!(PublicKey::from_ec_point(&bare), Ok(generator()));
        assert_eq!(PublicKey::from_ec_point(&wrapped), Ok(generator()));
        let mut off_curve = bare.clone();
        *off_curve.last_mut().unwrap() ^= 1;
        if !compress {
            assert_eq!(PublicKey::from_ec_point(&off_curve), Err(NotAPublicKey));
        }
        assert_eq!(PublicKey::from_ec_point(&bare[1..]), Err(NotAPublicKey));
    }
}

#[test]
fn an_exponent_other_than_65537_is_not_a_kind_we_make() {
    let PublicKey::Rsa(key) = example() else {
        unreachable!("the example is RSA")
    };
    let key = PublicKey::from_rsa_parts(&key.n().to_bytes_be(), &[3]).unwrap();
    assert_eq!(key.algorithm(), None);
    assert!(!key.verify_rs256(b"message", &[0; 256]));
}
