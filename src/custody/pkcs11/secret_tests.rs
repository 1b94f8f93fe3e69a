//! Sealing keys of a token, and the secrets under them.

use super::*;
use crate::custody::conformance::softhsm;
use crate::id::KeyId;

#[test]
fn two_sealing_keys_end_as_one_and_open_what_either_sealed() {
    let name =
        "custody::pkcs11::secret_tests::two_sealing_keys_end_as_one_and_open_what_either_sealed";
    softhsm::run(name, async |softhsm| {
        let token = softhsm.open().await;
        // What replicas that raced leave behind: each made a key before it could find the other's.
        let sealed = async |name: &'static [u8]| token.seal(name, name).await.unwrap();
        let first = sealed(b"1").await;
        let (newer, older) = (KeyId::new(), KeyId::from(uuid::Uuid::from_u128(7)));
        token
            .run(move |desk| sealing_keys::make_another(desk, newer))
            .await
            .unwrap();
        assert_eq!(
            sealed(b"2").await[1..17],
            first[1..17],
            "the older one seals"
        );
        token
            .run(move |desk| sealing_keys::make_another(desk, older))
            .await
            .unwrap();
        let second = sealed(b"3").await;
        assert_eq!(second[1..17], *older.uuid().as_bytes());

        let reopened = softhsm.open().await;
        for (sealed, name) in [(&first, b"1"), (&second, b"3")] {
            assert_eq!(**reopened.open(name, sealed).await.unwrap(), *name);
        }
        // One that somebody brought, and may know, is not used, low as its id is.
        let brought = KeyId::from(uuid::Uuid::from_u128(1));
        token
            .run(move |desk| sealing_keys::bring(desk, brought))
            .await
            .unwrap();
        assert_eq!(sealed(b"4").await[1..17], *older.uuid().as_bytes());
        let mut moved = sealed(b"5").await;
        moved[1..17].copy_from_slice(brought.uuid().as_bytes());
        let refused = token.open(b"5", &moved).await;
        assert!(
            matches!(refused, Err(CustodyError::Refused(_))),
            "{refused:?}"
        );
    });
}

#[test]
fn a_new_sealing_key_seals_and_the_former_one_opens_until_it_is_destroyed() {
    let name = "custody::pkcs11::secret_tests::a_new_sealing_key_seals_and_the_former_one_opens_until_it_is_destroyed";
    softhsm::run(name, async |softhsm| {
        let (token, replica) = (softhsm.open().await, softhsm.open().await);
        assert_eq!(token.sealing_keys().await.unwrap(), []);
        let old = token.seal(b"row", b"secret").await.unwrap();
        let former = token.sealed_under(&old).unwrap();
        let current = token.make_sealing_key().await.unwrap();
        let listed = async |device: &Pkcs11| {
            let mut keys = device.sealing_keys().await.unwrap();
            keys.sort_by_key(|key| key.seals);
            keys.into_iter()
                .map(|key| (key.id, key.seals))
                .collect::<Vec<_>>()
        };
        let both = [(former.clone(), false), (current.clone(), true)];
        assert_eq!(listed(&token).await, both);
        // A replica that was there before follows at once.
        let new = replica.seal(b"row", b"secret").await.unwrap();
        assert_eq!(replica.sealed_under(&new), Some(current.clone()));
        for (device, sealed) in [(&token, &old), (&token, &new), (&replica, &old)] {
            assert_eq!(**device.open(b"row", sealed).await.unwrap(), *b"secret");
        }
        let refused = token.destroy_sealing_key(&current).await;
        assert!(
            matches!(refused, Err(CustodyError::Refused(_))),
            "{refused:?}"
        );

        for _ in 0..2 {
            token.destroy_sealing_key(&former).await.unwrap(); // a second time changes nothing
            assert_eq!(listed(&replica).await, [(current.clone(), true)]);
        }
        for device in [&token, &replica] {
            let gone = device.open(b"row", &old).await;
            let missing = matches!(gone, Err(CustodyError::SealingKeyMissing(_)));
            assert!(missing, "{gone:?}");
            assert_eq!(**device.open(b"row", &new).await.unwrap(), *b"secret");
        }
    });
}
