//! What a page asks the API, as whoever looks at it.
//!
//! A page has no way of its own to anything: it sends requests through the API's router, within the process, with
//! its caller already known. What they may not see there they do not see here.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use serde_json::Value;
use time::OffsetDateTime;
use tower::ServiceExt as _;

use super::cells::shown;
use super::page::{Around, Refused, Section};
use super::recent::Recent;
use crate::app::App;
use crate::callers::Recognised;
use crate::http::page::next_of;
use crate::http::problem::{self, Problem};
use crate::policy::{Action, Resource};

/// The most that is read of an answer.
const LARGEST: usize = 16 * 1024 * 1024;

/// So many names are given of those who may do what somebody may not.
const NAMED: usize = 5;

/// So many callers are asked for at most.
const ASKED: usize = 200;

/// The console: the API, and what it stands on. Cheap to clone.
#[derive(Clone)]
pub(super) struct Console {
    pub(super) app: App,
    api: Router,
    /// What was done lately.
    pub(super) recent: Recent,
}

/// Somebody who looks at a page.
pub(super) struct Visit {
    pub(super) console: Console,
    pub(super) who: Recognised,
    pub(super) now: OffsetDateTime,
}

/// What the API answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
    /// Where the next part of a list is.
    pub(super) next: Option<String>,
}

impl Console {
    pub(super) fn new(app: App, api: Router) -> Self {
        let recent = Recent::watch(&app);
        Self { app, api, recent }
    }

    /// Somebody who is known.
    pub(super) fn visit(&self, who: Recognised) -> Visit {
        Visit {
            console: self.clone(),
            who,
            now: self.app.clock.now(),
        }
    }
}

impl Visit {
    /// What is read at a path of the API.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Refused> {
        Ok(self.look(path).await?.body)
    }

    /// The same, for whoever may: others are not asked for it, which would put a refusal on record.
    pub(super) async fn get_if(
        &self,
        (action, on): (Action, &Resource),
        path: &str,
    ) -> Result<Value, Refused> {
        if self.may(action, on) {
            return self.get(path).await;
        }
        let detail = format!("{} is not permitted", action.name());
        Err(Refused::of(&Problem::new(&problem::DENIED, detail)))
    }

    /// The same with where the next part is.
    pub(super) async fn look(&self, path: &str) -> Result<Answer, Refused> {
        let request = Request::get(path).body(Body::empty());
        self.ask(request).await
    }

    /// Sends JSON to a path of the API.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        (key, body): (&str, &Value),
    ) -> Result<Answer, Refused> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", key)
            .body(Body::from(body.to_string()));
        self.ask(request).await
    }

    async fn ask(&self, request: axum::http::Result<Request<Body>>) -> Result<Answer, Refused> {
        let mut request = request.map_err(|_| Refused::nothing())?;
        request.extensions_mut().insert(self.who.clone());
        let Ok(answer) = self.console.api.clone().oneshot(request).await;
        let status = answer.status();
        let problem = answer.extensions().get::<Arc<Problem>>().cloned();
        if let Some(problem) = problem {
            return Err(Refused::of(&problem));
        }
        let next = next_of(answer.headers());
        let next = next.and_then(|it| Some(it.strip_prefix("/v1")?.to_owned()));
        let bytes = to_bytes(answer.into_body(), LARGEST).await;
        let body = bytes.ok().filter(|it| !it.is_empty());
        let body = body.and_then(|it| serde_json::from_slice(&it).ok());
        if !status.is_success() {
            return Err(Refused::nothing());
        }
        let body = body.unwrap_or_default();
        Ok(Answer { status, body, next })
    }

    /// Whether they may do something, as far as the policy knows.
    pub(super) fn may(&self, action: Action, on: &Resource) -> bool {
        self.console.app.would(&self.who.caller, action, on)
    }

    /// Whether they see how much this replica does for all callers.
    pub(super) fn may_watch(&self) -> bool {
        self.may(Action::ViewCustody, &Resource::service())
    }

    /// What is around every page.
    pub(super) async fn around(&self) -> Around {
        let service = Resource::service();
        let halts = self.get_if((Action::ViewHalts, &service), "/v1/halts");
        let halts = halts.await;
        let halts = match &halts {
            Ok(list) => list.as_array().into_iter().flatten().map(stopped).collect(),
            Err(_) => Vec::new(), // whoever may not see them is told by what is refused
        };
        let caller = &self.who.caller;
        Around {
            user: caller.name.to_string(),
            owner: caller.owner.to_string(),
            halts,
        }
    }

    /// A form, for whoever may do what it asks for; for others, who may.
    pub(super) async fn if_may(&self, action: Action, on: &Resource, form: Section) -> Section {
        if self.may(action, on) {
            return form;
        }
        let app = &self.console.app;
        let what = match &form {
            Section::Form(form) => form.title.as_str(),
            _ => action.name(),
        };
        let mut may = Vec::new();
        for (caller, _) in app
            .callers
            .live()
            .await
            .unwrap_or_default()
            .iter()
            .take(ASKED)
        {
            if may.len() < NAMED && app.would(caller, action, on) {
                may.push(caller.name.to_string());
            }
        }
        let may = if may.is_empty() {
            "nobody who can come now".to_owned()
        } else {
            may.join(", ")
        };
        Section::Words(shown(&format!("{what}: not you, but {may}.")))
    }
}

/// What a halt stops, in words.
fn stopped(halt: &Value) -> String {
    let text = |name: &str| halt[name].as_str().unwrap_or_default();
    let on = match (text("on"), text("name")) {
        ("everything" | "global", _) => "Everything".to_owned(),
        (on, name) => format!("{on} {name}"),
    };
    let (by, reason) = (text("set_by_name"), text("reason"));
    shown(&format!("{on} is halted, by {by}: {reason}"))
}

impl Refused {
    /// There is no such thing.
    pub(super) fn nothing() -> Self {
        Self::of(&Problem::not_found("resource"))
    }

    /// A problem, as a page says it.
    pub(super) fn of(problem: &Problem) -> Self {
        let said = problem.document();
        Self {
            status: StatusCode::from_u16(said.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            kind: problem.kind().name.to_owned(),
            title: shown(said.title),
            detail: shown(said.detail),
            action: shown(said.action),
        }
    }
}
