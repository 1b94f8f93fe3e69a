//! The statement: a JWS (RS256, flattened JSON) that says what a key's device said.
//!
//! A statement has a `typ` of its own and none of an assertion's claims, so that no authorization server
//! takes it for an assertion; nor is the key that signs it registered anywhere.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::challenge;
use super::{Look, Verdict};
use crate::clock::timestamp;
use crate::custody::{Evidence, Payload, PublicKey};
use crate::id::{AttestationId, IntentId};
use crate::keys::{Begun, Key};
use crate::name::Name;
use crate::policy::{Action, Ask, Resource};
use crate::signing::{self, Answer, Draft, Prepared};

/// `typ` of the protected header.
const TYP: &str = "chancery-key-attestation+jws";
/// What is stated of an offer to take a private key.
const OFFER_TYP: &str = "chancery-import-offer+jws";
/// The version of the claims.
const VERSION: u64 = 1;

/// What a statement says of a key.
pub(super) fn claims(
    id: AttestationId,
    key: &Key,
    look: &Look,
    possession: Option<&Value>,
    (signs, evidence): (&Key, Evidence),
) -> Value {
    let public = key.public_key.as_ref();
    let statement = signs.public_key.as_ref();
    json!({
        "version": VERSION,
        "attestation": id,
        "service": { "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") },
        "key": {
            "id": key.id, "name": key.name, "purpose": key.purpose, "algorithm": key.algorithm,
            "environment": key.environment, "owner": key.owner, "origin": key.origin,
            "state": key.state, "epoch": key.epoch, "created_at": timestamp(key.created_at),
            "cryptoperiod_ends_at": timestamp(key.cryptoperiod_ends_at),
        },
        "public_key": {
            "pem": public.map(PublicKey::to_pem),
            "fingerprint": public.map(|it| hex::encode(it.fingerprint())),
            "address": public.and_then(PublicKey::address).map(|it| it.to_string()),
        },
        "device": { "backend": key.backend, "reference": key.device_ref, "evidence": look.evidence },
        "read_at": timestamp(look.at),
        "attributes": look.attributes,
        "verdict": look.verdict,
        "findings": look.findings,
        "possession": possession,
        "signed_by": {
            "name": signs.name, "evidence": evidence,
            "fingerprint": statement.map(|it| hex::encode(it.fingerprint())),
        },
    })
}

/// What is stated of an offer to take a private key: for which key, and under which key it is to be wrapped.
pub(super) fn offer_claims(begun: &Begun, name: &Name, signs: &Key) -> Value {
    let signer = signs.public_key.as_ref();
    json!({
        "version": VERSION,
        "key": { "id": begun.id, "name": name },
        "announced": hex::encode(begun.announced.fingerprint()),
        "scheme": begun.offer.scheme,
        "wrapping_key": STANDARD.encode(&begun.offer.wrapping_key),
        "signed_by": {
            "name": signs.name,
            "fingerprint": signer.map(|it| hex::encode(it.fingerprint())),
        },
    })
}

/// What a statement is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// A key in its device.
    Key,
    /// An offer to take one.
    Offer,
}

impl About {
    fn typ(self) -> &'static str {
        match self {
            Self::Key => TYP,
            Self::Offer => OFFER_TYP,
        }
    }
}

/// A statement, to be signed by a key for checkpoints.
pub(super) struct StatementDraft {
    pub(super) what: About,
    pub(super) claims: Value,
    /// The key that the statement is about, on which the policy decides.
    pub(super) about: Key,
    /// The key that signs the statement.
    pub(super) key: Key,
}

impl Ask for StatementDraft {
    fn action(&self) -> Action {
        match self.what {
            About::Key => Action::AttestKey,
            About::Offer => Action::ImportKey,
        }
    }

    fn resource(&self) -> Resource {
        match self.what {
            About::Key => self.about.resource(),
            About::Offer => Resource::service().at(self.about.stake()),
        }
    }
}

impl Draft for StatementDraft {
    fn operation(&self) -> &'static str {
        "attestation"
    }

    fn subject(&self) -> Uuid {
        self.about.id.uuid()
    }

    fn key(&self) -> &Key {
        &self.key
    }

    fn tells_the_time(&self) -> bool {
        true
    }

    fn prepare(&self, now_ms: i64) -> Prepared {
        let kid = self.key.public_key.as_ref().map(PublicKey::thumbprint);
        let header = json!({ "alg": "RS256", "typ": self.what.typ(), "kid": kid });
        let mut claims = self.claims.clone();
        claims["issued_at"] = now_ms.div_euclid(1000).into();
        let input = format!("{}.{}", segment(&header), segment(&claims)).into_bytes();
        let digest = Sha256::digest(&input).into();
        let record = json!({ "header": header, "claims": claims });
        Prepared::new(Payload::Message(input), digest, record)
    }

    fn answer(&self, _: IntentId, prepared: &Prepared, signature: &signing::Checked) -> Answer {
        let (Payload::Message(input), signing::Checked::Rs256(signature)) =
            (&prepared.payload, signature)
        else {
            unreachable!("a statement is a message, and was checked as RS256");
        };
        let input = String::from_utf8_lossy(input);
        let (protected, payload) = input.split_once('.').unwrap_or_default();
        let jws = json!({
            "protected": protected, "payload": payload,
            "signature": URL_SAFE_NO_PAD.encode(signature),
        });
        Answer {
            body: serde_json::to_vec(&jws).expect("plain data serializes"),
            is_secret: false,
        }
    }
}

