//! What bent bytes begin with.

use chancery::audit::leaf::{Admin, Denial, Event, Leaf};
use k256::ecdsa::signature::hazmat::PrehashSigner as _;
use serde_json::{Value, json};
use uuid::Uuid;

type Seeds = Vec<Vec<u8>>;

fn bytes(texts: &[&str]) -> Seeds {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Every object of the vectors that has these members.
fn harvest(vectors: &str, members: &[&str]) -> Seeds {
    fn walk(value: &Value, members: &[&str], found: &mut Seeds) {
        match value {
            Value::Object(object) => {
                if members.iter().all(|it| object.contains_key(*it)) {
                    found.push(value.to_string().into_bytes());
                }
                object.values().for_each(|it| walk(it, members, found));
            }
            Value::Array(all) => all.iter().for_each(|it| walk(it, members, found)),
            Value::String(text) if text.starts_with('{') => {
                if let Ok(inner) = serde_json::from_str(text) {
                    walk(&inner, members, found);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(&serde_json::from_str(vectors).unwrap(), members, &mut found);
    found.truncate(60);
    found
}

const V1: &str = include_str!("../vectors/clob-v1-orders.json");
const V2: &str = include_str!("../vectors/clob-v2-orders.json");
const OPERATIONS: &str = include_str!("../vectors/wallet-operations.json");
const KEYS: &str = include_str!("../vectors/private-keys.json");

pub(super) fn orders() -> Seeds {
    let mut seeds = bytes(&[
        r#"{"tokenID":"71321045679252212594626385532706912750332728571942532289631379312455583992999","side":"BUY","price":"0.56","size":"21.04","tickSize":"0.01","negRisk":false}"#,
        r#"{"tokenID":"1","side":"SELL","amount":"7.5","price":"0.5","tickSize":"0.0025","negRisk":true,"orderType":"FOK","owner":"me","expiration":"1893456000","feeRateBps":"30","nonce":"0","taker":"0x0000000000000000000000000000000000000000","version":1}"#,
        r#"{"order":{"salt":7,"maker":"0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266","tokenId":"1001","makerAmount":"5","takerAmount":"10","side":"BUY","signature":"0x00"},"owner":"me","orderType":"GTC"}"#,
        r#"[{"order":{"tokenId":"1001"},"owner":"me","orderType":"GTC"},{"orderID":"0x01"}]"#,
    ]);
    seeds.extend(harvest(V1, &["tokenID"]));
    seeds
}

pub(super) fn orders_to_explain() -> Seeds {
    let mut seeds = orders();
    for vectors in [V1, V2] {
        seeds.extend(harvest(vectors, &["makerAmount", "takerAmount"]));
    }
    seeds
}

pub(super) fn typed_data() -> Seeds {
    let login = json!({
        "types": {
            "EIP712Domain": [{ "name": "name", "type": "string" }, { "name": "version", "type": "string" }, { "name": "chainId", "type": "uint256" }],
            "ClobAuth": [{ "name": "address", "type": "address" }, { "name": "timestamp", "type": "string" }, { "name": "nonce", "type": "uint256" }, { "name": "message", "type": "string" }],
        },
        "primaryType": "ClobAuth",
        "domain": { "name": "ClobAuthDomain", "version": "1", "chainId": 137 },
        "message": { "address": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "timestamp": "1700000000", "nonce": 0, "message": "This message attests that I control the given wallet" },
    });
    let transaction = r#"{"to":"0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266","value":"0x0","data":"0x095ea7b3","nonce":"0x1","gas":"0x5208","maxFeePerGas":"0x1","chainId":"0x89"}"#;
    let mut seeds = vec![
        login.to_string().into_bytes(),
        transaction.as_bytes().to_vec(),
    ];
    seeds.push(Value::from(login.to_string()).to_string().into_bytes());
    for vectors in [V1, V2, OPERATIONS] {
        seeds.extend(harvest(vectors, &["types", "message"]));
    }
    seeds
}

pub(super) fn answers() -> Seeds {
    bytes(&[
        r#"{"access_token":"eyJhbGciOiJSUzI1NiJ9.e30.c2ln","token_type":"Bearer","expires_in":180,"scope":"read:orders write:orders"}"#,
        r#"{"error":"invalid_client","error_description":"Client authentication failed"}"#,
        "<html><body>blocked</body></html>",
        "\u{feff} {\"access_token\":\"a\",\"expires_in\":\"86400\",\"scope\":[\"a\"]}",
        "Mon, 30 Nov 2026 16:00:00 GMT",
    ])
}

pub(super) fn answers_of_the_venue() -> Seeds {
    let mut seeds = answers();
    seeds.extend(bytes(&[
        r#"{"market":"0x01","asset_id":"1","bids":[{"price":"0.4","size":"100"},{"price":"0.5","size":"10.5"}],"asks":[{"price":"0.6","size":"7"},{"price":"0.55","size":"30"}],"min_order_size":"5","tick_size":"0.01","neg_risk":false}"#,
        "1700000000",
        r#"{"error":"order version mismatch"}"#,
        r#""Trading is currently disabled""#,
        r#"{"errorMsg":"not enough balance","orderID":""}"#,
    ]));
    seeds
}

/// What the signatures are under, and over.
pub(super) fn signing_key() -> k256::ecdsa::SigningKey {
    k256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap()
}

pub(super) const DIGEST: [u8; 32] = [9; 32];

/// Good ones, with low and with high `s`, and what is none.
pub(super) fn signatures() -> Seeds {
    let good: k256::ecdsa::Signature = signing_key().sign_prehash(&DIGEST).unwrap();
    let (r, s) = good.split_scalars();
    let high = k256::ecdsa::Signature::from_scalars(r, -*s).unwrap();
    let none = [[0_u8; 64], [0xff; 64]].map(|it| it.to_vec());
    let mut seeds = vec![good.to_bytes().to_vec(), high.to_bytes().to_vec()];
    seeds.extend(none);
    seeds
}

pub(super) fn assertions() -> Seeds {
    bytes(&[
        "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJhIiwic3ViIjoiYSIsImF1ZCI6ImIiLCJpYXQiOjEsImV4cCI6NjEsImp0aSI6ImMifQ.c2lnbmF0dXJl",
        "e30.e30.",
    ])
}

pub(super) fn policies() -> Seeds {
    bytes(&[
        include_str!("../../deploy/policies/start.cedar"),
        "permit (principal, action, resource) when { resource.owner == principal.owner };",
        r#"forbid (principal, action, resource) unless { ["a", "b"].contains("c") || (1 + 2 * 3 < 4) };"#,
    ])
}

pub(super) fn private_keys() -> Seeds {
    let keys: Value = serde_json::from_str(KEYS).unwrap();
    let mut seeds = Vec::new();
    for kind in ["good", "bad"] {
        for key in keys[kind]
            .as_object()
            .into_iter()
            .flat_map(|it| it.values())
        {
            if let Some(text) = key["text"].as_str().or(key.as_str()) {
                seeds.push(text.as_bytes().to_vec());
            }
        }
    }
    seeds
}

pub(super) fn public_keys() -> Seeds {
    let read = |seed: &Vec<u8>| chancery::custody::Material::read(seed).ok();
    let keys = private_keys().iter().filter_map(read).collect::<Vec<_>>();
    keys.iter()
        .flat_map(|it| {
            [
                it.public_key().to_spki_der(),
                it.public_key().to_pem().into_bytes(),
            ]
        })
        .collect()
}

pub(super) fn pkcs11_uris() -> Seeds {
    bytes(&[
        "pkcs11:token=chancery;serial=1a2b3c4d5e6f7081;model=SoftHSM%20v2;manufacturer=SoftHSM%20project",
        "pkcs11:id=%01%ff;object=wallet%2Fkey;type=private",
        "pkcs11:slot-id=7?pin-source=file:/etc/pin",
    ])
}

pub(super) fn short_texts() -> Seeds {
    bytes(&[
        "desk-1-main",
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        "chy_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGH",
        "0198c0de-0000-7000-8000-000000000000",
        "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    ])
}

pub(super) fn notes() -> Seeds {
    bytes(&[
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n",
        "example.com/log\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "log PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\nwitness w PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\ngroup g 1 w\nquorum g\n",
        "c2sp.org/tlog-proof@v1\nextra AAAA\nindex 3\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\nexample.com/log\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n\u{2014} a AAAA\n",
    ])
}

fn some_leaves() -> Vec<Leaf> {
    let id = Uuid::from_u128(7);
    let admin = Admin {
        actor: id,
        action: "step-key".to_owned(),
        subject: id,
        approval: "none (single operator)".to_owned(),
        details: r#"{"epoch":1,"from":"pre-activation","to":"active"}"#.to_owned(),
    };
    let denied = Denial {
        caller: id,
        action: "sign-order".to_owned(),
        resource: "wallet w".to_owned(),
    };
    [Event::Admin(admin), Event::Denied(denied)]
        .into_iter()
        .map(|event| Leaf::new(1_700_000_000_000, event))
        .collect()
}

pub(super) fn leaves() -> Seeds {
    some_leaves().iter().map(Leaf::to_bytes).collect()
}

pub(super) fn exports() -> Seeds {
    let checkpoint = String::from_utf8(notes().remove(0)).unwrap();
    let head =
        json!({ "chancery_export": 1, "origin": "example.com/log", "checkpoint": checkpoint });
    let after = json!({ "size": 3, "checkpoint": checkpoint, "frontier": ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="] });
    let mut going_on = head.clone();
    going_on["after"] = after;
    let mut lines = String::new();
    for (index, leaf) in some_leaves().iter().enumerate() {
        use base64::Engine as _;
        let leaf = base64::engine::general_purpose::STANDARD.encode(leaf.to_bytes());
        let line = json!({ "index": index, "leaf": leaf }).to_string();
        lines.extend(["\n", &line]);
    }
    vec![
        format!("{head}{lines}\n").into_bytes(),
        format!("{going_on}{lines}\n").into_bytes(),
    ]
}
