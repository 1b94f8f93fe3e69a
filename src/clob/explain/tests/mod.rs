mod bodies;
mod signatures;

use std::collections::BTreeSet;

use k256::ecdsa::SigningKey;
use k256::ecdsa::signature::hazmat::PrehashSigner;
use ruint::aliases::U256;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::clob::{Order, Profile, SignatureType};
use crate::ethereum::eip712::{self, Domain};
use crate::ethereum::{Signature, keccak256};

const NOW_MS: i64 = 1_700_000_000_123;
const TOKEN: &str = "71321045679252212594626385532706912750332728571942532289631379312455583992563";

fn key(seed: &str) -> SigningKey {
    SigningKey::from_slice(&keccak256(seed)).unwrap()
}

fn address(key: &SigningKey) -> Address {
    Address::of(&k256::PublicKey::from(key.verifying_key()))
}

fn sign(key: &SigningKey, digest: &[u8; 32]) -> Signature {
    let raw: k256::ecdsa::Signature = key.sign_prehash(digest).unwrap();
    let public = k256::PublicKey::from(key.verifying_key());
    Signature::check(&raw.to_bytes().into(), digest, &public).unwrap()
}

/// An order of our key, as it is posted, with its own wallet as maker.
fn signed(kind: u8, request: Value) -> Value {
    let key = key("owner");
    let kind = SignatureType::try_from(kind).unwrap();
    let own = Derived::of(address(&key));
    let funder = match kind {
        SignatureType::Eoa => None,
        SignatureType::PolyProxy => Some(own.proxy),
        SignatureType::PolyGnosisSafe => Some(own.safe),
        SignatureType::Poly1271 => Some(own.deposit_wallet),
    };
    let profile = Profile::new(Chain::Polygon, kind, address(&key), funder, false).unwrap();
    let mut all = json!({
        "tokenID": TOKEN, "side": "BUY", "price": "0.56", "size": "21.04", "tickSize": "0.01",
        "negRisk": false, "owner": "6f1d1f3a-0000-4000-8000-000000000001",
    });
    let Value::Object(request) = request else {
        panic!("members")
    };
    all.as_object_mut().unwrap().extend(request);
    let request: crate::clob::OrderRequest = serde_json::from_value(all).unwrap();
    let terms = crate::clob::Terms::given(&request.given_terms()).unwrap();
    let (salt, now) = (123_456_789, NOW_MS);
    let order = Order::build(&request, &terms, &profile, salt, now, now / 1000).unwrap();
    order.signed(&sign(&key, order.digest())).envelope.unwrap()
}

/// The order with other members, signed as `style` under a domain of our choice.
fn resigned(mut posted: Value, changes: Value, style: search::Style, domain: &Domain) -> Value {
    change(&mut posted, changes);
    let raw = RawValue::from_string(posted.to_string()).unwrap();
    let given = given::Given::read(&raw).unwrap();
    let fields = given.fields().unwrap();
    let format = if fields.expiring.is_some() {
        Version::V1.format()
    } else {
        Version::V2.format()
    };
    let separator = domain.separator();
    let digest = match style {
        search::Style::Plain => eip712::digest(&separator, &fields.struct_hash(format).unwrap()),
        search::Style::Nested => {
            given::nested_digest(&fields, format, &separator, domain.chain_id).unwrap()
        }
        search::Style::Personal => {
            let inner = eip712::digest(&separator, &fields.struct_hash(format).unwrap());
            let message = [b"\x19Ethereum Signed Message:\n32".as_slice(), &inner].concat();
            keccak256(message)
        }
    };
    posted["order"]["signature"] = json!(sign(&key("owner"), &digest).to_string());
    posted
}

fn change(posted: &mut Value, changes: Value) {
    let Value::Object(changes) = changes else {
        panic!("members")
    };
    posted["order"].as_object_mut().unwrap().extend(changes);
}

fn changed(mut posted: Value, changes: Value) -> Value {
    change(&mut posted, changes);
    posted
}

fn read(posted: &Value) -> Subject {
    let raw = RawValue::from_string(posted.to_string()).unwrap();
    Subject::read(&raw).unwrap()
}

fn codes(posted: &Value, expected: &Expected) -> Vec<Code> {
    let answer = read(posted).explain(expected, &silent());
    answer.findings.iter().map(|it| it.code).collect()
}

fn silent() -> Refusal {
    Refusal::default()
}

fn refused(text: &str) -> Refusal {
    let text = Some(text.to_owned());
    Refusal { text, ..silent() }
}

fn none() -> Expected {
    Expected::default()
}

