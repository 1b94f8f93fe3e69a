//! The approval page: what waits, in words, from the very text whose hash is signed; a button for a passkey.
//!
//! Plain HTML, written here, with one script and one style sheet of ours and nothing from elsewhere. Browsers
//! sign in with Basic, the caller's token as the password: nothing is kept here, and a token approves nothing.

use std::fmt::Write as _;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::named;
use crate::app::App;
use crate::callers::Caller;
use crate::http::caller::EitherWay;
use crate::http::console::{self, guarded, is_invisible};
use crate::http::problem::Problem;
use crate::people::Person;
use crate::policy::{Action, Resource};
use crate::proposals::{State as Standing, View};

/// Where it is.
pub(in crate::http) const PATH: &str = "/approvals";

const SCRIPT: &[u8] = include_bytes!("page.js");
/// What is at its paths. They are no API.
pub(in crate::http) fn routes() -> Router<App> {
    Router::new()
        .route(PATH, get(show_list))
        .route("/approvals/passkey", get(show_passkey))
        .route(
            "/approvals/page.js",
            get(async || {
                let kind = HeaderValue::from_static("text/javascript");
                guarded(([(header::CONTENT_TYPE, kind)], SCRIPT).into_response())
            }),
        )
        .route("/approvals/{proposal}", get(show_one))
}

/// A page that is being written. What is put into it is text, never HTML.
struct Html(String);

impl Html {
    fn new(title: &str, user: &Caller, app: &App) -> Self {
        let mut page = Self(String::from(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">",
        ));
        page.raw("<meta name=\"viewport\" content=\"width=device-width\"><title>");
        page.text(title);
        page.raw("</title><link rel=\"stylesheet\"");
        page.attribute("href", &console::STYLE_PATH);
        page.raw(">");
        page.raw(
            "<script type=\"module\" src=\"/approvals/page.js\"></script></head><body><header>",
        );
        if app.sessions.are_open() {
            page.raw("<a class=\"home\" href=\"/\">Chancery</a> ");
        }
        page.raw("<nav><a href=\"/approvals\">Approvals</a> <a href=\"/approvals/passkey\">Your passkeys</a></nav> <span>");
        page.text(user.name.as_str());
        page.raw("</span></header><main><h1>");
        page.text(title);
        page.raw("</h1>");
        page
    }

    /// Markup, which is ours.
    fn raw(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    /// Text, whoever's.
    fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // What turns the direction of text around would show another sentence than was signed.
                c if is_invisible(c) => drop(write!(self.0, "[U+{:04X}]", u32::from(c))),
                c => self.0.push(c),
            }
        }
    }

    /// An element with nothing but text in it.
    fn element(&mut self, name: &'static str, text: &str) {
        self.0.push('<');
        self.raw(name);
        self.0.push('>');
        self.text(text);
        self.raw("</");
        self.raw(name);
        self.raw(">");
    }

    /// A line of a list of what there is to know.
    fn pair(&mut self, term: &'static str, text: &str) {
        self.element("dt", term);
        self.element("dd", text);
    }

    fn attribute(&mut self, name: &'static str, text: &str) {
        self.0.push(' ');
        self.raw(name);
        self.raw("=\"");
        self.text(text);
        self.raw("\"");
    }

    fn finish(mut self) -> Response {
        self.raw("</main></body></html>");
        let kind = HeaderValue::from_static("text/html; charset=utf-8");
        guarded((StatusCode::OK, [(header::CONTENT_TYPE, kind)], self.0).into_response())
    }
}

/// A problem on the way to a page: a browser is asked to sign in.
pub(in crate::http) fn translate(mut response: Response, _: &Problem) -> Response {
    if response.status() == StatusCode::UNAUTHORIZED {
        let basic = HeaderValue::from_static("Basic realm=\"chancery\", charset=\"UTF-8\"");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, basic);
    }
    guarded(response)
}

fn may_view(app: &App, caller: &Caller) -> Result<(), Problem> {
    app.ask(caller, Action::ViewApprovals, &Resource::service())
        .map(drop)?;
    Ok(())
}

async fn show_list(
    State(app): State<App>,
    EitherWay(caller): EitherWay,
) -> Result<Response, Problem> {
    may_view(&app, &caller)?;
    let mut page = Html::new("What waits for approval", &caller, &app);
    let waiting = app.proposals.list(true).await?;
    if waiting.is_empty() {
        page.element("p", "Nothing waits.");
    }
    page.raw("<ul>");
    for view in waiting {
        page.raw("<li><a");
        page.attribute("href", &format!("{PATH}/{}", view.id));
        page.raw(">");
        page.text(&view.sentence);
        page.raw("</a> ");
        page.element(
            "small",
            &format!("asked by {}, {}", view.requester, view.state),
        );
        page.raw("</li>");
    }
    page.raw("</ul>");
    Ok(page.finish())
}

