//! A page: what is on it, and how that becomes HTML.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::assets::{ASSETS, Assets};
use super::cells::{self, Cell, Column, shown};
use super::difference::Line;
use super::guarded::guarded;
use super::picture::Picture;

/// The name of a field that is all of what is sent.
pub(super) const WHOLE: &str = "*:json";

/// The pages that every page leads to.
const PLACES: [(&str, &str); 15] = [
    ("/", "Today"),
    ("/keys", "Keys"),
    ("/wallets", "Wallets"),
    ("/clients", "Clients"),
    ("/rotations", "Rotations"),
    ("/approvals", "Approvals"),
    ("/halts", "Halts"),
    ("/limits", "Limits"),
    ("/recipients", "Recipients"),
    ("/callers", "Callers"),
    ("/people", "People"),
    ("/policy", "Policy"),
    ("/audit/events", "Audit"),
    ("/lookup", "Look up"),
    ("/health", "Health"),
];

/// A page.
pub(super) struct Page {
    /// What it is called.
    pub(super) title: String,
    /// What it is, in one sentence.
    pub(super) about: &'static str,
    /// Its path, which is the API's without `/v1`.
    pub(super) path: String,
    /// The place that it belongs to, where its path does not say so.
    pub(super) place: &'static str,
    /// The command that shows the same.
    pub(super) command: String,
    /// What is on it.
    pub(super) sections: Vec<Section>,
}

/// A part of a page.
pub(super) enum Section {
    /// A sentence.
    Words(String),
    /// The sentence that a page is about.
    Sentence(String),
    /// What there is to know of one thing.
    Facts(String, Vec<(String, Cell)>),
    /// Things below one another.
    Table(Table),
    /// Text as it is.
    Text(String, String),
    /// Text whose lines have numbers.
    Source(Source),
    /// What changes from one text to another.
    Difference(String, Vec<Line>),
    /// What is done, what is next, what comes then.
    Ladder(Vec<Rung>),
    /// Something to look for: a form that only reads.
    Search(Search),
    /// Something to do.
    Form(Form),
    /// What somebody may not see or do, and why.
    Refused(Refused),
    /// That a leaf is in the log, for the browser to verify.
    Proof(Proof),
    /// Something to approve with a passkey.
    Approve(Approve),
    /// A passkey to make.
    Register(Register),
    /// Lines over the last hour.
    Picture(Picture),
    /// What was done in the last minute, kept up to date by the script: names, and what they say now.
    Now(Vec<(&'static str, String)>),
}

pub(super) struct Table {
    pub(super) title: String,
    pub(super) heads: Vec<&'static str>,
    pub(super) rows: Vec<Vec<Cell>>,
    /// What to do first, where there is nothing.
    pub(super) empty: &'static str,
    /// Where the next page is.
    pub(super) next: Option<String>,
}

pub(super) struct Source {
    pub(super) title: &'static str,
    pub(super) lines: Vec<String>,
}

pub(super) struct Rung {
    pub(super) title: String,
    pub(super) progress: String,
}

pub(super) struct Search {
    /// The page that shows what was found.
    pub(super) path: &'static str,
    pub(super) fields: Vec<Field>,
    pub(super) button: &'static str,
}

/// A form that asks for something at the API.
pub(super) struct Form {
    pub(super) title: String,
    /// What becomes of it, and whether others have to agree.
    pub(super) about: &'static str,
    /// Where it is asked for, with which method.
    pub(super) path: String,
    pub(super) method: &'static str,
    /// Where one comes to when it is done.
    pub(super) then: String,
    /// It is asked for once, however often it is sent.
    pub(super) key: String,
    pub(super) fields: Vec<Field>,
    pub(super) button: &'static str,
    /// Whether it stops something.
    pub(super) stops: bool,
}

impl Form {
    /// One that posts to this path of the API, once, and leads to a page.
    pub(super) fn post(title: &str, path: String, then: &str) -> Self {
        Self {
            title: title.to_owned(),
            about: "",
            path,
            method: "POST",
            then: then.to_owned(),
            key: Uuid::now_v7().to_string(),
            fields: Vec::new(),
            button: "Ask for it",
            stops: false,
        }
    }
}

/// A field of a form. Its name is the member's path, with how it is read after a colon.
pub(super) struct Field {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) kind: Input,
    pub(super) value: String,
}

pub(super) enum Input {
    Text,
    /// Text of several lines.
    Area,
    Hidden,
    Choice(Vec<&'static str>),
}

pub(super) struct Proof {
    /// The leaf's index.
    pub(super) index: u64,
    /// The log's key, as the service says it.
    pub(super) key: String,
    /// The proof, as the file has it.
    pub(super) text: String,
    /// Where the file is.
    pub(super) file: String,
}

pub(super) struct Approve {
    /// The proposal's id.
    pub(super) proposal: String,
    /// What is signed.
    pub(super) hash: String,
    /// What a browser calls the passkeys of who looks at it.
    pub(super) passkeys: String,
    /// The domain that they are for.
    pub(super) party: String,
}

pub(super) struct Register {
    /// Whose it is to be.
    pub(super) person: String,
    /// Their id, as a browser takes it.
    pub(super) id: String,
    /// The domain that it is for.
    pub(super) party: String,
}

/// Why something is not shown or not done.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) kind: String,
    pub(super) title: String,
    pub(super) detail: String,
    pub(super) action: String,
}

/// Who looks at a page, and what everybody sees on it.
pub(super) struct Around {
    pub(super) user: String,
    pub(super) owner: String,
    /// What is stopped.
    pub(super) halts: Vec<String>,
}

impl Page {
    pub(super) fn new(
        title: impl Into<String>,
        path: impl Into<String>,
        (about, command): (&'static str, impl Into<String>),
    ) -> Self {
        Self {
            title: shown(&title.into()),
            about,
            path: path.into(),
            place: "",
            command: command.into(),
            sections: Vec::new(),
        }
    }

    /// A page that belongs to this place.
    pub(super) fn under(self, place: &'static str) -> Self {
        Self { place, ..self }
    }

    /// With another part.
    pub(super) fn with(mut self, section: Section) -> Self {
        self.sections.push(section);
        self
    }

    /// As somebody sees it.
    pub(super) fn response(&self, status: StatusCode, around: &Around) -> Response {
        let template = Html {
            page: self,
            around,
            places: &PLACES,
            assets: &ASSETS,
        };
        html(status, template.render())
    }
}

impl Table {
    /// What a list says, in these columns.
    pub(super) fn of(
        columns: &[Column],
        list: &Value,
        (now, empty): (OffsetDateTime, &'static str),
    ) -> Self {
        let items = list.as_array().map_or(&[][..], Vec::as_slice);
        Self {
            title: String::new(),
            heads: columns.iter().map(|it| it.0).collect(),
            rows: items
                .iter()
                .map(|it| cells::row(columns, it, now))
                .collect(),
            empty,
            next: None,
        }
    }

    pub(super) fn titled(self, title: &str) -> Self {
        let title = title.to_owned();
        Self { title, ..self }
    }
}

impl Field {
    pub(super) fn text(name: &str, label: &str) -> Self {
        Self::of(name, label, Input::Text)
    }

