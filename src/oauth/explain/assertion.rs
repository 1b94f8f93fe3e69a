//! What is wrong with an assertion, from its header and claims.

use serde_json::Value;

use super::{Code, Finding, Known, Presented, Question, Recorded, Report, SKEW_S};
use crate::custody::PublicKey;
use crate::keys::KeyState;
use crate::name::Name;
use crate::oauth::clients::Client;
use crate::oauth::environment::{Environment, Kid};

/// What servers take of an assertion, in bytes.
const LENGTH_LIMIT: usize = 2048;
/// And of `iss`, `sub` and `jti`, in characters.
const TEXT_LIMIT: usize = 64;
/// From `iat` to `exp`, in seconds.
const LIFETIME_LIMIT: i64 = 300;
/// The documented claims.
const CLAIMS: [&str; 6] = ["iss", "sub", "aud", "iat", "exp", "jti"];
/// A time above this is not in seconds: they have ten digits until the year 2286.
const SECONDS_LIMIT: f64 = 1e10;

impl Question {
    pub(super) fn judge_assertion(
        &self,
        presented: &Presented,
        known: &Known<'_>,
        at: Option<(&Name, &Environment)>,
        report: &mut Report,
    ) {
        judge_form(presented, report);
        judge_audience(presented, known, at, report);
        let client = judge_client(presented, known, at, report);
        judge_header(presented, known, at, client, report);
        self.judge_times(presented, known, report);
        if let Some(recorded) = known.recorded {
            judge_record(presented, recorded, report);
        }
    }

    fn judge_times(&self, presented: &Presented, known: &Known<'_>, report: &mut Report) {
        for claim in ["iat", "nbf", "exp"] {
            let Some(value) = presented.claims.get(claim) else {
                continue;
            };
            let detail = match value.as_f64() {
                None => "is not a number",
                Some(number) if number > SECONDS_LIMIT => "is not in seconds",
                Some(_) if value.as_i64().is_none() => "is not a whole number",
                Some(_) => continue,
            };
            report.find(Finding::of(
                Code::TimeUnit,
                claim,
                format!("{claim} {detail}"),
            ));
        }
        if report.findings.iter().any(|it| it.code == Code::TimeUnit) {
            return;
        }
        let (from, end) = (presented.number("iat"), presented.number("exp"));
        if let (Some(from), Some(end)) = (from, end) {
            let life = end.saturating_sub(from);
            if life > LIFETIME_LIMIT {
                let detail = format!("it lives {life} s");
                report.find(Finding::of(Code::LifetimeTooLong, "exp", detail));
            } else if life <= 0 {
                let detail = format!("exp is {} s before iat", life.saturating_neg());
                report.find(Finding::of(Code::LifetimeBackwards, "exp", detail));
            }
        }
        let Some(then) = self.arrived_at() else {
            if end.is_some_and(|end| end <= known.now) {
                report.note("it has ended by now; whether it had when it arrived is not told (sent_at, or the answer's date)");
            }
            return;
        };
        if let Some(end) = end
            && end <= then
        {
            let detail = format!(
                "it had ended {} s before it arrived",
                then.saturating_sub(end)
            );
            report.find(Finding::of(Code::Expired, "exp", detail));
        }
        for claim in ["iat", "nbf"] {
            let ahead = presented.number(claim).map(|at| at.saturating_sub(then));
            if let Some(ahead) = ahead
                && ahead > SKEW_S
            {
                let detail = format!("{claim} was {ahead} s ahead when it arrived");
                report.find(Finding::of(Code::NotYet, claim, detail));
            }
        }
    }
}

