//! `POST /v1/exchange/explain`: why the Exchange API, or its authorization server, said no.

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::expected::Expected;
use crate::app::App;
use crate::callers::Caller;
use crate::http::body::Body;
use crate::http::problem::{self, Problem};
use crate::http::signatures::visible;
use crate::id::IntentId;
use crate::keys::Purpose;
use crate::name::Name;
use crate::oauth::explain::{
    Answer, Explanation, Failure, Known, Presented, Question, Recorded, Sent,
};
use crate::oauth::scopes::{ApiCall, TokenClaims};
use crate::policy::Action;
use crate::signing::signatures::{By, Entry};

/// What was refused, as far as you know. Of the assertion give one of `assertion`, `claims` and `id`.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RefusalQuestion {
    /// The environment; that of the client unless you say it.
    #[schema(value_type = Option<String>)]
    environment: Option<Name>,
    /// The client's name here.
    #[schema(value_type = Option<String>)]
    client: Option<Name>,
    /// What came back.
    answer: Option<Answer>,
    /// What came instead of an answer.
    failure: Option<Failure>,
    /// The call of the API that was refused.
    call: Option<ApiCall>,
    /// The access token that it was made with. It is neither kept nor logged.
    token: Option<String>,
    /// The assertion that was sent. Its signature is not looked at, and nothing of it is kept.
    assertion: Option<String>,
    /// Its header, where you give its claims.
    #[schema(value_type = Option<Object>)]
    header: Option<Map<String, Value>>,
    /// Its claims.
    #[schema(value_type = Option<Object>)]
    claims: Option<Map<String, Value>>,
    /// Its id here.
    #[schema(value_type = Option<String>)]
    id: Option<IntentId>,
    /// The other members of the token request.
    sent: Option<Sent>,
    /// When it was sent, by the sender's clock, in seconds since 1970.
    sent_at: Option<i64>,
}

/// What is wrong, and what should have been.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct RefusalExplained {
    #[serde(flatten)]
    explanation: Explanation,
    /// What an assertion of this environment says; null where the environment is not known.
    expected: Option<Expected>,
    /// The assertion as it was signed here, if it was and you may see it.
    record: Option<AssertionRecord>,
}

/// An assertion on record.
#[derive(serde::Serialize, utoipa::ToSchema)]
struct AssertionRecord {
    #[schema(value_type = String)]
    id: IntentId,
    client: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// `released`, `refused` or `abandoned`; null while it is being worked on.
    outcome: Option<String>,
    /// Header and claims.
    #[schema(value_type = Object)]
    record: Value,
}

