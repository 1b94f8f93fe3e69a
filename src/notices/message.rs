//! What leaves: a small document, the same for every destination.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Kind, Notice};
use crate::id::NoticeId;

/// The version of the document. Members may be added to it; a change of any is another version.
const VERSION: u16 = 1;

/// A notice, as a destination gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = NoticeMessage)]
pub struct Message {
    /// Of this document: 1.
    pub version: u16,
    /// The notice's id, the same at every try: `webhook-id` too.
    #[schema(value_type = String)]
    pub id: NoticeId,
    /// Of what kind it is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// When it happened, or was noticed.
    #[serde(with = "time::serde::rfc3339")]
    pub timestamp: OffsetDateTime,
    /// What happened.
    pub data: Happened,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Happened {
    /// In one plain sentence.
    pub sentence: String,
    /// The names and ids in it, to look it up by.
    pub about: BTreeMap<String, String>,
    /// Whether it is on record. Not where it was sent from memory, since the database was away; then it is sent
    /// once, as well as that goes, and perhaps by several replicas, each under an id of its own.
    pub recorded: bool,
}

impl Message {
    /// Of a notice.
    pub fn new(notice: &Notice, at: OffsetDateTime, recorded: bool) -> Self {
        Self {
            version: VERSION,
            id: notice.id,
            kind: notice.kind,
            timestamp: at,
            data: Happened {
                sentence: notice.sentence.clone(),
                about: notice.about.clone(),
                recorded,
            },
        }
    }

    /// As it is signed and sent.
    ///
    /// # Panics
    /// Never: plain data serializes.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain data serializes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_as_the_run_book_says() {
        let id: NoticeId = "01890000-0000-7000-8000-000000000000".parse().unwrap();
        let notice = Notice {
            id,
            ..Notice::new(Kind::HaltSet, "a halt is set on key desk-1").about("halt", &7)
        };
        let at = OffsetDateTime::from_unix_timestamp(1_796_000_000).unwrap();
        let message = Message::new(&notice, at, true);
        let written = concat!(
            r#"{"version":1,"id":"01890000-0000-7000-8000-000000000000","type":"halt-set","#,
            r#""timestamp":"2026-11-30T00:53:20Z","data":{"sentence":"a halt is set on key desk-1","#,
            r#""about":{"halt":"7"},"recorded":true}}"#
        );
        assert_eq!(message.to_json(), written);
        assert_eq!(serde_json::from_str::<Message>(written).unwrap(), message);
    }
}