/// What can be said without knowing for whom it is.
fn judge_form(presented: &Presented, report: &mut Report) {
    let claims = &presented.claims;
    for claim in CLAIMS {
        let present = match (claim, claims.get(claim)) {
            (_, None | Some(Value::Null)) => false,
            ("iss" | "sub" | "jti", Some(value)) => value.is_string(),
            _ => true,
        };
        if !present {
            let detail = format!("{claim} is missing, or no text");
            report.find(Finding::of(Code::ClaimMissing, claim, detail));
        }
    }
    let more: Vec<_> = claims
        .keys()
        .filter(|it| !CLAIMS.contains(&it.as_str()))
        .collect();
    if !more.is_empty() {
        let more: Vec<_> = more
            .into_iter()
            .map(|it| crate::counterparty::quoted(it))
            .collect();
        report.note(format!(
            "it has claims that nobody asks for: {}",
            more.join(", ")
        ));
    }
    if let Some(length) = presented.length
        && length > LENGTH_LIMIT
    {
        let detail = format!("it has {length} bytes, and servers take {LENGTH_LIMIT}");
        report.find(Finding::plain(Code::TooLong, detail));
    }
    for claim in ["iss", "sub", "jti"] {
        let length = presented.text(claim).map_or(0, |it| it.chars().count());
        if length > TEXT_LIMIT {
            let detail = format!("{claim} has {length} characters, and servers take {TEXT_LIMIT}");
            report.find(Finding::of(Code::TooLong, claim, detail));
        }
    }
    if let (Some(issuer), Some(subject)) = (presented.text("iss"), presented.text("sub"))
        && issuer != subject
    {
        report.find(Finding::instead(
            Code::IssuerNotSubject,
            "sub",
            subject,
            issuer,
        ));
    }
}

fn judge_audience(
    presented: &Presented,
    known: &Known<'_>,
    at: Option<(&Name, &Environment)>,
    report: &mut Report,
) {
    let Some(aud) = presented.claims.get("aud") else {
        return;
    };
    let texts: Vec<&str> = match aud {
        Value::String(one) => vec![one],
        Value::Array(list) => {
            report.find(Finding::of(Code::AudList, "aud", "aud is a list"));
            list.iter().filter_map(Value::as_str).collect()
        }
        _ => {
            report.find(Finding::of(Code::AudWrong, "aud", "aud is no text"));
            return;
        }
    };
    for aud in texts {
        if let Some((code, right, detail)) = misdirected(aud, known, at) {
            let finding = match right {
                Some(right) => Finding::instead(code, "aud", aud, &right),
                None => Finding::of(code, "aud", ""),
            };
            report.find(finding.saying(detail));
        }
    }
}

/// Why an `aud` is not what it should be: code, what it should be, and the same in words.
fn misdirected(
    aud: &str,
    known: &Known<'_>,
    at: Option<(&Name, &Environment)>,
) -> Option<(Code, Option<String>, String)> {
    let plain = |text: &str| text.trim_end_matches('/').to_lowercase();
    let is = |other: &str| plain(aud) == plain(other);
    let right = at.map(|(_, environment)| environment.aud().to_owned());
    if right.as_deref() == Some(aud) {
        return None;
    }
    for (name, environment) in known.environments {
        let here = at.is_none_or(|(here, _)| here == name);
        if is(&environment.token_audience) || is(&environment.api_url) {
            let detail = format!("aud is the API of {name}, not its authorization server");
            return Some((
                Code::AudIsApi,
                Some(right.unwrap_or_else(|| environment.aud().to_owned())),
                detail,
            ));
        }
        let names = [
            &environment.issuer,
            &environment.token_endpoint,
            environment.aud(),
        ];
        if !names.iter().any(|it| is(it)) {
            continue;
        }
        let right = right.unwrap_or_else(|| environment.aud().to_owned());
        return Some(if !here {
            let detail = format!("aud is the authorization server of {name}");
            (Code::AudElsewhere, Some(right), detail)
        } else if is(&right) {
            if aud == right {
                return None;
            }
            let detail = format!("aud is {aud:?} and has to be {right:?}, byte by byte");
            (Code::AudSpelling, Some(right), detail)
        } else {
            let detail = format!("aud is the right server, but {name} is configured for {right:?}");
            (Code::AudPolicy, Some(right), detail)
        });
    }
    let (name, right) = (at?.0, right?);
    let detail = format!("aud is not the authorization server of {name}");
    Some((Code::AudWrong, Some(right), detail))
}

