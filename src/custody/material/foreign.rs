//! Forms in which people hold keys and which are not read here, each with what makes one of ours of it.

/// Something that holds a private key, or nearly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// A PKCS#12 file.
    #[error(
        "this is PKCS#12 (.p12, .pfx): openssl pkcs12 -in FILE -nocerts -nodes | chancery keys import …"
    )]
    Pkcs12,
    /// OpenSSH's own.
    #[error(
        "this is OpenSSH's own form: cp FILE COPY && ssh-keygen -p -N '' -m PKCS8 -f COPY, then --file COPY"
    )]
    OpenSsh,
    /// `PuTTY`'s own.
    #[error(
        "this is PuTTY's own form: puttygen FILE -O private-openssh -o COPY && ssh-keygen -p -N '' -m PKCS8 -f COPY, then --file COPY"
    )]
    Putty,
    /// Words that many keys are derived from.
    #[error(
        "these are the words that many keys are derived from: cast wallet import NAME --mnemonic FILE --mnemonic-index 0, compare its address, then --file ~/.foundry/keystores/NAME"
    )]
    Mnemonic,
    /// Digits in quotes.
    #[error("there are quotes around it: tr -d '\"'\\''' < FILE | chancery keys import …")]
    Quoted,
    /// A line of an environment file.
    #[error(
        "this is a line of an environment file: sed 's/^[^=]*=//' FILE | tr -d '\"'\\''' | chancery keys import …"
    )]
    Assignment,
    /// Another encoding of text.
    #[error("this is text in UTF-16: iconv -f UTF-16 -t UTF-8 FILE | chancery keys import …")]
    Utf16,
    /// A mark that some editors put before text.
    #[error("a byte-order mark stands before it: tail -c +4 FILE | chancery keys import …")]
    ByteOrderMark,
    /// Several JWKs.
    #[error(
        "this is a set of JWKs: jq '.keys[0]' FILE | chancery keys import …, for the one that is meant"
    )]
    KeySet,
    /// What Ethereum's first sale gave out.
    #[error(
        "this is a wallet of Ethereum's presale: geth wallet import FILE, then --file with the keystore that it makes"
    )]
    Presale,
    /// `OpenPGP`.
    #[error("this is an OpenPGP message: gpg --decrypt FILE | chancery keys import …")]
    Pgp,
}

impl Foreign {
    /// Which one it is, by how it looks. Nothing is kept of it.
    pub(super) fn recognise(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Some(Self::Utf16),
            [0xef, 0xbb, 0xbf, ..] => return Some(Self::ByteOrderMark),
            [0x30, ..] if is_pkcs12(bytes) => return Some(Self::Pkcs12),
            _ => {}
        }
        // Text in UTF-16 without a mark: every other byte of what is ASCII is none.
        let halves = |pair: &[u8]| matches!(pair, [0, it] | [it, 0] if *it != 0);
        if bytes.len() >= 32 && bytes.chunks_exact(2).all(halves) {
            return Some(Self::Utf16);
        }
        let text = std::str::from_utf8(bytes).ok()?.trim_ascii();
        if text.contains("-----BEGIN OPENSSH PRIVATE KEY-----") {
            return Some(Self::OpenSsh);
        }
        if text.contains("-----BEGIN PGP MESSAGE-----") {
            return Some(Self::Pgp);
        }
        if text.starts_with("PuTTY-User-Key-File") {
            return Some(Self::Putty);
        }
        if text.starts_with('{') {
            return match () {
                () if text.contains("\"encseed\"") => Some(Self::Presale),
                () if text.contains("\"keys\"") => Some(Self::KeySet),
                () => None,
            };
        }
        if text.starts_with(['"', '\'']) {
            return Some(Self::Quoted);
        }
        let (name, value) = text.split_once('=').unwrap_or_default();
        let name = name.trim_start_matches("export ").trim_end();
        let is_name =
            |it: &str| !it.is_empty() && it.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if is_name(name) && value.len() >= 64 && !text.contains("-----") {
            return Some(Self::Assignment);
        }
        let words: usize = text.split_ascii_whitespace().count();
        let are_words = text
            .split_ascii_whitespace()
            .all(|it| (3..=8).contains(&it.len()) && it.bytes().all(|b| b.is_ascii_lowercase()));
        ([12, 15, 18, 21, 24].contains(&words) && are_words).then_some(Self::Mnemonic)
    }
}

/// `PFX ::= SEQUENCE { version INTEGER (3), … }` (RFC 7292 §4), with a definite length or without.
fn is_pkcs12(der: &[u8]) -> bool {
    let skipped = match der.get(1) {
        Some(length @ 0x81..=0x84) => 2 + usize::from(length & 0x7f),
        _ => 2,
    };
    der.get(skipped..)
        .is_some_and(|it| it.starts_with(&[2, 1, 3]))
}
