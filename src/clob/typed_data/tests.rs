use serde_json::{Value, json};

use super::*;
use crate::ethereum::eip712::Bytes32;

/// How a library writes typed data.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// Text; decimal text, lower case.
    EthersV5,
    /// Text; the chain in hexadecimal.
    EthersV6,
    /// Text, in another order; small integers as numbers, addresses with checksum.
    Viem,
    /// An object; hexadecimal.
    Alloy,
    /// An object with spaces; integers of any width as numbers.
    Web3Py,
}

const FORMS: [Form; 5] = [
    Form::EthersV5,
    Form::EthersV6,
    Form::Viem,
    Form::Alloy,
    Form::Web3Py,
];

impl Form {
    /// One member's value. `kind` is its type.
    fn value(self, name: &str, kind: &str, value: &Value) -> String {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        if !kind.starts_with("uint") {
            let text = match (kind, self) {
                ("address", Self::EthersV5 | Self::EthersV6 | Self::Alloy) => text.to_lowercase(),
                _ => text,
            };
            return json!(text).to_string();
        }
        let number: U256 = text.parse().unwrap();
        match (self, name) {
            (Self::Web3Py, _) | (Self::Viem, "chainId" | "side" | "nonce") => text,
            (Self::EthersV6, "chainId") | (Self::Alloy, _) => format!("\"{number:#x}\""),
            _ => format!("\"{text}\""),
        }
    }

    fn object(self, fields: &[(String, String)], values: &Value) -> String {
        let member = |(kind, name): &(String, String)| {
            let value = match kind.as_str() {
                "Order" => values[name].as_str().unwrap().to_owned(), // written already
                _ => self.value(name, kind, &values[name]),
            };
            format!("{}:{value}", json!(name))
        };
        let members: Vec<_> = fields.iter().map(member).collect();
        format!("{{{}}}", members.join(","))
    }

    /// The whole, as the second of the parameters.
    fn typed_data(self, types: &[&str], domain: &Value, message: &str) -> String {
        let with_contract = domain["verifyingContract"].is_string();
        let domain_type = if with_contract {
            "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
        } else {
            "EIP712Domain(string name,string version,uint256 chainId)"
        };
        let shown: serde_json::Map<String, Value> = types
            .iter()
            .chain([&domain_type])
            .map(|encode_type| {
                let fields = fields(encode_type);
                let list = fields
                    .iter()
                    .map(|(kind, name)| json!({"name": name, "type": kind}));
                (name(encode_type).to_owned(), list.collect())
            })
            .collect();
        let shown = Value::from(shown);
        let (domain, primary) = (self.object(&fields(domain_type), domain), name(types[0]));
        let whole = match self {
            Self::Viem => format!(
                r#"{{"domain":{domain},"message":{message},"primaryType":"{primary}","types":{shown}}}"#
            ),
            _ => format!(
                r#"{{ "types": {shown}, "domain": {domain}, "primaryType": "{primary}", "message": {message} }}"#
            ),
        };
        match self {
            Self::EthersV5 | Self::EthersV6 | Self::Viem => json!(whole).to_string(),
            Self::Alloy | Self::Web3Py => whole,
        }
    }
}

fn name(encode_type: &str) -> &str {
    encode_type.split('(').next().unwrap()
}

/// Type and name of each field.
fn fields(encode_type: &str) -> Vec<(String, String)> {
    let list = encode_type.split_once('(').unwrap().1.trim_end_matches(')');
    let field = |field: &str| {
        let (kind, name) = field.split_once(' ').unwrap();
        (kind.to_owned(), name.to_owned())
    };
    list.split(',').map(field).collect()
}

fn read(json: &str) -> Result<TypedData, TypedDataError> {
    TypedData::read(serde_json::from_str(json).unwrap())
}