/// The client that it is for, as far as whoever asks may know.
fn judge_client<'a>(
    presented: &Presented,
    known: &Known<'a>,
    at: Option<(&Name, &Environment)>,
    report: &mut Report,
) -> Option<&'a Client> {
    let issuer = presented.text("iss")?;
    let with: Vec<_> = known
        .clients
        .iter()
        .filter(|it| it.client_id == issuer)
        .collect();
    let here = |it: &&&Client| at.is_none_or(|(name, _)| it.environment == *name);
    let client = with.iter().find(here).copied();
    let Some(client) = client else {
        let finding = match (with.first(), at) {
            (Some(other), Some((name, _))) => Finding::of(
                Code::ClientElsewhere,
                "iss",
                format!(
                    "iss is the client {} of {}, not of {name}",
                    other.name, other.environment
                ),
            ),
            _ => Finding::of(
                Code::ClientUnknown,
                "iss",
                "iss is the client_id of no client that you may see here",
            ),
        };
        report.find(finding);
        return None;
    };
    if let Some(meant) = known.client
        && meant.id != client.id
    {
        let finding = Finding::instead(Code::ClientUnknown, "iss", issuer, &meant.client_id);
        report.find(finding.saying(format!("iss is {}, and not {}", client.name, meant.name)));
    }
    let state = client.key.state;
    if state != KeyState::Active {
        let detail = format!(
            "the key {} of {} is {}",
            client.key.name,
            client.name,
            state.name()
        );
        report.find(Finding::of(Code::KeyNotActive, "iss", detail));
    }
    Some(client)
}

fn judge_header(
    presented: &Presented,
    known: &Known<'_>,
    at: Option<(&Name, &Environment)>,
    client: Option<&Client>,
    report: &mut Report,
) {
    let Some(header) = &presented.header else {
        return;
    };
    if header.get("alg").and_then(Value::as_str) != Some("RS256") {
        let given = header
            .get("alg")
            .map_or("nothing".to_owned(), Value::to_string);
        let finding = Finding::instead(Code::Algorithm, "alg", given.trim_matches('"'), "RS256");
        report.find(finding);
    }
    let expected = at.map_or("JWT", |(_, environment)| environment.typ.as_str());
    match presented.header_text("typ") {
        None => {}
        Some(typ) if typ == expected => {}
        Some("JWT" | "client-authentication+jwt") => report.note(format!(
            "typ is not {expected:?}, which is configured; servers that know one commonly take both"
        )),
        Some(other) => report.find(Finding::instead(Code::TokenKind, "typ", other, expected)),
    }
    let Some(kid) = presented.header_text("kid") else {
        return;
    };
    let thumbprint = |key: &Option<PublicKey>| key.as_ref().map(PublicKey::thumbprint);
    let own = client.and_then(|it| thumbprint(&it.key.public_key));
    let literal = at.and_then(|(_, environment)| match &environment.kid {
        Kid::Literal(kid) => Some(kid.as_str()),
        Kid::Omit | Kid::Thumbprint => None,
    });
    let assigned = client.and_then(|it| it.kid.as_deref());
    let is_known = match assigned {
        Some(assigned) => assigned == kid,
        None => own.as_deref() == Some(kid) || literal == Some(kid),
    };
    if is_known {
        return;
    }
    let other = known
        .keys
        .iter()
        .find(|it| thumbprint(&it.public_key).as_deref() == Some(kid));
    let right = assigned.or(literal).map(str::to_owned).or(own);
    let finding = |code| match &right {
        Some(right) => Finding::instead(code, "kid", kid, right),
        None => Finding::of(code, "kid", ""),
    };
    match (other, client) {
        (Some(key), Some(_)) => report.find(finding(Code::KeyOfAnother).saying(format!(
            "kid is the key {}, which is {}, and not the client's",
            key.name,
            key.state.name()
        ))),
        (Some(_), None) => {}
        (None, _) => report.find(
            finding(Code::KeyUnknown)
                .saying("kid is the thumbprint of no key that you may see here"),
        ),
    }
}

/// Whether it is the assertion that was signed here under its `jti`.
fn judge_record(presented: &Presented, recorded: &Recorded, report: &mut Report) {
    let same = CLAIMS
        .iter()
        .all(|it| presented.claims.get(*it) == recorded.presented.claims.get(*it));
    if !same {
        let detail = "another assertion with this jti was signed here, with other claims";
        report.find(Finding::of(Code::JtiReused, "jti", detail));
    } else if !recorded.released {
        let detail = "it was made here and never released";
        report.find(Finding::plain(Code::NeverReleased, detail));
    } else if recorded.handed_out {
        report.note(
            "it was issued here; it is good for one delivery, and a second one of it is refused",
        );
    } else {
        report.note("it was made here for an exchange by the service itself, and delivered then: it is spent");
    }
}