fn v2() -> Domain {
    Version::V2.exchange(Chain::Polygon, false).domain
}

/// The signature's bytes, changed.
fn with_signature(posted: Value, change: impl Fn(&mut Vec<u8>)) -> Value {
    let text = posted["order"]["signature"].as_str().unwrap();
    let mut bytes = hex::decode(&text[2..]).unwrap();
    change(&mut bytes);
    let text = format!("0x{}", hex::encode(bytes));
    changed(posted, json!({ "signature": text }))
}

fn other_s(bytes: &mut [u8]) {
    let half = k256::ecdsa::Signature::from_slice(&bytes[..64]).unwrap();
    let s = -*half.s();
    bytes[32..64].copy_from_slice(&s.to_bytes());
}

#[test]
fn each_entry_of_the_catalogue_is_found_where_it_is_the_only_thing_wrong() {
    let mut seen = BTreeSet::from([Code::Changed]); // `every_change_of_an_order_from_here_is_named`
    for (code, posted, expected) in signatures::cases().into_iter().chain(bodies::cases()) {
        let found = codes(&posted, &expected);
        // A salt that was rounded was too large before.
        let alone = match code {
            Code::SaltRounded => vec![Code::SaltRounded, Code::SaltTooLarge],
            code => vec![code],
        };
        assert_eq!(found, alone, "{posted} {expected:?}");
        seen.insert(code);
    }
    let all: BTreeSet<_> = Code::ALL.iter().copied().collect();
    assert_eq!(seen, all, "an entry without a case");
}

/// Two texts of the venue name different decimals, and neither is answered with the other's.
#[test]
fn advice_follows_the_decimals_that_the_venue_names() {
    let text = |maker: u32, taker: u32| {
        refused(&format!(
            "invalid amounts, the market buy orders maker amount supports a max accuracy of {maker} decimals, taker amount a max of {taker} decimals"
        ))
    };
    // 11.7824 for 21.04
    let posted = signed(0, json!({}));
    for (maker, taker, found) in [(2, 4, true), (4, 2, false), (4, 1, true), (5, 5, false)] {
        for subject in [read(&posted), read(&posted["order"])] {
            let answer = subject.explain(&none(), &text(maker, taker));
            let fine = answer
                .findings
                .iter()
                .find(|it| it.code == Code::AmountsTooFine);
            assert_eq!(fine.is_some(), found, "{maker} {taker}: {answer:?}");
            if let Some(fine) = fine {
                let said = format!("{maker} decimals of makerAmount and {taker} of takerAmount");
                assert!(fine.detail.contains(&said), "{}", fine.detail);
                let digits = |text: &str| text.contains(|c: char| c.is_ascii_digit());
                assert!(!digits(fine.action), "it names no others: {}", fine.action);
            }
            let known = answer.known_error.unwrap();
            let said = format!("to {maker} decimals and the taker amount to {taker}");
            assert!(known.action.contains(&said), "{}", known.action);
        }
    }
}

#[test]
fn an_order_without_fault_fits() {
    for kind in 0..=3 {
        for version in [1, 2, 3] {
            for neg_risk in [false, true] {
                if (kind, version) == (3, 1) {
                    continue;
                }
                let posted = signed(kind, json!({ "version": version, "negRisk": neg_risk }));
                let expected = Expected {
                    version: Some(Version::try_from(version).unwrap()),
                    chain: Some(Chain::Polygon),
                    neg_risk: Some(neg_risk),
                    tick: Some("0.01".parse().unwrap()),
                    ..none()
                };
                for expected in [none(), expected] {
                    let answer = read(&posted).explain(&expected, &refused("invalid signature"));
                    assert_eq!(answer.verdict, Verdict::Fits, "{posted}: {answer:?}");
                    assert!(answer.known_error.is_some());
                    let signed_for = answer.signed_for.unwrap();
                    assert_eq!(signed_for.version.map(u8::from), Some(version));
                    assert_eq!(signed_for.signer, address(&key("owner")));
                    let without_envelope = read(&posted["order"]);
                    let answer = without_envelope.explain(&expected, &silent());
                    assert_eq!(answer.verdict, Verdict::Fits);
                }
            }
        }
    }
}

