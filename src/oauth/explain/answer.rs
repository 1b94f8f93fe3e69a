//! What an answer says by itself, of the API or of the token endpoint.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Code, Finding, Known, Question, Report};
use crate::counterparty::{date, quoted};
use crate::name::Name;
use crate::oauth::environment::{AssertionAud, Environment};
use crate::oauth::scopes::{ApiCall, Table, documented_name};

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = AnswerOrigin)]
pub enum Origin {
    /// The API.
    Api,
    /// The authorization server's token endpoint.
    TokenEndpoint,
}

/// What came instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = AnswerFailure)]
pub enum Failure {
    /// Nothing within the time.
    Timeout,
    /// The connection broke off.
    Reset,
    /// There was no connection.
    Unreachable,
}

/// An answer, as far as it is told.
#[derive(Clone, Debug, Default, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ExchangeAnswer)]
pub struct Answer {
    /// Who answered; what the rest points to unless you say it.
    pub from: Option<Origin>,
    /// The HTTP status.
    #[schema(example = 403)]
    pub status: Option<u16>,
    /// The gRPC status, as a number.
    #[schema(example = 7)]
    pub grpc_status: Option<i64>,
    /// Headers. `date`, `retry-after` and `x-ratelimit-reset` are looked at.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body: JSON, or text. Of a gRPC answer the message.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub body: Value,
}

/// What a refusal without a scope means, as it is documented.
const NO_SCOPE_NAMED: &str = "the API refuses and names no missing scope, as it would: so it does not take calls from this address";

/// `UNAUTHENTICATED` of gRPC.
const UNAUTHENTICATED: i64 = 16;
/// `RESOURCE_EXHAUSTED` of gRPC.
const EXHAUSTED: i64 = 8;
/// `INTERNAL` and `UNAVAILABLE` of gRPC.
const TROUBLE: [i64; 2] = [13, 14];
/// `NOT_FOUND` and `UNIMPLEMENTED` of gRPC.
const NO_ROUTE: [i64; 2] = [5, 12];

impl Answer {
    /// The server's clock when it answered.
    pub fn date(&self) -> Option<i64> {
        date(self.header("date")?)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }

    /// The body as JSON, where it is.
    fn json(&self) -> Value {
        match &self.body {
            Value::String(text) => {
                let text = text.trim_start_matches('\u{feff}');
                serde_json::from_str(text).unwrap_or_default()
            }
            other => other.clone(),
        }
    }

    fn is_page(&self) -> bool {
        self.body.as_str().is_some_and(|text| {
            text.trim_start_matches('\u{feff}')
                .trim_start()
                .starts_with('<')
        })
    }

    fn is(&self, status: u16, grpc: i64) -> bool {
        self.status == Some(status) || self.grpc_status == Some(grpc)
    }
}

impl Question {
    pub(super) fn judge_answer(
        &self,
        known: &Known<'_>,
        at: Option<(&Name, &Environment)>,
        report: &mut Report,
    ) {
        match self.failure {
            Some(Failure::Timeout | Failure::Reset) => report.find(Finding::plain(
                Code::OutcomeUnknown,
                "what was sent may have arrived; its answer did not",
            )),
            Some(Failure::Unreachable) => report.find(Finding::plain(
                Code::NotDelivered,
                "there was no connection, so nothing was sent",
            )),
            None => {}
        }
        let Some(answer) = &self.answer else { return };
        let status = answer.status.unwrap_or(0);
        if answer.is(429, EXHAUSTED) {
            report.find(Finding::plain(Code::RateLimited, limited(answer, known)));
        } else if (300..400).contains(&status) {
            let detail = format!("the answer was {status}, a redirect");
            report.find(Finding::plain(Code::Redirected, detail));
        } else if status >= 500 || answer.grpc_status.is_some_and(|it| TROUBLE.contains(&it)) {
            let detail = "the server says that the trouble is its own";
            report.find(Finding::plain(Code::ServerTrouble, detail));
        } else {
            match self.origin(answer) {
                Origin::Api => self.judge_api(answer, known, at, report),
                Origin::TokenEndpoint => judge_token_endpoint(answer, at, report),
            }
        }
    }

    /// Who answered: as was said, or as the rest points to. The documentation's 401 and 403 are the
    /// API's.
    fn origin(&self, answer: &Answer) -> Origin {
        let body = answer.json();
        let of_server = body["error"].is_string() || body["access_token"].is_string();
        let of_api = answer.grpc_status.is_some()
            || body["code"].is_i64()
            || self.call.is_some()
            || self.token.is_some();
        match answer.from {
            Some(origin) => origin,
            None if of_server => Origin::TokenEndpoint,
            None if of_api => Origin::Api,
            None if self.assertion.is_some()
                || self.sent.is_some()
                || answer.status == Some(200) =>
            {
                Origin::TokenEndpoint
            }
            None => Origin::Api,
        }
    }

