//! The recorded logins: digest, signature and headers must be equal.

use chancery::clob::Chain;
use chancery::clob::l1::{ClobAuth, TYPE};
use chancery::credentials::CredentialNonce;
use chancery::ethereum::{Address, Signature};
use k256::ecdsa::SigningKey;
use k256::ecdsa::signature::hazmat::PrehashSigner;

use crate::recorded;

#[test]
fn a_login_is_signed_as_the_official_clients_sign_it() {
    let file = recorded("clob-l1-auth.json");
    assert_eq!(file["primaryType"], TYPE);
    let cases = file["cases"].as_array().unwrap();

    let mut headers_seen = 0;
    for case in cases {
        let (id, input) = (&case["id"], &case["input"]);
        let digits = input["privateKey"].as_str().unwrap();
        let key = SigningKey::from_slice(&hex::decode(&digits[2..]).unwrap()).unwrap();
        let public = k256::PublicKey::from(key.verifying_key());
        let nonce = input["nonce"].clone();
        let login = ClobAuth {
            chain: Chain::try_from(input["chainId"].as_u64().unwrap()).unwrap(),
            address: Address::of(&public),
            timestamp: input["timestamp"].as_i64().unwrap(),
            nonce: if nonce.is_null() {
                CredentialNonce::default()
            } else {
                serde_json::from_value(nonce).unwrap()
            },
        };
        let hash = |bytes: [u8; 32]| format!("0x{}", hex::encode(bytes));
        assert_eq!(hash(login.struct_hash()), case["structHash"], "{id}");
        assert_eq!(hash(login.digest()), case["digest"], "{id}");

        let raw: k256::ecdsa::Signature = key.sign_prehash(&login.digest()).unwrap();
        let raw: [u8; 64] = raw.to_bytes().into();
        let signature = Signature::check(&raw, &login.digest(), &public).unwrap();
        let ours = login.headers(&signature.to_string());
        for outcome in case["outcomes"].as_array().unwrap() {
            let theirs = outcome["headers"].as_object().unwrap();
            assert_eq!(theirs.len(), ours.len(), "{id}");
            for (name, value) in &ours {
                let theirs = theirs[*name].as_str().unwrap();
                // The Rust clients write the address in lower case.
                let equal =
                    theirs == value || (*name == "POLY_ADDRESS" && theirs == value.to_lowercase());
                assert!(equal, "{id} {name}: {theirs} and {value}");
                headers_seen += 1;
            }
        }
    }
    assert!(headers_seen >= 4 * cases.len());
    println!(
        "clob-l1-auth.json: {} of {} cases",
        cases.len(),
        file["count"]
    );
}
