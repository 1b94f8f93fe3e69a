//! Keys that somebody else put into the token: found by their names, read wherever their public half
//! is, and refused where they are no keys of ours.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType, ObjectClass};

use super::*;
use crate::custody::conformance::softhsm::{self, SoftHsm};
use crate::custody::conformance::{payload, permit, verifies};
use crate::custody::{Algorithm, KeyRef};
use crate::id::KeyId;

/// `secp256k1`, and `prime256v1`, which is no curve of ours.
const K1: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a];
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// A test of this module, by its name, with a token.
fn run(name: &str, body: impl AsyncFnOnce(SoftHsm)) {
    softhsm::run(&format!("custody::pkcs11::adoption_tests::{name}"), body);
}

/// What another tool is told to make.
#[derive(Clone)]
struct Foreign {
    rsa: bool,
    curve: &'static [u8],
    id: &'static [u8],
    label: &'static str,
    /// What the private key is besides.
    private: Vec<Attribute>,
    /// Whether its public object is left in the token.
    public: bool,
}

impl Foreign {
    fn new(id: &'static [u8], label: &'static str) -> Self {
        Self {
            rsa: false,
            curve: K1,
            id,
            label,
            private: vec![Attribute::Sensitive(true), Attribute::Extractable(false)],
            public: true,
        }
    }

    async fn put_into(self, token: &Pkcs11) {
        let made = token.run(move |desk| {
            let names = [
                Attribute::Token(true),
                Attribute::Id(self.id.to_vec()),
                Attribute::Label(self.label.as_bytes().to_vec()),
            ];
            let kind = if self.rsa {
                vec![Attribute::ModulusBits(2048.into())]
            } else {
                vec![Attribute::EcParams(self.curve.to_vec())]
            };
            let mechanism = if self.rsa {
                Mechanism::RsaPkcsKeyPairGen
            } else {
                Mechanism::EccKeyPairGen
            };
            let public = [names.as_slice(), &kind].concat();
            let plain = [Attribute::Private(true), Attribute::Sign(true)];
            let mut private = [names.as_slice(), &plain, &self.private].concat();
            for off in [
                Attribute::Decrypt(false),
                Attribute::Unwrap(false),
                Attribute::SignRecover(false),
                Attribute::Derive(false),
            ] {
                private.push(off);
            }
            let session = &desk.seat.session;
            let (public, _) = session.generate_key_pair(&mechanism, &public, &private)?;
            if !self.public {
                session.destroy_object(public)?;
            }
            Ok(())
        });
        made.await.unwrap();
    }
}

async fn look_up(token: &Pkcs11, uri: &str) -> Result<DeviceKey, CustodyError> {
    token.look_up(&uri.to_owned().try_into().unwrap()).await
}

async fn refusal(token: &Pkcs11, uri: &str) -> String {
    match look_up(token, uri).await {
        Err(CustodyError::NotAdoptable(why)) => why,
        other => panic!("{uri}: {other:?}"),
    }
}

/// The key as it is on record after its adoption.
fn on_record(found: DeviceKey) -> KeyRef {
    KeyRef {
        place: Place {
            id: KeyId::new(),
            algorithm: found.public_key.algorithm().unwrap(),
            device_ref: found.device_ref,
        },
        public_key: found.public_key,
    }
}

async fn signs(token: &Pkcs11, key: &KeyRef) {
    let payload = payload(key.place.algorithm, 1);
    let raw = token.sign(&permit(key, payload.clone())).await.unwrap();
    assert!(verifies(key, &payload, &raw));
}

