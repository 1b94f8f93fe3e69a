//! What only a token can do wrong: lose its disk, refuse a PIN, be somewhere else.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake};
use std::time::{Duration, Instant};

use super::module::Module;
use super::pin::Pin;
use super::token::Token;
use super::uri::TokenName;
use super::workers::Workers;
use super::*;
use crate::custody::Material;
use crate::custody::aside::aside;
use crate::custody::conformance::softhsm::{self, SoftHsm};
use crate::custody::conformance::{made, payload, permit, verifies};
use crate::custody::{Algorithm, KeyRef};
use crate::id::KeyId;

async fn wallet(token: &Pkcs11) -> KeyRef {
    made(token, Algorithm::Secp256k1).await
}

async fn signs(token: &Pkcs11, key: &KeyRef) -> Result<(), CustodyError> {
    let payload = payload(key.place.algorithm, 1);
    let raw = token.sign(&permit(key, payload.clone())).await?;
    assert!(verifies(key, &payload, &raw));
    Ok(())
}

#[test]
fn a_token_that_was_away_signs_again_and_is_never_taken_for_empty() {
    let name =
        "custody::pkcs11::tests::a_token_that_was_away_signs_again_and_is_never_taken_for_empty";
    softhsm::run(name, async |softhsm| {
        let token = softhsm.open().await;
        let key = wallet(&token).await;
        signs(&token, &key).await.unwrap();

        let away = softhsm.tokens().with_extension("away");
        std::fs::rename(softhsm.tokens(), &away).unwrap();
        std::fs::create_dir(softhsm.tokens()).unwrap();
        for _ in 0..20 {
            let gone = signs(&token, &key).await;
            assert!(
                matches!(gone, Err(CustodyError::Unavailable(_))),
                "{gone:?}"
            );
            let gone = token.inspect(&key.place).await;
            assert!(
                matches!(gone, Err(CustodyError::Unavailable(_))),
                "{gone:?}"
            );
        }
        std::fs::remove_dir(softhsm.tokens()).unwrap();
        std::fs::rename(&away, softhsm.tokens()).unwrap();
        eventually(async || signs(&token, &key).await.is_ok()).await;
        token.health().await.unwrap();
    });
}

#[test]
fn a_token_that_was_away_opens_again_and_its_absence_is_no_broken_secret() {
    let name = "custody::pkcs11::tests::a_token_that_was_away_opens_again_and_its_absence_is_no_broken_secret";
    softhsm::run(name, async |softhsm| {
        let token = softhsm.open().await;
        let key = wallet(&token).await;
        let sealed = token.seal(b"row", b"secret").await.unwrap();
        let mut altered = sealed.clone();
        *altered.last_mut().unwrap() ^= 1;
        let generation = async || token.run(|desk| Ok(desk.call.generation())).await;
        let before = generation().await.unwrap();
        for _ in 0..20 {
            let broken = token.open(b"row", &altered).await;
            assert!(
                matches!(broken, Err(CustodyError::DoesNotOpen)),
                "{broken:?}"
            );
            signs(&token, &key).await.unwrap();
        }
        assert_eq!(generation().await.unwrap(), before, "nobody was disturbed");

        let away = softhsm.tokens().with_extension("away");
        std::fs::rename(softhsm.tokens(), &away).unwrap();
        std::fs::create_dir(softhsm.tokens()).unwrap();
        for _ in 0..20 {
            for sealed in [&sealed, &altered] {
                let gone = token.open(b"row", sealed).await;
                assert!(
                    matches!(gone, Err(CustodyError::Unavailable(_))),
                    "{gone:?}"
                );
            }
            let gone = token.seal(b"row", b"secret").await;
            assert!(
                matches!(gone, Err(CustodyError::Unavailable(_))),
                "{gone:?}"
            );
        }
        std::fs::remove_dir(softhsm.tokens()).unwrap();
        std::fs::rename(&away, softhsm.tokens()).unwrap();
        eventually(async || token.open(b"row", &sealed).await.is_ok()).await;
        assert_eq!(**token.open(b"row", &sealed).await.unwrap(), *b"secret");
    });
}

