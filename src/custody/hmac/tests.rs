use super::*;
use crate::custody::conformance::{Counting, postgres};

fn sealed(secret: Vec<u8>, passphrase: Vec<u8>) -> SealedSecret {
    let sealed = |aad: &[u8], sealed| Sealed {
        aad: aad.to_vec(),
        sealed,
    };
    SealedSecret {
        id: Uuid::now_v7(),
        backend: "soft".parse().unwrap(),
        secret: sealed(b"secret", secret),
        passphrase: sealed(b"passphrase", passphrase),
        key: |text| Some(Zeroizing::new(text.to_vec())),
    }
}

#[test]
fn an_opened_secret_costs_no_device_call_until_it_is_forgotten() {
    postgres::run(async |ledger| {
        let device = Counting::keystore(ledger);
        let secret = device.seal(b"secret", b"Jefe").await.unwrap();
        let passphrase = device.seal(b"passphrase", b"canary").await.unwrap();
        let mut sealed = sealed(secret, passphrase);
        let opened = Opened::new(&Settings::default());
        let message = b"what do ya want for nothing?";
        let sign = async |sealed: &SealedSecret| opened.sign(&device, sealed, message).await;
        // RFC 4231, test case 2.
        let wanted = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        for calls in [2, 2, 2] {
            let RawSignature::Hmac { mac, passphrase } = sign(&sealed).await.unwrap() else {
                panic!("not an HMAC");
            };
            assert_eq!(hex::encode(mac), wanted);
            assert_eq!(passphrase.expose(), "canary");
            assert_eq!(device.opened(), calls);
            assert!(opened.holds(&sealed));
        }
        opened.forget(&Uuid::now_v7());
        sign(&sealed).await.unwrap();
        assert_eq!(device.opened(), 2, "another's was forgotten");
        opened.forget(&sealed.id);
        assert!(!opened.holds(&sealed));
        sign(&sealed).await.unwrap();
        assert_eq!(device.opened(), 4);
        opened.forget_all();
        sign(&sealed).await.unwrap();
        assert_eq!(device.opened(), 6);

        // Other bytes in the row do not pass for what is open.
        std::mem::swap(&mut sealed.secret.sealed, &mut sealed.passphrase.sealed);
        assert!(!opened.holds(&sealed));
        let refused = sign(&sealed).await;
        assert!(
            matches!(refused, Err(CustodyError::DoesNotOpen)),
            "{refused:?}"
        );
    });
}

#[test]
fn debug_tells_nothing() {
    let mac = [7; 32];
    let passphrase = Arc::new(Passphrase(Zeroizing::new("canary".to_owned())));
    let said = format!("{:?}", RawSignature::Hmac { mac, passphrase });
    assert!(
        said.contains("[redacted]") && !said.contains("canary"),
        "{said}"
    );
    let sealed = sealed(b"canary".to_vec(), Vec::new());
    let id = sealed.id;
    assert_eq!(
        format!("{sealed:?}"),
        format!("SealedSecret {{ id: {id}, .. }}")
    );
}
