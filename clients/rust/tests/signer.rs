//! The key against a signer of this test's own.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test panics"
)]

use std::sync::{Arc, Mutex};

use alloy_dyn_abi::TypedData;
use alloy_primitives::{Address, B256, hex, keccak256};
use alloy_signer_2::Signer as _;
use chancery_signer::{Error, RemoteKey};
use k256::ecdsa::SigningKey;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// Calls that arrived, and what to answer instead of a signature.
type Calls = Arc<Mutex<(Vec<Value>, Option<Value>)>>;

fn secret() -> SigningKey {
    // The first of the well-known development keys.
    let bytes = hex!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
    SigningKey::from_slice(&bytes).unwrap()
}

fn address() -> Address {
    Address::from_public_key(secret().verifying_key())
}

fn sign(hash: &B256) -> String {
    let (signature, recovery) = secret().sign_prehash_recoverable(hash.as_slice()).unwrap();
    let v = recovery.to_byte() + 27;
    format!("0x{}{v:02x}", hex::encode(signature.to_bytes()))
}

/// A signer on a port of its own, which hashes the typed data that arrives by itself.
async fn signer() -> (String, Calls) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/rpc", listener.local_addr().unwrap());
    let calls = Calls::default();
    let seen = calls.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let (mut length, mut token) = (0, String::new());
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
                let line = line.trim().to_owned();
                if line.is_empty() {
                    break;
                }
                let Some((name, value)) = line.split_once(": ") else {
                    continue;
                };
                match name.to_lowercase().as_str() {
                    "content-length" => length = value.parse().unwrap(),
                    "authorization" => value.clone_into(&mut token),
                    _ => {}
                }
            }
            assert_eq!(token, "Bearer t");
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["method"], "eth_signTypedData_v4");
            let data: TypedData = serde_json::from_value(body["params"][1].clone()).unwrap();
            let signature = sign(&data.eip712_signing_hash().unwrap());
            let mut answer = json!({ "jsonrpc": "2.0", "id": body["id"], "result": signature });
            {
                let mut calls = seen.lock().unwrap();
                calls.0.push(body["params"].clone());
                if let Some(Value::Object(other)) = &calls.1 {
                    answer.as_object_mut().unwrap().remove("result");
                    answer.as_object_mut().unwrap().extend(other.clone());
                }
            }
            let text = answer.to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                text.len()
            );
            stream.write_all((head + &text).as_bytes()).await.unwrap();
        }
    });
    (url, calls)
}

/// Orders of the vectors: typed data, what the key signs, and the first 65 bytes of the signature.
fn orders() -> Vec<(TypedData, B256)> {
    let mut orders = Vec::new();
    for (file, fields) in [
        (
            include_str!("../../../tests/vectors/clob-v1-orders.json"),
            V1,
        ),
        (
            include_str!("../../../tests/vectors/clob-v2-orders.json"),
            V2,
        ),
        (
            include_str!("../../../tests/vectors/clob-v3-orders.json"),
            V2,
        ),
    ] {
        let file: Value = serde_json::from_str(file).unwrap();
        for case in file["cases"].as_array().unwrap() {
            let Some(at) = case["reference"].as_u64() else {
                continue;
            };
            let outcome = &case["outcomes"][usize::try_from(at).unwrap()];
            let types: Value = fields
                .split(',')
                .map(|field| {
                    let (kind, name) = field.split_once(' ').unwrap();
                    json!({ "name": name, "type": kind })
                })
                .collect();
            let data = json!({
                "types": { "Order": types }, "primaryType": "Order",
                "domain": outcome["domain"], "message": outcome["struct"],
            });
            let digest = outcome["digest"].as_str().unwrap().parse().unwrap();
            orders.push((serde_json::from_value(data).unwrap(), digest));
        }
    }
    assert!(orders.len() > 200);
    orders
}

