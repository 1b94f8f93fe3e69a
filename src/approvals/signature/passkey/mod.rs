//! Passkeys: assertions of `WebAuthn` with ES256, made by somebody whom the authenticator has verified.
//!
//! The browser gives the public key as `SubjectPublicKeyInfo`, so that nothing is parsed but JSON. The
//! relying party and its origin are configuration; no header says them.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// What stands before the point of a P-256 key in its `SubjectPublicKeyInfo`.
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// Somebody was there, and the authenticator knows who.
const PRESENT_AND_VERIFIED: u8 = 0x05;

/// `[approvals.passkeys]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelyingParty {
    /// The domain that passkeys are made for.
    pub rp_id: String,
    /// Where the approval page is, as browsers write an origin: scheme, host, and port where it is not
    /// the usual one.
    pub origin: String,
}

/// A passkey's public half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    credential_id: Vec<u8>,
    public_key: Vec<u8>,
}

/// What a browser gives, each in base64url without padding.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PasskeyAssertion)]
pub struct Assertion {
    /// Which passkey.
    pub credential_id: String,
    /// `authenticatorData`.
    pub authenticator_data: String,
    /// `clientDataJSON`.
    pub client_data: String,
    /// The signature, DER.
    pub signature: String,
}

/// Why something is no passkey, or no assertion of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPasskey {
    /// Not a P-256 key.
    #[error("not a P-256 public key as SubjectPublicKeyInfo")]
    Key,
    /// Not base64url or JSON.
    #[error("not what a browser gives")]
    Form,
    /// By another passkey.
    #[error("it was made with another passkey")]
    OtherKey,
    /// For something else.
    #[error("it was made for something else")]
    Challenge,
    /// Elsewhere.
    #[error("it was made on another page than [approvals.passkeys] origin")]
    Origin,
    /// For another relying party.
    #[error("it was made for another domain than [approvals.passkeys] rp_id")]
    Party,
    /// The authenticator did not verify anybody.
    #[error("the authenticator did not verify who was there")]
    NotVerified,
    /// It does not verify.
    #[error("it is not a signature of this hash")]
    Wrong,
}

#[derive(serde::Deserialize)]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(rename = "crossOrigin", default)]
    cross_origin: bool,
}

impl Passkey {
    /// A passkey, from what the browser gave when it was made.
    pub fn new(credential_id: Vec<u8>, public_key: Vec<u8>) -> Result<Self, BadPasskey> {
        let point = public_key.strip_prefix(&P256).ok_or(BadPasskey::Key)?;
        let fits = point.len() == 65 && point[0] == 4;
        let named = (1..=1023).contains(&credential_id.len());
        (fits && named).then_some(()).ok_or(BadPasskey::Key)?;
        Ok(Self {
            credential_id,
            public_key,
        })
    }

    /// The public key, as `SubjectPublicKeyInfo`.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// What the browser calls it.
    pub fn credential_id(&self) -> &[u8] {
        &self.credential_id
    }

    /// SHA-256 of its `SubjectPublicKeyInfo`.
    pub fn fingerprint(&self) -> String {
        hex::encode(Sha256::digest(&self.public_key))
    }

    /// That this is an assertion by this passkey, about this hash, at this page.
    pub fn verify(
        &self,
        assertion: &Assertion,
        hash: &[u8; 32],
        party: &RelyingParty,
    ) -> Result<(), BadPasskey> {
        if decoded(&assertion.credential_id)? != self.credential_id {
            return Err(BadPasskey::OtherKey);
        }
        let client = decoded(&assertion.client_data)?;
        let said: ClientData = serde_json::from_slice(&client).map_err(|_| BadPasskey::Form)?;
        if said.kind != "webauthn.get" || decoded(&said.challenge)? != hash {
            return Err(BadPasskey::Challenge);
        }
        if said.origin != party.origin || said.cross_origin {
            return Err(BadPasskey::Origin);
        }
        let data = decoded(&assertion.authenticator_data)?;
        // No extension is asked for, so there is nothing behind the counter.
        let [domain @ .., flags, _, _, _, _] = data.as_slice() else {
            return Err(BadPasskey::Form);
        };
        if domain != &Sha256::digest(&party.rp_id)[..] {
            return Err(BadPasskey::Party);
        }
        if flags & PRESENT_AND_VERIFIED != PRESENT_AND_VERIFIED {
            return Err(BadPasskey::NotVerified);
        }
        let signed = [data.as_slice(), &Sha256::digest(&client)[..]].concat();
        let point = self.public_key.get(P256.len()..).ok_or(BadPasskey::Key)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
            .verify(&signed, &decoded(&assertion.signature)?)
            .map_err(|_| BadPasskey::Wrong)
    }
}

impl Assertion {
    /// Which passkey it says it is by.
    pub fn credential(&self) -> Result<Vec<u8>, BadPasskey> {
        decoded(&self.credential_id)
    }

    /// For which domain it is, by the page that it says it was made on: for those who have no configuration, and
    /// know the page by what they read. It has to be the page's own domain, or one above it.
    pub fn party(&self) -> Option<RelyingParty> {
        let client = decoded(&self.client_data).ok()?;
        let said: ClientData = serde_json::from_slice(&client).ok()?;
        let data = decoded(&self.authenticator_data).ok()?;
        let domain = data.first_chunk::<32>()?;
        let (_, host) = said.origin.split_once("://")?;
        let mut host = host.split(':').next();
        while let Some(name) = host {
            if Sha256::digest(name)[..] == domain[..] {
                return Some(RelyingParty {
                    rp_id: name.to_owned(),
                    origin: said.origin,
                });
            }
            host = name.split_once('.').map(|(_, above)| above);
        }
        None
    }

    /// Bytes as a browser's page sends them.
    pub fn decoded(text: &str) -> Result<Vec<u8>, BadPasskey> {
        decoded(text)
    }
}

/// What a new passkey signs to show that it works, and for whom it is.
pub fn registration(person: &str, public_key: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update("chancery-passkey\n")
        .chain_update(person)
        .chain_update("\n")
        .chain_update(public_key)
        .finalize()
        .into()
}

fn decoded(text: &str) -> Result<Vec<u8>, BadPasskey> {
    let decoded = URL_SAFE_NO_PAD.decode(text);
    decoded.map_err(|_| BadPasskey::Form)
}

#[cfg(test)]
mod tests;