#[test]
fn a_key_is_adopted_by_id_or_label_and_signs_until_it_is_destroyed() {
    let name = "a_key_is_adopted_by_id_or_label_and_signs_until_it_is_destroyed";
    run(name, async |softhsm| {
        let token = softhsm.open().await;
        Foreign::new(&[1], "one").put_into(&token).await;
        Foreign::new(&[2], "both").put_into(&token).await;
        Foreign::new(&[3], "both").put_into(&token).await;
        let mut rsa = Foreign::new(b"client", "rsa");
        rsa.rsa = true;
        rsa.put_into(&token).await;

        let mut keys = Vec::new();
        for (uri, canonical) in [
            ("pkcs11:id=%01", "pkcs11:id=%01;type=private"),
            (
                "pkcs11:object=both;id=%02;type=private",
                "pkcs11:id=%02;type=private",
            ),
            ("pkcs11:id=%03;token=wallet", "pkcs11:id=%03;type=private"),
            (
                "pkcs11:object=rsa",
                "pkcs11:id=%63%6C%69%65%6E%74;type=private",
            ),
        ] {
            let found = look_up(&token, uri).await.unwrap();
            assert!(found.attributes["local"]);
            let key = on_record(found.clone());
            assert_eq!(key.place.device_ref.as_ref().unwrap().as_str(), canonical);
            let inspected = token.inspect(&key.place).await.unwrap();
            assert_eq!(inspected.public_key, found.public_key);
            assert_eq!(inspected.attributes, found.attributes);
            assert_eq!(inspected.device_ref, found.device_ref);
            signs(&token, &key).await;
            keys.push(key);
        }
        assert_ne!(keys[1].public_key, keys[2].public_key);
        assert_eq!(keys[3].place.algorithm, Algorithm::Rsa2048);

        // One whose id others share goes by both.
        Foreign::new(&[4], "a").put_into(&token).await;
        Foreign::new(&[4], "b").put_into(&token).await;
        let shared = look_up(&token, "pkcs11:object=b;id=%04").await;
        let refused = shared.unwrap_err().to_string();
        assert!(refused.contains("2 public keys"), "{refused}");

        // A second key of that name: neither is taken for it by a session that has to look.
        Foreign::new(&[1], "one more").put_into(&token).await;
        let reopened = softhsm.open().await;
        let payload = payload(Algorithm::Secp256k1, 1);
        let refused = reopened.sign(&permit(&keys[0], payload)).await;
        let two = matches!(refused, Err(CustodyError::NotFound { found: 2, id }) if id == keys[0].place.id);
        assert!(two, "{refused:?}");

        for key in &keys[1..] {
            assert_eq!(token.destroy(&key.place).await.unwrap(), Destruction::Done);
            let gone = token.inspect(&key.place).await;
            let none = matches!(gone, Err(CustodyError::NotFound { found: 0, .. }));
            assert!(none, "{gone:?}");
        }
        let left = token.run(|desk| {
            let public = [Attribute::Class(ObjectClass::PUBLIC_KEY)];
            Ok(desk.seat.session.find_objects(&public)?.len())
        });
        assert_eq!(left.await.unwrap(), 4, "those of the keys that share an id");
    });
}

#[test]
fn a_public_half_is_found_where_the_token_keeps_it() {
    let name = "a_public_half_is_found_where_the_token_keeps_it";
    run(name, async |softhsm| {
        let token = softhsm.open().await;
        let mut rsa = Foreign::new(&[1], "rsa");
        (rsa.rsa, rsa.public) = (true, false);
        rsa.put_into(&token).await;
        let mut wallet = Foreign::new(&[2], "wallet");
        wallet.public = false;
        wallet.put_into(&token).await;

        // The private RSA object tells modulus and exponent; the EC one of this token tells nothing.
        let found = look_up(&token, "pkcs11:id=%01").await.unwrap();
        signs(&token, &on_record(found)).await;
        let why = refusal(&token, "pkcs11:id=%02").await;
        assert!(why.contains("tells a public key"), "{why}");

        // A key without an id goes by its label, its public half too.
        let mut three = Foreign::new(&[3], "three");
        Foreign::new(&[], "nameless").put_into(&token).await;
        let found = look_up(&token, "pkcs11:object=nameless").await.unwrap();
        let nameless = on_record(found);
        let device_ref = nameless.place.device_ref.as_ref().unwrap();
        assert_eq!(device_ref.as_str(), "pkcs11:object=nameless;type=private");
        signs(&token, &nameless).await;
        three.public = false;
        three.put_into(&token).await;
        for public in 0..2_u8 {
            let copied = token.run(move |desk| {
                let session = &desk.seat.session;
                let object = [
                    Attribute::Class(ObjectClass::PUBLIC_KEY),
                    Attribute::KeyType(KeyType::EC),
                    Attribute::Token(true),
                    Attribute::Id(vec![3]),
                    Attribute::EcParams(K1.to_vec()),
                    Attribute::EcPoint(vec![4, 1, public]),
                ];
                session.create_object(&object)?;
                Ok(())
            });
            copied.await.unwrap();
        }
        let why = refusal(&token, "pkcs11:id=%03").await;
        assert!(why.contains("2 public keys"), "{why}");
    });
}

