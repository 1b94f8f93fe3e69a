//! Secrets sealed under the keystore's master key.

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::Keystore;
use crate::custody::{CustodyError, DeviceSealingKey, Sealer};
use crate::sealing::{Unopened, named_in};

#[async_trait]
impl Sealer for Keystore {
    #[tracing::instrument(skip_all)]
    async fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CustodyError> {
        self.fits().await?;
        Ok(self.masters.seal(&secret_aad(aad), plaintext))
    }

    #[tracing::instrument(skip_all)]
    async fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        let opened = match sealed.split_first() {
            Some((&UNNAMED_SECRET, sealed)) => self.masters.open_unnamed(&secret_aad(aad), sealed),
            _ => self.masters.open(&secret_aad(aad), sealed),
        };
        opened.map_err(|error| match error {
            Unopened::KeyMissing(_) => CustodyError::SealingKeyMissing(error.to_string()),
            Unopened::DoesNotOpen => CustodyError::DoesNotOpen,
        })
    }

    async fn sealing_keys(&self) -> Result<Vec<DeviceSealingKey>, CustodyError> {
        let current = self.masters.current();
        let mut keys: Vec<DeviceSealingKey> = Vec::new();
        for id in self.masters.ids() {
            let (id, seals) = (id.to_string(), id == current);
            if keys.iter().all(|key| key.id != id) {
                let made_at = None; // its file knows
                keys.push(DeviceSealingKey { id, seals, made_at });
            }
        }
        Ok(keys)
    }

    fn sealed_under(&self, sealed: &[u8]) -> Option<String> {
        named_in(sealed).map(|id| id.to_string())
    }
}

/// The first byte of a secret that was sealed before master keys had ids.
const UNNAMED_SECRET: u8 = 1;

/// Keeps sealed secrets apart from sealed keys, whose associated data starts with a UUID of version
/// 7: its seventh byte is never a space.
fn secret_aad(aad: &[u8]) -> Vec<u8> {
    [b"secret v1 in chancery: ", aad].concat()
}
