//! Signatures of `ssh-keygen -Y sign` (`PROTOCOL.sshsig` of `OpenSSH`), and the keys that make them.
//!
//! Closed and strict: four kinds of keys, one version, one namespace, nothing behind the end. The kinds
//! with `sk-` are held by a token that somebody has touched.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256, Sha512};

/// What approvals are signed for, so that no other signature of the same key is one.
pub const NAMESPACE: &str = "chancery-approval";

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";
const MAGIC: &[u8] = b"SSHSIG";
/// Somebody touched the token.
const PRESENT: u8 = 0x01;

/// Why something is no key or no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSsh {
    /// Not a line of a `.pub` file.
    #[error(
        "not a line of a .pub file of ssh-ed25519, ecdsa-sha2-nistp256 or one of their sk- kinds"
    )]
    Key,
    /// Not what `ssh-keygen -Y sign` writes.
    #[error("not what ssh-keygen -Y sign writes")]
    Form,
    /// For something else.
    #[error("it was not made with -n {NAMESPACE}")]
    Namespace,
    /// By another key.
    #[error("it was made with another key")]
    OtherKey,
    /// Nobody touched the token.
    #[error("nobody touched the security key")]
    NotPresent,
    /// It does not verify.
    #[error("it is not a signature of this hash")]
    Wrong,
}

/// A public key, as the SSH protocol writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshKey(Vec<u8>);

enum Kind<'a> {
    Ed25519(&'a [u8]),
    P256(&'a [u8]),
    SkEd25519(&'a [u8], &'a [u8]),
    SkP256(&'a [u8], &'a [u8]),
}

/// What is still to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::try_from(length).ok()?)
    }

    fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

impl SshKey {
    /// Reads a line of a `.pub` file: the kind, the key, perhaps a comment.
    pub fn from_line(line: &str) -> Result<Self, BadSsh> {
        let mut words = line.split_ascii_whitespace();
        let (name, blob) = words.next().zip(words.next()).ok_or(BadSsh::Key)?;
        let blob = STANDARD.decode(blob).map_err(|_| BadSsh::Key)?;
        let named = Reader(&blob).string().ok_or(BadSsh::Key)?;
        if named != name.as_bytes() {
            return Err(BadSsh::Key);
        }
        Self::from_blob(blob)
    }

    /// Reads a key as the protocol writes it.
    pub fn from_blob(blob: Vec<u8>) -> Result<Self, BadSsh> {
        kind(&blob).ok_or(BadSsh::Key)?;
        Ok(Self(blob))
    }

    /// As the protocol writes it.
    pub fn blob(&self) -> &[u8] {
        &self.0
    }

    /// As `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> String {
        let digest = STANDARD.encode(Sha256::digest(&self.0));
        format!("SHA256:{}", digest.trim_end_matches('='))
    }

    /// That this is a signature of a message by this key.
    pub fn verify(&self, armored: &str, message: &[u8]) -> Result<(), BadSsh> {
        let blob = unarmored(armored).ok_or(BadSsh::Form)?;
        let parts = Parts::read(&blob).ok_or(BadSsh::Form)?;
        if parts.namespace != NAMESPACE.as_bytes() {
            return Err(BadSsh::Namespace);
        }
        if parts.key != self.0 {
            return Err(BadSsh::OtherKey);
        }
        let hash = match parts.hash {
            b"sha256" => Sha256::digest(message).to_vec(),
            b"sha512" => Sha512::digest(message).to_vec(),
            _ => return Err(BadSsh::Form),
        };
        let mut signed = MAGIC.to_vec();
        for part in [parts.namespace, parts.reserved, parts.hash, &hash] {
            put(part, &mut signed);
        }
        self.verify_bytes(parts.signature, &signed)
    }

    fn verify_bytes(&self, signature: &[u8], signed: &[u8]) -> Result<(), BadSsh> {
        let kind = kind(&self.0).ok_or(BadSsh::Key)?;
        let name = Reader(&self.0).string().ok_or(BadSsh::Key)?;
        let mut reader = Reader(signature);
        let mut read = || (reader.string(), reader.string());
        let (Some(named), Some(raw)) = read() else {
            return Err(BadSsh::Form);
        };
        if named != name {
            return Err(BadSsh::Form);
        }
        let behind = reader.0;
        let on_token = |application: &[u8]| token_message(application, behind, signed);
        let (is_good, expected) = match kind {
            Kind::Ed25519(key) => (ed25519(key, signed, raw), 0),
            Kind::P256(key) => (p256(key, signed, raw), 0),
            Kind::SkEd25519(key, application) => (ed25519(key, &on_token(application)?, raw), 5),
            Kind::SkP256(key, application) => (p256(key, &on_token(application)?, raw), 5),
        };
        if behind.len() != expected {
            return Err(BadSsh::Form);
        }
        is_good.then_some(()).ok_or(BadSsh::Wrong)
    }
}