#[test]
fn what_is_no_key_of_ours_is_refused_and_says_why() {
    let name = "what_is_no_key_of_ours_is_refused_and_says_why";
    run(name, async |softhsm| {
        let token = softhsm.open().await;
        let with = |id: &'static [u8], private: &[Attribute]| {
            let mut key = Foreign::new(id, "shared");
            key.private = private.to_vec();
            key
        };
        with(
            &[1],
            &[Attribute::Sensitive(false), Attribute::Extractable(false)],
        )
        .put_into(&token)
        .await;
        with(
            &[2],
            &[Attribute::Sensitive(true), Attribute::Extractable(true)],
        )
        .put_into(&token)
        .await;
        let always = [
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::AlwaysAuthenticate(true),
        ];
        with(&[3], &always).put_into(&token).await;
        let mut other = Foreign::new(&[4], "p256");
        other.curve = P256;
        other.put_into(&token).await;
        for (uri, expected) in [
            ("pkcs11:id=%01", "sensitive is true"),
            ("pkcs11:id=%02", "extractable is false"),
            ("pkcs11:id=%03", "PIN for each signature"),
            ("pkcs11:id=%04", "tells a public key of a kind"),
            ("pkcs11:object=shared", "3 private keys"),
            ("pkcs11:id=%09", "0 private keys"),
            ("pkcs11:id=%01;object=p256", "0 private keys"),
            ("pkcs11:id=%01;token=purse", "another token"),
            ("pkcs11:id=%01;type=public", "private"),
            ("pkcs11:token=wallet", "id or object"),
            ("arn:aws:kms:eu-west-1:1:key/1", "pkcs11:"),
            ("pkcs11:id=%01?pin-value=1234567", "never in a URI"),
        ] {
            let why = refusal(&token, uri).await;
            assert!(why.contains(expected), "{uri}: {why}");
            assert!(!why.contains("1234567"), "{why}");
        }

        // "No such key" is said by a healthy token only.
        let away = softhsm.tokens().with_extension("away");
        std::fs::rename(softhsm.tokens(), &away).unwrap();
        std::fs::create_dir(softhsm.tokens()).unwrap();
        let gone = look_up(&token, "pkcs11:id=%09").await;
        assert!(
            matches!(gone, Err(CustodyError::Unavailable(_))),
            "{gone:?}"
        );
    });
}

#[test]
fn a_read_only_token_signs_and_is_not_written_to() {
    let name = "a_read_only_token_signs_and_is_not_written_to";
    run(name, async |softhsm| {
        let token = softhsm.open().await;
        Foreign::new(&[1], "one").put_into(&token).await;
        let settings = Settings {
            read_only: true,
            ..softhsm.settings()
        };
        let reader = Pkcs11::open("hsm", settings).await.unwrap();
        let key = on_record(look_up(&reader, "pkcs11:id=%01").await.unwrap());
        signs(&reader, &key).await;
        let read_write = reader.run(|desk| {
            let info = desk.seat.session.get_session_info()?;
            Ok(info.read_write())
        });
        assert!(!read_write.await.unwrap());
        let template = crate::custody::conformance::template(Algorithm::Secp256k1);
        for refused in [
            reader.generate(&template).await.map(|_| ()),
            reader.destroy(&key.place).await.map(|_| ()),
            reader.seal(b"row", b"secret").await.map(|_| ()),
        ] {
            let said = matches!(&refused, Err(CustodyError::Unsupported(why)) if why.contains("read-only"));
            assert!(said, "{refused:?}");
        }
        // What was sealed elsewhere it opens, and seals more under the key that is there.
        let sealed = token.seal(b"row", b"secret").await.unwrap();
        assert_eq!(**reader.open(b"row", &sealed).await.unwrap(), *b"secret");
        reader.seal(b"row", b"secret").await.unwrap();
        signs(&token, &key).await;
    });
}
