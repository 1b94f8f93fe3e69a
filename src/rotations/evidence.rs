//! What steps stand on, as it is kept with them. Never a secret.

use time::OffsetDateTime;

use crate::custody::PublicKey;
use crate::id::{KeyId, ProbeId, RotationId};
use crate::keys::{Key, KeyState, Reason};
use crate::name::Name;
use crate::oauth::clients::AssignedKid;

/// A key as people and counterparties name it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct KeyNamed {
    /// Its id here.
    pub id: KeyId,
    /// Its name here.
    pub name: Name,
    /// SHA-256 of its `SubjectPublicKeyInfo`, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Its RFC 7638 thumbprint, which is `kid` at Auth0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbprint: Option<String>,
}

impl From<&Key> for KeyNamed {
    fn from(key: &Key) -> Self {
        let public = key.public_key.as_ref();
        Self {
            id: key.id,
            name: key.name.clone(),
            fingerprint: public.map(|key| hex::encode(key.fingerprint())),
            thumbprint: public.map(PublicKey::thumbprint),
        }
    }
}

/// Of `open`.
#[derive(Debug, serde::Serialize)]
pub struct Opened {
    /// Why.
    pub reason: Reason,
    /// The key that goes.
    pub old_key: KeyNamed,
    /// Where an emergency took it out of service: its state since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<KeyState>,
    /// A former rotation that may have left a key at the counterparty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_behind: Option<RotationId>,
}

/// Of `submit`.
#[derive(Debug, serde::Serialize)]
pub struct Submitted {
    /// The key that was sent.
    pub key: KeyNamed,
    /// SHA-256 of its PEM, byte for byte.
    pub pem_sha256: String,
    /// To be registered for this existing client.
    pub client_id: String,
    /// By which way: an onboarding form, a mail address.
    pub channel: Reason,
    /// Their case or ticket.
    pub reference: Reason,
}

/// Of `confirm`.
#[derive(Debug, serde::Serialize)]
pub struct Confirmed {
    /// The fingerprint or thumbprint in their words. It is the key's.
    pub quoted: String,
    /// Their message.
    pub reference: Reason,
    /// The `kid` that they assigned to the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<AssignedKid>,
    /// When they let the key expire, where they said so.
    #[serde(
        skip_serializing_if = "Option::is_none",
        with = "time::serde::rfc3339::option"
    )]
    pub expires_at: Option<OffsetDateTime>,
    /// The probe that has shown it already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeId>,
}

/// Of `probe`, and with `switch` and `roll-back`.
#[derive(Debug, serde::Serialize)]
pub struct Proved {
    /// The probe that has shown that the key works.
    pub probe: ProbeId,
    /// Why, where somebody decided it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// Of `ask-removal`.
#[derive(Debug, serde::Serialize)]
pub struct RemovalAsked {
    /// The key that is to go. The request names both, so that they do not remove the wrong one.
    pub goes: KeyNamed,
    /// The key that stays, if there is one yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stays: Option<KeyNamed>,
    /// By which way.
    pub channel: Reason,
    /// Their case or ticket.
    pub reference: Reason,
}

/// Of `prove-removal`.
#[derive(Debug, serde::Serialize)]
pub struct RemovalProved {
    /// The probe that was refused.
    pub refused: ProbeId,
    /// The one that was not, with the key that stays, after that.
    pub works: ProbeId,
}

/// Of `close` and `abandon`.
#[derive(Debug, serde::Serialize)]
pub struct Ended {
    /// Why, or with what in mind.
    pub reason: Reason,
}
