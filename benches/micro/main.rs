//! `cargo bench --bench micro`: what an order costs on the processor, step by step, and an assertion's
//! check. No device, no network, no database; `--bench orders` measures the whole. The order is a V2 limit
//! order of the kind that bots send all day.
#![expect(
    clippy::unwrap_used,
    reason = "a measurement ends where something is not as it has to be"
)]

use std::hint::black_box;
use std::path::Path;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use chancery::audit::leaf::{Event, Intent, Leaf, leaf_hash};
use chancery::callers::Caller;
use chancery::clob::amount::Amounts;
use chancery::clob::draft::IssuedOrder;
use chancery::clob::{Chain, Order, OrderRequest, Profile, SignatureType, Terms};
use chancery::custody::PublicKey;
use chancery::ethereum::{Address, Signature, eip712, keccak256};
use chancery::id::{CallerId, IntentId};
use chancery::policy::Policy;
use criterion::Criterion;
use k256::ecdsa::SigningKey;
use k256::ecdsa::signature::hazmat::PrehashSigner as _;
use uuid::Uuid;

const BODY: &str = r#"{"tokenID":"74564370685408688576642996539357880831081041589474870173012676591531721841358",
"side":"BUY","price":"0.53","size":"353.86","tickSize":"0.01","negRisk":false,"orderType":"GTC","version":2}"#;
const NOW_MS: i64 = 1_799_549_624_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for steps in [orders, policy, leaves, signatures] {
        steps(&mut criterion);
    }
    criterion.final_summary();
}

fn request() -> OrderRequest {
    serde_json::from_str(BODY).unwrap()
}

fn wallet() -> SigningKey {
    SigningKey::from_slice(&keccak256("wallet")).unwrap()
}

fn order() -> Order {
    let request = request();
    let terms = Terms::given(&request.given_terms()).unwrap();
    build(&request, &terms, &profile())
}

fn profile() -> Profile {
    let address = Address::of(&wallet().verifying_key().into());
    Profile::new(Chain::Polygon, SignatureType::Eoa, address, None, false).unwrap()
}

fn build(request: &OrderRequest, terms: &Terms, profile: &Profile) -> Order {
    let now_s = NOW_MS / 1000;
    Order::build(request, terms, profile, 372_041_805_690, NOW_MS, now_s).unwrap()
}

fn orders(c: &mut Criterion) {
    c.bench_function("order: read the request", |b| {
        b.iter(|| serde_json::from_str::<OrderRequest>(black_box(BODY)).unwrap());
    });

    let request = request();
    let terms = Terms::given(&request.given_terms()).unwrap();
    c.bench_function("order: amounts", |b| {
        b.iter(|| Amounts::of_limit(black_box(request.price), request.size, terms.tick_size));
    });

    let profile = profile();
    c.bench_function("order: build and hash", |b| {
        b.iter(|| build(black_box(&request), &terms, &profile));
    });

    let type_hash = keccak256("Order(…)");
    let members = [[7; 32]; 11]; // as many as a V2 order has
    c.bench_function("EIP-712: digest of eleven members", |b| {
        b.iter(|| {
            let hash = eip712::struct_hash(&type_hash, black_box(&members));
            eip712::digest(&type_hash, &hash)
        });
    });

    let (order, signature) = (order(), signature().0);
    c.bench_function("order: answer", |b| {
        b.iter(|| {
            let signed = order.signed(black_box(&signature));
            let id = IntentId::new();
            serde_json::to_vec(&IssuedOrder { id, signed }).unwrap()
        });
    });
}

/// The wallet's signature over the order: checked, and as a device gives it.
fn signature() -> (Signature, [u8; 64]) {
    let (wallet, order) = (wallet(), order());
    let raw: k256::ecdsa::Signature = wallet.sign_prehash(order.digest()).unwrap();
    let raw = raw.to_bytes().into();
    let key = wallet.verifying_key().into();
    (Signature::check(&raw, order.digest(), &key).unwrap(), raw)
}

fn signatures(c: &mut Criterion) {
    let (wallet, order, (_, raw)) = (wallet(), order(), signature());
    let key = wallet.verifying_key().into();
    c.bench_function("secp256k1: sign, in the keystore", |b| {
        b.iter(|| -> k256::ecdsa::Signature {
            wallet.sign_prehash(black_box(order.digest())).unwrap()
        });
    });
    c.bench_function("secp256k1: check", |b| {
        b.iter(|| Signature::check(black_box(&raw), order.digest(), &key).unwrap());
    });

    let message = [b'a'; 300]; // a header and claims in base64url
    let client = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let random = SystemRandom::new();
    let sign = || {
        let mut raw = vec![0; client.public_modulus_len()];
        client
            .sign(&RSA_PKCS1_SHA256, &random, &message, &mut raw)
            .unwrap();
        raw
    };
    c.bench_function("RS256: sign, in the keystore", |b| b.iter(sign));
    let spki: PublicKeyX509Der<'_> = client.public_key().as_der().unwrap();
    let (key, raw) = (PublicKey::from_spki_der(spki.as_ref()).unwrap(), sign());
    assert!(key.verify_rs256(&message, &raw));
    c.bench_function("RS256: check", |b| {
        b.iter(|| key.verify_rs256(&message, black_box(&raw)));
    });
}

fn leaves(c: &mut Criterion) {
    let order = order();
    let leaf = Leaf::new(
        NOW_MS,
        Event::Intent(Box::new(Intent {
            intent: Uuid::now_v7(),
            operation: "order".to_owned(),
            caller: Uuid::now_v7(),
            credential: Uuid::now_v7(),
            subject: Uuid::now_v7(),
            key: Uuid::now_v7(),
            key_epoch: 1,
            policy: [1; 32],
            request_digest: [2; 32],
            idempotency_key: Some(Uuid::now_v7().to_string()),
            digest: *order.digest(),
            record: order.record().to_string(),
            credential_kind: None,
        })),
    );
    c.bench_function("leaf: write and hash an INTENT", |b| {
        b.iter(|| leaf_hash(&black_box(&leaf).to_bytes()));
    });
    c.bench_function("leaf: the order for people, as JSON", |b| {
        b.iter(|| black_box(&order).record().to_string());
    });
}

/// By the start policy, one that looks at what is at stake and so is made each time: of a caller like the one
/// who asks.
fn policy(c: &mut Criterion) {
    let start = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/policies/start.cedar");
    let policy = Policy::load(&start).unwrap();
    let caller = Caller {
        id: CallerId::new(),
        credential: Uuid::now_v7(),
        kind: chancery::callers::Kind::Token,
        name: "market-maker".parse().unwrap(),
        owner: "desk".parse().unwrap(),
        roles: vec!["operator".parse().unwrap()],
        proposal: None,
        stated: Caller::unproven(Uuid::nil(), Uuid::nil()),
    };
    c.bench_function("policy: a decision", |b| {
        b.iter(|| policy.would_manage_callers(black_box(&caller)));
    });
}
