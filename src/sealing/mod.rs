//! Sealing of secrets at rest: AES-256-GCM under a key from a file.
//!
//! It promises that what was sealed opens only with the same key and the same associated data, and
//! not at all after a bit of it has changed. It **trusts** whoever can read the key file. Losing the
//! file loses everything sealed under it.
//!
//! # Why
//! Nonces are random, 96 bits. After 2³² seals under one key the chance that two were equal is still
//! below 2⁻³²; a counter would have to survive restarts and be shared by replicas.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::guarded_file;

mod keyring;

pub use keyring::{HEAD, Keyring, Unopened, named_in};

/// `[sealing]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file with the key under which answers that are credentials are kept. All replicas share it.
    pub key_file: PathBuf,
    /// Files with former keys, which still open what was sealed under them.
    #[serde(default)]
    pub former_key_files: Vec<PathBuf>,
}

/// A key that seals and opens. It cannot be read back.
pub struct SealingKey {
    key: RandomizedNonceKey,
    id: SealingKeyId,
}

/// Tells keys apart: the first bytes of a hash of the key, which say nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SealingKeyId([u8; Self::LENGTH]);

impl SealingKeyId {
    /// In bytes.
    pub const LENGTH: usize = 8;

    fn of(key: &[u8; 32]) -> Self {
        let hash = Sha256::new()
            .chain_update(b"chancery sealing key id\n")
            .chain_update(key)
            .finalize();
        let mut id = [0; Self::LENGTH];
        id.copy_from_slice(&hash[..Self::LENGTH]);
        Self(id)
    }

    /// From its bytes.
    pub fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for SealingKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Why a key file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum BadKeyFile {
    /// It cannot be read or written.
    #[error("the sealing key file: {0}")]
    Io(#[from] io::Error),
    /// Its mode lets everybody read it.
    #[error("the sealing key file is readable by everybody: chmod o-r")]
    WorldReadable,
    /// Its content is not a key.
    #[error("the sealing key file must hold 32 bytes or 64 hexadecimal digits")]
    Malformed,
    /// One of several.
    #[error("{0}: {1}")]
    At(PathBuf, Box<BadKeyFile>),
}

/// The secret does not open: other key, other associated data, or altered bytes. Which, nobody can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed secret does not open")]
pub struct DoesNotOpen;

impl SealingKey {
    /// Reads a key from a file: 32 bytes as they are, or 64 hexadecimal digits and perhaps a newline.
    pub fn from_file(path: &Path) -> Result<Self, BadKeyFile> {
        let file = guarded_file::open_secret(path)?;
        if file.metadata()?.permissions().mode() & 0o004 != 0 {
            return Err(BadKeyFile::WorldReadable);
        }
        let mut content = Zeroizing::new(Vec::with_capacity(128));
        file.take(128).read_to_end(&mut content)?;
        Self::from_content(&content)
    }

    /// Makes a key and writes it to a new file, in hexadecimal, for the owner only. A file that is
    /// already there is left alone and is an error.
    ///
    /// # Panics
    /// Never: the digits have their place.
    pub fn create_file(path: &Path) -> Result<Self, BadKeyFile> {
        let mut key = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(key.as_mut()).map_err(|_| io::Error::other("no randomness"))?;
        let mut digits = Zeroizing::new([0; 65]);
        hex::encode_to_slice(key.as_ref(), &mut digits[..64]).expect("64 digits for 32 bytes");
        digits[64] = b'\n';

        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(digits.as_ref())?;
        file.sync_all()?;
        Ok(Self::from_bytes(&key))
    }

    /// Seals `plaintext` to `aad`. The result is `nonce ‖ ciphertext ‖ tag`: 28 bytes longer.
    ///
    /// # Panics
    /// Over 64 GiB.
    pub fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        // Room for the tag, so that the plaintext is nowhere but where it is overwritten.
        let mut in_out = Vec::with_capacity(plaintext.len() + AES_256_GCM.tag_len());
        in_out.extend_from_slice(plaintext);
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(aad), &mut in_out)
            .expect("AES-GCM seals anything shorter than 64 GiB");
        [nonce.as_ref().as_slice(), &in_out].concat()
    }

    /// Opens what [`seal`](Self::seal) made with the same `aad`.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(DoesNotOpen)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| DoesNotOpen)?;
        let mut in_out = Zeroizing::new(body.to_vec());
        let length = self
            .key
            .open_in_place(nonce, Aad::from(aad), &mut in_out)
            .map_err(|_| DoesNotOpen)?
            .len();
        in_out.truncate(length);
        Ok(in_out)
    }

    fn from_content(content: &[u8]) -> Result<Self, BadKeyFile> {
        if let Ok(key) = content.try_into() {
            return Ok(Self::from_bytes(key));
        }
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(content.trim_ascii_end(), key.as_mut())
            .map_err(|_| BadKeyFile::Malformed)?;
        Ok(Self::from_bytes(&key))
    }

    /// What tells it from other keys.
    pub fn id(&self) -> SealingKeyId {
        self.id
    }

    /// The key itself.
    pub(crate) fn from_bytes(key: &[u8; 32]) -> Self {
        Self {
            key: RandomizedNonceKey::new(&AES_256_GCM, key).expect("an AES-256 key has 32 bytes"),
            id: SealingKeyId::of(key),
        }
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey([redacted])")
    }
}

#[cfg(test)]
mod tests;