/// An order of the vectors in a form.
fn order_in(form: Form, outcome: &Value) -> String {
    let (domain, members) = (&outcome["domain"], &outcome["struct"]);
    let version = Version::of_text(domain["version"].as_str().unwrap()).unwrap();
    let order_type = version.format().order_type;
    let order = form.object(&fields(order_type), members);
    if outcome["typedDataSign"].is_null() {
        return form.typed_data(&[order_type], domain, &order);
    }
    let mut outer = outcome["typedDataSign"].clone();
    outer["contents"] = json!(order);
    let message = form.object(&fields(contracts::NESTED), &outer);
    form.typed_data(&[contracts::NESTED, order_type], domain, &message)
}

fn profile_of(outcome: &Value, input: &Value) -> Profile {
    let kind = u8::try_from(outcome["struct"]["signatureType"].as_u64().unwrap()).unwrap();
    let address = |value: &Value| value.as_str().unwrap().parse::<Address>().unwrap();
    let maker = address(&outcome["struct"]["maker"]);
    let signer = match kind {
        3 => Address([7; 20]),
        _ => address(&outcome["struct"]["signer"]),
    };
    Profile::new(
        input["chainId"].as_u64().unwrap().try_into().unwrap(),
        kind.try_into().unwrap(),
        signer,
        (maker != signer).then_some(maker),
        false,
    )
    .unwrap()
}

#[test]
fn an_order_in_every_librarys_form_gets_the_clients_digest() {
    let mut seen = [0_u32; 2];
    for file in [
        include_str!("../../../tests/vectors/clob-v1-orders.json"),
        include_str!("../../../tests/vectors/clob-v2-orders.json"),
        include_str!("../../../tests/vectors/clob-v3-orders.json"),
    ] {
        let file: Value = serde_json::from_str(file).unwrap();
        for case in file["cases"].as_array().unwrap() {
            let Some(reference) = case["reference"].as_u64() else {
                continue;
            };
            let outcome = &case["outcomes"][usize::try_from(reference).unwrap()];
            let profile = profile_of(outcome, &case["input"]);
            seen[usize::from(!outcome["typedDataSign"].is_null())] += 1;
            for form in FORMS {
                let what = format!("{} {form:?}", case["id"]);
                let TypedData::Order(order) = read(&order_in(form, outcome)).expect(&what) else {
                    panic!("{what} is an order");
                };
                let order = order.order(&profile, 0).expect(&what);
                assert_eq!(json!(Bytes32(*order.digest())), outcome["digest"], "{what}");
                assert_eq!(
                    json!(Bytes32(*order.order_hash())),
                    outcome["orderHash"],
                    "{what}"
                );
            }
        }
    }
    assert!(seen[0] > 200 && seen[1] > 20, "{seen:?}");
}

#[test]
fn a_login_in_every_librarys_form_gets_the_clients_digest() {
    let file = include_str!("../../../tests/vectors/clob-l1-auth.json");
    let file: Value = serde_json::from_str(file).unwrap();
    let cases = file["cases"].as_array().unwrap();
    for case in cases {
        for form in FORMS {
            let message = form.object(&fields(l1::TYPE), &case["struct"]);
            let data = form.typed_data(&[l1::TYPE], &case["domain"], &message);
            let what = format!("{} {form:?}", case["id"]);
            let TypedData::Login(login) = read(&data).expect(&what) else {
                panic!("{what} is a login");
            };
            assert_eq!(json!(Bytes32(login.digest())), case["digest"], "{what}");
        }
    }
    assert!(cases.len() > 30);
}

