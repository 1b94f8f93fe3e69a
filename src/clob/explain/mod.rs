//! Why an order is refused: which part of it is wrong.
//!
//! A venue that answers "invalid signature" names nothing. But a signature leads back to an address for
//! every digest, and to the signer's for one only: so the order's near misses are tried, each with one
//! thing different, until the signature fits. What is found that way is proven, and nothing else is
//! said: what is not in the [catalogue](Code) is answered with none of these.
//!
//! It **trusts** nothing in the order. Work is bounded: members have lengths, near misses a number.
//!
//! # Why
//! Orders that were signed here are not guessed at. They are found by their digest, or by the r of their
//! signature whatever else was changed, and compared with what was released, member by member.

mod catalogue;
mod given;
mod judge;
mod known_errors;
mod posted;
mod record;
mod rounding;
mod search;
mod targets;
mod venue_texts;

use serde_json::value::RawValue;

use super::amount::Tick;
use super::contracts::Version;
use super::derived::Derived;
use super::request::OrderType;
use super::wallet::Chain;
use crate::ethereum::Address;
use crate::ethereum::signature::Recovery;
pub use catalogue::Code;
pub use given::NotAnOrder;
use given::{Given, Signed};
pub use known_errors::{KnownError, Refusal};
pub use record::{Change, Recorded};
use search::{Hit, Search};

/// What the order should have been, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// The version that the venue takes.
    pub version: Option<Version>,
    /// The chain of the venue.
    pub chain: Option<Chain>,
    /// Whether the market is neg-risk.
    pub neg_risk: Option<bool>,
    /// The market's tick.
    pub tick: Option<Tick>,
    /// Who should have signed.
    pub signer: Option<Address>,
    /// How the order is posted.
    pub order_type: Option<OrderType>,
    /// When it is looked at, in unix seconds; nothing is said of an expiration without it.
    pub now_s: Option<i64>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = OrderFinding)]
pub struct Finding {
    /// What; stable, for programs.
    pub code: Code,
    /// The member, or members, that it is about.
    pub field: String,
    /// What stands there, where there is a better value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given: Option<String>,
    /// What the signature was made for, or the record holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right: Option<String>,
    /// What is wrong, for people.
    pub detail: String,
    /// What to do.
    pub action: &'static str,
}

impl Finding {
    fn plain(code: Code, field: &str, detail: String) -> Self {
        Self {
            code,
            field: field.to_owned(),
            given: None,
            right: None,
            detail,
            action: code.action(),
        }
    }

    /// The signature fits with another value.
    fn near_miss(code: Code, field: &str, given: &str, right: &str) -> Self {
        let detail = format!("{field} is {given}, and the signature was made for {right}");
        Self {
            given: Some(given.to_owned()),
            right: Some(right.to_owned()),
            ..Self::plain(code, field, detail)
        }
    }
}

/// The answer in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = OrderVerdict)]
pub enum Verdict {
    /// The signature fits the order as it is, and nothing else is wrong with it.
    Fits,
    /// Something is wrong: the findings name it.
    Found,
    /// What is wrong is not in the list.
    NoneOfThese,
}

/// What the signature was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignedFor {
    /// The order's version: 1, 2 or 3.
    #[schema(value_type = Option<u8>)]
    pub version: Option<Version>,
    /// The chain in the domain.
    pub chain_id: u64,
    /// Whether it is a neg-risk exchange.
    pub neg_risk: Option<bool>,
    /// The contract in the domain.
    #[schema(value_type = Option<String>)]
    pub verifying_contract: Option<Address>,
    /// Whose key signed.
    #[schema(value_type = String)]
    pub signer: Address,
    /// What follows from that key on chain 137.
    pub derived: Derived,
}

/// What is wrong with an order.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// In a word.
    pub verdict: Verdict,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What the signature was made for; none where no near miss fits.
    pub signed_for: Option<SignedFor>,
    /// The venue's text, where it is known.
    pub known_error: Option<KnownError>,
}

/// An order to be explained.
#[derive(Debug, Clone)]
pub struct Subject(Given);

impl Subject {
    /// Reads an order, or the whole body of `POST /order`.
    pub fn read(order: &RawValue) -> Result<Self, NotAnOrder> {
        Given::read(order).map(Self)
    }

    /// The r of its signature.
    pub fn r(&self) -> Option<[u8; 32]> {
        self.0.signature()?.r()
    }