#[test]
fn a_token_that_unwraps_nothing_is_handed_the_key_open() {
    let name = "custody::pkcs11::tests::a_token_that_unwraps_nothing_is_handed_the_key_open";
    softhsm::run(name, async |softhsm| {
        let token = softhsm.open().await;
        let vectors = include_str!("../../../tests/vectors/private-keys.json");
        let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
        for name in ["hex", "rsa2048-pkcs1", "rsa3072-pkcs8"] {
            let text = vectors["good"][name]["text"].as_str().unwrap();
            let material = Material::read(text.as_bytes()).unwrap();
            let place = Place {
                id: KeyId::new(),
                algorithm: material.algorithm(),
                device_ref: None,
            };
            let offer = token.offer_to_create(place.id).await.unwrap();
            let public_key = material.public_key().clone();
            let key = KeyRef { place, public_key };
            let wrap =
                |pkcs8| super::super::wrapping::wrap(offer.scheme, &offer.wrapping_key, pkcs8);
            let other = Material::read(&[b'1'; 64]).unwrap();
            let refused = token
                .import(&key, &offer.ticket, &wrap(other.pkcs8()).unwrap())
                .await;
            let not_the_key = matches!(refused, Err(CustodyError::NotTheKey(_)));
            assert!(not_the_key, "{refused:?}");
            // Brought twice, as by one who died between the device and the record.
            for _ in 0..2 {
                let wrapped = wrap(material.pkcs8()).unwrap();
                let brought = token.import(&key, &offer.ticket, &wrapped).await.unwrap();
                assert_eq!(brought.public_key, key.public_key);
                assert_eq!(brought.attributes.get("extractable"), Some(&false));
                assert_eq!(brought.attributes.get("sensitive"), Some(&true));
                assert_eq!(brought.attributes.get("local"), Some(&false));
            }
            signs(&token, &key).await.unwrap();
            let elsewhere = Place {
                id: KeyId::new(),
                ..key.place.clone()
            };
            let elsewhere = KeyRef {
                place: elsewhere,
                ..key.clone()
            };
            let wrapped = wrap(material.pkcs8()).unwrap();
            let refused = token.import(&elsewhere, &offer.ticket, &wrapped).await;
            assert!(
                matches!(refused, Err(CustodyError::DoesNotOpen)),
                "a ticket is one key's: {refused:?}"
            );
        }
    });
}

#[test]
fn a_session_is_thrown_away_after_an_error_and_another_signs() {
    let name = "custody::pkcs11::tests::a_session_is_thrown_away_after_an_error_and_another_signs";
    softhsm::run(name, async |softhsm| {
        let settings = Settings {
            sessions: 1,
            ..softhsm.settings()
        };
        let token = Pkcs11::open("hsm", settings).await.unwrap();
        let key = wallet(&token).await;
        signs(&token, &key).await.unwrap();
        let session = || token.run(|desk| Ok(desk.seat.session.handle()));
        let before = session().await.unwrap();
        // A search left open: every other one in that session fails until it is closed.
        let id = key.place.id;
        let (open, closed) = (Arc::new(Mutex::new(false)), before);
        let found = token.run(move |desk| {
            let search = desk.seat.session.iter_objects(&[]);
            if !std::mem::replace(&mut *open.lock().unwrap(), true) {
                let _search = search?;
                healthy(desk)?;
                desk.seat.session.find_objects(&[])?;
            }
            Ok(id)
        });
        assert_eq!(found.await.unwrap(), id);
        assert_ne!(session().await.unwrap(), closed);
        signs(&token, &key).await.unwrap();
    });
}

