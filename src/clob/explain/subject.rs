//! An order to be explained, and how that is done: what can be read of it is judged, the rest is searched for.

use serde_json::value::RawValue;

use super::given::{Given, NotAnOrder, Signed};
use super::record::{Change, Recorded};
use super::search::{self, Hit, Search};
use super::{Code, Expected, Explanation, Finding, Refusal, SignedFor, Verdict, judge, posted};
use crate::clob::derived::Derived;
use crate::ethereum::signature::Recovery;

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