    fn judge_api(
        &self,
        answer: &Answer,
        known: &Known<'_>,
        at: Option<(&Name, &Environment)>,
        report: &mut Report,
    ) {
        let table = Table::exchange();
        let denied = &table.denied;
        if answer.is(401, UNAUTHENTICATED) {
            let detail = "the API takes the token for ended, revoked, or signed with a key that was replaced";
            report.find(Finding::plain(Code::TokenNotTaken, detail));
            self.judge_token(known, at, report);
        } else if answer.is(denied.status, denied.code) {
            let body = answer.json();
            let code = body["code"].as_i64().or(answer.grpc_status);
            let message = body["message"].as_str().or(answer.body.as_str());
            let scope = message
                .and_then(|text| text.trim().strip_prefix(&denied.message))
                .filter(|_| code == Some(denied.code));
            match scope.and_then(|rest| rest.split_whitespace().next()) {
                Some(scope) => self.judge_scope(&quoted(scope), report),
                None => self.judge_refusal(message, report),
            }
        } else if answer.is(404, NO_ROUTE[0]) || answer.grpc_status == Some(NO_ROUTE[1]) {
            let Some(call) = &self.call else { return };
            judge_route(call, at, report);
        }
    }

    /// A refusal that does not name a scope in the documented words: of a scope all the same where it speaks
    /// of one, or where the call needs one that the token does not carry.
    fn judge_refusal(&self, message: Option<&str>, report: &mut Report) {
        let said = message.map(str::trim).filter(|it| !it.is_empty());
        if let Some(said) = said.filter(|it| it.to_lowercase().contains("scope")) {
            let detail = format!(
                "the API speaks of a scope, in other words than are documented: {}",
                quoted(said)
            );
            report.find(Finding::of(Code::ScopeMissing, "scope", detail));
            return;
        }
        let needed = self.needed_scope();
        let carries = |needed: &String| {
            let token = self.token.as_ref()?;
            Some(token.scopes.contains(needed))
        };
        match needed.as_ref().map(|it| (it, carries(it))) {
            Some((scope, Some(false))) => {
                self.judge_scope(scope, report);
                report.note("the answer does not name the scope; the call needs it, and the token does not carry it".to_owned());
            }
            Some((scope, None)) => {
                report.find(Finding::plain(Code::AddressNotAllowed, NO_SCOPE_NAMED));
                report.note(format!(
                    "the call needs {scope}: show the token, and it is compared; without that scope it is the likelier cause"
                ));
            }
            Some((_, Some(true))) | None => {
                report.find(Finding::plain(Code::AddressNotAllowed, NO_SCOPE_NAMED));
            }
        }
    }

    /// The scope that the call needs, where the documentation says one.
    fn needed_scope(&self) -> Option<String> {
        let found = Table::exchange().find(self.call.as_ref()?).ok()?;
        let [one] = found.as_slice() else {
            return None;
        };
        one.endpoint.required_scope.clone()
    }

    fn judge_scope(&self, scope: &str, report: &mut Report) {
        let documented = Table::exchange().scope(scope).is_some();
        let what = if documented {
            ""
        } else {
            ", which is not documented"
        };
        let finding = Finding {
            right: Some(scope.to_owned()),
            ..Finding::of(
                Code::ScopeMissing,
                "scope",
                format!("the token does not carry {scope}{what}"),
            )
        };
        report.find(finding);
        let carried = self
            .token
            .as_ref()
            .map(|it| it.scopes.iter().any(|it| it == scope));
        if carried == Some(true) {
            report.note(format!(
                "the token that you show carries {scope}: it is not the one that was refused, or the API has not heard of the grant"
            ));
        }
    }

    fn judge_token(
        &self,
        known: &Known<'_>,
        at: Option<(&Name, &Environment)>,
        report: &mut Report,
    ) {
        let Some(token) = &self.token else { return };
        match (token.expires_at, self.arrived_at()) {
            (Some(end), Some(then)) if end <= then => {
                let detail = format!("it had ended {} s before", then - end);
                report.find(Finding::of(Code::TokenExpired, "exp", detail));
            }
            (Some(end), None) if end <= known.now => report.note(
                "the token has ended by now; whether it had when it was sent is not told (sent_at, or the answer's date)",
            ),
            _ => {}
        }
        let Some((name, environment)) = at else {
            return;
        };
        if !token.audiences.is_empty() && !token.audiences.contains(&environment.token_audience) {
            let given = token.audiences.join(" ");
            let right = &environment.token_audience;
            let finding = Finding::instead(Code::TokenElsewhere, "aud", &given, right);
            report.find(finding.saying(format!("the token is for another API than {name}'s")));
        }
    }
}

