//! Signed notes (C2SP `signed-note`): a text, and lines of who signed it.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// The largest note that is read: a checkpoint with the signatures of many witnesses is smaller.
const LARGEST: usize = 64 * 1024;

/// So many signatures are looked at.
const SIGNATURES: usize = 64;

/// Begins the line of a signature.
const DASH: &str = "\u{2014} ";

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ed25519 over the text.
    Ed25519,
    /// The same with a time before it: a witness saw the text then.
    Cosignature,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::Cosignature => 4,
        }
    }
}

/// Why something is no note, or none that is signed by whom one trusts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNote {
    /// It is too large.
    #[error("a note has at most {LARGEST} bytes")]
    Large,
    /// It is not written as a note.
    #[error("not a signed note: {0}")]
    Malformed(&'static str),
    /// The signature of a key that is known does not fit.
    #[error("the signature of {0} does not fit the text")]
    Signature(String),
    /// Nobody that is known has signed it.
    #[error("none of its signatures is by {0}")]
    Unsigned(String),
    /// Not a verifier's key.
    #[error("not a key of the form name+hash+key: {0}")]
    Key(&'static str),
}

/// The public key of somebody who signs notes: `name+hash+key` as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteKey {
    name: String,
    kind: Kind,
    public: [u8; 32],
}

/// What verifies a note.
pub type Verifier = NoteKey;

impl NoteKey {
    /// A key by its parts. Names are not empty and have neither white space nor a plus.
    pub fn new(name: &str, kind: Kind, public: [u8; 32]) -> Result<Self, BadNote> {
        if name.is_empty()
            || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
        {
            return Err(BadNote::Key("a name has neither white space nor a plus"));
        }
        Ok(Self {
            name: name.to_owned(),
            kind,
            public,
        })
    }

    /// Whose it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key's 32 bytes.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// How it signs.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Which of the keys of its name it is: four bytes of a hash.
    pub fn id(&self) -> [u8; 4] {
        let hash = Sha256::new()
            .chain_update(&self.name)
            .chain_update(b"\n")
            .chain_update([self.kind.byte()])
            .chain_update(self.public)
            .finalize();
        [hash[0], hash[1], hash[2], hash[3]]
    }

    fn fits(&self, text: &str, signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, self.public);
        match self.kind {
            Kind::Ed25519 => key.verify(text.as_bytes(), signature).is_ok(),
            Kind::Cosignature => {
                let Some((time, signature)) = signature.split_first_chunk::<8>() else {
                    return false;
                };
                let message = cosigned(text, u64::from_be_bytes(*time));
                key.verify(message.as_bytes(), signature).is_ok()
            }
        }
    }
}

/// What a witness signs: the text as it saw it, and when, in seconds since 1970.
pub fn cosigned(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

impl fmt::Display for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.kind.byte()], self.public.as_slice()].concat();
        let id = u32::from_be_bytes(self.id());
        write!(f, "{}+{id:08x}+{}", self.name, STANDARD.encode(key))
    }
}

impl FromStr for NoteKey {
    type Err = BadNote;

    fn from_str(text: &str) -> Result<Self, BadNote> {
        let (name, rest) = text.split_once('+').ok_or(BadNote::Key("no plus"))?;
        let (id, key) = rest.split_once('+').ok_or(BadNote::Key("one plus"))?;
        let key = STANDARD.decode(key);
        let key = key.map_err(|_| BadNote::Key("the key is not base64"))?;
        let (kind, public) = match key.split_first() {
            Some((1, public)) => (Kind::Ed25519, public),
            Some((4, public)) => (Kind::Cosignature, public),
            _ => return Err(BadNote::Key("a kind that is not supported")),
        };
        let public = public.try_into();
        let public = public.map_err(|_| BadNote::Key("an Ed25519 key has 32 bytes"))?;
        let key = Self::new(name, kind, public)?;
        if id == format!("{:08x}", u32::from_be_bytes(key.id())) {
            Ok(key)
        } else {
            Err(BadNote::Key("the hash does not fit the key"))
        }
    }
}

/// Signs notes as one name.
pub struct NoteSigner {
    key: NoteKey,
    pair: Ed25519KeyPair,
}