const V1: &str = "uint256 salt,address maker,address signer,address taker,uint256 tokenId,uint256 makerAmount,uint256 takerAmount,uint256 expiration,uint256 nonce,uint256 feeRateBps,uint8 side,uint8 signatureType";
const V2: &str = "uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,uint256 takerAmount,uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,bytes32 builder";

#[test]
fn a_primed_order_is_known_by_what_the_clients_sign() {
    let key = RemoteKey::new("https://signer.example/rpc", "t", address(), 137).unwrap();
    for (data, digest) in orders() {
        assert_eq!(key.prime(&data).unwrap(), digest, "{data:?}");
    }
}

#[tokio::test]
async fn a_primed_order_is_signed_as_typed_data() {
    let (url, calls) = signer().await;
    let key = RemoteKey::new(&url, "t", address(), 137).unwrap();
    let is_nested = |data: &TypedData| data.message["signatureType"] == 3;
    let orders = orders();
    let plain = orders.iter().find(|(data, _)| !is_nested(data)).unwrap();
    let nested = orders.iter().find(|(data, _)| is_nested(data)).unwrap();
    for ((data, digest), kind) in [(plain, "Order"), (nested, "TypedDataSign")] {
        assert!(matches!(key.sign(digest).await, Err(Error::Unknown(_))));
        key.prime(data).unwrap();
        let signature = key.sign_hash(digest).await.unwrap();
        assert_eq!(
            format!("0x{}", hex::encode(signature.as_bytes())),
            sign(digest)
        );
        let sent = calls.lock().unwrap().0.pop().unwrap();
        assert_eq!(sent[0], json!(address()));
        assert_eq!(sent[1]["primaryType"], kind);
    }
    #[cfg(feature = "alloy-1")]
    {
        let key: &dyn alloy_signer_1::Signer = &key;
        assert_eq!((key.address(), key.chain_id()), (address(), Some(137)));
        assert!(key.sign_hash(&plain.1).await.is_ok());
    }
}

#[tokio::test]
async fn anything_else_is_refused_and_not_sent() {
    let (url, calls) = signer().await;
    let key = RemoteKey::new(&url, "t", address(), 137).unwrap();
    assert!(key.sign_hash(&keccak256("text")).await.is_err());
    assert!(key.sign_message(b"text").await.is_err());
    assert!(calls.lock().unwrap().0.is_empty());
}

#[tokio::test]
async fn a_refusal_and_a_wrong_signature_are_errors() {
    let (url, calls) = signer().await;
    let key = RemoteKey::new(&url, "t", address(), 137).unwrap();
    let (data, digest) = orders().remove(0);
    key.prime(&data).unwrap();
    let answer = |other: Value| calls.lock().unwrap().1 = Some(other);

    answer(
        json!({ "error": { "code": 4001, "message": "not permitted", "data": { "type": "x" } } }),
    );
    let refused = key.sign(&digest).await.unwrap_err();
    assert!(
        matches!(refused, Error::Refused { code: 4001, .. }),
        "{refused}"
    );
    for result in [
        json!(sign(&keccak256("other"))),
        json!("0x"),
        json!(null),
        json!("00".repeat(65)),
    ] {
        answer(json!({ "result": result }));
        let wrong = key.sign(&digest).await.unwrap_err();
        assert!(matches!(wrong, Error::Nonsense(_)), "{wrong}");
    }
}

#[test]
fn a_token_goes_nowhere_in_the_clear() {
    for url in [
        "http://signer.example/rpc",
        "https://a:b@signer.example/rpc",
        "ftp://127.0.0.1/",
        "x",
    ] {
        assert!(
            matches!(RemoteKey::new(url, "t", address(), 137), Err(Error::Url)),
            "{url}"
        );
    }
    for url in [
        "http://127.0.0.1:1/rpc",
        "http://[::1]:1/rpc",
        "http://localhost:1/rpc",
    ] {
        assert!(RemoteKey::new(url, "t", address(), 137).is_ok(), "{url}");
    }
    let key = RemoteKey::new("https://signer.example/rpc", "secret", address(), 137).unwrap();
    assert!(!format!("{key:?}").contains("secret"));
}