#[test]
fn keys_outlive_a_rebuild_of_the_module_under_load() {
    let name = "custody::pkcs11::tests::keys_outlive_a_rebuild_of_the_module_under_load";
    softhsm::run(name, async |softhsm| {
        let token = Arc::new(softhsm.open().await);
        let key = wallet(&token).await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (token, key) = (Arc::clone(&token), key.clone());
            tasks.spawn(async move {
                for _ in 0..50 {
                    match signs(&token, &key).await {
                        Ok(()) | Err(CustodyError::Unavailable(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        let module = Module::shared(&softhsm.settings().module).unwrap();
        for _ in 0..3 {
            let patience = Duration::from_secs(5);
            let generation = module.enter(patience).map(|c| c.generation());
            let rebuilt = aside({
                let module = Arc::clone(&module);
                move || Ok(module.rebuild(generation.unwrap(), patience))
            });
            rebuilt.await.unwrap().unwrap();
            tokio::task::yield_now().await;
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        eventually(async || signs(&token, &key).await.is_ok()).await;
    });
}

#[test]
fn a_refused_pin_is_not_tried_again() {
    let name = "custody::pkcs11::tests::a_refused_pin_is_not_tried_again";
    softhsm::run(name, async |softhsm| {
        let settings = softhsm.with_pin("wrong-pin");
        let refused = Pkcs11::open("hsm", settings.clone()).await;
        assert!(matches!(refused, Err(CustodyError::PinRefused)));

        let pin = Arc::new(Pin::new(&settings.pin_file));
        let module = Module::shared(&settings.module).unwrap();
        let token = Token::new(settings.token().unwrap(), false, pin);
        let workers = Workers::start("hsm", module, token, &settings).unwrap();
        let healthy = async || workers.run(|desk| healthy(desk)).await;
        assert!(matches!(healthy().await, Err(CustodyError::PinRefused)));

        // While another is logged in, a login would be let pass; but none is tried.
        let other = softhsm.open().await;
        assert!(matches!(healthy().await, Err(CustodyError::PinRefused)));
        other.health().await.unwrap();

        // Written once more it is no other; another is tried, and that one is right.
        std::fs::write(&settings.pin_file, "wrong-pin\n").unwrap();
        assert!(matches!(healthy().await, Err(CustodyError::PinRefused)));
        std::fs::copy(softhsm.settings().pin_file, &settings.pin_file).unwrap();
        healthy().await.unwrap();
    });
}

#[test]
fn what_is_not_there_is_named() {
    let name = "custody::pkcs11::tests::what_is_not_there_is_named";
    softhsm::run(name, async |softhsm| {
        let refusal = async |change: &dyn Fn(&mut Settings)| {
            let mut settings = softhsm.settings();
            change(&mut settings);
            let opened = Pkcs11::open("hsm", settings).await;
            opened.err().expect("it is not there").to_string()
        };
        let library = refusal(&|s| s.module = "/nowhere/libnone.so".into()).await;
        assert!(library.contains("/nowhere/libnone.so"), "{library}");
        let library = refusal(&|s| s.module = s.pin_file.clone()).await;
        assert!(library.contains("PKCS#11 module"), "{library}");
        let token = refusal(&|s| s.token_label = Some("purse".into())).await;
        assert!(
            token.contains("purse") && token.contains("wallet"),
            "{token}"
        );
        let token = refusal(&|s| s.token_serial = Some("0".into())).await;
        assert!(token.contains("serial"), "{token}");
        let pin = refusal(&|s| s.pin_file = "/nowhere/pin".into()).await;
        assert!(pin.contains("/nowhere/pin"), "{pin}");

        let twice = softhsm.init(softhsm::LABEL).await.unwrap_err().to_string();
        assert!(twice.contains("token exists"), "{twice}");
        softhsm.init("purse").await.unwrap();
    });
}

#[test]
fn a_full_queue_is_busy_and_a_hang_is_down_until_it_ends() {
    let name = "custody::pkcs11::tests::a_full_queue_is_busy_and_a_hang_is_down_until_it_ends";
    softhsm::run(name, async |softhsm: SoftHsm| {
        let settings = Settings {
            sessions: 1,
            queue: 1,
            timeout_ms: 300,
            call_timeout_ms: 200,
            replacements: 0,
            ..softhsm.settings()
        };
        let token = Pkcs11::open("hsm", settings).await.unwrap();
        let key = wallet(&token).await;
        let (started, starts) = mpsc::channel();
        let (end, ends) = mpsc::channel::<()>();
        let ends = Mutex::new(ends);
        let stuck = token.run(move |_| {
            started.send(()).unwrap();
            ends.lock().unwrap().recv().unwrap();
            Ok(())
        });
        let both = async {
            tokio::task::yield_now().await;
            starts.recv().unwrap();
            tokio::join!(signs(&token, &key), signs(&token, &key))
        };
        let (hung, (waiting, busy)) = tokio::join!(stuck, both);
        assert!(matches!(hung, Err(CustodyError::TimedOut)), "{hung:?}");
        assert!(
            matches!(waiting, Err(CustodyError::TimedOut)),
            "{waiting:?}"
        );
        assert!(matches!(busy, Err(CustodyError::Busy)), "{busy:?}");

        let down = signs(&token, &key).await;
        assert!(
            matches!(down, Err(CustodyError::Unavailable(_))),
            "{down:?}"
        );
        end.send(()).unwrap();
        eventually(async || signs(&token, &key).await.is_ok()).await;
    });
}

#[test]
fn a_token_that_does_not_hash_signs_the_same() {
    let name = "custody::pkcs11::tests::a_token_that_does_not_hash_signs_the_same";
    softhsm::run(name, async |softhsm| {
        let token = softhsm.open().await;
        let made = token.run(|desk| {
            desk.seat.hashes_rsa = false;
            let (id, algorithm) = (KeyId::new(), Algorithm::Rsa2048);
            let public_key = object::generate(desk, id, algorithm)?.public_key;
            let place = Place {
                id,
                algorithm,
                device_ref: None,
            };
            let key = KeyRef { place, public_key };
            let payload = payload(algorithm, 1);
            let signature = object::sign(desk, &key, &payload)?;
            desk.seat.hashes_rsa = true;
            Ok((key, payload, signature))
        });
        let (key, payload, signature) = made.await.unwrap();
        assert!(verifies(&key, &payload, &signature));
        // The key was made for that one mechanism.
        let refused = token.sign(&permit(&key, payload)).await;
        assert!(
            matches!(refused, Err(CustodyError::Refused(_))),
            "{refused:?}"
        );
    });
}

/// How often somebody was woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn who_waits_for_a_signature_is_woken_by_it_and_by_nothing_else() {
    let name =
        "custody::pkcs11::tests::who_waits_for_a_signature_is_woken_by_it_and_by_nothing_else";
    softhsm::run(name, async |softhsm| {
        let token = softhsm.open().await;
        let key = wallet(&token).await;
        let mut waited = 0;
        for number in 0..20 {
            let permit = permit(&key, payload(Algorithm::Secp256k1, number));
            let wakes = Arc::new(Wakes::default());
            let told = wakes.clone().into();
            let mut context = Context::from_waker(&told);
            let mut signing = pin!(token.sign(&permit));
            if signing.as_mut().poll(&mut context).is_ready() {
                continue; // this thread was away for longer than the token takes
            }
            waited += 1;
            eventually(async || wakes.0.load(Ordering::SeqCst) > 0).await;
            let signed = signing.as_mut().poll(&mut context);
            assert!(matches!(signed, Poll::Ready(Ok(_))), "{signed:?}");
            assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
        }
        assert!(waited > 0);
    });
}

#[test]
fn settings_have_good_defaults_and_no_unknown_fields() {
    let text = "module = '/m.so'\ntoken_label = 'wallet'\npin_file = '/pin'\n";
    let settings: Settings = toml::from_str(text).unwrap();
    assert!((4..=8).contains(&settings.sessions));
    assert_eq!(settings.queue, 1024);
    assert_eq!((settings.timeout_ms, settings.token_serial), (5000, None));
    assert!(toml::from_str::<Settings>(&format!("{text}pin = '1234'")).is_err());
}

#[test]
fn a_token_is_named_in_one_way() {
    let token = |names: &str| {
        let text = format!("module = '/m.so'\npin_file = '/pin'\n{names}");
        toml::from_str::<Settings>(&text).unwrap().token()
    };
    let uri = |text: &str| TokenName::try_from(text.to_owned()).unwrap();
    for (names, meant) in [
        ("token_label = 'a b'", "pkcs11:token=a%20b"),
        ("token_serial = '1'", "pkcs11:serial=1"),
        (
            "token_label = 'a'\ntoken_serial = '1'",
            "pkcs11:serial=1;token=a",
        ),
        ("token = 'pkcs11:slot-id=3'", "pkcs11:slot-id=3"),
    ] {
        assert_eq!(token(names).unwrap(), uri(meant), "{names}");
    }
    for names in [
        "",
        "token = 'pkcs11:token=a'\ntoken_label = 'a'",
        "token = 'pkcs11:token=a'\ntoken_serial = '1'",
    ] {
        let refused = token(names);
        assert!(matches!(refused, Err(CustodyError::Refused(_))), "{names}");
    }
    let pin = "module = '/m.so'\npin_file = '/pin'\ntoken = 'pkcs11:token=a?pin-value=1234'";
    let refused = toml::from_str::<Settings>(pin).unwrap_err();
    assert!(refused.message().contains("pin_file"), "{refused}");
}

/// Waits until it is so, or for 20 seconds.
async fn eventually(so: impl AsyncFn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !so().await {
        assert!(Instant::now() < end, "it never came");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
