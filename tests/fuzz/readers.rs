//! Who reads bytes from outside. What is taken is written again and read again, and is the same.

use chancery::audit::leaf::Leaf;
use chancery::callers::Token;
use chancery::clob::amount::Side;
use chancery::clob::book::Book;
use chancery::clob::explain::Subject;
use chancery::clob::l2::VenueRequest;
use chancery::clob::request::MarketOrderType;
use chancery::clob::typed_data::{TypedData, operation};
use chancery::clob::venue;
use chancery::clob::{MarketOrderRequest, OrderRequest};
use chancery::counterparty::{self, Reply};
use chancery::custody::pkcs11::uri::{KeyName, TokenName};
use chancery::custody::{DeviceRef, Material, PublicKey};
use chancery::ethereum::Address;
use chancery::ethereum::signature::{Recovery, Signature};
use chancery::idempotency::Key;
use chancery::name::Name;
use chancery::oauth::exchange;
use chancery::oauth::explain::Presented;
use chancery::policy::NewPolicy;
use chancery::tlog::{Checkpoint, Note, NoteKey, Policy, Proof};
use chancery::verification;
use k256::ecdsa::signature::hazmat::PrehashVerifier as _;
use reqwest::header::HeaderMap;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::seeds;

/// The log that exports are said to be of.
const LOG: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

pub(super) fn orders(bytes: &[u8]) {
    drop(serde_json::from_slice::<OrderRequest>(bytes));
    drop(serde_json::from_slice::<MarketOrderRequest>(bytes));
}

pub(super) fn typed_data(bytes: &[u8]) {
    if let Ok(raw) = serde_json::from_slice::<&RawValue>(bytes) {
        drop(TypedData::read(raw));
        drop(operation::TypedOperation::transaction(raw));
    }
}

pub(super) fn orders_to_explain(bytes: &[u8]) {
    if let Ok(raw) = serde_json::from_slice::<&RawValue>(bytes)
        && let Ok(subject) = Subject::read(raw)
    {
        drop((subject.r(), subject.digests()));
    }
}

pub(super) fn requests_to_the_venue(bytes: &[u8]) {
    let text = text(bytes);
    for (method, path) in [("POST", "/order"), ("DELETE", "/orders"), ("POST", &*text)] {
        if let Ok(request) = VenueRequest::new(method, path, Some(&text)) {
            drop((request.record(), request.markets(), request.stake()));
            drop(request.check_owner("me"));
        }
    }
}

pub(super) fn answers_of_token_endpoints(bytes: &[u8]) {
    for status in [200, 302, 401, 403, 429, 500] {
        let reply = Reply {
            status,
            headers: HeaderMap::new(),
            body: bytes.to_vec(),
        };
        drop(exchange::judge(&reply));
    }
    let text = text(bytes);
    let _ = counterparty::date(&text);
    assert!(counterparty::quoted(&text).chars().count() <= counterparty::QUOTE_LIMIT);
}

pub(super) fn answers_of_the_venue(bytes: &[u8]) {
    for status in [200, 302, 400, 403, 425, 429, 500] {
        let reply = Reply {
            status,
            headers: HeaderMap::new(),
            body: bytes.to_vec(),
        };
        drop(venue::judge::<i64>("time", &reply));
        drop(venue::judge::<Value>("anything", &reply));
        let Ok(book) = venue::judge::<Book>("book", &reply) else {
            continue;
        };
        let _ = book.least_size();
        for side in [Side::Buy, Side::Sell] {
            let _ = book.best_against(side);
            for kind in [MarketOrderType::Fok, MarketOrderType::Fak] {
                drop(book.limit(side, "7.5".parse().unwrap(), kind));
            }
        }
    }
}

/// What a device answers is a signature under the key that was meant, or refused.
pub(super) fn signatures_of_devices(bytes: &[u8]) {
    let Some(raw) = bytes.first_chunk::<64>() else {
        return;
    };
    let (key, digest) = (seeds::signing_key(), seeds::DIGEST);
    let meant = k256::PublicKey::from(key.verifying_key());
    if let Ok(signature) = Signature::check(raw, &digest, &meant) {
        let low = k256::ecdsa::Signature::from_slice(&signature.as_bytes()[..64]).unwrap();
        key.verifying_key().verify_prehash(&digest, &low).unwrap();
    }
    if let Ok(recovery) = Recovery::new(raw) {
        let _ = (recovery.is_high(), recovery.signers(&digest));
    }
}

pub(super) fn assertions(bytes: &[u8]) {
    drop(Presented::read(&text(bytes)));
}

pub(super) fn policies(bytes: &[u8]) {
    drop(NewPolicy::read(text(bytes).into_owned(), "test", [0; 32]));
}

pub(super) fn private_keys(bytes: &[u8]) {
    if let Ok(key) = Material::read(bytes) {
        let again = Material::read(key.pkcs8()).expect("what is written is read");
        assert_eq!(again.public_key().to_pem(), key.public_key().to_pem());
    }
}

pub(super) fn public_keys(bytes: &[u8]) {
    drop(PublicKey::from_ec_point(bytes));
    let keys = [
        PublicKey::from_spki_der(bytes).ok(),
        PublicKey::from_pem(&text(bytes)).ok(),
    ];
    for key in keys.into_iter().flatten() {
        let again = PublicKey::from_spki_der(&key.to_spki_der()).expect("what is written is read");
        assert_eq!(again.fingerprint(), key.fingerprint());
        drop((key.algorithm(), key.address(), key.jwk(), key.thumbprint()));
    }
}

pub(super) fn pkcs11_uris(bytes: &[u8]) {
    let text = text(bytes).into_owned();
    drop(KeyName::parse(&text));
    drop(TokenName::try_from(text));
}

pub(super) fn short_texts(bytes: &[u8]) {
    let text = text(bytes);
    if let Ok(key) = Key::try_from(&*text) {
        assert_eq!(key.as_str(), text);
    }
    if let Ok(name) = text.parse::<Name>() {
        assert_eq!(name.to_string(), text);
    }
    if let Ok(address) = text.parse::<Address>() {
        assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
    }
    drop(text.parse::<Token>());
    drop(DeviceRef::try_from(text.into_owned()));
}

pub(super) fn notes(bytes: &[u8]) {
    let text = text(bytes);
    if let Ok(note) = text.parse::<Note>() {
        assert_eq!(note.to_string(), text);
    }
    if let Ok(checkpoint) = text.parse::<Checkpoint>() {
        let again: Checkpoint = checkpoint.to_string().parse().unwrap();
        assert_eq!(again, checkpoint);
    }
    if let Ok(key) = text.parse::<NoteKey>() {
        assert_eq!(key.to_string(), text);
    }
    drop(text.parse::<Policy>());
    drop(text.parse::<Proof>());
}

pub(super) fn leaves(bytes: &[u8]) {
    if let Some(leaf) = Leaf::from_bytes(bytes) {
        assert_eq!(leaf.to_bytes(), bytes, "a leaf is written in one way");
        drop((leaf.for_people(), leaf.subject()));
    }
}

pub(super) fn exports(bytes: &[u8]) {
    let policy = Policy::of_log(LOG.parse().unwrap());
    let kept: Vec<Note> = text(bytes).parse().into_iter().collect();
    if let Ok(report) = verification::verify(bytes, &policy, &kept) {
        assert!(!report.verified, "nobody has signed it");
    }
}
