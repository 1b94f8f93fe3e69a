//! What AWS KMS says of itself: `Sign` events of a CloudTrail export.
//!
//! Its forms are those in which people have it: the files of a trail (`Records`), what `aws cloudtrail lookup-events`
//! answers (`Events`), and events one after another. It **trusts** them to be whole: `aws cloudtrail validate-logs`
//! says whether the files of a trail are.

use std::collections::HashMap;
use std::io::Read;

use serde::Deserialize;
use serde_json::{Deserializer, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::clock;

/// A signature that KMS made.
#[derive(Debug)]
pub(super) struct Event {
    /// CloudTrail's own id of it.
    pub(super) id: String,
    /// The request, as whoever asked was told.
    pub(super) request: Option<String>,
    /// The key: its ARN, or what it was called by.
    pub(super) key: String,
    /// In milliseconds since 1970; CloudTrail tells whole seconds.
    pub(super) at_ms: i64,
    /// Who asked, and from where.
    pub(super) by: String,
}

/// An export of CloudTrail.
#[derive(Debug, Default)]
pub struct Trail {
    pub(super) signatures: HashMap<String, Event>,
    /// When the first and the last event of any kind was, in milliseconds since 1970.
    pub(super) span: Option<(i64, i64)>,
}

/// Why it is none.
#[derive(Debug, thiserror::Error)]
pub enum BadTrail {
    /// It is no JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// It is JSON of something else.
    #[error("it has neither Records nor Events, and is no event of CloudTrail: {0}")]
    Other(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    Files {
        #[serde(rename = "Records")]
        records: Vec<Value>,
    },
    LookedUp {
        #[serde(rename = "Events")]
        events: Vec<LookedUp>,
    },
    Several(Vec<Value>),
    One(Value),
}

#[derive(Deserialize)]
struct LookedUp {
    #[serde(rename = "CloudTrailEvent")]
    event: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(rename = "eventID")]
    event_id: String,
    event_source: String,
    event_name: String,
    event_time: String,
    #[serde(rename = "requestID")]
    request_id: Option<String>,
    error_code: Option<String>,
    #[serde(default)]
    request_parameters: Value,
    #[serde(default)]
    resources: Option<Vec<Value>>,
    #[serde(default)]
    user_identity: Value,
    #[serde(rename = "sourceIPAddress")]
    source: Option<String>,
}

impl Trail {
    /// Adds what a file has. An event that comes twice counts once.
    pub fn add(&mut self, file: impl Read) -> Result<(), BadTrail> {
        for document in Deserializer::from_reader(file).into_iter::<Document>() {
            match document? {
                Document::Files { records } | Document::Several(records) => {
                    records.into_iter().try_for_each(|it| self.event(it))?;
                }
                Document::LookedUp { events } => {
                    for event in events {
                        self.event(serde_json::from_str(&event.event)?)?;
                    }
                }
                Document::One(event) => self.event(event)?,
            }
        }
        Ok(())
    }

    fn event(&mut self, event: Value) -> Result<(), BadTrail> {
        let record: Record =
            serde_json::from_value(event).map_err(|error| BadTrail::Other(error.to_string()))?;
        let at = OffsetDateTime::parse(&record.event_time, &Rfc3339);
        let at_ms = clock::unix_ms(at.map_err(|_| BadTrail::Other(record.event_time.clone()))?);
        let (first, last) = self.span.unwrap_or((at_ms, at_ms));
        self.span = Some((first.min(at_ms), last.max(at_ms)));
        let is_signature = record.event_source == "kms.amazonaws.com"
            && record.event_name == "Sign"
            && record.error_code.is_none();
        if is_signature {
            let event = record.signature(at_ms);
            self.signatures.insert(event.id.clone(), event);
        }
        Ok(())
    }
}

impl Record {
    fn signature(self, at_ms: i64) -> Event {
        let resources = self.resources.unwrap_or_default();
        let arn = resources.iter().find_map(|it| it["ARN"].as_str());
        let called = self.request_parameters["keyId"].as_str();
        let who = &self.user_identity;
        let who = who["arn"].as_str().or(who["principalId"].as_str());
        let from = self.source.unwrap_or_default();
        Event {
            key: arn.or(called).unwrap_or_default().to_owned(),
            by: format!("{} from {from}", who.unwrap_or("somebody")),
            id: self.event_id,
            request: self.request_id,
            at_ms,
        }
    }
}

#[cfg(test)]
mod tests;