    /// The digests that it may have been signed under.
    pub fn digests(&self) -> Vec<[u8; 32]> {
        match self.0.fields() {
            Ok(fields) => search::digests(&fields),
            // The signature alone may be unreadable.
            Err(wrong) if wrong == ["signature"] => {
                let mut given = self.0.clone();
                let any = format!("0x{}", "0".repeat(130));
                given.members.insert("signature".to_owned(), any);
                given
                    .fields()
                    .map(|it| search::digests(&it))
                    .unwrap_or_default()
            }
            Err(_) => Vec::new(),
        }
    }

    /// Says what is wrong with it. Takes up to a second of computing.
    pub fn explain(&self, expected: &Expected, refusal: &Refusal) -> Explanation {
        let mut findings = posted::judge(&self.0, expected);
        let (of_order, hit) = self.look(expected, refusal);
        findings.extend(of_order);
        Explanation::of(findings, hit.as_ref(), refusal)
    }

    /// Says what is wrong with an order that was signed here.
    pub fn explain_recorded(
        &self,
        recorded: &Recorded,
        expected: &Expected,
        refusal: &Refusal,
    ) -> (Explanation, Vec<Change>) {
        let changes = recorded.changes(&self.0);
        let finding = |change: &Change| Finding {
            given: change.given.clone(),
            right: change.recorded.clone(),
            ..Finding::plain(Code::Changed, &change.field, change.to_string())
        };
        let mut findings: Vec<_> = changes.iter().map(finding).collect();
        // How it should have been signed in the first place, and what was done to its signature.
        let (of_record, hit) = Self(recorded.given()).look(expected, refusal);
        findings.extend(of_record);
        if let Some((signed, recovery)) = self.0.signature().and_then(prepared) {
            findings.extend(judge::of_form(&signed, &recovery));
        }
        findings.extend(posted::judge(&self.0, expected));
        findings.dedup();
        (Explanation::of(findings, hit.as_ref(), refusal), changes)
    }

    fn look(&self, expected: &Expected, refusal: &Refusal) -> (Vec<Finding>, Option<Hit>) {
        let given = &self.0;
        let mut findings = Vec::new();
        let fields = match given.fields() {
            Ok(fields) => fields,
            Err(wrong) => {
                findings.extend(wrong.iter().map(|name| malformed(given, name)));
                return (findings, None);
            }
        };
        let Some((signed, recovery)) = given.signature().and_then(prepared) else {
            findings.push(malformed(given, "signature"));
            return (findings, None);
        };
        let expected = Expected {
            order_type: posted::order_type(given, expected),
            ..expected.clone()
        };
        findings.extend(judge::of_form(&signed, &recovery));
        let hit = Search::new(
            &fields,
            &expected,
            &recovery,
            given.expiration(),
            signed.session,
        )
        .run();
        let meant = match &hit {
            Some(hit) => {
                findings.extend(hit.why.iter().cloned());
                findings.extend(judge::of_target(&hit.target, &fields, &expected));
                findings.extend(judge::of_signature(&signed, &recovery, hit));
                findings.extend(judge::of_people(hit, &expected, &signed));
                &hit.fields
            }
            None => &fields,
        };
        let said = refusal.decimals();
        findings.extend(judge::of_contents(meant, &expected, said));
        if hit.as_ref().is_some_and(|hit| hit.why.is_empty()) {
            findings.extend(judge::of_timestamp(meant));
        }
        (findings, hit)
    }
}

impl Explanation {
    fn of(findings: Vec<Finding>, hit: Option<&Hit>, refusal: &Refusal) -> Self {
        let verdict = match (findings.is_empty(), hit) {
            (false, _) => Verdict::Found,
            (true, Some(_)) => Verdict::Fits,
            (true, None) => Verdict::NoneOfThese,
        };
        Self {
            verdict,
            findings,
            signed_for: hit.map(|hit| SignedFor {
                version: hit.target.exchange.map(|it| it.version),
                chain_id: hit.target.domain.chain_id,
                neg_risk: hit.target.exchange.map(|it| it.neg_risk),
                verifying_contract: hit.target.domain.verifying_contract,
                signer: hit.signer,
                derived: Derived::of(hit.signer),
            }),
            known_error: refusal.known(),
        }
    }
}

fn malformed(given: &Given, name: &str) -> Finding {
    let detail = match given.members.get(name) {
        Some(_) => format!("{name} cannot be read"),
        None => format!("{name} is missing"),
    };
    Finding::plain(Code::Malformed, name, detail)
}

fn prepared(signed: Signed) -> Option<(Signed, Recovery)> {
    let known = matches!(signed.v, 0 | 1 | 27 | 28);
    let recovery = Recovery::new(&signed.rs).ok().filter(|_| known)?;
    Some((signed, recovery))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
