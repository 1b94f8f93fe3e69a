//! One suite for every backend: what `Custody` promises, kept by each of them.

use std::sync::Arc;
use std::time::Duration;

use super::sealed::Keystore;
use super::{
    Algorithm, Custody, CustodyError, Destruction, DeviceKey, DeviceSealingKey, KeyRef,
    KeyTemplate, Payload, Place, PublicKey, RawSignature, Sealer, Sign, Trial, Tries, Turn,
};
use crate::audit::Logged;
use crate::ethereum::{Signature, keccak256};
use crate::id::{CallerId, KeyId};
use crate::policy::Permit;
use crate::sealing::SealingKey;

pub(crate) mod import;
pub(crate) mod opencryptoki;
pub(crate) mod p11_kit;
pub(crate) mod postgres;
pub(crate) mod softhsm;
mod tokens;

#[test]
fn the_sealed_keystore_conforms_and_claims_no_device() {
    postgres::run(async |ledger| {
        let path = std::env::temp_dir().join(format!("chancery-{}", KeyId::new()));
        let master = SealingKey::create_file(&path).unwrap();
        let second = ledger.clone();
        let keystore: Arc<dyn Custody> = Arc::new(Keystore::new("soft", ledger, master));
        seals(&keystore, async || {
            let master = SealingKey::from_file(&path).unwrap();
            Keystore::new("soft", second.clone(), master)
        })
        .await;
        std::fs::remove_file(&path).unwrap();
        let (attributes, high) = conforms(keystore).await;
        assert_eq!(high, 0);
        assert_eq!(attributes.get("sensitive"), Some(&false));
        assert_eq!(attributes.get("extractable"), Some(&true));
    });
}

#[test]
fn a_softhsm_token_takes_private_keys() {
    let name = "custody::conformance::a_softhsm_token_takes_private_keys";
    softhsm::run(name, async |softhsm| {
        let (token, second) = (softhsm.open().await, softhsm.open().await);
        let attributes = import::takes_private_keys(&token, &second).await;
        for (name, value) in [
            ("token", true),
            ("private", true),
            ("sensitive", true),
            ("always-sensitive", false),
            ("extractable", false),
            ("never-extractable", false),
            ("local", false),
            ("sign", true),
            ("decrypt", false),
            ("unwrap", false),
            ("derive", false),
            ("modifiable", false),
        ] {
            assert_eq!(attributes.get(name), Some(&value), "{name}");
        }
    });
}

