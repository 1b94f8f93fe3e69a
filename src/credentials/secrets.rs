//! The secrets of an API key: sealed before they are put on record, opened only by the vault.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::records::Resting;
use super::{Account, Credential, Kind, State};
use crate::custody::{CustodyError, Sealed, SealedSecret, Vault};
use crate::ledger::LedgerError;
use crate::name::Name;

/// The secret and the passphrase of an API key, sealed.
#[derive(Clone)]
pub struct SealedPair {
    /// The device that opens them: the name of a `[custody.NAME]` section.
    pub sealed_in: String,
    /// Part of the associated data; raised when they are sealed anew.
    pub version: i32,
    /// The HMAC secret, as text.
    pub secret: Vec<u8>,
    /// The passphrase, as text.
    pub passphrase: Vec<u8>,
}

/// Which half of a [`SealedPair`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The HMAC secret.
    Secret,
    /// The passphrase.
    Passphrase,
}

/// The associated data that a half is sealed with: moved to another account, API key, kind, version
/// or half, it does not open.
pub fn associated_data(
    account: &Account,
    kind: Kind,
    api_key: &str,
    version: i32,
    half: Half,
) -> Vec<u8> {
    let half = match half {
        Half::Secret => "secret",
        Half::Passphrase => "passphrase",
    };
    let (chain, kind) = (account.chain_id, kind.name());
    format!(
        "chancery credential\n{half}\n{kind}\n{chain}\n{}\n{version}\n{api_key}",
        account.address
    )
    .into_bytes()
}

impl SealedPair {
    /// Seals both halves in a device.
    pub async fn seal(
        vault: &Vault,
        sealed_in: &Name,
        (account, kind, api_key): (&Account, Kind, &str),
        version: i32,
        (secret, passphrase): (&str, &str),
    ) -> Result<Self, CustodyError> {
        let seal = async |half, text: &str| {
            let aad = associated_data(account, kind, api_key, version, half);
            vault.seal(sealed_in, &aad, text.as_bytes()).await
        };
        Ok(Self {
            sealed_in: sealed_in.to_string(),
            version,
            secret: seal(Half::Secret, secret).await?,
            passphrase: seal(Half::Passphrase, passphrase).await?,
        })
    }
}

impl Credential {
    /// Its secrets as the vault takes them. `key` turns the secret's text into an HMAC key.
    pub fn sealed_secret(
        &self,
        key: fn(&[u8]) -> Option<Zeroizing<Vec<u8>>>,
    ) -> Result<Arc<SealedSecret>, LedgerError> {
        let half = |half, sealed: &[u8]| Sealed {
            aad: associated_data(
                &self.account,
                self.kind,
                &self.api_key,
                self.sealed.version,
                half,
            ),
            sealed: sealed.to_vec(),
        };
        Ok(Arc::new(SealedSecret {
            id: self.id,
            backend: Name::from_record("credentials", self.sealed.sealed_in.clone())?,
            secret: half(Half::Secret, &self.sealed.secret),
            passphrase: half(Half::Passphrase, &self.sealed.passphrase),
            key,
        }))
    }
}

impl Credential {
    /// Whether the sealed halves open, to this secret and passphrase.
    pub(crate) async fn opens_to(&self, vault: &Vault, secret: &str, passphrase: &str) -> bool {
        let Ok(device) = self.sealed.sealed_in.parse() else {
            return false;
        };
        let rests = [
            (Half::Secret, &self.sealed.secret, secret),
            (Half::Passphrase, &self.sealed.passphrase, passphrase),
        ];
        for (half, sealed, text) in rests {
            let (account, api_key) = (&self.account, &self.api_key);
            let aad = associated_data(account, self.kind, api_key, self.sealed.version, half);
            match vault.open(&device, &aad, sealed).await {
                Ok(opened) if *opened == text.as_bytes() => {}
                _ => return false,
            }
        }
        true
    }
}

impl Resting {
    /// Opens both halves and seals them anew in the same device, as the next version. The result is opened
    /// again and compared, for the row is the only copy.
    pub(crate) async fn resealed(
        &self,
        vault: &Vault,
        device: &Name,
    ) -> Result<SealedPair, CustodyError> {
        let (from, to) = (self.sealed.version, self.sealed.version.saturating_add(1));
        let mut pair = SealedPair {
            version: to,
            ..self.sealed.clone()
        };
        for half in [Half::Secret, Half::Passphrase] {
            let bound =
                |version| associated_data(&self.account, self.kind, &self.api_key, version, half);
            let rests = match half {
                Half::Secret => &mut pair.secret,
                Half::Passphrase => &mut pair.passphrase,
            };
            let opened = vault.open(device, &bound(from), rests).await?;
            let sealed = vault.seal(device, &bound(to), &opened).await?;
            if vault.open(device, &bound(to), &sealed).await? != opened {
                let why = "what was sealed anew opens to something else";
                return Err(CustodyError::Nonsense(why.into()));
            }
            *rests = sealed;
        }
        Ok(pair)
    }
}

/// The API key of this kind with which headers are made: the live one, else the newest untried one. `all`
/// are an account's, newest first.
pub fn in_use(kind: Kind, all: Vec<Credential>) -> Option<Credential> {
    let mut usable: Vec<_> = all
        .into_iter()
        .filter(|it| it.kind == kind && matches!(it.state, State::Live | State::Unproven))
        .collect();
    let live = usable.iter().position(|it| it.state == State::Live);
    (!usable.is_empty()).then(|| usable.swap_remove(live.unwrap_or(0)))
}