#[test]
fn what_is_not_in_the_list_is_none_of_these() {
    for seed in 0..4_u8 {
        let junk = keccak256([seed]);
        let number = u64::from_be_bytes(junk[..8].try_into().unwrap()) >> 20;
        let other = Address::of(&k256::PublicKey::from(key("another").verifying_key()));
        let expected = Expected {
            version: Some(Version::V2),
            chain: Some(Chain::Polygon),
            neg_risk: Some(false),
            ..none()
        };
        for changes in [
            json!({ "tokenId": number.to_string() }),
            json!({ "salt": number }),
            json!({ "makerAmount": "11700000", "takerAmount": "19500000" }),
            json!({ "timestamp": number.to_string(), "side": "SELL" }),
            json!({ "maker": other, "signer": other }),
            json!({ "metadata": format!("0x{}", hex::encode(junk)), "tokenId": "1" }),
        ] {
            let posted = changed(signed(0, json!({})), changes);
            let answer = read(&posted).explain(&expected, &silent());
            assert_eq!(answer.verdict, Verdict::NoneOfThese, "{posted}: {answer:?}");
        }
    }
}

#[test]
fn every_change_of_an_order_from_here_is_named() {
    for kind in 0..=3 {
        for version in [1, 2, 3] {
            if (kind, version) == (3, 1) {
                continue;
            }
            let posted = signed(kind, json!({ "version": version }));
            let answer = json!({ "order": posted["order"], "envelope": posted });
            let recorded = Recorded::of(answer.to_string().as_bytes()).unwrap();
            let explained = |posted: &Value| {
                let (answer, changes) =
                    read(posted).explain_recorded(&recorded, &none(), &silent());
                let of_changes = answer.findings.iter().filter(|it| it.code == Code::Changed);
                assert_eq!(of_changes.count(), changes.len());
                changes.into_iter().map(|it| it.field).collect::<Vec<_>>()
            };
            assert!(explained(&posted).is_empty());
            let lower = posted.to_string().replace("\"BUY\"", "0");
            assert!(explained(&serde_json::from_str(&lower).unwrap()).is_empty());
            for name in posted["order"].as_object().unwrap().keys() {
                let value = &posted["order"][name];
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                let last = text.chars().last().unwrap();
                let other = if last == '1' { '2' } else { '1' };
                let near = format!("{}{other}", &text[..text.len() - 1]).to_lowercase();
                for wrong in [json!(near), json!("junk"), Value::Null] {
                    let wrong = changed(posted.clone(), json!({ name: wrong }));
                    assert_eq!(explained(&wrong), [name.as_str()], "{wrong}");
                }
                let mut without = posted.clone();
                without["order"].as_object_mut().unwrap().remove(name);
                assert_eq!(explained(&without), [name.as_str()]);
            }
            for (name, value) in [
                ("owner", json!("another")),
                ("orderType", json!("GTD")),
                ("postOnly", json!(true)),
                ("deferExec", json!(true)),
            ] {
                let mut wrong = posted.clone();
                wrong[name] = value;
                assert_eq!(explained(&wrong), [name]);
            }
        }
    }
}

#[test]
fn what_is_no_order_is_refused_and_what_is_long_too() {
    let subject = |text: &str| Subject::read(&RawValue::from_string(text.to_owned()).unwrap());
    for text in ["[]", "1", "\"order\"", "null", r#"{"order": 1}"#] {
        assert_eq!(subject(text).unwrap_err(), NotAnOrder::Shape, "{text}");
    }
    let long = format!(r#"{{"salt": "{}"}}"#, "1".repeat(1000));
    assert_eq!(subject(&long).unwrap_err(), NotAnOrder::TooLong);
    let empty = subject("{}").unwrap().explain(&none(), &silent());
    assert_eq!(empty.verdict, Verdict::Found);
    assert!(empty.findings.iter().all(|it| it.code == Code::Malformed));
}

#[test]
fn the_worst_order_is_bounded_and_no_number_is_too_large() {
    let largest = U256::MAX.to_string();
    for changes in [
        json!({ "salt": 17_345_678_901_234_567_891_u64, "tokenId": "5" }),
        json!({ "salt": largest, "makerAmount": largest, "takerAmount": "1", "timestamp": largest }),
        json!({ "makerAmount": "1", "takerAmount": largest, "side": "SELL" }),
        json!({ "makerAmount": "1267650600228229401496703205375", "takerAmount": "1", "tokenId": "5" }),
        json!({ "makerAmount": "1", "takerAmount": "1267650600228229401496703205375", "tokenId": "5" }),
        json!({ "salt": "1e77", "makerAmount": "0.5e1", "takerAmount": "7e0" }),
    ] {
        let posted = changed(signed(0, json!({})), changes);
        let answer = read(&posted["order"]).explain(&none(), &silent());
        assert_eq!(answer.signed_for, None, "{answer:?}");
    }
}
