//! Why the API or its authorization server said no.
//!
//! Three things are looked at, as far as they are given: the answer, the assertion that was sent
//! (its claims; a signature is never looked at), and the rest of the request. What follows from them
//! and from what is on record here is said; what does not is not guessed at: the answer is then
//! "none of these". What is true but proves nothing stands under the notes.
//!
//! It **trusts** nothing of what it is given, and lets nobody see more of what is on record here than
//! they may see anyway.
//!
//! # Why two words of a server are one class
//! `invalid_client` and `invalid_client_assertion` are used for either cause, so neither decides
//! anything by itself: which claim is wrong is found in the claims.

mod answer;
mod assertion;
mod catalogue;
mod given;
mod request;

use std::collections::BTreeMap;

use super::clients::Client;
use super::environment::Environment;
use super::scopes::{ApiCall, TokenClaims};
use crate::keys::Key;
use crate::name::Name;
pub use answer::{Answer, Failure, Origin};
pub use catalogue::Code;
pub use given::{NotAnAssertion, Presented};
pub use request::Sent;

/// The skew that servers take of `iat` and `nbf`, in seconds.
const SKEW_S: i64 = 10;

/// What is asked about. All of it is optional.
#[derive(Debug, Default)]
pub struct Question {
    /// What came back.
    pub answer: Option<Answer>,
    /// What came instead of an answer.
    pub failure: Option<Failure>,
    /// The call of the API that was refused.
    pub call: Option<ApiCall>,
    /// What the access token says that it was made with.
    pub token: Option<TokenClaims>,
    /// The assertion that was sent.
    pub assertion: Option<Presented>,
    /// Why it cannot be read, where it cannot.
    pub unreadable: Option<NotAnAssertion>,
    /// The other members of the token request.
    pub sent: Option<Sent>,
    /// When it was sent, by the sender's clock, in seconds since 1970.
    pub sent_at: Option<i64>,
}

/// What is known here and may be seen by whoever asks.
#[derive(Debug)]
pub struct Known<'a> {
    /// The environments.
    pub environments: &'a BTreeMap<Name, Environment>,
    /// The environment that it is about, where that was said or follows from the client.
    pub environment: Option<&'a Name>,
    /// The client that it is about, where that was said.
    pub client: Option<&'a Client>,
    /// All clients.
    pub clients: &'a [Client],
    /// All client keys.
    pub keys: &'a [Key],
    /// The assertion of this `jti`, as it was signed here.
    pub recorded: Option<&'a Recorded>,
    /// How far this host's clock is ahead of the database's, in milliseconds.
    pub clock_ahead_ms: Option<i64>,
    /// The time.
    pub now: i64,
}

/// An assertion on record here.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// What was signed.
    pub presented: Presented,
    /// Whether it was released.
    pub released: bool,
    /// Whether it was handed out, not exchanged here.
    pub handed_out: bool,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = ExchangeFinding)]
pub struct Finding {
    /// What; stable, for programs.
    pub code: Code,
    /// The claim, header or member that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<&'static str>,
    /// What stands there, where there is a better value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given: Option<String>,
    /// What should stand there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right: Option<String>,
    /// What is wrong, for people.
    pub detail: String,
    /// What to do.
    pub action: &'static str,
}

impl Finding {
    fn plain(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            field: None,
            given: None,
            right: None,
            detail: detail.into(),
            action: code.action(),
        }
    }

    fn of(code: Code, field: &'static str, detail: impl Into<String>) -> Self {
        Self {
            field: Some(field),
            ..Self::plain(code, detail)
        }
    }

    fn instead(code: Code, field: &'static str, given: &str, right: &str) -> Self {
        let given = crate::counterparty::quoted(given);
        Self {
            detail: format!("{field} is {given:?}, and should be {right:?}"),
            given: Some(given),
            right: Some(right.to_owned()),
            ..Self::of(code, field, "")
        }
    }

    fn saying(self, detail: impl Into<String>) -> Self {
        Self {
            detail: detail.into(),
            ..self
        }
    }
}

/// The answer in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = ExchangeVerdict)]
pub enum Verdict {
    /// Something is wrong: the findings name it.
    Found,
    /// The assertion and its request are as they should be, as far as can be seen here.
    NothingWrong,
    /// What is wrong is not in the list.
    NoneOfThese,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = ExchangeExplanation)]
pub struct Explanation {
    /// In a word.
    pub verdict: Verdict,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What is true, and proves nothing.
    pub notes: Vec<String>,
}

/// What has been found so far.
#[derive(Debug, Default)]
struct Report {
    findings: Vec<Finding>,
    notes: Vec<String>,
}

impl Report {
    fn find(&mut self, finding: Finding) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

impl Question {
    /// Says what is wrong.
    pub fn explain(&self, known: &Known<'_>) -> Explanation {
        let mut report = Report::default();
        let at = known.place(self);
        self.judge_answer(known, at, &mut report);
        if let Some(presented) = &self.assertion {
            self.judge_assertion(presented, known, at, &mut report);
        }
        match self.unreadable {
            Some(why @ NotAnAssertion::NotAJwt) => {
                report.find(Finding::plain(Code::Malformed, why.to_string()));
            }
            Some(why @ NotAnAssertion::TooLarge) => {
                report.find(Finding::plain(Code::TooLong, why.to_string()));
            }
            None => {}
        }
        if let Some(sent) = &self.sent {
            self.judge_request(sent, at, &mut report);
        }
        self.judge_clocks(known, &mut report);
        let verdict = match (report.findings.is_empty(), &self.assertion) {
            (false, _) => Verdict::Found,
            (true, Some(_)) if self.answer.is_none() && self.failure.is_none() => {
                Verdict::NothingWrong
            }
            (true, _) => Verdict::NoneOfThese,
        };
        Explanation {
            verdict,
            findings: report.findings,
            notes: report.notes,
        }
    }

    /// When it arrived, as far as that is known: by the server's clock, else by the sender's.
    fn arrived_at(&self) -> Option<i64> {
        let date = self.answer.as_ref().and_then(Answer::date);
        date.or(self.sent_at)
    }

    fn judge_clocks(&self, known: &Known<'_>, report: &mut Report) {
        let date = self.answer.as_ref().and_then(Answer::date);
        if let (Some(date), Some(sent)) = (date, self.sent_at) {
            let ahead = sent - date;
            if ahead.abs() > SKEW_S {
                let detail = format!("the sender's clock is {ahead} s ahead of the server's");
                report.find(Finding::plain(Code::ClockOff, detail));
            }
        }
        // Where it was signed here, its times are this host's.
        if let (Some(_), Some(ms)) = (known.recorded, known.clock_ahead_ms)
            && ms.abs() > SKEW_S * 1000
        {
            let detail = format!("this host's clock is {ms} ms ahead of the database's");
            report.find(Finding::plain(Code::ClockOff, detail));
        }
    }
}

impl<'a> Known<'a> {
    /// The environment that it is about: as was said, the client's, or the only one whose client the
    /// assertion names.
    pub fn place(&self, question: &Question) -> Option<(&'a Name, &'a Environment)> {
        let named = self
            .environment
            .or_else(|| self.client.map(|it| &it.environment));
        let named = named.or_else(|| {
            let issuer = question.assertion.as_ref()?.text("iss")?;
            let mut with = self.clients.iter().filter(|it| it.client_id == issuer);
            let first = with.next()?;
            with.next().is_none().then_some(&first.environment)
        });
        self.environments.get_key_value(named?)
    }
}

#[cfg(test)]
mod tests;
