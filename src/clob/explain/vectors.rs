//! The recorded orders of the official clients, explained.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::*;

const FILES: [&str; 3] = [
    include_str!("../../../tests/vectors/clob-v1-orders.json"),
    include_str!("../../../tests/vectors/clob-v2-orders.json"),
    include_str!("../../../tests/vectors/clob-v3-orders.json"),
];

fn cases() -> Vec<Value> {
    let read = |text: &&str| serde_json::from_str::<Value>(text).unwrap();
    let files = FILES.iter().map(read);
    files
        .flat_map(|file| file["cases"].as_array().unwrap().clone())
        .collect()
}

fn expected(case: &Value) -> Expected {
    let input = &case["input"];
    Expected {
        version: serde_json::from_value(input["orderVersion"].clone()).unwrap(),
        chain: serde_json::from_value(input["chainId"].clone()).unwrap(),
        neg_risk: input["negRisk"].as_bool(),
        tick: input["tickSize"].as_str().unwrap().parse().ok(),
        signer: Some(signer(input)),
        ..Expected::default()
    }
}

fn signer(input: &Value) -> Address {
    let key = hex::decode(&input["privateKey"].as_str().unwrap()[2..]).unwrap();
    Address::of(&k256::SecretKey::from_slice(&key).unwrap().public_key())
}

fn bodies(outcome: &Value) -> BTreeMap<String, Value> {
    let all = outcome["postBody"].as_object().into_iter().flatten();
    let read = |text: &Value| serde_json::from_str(text.as_str().unwrap()).unwrap();
    all.map(|(client, text)| (client.clone(), read(text)))
        .collect()
}

fn explained(body: &Value, expected: &Expected) -> Explanation {
    let raw = RawValue::from_string(body.to_string()).unwrap();
    Subject::read(&raw)
        .unwrap()
        .explain(expected, &Refusal::default())
}

/// True of an order whoever signed it.
const OF_CONTENTS: [Code; 4] = [
    Code::AmountsZero,
    Code::AmountsTooFine,
    Code::Tick,
    Code::Funder,
];

#[test]
fn what_the_official_clients_sign_has_nothing_wrong_with_its_signature() {
    let mut seen = 0;
    for case in cases() {
        let expected = expected(&case);
        for outcome in case["outcomes"].as_array().unwrap() {
            let contract = &outcome["domain"]["verifyingContract"];
            let adapter = contract == crate::clob::contracts::NEG_RISK_ADAPTER;
            let version = outcome["domain"]["version"].as_str().unwrap();
            let foreign = expected.version.map(Version::text) != Some(version);
            for (client, body) in bodies(outcome) {
                let answer = explained(&body, &expected);
                let found = answer.findings.iter().map(|it| it.code);
                let found: Vec<_> = found.filter(|it| !OF_CONTENTS.contains(it)).collect();
                let id = &case["id"];
                let wrong = match (adapter, foreign) {
                    (true, _) => vec![Code::ExchangeAdapter],
                    (_, true) => vec![Code::Version],
                    _ => vec![],
                };
                assert_eq!(found, wrong, "{id} {client}: {answer:?}");
                assert!(answer.signed_for.is_some());
                seen += 1;
            }
        }
    }
    assert!(seen > 800, "{seen}");
}

#[test]
fn amounts_of_another_client_under_this_one_s_signature_are_recognised() {
    let (mut right, mut wrong) = (0, Vec::new());
    for case in cases() {
        let all = case["outcomes"].as_array().unwrap();
        for (signed, other) in all.iter().flat_map(|a| all.iter().map(move |b| (a, b))) {
            let amounts = |it: &Value| {
                let of = &it["struct"];
                (of["makerAmount"].clone(), of["takerAmount"].clone())
            };
            let domains = (&signed["domain"], &other["domain"]);
            let adapter = crate::clob::contracts::NEG_RISK_ADAPTER;
            let two = domains.0 != domains.1 || domains.0["verifyingContract"] == adapter;
            if two || amounts(signed) == amounts(other) {
                continue;
            }
            // Nothing leads from an order for nothing to what it was meant for.
            if amounts(other).1 == "0" || amounts(other).0 == "0" {
                continue;
            }
            let Some((_, mut body)) = bodies(signed).into_iter().next() else {
                continue;
            };
            let (maker, taker) = amounts(other);
            body["order"]["makerAmount"] = maker;
            body["order"]["takerAmount"] = taker;
            let answer = explained(&body, &expected(&case));
            if answer
                .findings
                .iter()
                .any(|it| it.code == Code::AmountsRounded)
            {
                right += 1;
            } else {
                let input = &case["input"];
                wrong.push(format!(
                    "{} {} {} {} {:?} signed, {:?} given; {:?}",
                    case["id"],
                    case["tags"],
                    input["side"],
                    input["tickSize"],
                    amounts(signed),
                    amounts(other),
                    answer.verdict,
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{right} right; wrong: {wrong:#?}");
}
