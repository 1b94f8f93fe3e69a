//! What a form asks for, sent to the API as the JSON that it takes.

use axum::Extension;
use axum::extract::Form;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;

use super::asking::Console;
use super::cookies::secret;
use super::form::{Sent, form_of};
use super::page::{Page, Refused, Section, place, see_other};
use super::signing_in;

pub(super) async fn send(
    Extension(console): Extension<Console>,
    headers: HeaderMap,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let sent = Sent::of(&fields);
    let Some(secret) = secret(&headers) else {
        return signing_in::first(&console, "Sign in first.", &sent.then, &fields);
    };
    let Ok(who) = console.app.sessions.recognise(&secret).await else {
        let said = "Your session has ended, or the database is away.";
        return signing_in::first(&console, said, &place(&sent.then), &fields);
    };
    let visit = console.visit(who);
    let is_asked_for = sent.path.starts_with("/v1/") && !sent.path.contains('?');
    let method = match sent.method.as_str() {
        "POST" | "" if is_asked_for => Some(Method::POST),
        "PUT" if is_asked_for => Some(Method::PUT),
        _ => None,
    };
    let answer = match method {
        Some(method) => {
            let what = (sent.key.as_str(), &sent.body);
            visit.send(method, &sent.path, what).await
        }
        None => Err(Refused::nothing()),
    };
    match answer {
        Ok(answer) if answer.status == StatusCode::ACCEPTED => {
            let id = answer.body["id"].as_str().unwrap_or_default();
            see_other(&format!("/approvals/{id}"))
        }
        Ok(_) => see_other(&sent.then),
        Err(refused) => {
            let status = refused.status;
            let about = "Nothing was done. What you filled in is still there.";
            let page = Page::new("Not done", place(&sent.then), (about, "chancery --help"))
                .with(Section::Refused(refused))
                .with(form_of(&fields));
            page.response(status, &visit.around().await)
        }
    }
}