fn limited(answer: &Answer, known: &Known<'_>) -> String {
    let number = |name: &str| answer.header(name)?.parse::<i64>().ok();
    let reset = number("x-ratelimit-reset").map(|at| (at - known.now).max(0));
    match number("retry-after").or(reset) {
        Some(seconds) => {
            format!("a rate or quota is used up; it may be asked again in {seconds} s")
        }
        None => "a rate or quota is used up; the answer does not say until when".to_owned(),
    }
}

fn judge_route(call: &ApiCall, at: Option<(&Name, &Environment)>, report: &mut Report) {
    let found = match Table::exchange().find(call) {
        Ok(found) => found,
        Err(unknown) => {
            let finding = Finding::of(Code::EndpointUnknown, "path", unknown.to_string());
            report.find(finding);
            return;
        }
    };
    let Some((name, environment)) = at else {
        return;
    };
    let documented = documented_name(name, &environment.api_url);
    if found.iter().all(|it| !it.endpoint.is_in(documented)) {
        let detail = format!("{documented} does not have it, though others do");
        report.find(Finding::of(Code::EndpointDisabled, "path", detail));
    }
}

fn judge_token_endpoint(answer: &Answer, at: Option<(&Name, &Environment)>, report: &mut Report) {
    let body = answer.json();
    if answer.is_page() {
        let detail = "the answer is a page, which no authorization server gives here";
        report.find(Finding::plain(Code::EdgeAnswered, detail));
        return;
    }
    if answer.status.is_some_and(|it| (200..300).contains(&it)) {
        let usable = body["access_token"]
            .as_str()
            .is_some_and(|it| !it.is_empty());
        let seconds = &body["expires_in"];
        let seconds = match seconds {
            Value::String(text) => text.parse().ok(),
            other => other.as_f64(),
        };
        let lives = seconds.is_some_and(|it: f64| it.is_finite() && it >= 0.0);
        if !usable {
            let detail = "the answer says that it is a token and has no access_token";
            report.find(Finding::of(Code::AnswerUnusable, "access_token", detail));
        } else if !lives {
            let detail = "the answer does not say in seconds how long the token lives";
            report.find(Finding::of(Code::AnswerUnusable, "expires_in", detail));
        }
        return;
    }
    let (code, meaning) = match body["error"].as_str().unwrap_or_default() {
        "invalid_client" => (
            Code::InvalidClient,
            "the assertion's signature does not verify under a key that is registered and enabled, or a claim is wrong",
        ),
        "invalid_client_assertion" => (
            Code::InvalidClientAssertion,
            "the assertion is malformed, or a claim is wrong",
        ),
        "invalid_request" => (
            Code::InvalidRequest,
            "a member of the request is missing or wrong",
        ),
        "unsupported_grant_type" | "unauthorized_client" | "invalid_grant" => (
            Code::GrantRefused,
            "the client may not ask for tokens in this way",
        ),
        "access_denied" | "invalid_scope" | "invalid_target" => (
            Code::NotGranted,
            "the application was not granted this audience or one of these scopes",
        ),
        "too_many_requests" => (Code::RateLimited, "a rate or quota is used up"),
        "" => {
            let detail = match &answer.body {
                Value::Null => return, // it is not shown
                Value::String(text) if text.trim().is_empty() => "the refusal has no body",
                _ => "the refusal has no error that OAuth knows",
            };
            report.find(Finding::plain(Code::NoReason, detail));
            return;
        }
        _ => return,
    };
    let words = body["error_description"].as_str().map(quoted);
    let words = words.map(|text| format!("; it said: {text}"));
    let detail = format!("{meaning}{}", words.unwrap_or_default());
    report.find(Finding::of(code, "error", detail));
    if let (Code::InvalidClient | Code::InvalidClientAssertion, Some((name, environment))) =
        (code, at)
    {
        let policy = match environment.assertion_aud {
            AssertionAud::TokenEndpoint => "token-endpoint",
            AssertionAud::Issuer => "issuer",
            AssertionAud::Literal(_) => "literal",
        };
        report.note(format!(
            "{name} is configured with assertion_aud = {policy}: {}",
            environment.aud()
        ));
    }
}
