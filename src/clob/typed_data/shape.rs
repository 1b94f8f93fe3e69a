//! The types of typed data: exactly those of the documentation, field by field.

use serde_json::value::RawValue;

use super::TypedDataError;
use super::json::Members;
use crate::clob::contracts::{Layout, NESTED, Version};
use crate::clob::l1;
use crate::operations::deposit::{BATCH, CALL};
use crate::operations::safe::CREATE_PROXY;

/// A field as typed data writes it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Field {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

const DOMAIN: &str =
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
const DOMAIN_WITHOUT_VERSION: &str =
    "EIP712Domain(string name,uint256 chainId,address verifyingContract)";
const DOMAIN_WITHOUT_CONTRACT: &str = "EIP712Domain(string name,string version,uint256 chainId)";

/// Of an order; which fields it has says which layout it is.
pub(super) fn order(types: &RawValue) -> Result<Layout, TypedDataError> {
    let mut members = Members::of("types", types)?;
    let given = fields(&mut members, "Order")?;
    let layout = [Version::V1, Version::V2]
        .into_iter()
        .map(Version::format)
        .find(|format| is(&given, format.order_type))
        .map(|format| format.layout);
    finish(members, DOMAIN)?;
    layout.ok_or_else(|| {
        let known = [Version::V1, Version::V2].map(|version| version.format().order_type);
        TypedDataError::Types(format!("Order is neither {} nor {}", known[0], known[1]))
    })
}

/// Of an order within a deposit wallet's message. Version 1 has none.
pub(super) fn nested_order(types: &RawValue) -> Result<(), TypedDataError> {
    let mut members = Members::of("types", types)?;
    expect(&mut members, NESTED)?;
    expect(&mut members, Version::V2.format().order_type)?;
    finish(members, DOMAIN)
}

/// Of the making of a Safe.
pub(super) fn safe_creation(types: &RawValue) -> Result<(), TypedDataError> {
    let mut members = Members::of("types", types)?;
    expect(&mut members, CREATE_PROXY)?;
    finish(members, DOMAIN_WITHOUT_VERSION)
}

/// Of a deposit wallet's batch.
pub(super) fn batch(types: &RawValue) -> Result<(), TypedDataError> {
    let mut members = Members::of("types", types)?;
    expect(&mut members, BATCH)?;
    expect(&mut members, CALL)?;
    finish(members, DOMAIN)
}

/// Of a login.
pub(super) fn login(types: &RawValue) -> Result<(), TypedDataError> {
    let mut members = Members::of("types", types)?;
    expect(&mut members, l1::TYPE)?;
    finish(members, DOMAIN_WITHOUT_CONTRACT)
}

fn expect(members: &mut Members<'_>, right: &str) -> Result<(), TypedDataError> {
    let name = right.split('(').next().unwrap_or_default();
    if is(&fields(members, name)?, right) {
        return Ok(());
    }
    Err(TypedDataError::Types(format!("{name} is not {right}")))
}

/// The domain's type may be left out, and then nothing else is there.
fn finish(mut members: Members<'_>, domain: &str) -> Result<(), TypedDataError> {
    if members.has("EIP712Domain") {
        expect(&mut members, domain)?;
    }
    members.end()
}

fn fields(members: &mut Members<'_>, name: &str) -> Result<Vec<Field>, TypedDataError> {
    let raw = members.take(name)?;
    serde_json::from_str(raw.get())
        .map_err(|error| TypedDataError::Types(format!("{name}: {error}")))
}

/// Whether these are the fields of `encodeType`, in its order.
fn is(fields: &[Field], encode_type: &str) -> bool {
    let list = encode_type.split_once('(').map_or("", |(_, list)| list);
    let right = list
        .trim_end_matches(')')
        .split(',')
        .map(|field| field.split_once(' '));
    let given = fields
        .iter()
        .map(|field| Some((field.kind.as_str(), field.name.as_str())));
    right.eq(given)
}
