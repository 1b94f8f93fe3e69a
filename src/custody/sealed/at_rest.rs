//! Keys that are sealed anew under another master key, one by one, while others sign with them.

use async_trait::async_trait;
use uuid::Uuid;

use super::private_key::PrivateKey;
use super::records::{self, SealedKey};
use super::{Keystore, aad, unavailable, unopened_key};
use crate::custody::{Algorithm, CustodyError, KeysAtRest, ResealedKey, Stretch};
use crate::id::KeyId;
use crate::ledger::{LedgerError, Tx};
use crate::sealing::named_in;

impl Keystore {
    /// Seals a key anew, opens it again, and compares its public half with the one on record.
    fn sealed_anew(
        &self,
        id: KeyId,
        algorithm: Algorithm,
        key: &SealedKey,
    ) -> Result<Vec<u8>, CustodyError> {
        let aad = aad(id, algorithm);
        let der = self.masters.open(&aad, &key.sealed);
        let sealed = self.masters.seal(&aad, &der.map_err(unopened_key)?);
        let again = self.masters.open(&aad, &sealed).map_err(unopened_key)?;
        let opened = PrivateKey::from_pkcs8(algorithm, &again)?;
        if opened.public_key()?.to_spki_der() == key.public_key {
            return Ok(sealed);
        }
        let why = "the public half on record is another key's";
        Err(CustodyError::Nonsense(why.into()))
    }
}

#[async_trait]
impl KeysAtRest for Keystore {
    async fn counts(&self) -> Result<Vec<(Option<String>, i64)>, CustodyError> {
        let by_head = records::count_by_head(&self.backend, &self.ledger).await;
        let mut counts: Vec<(Option<String>, i64)> = Vec::new();
        for (head, keys) in by_head.map_err(|e| unavailable(&e))? {
            // A head that is no known id is the nonce of a key that was sealed before heads existed.
            let known = named_in(&head).filter(|id| self.masters.ids().any(|known| known == *id));
            let id = known.map(|id| id.to_string());
            match counts.iter_mut().find(|(counted, _)| *counted == id) {
                Some((_, sum)) => *sum += keys,
                None => counts.push((id, keys)),
            }
        }
        Ok(counts)
    }

    async fn reseal(
        &self,
        after: Option<Uuid>,
        at_most: i64,
    ) -> Result<Stretch<ResealedKey>, CustodyError> {
        let head = self.masters.head();
        let rows = records::under_others(&self.backend, &head, after, at_most, &self.ledger).await;
        let mut stretch = Stretch {
            resealed: Vec::new(),
            stuck: Vec::new(),
            last: None,
        };
        for (id, algorithm, key) in rows.map_err(|e| unavailable(&e))? {
            stretch.last = Some(id.uuid());
            match self.sealed_anew(id, algorithm, &key) {
                Ok(sealed) => stretch.resealed.push(ResealedKey {
                    id: id.uuid(),
                    was: key.sealed,
                    sealed,
                }),
                Err(error) => stretch.stuck.push((id.uuid(), error.to_string())),
            }
        }
        Ok(stretch)
    }

    async fn put(&self, resealed: &[ResealedKey], tx: &mut Tx) -> Result<u64, LedgerError> {
        records::replace(resealed, tx).await
    }
}
