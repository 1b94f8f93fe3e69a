use super::*;

#[test]
fn a_pem_file_is_the_same_with_other_ends_of_lines() {
    let generator = k256::SecretKey::from_slice(&[1; 32]).unwrap().public_key();
    let (key, other) = (
        PublicKey::Secp256k1(generator),
        PublicKey::Secp256k1(k256::SecretKey::from_slice(&[2; 32]).unwrap().public_key()),
    );
    let pem = key.to_pem();
    for file in [
        pem.clone(),
        pem.trim_end().to_owned(),
        pem.replace('\n', "\r\n"),
        pem.trim_end().replace('\n', "\r\n"),
    ] {
        let quoted = hex::encode(Sha256::digest(&file));
        assert!(is_of_pem(&quoted.to_uppercase(), &key), "{file:?}");
        assert!(!is_of_pem(&quoted, &other), "{file:?}");
    }
    let cut = &hex::encode(Sha256::digest(&pem))[..62];
    assert!(!is_of_pem(cut, &key) && !is_of_pem("", &key));
}

#[test]
fn a_fingerprint_is_recognised_in_every_form_and_only_whole() {
    let rsa = rsa::RsaPublicKey::new(
        rsa::BigUint::from_bytes_be(&[0xc3; 256]),
        rsa::BigUint::from(65_537_u32),
    );
    let key = PublicKey::Rsa(rsa.unwrap());
    let hex = hex::encode(key.fingerprint());
    let pairs: Vec<_> = hex.as_bytes().chunks(2).collect();
    let colons = pairs
        .iter()
        .map(|pair| std::str::from_utf8(pair).unwrap().to_uppercase())
        .collect::<Vec<_>>()
        .join(":");
    let base64 = base64::engine::general_purpose::STANDARD.encode(key.fingerprint());
    for good in [
        &hex,
        &hex.to_uppercase(),
        &colons,
        &format!("SHA256:{base64}"),
        &base64,
        &key.thumbprint(),
        &format!(" {hex}\n"),
    ] {
        assert!(is_of(good, &key), "{good}");
    }
    for bad in [
        "",
        "sha256:",
        &hex[..62],
        &colons[..47],
        &base64[..20],
        "==",
    ] {
        assert!(!is_of(bad, &key), "{bad}");
    }
}
