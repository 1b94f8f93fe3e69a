use super::*;

fn address(text: &str) -> [u8; 32] {
    text.parse::<Address>().unwrap().word()
}

#[test]
fn the_example_of_eip_712_comes_out() {
    let domain = Domain {
        name: "Ether Mail",
        version: "1",
        chain_id: 1,
        verifying_contract: "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC".parse().ok(),
    };
    let person = keccak256("Person(string name,address wallet)");
    let cow = [
        keccak256("Cow"),
        address("0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"),
    ];
    let bob = [
        keccak256("Bob"),
        address("0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"),
    ];
    let mail = struct_hash(
        &keccak256("Mail(Person from,Person to,string contents)Person(string name,address wallet)"),
        &[
            struct_hash(&person, &cow),
            struct_hash(&person, &bob),
            keccak256("Hello, Bob!"),
        ],
    );

    assert_eq!(
        hex::encode(domain.separator()),
        "f2cee375fa42b42143804025fc449deafd50cc031ca257e0b194a650a912090f"
    );
    assert_eq!(
        hex::encode(digest(&domain.separator(), &mail)),
        "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2"
    );
}

#[test]
fn bytes32_is_neither_padded_nor_cut() {
    let text = format!("0x{}", "1a".repeat(32));
    assert_eq!(text.parse::<Bytes32>().unwrap().to_string(), text);
    for wrong in [
        "",
        "0x1234",
        &text[2..],
        &format!("{text}00"),
        &text.replace('a', "g"),
    ] {
        assert_eq!(wrong.parse::<Bytes32>(), Err(NotBytes32), "{wrong}");
    }
}
