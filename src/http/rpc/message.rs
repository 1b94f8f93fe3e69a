//! JSON-RPC 2.0 itself: calls, batches, ids and answers. Source: the specification of 2013-01-04.

use std::time::Instant;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::error::RpcError;
use crate::http::problem::{self, Problem};
use crate::text;

/// The most calls of a batch. ethers sends as many.
const MOST_CALLS: usize = 100;

/// What a body holds.
pub(super) enum Message<'a> {
    /// One call.
    Single(&'a RawValue),
    /// A list of calls, answered by a list even if it has one entry.
    Batch(Vec<&'a RawValue>),
}

impl<'a> Message<'a> {
    pub(super) fn of(body: &'a [u8]) -> Result<Self, RpcError> {
        let raw: &RawValue = serde_json::from_slice(body)
            .map_err(|error| RpcError::unreadable(format!("the body is not JSON: {error}")))?;
        if !raw.get().starts_with('[') {
            return Ok(Self::Single(raw));
        }
        let calls: Vec<&RawValue> = serde_json::from_str(raw.get())
            .map_err(|error| RpcError::unreadable(error.to_string()))?;
        if !(1..=MOST_CALLS).contains(&calls.len()) {
            let why = format!(
                "a batch has 1 to {MOST_CALLS} calls, and this one has {}",
                calls.len()
            );
            return Err(RpcError::invalid(why));
        }
        Ok(Self::Batch(calls))
    }
}

/// A call, as it was sent.
#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(default, borrow, deserialize_with = "given")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "given")]
    id: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "given")]
    method: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "given")]
    params: Option<&'a RawValue>,
}

/// `null` is a value here, and not the same as nothing.
fn given<'a, D: Deserializer<'a>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// A call.
pub(super) struct Call {
    /// What the answer repeats. None: nobody waits for one.
    pub(super) id: Option<Box<RawValue>>,
    pub(super) method: String,
    /// A list, or nothing.
    pub(super) params: Option<Box<RawValue>>,
}

impl Call {
    /// Reads a call; what is wrong with it comes with the id to say it under.
    pub(super) fn of(raw: &RawValue) -> Result<Self, (Box<RawValue>, RpcError)> {
        let nobody = |why: String| (null(), RpcError::invalid(why));
        if !raw.get().starts_with('{') {
            return Err(nobody("a call is a JSON object".to_owned()));
        }
        let sent: Sent<'_> =
            serde_json::from_str(raw.get()).map_err(|error| nobody(error.to_string()))?;
        let id = sent.id.map(ToOwned::to_owned);
        if let Some(id) = &id {
            let first = id.get().bytes().next().unwrap_or_default();
            if !matches!(first, b'"' | b'-' | b'0'..=b'9' | b'n') {
                return Err(nobody("an id is a number, text or null".to_owned()));
            }
        }
        let invalid = |why: &str| (id.clone().unwrap_or_else(null), RpcError::invalid(why));
        let word = |raw: Option<&RawValue>| serde_json::from_str::<String>(raw?.get()).ok();
        if word(sent.jsonrpc).as_deref() != Some("2.0") {
            return Err(invalid("jsonrpc is not \"2.0\""));
        }
        let method = word(sent.method).ok_or_else(|| invalid("method is not text"))?;
        let params = sent.params.filter(|raw| raw.get() != "null");
        if params.is_some_and(|raw| !raw.get().starts_with(['[', '{'])) {
            return Err(invalid("params is neither a list nor an object"));
        }
        if text::has_nul(raw.get()) {
            return Err(invalid(text::NUL));
        }
        Ok(Self {
            method,
            params: params.map(ToOwned::to_owned),
            id,
        })
    }
}

impl Call {
    /// Its parameters, where they are a list of so many.
    pub(super) fn list<const N: usize>(
        &self,
        wanted: &'static str,
    ) -> Result<[&RawValue; N], RpcError> {
        let wrong = |why| Problem::new(&problem::INVALID_FIELD, format!("params: {why}"));
        let params = self.params.as_deref().map_or("[]", RawValue::get);
        let params: Vec<&RawValue> =
            serde_json::from_str(params).map_err(|_| wrong("a list is wanted"))?;
        Ok(params.try_into().map_err(|_| wrong(wanted))?)
    }

    /// Whether its answer is a signature.
    pub(super) fn signs(&self) -> bool {
        matches!(
            self.method.as_str(),
            "eth_signTypedData_v4"
                | "eth_signTypedData"
                | "eth_signTypedData_v3"
                | "eth_signTransaction"
        )
    }
}

/// An answer to one call.
#[derive(Serialize)]
pub(super) struct Reply {
    jsonrpc: &'static str,
    id: Box<RawValue>,
    #[serde(flatten)]
    outcome: Outcome,
    /// Of a signature: it was not durable before this.
    #[serde(skip)]
    pub(super) since: Option<Instant>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Result(serde_json::Value),
    Error(RpcError),
}

impl Reply {
    pub(super) fn new(id: Box<RawValue>, outcome: Result<serde_json::Value, RpcError>) -> Self {
        Self {
            jsonrpc: "2.0",
            id,
            outcome: match outcome {
                Ok(result) => Outcome::Result(result),
                Err(error) => Outcome::Error(error),
            },
            since: None,
        }
    }

    /// Whether it is what was asked for.
    pub(super) fn is_result(&self) -> bool {
        matches!(self.outcome, Outcome::Result(_))
    }

    /// To a call whose id is not known.
    pub(super) fn to_nobody(error: RpcError) -> Self {
        Self::new(null(), Err(error))
    }
}

fn null() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}
