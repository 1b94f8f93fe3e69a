use super::*;

#[test]
fn nothing_is_sent_to_nobody_or_to_a_contract_of_the_venue() {
    let at = |byte| {
        let mut address = [0; 20];
        address[17] = byte;
        look(Address(address))
    };
    assert_eq!(look(Address::ZERO), Err(Unfit::Nobody));
    assert_eq!((at(0), at(1)), (Err(Unfit::Nobody), Ok(())));
    for exchange in Exchange::all() {
        let contract = exchange.domain.verifying_contract.unwrap();
        assert_eq!(look(contract), Err(Unfit::Contract));
    }
    for contract in Contract::ALL {
        let address = contract.on(Chain::Polygon.id()).unwrap();
        assert_eq!(look(address), Err(Unfit::Contract), "{contract}");
    }
}

#[test]
fn an_address_without_its_checksum_is_refused() {
    let good = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359";
    assert!(Checksummed::try_from(good.to_owned()).is_ok());
    let lower = Checksummed::try_from(good.to_lowercase());
    assert_eq!(lower, Err(NotChecksummed::Without));
    let upper = format!("0x{}", good[2..].to_uppercase());
    assert_eq!(Checksummed::try_from(upper), Err(NotChecksummed::Without));
    let mistyped = good.replace("5d359", "5d358");
    assert!(matches!(
        Checksummed::try_from(mistyped),
        Err(NotChecksummed::NotAnAddress(NotAnAddress::Checksum))
    ));
}