impl NoteSigner {
    /// Signs with a key pair.
    ///
    /// # Panics
    /// Never: a public key of Ed25519 has 32 bytes.
    pub fn new(name: &str, kind: Kind, pair: Ed25519KeyPair) -> Result<Self, BadNote> {
        let public = pair.public_key().as_ref().try_into();
        let public = public.expect("a public key of Ed25519 has 32 bytes");
        let key = NoteKey::new(name, kind, public)?;
        Ok(Self { key, pair })
    }

    /// The public half.
    pub fn key(&self) -> &NoteKey {
        &self.key
    }

    /// The line that signs a text; a witness's says so many seconds since 1970.
    pub fn sign(&self, text: &str, time: u64) -> String {
        let mut signature = self.key.id().to_vec();
        match self.key.kind {
            Kind::Ed25519 => signature.extend(self.pair.sign(text.as_bytes()).as_ref()),
            Kind::Cosignature => {
                signature.extend(time.to_be_bytes());
                let message = cosigned(text, time);
                signature.extend(self.pair.sign(message.as_bytes()).as_ref());
            }
        }
        format!("{DASH}{} {}\n", self.key.name, STANDARD.encode(signature))
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NoteSigner")
            .field(&self.key.to_string())
            .finish()
    }
}

/// A note that was read. Its text means nothing before a signature of it was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

impl Note {
    /// The text, its last line's end included. Not yet verified.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Who among these signed it. A signature of theirs that does not fit spoils the note; of others nothing
    /// is known.
    pub fn signed_by<'k>(
        &self,
        known: impl IntoIterator<Item = &'k NoteKey>,
    ) -> Result<Vec<&'k NoteKey>, BadNote> {
        let mut signed = Vec::new();
        for key in known {
            let id = key.id();
            let mut own = self
                .signatures
                .iter()
                .filter(|it| it.name == key.name && it.id == id);
            let Some(first) = own.next() else { continue };
            if own.next().is_some() || !key.fits(&self.text, &first.bytes) {
                return Err(BadNote::Signature(key.name.clone()));
            }
            signed.push(key);
        }
        Ok(signed)
    }

    /// The text, if this key has signed it.
    pub fn verified(&self, key: &NoteKey) -> Result<&str, BadNote> {
        if self.signed_by([key])?.is_empty() {
            return Err(BadNote::Unsigned(key.to_string()));
        }
        Ok(&self.text)
    }

    /// The note with one line of a signature more.
    pub fn with_signature(&self, line: &str) -> Result<Self, BadNote> {
        format!("{self}{line}").parse()
    }
}

impl FromStr for Note {
    type Err = BadNote;

    fn from_str(note: &str) -> Result<Self, BadNote> {
        if note.len() > LARGEST {
            return Err(BadNote::Large);
        }
        if note.contains(|c: char| c < ' ' && c != '\n') {
            return Err(BadNote::Malformed("a control character"));
        }
        let at = note
            .rfind("\n\n")
            .ok_or(BadNote::Malformed("no empty line"))?;
        let (text, lines) = (&note[..=at], &note[at + 2..]);
        let lines = lines
            .strip_suffix('\n')
            .ok_or(BadNote::Malformed("the last line has no end"))?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() == SIGNATURES {
                return Err(BadNote::Malformed("too many signatures"));
            }
            signatures.push(line.parse()?);
        }
        Ok(Self {
            text: text.to_owned(),
            signatures,
        })
    }
}

impl FromStr for Signature {
    type Err = BadNote;

    fn from_str(line: &str) -> Result<Self, BadNote> {
        let malformed = BadNote::Malformed("a line that is no signature");
        let (name, signature) = line
            .strip_prefix(DASH)
            .and_then(|line| line.split_once(' '))
            .ok_or(malformed.clone())?;
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '+') {
            return Err(malformed);
        }
        let signature = STANDARD.decode(signature).map_err(|_| malformed.clone())?;
        let (id, bytes) = signature
            .split_first_chunk::<4>()
            .ok_or(malformed.clone())?;
        if bytes.is_empty() {
            return Err(malformed);
        }
        Ok(Self {
            name: name.to_owned(),
            id: *id,
            bytes: bytes.to_vec(),
        })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for Signature { name, id, bytes } in &self.signatures {
            let signature = [id.as_slice(), bytes].concat();
            writeln!(f, "{DASH}{name} {}", STANDARD.encode(signature))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
