//! What only a table can do wrong: be written by somebody else.

use super::*;
use crate::custody::conformance::{made, payload, permit, postgres};
use crate::ledger::{Gate, Tx};
use crate::sealing::SealingKey;

fn master() -> SealingKey {
    let path = std::env::temp_dir().join(format!("chancery-{}", KeyId::new()));
    let key = SealingKey::create_file(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    key
}

#[test]
fn a_key_signs_the_same_twice_and_not_in_another_row_or_under_another_master() {
    postgres::run(async |ledger| {
        let keystore = Keystore::new("soft", ledger.clone(), master());
        let algorithm = Algorithm::Secp256k1;
        let mut key = made(&keystore, algorithm).await;
        let payload = payload(algorithm, 1);
        let first = keystore.sign(&permit(&key, payload.clone())).await;
        let again = keystore.sign(&permit(&key, payload.clone())).await;
        assert_eq!(first.unwrap(), again.unwrap());

        let stranger = Keystore::new("soft", ledger.clone(), master());
        let refused = stranger.sign(&permit(&key, payload.clone())).await;
        assert!(matches!(refused, Err(CustodyError::SealingKeyMissing(_))));

        key.place.id = KeyId::new();
        sqlx::query("update sealed_keys set key_id = $1")
            .bind(key.place.id)
            .execute(ledger.pool())
            .await
            .unwrap();
        let refused = keystore.sign(&permit(&key, payload)).await;
        assert!(matches!(refused, Err(CustodyError::SealingKeyMissing(_))));
    });
}

#[test]
fn keys_come_under_another_master_key_one_by_one_and_an_altered_row_is_left_alone() {
    postgres::run(async |ledger| {
        let (old, new) = (file(), file());
        let read = |path: &PathBuf| SealingKey::from_file(path).unwrap();
        let before = Keystore::new("soft", ledger.clone(), read(&old));
        let algorithm = Algorithm::Secp256k1;
        let mut keys = Vec::new();
        for _ in 0..3 {
            keys.push(made(&before, algorithm).await);
        }
        keys.push(made(&before, Algorithm::Rsa2048).await);
        let altered = keys[1].place.id;
        sqlx::query("update sealed_keys set sealed = set_byte(sealed, 40, 1 - get_byte(sealed, 40) % 2) where key_id = $1")
            .bind(altered)
            .execute(ledger.pool())
            .await
            .unwrap();

        let ring = Keyring::new(read(&new), vec![read(&old)]);
        let during = Keystore::new("soft", ledger.clone(), ring);
        let first = during.reseal(None, 2).await.unwrap();
        assert_eq!((first.resealed.len(), first.stuck.len()), (1, 1));
        assert_eq!(first.stuck[0].0, altered.uuid());
        let second = during.reseal(first.last, 2).await.unwrap();
        assert_eq!((second.resealed.len(), second.stuck.len()), (2, 0));
        // Nothing is written yet, and a row that changed meanwhile is not overwritten.
        let under = |id: &SealingKey| Some(id.id().to_string());
        assert_eq!(during.counts().await.unwrap(), [(under(&read(&old)), 4)]);
        let gone = second.resealed[0].id;
        sqlx::query("update sealed_keys set sealed = sealed || '\\x00' where key_id = $1")
            .bind(gone)
            .execute(ledger.pool())
            .await
            .unwrap();
        for (stretch, put) in [(&first, 1), (&second, 1), (&second, 0)] {
            let session = ledger.session().await.unwrap();
            let mut tx = Tx::begin(session, Gate::Shared, None).await.unwrap();
            let done = during.put(&stretch.resealed, &mut tx).await.unwrap();
            assert_eq!(done, put);
            assert!(tx.commit().await.is_ok());
        }
        let mut counts = during.counts().await.unwrap();
        counts.sort_by_key(|(_, keys)| *keys);
        assert_eq!(counts.len(), 2);
        assert!(counts.contains(&(under(&read(&new)), 2)), "{counts:?}");

        let after = Keystore::new("soft", ledger.clone(), read(&new));
        for key in [&keys[0], &keys[3]] {
            let payload = payload(key.place.algorithm, 1);
            let signed = after.sign(&permit(key, payload.clone())).await.unwrap();
            assert_eq!(
                signed,
                during.sign(&permit(key, payload.clone())).await.unwrap()
            );
            let behind = before.sign(&permit(key, payload)).await;
            let missing = matches!(behind, Err(CustodyError::SealingKeyMissing(_)));
            assert!(missing, "{behind:?}");
        }
        for path in [old, new] {
            std::fs::remove_file(path).unwrap();
        }
    });
}

fn file() -> PathBuf {
    let path = std::env::temp_dir().join(format!("chancery-{}", KeyId::new()));
    SealingKey::create_file(&path).unwrap();
    path
}
