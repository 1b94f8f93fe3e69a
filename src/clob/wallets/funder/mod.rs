//! Whether a funder is the key's wallet.
//!
//! # Why
//! An order whose maker is not the signer's wallet has an invalid signature at the venue, which says
//! no more than that. So a wallet is compared with what follows from its key when it is put on
//! record, on Polygon strictly, for there the factories are known. With types 1 and 2 the official
//! clients take the signer as maker where no funder is said, which is never right: here the funder is
//! derived, and recorded as if it had been said. Two deposit wallets are possible, so type 3 has to
//! say which. The order builder itself does not check.

use super::NewWallet;
use crate::clob::warning::Warning;
use crate::clob::{Chain, Derived, Profile, SignatureType};
use crate::ethereum::Address;

/// Why the funder is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FunderError {
    /// It has to be said.
    #[error("funder is missing: it is the address of {}{}", wallet_of(*.0), either(.1.as_ref()))]
    Missing(SignatureType, Option<Derived>),
    /// It is not the key's wallet of this type.
    #[error(
        "funder {funder} is not {} of the key {signer}: {}. From the key follow: {derived}", wallet_of(*.kind), advice(*.fits)
    )]
    NotDerived {
        /// As said.
        funder: Address,
        /// As said.
        kind: SignatureType,
        /// The key's address.
        signer: Address,
        /// What would be right.
        derived: Derived,
        /// The type with which the funder would be right.
        fits: Option<SignatureType>,
    },
    /// A session key leads to no wallet.
    #[error(
        "funder {0} cannot be checked: with session_key the wallet does not follow from this key. Say \"funder_unverified\": true if it is right"
    )]
    SessionKey(Address),
}

fn wallet_of(kind: SignatureType) -> &'static str {
    match kind {
        SignatureType::Eoa => "the address",
        SignatureType::PolyProxy => "the proxy wallet (signatureType 1)",
        SignatureType::PolyGnosisSafe => "the Safe (signatureType 2)",
        SignatureType::Poly1271 => "the deposit wallet (signatureType 3)",
    }
}

fn either(derived: Option<&Derived>) -> String {
    derived.map_or_else(String::new, |it| {
        let (beacon, uups) = (it.deposit_wallet, it.deposit_wallet_uups);
        format!(", {beacon} or {uups}, whichever the chain has")
    })
}

fn advice(kind: Option<SignatureType>) -> String {
    match kind {
        Some(kind) => format!("it fits signatureType {}", kind.number()),
        None => "it fits no signatureType; say \"funder_unverified\": true if it is right".into(),
    }
}

/// How a profile and its key belong together.
enum Fit {
    Right,
    NotDerived(Option<SignatureType>),
    SessionKey,
}

/// The signature type with which `funder` would be the key's wallet.
pub(in crate::clob) fn fitting(
    signer: Address,
    derived: &Derived,
    funder: Address,
) -> Option<SignatureType> {
    if funder == signer {
        Some(SignatureType::Eoa)
    } else {
        derived.type_of(funder)
    }
}

fn fit(profile: &Profile, derived: &Derived) -> Fit {
    if profile.session_key() {
        return Fit::SessionKey;
    }
    let fits = fitting(profile.key_address(), derived, profile.maker());
    if fits == Some(profile.signature_type()) {
        Fit::Right
    } else {
        Fit::NotDerived(fits)
    }
}

/// The funder to put on record, where one can be told.
pub(super) fn choose(new: &NewWallet, signer: Address) -> Result<Option<Address>, FunderError> {
    if new.funder.is_some() {
        return Ok(new.funder);
    }
    let derived = (new.chain == Chain::Polygon && !new.session_key).then(|| Derived::of(signer));
    match (new.signature_type, derived) {
        (SignatureType::Eoa, _) => Ok(None),
        (SignatureType::PolyProxy, Some(derived)) => Ok(Some(derived.proxy)),
        (SignatureType::PolyGnosisSafe, Some(derived)) => Ok(Some(derived.safe)),
        (SignatureType::Poly1271, derived) => {
            Err(FunderError::Missing(SignatureType::Poly1271, derived))
        }
        (kind, None) => Err(FunderError::Missing(kind, None)),
    }
}

/// Refuses, on Polygon, a funder that is not the key's wallet, unless somebody said to take it.
/// Answers whether that had to be said.
pub(super) fn check(profile: &Profile, unverified: bool) -> Result<bool, FunderError> {
    let (signer, funder) = (profile.key_address(), profile.maker());
    let derived = Derived::of(signer);
    let refusal = match fit(profile, &derived) {
        Fit::Right => return Ok(false),
        Fit::SessionKey => FunderError::SessionKey(funder),
        Fit::NotDerived(fits) => FunderError::NotDerived {
            funder,
            kind: profile.signature_type(),
            signer,
            derived,
            fits,
        },
    };
    if unverified || profile.chain() == Chain::Amoy {
        Ok(unverified)
    } else {
        Err(refusal)
    }
}

/// What somebody who uses the wallet should know.
pub(super) fn warnings(profile: &Profile, derived: &Derived) -> Vec<Warning> {
    let funder = profile.maker();
    let text = match fit(profile, derived) {
        Fit::Right => return Vec::new(),
        Fit::SessionKey => {
            format!("funder {funder} could not be checked: a session key leads to no wallet")
        }
        Fit::NotDerived(fits) => {
            let fits = fits.map_or_else(String::new, |kind| {
                format!("; it fits signatureType {}", kind.number())
            });
            format!(
                "funder {funder} does not follow from the key as {} of chain 137{fits}: if it is wrong, the CLOB answers \"invalid signature\"",
                wallet_of(profile.signature_type()),
            )
        }
    };
    vec![Warning {
        code: "funder-not-derived",
        text,
    }]
}

#[cfg(test)]
mod tests;
