use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

use super::*;

const HASH: [u8; 32] = [7; 32];

struct Authenticator(EcdsaKeyPair);

/// What an assertion says.
struct Said {
    kind: &'static str,
    challenge: [u8; 32],
    origin: &'static str,
    cross_origin: bool,
    party: &'static str,
    flags: u8,
    more: &'static [u8],
}

const GOOD: Said = Said {
    kind: "webauthn.get",
    challenge: HASH,
    origin: "https://chancery.example",
    cross_origin: false,
    party: "chancery.example",
    flags: 0x05,
    more: &[],
};

impl Authenticator {
    fn new() -> Self {
        let made = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING);
        Self(made.unwrap())
    }

    fn passkey(&self) -> Passkey {
        let public = [P256.as_slice(), self.0.public_key().as_ref()].concat();
        Passkey::new(vec![1, 2, 3], public).unwrap()
    }

    fn assertion(&self, said: &Said) -> Assertion {
        let client = serde_json::json!({
            "type": said.kind, "challenge": URL_SAFE_NO_PAD.encode(said.challenge),
            "origin": said.origin, "crossOrigin": said.cross_origin,
        });
        let client = client.to_string();
        let mut data = Sha256::digest(said.party).to_vec();
        data.extend([said.flags, 0, 0, 0, 9]);
        data.extend_from_slice(said.more);
        let signed = [data.as_slice(), &Sha256::digest(&client)[..]].concat();
        let signature = self.0.sign(&SystemRandom::new(), &signed).unwrap();
        Assertion {
            credential_id: URL_SAFE_NO_PAD.encode([1, 2, 3]),
            authenticator_data: URL_SAFE_NO_PAD.encode(data),
            client_data: URL_SAFE_NO_PAD.encode(client),
            signature: URL_SAFE_NO_PAD.encode(signature),
        }
    }
}

fn party() -> RelyingParty {
    RelyingParty {
        rp_id: "chancery.example".into(),
        origin: "https://chancery.example".into(),
    }
}

#[test]
fn an_assertion_counts_for_its_hash_on_its_page_by_somebody_verified() {
    let authenticator = Authenticator::new();
    let key = authenticator.passkey();
    let check = |said: &Said| key.verify(&authenticator.assertion(said), &HASH, &party());
    assert_eq!(check(&GOOD), Ok(()));
    for (said, why) in [
        (
            Said {
                kind: "webauthn.create",
                ..GOOD
            },
            BadPasskey::Challenge,
        ),
        (
            Said {
                challenge: [8; 32],
                ..GOOD
            },
            BadPasskey::Challenge,
        ),
        (
            Said {
                origin: "https://chancery.example:8443",
                ..GOOD
            },
            BadPasskey::Origin,
        ),
        (
            Said {
                origin: "http://chancery.example",
                ..GOOD
            },
            BadPasskey::Origin,
        ),
        (
            Said {
                cross_origin: true,
                ..GOOD
            },
            BadPasskey::Origin,
        ),
        (
            Said {
                party: "example",
                ..GOOD
            },
            BadPasskey::Party,
        ),
        (
            Said {
                flags: 0x01,
                ..GOOD
            },
            BadPasskey::NotVerified,
        ),
        (
            Said {
                flags: 0x04,
                ..GOOD
            },
            BadPasskey::NotVerified,
        ),
        (Said { more: &[0], ..GOOD }, BadPasskey::Party),
    ] {
        assert_eq!(check(&said), Err(why));
    }
    let other = Authenticator::new().assertion(&GOOD);
    assert_eq!(key.verify(&other, &HASH, &party()), Err(BadPasskey::Wrong));
    let mut renamed = authenticator.assertion(&GOOD);
    renamed.credential_id = URL_SAFE_NO_PAD.encode([9]);
    assert_eq!(
        key.verify(&renamed, &HASH, &party()),
        Err(BadPasskey::OtherKey)
    );
}
