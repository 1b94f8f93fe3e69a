//! What only a table can do wrong: be written by somebody else.

use super::*;
use crate::custody::conformance::{made, payload, permit, postgres};

fn master() -> SealingKey {
    let path = std::env::temp_dir().join(format!("chancery-{}", KeyId::new()));
    let key = SealingKey::create_file(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    key
}

#[test]
fn a_key_signs_the_same_twice_and_not_in_another_row_or_under_another_master() {
    postgres::run(async |ledger| {
        let keystore = Keystore::new(ledger.clone(), master());
        let algorithm = Algorithm::Secp256k1;
        let mut key = made(&keystore, algorithm).await;
        let payload = payload(algorithm, 1);
        let first = keystore.sign(&permit(&key, payload.clone())).await;
        let again = keystore.sign(&permit(&key, payload.clone())).await;
        assert_eq!(first.unwrap(), again.unwrap());

        let stranger = Keystore::new(ledger.clone(), master());
        let refused = stranger.sign(&permit(&key, payload.clone())).await;
        assert!(matches!(refused, Err(CustodyError::Nonsense(_))));

        key.place.id = KeyId::new();
        sqlx::query("update sealed_keys set key_id = $1")
            .bind(key.place.id)
            .execute(ledger.pool())
            .await
            .unwrap();
        let refused = keystore.sign(&permit(&key, payload)).await;
        assert!(matches!(refused, Err(CustodyError::Nonsense(_))));
    });
}