/// What a token signs: whose application it is, that somebody was there, how often it has signed.
fn token_message(application: &[u8], behind: &[u8], signed: &[u8]) -> Result<Vec<u8>, BadSsh> {
    let (flags, counter) = behind.split_first().ok_or(BadSsh::Form)?;
    if flags & PRESENT == 0 {
        return Err(BadSsh::NotPresent);
    }
    Ok([
        &Sha256::digest(application)[..],
        &[*flags],
        counter,
        &Sha256::digest(signed)[..],
    ]
    .concat())
}

fn kind(blob: &[u8]) -> Option<Kind<'_>> {
    let mut reader = Reader(blob);
    let name = reader.string()?;
    let is_p256 = |curve: &[u8], point: &[u8]| {
        (curve == b"nistp256" && point.len() == 65 && point[0] == 4).then_some(())
    };
    let kind = match name {
        b"ssh-ed25519" => Kind::Ed25519(reader.string().filter(|it| it.len() == 32)?),
        b"ecdsa-sha2-nistp256" => {
            let (curve, point) = (reader.string()?, reader.string()?);
            is_p256(curve, point)?;
            Kind::P256(point)
        }
        b"sk-ssh-ed25519@openssh.com" => {
            let key = reader.string().filter(|it| it.len() == 32)?;
            Kind::SkEd25519(key, reader.string()?)
        }
        b"sk-ecdsa-sha2-nistp256@openssh.com" => {
            let (curve, point) = (reader.string()?, reader.string()?);
            is_p256(curve, point)?;
            Kind::SkP256(point, reader.string()?)
        }
        _ => return None,
    };
    reader.end()?;
    Some(kind)
}

fn ed25519(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let key = UnparsedPublicKey::new(&ED25519, key);
    key.verify(message, signature).is_ok()
}

/// ECDSA as SSH writes it: two numbers, of which DER is made.
fn p256(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let mut reader = Reader(signature);
    let (Some(r), Some(s)) = (reader.string(), reader.string()) else {
        return false;
    };
    // A number of this curve has at most 33 bytes, so that every length below is one byte.
    if reader.end().is_none() || [r, s].iter().any(|it| it.is_empty() || it.len() > 33) {
        return false;
    }
    let mut numbers = Vec::with_capacity(70);
    for number in [r, s] {
        numbers.extend([0x02, u8::try_from(number.len()).unwrap_or(u8::MAX)]);
        numbers.extend_from_slice(number);
    }
    let mut der = vec![0x30, u8::try_from(numbers.len()).unwrap_or(u8::MAX)];
    der.extend(numbers);
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key);
    key.verify(message, &der).is_ok()
}

/// A signature's parts.
struct Parts<'a> {
    key: &'a [u8],
    namespace: &'a [u8],
    reserved: &'a [u8],
    hash: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Parts<'a> {
    fn read(blob: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(blob);
        (reader.take(MAGIC.len())? == MAGIC && reader.number()? == 1).then_some(())?;
        let parts = Self {
            key: reader.string()?,
            namespace: reader.string()?,
            reserved: reader.string().filter(|it| it.is_empty())?,
            hash: reader.string()?,
            signature: reader.string()?,
        };
        reader.end()?;
        Some(parts)
    }
}

/// The key that a signature says it was made with.
pub fn key_of(armored: &str) -> Result<SshKey, BadSsh> {
    let blob = unarmored(armored).ok_or(BadSsh::Form)?;
    let parts = Parts::read(&blob).ok_or(BadSsh::Form)?;
    SshKey::from_blob(parts.key.to_vec())
}

fn unarmored(text: &str) -> Option<Vec<u8>> {
    let inside = text.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    let lines: String = inside.split_ascii_whitespace().collect();
    STANDARD.decode(lines).ok()
}

fn put(part: &[u8], to: &mut Vec<u8>) {
    let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
    to.extend(length.to_be_bytes());
    to.extend_from_slice(part);
}

#[cfg(test)]
mod tests;