    pub(super) fn choice(name: &str, label: &str, of: &[&'static str]) -> Self {
        Self::of(name, label, Input::Choice(of.to_vec()))
    }

    /// All of what is sent, as JSON.
    pub(super) fn whole(label: &str, value: &str) -> Self {
        Self::of(WHOLE, label, Input::Area).with(value)
    }

    /// One that stands fast.
    pub(super) fn fixed(name: &str, value: &str) -> Self {
        Self::of(name, "", Input::Hidden).with(value)
    }

    pub(super) fn of(name: &str, label: &str, kind: Input) -> Self {
        Self {
            name: name.to_owned(),
            label: label.to_owned(),
            kind,
            value: String::new(),
        }
    }

    pub(super) fn with(self, value: &str) -> Self {
        let value = value.to_owned();
        Self { value, ..self }
    }
}

/// A page around what is on it.
#[derive(Template)]
#[template(path = "page.html", config = "src/http/console/askama.toml")]
struct Html<'a> {
    page: &'a Page,
    around: &'a Around,
    places: &'a [(&'static str, &'static str)],
    assets: &'a Assets,
}

impl Html<'_> {
    /// Whether a place is where the page belongs.
    fn is_here(&self, place: &str) -> bool {
        if !self.page.place.is_empty() {
            return self.page.place == place;
        }
        let rest = self.page.path.strip_prefix(place);
        rest.is_some_and(|rest| rest.is_empty() || (place != "/" && rest.starts_with('/')))
    }
}

/// Where somebody signs in.
#[derive(Template)]
#[template(path = "sign_in.html", config = "src/http/console/askama.toml")]
pub(super) struct SignIn<'a> {
    pub(super) style: &'a str,
    /// Why they have to, or why it did not work.
    pub(super) said: &'a str,
    /// Where they come to then.
    pub(super) next: &'a str,
    /// What came with a link.
    pub(super) code: &'a str,
    /// What they were about to send.
    pub(super) kept: &'a [(String, String)],
    /// Where they come to then, for a query, where they can sign in at a provider.
    pub(super) elsewhere: Option<String>,
}

/// Where somebody is led on from who has signed in elsewhere.
#[derive(Template)]
#[template(path = "signed_in.html", config = "src/http/console/askama.toml")]
pub(super) struct SignedIn<'a> {
    /// Where to.
    pub(super) next: &'a str,
}

/// Markup as an answer.
pub(super) fn html(status: StatusCode, rendered: askama::Result<String>) -> Response {
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    match rendered {
        Ok(text) => guarded((status, [(header::CONTENT_TYPE, kind)], text).into_response()),
        Err(error) => {
            tracing::error!(%error, "a page cannot be written");
            guarded(StatusCode::INTERNAL_SERVER_ERROR.into_response())
        }
    }
}

/// A path of this service, or its first page: nobody is led elsewhere.
pub(super) fn place(path: &str) -> String {
    let is_ours = path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|it| it.is_ascii_graphic() && it != b'\\');
    if is_ours { path } else { "/" }.to_owned()
}

/// A redirection that a browser follows by reading.
pub(super) fn see_other(to: &str) -> Response {
    let to = HeaderValue::from_str(&place(to)).unwrap_or(HeaderValue::from_static("/"));
    guarded((StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response())
}

#[cfg(test)]
mod tests;