async fn show_one(
    State(app): State<App>,
    EitherWay(caller): EitherWay,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    may_view(&app, &caller)?;
    let view = app.proposals.show(named(&id)?).await?;
    let person = theirs(&app, &caller).await?;
    let mut page = Html::new("Proposal", &caller, &app);
    // From the text whose hash is signed, and from nothing else.
    let said: Value = serde_json::from_str(&view.document).unwrap_or_default();
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    page.raw("<p class=\"sentence\">");
    page.text(&format!(
        "{} asks to ",
        text(&said["requester"]["person_name"])
    ));
    page.text(&text(&said["sentence"]));
    page.raw("</p><dl>");
    page.pair("State", view.state.name());
    page.pair("Approvals needed", &view.needed);
    if let Some(missing) = &view.missing {
        page.pair("Missing", missing);
    }
    for given in &view.approvals {
        page.pair("Approved by", &given.said());
    }
    let request = &said["request"];
    let line = format!("{} {}", text(&request["method"]), text(&request["path"]));
    page.pair("Request", &line);
    page.pair("With", &text(&request["body"]));
    page.pair("On record it would be", &text(&said["effects"]));
    page.pair("Expires", &view.expires());
    page.pair("Hash", &view.hash);
    page.raw("</dl>");
    if view.state == Standing::Waiting {
        decide(&mut page, &app, &view, person.as_ref());
    }
    Ok(page.finish())
}

/// The buttons.
fn decide(page: &mut Html, app: &App, view: &View, person: Option<&Person>) {
    let passkeys: Vec<&str> = person.map(Person::passkeys).unwrap_or_default();
    let party = app.proposals.rules().passkeys.as_ref();
    page.raw("<section id=\"decide\"");
    page.attribute("data-proposal", &view.id.to_string());
    page.attribute("data-hash", &view.hash);
    page.attribute("data-passkeys", &passkeys.join(" "));
    page.attribute("data-party", party.map_or("", |it| it.rp_id.as_str()));
    page.raw("><p><button id=\"approve\">Approve with a passkey</button></p>");
    page.raw("<p><label>Reason <input id=\"reason\" maxlength=\"500\"></label> ");
    page.raw("<button id=\"reject\">Reject</button></p>");
    page.raw("<p id=\"said\" role=\"status\"></p></section>");
    if party.is_none() {
        page.element(
            "p",
            "Passkeys are not set up here: approve with chancery approvals approve.",
        );
    }
}

async fn show_passkey(
    State(app): State<App>,
    EitherWay(caller): EitherWay,
) -> Result<Response, Problem> {
    may_view(&app, &caller)?;
    let mut page = Html::new("Your passkeys", &caller, &app);
    let Some(person) = theirs(&app, &caller).await? else {
        page.element(
            "p",
            "You belong to no person: an operator has to make you one's.",
        );
        return Ok(page.finish());
    };
    page.raw("<ul>");
    for key in person.keys.iter().filter(|it| it.is_in_use()) {
        page.element(
            "li",
            &format!("{} ({}): {}", key.name, key.kind, key.fingerprint),
        );
    }
    page.raw("</ul>");
    let party = app.proposals.rules().passkeys.as_ref();
    page.raw("<section id=\"register\"");
    page.attribute("data-person", &person.name);
    let id = URL_SAFE_NO_PAD.encode(person.id.uuid().as_bytes());
    page.attribute("data-id", &id);
    page.attribute("data-party", party.map_or("", |it| it.rp_id.as_str()));
    page.raw("><p><label>Name <input id=\"name\" value=\"passkey\" maxlength=\"63\"></label> ");
    page.raw("<button id=\"make\">Make a passkey</button></p>");
    page.raw("<p id=\"said\" role=\"status\"></p></section>");
    Ok(page.finish())
}

/// The person whose the caller is.
async fn theirs(app: &App, caller: &Caller) -> Result<Option<Person>, Problem> {
    match app.people.of_caller(caller.id).await? {
        Some(name) => Ok(Some(app.people.show(&name).await?)),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_and_shows_what_hides() {
        let mut page = Html(String::new());
        page.text("<script>\"'&\u{202e}\n");
        assert_eq!(page.0, "&lt;script&gt;&quot;&#39;&amp;[U+202E][U+000A]");
    }
}