/// The first case of the vectors with this tag in its types, as an object.
fn sample(file: &str, kind: u64) -> Value {
    let file: Value = serde_json::from_str(file).unwrap();
    let cases = file["cases"].as_array().unwrap();
    let found = cases.iter().find_map(|case| {
        let outcome = &case["outcomes"][usize::try_from(case["reference"].as_u64()?).unwrap()];
        (outcome["struct"]["signatureType"] == kind).then(|| outcome.clone())
    });
    let text = order_in(Form::EthersV5, &found.unwrap());
    let text: String = serde_json::from_str(&text).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn v1() -> Value {
    sample(
        include_str!("../../../tests/vectors/clob-v1-orders.json"),
        0,
    )
}

fn v2() -> Value {
    sample(
        include_str!("../../../tests/vectors/clob-v2-orders.json"),
        0,
    )
}

fn type3() -> Value {
    sample(
        include_str!("../../../tests/vectors/clob-v2-orders.json"),
        3,
    )
}

fn login() -> Value {
    let file = include_str!("../../../tests/vectors/clob-l1-auth.json");
    let file: Value = serde_json::from_str(file).unwrap();
    let case = &file["cases"][0];
    let message = Form::EthersV5.object(&fields(l1::TYPE), &case["struct"]);
    let text = Form::EthersV5.typed_data(&[l1::TYPE], &case["domain"], &message);
    serde_json::from_str(&serde_json::from_str::<String>(&text).unwrap()).unwrap()
}

#[test]
#[rustfmt::skip]
fn what_is_not_exactly_ours_is_refused_with_the_reason() {
    let adapter = "0xd91E80cF2E7be2e162c6513ceD06f1dD0dA35296";
    let v1_exchange = "0x4bFb41d5B3570DeFd03C39a9A4D8dE6Bd8B8982E";
    let beyond = format!("0x1{}", "0".repeat(64));
    let field = |name: &str, kind: &str| json!({"name": name, "type": kind});
    let joined = json!([field("salt,address maker", "uint256")]);
    for (base, pointer, value, said) in [
        (v1(), "/primaryType", json!("Mail"), "Mail"),
        (v1(), "/primaryType", json!("ClobAuth"), "ClobAuth is missing"),
        (v1(), "/more", json!(1), "more"),
        (v1(), "/types/Order", json!([field("salt", "uint256")]), "types: Order"),
        (v1(), "/types/Order", joined, "types: Order"),
        (v1(), "/types/Order/0/type", json!("uint128"), "types: Order"),
        (v1(), "/types/Order/0/indexed", json!(true), "indexed"),
        (v1(), "/types/Mail", json!([field("a", "string")]), "Mail"),
        (v1(), "/types/EIP712Domain", json!([]), "EIP712Domain"),
        (v1(), "/types/EIP712Domain/0/name", json!("title"), "EIP712Domain"),
        (v1(), "/domain/name", json!("Polymarket CTF Exchange "), "name"),
        (v1(), "/domain/version", json!("2"), "another type"),
        (v1(), "/domain/version", json!("4"), "version"),
        (v1(), "/domain/version", json!(1), "version"),
        (v1(), "/domain/chainId", json!(1), "chainId 1"),
        (v1(), "/domain/chainId", json!("0x1"), "chainId 1"),
        (v1(), "/domain/chainId", json!(80002), "chain 80002"),
        (v1(), "/domain/salt", json!("0x00"), "salt"),
        (v1(), "/domain/verifyingContract", json!(adapter), "0xC5d563A36AE78145C45a50134d48A1215220f80a"),
        (v1(), "/domain/verifyingContract", json!(format!("0x{}", "11".repeat(20))), "not an exchange"),
        (v2(), "/domain/verifyingContract", json!(v1_exchange), "of version 1"),
        (v1(), "/message/salt", json!("0"), "2^53"),
        (v1(), "/message/salt", json!("9007199254740992"), "double"),
        (v1(), "/message/salt", json!(beyond), "2^256"),
        (v1(), "/message/makerAmount", json!("0"), "nothing"),
        (v1(), "/message/takerAmount", json!("-1"), "takerAmount"),
        (v1(), "/message/makerAmount", json!("99999999999999"), "price above 1"),
        (v1(), "/message/makerAmount", json!("1000000000000000000"), "more than anybody has"),
        (v1(), "/message/side", json!(2), "side"),
        (v1(), "/message/side", json!("BUY"), "side"),
        (v1(), "/message/signatureType", json!(4), "signatureType"),
        (v1(), "/message/signatureType", json!(3), "TypedDataSign"),
        (v1(), "/message/expiration", json!("18446744073709551616"), "expiration"),
        (v1(), "/message/maker", json!("0x00"), "maker"),
        (v1(), "/message/maker", json!("0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"), "checksum"),
        (v1(), "/message/timestamp", json!("1"), "timestamp"),
        (v2(), "/message/metadata", json!("0x00"), "metadata"),
        (v2(), "/message/builder", json!(null), "builder"),
        (type3(), "/message/name", json!("Wallet"), "name"),
        (type3(), "/message/version", json!("2"), "version"),
        (type3(), "/message/chainId", json!(1), "chainId"),
        (type3(), "/message/verifyingContract", json!(adapter), "verifyingContract"),
        (type3(), "/message/salt", json!(format!("0x{}1", "0".repeat(63))), "salt"),
        (type3(), "/message/contents/signatureType", json!(2), "signatureType"),
        (type3(), "/message/more", json!(1), "more"),
        (type3(), "/primaryType", json!("Order"), "TypedDataSign"),
        (login(), "/domain/name", json!("ClobAuth"), "ClobAuthDomain"),
        (login(), "/domain/version", json!("2"), "version"),
        (login(), "/domain/chainId", json!(1), "chainId 1"),
        (login(), "/domain/verifyingContract", json!(adapter), "verifyingContract"),
        (login(), "/message/message", json!("I agree"), "message"),
        (login(), "/message/nonce", json!("18446744073709551616"), "nonce"),
        (login(), "/message/timestamp", json!("010000000"), "timestamp"),
        (login(), "/message/timestamp", json!("10000000.0"), "timestamp"),
        (login(), "/message/timestamp", json!(10_000_000), "timestamp"),
        (login(), "/message/timestamp", json!("+10000000"), "timestamp"),
        (login(), "/types/ClobAuth/1/type", json!("uint256"), "types: ClobAuth"),
    ] {
        assert!(read(&base.to_string()).is_ok(), "without the change to {pointer}");
        let mut data = base;
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        data.pointer_mut(parent).unwrap()[last] = value.clone();
        let refused = read(&data.to_string()).expect_err(pointer).to_string();
        assert!(refused.contains(said), "{pointer} {value}: {said:?} not in {refused:?}");
    }
}

#[test]
fn the_domains_type_may_be_left_out() {
    for mut data in [v1(), v2(), type3(), login()] {
        let types = data["types"].as_object_mut().unwrap();
        assert!(types.remove("EIP712Domain").is_some());
        assert!(read(&data.to_string()).is_ok(), "{data}");
    }
}

#[test]
fn an_order_of_another_wallet_is_not_signed() {
    let TypedData::Order(order) = read(&v1().to_string()).unwrap() else {
        panic!("an order");
    };
    let key = order.contents.signer;
    let wallet = |chain, kind, key, funder| Profile::new(chain, kind, key, funder, false).unwrap();
    let other = Address([9; 20]);
    assert!(
        order
            .fits(&wallet(Chain::Polygon, SignatureType::Eoa, key, None))
            .is_ok()
    );
    for (profile, said) in [
        (
            wallet(Chain::Amoy, SignatureType::Eoa, key, None),
            "chainId",
        ),
        (
            wallet(Chain::Polygon, SignatureType::Eoa, other, None),
            "maker",
        ),
        (
            wallet(Chain::Polygon, SignatureType::PolyProxy, key, Some(other)),
            "signatureType",
        ),
    ] {
        let refused = order.order(&profile, 0).unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
    }
    let profile = wallet(Chain::Polygon, SignatureType::Eoa, key, None);
    let refused = order
        .order(&profile, 4_000_000_000)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("expiration"), "{refused}");
}
