//! The near misses: which small change of an order makes its signature fit.

use std::collections::HashSet;

use ruint::aliases::U256;

use super::super::contracts::{Exchange, Format, Layout, NEG_RISK_ADAPTER, Version, exchanges};
use super::super::derived::Derived;
use super::super::wallet::{Chain, SignatureType};
use super::catalogue::Code;
use super::given::{Expiring, Fields, Signed, nested_digest};
use super::rounding;
use super::{Expected, Finding};
use crate::ethereum::eip712::{self, Bytes32, Domain};
use crate::ethereum::signature::Recovery;
use crate::ethereum::{Address, keccak256};

/// So many digests are tried for one order. Each costs about 50 µs.
const BUDGET: usize = 20_000;
/// Chains that a client signs for when it was set up wrong: Ethereum, and a developer's own.
const STRAY_CHAINS: [u64; 2] = [1, 31337];

/// Where an order may have been meant for.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) format: &'static Format,
    /// None: no exchange has this domain.
    pub(super) exchange: Option<&'static Exchange>,
    pub(super) domain: Domain,
    pub(super) separator: [u8; 32],
}

/// How the digest comes from the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Nested,
}

/// An order that the signature may have been made for.
struct Variant {
    fields: Fields,
    style: Style,
    why: Vec<Finding>,
}

/// An order that the signature was made for.
pub(super) struct Hit {
    pub(super) fields: Fields,
    pub(super) style: Style,
    pub(super) target: Target,
    pub(super) signer: Address,
    /// The recovery bit, with low `s`.
    pub(super) bit: u8,
    pub(super) why: Vec<Finding>,
}