#[test]
fn the_sealed_keystore_takes_private_keys() {
    postgres::run(async |ledger| {
        let path = std::env::temp_dir().join(format!("chancery-{}", KeyId::new()));
        let master = SealingKey::create_file(&path).unwrap();
        let keystore = Keystore::new("soft", ledger.clone(), master);
        let second = Keystore::new("soft", ledger, SealingKey::from_file(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        let attributes = import::takes_private_keys(&keystore, &second).await;
        assert_eq!(attributes.get("sensitive"), Some(&false));
    });
}

async fn a_trial_signs_and_leaves_no_key(custody: &dyn Custody) {
    let Some(on_trial) = custody.on_trial() else {
        return;
    };
    let keys = async || match custody.describes() {
        Some(describer) => describer.describe().await.unwrap().keys,
        None => None,
    };
    let before = keys().await;
    let time = Duration::from_millis(50);
    for algorithm in [Algorithm::Secp256k1, Algorithm::Rsa2048] {
        let trial = Trial {
            algorithm,
            at_once: 2,
            time,
            spent: || Duration::ZERO,
        };
        let tried = on_trial.try_out(trial).await.unwrap();
        assert!(
            !tried.latencies.is_empty() && tried.time >= time,
            "{tried:?}"
        );
    }
    assert_eq!(keys().await, before);
}

/// Goes through everything that a backend must do. Returns the attributes of one of its wallet keys
/// and how many of 128 signatures had a high `s`.
pub(crate) async fn conforms(custody: Arc<dyn Custody>) -> (super::Attributes, u32) {
    custody.health().await.unwrap();
    let wallet = a_pair_reads_back_and_signs(&*custody, Algorithm::Secp256k1).await;
    let client = a_pair_reads_back_and_signs(&*custody, Algorithm::Rsa2048).await;
    for algorithm in [Algorithm::Rsa3072, Algorithm::Rsa4096] {
        a_pair_reads_back_and_signs(&*custody, algorithm).await;
    }
    let high = many_digests_are_signed_at_once(&custody, &wallet).await;
    the_wrong_kind_of_payload_is_refused(&*custody, &wallet, &client).await;
    if wallet.place.device_ref.is_none() {
        an_id_is_used_once(&*custody, &wallet).await; // where the device goes by it
    }
    a_trial_signs_and_leaves_no_key(&*custody).await;
    let inspected = custody.inspect(&wallet.place).await.unwrap();

    for key in [wallet, client] {
        let payload = payload(key.place.algorithm, 0);
        match custody.destroy(&key.place).await.unwrap() {
            Destruction::Done => {
                absent(&custody.sign(&permit(&key, payload)).await, key.place.id);
                absent(&custody.inspect(&key.place).await, key.place.id);
                absent(&custody.destroy(&key.place).await, key.place.id);
            }
            due @ Destruction::Due(_) => {
                let refused = custody.sign(&permit(&key, payload)).await;
                let pending = matches!(refused, Err(CustodyError::PendingDeletion(_)));
                assert!(pending, "{refused:?}");
                assert_eq!(custody.destroy(&key.place).await.unwrap(), due);
            }
        }
    }
    custody.health().await.unwrap();
    (inspected.attributes, high)
}

/// Seals and opens on a device that has sealed nothing yet, and on others opened on the same one.
pub(crate) async fn seals<C: Custody>(custody: &Arc<dyn Custody>, another: impl AsyncFn() -> C) {
    let (first, second) = (sealer(&**custody), another().await);
    let second = sealer(&second);
    // Two that both find no sealing key, at once: what either of them seals, both open.
    let (sealed, other) = tokio::join!(
        first.seal(b"row 1", b"secret 1"),
        second.seal(b"row 2", b"secret 2"),
    );
    let (sealed, other) = (sealed.unwrap(), other.unwrap());
    let third = another().await;
    for device in [first, second, sealer(&third)] {
        opens(device, b"row 1", &sealed, b"secret 1").await;
        opens(device, b"row 2", &other, b"secret 2").await;
        let more = device.seal(b"", &[0xa5; 5000]).await.unwrap();
        assert_eq!(more[..1], sealed[..1]);
        opens(second, b"", &more, &[0xa5; 5000]).await;
        does_not_open(device, b"row 2", &sealed).await;
        does_not_open(device, b"", &sealed).await;
    }
    let again = first.seal(b"row 1", b"secret 1").await.unwrap();
    assert_ne!(again, sealed, "nonces differ");
    assert!(!sealed.windows(6).any(|part| part == b"secret"));

    for at in [0, sealed.len() / 2, sealed.len() - 1] {
        let mut altered = sealed.clone();
        altered[at] ^= 1;
        does_not_open(first, b"row 1", &altered).await;
        does_not_open(first, b"row 1", &sealed[..at]).await;
    }
    opens(first, b"row 1", &sealed, b"secret 1").await;
    custody.health().await.unwrap();
}

fn sealer(custody: &dyn Custody) -> &dyn Sealer {
    custody.seals().unwrap()
}

async fn opens(device: &dyn Sealer, aad: &[u8], sealed: &[u8], secret: &[u8]) {
    assert_eq!(**device.open(aad, sealed).await.unwrap(), *secret);
}

async fn does_not_open(device: &dyn Sealer, aad: &[u8], sealed: &[u8]) {
    let refused = device.open(aad, sealed).await;
    assert!(
        matches!(refused, Err(CustodyError::DoesNotOpen)),
        "{refused:?}"
    );
}

async fn a_pair_reads_back_and_signs(custody: &dyn Custody, algorithm: Algorithm) -> KeyRef {
    let template = template(algorithm);
    let mut place = Place {
        id: template.id,
        algorithm,
        device_ref: None,
    };
    absent(&custody.inspect(&place).await, place.id);
    let DeviceKey {
        public_key,
        attributes,
        device_ref,
    } = custody.generate(&template).await.unwrap();
    assert_eq!(public_key.algorithm(), Some(algorithm));
    // With the device's own name for it, and as one that died before it was written down.
    for known in [device_ref.clone(), None] {
        place.device_ref = known;
        let inspected = custody.inspect(&place).await.unwrap();
        assert_eq!(inspected.public_key, public_key);
        assert_eq!(inspected.attributes, attributes);
        assert_eq!(inspected.device_ref, device_ref);
    }

    place.device_ref = device_ref;
    let key = KeyRef { place, public_key };
    let payload = payload(algorithm, 0);
    let raw = custody.sign(&permit(&key, payload.clone())).await.unwrap();
    assert!(verifies(&key, &payload, &raw));
    key
}

/// 16 tasks with 8 digests each. Some devices give a high `s` in half of them; the check lowers it.
async fn many_digests_are_signed_at_once(custody: &Arc<dyn Custody>, key: &KeyRef) -> u32 {
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16_u8 {
        let (custody, key) = (Arc::clone(custody), key.clone());
        tasks.spawn(async move {
            let mut high = 0;
            for number in 0..8 {
                let payload = payload(key.place.algorithm, task * 8 + number);
                let raw = custody.sign(&permit(&key, payload.clone())).await.unwrap();
                assert!(verifies(&key, &payload, &raw));
                high += u32::from(matches!(raw, RawSignature::Ecdsa(raw) if raw[32] >= 0x80));
            }
            high
        });
    }
    tasks.join_all().await.into_iter().sum()
}

async fn the_wrong_kind_of_payload_is_refused(
    custody: &dyn Custody,
    wallet: &KeyRef,
    client: &KeyRef,
) {
    for (key, other) in [(wallet, client), (client, wallet)] {
        let payload = payload(other.place.algorithm, 0);
        let refused = custody.sign(&permit(key, payload)).await;
        assert!(matches!(refused, Err(CustodyError::WrongPayload(a)) if a == key.place.algorithm));
    }
}

async fn an_id_is_used_once(custody: &dyn Custody, key: &KeyRef) {
    let mut template = template(key.place.algorithm);
    template.id = key.place.id;
    let again = custody.generate(&template).await;
    assert!(matches!(again, Err(CustodyError::Refused(_))), "{again:?}");
    let still = custody.inspect(&key.place).await.unwrap();
    assert_eq!(still.public_key, key.public_key);
}

fn absent<T: std::fmt::Debug>(answer: &Result<T, CustodyError>, key: KeyId) {
    assert!(
        matches!(answer, Err(CustodyError::NotFound { id, found: 0 }) if *id == key),
        "{answer:?}"
    );
}

/// The permit to sign `payload`.
pub(crate) fn permit(key: &KeyRef, payload: Payload) -> Logged<Permit<Sign>> {
    permit_for(CallerId::new(), key, payload)
}

/// The same, for this caller.
pub(crate) fn permit_for(caller: CallerId, key: &KeyRef, payload: Payload) -> Logged<Permit<Sign>> {
    Logged::for_test(Permit::for_test(Sign {
        key: key.clone(),
        payload,
        caller,
        tries: Tries::default(),
        turn: Turn::default(),
    }))
}

/// A key pair that nobody has asked for yet.
pub(crate) fn template(algorithm: Algorithm) -> KeyTemplate {
    let labels = [
        ("owner", "desk 1".to_owned()),
        ("purpose", "test".to_owned()),
    ];
    KeyTemplate {
        id: KeyId::new(),
        algorithm,
        labels: labels.into(),
    }
}

/// A key pair that the device has just made.
pub(crate) async fn made(custody: &dyn Custody, algorithm: Algorithm) -> KeyRef {
    let template = template(algorithm);
    let made = custody.generate(&template).await.unwrap();
    KeyRef {
        place: Place {
            id: template.id,
            algorithm,
            device_ref: made.device_ref,
        },
        public_key: made.public_key,
    }
}

/// Something that a key of this kind signs.
pub(crate) fn payload(algorithm: Algorithm, seed: u8) -> Payload {
    match algorithm {
        Algorithm::Secp256k1 => Payload::Digest(keccak256([seed])),
        _ => Payload::Message(vec![seed; 300]),
    }
}

/// Whether it is a signature of this payload under this key.
pub(crate) fn verifies(key: &KeyRef, payload: &Payload, raw: &RawSignature) -> bool {
    match (&key.public_key, payload, raw) {
        (PublicKey::Secp256k1(key), Payload::Digest(digest), RawSignature::Ecdsa(raw)) => {
            Signature::check(raw, digest, key).is_ok()
        }
        (key, Payload::Message(message), RawSignature::Rsa(signature)) => {
            key.verify_rs256(message, signature)
        }
        _ => false,
    }
}

/// Says that a test did not run. Where everything is required (CI), that is a failure.
pub(crate) fn skipped(why: &str) {
    let all = std::env::var_os("CHANCERY_REQUIRE_ALL").is_some_and(|all| all == "1");
    assert!(!all, "everything is required, and there is {why}");
    println!("skipped: {why}");
}

/// A keystore that counts how often it opens something.
pub(crate) struct Counting(Keystore, std::sync::atomic::AtomicU32);

impl Counting {
    /// On this ledger, under a master key of its own.
    pub(crate) fn keystore(ledger: crate::ledger::Ledger) -> Self {
        let path = std::env::temp_dir().join(format!("chancery-{}", KeyId::new()));
        let master = SealingKey::create_file(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        Self(Keystore::new("soft", ledger, master), 0.into())
    }

    /// How often.
    pub(crate) fn opened(&self) -> u32 {
        self.1.load(std::sync::atomic::Ordering::SeqCst)
    }
}

#[async_trait::async_trait]
impl Sealer for Counting {
    async fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CustodyError> {
        self.0.seal(aad, plaintext).await
    }

    async fn open(
        &self,
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, CustodyError> {
        self.1.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        self.0.open(aad, sealed).await
    }

    async fn sealing_keys(&self) -> Result<Vec<DeviceSealingKey>, CustodyError> {
        self.0.sealing_keys().await
    }

    fn sealed_under(&self, sealed: &[u8]) -> Option<String> {
        self.0.sealed_under(sealed)
    }
}
