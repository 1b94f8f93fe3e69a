//! A token as it describes itself, for those who look after it.

use async_trait::async_trait;
use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::slot::TokenInfo;
use uuid::Uuid;

use super::desk::Desk;
use super::device::Pkcs11;
use super::fault::Fault;
use crate::custody::{Custody as _, CustodyError, Describer, Description};

/// What the service does with keys, and the mechanisms of which one is needed for it.
const NEEDED: [(&str, &[MechanismType]); 4] = [
    ("make secp256k1 keys", &[MechanismType::ECC_KEY_PAIR_GEN]),
    ("sign with secp256k1 keys", &[MechanismType::ECDSA]),
    ("make RSA keys", &[MechanismType::RSA_PKCS_KEY_PAIR_GEN]),
    (
        "sign with RSA keys",
        &[MechanismType::SHA256_RSA_PKCS, MechanismType::RSA_PKCS],
    ),
];
/// More keys than these are not listed.
const MANY_KEYS: usize = 10_000;

#[async_trait]
impl Describer for Pkcs11 {
    #[tracing::instrument(skip_all, fields(custody.backend = self.backend))]
    async fn describe(&self) -> Result<Description, CustodyError> {
        self.health().await?;
        let sessions = self.sessions();
        self.run(move |desk| describe(desk, sessions)).await
    }
}

/// Describes the token at this desk, in which the configuration wants so many sessions.
fn describe(desk: &mut Desk<'_>, sessions: usize) -> Result<Description, Fault> {
    let (info, mechanisms) = desk.token.told(desk.call)?;
    let mut troubles: Vec<_> = NEEDED
        .iter()
        .filter(|(_, any)| !any.iter().any(|it| mechanisms.contains(it)))
        .map(|(what, _)| format!("it has no mechanism to {what}"))
        .collect();
    let mut facts = Vec::new();
    match &info {
        Some(info) => {
            facts.push(format!(
                "token {:?}, {} {}, serial number {}, firmware {}",
                info.label(),
                info.manufacturer_id(),
                info.model(),
                info.serial_number(),
                info.firmware_version(),
            ));
            troubles.extend(flags(info));
            let most = [info.max_session_count(), info.max_rw_session_count()];
            let most = most.into_iter().filter_map(Option::<u64>::from).min();
            if let Some(most) = most.and_then(|most| usize::try_from(most).ok())
                && most <= sessions
            {
                troubles.push(format!(
                    "it allows {most} sessions, and {} are wanted: lower sessions",
                    sessions + 1
                ));
            }
        }
        None => facts.push("a token whose description cannot be parsed".to_owned()),
    }
    Ok(Description {
        facts,
        troubles,
        keys: keys(desk)?,
    })
}

fn flags(info: &TokenInfo) -> Vec<String> {
    [
        (info.user_pin_locked(), "its PIN is locked"),
        (info.user_pin_final_try(), "one more wrong PIN locks it"),
        (
            info.user_pin_count_low(),
            "somebody gave it a wrong PIN since the last login",
        ),
        (
            info.user_pin_to_be_changed(),
            "its PIN is expired, or the one it came with",
        ),
        (!info.login_required(), "it wants no login for its keys"),
        (info.error_state(), "it says that it is in an error state"),
    ]
    .into_iter()
    .filter(|(is, _)| *is)
    .map(|(_, what)| what.to_owned())
    .collect()
}

/// The private keys by their `CKA_ID`, as a key's id where it can be one; else by their label.
fn keys(desk: &Desk<'_>) -> Result<Option<Vec<String>>, Fault> {
    let session = &desk.seat.session;
    let private = [
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::Token(true),
    ];
    let found = session.find_objects(&private)?;
    if found.len() > MANY_KEYS {
        return Ok(None);
    }
    let mut keys = Vec::with_capacity(found.len());
    for object in found {
        let (mut id, mut label) = (Vec::new(), Vec::new());
        for told in session.get_attributes(object, &[AttributeType::Id, AttributeType::Label])? {
            match told {
                Attribute::Id(it) => id = it,
                Attribute::Label(it) => label = it,
                _ => {}
            }
        }
        keys.push(match Uuid::from_slice(&id) {
            Ok(id) => id.to_string(),
            Err(_) if id.is_empty() => format!("label {:?}", String::from_utf8_lossy(&label)),
            Err(_) => format!("id {}", hex::encode(&id)),
        });
    }
    Ok(Some(keys))
}
