//! What is wrong with an order, once it is known for what its signature was made.

use ruint::aliases::U256;

use super::super::contracts::{Exchange, NEG_RISK_ADAPTER, Version, exchanges};
use super::super::derived::Derived;
use super::super::request::OrderType;
use super::super::wallet::{Chain, SignatureType};
use super::super::wallets::funder::fitting;
use super::catalogue::Code;
use super::given::{Fields, Signed, fits};
use super::search::{Hit, Style};
use super::targets::{LOGIN_DOMAIN, STRAY_CHAINS, Target, layout};
use super::{Expected, Finding, rounding};
use crate::ethereum::keccak256;
use crate::ethereum::signature::Recovery;

/// What is wrong about the target, seen from what was expected.
pub(super) fn of_target(target: &Target, fields: &Fields, expected: &Expected) -> Vec<Finding> {
    let one = Finding::near_miss;
    let Some(exchange) = target.exchange else {
        return vec![stray(target)];
    };
    let mut findings = Vec::new();
    let made_for = exchange.version.text();
    match expected.version {
        Some(version) if version != exchange.version => {
            findings.push(one(Code::Version, "version", version.text(), made_for));
        }
        None if target.format.layout != layout(fields) => {
            findings.push(one(
                Code::Version,
                "version",
                "2 or 3, by its members",
                made_for,
            ));
        }
        _ => {}
    }
    if let Some(chain) = expected.chain.filter(|it| *it != exchange.chain) {
        let (given, right) = (chain.id().to_string(), exchange.chain.id().to_string());
        findings.push(one(Code::Chain, "chainId", &given, &right));
    }
    let only_one = exchange.version == Version::V3;
    let differs = |it: &bool| *it != exchange.neg_risk && !only_one;
    if let Some(neg_risk) = expected.neg_risk.filter(differs) {
        let (given, right) = (neg_risk.to_string(), exchange.neg_risk.to_string());
        findings.push(one(Code::NegRisk, "negRisk", &given, &right));
    }
    findings
}

fn stray(target: &Target) -> Finding {
    let domain = &target.domain;
    if domain.name == LOGIN_DOMAIN {
        let detail = format!("the signature was made under {LOGIN_DOMAIN}, the domain of logins");
        return Finding::plain(Code::LoginDomain, "domain", detail);
    }
    let own = exchanges().iter().find(|it| it.domain == *domain);
    if let Some(exchange) = own {
        let (layout, version) = (target.format.version.text(), exchange.version.text());
        let detail = format!(
            "the signature was made over the members of version {layout} under the domain of version {version}"
        );
        return Finding::plain(Code::Domain, "domain", detail);
    }
    let contract = domain
        .verifying_contract
        .map_or_else(|| "none".to_owned(), |it| it.to_string());
    let detail = format!(
        "the signature was made under version {}, chainId {}, verifyingContract {contract}, and no exchange has this domain",
        domain.version, domain.chain_id,
    );
    let known = |it: &&Exchange| {
        (it.domain.version, it.domain.verifying_contract)
            == (domain.version, domain.verifying_contract)
    };
    let code = if contract == NEG_RISK_ADAPTER {
        Code::ExchangeAdapter
    } else if STRAY_CHAINS.contains(&domain.chain_id) && exchanges().iter().any(|it| known(&it)) {
        Code::Chain
    } else {
        Code::Domain
    };
    Finding::plain(code, "domain", detail)
}

/// What is wrong with the bytes of the signature itself.
pub(super) fn of_form(signed: &Signed, recovery: &Recovery) -> Vec<Finding> {
    let mut findings = Vec::new();
    if recovery.is_high() {
        let detail = "s is above half of the curve's order, which exchanges refuse".to_owned();
        findings.push(Finding::plain(Code::HighS, "signature", detail));
    }
    if signed.v < 2 {
        let detail = format!("v is {}, and exchanges know only 27 and 28", signed.v);
        findings.push(Finding::plain(Code::BareV, "signature", detail));
    }
    findings
}

/// What else is wrong with the signature, once it is known for what it was made.
pub(super) fn of_signature(signed: &Signed, recovery: &Recovery, hit: &Hit) -> Vec<Finding> {
    let mut findings = Vec::new();
    // High s goes with the other v.
    let bit = hit.bit ^ u8::from(recovery.is_high());
    if signed.v % 27 != bit {
        let detail = format!("v is {}, and {} leads to the signer", signed.v, 27 + bit);
        findings.push(Finding::plain(Code::WrongV, "signature", detail));
    }
    let contents = hit
        .fields
        .struct_hash(hit.target.format)
        .unwrap_or_default();
    let target = &hit.target;
    match (&signed.wrapper, hit.style) {
        (None, Style::Nested) => findings.push(Finding::plain(
            Code::NotWrapped,
            "signature",
            "it has 65 bytes, and a deposit wallet reads more".into(),
        )),
        (Some(wrapper), Style::Nested)
            if fits(wrapper, &target.separator, &contents, target.format) => {}
        (Some(wrapper), _) if hit.why.is_empty() => {
            let parts = [
                ("domain separator", wrapper.separator == target.separator),
                ("struct hash", wrapper.contents == contents),
                (
                    "type string",
                    keccak256(&wrapper.order_type) == target.format.order_type_hash,
                ),
            ];
            let wrong = parts.iter().find(|(_, right)| !right);
            let part = wrong.map_or("length of the type string", |(part, _)| part);
            let detail = format!("the {part} behind it is not this order's");
            findings.push(Finding::plain(Code::WrongWrapper, "signature", detail));
        }
        _ => {}
    }
    findings
}

