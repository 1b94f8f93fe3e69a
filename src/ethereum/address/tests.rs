use super::*;

#[test]
fn the_checksum_is_eip_55s() {
    // The examples of EIP-55.
    for text in [
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ] {
        assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        let lower: Address = text.to_lowercase().parse().unwrap();
        assert_eq!(lower.to_string(), text);
    }
}

#[test]
fn a_mistyped_address_is_refused() {
    let wrong = "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    assert_eq!(wrong.parse::<Address>(), Err(NotAnAddress::Checksum));
    for text in [
        "",
        "0x",
        "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xabc",
        "0xzz",
    ] {
        assert_eq!(
            text.parse::<Address>(),
            Err(NotAnAddress::Malformed),
            "{text}"
        );
    }
}

#[test]
fn a_key_has_its_address() {
    // The first of the well-known development keys.
    let secret =
        hex::decode("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80").unwrap();
    let key = k256::SecretKey::from_slice(&secret).unwrap().public_key();
    let address = Address::of(&key).to_string();
    assert_eq!(address, "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
}