/// Tries an order's near misses, nearest first.
pub(super) struct Search<'a> {
    pub(super) fields: &'a Fields,
    pub(super) expected: &'a Expected,
    pub(super) recovery: &'a Recovery,
    /// Whose session key it says it is.
    session: Option<Address>,
    /// What travels unsigned with an order of version 2 or 3.
    expiration: U256,
    tried: HashSet<[u8; 32]>,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        fields: &'a Fields,
        expected: &'a Expected,
        recovery: &'a Recovery,
        expiration: U256,
        session: Option<Address>,
    ) -> Self {
        Self {
            fields,
            expiration,
            session,
            expected,
            recovery,
            tried: HashSet::new(),
        }
    }

    pub(super) fn run(mut self) -> Option<Hit> {
        let (wanted, others): (Vec<_>, Vec<_>) = official(self.fields)
            .into_iter()
            .partition(|target| self.is_wanted(target));
        let as_given = self.as_given();
        let strays = strays(self.fields);
        for target in wanted.iter().chain(&others).chain(&strays) {
            if let Some(hit) = self.attempt(&as_given, target) {
                return Some(hit);
            }
        }
        let variants = self.variants();
        for variant in &variants {
            for target in wanted.iter().chain(&others) {
                if let Some(hit) = self.attempt(variant, target) {
                    return Some(hit);
                }
            }
        }
        self.many(&wanted)
    }

    /// Variants of which there are hundreds, only where the order should have been signed for.
    fn many(&mut self, wanted: &[Target]) -> Option<Hit> {
        let amounts = |it: &Fields, (maker_amount, taker_amount)| Fields {
            maker_amount,
            taker_amount,
            ..it.clone()
        };
        let mut changed = Vec::new();
        for pair in rounding::near(self.fields, self.expected.tick) {
            changed.push((Code::AmountsRounded, amounts(self.fields, pair)));
        }
        for salt in rounding::same_double(self.fields.salt)
            .into_iter()
            .flatten()
        {
            let salt = U256::from(salt);
            changed.push((
                Code::SaltRounded,
                Fields {
                    salt,
                    ..self.fields.clone()
                },
            ));
        }
        for pair in rounding::uncut(self.fields, self.expected.tick) {
            changed.push((Code::AmountsRounded, amounts(self.fields, pair)));
        }
        for (code, fields) in changed {
            let why = self.difference(code, &fields);
            let style = style_of(&fields);
            let variant = Variant { fields, style, why };
            for target in wanted {
                if let Some(hit) = self.attempt(&variant, target) {
                    return Some(hit);
                }
            }
        }
        None
    }

    fn is_wanted(&self, target: &Target) -> bool {
        let Some(exchange) = target.exchange else {
            return false;
        };
        self.expected
            .version
            .is_none_or(|it| it == exchange.version)
            && self.expected.chain.is_none_or(|it| it == exchange.chain)
            && self
                .expected
                .neg_risk
                .is_none_or(|it| it == exchange.neg_risk)
            && target.format.layout == layout(self.fields)
    }

    fn as_given(&self) -> Variant {
        Variant {
            fields: self.fields.clone(),
            style: style_of(self.fields),
            why: Vec::new(),
        }
    }

    fn attempt(&mut self, variant: &Variant, target: &Target) -> Option<Hit> {
        let mut fields = variant.fields.clone();
        if target.format.layout == Layout::Expiring && fields.expiring.is_none() {
            fields.expiring = Some(Expiring {
                taker: Address::ZERO,
                expiration: self.expiration,
                nonce: U256::ZERO,
                fee_rate_bps: U256::ZERO,
            });
        }
        let digest = digest(&fields, variant.style, target)?;
        if self.tried.len() >= BUDGET || !self.tried.insert(digest) {
            return None;
        }
        let signers = self.recovery.signers(&digest);
        for (bit, signer) in (0..).zip(signers) {
            let signer = signer.filter(|it| self.is_somebody(*it, &fields));
            if let Some(signer) = signer {
                return Some(Hit {
                    style: variant.style,
                    target: target.clone(),
                    signer,
                    bit,
                    why: variant.why.clone(),
                    fields,
                });
            }
        }
        None
    }

    /// Whether an address means anything here. A signature leads to some address for every digest;
    /// to one of these only if it was made for it.
    fn is_somebody(&self, address: Address, fields: &Fields) -> bool {
        let named = [
            self.fields.signer,
            self.fields.maker,
            fields.signer,
            fields.maker,
        ];
        named.contains(&address)
            || [self.expected.signer, self.session].contains(&Some(address))
            || Derived::of(address).type_of(fields.maker).is_some()
    }

    fn difference(&self, code: Code, fields: &Fields) -> Vec<Finding> {
        let was = self.fields;
        let amounts = |it: &Fields| format!("{} for {}", it.maker_amount, it.taker_amount);
        let finding = |field, given: String, right: String| {
            vec![Finding::near_miss(code, field, &given, &right)]
        };
        match code {
            Code::SaltRounded => finding("salt", was.salt.to_string(), fields.salt.to_string()),
            _ => finding("makerAmount, takerAmount", amounts(was), amounts(fields)),
        }
    }

    fn variants(&self) -> Vec<Variant> {
        let mut variants = Vec::new();
        let mut add = |fields: Fields, style: Style, why: Vec<Finding>| {
            variants.push(Variant { fields, style, why });
        };
        let one = Finding::near_miss;
        let was = self.fields;
        if was.signature_type == 3 {
            let why = Finding::plain(
                Code::NotNested,
                "signature",
                "it was made over the order itself".into(),
            );
            add(was.clone(), Style::Plain, vec![why]);
        }
        let mut change = |code, field, change: &dyn Fn(&mut Fields)| {
            let mut fields = was.clone();
            change(&mut fields);
            if fields != *was {
                let style = style_of(&fields);
                let (given, right) = (value(was, field), value(&fields, field));
                add(fields, style, vec![one(code, field, &given, &right)]);
            }
        };
        for kind in 0..=3 {
            change(Code::SignatureType, "signatureType", &|it| {
                it.signature_type = kind
            });
        }
        change(Code::MakerSignerSwapped, "maker, signer", &|it| {
            std::mem::swap(&mut it.maker, &mut it.signer);
        });
        let people = [Some(was.signer), Some(was.maker), self.expected.signer];
        for person in people.into_iter().flatten() {
            let own = Derived::of(person);
            for address in [
                person,
                own.proxy,
                own.safe,
                own.deposit_wallet,
                own.deposit_wallet_uups,
            ] {
                change(Code::Maker, "maker", &|it| it.maker = address);
                change(Code::Signer, "signer", &|it| it.signer = address);
            }
        }
        change(Code::Side, "side", &|it| it.side = 1 - it.side);
        change(Code::AmountsSwapped, "makerAmount, takerAmount", &|it| {
            std::mem::swap(&mut it.maker_amount, &mut it.taker_amount);
        });
        let thousand = U256::from(1000);
        change(Code::TimestampUnit, "timestamp", &|it| {
            it.timestamped
                .iter_mut()
                .for_each(|it| it.timestamp /= thousand);
        });
        change(Code::TimestampUnit, "timestamp", &|it| {
            let in_ms = |it: U256| it.checked_mul(thousand).unwrap_or(it);
            it.timestamped
                .iter_mut()
                .for_each(|it| it.timestamp = in_ms(it.timestamp));
        });
        for (field, zero) in ZEROS {
            change(Code::FieldZero, field, &|it| zero(it));
        }
        variants
    }
}

/// Members that a client may leave at zero when it signs.
const ZEROS: [(&str, fn(&mut Fields)); 7] = [
    ("expiration", |it| {
        it.expiring
            .iter_mut()
            .for_each(|it| it.expiration = U256::ZERO);
    }),
    ("nonce", |it| {
        it.expiring.iter_mut().for_each(|it| it.nonce = U256::ZERO);
    }),
    ("feeRateBps", |it| {
        it.expiring
            .iter_mut()
            .for_each(|it| it.fee_rate_bps = U256::ZERO);
    }),
    ("taker", |it| {
        it.expiring
            .iter_mut()
            .for_each(|it| it.taker = Address::ZERO);
    }),
    ("timestamp", |it| {
        it.timestamped
            .iter_mut()
            .for_each(|it| it.timestamp = U256::ZERO);
    }),
    ("metadata", |it| {
        it.timestamped
            .iter_mut()
            .for_each(|it| it.metadata = Bytes32::default());
    }),
    ("builder", |it| {
        it.timestamped
            .iter_mut()
            .for_each(|it| it.builder = Bytes32::default());
    }),
];

