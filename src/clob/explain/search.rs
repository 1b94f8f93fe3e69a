//! The near misses: which small change of an order makes its signature fit.

use std::collections::HashSet;

use ruint::aliases::U256;

use super::super::contracts::Layout;
use super::super::derived::Derived;
use super::super::wallet::SignatureType;
use super::catalogue::Code;
use super::given::{Expiring, Fields, Timestamped, nested_digest};
use super::rounding;
use super::targets::{Target, layout, official, strays};
use super::{Expected, Finding};
use crate::ethereum::eip712::{self, Bytes32};
use crate::ethereum::signature::Recovery;
use crate::ethereum::{Address, keccak256};

/// So many digests are tried for one order. Each costs about 50 µs.
const BUDGET: usize = 20_000;
/// How the digest comes from the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Nested,
    /// Either, as a message to people.
    Personal,
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
        let mut variants = self.variants();
        variants.push(self.as_message());
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

    fn as_message(&self) -> Variant {
        let detail = "it was made over the digest as a message to people".to_owned();
        Variant {
            style: Style::Personal,
            why: vec![Finding::plain(Code::PersonalMessage, "signature", detail)],
            ..self.as_given()
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
                it.signature_type = kind;
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
        for (field, side) in PADDED {
            change(Code::BytesPadded, field, &|it| {
                it.timestamped.iter_mut().for_each(|it| {
                    let bytes = side(it);
                    bytes.0 = padded_otherwise(bytes.0);
                });
            });
        }
        for (field, zero) in ZEROS {
            change(Code::FieldZero, field, &|it| zero(it));
        }
        variants
    }
}

/// Members of 32 bytes that clients fill up with zeros.
type Padded = fn(&mut Timestamped) -> &mut Bytes32;
const PADDED: [(&str, Padded); 2] = [
    ("builder", |it| &mut it.builder),
    ("metadata", |it| &mut it.metadata),
];

/// The same bytes with the zeros before them behind them, or the other way around.
fn padded_otherwise(bytes: [u8; 32]) -> [u8; 32] {
    let before = bytes.iter().take_while(|it| **it == 0).count();
    let behind = bytes.iter().rev().take_while(|it| **it == 0).count();
    let mut other = bytes;
    if before > 0 {
        other.rotate_left(before % 32);
    } else {
        other.rotate_right(behind % 32);
    }
    other
}

/// A change of an order.
type Change = fn(&mut Fields);

/// Members that a client may leave at zero when it signs.
const ZEROS: [(&str, Change); 7] = [
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
    let timestamped = |of: &dyn Fn(&Timestamped) -> String| fields.timestamped.as_ref().map(of);
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
        Style::Personal => {
            let inner = digest(fields, style_of(fields), target)?;
            let message = [b"\x19Ethereum Signed Message:\n32".as_slice(), &inner].concat();
            Some(keccak256(message))
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