/// Whether maker, signer and key belong together, once it is known which key signed.
pub(super) fn of_people(hit: &Hit, expected: &Expected, signed: &Signed) -> Vec<Finding> {
    let (fields, key) = (&hit.fields, hit.signer);
    let mut findings = Vec::new();
    let of_signer = |text| Finding::plain(Code::Signer, "signer", text);
    let Some(kind) = fields.kind() else {
        return findings;
    };
    let deposit = kind == SignatureType::Poly1271;
    if deposit
        && hit
            .target
            .exchange
            .is_some_and(|it| it.version == Version::V1)
    {
        let text = "version 1 has no signatureType 3".to_owned();
        findings.push(Finding::plain(Code::SignatureType, "signatureType", text));
    }
    if !deposit && key != fields.signer {
        findings.push(of_signer(format!(
            "the key of {key} signed, and the order's signer is {}",
            fields.signer
        )));
    } else if deposit && fields.signer != fields.maker {
        findings.push(of_signer(format!(
            "with signatureType 3 signer and maker are the wallet, and they are {} and {}",
            fields.signer, fields.maker
        )));
    } else if let Some(wanted) = expected.signer.filter(|it| *it != key) {
        findings.push(of_signer(format!(
            "the key of {key} signed, not that of {wanted}"
        )));
    }
    if signed.session.is_some() || !findings.is_empty() {
        return findings;
    }
    let derived = Derived::of(key);
    let whose = fitting(key, &derived, fields.maker);
    if whose == Some(kind) {
        return findings;
    }
    let maker = fields.maker;
    if let Some(fits) = whose.filter(|it| *it != SignatureType::Eoa) {
        let (given, right) = (kind.number().to_string(), fits.number().to_string());
        findings.push(Finding {
            given: Some(given.clone()),
            right: Some(right.clone()),
            ..Finding::plain(
                Code::SignatureType,
                "signatureType",
                format!("signatureType is {given}, and maker {maker} is the signer's wallet of type {right}"),
            )
        });
    } else if kind == SignatureType::Eoa {
        let text =
            format!("with signatureType 0 the signer {key} pays itself, and the maker is {maker}");
        findings.push(Finding::plain(Code::EoaMaker, "maker", text));
    } else if hit.target.domain.chain_id == Chain::Polygon.id() {
        let text = format!("maker {maker} does not follow from the signer {key}: {derived}");
        findings.push(Finding::plain(Code::Funder, "maker", text));
    }
    findings
}

/// The decimals of maker and taker amount that the venue is known to take of a market order.
const OF_MARKET_ORDERS: (u32, u32) = (2, 4);

/// Before 1973 in milliseconds; what lies below was written in seconds.
const IN_SECONDS: u64 = 100_000_000_000;

/// Whether the timestamp was signed and posted in seconds.
pub(super) fn of_timestamp(fields: &Fields) -> Option<Finding> {
    let timestamp = fields.timestamped?.timestamp;
    let in_seconds = (U256::ONE..U256::from(IN_SECONDS)).contains(&timestamp);
    let detail = format!("timestamp {timestamp} is in seconds, and the venue reads milliseconds");
    in_seconds.then(|| Finding::plain(Code::TimestampUnit, "timestamp", detail))
}

/// What is wrong with the contents, whoever signed them. `said`: the decimals that the venue's own text
/// allows.
pub(super) fn of_contents(
    fields: &Fields,
    expected: &Expected,
    said: Option<(u32, u32)>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |code, field, detail| findings.push(Finding::plain(code, field, detail));
    if fields.salt >= U256::from(1_u64 << 53) {
        let text = format!("salt {} is not below 2^53", fields.salt);
        add(Code::SaltTooLarge, "salt", text);
    }
    if fields.maker_amount.is_zero() || fields.taker_amount.is_zero() {
        let text = "an amount is zero".to_owned();
        add(Code::AmountsZero, "makerAmount, takerAmount", text);
        return findings;
    }
    let rests = expected.order_type.map(OrderType::rests);
    let at_once = (rests == Some(false)).then_some(OF_MARKET_ORDERS);
    if let Some(decimals) = said.or(at_once)
        && rounding::too_fine(fields, decimals)
    {
        let (maker, taker) = decimals;
        let text = format!(
            "the venue takes {maker} decimals of makerAmount and {taker} of takerAmount here, and the order has more"
        );
        add(Code::AmountsTooFine, "makerAmount, takerAmount", text);
    }
    if let Some(tick) = expected.tick
        && let Some(text) = rounding::off_tick(fields, tick, rests)
    {
        add(Code::Tick, "makerAmount, takerAmount", text);
    }
    findings
}
