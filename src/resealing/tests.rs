//! A former sealing key is destroyed late enough, and never the one that seals.

use std::sync::Mutex;

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::*;
use crate::audit::Logged;
use crate::authority::Authority;
use crate::custody::conformance::postgres;
use crate::custody::{
    Destruction, DeviceKey, Evidence, KeyTemplate, Place, RawSignature, Sealer, SealingKeyMaker,
    Sign, hmac,
};
use crate::policy::{Action, Deed, Permit, Resource};
use crate::sealing::SealingKey;

/// A device with sealing keys and nothing else.
struct Keys(Mutex<Vec<DeviceSealingKey>>);

#[async_trait]
impl Custody for Keys {
    async fn sign(&self, _: &Logged<Permit<Sign>>) -> Result<RawSignature, CustodyError> {
        Err(CustodyError::Busy)
    }

    async fn generate(&self, _: &KeyTemplate) -> Result<DeviceKey, CustodyError> {
        Err(CustodyError::Busy)
    }

    async fn inspect(&self, _: &Place) -> Result<DeviceKey, CustodyError> {
        Err(CustodyError::Busy)
    }

    async fn destroy(&self, _: &Place) -> Result<Destruction, CustodyError> {
        Err(CustodyError::Busy)
    }

    fn evidence(&self) -> Evidence {
        Evidence::Claimed
    }

    async fn health(&self) -> Result<(), CustodyError> {
        Ok(())
    }

    fn seals(&self) -> Option<&dyn Sealer> {
        Some(self)
    }

    fn makes_sealing_keys(&self) -> Option<&dyn SealingKeyMaker> {
        Some(self)
    }
}

#[async_trait]
impl Sealer for Keys {
    async fn seal(&self, _: &[u8], _: &[u8]) -> Result<Vec<u8>, CustodyError> {
        Err(CustodyError::Busy)
    }

    async fn open(&self, _: &[u8], _: &[u8]) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        Err(CustodyError::Busy)
    }

    async fn sealing_keys(&self) -> Result<Vec<DeviceSealingKey>, CustodyError> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn sealed_under(&self, _: &[u8]) -> Option<String> {
        None
    }
}

#[async_trait]
impl SealingKeyMaker for Keys {
    async fn make_sealing_key(&self) -> Result<String, CustodyError> {
        Err(CustodyError::Busy)
    }

    async fn destroy_sealing_key(&self, id: &str) -> Result<(), CustodyError> {
        self.0.lock().unwrap().retain(|key| key.id != id);
        Ok(())
    }
}

#[test]
fn a_sealing_key_is_destroyed_when_its_successor_has_sealed_for_a_while() {
    postgres::run(async |ledger| {
        let clock = Clock::fixed(1_700_000_000_000);
        let key = |id: &str, seals, made_at| DeviceSealingKey {
            id: id.to_owned(),
            seals,
            made_at,
        };
        let keys = vec![key("old", false, None), key("new", true, Some(clock.now()))];
        let device: Arc<dyn Custody> = Arc::new(Keys(Mutex::new(keys)));
        let name: Name = "hsm".parse().unwrap();
        let backends = [(name.clone(), device.clone())].into();
        let sealing = Arc::new(Keyring::from(SealingKey::from_bytes(&[7; 32])));
        let authority = Authority::open(ledger.clone(), sealing.clone()).await;
        let log = Log::open(authority.unwrap(), "test", clock.clone());
        let log = log.await.unwrap();
        let resealing = Resealing::new(
            log,
            Arc::new(Vault::new(backends, &hmac::Settings::default())),
            sealing,
            clock.clone(),
        );
        let permit = Permit::for_test(Deed::new(Action::ManageCustody, Resource::service()));
        let destroy = async |id| resealing.destroy_key(&name, id, "test", &permit).await;
        for id in ["new", "old"] {
            let refused = destroy(id).await;
            let in_use = matches!(refused, Err(ResealingError::InUse(_)));
            assert!(in_use, "{id}: {refused:?}");
        }
        clock.set(1_700_000_000_000 + 15 * 60 * 1000);
        let unknown = destroy("other").await;
        assert!(
            matches!(unknown, Err(ResealingError::NoSuchKey)),
            "{unknown:?}"
        );
        destroy("old").await.unwrap();
        assert!(matches!(
            destroy("new").await,
            Err(ResealingError::InUse(_))
        ));
        let left = sealing_keys(&*device).await.unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].id, "new");
    });
}
