//! What is wrong with the body, whatever was signed: its form, and what travels beside the signed
//! members.

use ruint::aliases::U256;

use super::super::expiration;
use super::super::request::OrderType;
use super::catalogue::Code;
use super::given::{Given, Kind, whole};
use super::{Expected, Finding};

/// Members of the order that clients post as numbers.
const NUMBERS: [&str; 2] = ["salt", "signatureType"];

/// Numerals that clients post as text.
const NUMERALS: [&str; 7] = [
    "tokenId",
    "makerAmount",
    "takerAmount",
    "expiration",
    "nonce",
    "feeRateBps",
    "timestamp",
];

/// How the order is posted, as the body says or as you do.
pub(super) fn order_type(given: &Given, expected: &Expected) -> Option<OrderType> {
    let word = given.envelope("orderType").map(serde_json::Value::from);
    let posted = word.and_then(|word| serde_json::from_value(word).ok());
    expected.order_type.or(posted)
}

/// What is wrong with the body.
pub(super) fn judge(given: &Given, expected: &Expected) -> Vec<Finding> {
    let mut findings = Vec::new();
    if given.envelope.is_some() {
        of_form(given, &mut findings);
        of_envelope(given, &mut findings);
    }
    let order_type = order_type(given, expected);
    of_expiration(given, order_type, expected.now_s, &mut findings);
    let rests = order_type.is_none_or(OrderType::rests);
    if !rests && given.envelope("postOnly") == Some("true") {
        let detail = "a post-only order never rests as FOK or FAK".to_owned();
        findings.push(Finding::plain(Code::PostOnly, "postOnly", detail));
    }
    findings
}

/// Members in another form than clients post. What cannot be read at all is malformed instead.
fn of_form(given: &Given, findings: &mut Vec<Finding>) {
    let mut add = |field: &str, detail: String| {
        findings.push(Finding::plain(Code::Form, field, detail));
    };
    for (name, text) in &given.members {
        let is_text = given.kind(name) == Some(Kind::Text);
        let name = name.as_str();
        if name == "side" {
            if text == "0" || text == "1" {
                add(name, format!("side is {text}; clients post BUY or SELL"));
            }
        } else if NUMBERS.contains(&name) {
            if is_text && name != "salt" {
                add(name, format!("{name} is text; clients post a number"));
            }
        } else if NUMERALS.contains(&name) && whole(text).is_some() {
            if !is_text {
                add(name, format!("{name} is a number; clients post text"));
            } else if !text.bytes().all(|byte| byte.is_ascii_digit()) {
                add(
                    name,
                    format!("{name} is {text}; clients post decimal digits"),
                );
            }
        }
    }
    if given.kind("salt") == Some(Kind::Text) {
        let detail = "salt is text in a body that is posted".to_owned();
        findings.push(Finding::plain(Code::SaltText, "salt", detail));
    }
}

fn of_envelope(given: &Given, findings: &mut Vec<Finding>) {
    let mut add =
        |code, field: &str, detail: String| findings.push(Finding::plain(code, field, detail));
    let text = |name| {
        let is_text = given.envelope_kind(name) == Some(Kind::Text);
        given.envelope(name).filter(|_| is_text)
    };
    match text("owner") {
        None => add(
            Code::Form,
            "owner",
            "owner is missing, or no text".to_owned(),
        ),
        Some(owner) if owner.starts_with("0x") => {
            add(
                Code::OwnerAddress,
                "owner",
                "owner is an address".to_owned(),
            );
        }
        Some(_) => {}
    }
    match text("orderType") {
        None => {
            let detail = "orderType is missing, or no text".to_owned();
            add(Code::Form, "orderType", detail);
        }
        Some("GTC" | "GTD" | "FOK" | "FAK") => {}
        Some(other) => add(
            Code::OrderType,
            "orderType",
            format!("orderType is {other}"),
        ),
    }
    for name in ["postOnly", "deferExec"] {
        let value = given.envelope(name);
        if value.is_some() && given.envelope_kind(name) != Some(Kind::Flag) {
            let detail = format!("{name} is neither true nor false");
            add(Code::Form, name, detail);
        }
    }
}

fn of_expiration(
    given: &Given,
    order_type: Option<OrderType>,
    now_s: Option<i64>,
    findings: &mut Vec<Finding>,
) {
    let mut add = |code, detail| findings.push(Finding::plain(code, "expiration", detail));
    let expiration = given.expiration();
    match order_type {
        Some(OrderType::Gtd) if expiration == U256::ZERO => {
            let detail = "orderType is GTD, and there is no expiration";
            add(Code::Expiration, detail.to_owned());
        }
        Some(kind @ (OrderType::Gtc | OrderType::Fok | OrderType::Fak))
            if expiration != U256::ZERO =>
        {
            let detail = format!("orderType is {kind}, and an expiration goes with GTD alone");
            add(Code::Expiration, detail);
        }
        _ => {}
    }
    if expiration == U256::ZERO {
        return;
    }
    let seconds = u64::try_from(expiration).unwrap_or(u64::MAX);
    if let Some(unit) = expiration::unit_of(seconds) {
        let detail = format!("expiration {expiration} is {unit}");
        add(Code::ExpirationUnit, detail);
    } else if let Some(Err(error)) = now_s.map(|now| expiration::check(seconds, now)) {
        add(Code::Expiration, error.to_string());
    }
}