fn segment(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

/// A statement whose signature holds.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What the statement says.
    pub claims: Value,
    /// Whether the device and the record agreed.
    pub verdict: Verdict,
    /// Whether the statement holds a challenge that the key signed.
    pub possession: bool,
}

/// Why something is no statement of this service, signed by this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadStatement {
    /// The text is not a flattened JWS.
    #[error("this is not a flattened JWS: protected, payload and signature")]
    NotAJws,
    /// The JWS is something else.
    #[error("its header is not that of such a statement: alg RS256, typ {TYP} or {OFFER_TYP}")]
    OtherType,
    /// The signature is another key's, or the text was changed.
    #[error("its signature does not verify under this key")]
    Signature,
    /// The claims are of a version that this program does not read, contradict each other, or are about
    /// something else.
    #[error(
        "its claims are not those of such a statement of version 1, or it is about something else"
    )]
    Claims,
    /// The statement names another key as its signer.
    #[error("it names another key as the one that signed it")]
    OtherSigner,
    /// The statement's challenge proves nothing.
    #[error("the challenge in it was not signed by the key that it is about")]
    Possession,
}

/// Checks a statement offline, under the public key that should have signed it.
pub fn check(jws: &Value, signer: &PublicKey) -> Result<Checked, BadStatement> {
    let claims = signed_claims(jws, TYP, signer)?;
    let text = |value: &Value| {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or(BadStatement::Claims)
    };
    let verdict = Verdict::from_name(&text(&claims["verdict"])?).ok_or(BadStatement::Claims)?;
    let possession = &claims["possession"];
    if !possession.is_null() {
        let pem = text(&claims["public_key"]["pem"])?;
        let public = PublicKey::from_pem(&pem).map_err(|_| BadStatement::Claims)?;
        let (of, key) = (text(&claims["attestation"])?, text(&claims["key"]["id"])?);
        if !challenge::proves(possession, &of, &key, &public) {
            return Err(BadStatement::Possession);
        }
    }
    Ok(Checked {
        possession: !possession.is_null(),
        verdict,
        claims,
    })
}

/// Checks that an offer to take a private key is the one that was signed: for the same key, to be wrapped
/// the same way under the same wrapping key.
pub fn check_offer(jws: &Value, signer: &PublicKey, offer: &Value) -> Result<(), BadStatement> {
    let claims = signed_claims(jws, OFFER_TYP, signer)?;
    let is_of_it = claims["key"]["name"] == offer["name"]
        && claims["key"]["id"] == offer["id"]
        && claims["announced"] == offer["fingerprint"]
        && claims["scheme"] == offer["scheme"]
        && claims["wrapping_key"] == offer["wrapping_key"];
    is_of_it.then_some(()).ok_or(BadStatement::Claims)
}

/// The claims of a statement of this type that this key signed.
fn signed_claims(jws: &Value, typ: &str, signer: &PublicKey) -> Result<Value, BadStatement> {
    let member = |name: &str| jws[name].as_str().ok_or(BadStatement::NotAJws);
    let read = |text: &str| {
        URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| BadStatement::NotAJws)
    };
    let (protected, payload) = (member("protected")?, member("payload")?);
    let signature = read(member("signature")?)?;
    let header: Value =
        serde_json::from_slice(&read(protected)?).map_err(|_| BadStatement::NotAJws)?;
    let is_ours = header["alg"] == "RS256" && header["typ"] == typ && header["crit"].is_null();
    if !is_ours || jws.get("header").is_some() {
        return Err(BadStatement::OtherType);
    }
    let input = format!("{protected}.{payload}");
    if !signer.verify_rs256(input.as_bytes(), &signature) {
        return Err(BadStatement::Signature);
    }
    let claims: Value =
        serde_json::from_slice(&read(payload)?).map_err(|_| BadStatement::Claims)?;
    if claims["version"] != VERSION {
        return Err(BadStatement::Claims);
    }
    if claims["signed_by"]["fingerprint"] != hex::encode(signer.fingerprint()) {
        return Err(BadStatement::OtherSigner);
    }
    Ok(claims)
}
