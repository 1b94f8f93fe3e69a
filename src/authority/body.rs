//! The bodies of rows: JSON with its fields in the order of their type and nothing between them, so that one
//! meaning has one form. What has no order of its own is kept in a `BTreeMap`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Kind, Stated};
use crate::ledger::LedgerError;

/// A body as bytes.
///
/// # Panics
/// Never: what is written has names for its fields and numbers that JSON knows.
pub fn write(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("plain data serializes")
}

/// A body as its kind has it. One that is not in the form in which [`write()`] has it was not written here.
pub fn read<T: DeserializeOwned + Serialize>(
    kind: Kind,
    stated: &Stated,
) -> Result<T, LedgerError> {
    let body: Option<T> = serde_json::from_slice(&stated.body).ok();
    let body = body.filter(|body| write(body) == *stated.body);
    body.ok_or_else(|| {
        let version = stated.version.number();
        LedgerError::Corrupt("authority", format!("{kind} of version {version}"))
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::Version;
    use super::*;
    use crate::id::CallerId;

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Body {
        later: u8,
        before: bool,
    }

    fn stated(body: &[u8]) -> Stated {
        Stated {
            version: Version::from_ledger(1),
            at: time::OffsetDateTime::UNIX_EPOCH,
            by: CallerId::from(Uuid::nil()),
            body: body.into(),
        }
    }

    #[test]
    fn a_body_has_one_form() {
        let body = Body {
            later: 1,
            before: true,
        };
        let bytes = write(&body);
        assert_eq!(bytes, br#"{"later":1,"before":true}"#);
        assert_eq!(read::<Body>(Kind::Halt, &stated(&bytes)).unwrap(), body);
        for other in [
            &br#"{"before":true,"later":1}"#[..],
            br#"{"later":1,"before":true} "#,
            br#"{"before":true}"#,
        ] {
            read::<Body>(Kind::Halt, &stated(other)).unwrap_err();
        }
    }
}