/// Explain a refusal
///
/// Tells apart what the Exchange API and its authorization server answer, and says what is wrong with
/// a client assertion, from its claims and what is on record. What is not certain is not said.
#[utoipa::path(post, path = "/v1/exchange/explain", tag = "exchange",
    request_body = RefusalQuestion,
    responses((status = 200, description = "What is wrong", body = RefusalExplained)),
)]
pub(super) async fn explain_refusal(
    State(app): State<App>,
    caller: Caller,
    Body(asked, _): Body<RefusalQuestion>,
) -> Result<Json<RefusalExplained>, Problem> {
    let invalid = |why: String| Problem::new(&problem::INVALID_FIELD, why);
    let may = |resource| app.would(&caller, Action::View, &resource);
    let mut clients = app.clients.list().await?;
    clients.retain(|it| may(it.resource()));
    let mut keys = app.keys.list().await?;
    keys.retain(|it| it.purpose == Purpose::Client && may(it.resource()));

    let client = match &asked.client {
        Some(name) => {
            let found = clients.iter().find(|it| it.name == *name);
            Some(found.ok_or_else(|| Problem::not_found("client"))?)
        }
        None => None,
    };
    let environments = app.clients.environments();
    if let Some(name) = &asked.environment {
        if !environments.contains_key(name) {
            return Err(Problem::not_found("environment"));
        }
        if let Some(client) = client
            && client.environment != *name
        {
            let detail = format!("environment: the client is of {}", client.environment);
            return Err(invalid(detail));
        }
    }
    let token = asked.token.map(Zeroizing::new);
    let token = token.map(|it| TokenClaims::read(&it)).transpose();
    let token = token.map_err(|error| invalid(format!("token: {error}")))?;
    let assertion = asked.assertion.map(Zeroizing::new);
    let mut unreadable = None;
    let (presented, entry) = match (assertion, asked.claims, asked.id) {
        (None, None, None) if asked.header.is_none() => (None, None),
        (Some(jwt), None, None) if asked.header.is_none() => {
            let read = Presented::read(&jwt);
            let presented = read.map_err(|why| unreadable = Some(why)).ok();
            let entry = match &presented {
                Some(presented) => by_jti(&app, &caller, presented).await?,
                None => None,
            };
            (presented, entry)
        }
        (None, Some(claims), None) => {
            let presented = Presented {
                header: asked.header,
                claims,
                length: None,
            };
            let entry = by_jti(&app, &caller, &presented).await?;
            (Some(presented), entry)
        }
        (None, None, Some(id)) if asked.header.is_none() => {
            let entry = assertion_of(&app, &caller, By::Id(id)).await?;
            let entry = entry.ok_or_else(|| Problem::not_found("assertion"))?;
            (Some(recorded(&entry.0).presented), Some(entry))
        }
        _ => {
            let detail = "give one of assertion, claims (with header, if you have it) and id";
            return Err(invalid(format!("assertion: {detail}")));
        }
    };
    let on_record = entry.as_ref().map(|(entry, _)| recorded(entry));
    let clock_ahead_ms = match on_record {
        Some(_) => app.ledger.clock_offset_ms(&app.clock).await.ok(),
        None => None,
    };
    let question = Question {
        answer: asked.answer,
        failure: asked.failure,
        call: asked.call,
        token,
        assertion: presented,
        unreadable,
        sent: asked.sent,
        sent_at: asked.sent_at,
    };
    let known = Known {
        environments,
        environment: asked.environment.as_ref(),
        client,
        clients: &clients,
        keys: &keys,
        recorded: on_record.as_ref(),
        clock_ahead_ms,
        now: app.clock.unix_s(),
    };
    let explanation = question.explain(&known);
    let place = known.place(&question);
    Ok(Json(RefusalExplained {
        explanation,
        expected: place.map(|(name, it)| Expected::of(name, it, &keys, &clients)),
        record: entry.map(|(entry, client)| AssertionRecord {
            id: entry.id,
            client: client.to_string(),
            created_at: entry.created_at,
            outcome: entry.outcome,
            record: entry.record,
        }),
    }))
}

/// The assertion that was signed here under this `jti`, where the caller may see it.
async fn by_jti(
    app: &App,
    caller: &Caller,
    presented: &Presented,
) -> Result<Option<(Entry, Name)>, Problem> {
    let jti = presented
        .text("jti")
        .and_then(|it| Uuid::parse_str(it).ok());
    match jti {
        Some(jti) => assertion_of(app, caller, By::Identifier(jti)).await,
        None => Ok(None),
    }
}

async fn assertion_of(
    app: &App,
    caller: &Caller,
    by: By,
) -> Result<Option<(Entry, Name)>, Problem> {
    let found = visible(app, caller, &by).await?;
    Ok(found
        .into_iter()
        .find(|(it, _)| it.operation == "assertion"))
}

fn recorded(entry: &Entry) -> Recorded {
    let object = |member: &str| entry.record[member].as_object().cloned();
    Recorded {
        presented: Presented {
            header: object("header"),
            claims: object("claims").unwrap_or_default(),
            length: None,
        },
        released: entry.outcome.as_deref() == Some("released"),
        // Records of before there was an errand were all handed out.
        handed_out: entry.record["errand"]
            .as_str()
            .is_none_or(|it| it == "hand-out"),
    }
}
