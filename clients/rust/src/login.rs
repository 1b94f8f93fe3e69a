//! The login: all of it is known but the second and the nonce. Source: the CLOB documentation's
//! authentication page; EIP-712.

use std::ops::RangeInclusive;

use alloy_primitives::{Address, B256, U256, keccak256};
use serde_json::{Value, json};

const TYPE: &str = "ClobAuth(address address,string timestamp,uint256 nonce,string message)";
const DOMAIN: &str = "EIP712Domain(string name,string version,uint256 chainId)";
const NAME: &str = "ClobAuthDomain";
const VERSION: &str = "1";
const MESSAGE: &str = "This message attests that I control the given wallet";

/// The typed data of the login with this hash, if its time and nonce are among these.
pub(crate) fn find(
    hash: &B256,
    address: Address,
    chain_id: u64,
    times: RangeInclusive<u64>,
    nonces: &[u64],
) -> Option<Value> {
    let separator = hash_of(&[
        keccak256(DOMAIN),
        keccak256(NAME),
        keccak256(VERSION),
        word(chain_id),
    ]);
    let (kind, message) = (keccak256(TYPE), keccak256(MESSAGE));
    for time in times {
        let timestamp = keccak256(time.to_string());
        for nonce in nonces {
            let login = hash_of(&[kind, address.into_word(), timestamp, word(*nonce), message]);
            if keccak256([&[0x19, 0x01], &separator[..], &login[..]].concat()) == *hash {
                return Some(typed_data(address, chain_id, time, *nonce));
            }
        }
    }
    None
}

fn hash_of(words: &[B256]) -> B256 {
    keccak256(words.concat())
}

fn word(number: u64) -> B256 {
    U256::from(number).into()
}

fn typed_data(address: Address, chain_id: u64, time: u64, nonce: u64) -> Value {
    let field = |name: &str, kind: &str| json!({ "name": name, "type": kind });
    json!({
        "types": {
            "EIP712Domain": [field("name", "string"), field("version", "string"), field("chainId", "uint256")],
            "ClobAuth": [
                field("address", "address"), field("timestamp", "string"), field("nonce", "uint256"),
                field("message", "string"),
            ],
        },
        "primaryType": "ClobAuth",
        "domain": { "name": NAME, "version": VERSION, "chainId": chain_id.to_string() },
        "message": {
            "address": address, "timestamp": time.to_string(), "nonce": nonce.to_string(),
            "message": MESSAGE,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_logins_are_found() {
        let file = include_str!("../../../tests/vectors/clob-l1-auth.json");
        let file: Value = serde_json::from_str(file).unwrap();
        let mut found = 0;
        for case in file["cases"].as_array().unwrap() {
            let text = |name: &str| case["struct"][name].as_str().unwrap();
            let nonce: u64 = text("nonce").parse().unwrap();
            let time: u64 = text("timestamp").parse().unwrap();
            let address: Address = text("address").parse().unwrap();
            let chain_id = case["domain"]["chainId"].as_u64().unwrap();
            let hash: B256 = case["digest"].as_str().unwrap().parse().unwrap();
            let near = time.saturating_sub(3)..=time + 3;
            let data = find(&hash, address, chain_id, near.clone(), &[5, nonce]).unwrap();
            assert_eq!(data["message"]["nonce"], case["struct"]["nonce"]);
            assert_eq!(data["message"]["timestamp"], case["struct"]["timestamp"]);
            let data: alloy_dyn_abi::TypedData = serde_json::from_value(data).unwrap();
            assert_eq!(
                data.eip712_signing_hash().unwrap(),
                hash,
                "it is what was asked for"
            );

            assert!(find(&hash, address, chain_id, time + 1..=time + 9, &[nonce]).is_none());
            assert!(find(&hash, Address::ZERO, chain_id, near, &[nonce]).is_none());
            found += 1;
        }
        assert!(found > 30);
    }
}