/// A member's value, for the answer.
fn value(fields: &Fields, field: &str) -> String {
    let expiring = |of: &dyn Fn(&Expiring) -> String| fields.expiring.as_ref().map(of);
    let timestamped =
        |of: &dyn Fn(&super::given::Timestamped) -> String| fields.timestamped.as_ref().map(of);
    match field {
        "maker" => Some(fields.maker.to_string()),
        "signer" => Some(fields.signer.to_string()),
        "maker, signer" => Some(format!("{}, {}", fields.maker, fields.signer)),
        "side" => Some(if fields.is_buy() { "BUY" } else { "SELL" }.to_owned()),
        "signatureType" => Some(fields.signature_type.to_string()),
        "makerAmount, takerAmount" => Some(format!(
            "{} for {}",
            fields.maker_amount, fields.taker_amount
        )),
        "expiration" => expiring(&|it| it.expiration.to_string()),
        "nonce" => expiring(&|it| it.nonce.to_string()),
        "feeRateBps" => expiring(&|it| it.fee_rate_bps.to_string()),
        "taker" => expiring(&|it| it.taker.to_string()),
        "timestamp" => timestamped(&|it| it.timestamp.to_string()),
        "metadata" => timestamped(&|it| it.metadata.to_string()),
        "builder" => timestamped(&|it| it.builder.to_string()),
        _ => None,
    }
    .unwrap_or_default()
}

pub(super) fn style_of(fields: &Fields) -> Style {
    if fields.kind() == Some(SignatureType::Poly1271) {
        Style::Nested
    } else {
        Style::Plain
    }
}

pub(super) fn layout(fields: &Fields) -> Layout {
    if fields.expiring.is_some() {
        Layout::Expiring
    } else {
        Layout::Timestamped
    }
}

fn digest(fields: &Fields, style: Style, target: &Target) -> Option<[u8; 32]> {
    match style {
        Style::Plain => {
            let contents = fields.struct_hash(target.format)?;
            Some(eip712::digest(&target.separator, &contents))
        }
        Style::Nested => {
            let chain_id = target.domain.chain_id;
            nested_digest(fields, target.format, &target.separator, chain_id)
        }
    }
}

/// The digests that the order has as it is: one for each exchange.
pub(super) fn digests(fields: &Fields) -> Vec<[u8; 32]> {
    let mut digests: Vec<_> = official(fields)
        .iter()
        .filter_map(|target| digest(fields, style_of(fields), target))
        .collect();
    digests.sort_unstable();
    digests.dedup();
    digests
}

/// The exchanges, for each layout that the order may be signed in.
fn official(fields: &Fields) -> Vec<Target> {
    let of = |exchange: &'static Exchange| Target {
        format: exchange.version.format(),
        exchange: Some(exchange),
        domain: exchange.domain,
        separator: exchange.separator,
    };
    let own = layout(fields);
    // What has version 2's members may have been signed with version 1's defaults, not vice versa.
    let signable = |it: &Target| own == Layout::Timestamped || it.format.layout == own;
    exchanges().iter().map(of).filter(signable).collect()
}

/// Domains that no exchange has, but that clients sign under by mistake.
fn strays(fields: &Fields) -> Vec<Target> {
    let mut contracts: Vec<Option<Address>> = vec![None, NEG_RISK_ADAPTER.parse().ok()];
    contracts.extend(exchanges().iter().map(|it| it.domain.verifying_contract));
    contracts.sort_unstable();
    contracts.dedup();
    let chains = [Chain::Polygon.id(), Chain::Amoy.id()];
    let mut strays = Vec::new();
    for format in [Version::V1, Version::V2].map(Version::format) {
        if format.layout != layout(fields) {
            continue;
        }
        for version in ["1", "2", "3"] {
            for chain_id in chains.into_iter().chain(STRAY_CHAINS) {
                for verifying_contract in &contracts {
                    let domain = Domain {
                        name: "Polymarket CTF Exchange",
                        version,
                        chain_id,
                        verifying_contract: *verifying_contract,
                    };
                    strays.push(Target {
                        format,
                        exchange: None,
                        domain,
                        separator: domain.separator(),
                    });
                }
            }
        }
    }
    strays
}

/// What is wrong about the target, seen from what was expected.
pub(super) fn of_target(target: &Target, fields: &Fields, expected: &Expected) -> Vec<Finding> {
    let one = Finding::near_miss;
    let Some(exchange) = target.exchange else {
        return vec![stray(&target.domain)];
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

fn stray(domain: &Domain) -> Finding {
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
            if super::given::fits(wrapper, &target.separator, &contents, target.format) => {}
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
