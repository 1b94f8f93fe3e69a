//! Several sealing keys at once, so that one can take another's place while the service runs.
//!
//! What is sealed is `2 ‖ id of the key (8 bytes) ‖ nonce (12 bytes) ‖ ciphertext ‖ tag (16 bytes)`, with
//! all that stands before the nonce in the associated data. What was sealed before keys had ids has no
//! such head; it is tried under each key, and authenticated encryption says which was meant.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{BadKeyFile, SealingKey, SealingKeyId};

const NAMED: u8 = 2;
/// How long the head is.
pub const HEAD: usize = 1 + SealingKeyId::LENGTH;

/// The key that seals now, and former ones that only open.
#[derive(Debug)]
pub struct Keyring {
    current: SealingKey,
    former: Vec<SealingKey>,
}

/// Why something sealed does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unopened {
    /// Other key, other associated data, or altered bytes. Which, nobody can tell.
    #[error("the sealed secret does not open")]
    DoesNotOpen,
    /// Its head names a key that is not among these.
    #[error("it was sealed under the key {0}, and no key file that is configured holds that one")]
    KeyMissing(SealingKeyId),
}

impl Keyring {
    /// A keyring of these.
    pub fn new(current: SealingKey, former: Vec<SealingKey>) -> Self {
        Self { current, former }
    }

    /// Reads the keys from their files.
    pub fn from_files(current: &Path, former: &[PathBuf]) -> Result<Self, BadKeyFile> {
        let read = |path: &Path| {
            SealingKey::from_file(path)
                .map_err(|error| BadKeyFile::At(path.to_owned(), Box::new(error)))
        };
        let former = former
            .iter()
            .map(|path| read(path))
            .collect::<Result<_, _>>();
        Ok(Self::new(read(current)?, former?))
    }

    /// The key that seals.
    pub fn current(&self) -> SealingKeyId {
        self.current.id()
    }

    /// All keys, the one that seals first.
    pub fn ids(&self) -> impl Iterator<Item = SealingKeyId> {
        self.keys().map(SealingKey::id)
    }

    /// The head of what is sealed now.
    pub fn head(&self) -> [u8; HEAD] {
        head(self.current())
    }

    /// Seals `plaintext` to `aad` under the current key.
    pub fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let head = self.head();
        let sealed = self.current.seal(&[&head, aad].concat(), plaintext);
        [&head, sealed.as_slice()].concat()
    }

    /// Opens what any of the keys sealed with the same `aad`.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let named = named(sealed);
        if let Some((id, body)) = named
            && let Some(key) = self.keys().find(|key| key.id() == id)
            && let Ok(opened) = key.open(&[&head(id), aad].concat(), body)
        {
            return Ok(opened);
        }
        // A nonce of old may look like a head.
        self.open_unnamed(aad, sealed)
            .map_err(|unopened| match named {
                Some((id, _)) if !self.ids().any(|known| known == id) => Unopened::KeyMissing(id),
                _ => unopened,
            })
    }

    /// Opens what was sealed before keys had ids.
    pub fn open_unnamed(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        self.keys()
            .find_map(|key| key.open(aad, sealed).ok())
            .ok_or(Unopened::DoesNotOpen)
    }

    fn keys(&self) -> impl Iterator<Item = &SealingKey> {
        std::iter::once(&self.current).chain(&self.former)
    }
}

impl From<SealingKey> for Keyring {
    fn from(key: SealingKey) -> Self {
        Self::new(key, Vec::new())
    }
}

/// The key that the head of something sealed names, as far as it has a head.
pub fn named_in(sealed: &[u8]) -> Option<SealingKeyId> {
    named(sealed).map(|(id, _)| id)
}

fn named(sealed: &[u8]) -> Option<(SealingKeyId, &[u8])> {
    let (head, body) = sealed.split_at_checked(HEAD)?;
    let (&NAMED, id) = head.split_first()? else {
        return None;
    };
    Some((SealingKeyId::from_bytes(id.try_into().ok()?), body))
}

fn head(id: SealingKeyId) -> [u8; HEAD] {
    let mut head = [NAMED; HEAD];
    head[1..].copy_from_slice(id.as_bytes());
    head
}

#[cfg(test)]
mod tests;
