//! The key that signs checkpoints: Ed25519, sealed under the service's sealing key.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

use super::EvidenceError;
use super::records::{self, SealedKey};
use crate::ledger::Ledger;
use crate::sealing::{Keyring, named_in};
use crate::tlog::NoteSigner;
use crate::tlog::note::Kind;

/// What the private key is sealed to.
fn about(number: i32, public: &[u8]) -> Vec<u8> {
    [
        b"chancery log key\n".as_slice(),
        &number.to_be_bytes(),
        public,
    ]
    .concat()
}

/// Opens the key of this log, which is made at the first start. One that rests under a former sealing key
/// comes under the current one.
pub(super) async fn open(
    origin: &str,
    ledger: &Ledger,
    sealing: &Keyring,
) -> Result<NoteSigner, EvidenceError> {
    let mut sealed = records::newest_key(ledger).await?;
    if sealed.is_none() {
        records::insert_key(&make(sealing)?, ledger).await?;
        sealed = records::newest_key(ledger).await?;
    }
    let sealed = sealed.ok_or(EvidenceError::Key("it is not on record"))?;
    let aad = about(sealed.number, &sealed.public);
    let seed = sealing
        .open(&aad, &sealed.sealed)
        .map_err(|_| {
            EvidenceError::Key(
                "it does not open under any sealing key: bring back the file that [sealing] named when the log was written, as key_file or among former_key_files",
            )
        })?;
    let pair = Ed25519KeyPair::from_seed_and_public_key(&seed, &sealed.public)
        .map_err(|_| EvidenceError::Key("its halves do not belong together"))?;
    if named_in(&sealed.sealed) != Some(sealing.current()) {
        records::reseal_key(&sealed, &sealing.seal(&aad, &seed), ledger).await?;
    }
    NoteSigner::new(origin, Kind::Ed25519, pair)
        .map_err(|_| EvidenceError::Key("the log's origin is no name for a key"))
}

fn make(sealing: &Keyring) -> Result<SealedKey, EvidenceError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut())
        .map_err(|_| EvidenceError::Key("the operating system has no random bytes"))?;
    let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_ref())
        .map_err(|_| EvidenceError::Key("no pair came of the seed"))?;
    let (number, public) = (1, pair.public_key().as_ref().to_vec());
    Ok(SealedKey {
        number,
        sealed: sealing.seal(&about(number, &public), seed.as_ref()),
        public,
    })
}
