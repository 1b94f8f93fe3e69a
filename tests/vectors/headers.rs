//! The recorded headers, and the secrets that clients disagree about.

use chancery::clob::l2;
use chancery::credentials::Kind;
use chancery::ethereum::Address;

use crate::{is_about_a_secret, recorded};

#[test]
fn headers_are_made_as_the_official_clients_make_them() {
    let file = recorded("clob-l2-hmac.json");
    let cases = file["cases"].as_array().unwrap();
    let (mut trading, mut builder) = (0, 0);
    for case in cases {
        let (id, input) = (&case["id"], &case["input"]);
        let text = |member: &str| input[member].as_str().unwrap();
        let kind = match case["kind"].as_str().unwrap() {
            "l2" => Kind::Trading,
            "builder" => Kind::Builder,
            other => panic!("{id}: {other}"),
        };
        let timestamp = input["timestamp"].as_i64().unwrap();
        let body = input["body"].as_str().unwrap_or_default();
        let key = l2::key(text("secret").as_bytes()).unwrap();
        let message = l2::message(timestamp, text("method"), text("requestPath"), body);
        let signature = l2::signature(&l2::mac(&key, &message));
        let address: Address = match kind {
            Kind::Trading => text("address").parse().unwrap(),
            Kind::Builder => Address([0; 20]),
        };
        let ours = l2::headers(
            kind,
            &address,
            text("apiKey"),
            text("passphrase"),
            timestamp,
            &signature,
        );
        let reference = usize::try_from(case["reference"].as_u64().unwrap()).unwrap();
        let outcome = &case["outcomes"][reference];
        assert_eq!(outcome["signature"], signature, "{id}");
        let theirs = outcome["headers"].as_object().unwrap();
        assert_eq!(theirs.len(), ours.len(), "{id}");
        for (name, value) in &ours {
            assert_eq!(theirs[*name], *value, "{id} {name}");
        }
        match kind {
            Kind::Trading => trading += 1,
            Kind::Builder => builder += 1,
        }
    }
    assert!(trading > 0 && builder > 0);
    println!(
        "clob-l2-hmac.json: {trading} of trading keys, {builder} of builders, all of {}",
        cases.len()
    );
}

#[test]
fn a_secret_that_clients_disagree_about_is_refused_or_read_as_one_of_them_does() {
    let file = recorded("clob-invalid.json");
    let cases = file["cases"].as_array().unwrap();
    let secrets: Vec<_> = cases.iter().filter(|it| is_about_a_secret(it)).collect();
    assert!(!secrets.is_empty());
    for case in &secrets {
        let what = case["what"].as_str().unwrap();
        assert_eq!(case["expect"], "either", "{what}");
        let secret = case["input"]["apiCreds"]["secret"].as_str().unwrap();
        let key = l2::key(secret.as_bytes());
        // What is no base64 or nothing at all is refused; what only lacks its padding is a secret.
        let bare = secret.trim_end_matches('=');
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_+/".contains(&b);
        let good = !bare.is_empty() && bare.bytes().all(plain);
        assert_eq!(key.is_some(), good, "{what}");
        if let Some(key) = key {
            let padded = format!("{bare}{}", "=".repeat((4 - bare.len() % 4) % 4));
            assert_eq!(*key, *l2::key(padded.as_bytes()).unwrap(), "{what}");
            assert_eq!(key.len(), bare.len() * 3 / 4, "{what}");
        }
    }
    println!(
        "clob-invalid.json: {} of {} cases, those of api secrets",
        secrets.len(),
        cases.len()
    );
}
