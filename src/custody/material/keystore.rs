//! An Ethereum keystore of version 3 (Web3 Secret Storage): a secp256k1 key under a password, as geth,
//! foundry and wallets export it.
//!
//! The password goes through scrypt or PBKDF2; half of what comes out checks it, the other half decrypts.
//! The file says how much work that is, so the work is bounded.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{AES_128, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::pbkdf2;
use sha3::{Digest as _, Keccak256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{BadMaterial, Material};

/// Memory for scrypt: geth's own choice takes 256 MiB.
const SCRYPT_BYTES: u64 = 1 << 30;
const PBKDF2_ROUNDS: u32 = 10_000_000;

/// Members point into the text, so that nothing is copied.
#[derive(serde::Deserialize)]
struct Keystore<'a> {
    version: serde_json::Value,
    #[serde(borrow, alias = "Crypto")]
    crypto: Crypto<'a>,
    address: Option<&'a str>,
}

#[derive(serde::Deserialize)]
struct Crypto<'a> {
    cipher: &'a str,
    ciphertext: &'a str,
    #[serde(borrow)]
    cipherparams: CipherParameters<'a>,
    kdf: &'a str,
    #[serde(borrow)]
    kdfparams: KdfParameters<'a>,
    mac: &'a str,
}

#[derive(serde::Deserialize)]
struct CipherParameters<'a> {
    iv: &'a str,
}

#[derive(serde::Deserialize)]
struct KdfParameters<'a> {
    salt: &'a str,
    dklen: usize,
    n: Option<u64>,
    r: Option<u32>,
    p: Option<u32>,
    c: Option<u32>,
    prf: Option<&'a str>,
}

impl Material {
    /// Reads a keystore with its password.
    pub fn open_keystore(text: &[u8], password: &[u8]) -> Result<Self, BadMaterial> {
        let file: Keystore<'_> =
            serde_json::from_slice(text.trim_ascii()).map_err(|_| BadMaterial::Keystore)?;
        let is_version_3 = file.version == 3 || file.version == "3";
        if !is_version_3 || file.crypto.cipher != "aes-128-ctr" {
            return Err(BadMaterial::Keystore);
        }
        let crypto = &file.crypto;
        let derived = derive(crypto, password)?;
        let sealed = bytes(crypto.ciphertext)?;
        let mac: [u8; 32] = Keccak256::new()
            .chain_update(&derived[16..])
            .chain_update(&sealed)
            .finalize()
            .into();
        if !bool::from(mac.as_slice().ct_eq(&bytes(crypto.mac)?)) {
            return Err(BadMaterial::Password);
        }
        let iv: [u8; 16] = bytes(crypto.cipherparams.iv)?
            .try_into()
            .map_err(|_| BadMaterial::Keystore)?;
        let mut scalar = Zeroizing::new(sealed);
        let key = UnboundCipherKey::new(&AES_128, &derived[..16])
            .and_then(DecryptingKey::ctr)
            .map_err(|_| BadMaterial::Keystore)?;
        key.decrypt(&mut scalar, DecryptionContext::Iv128(iv.into()))
            .map_err(|_| BadMaterial::Keystore)?;
        let material = Self::from_scalar(&scalar)?;
        let named = file.address.map(|it| it.trim_start_matches("0x"));
        let shown = material.public_key.address().map(|it| it.to_string());
        match (named.filter(|it| !it.is_empty()), shown) {
            (Some(named), Some(shown)) if !shown[2..].eq_ignore_ascii_case(named) => {
                Err(BadMaterial::Inconsistent)
            }
            _ => Ok(material),
        }
    }
}

/// 32 bytes of the password and the salt.
fn derive(crypto: &Crypto<'_>, password: &[u8]) -> Result<Zeroizing<[u8; 32]>, BadMaterial> {
    let parameters = &crypto.kdfparams;
    let salt = bytes(parameters.salt)?;
    let mut derived = Zeroizing::new([0; 32]);
    if parameters.dklen != derived.len() {
        return Err(BadMaterial::Keystore);
    }
    match crypto.kdf {
        "scrypt" => {
            let (Some(n), Some(r), Some(p)) = (parameters.n, parameters.r, parameters.p) else {
                return Err(BadMaterial::Keystore);
            };
            let memory = n.saturating_mul(u64::from(r)).saturating_mul(128);
            let is_bounded = n.is_power_of_two() && memory <= SCRYPT_BYTES && p <= 64;
            let log_n = u8::try_from(n.trailing_zeros()).unwrap_or(u8::MAX);
            let checked = scrypt::Params::new(log_n, r, p, derived.len());
            let checked = checked.ok().filter(|_| is_bounded);
            let checked = checked.ok_or(BadMaterial::KeystoreWork)?;
            scrypt::scrypt(password, &salt, &checked, derived.as_mut())
                .map_err(|_| BadMaterial::Keystore)?;
        }
        "pbkdf2" if parameters.prf.is_none_or(|prf| prf == "hmac-sha256") => {
            let rounds = parameters.c.filter(|c| *c <= PBKDF2_ROUNDS);
            let rounds = rounds.and_then(NonZeroU32::new);
            let rounds = rounds.ok_or(BadMaterial::KeystoreWork)?;
            let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
            pbkdf2::derive(algorithm, rounds, &salt, password, derived.as_mut());
        }
        _ => return Err(BadMaterial::Keystore),
    }
    Ok(derived)
}

fn bytes(text: &str) -> Result<Vec<u8>, BadMaterial> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::decode(digits).map_err(|_| BadMaterial::Keystore)
}
