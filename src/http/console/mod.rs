//! The console: what operators, approvers and auditors look at.
//!
//! HTML that is written here, one style sheet, one script, nothing from elsewhere. A page's path is the API's
//! without `/v1`, and what is on it is what the API says to whoever looks: the console asks there, as that caller
//! (`asking.rs`). A form asks there too. Everything works without the script, but for passkeys.
//!
//! It **trusts** the browser with a session's cookie, and no other site with anything.

mod asking;
mod cells;
mod finding;
mod form;
mod lists;
mod page;
mod people;
mod sending;
mod signing_in;
mod stopping;
mod things;
mod today;

use axum::extract::{DefaultBodyLimit, MatchedPath, OriginalUri, Query, RawPathParams};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};

use crate::app::App;
use crate::percent::encoded;
use asking::{Console, Visit};
pub(super) use cells::is_invisible;
use page::{Page, Refused, Section};
pub(super) use page::{STYLE_PATH, guarded};
pub(super) use signing_in::secret;

/// The largest form.
const LARGEST: usize = 64 * 1024;

/// The style sheet and the script, for all pages that there are.
pub(super) fn assets() -> Router<App> {
    Router::new()
        .route(&page::STYLE_PATH, get(async || page::asset(true)))
        .route(&page::SCRIPT_PATH, get(async || page::asset(false)))
        .route("/favicon.ico", get(async || StatusCode::NO_CONTENT))
}

/// The console's pages over the API's router, which has all its layers and its state.
pub(super) fn routes(app: &App, api: Router) -> Router<App> {
    let pages = [
        "/",
        "/keys",
        "/keys/{key}",
        "/wallets",
        "/wallets/{wallet}",
        "/clients",
        "/clients/{client}",
        "/rotations",
        "/rotations/{rotation}",
        "/halts",
        "/limits",
        "/limits/{scope}/{id}",
        "/recipients",
        "/callers",
        "/callers/{caller}",
        "/people",
        "/people/{person}",
        "/policy",
        "/policies/{version}",
        "/lookup",
        "/audit/events",
        "/audit/signers",
        "/health",
    ];
    let mut router = Router::new()
        .route("/sign-in", get(signing_in::show).post(signing_in::sign_in))
        .route("/sign-out", post(signing_in::sign_out))
        .route("/console/send", post(sending::send));
    for path in pages {
        router = router.route(path, get(show));
    }
    router
        .layer(DefaultBodyLimit::max(LARGEST))
        .layer(Extension(Console::new(app.clone(), api)))
}

/// Where a page is, and what is asked of it.
struct Place {
    /// What stands in the path for its last name.
    name: String,
    /// The path of the API for the same.
    api: String,
    /// The path of the page.
    path: String,
    query: Option<String>,
    /// What that says.
    pairs: Vec<(String, String)>,
}

impl Place {
    /// What is asked of it by this name.
    fn asked(&self, name: &str) -> &str {
        let found = self.pairs.iter().find(|(it, _)| it == name);
        found.map_or("", |(_, value)| value.trim())
    }

    /// The API's path for a list, a part of which is asked for.
    fn list(&self) -> String {
        let query = self.query.as_deref().unwrap_or("limit=100");
        format!("{}?{query}", self.api)
    }
}

async fn show(
    Extension(console): Extension<Console>,
    headers: HeaderMap,
    matched: MatchedPath,
    params: RawPathParams,
    OriginalUri(uri): OriginalUri,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let here = uri.path_and_query().map_or("/", |it| it.as_str());
    let Some(secret) = secret(&headers) else {
        return page::see_other(&format!("/sign-in?next={}", encoded(here)));
    };
    let visit = match console.app.sessions.recognise(&secret).await {
        Ok(who) => console.visit(who),
        Err(error) => {
            tracing::debug!(%error, "a session is not taken");
            let said = "Your session has ended, or the database is away.";
            return signing_in::first(said, &page::place(here), &[]);
        }
    };
    let place = Place {
        name: params
            .iter()
            .last()
            .map_or(String::new(), |it| it.1.to_owned()),
        api: format!("/v1{}", uri.path()),
        path: uri.path().to_owned(),
        query: uri.query().map(ToOwned::to_owned),
        pairs,
    };
    let (made, around) = tokio::join!(make(&visit, matched.as_str(), &place), visit.around());
    match made {
        Ok(page) => page.response(StatusCode::OK, &around),
        Err(refused) if refused.status == StatusCode::UNAUTHORIZED => {
            signing_in::first("Your session has ended.", &page::place(here), &[])
        }
        Err(refused) => {
            let status = refused.status;
            let what = ("This is not shown.", "chancery --help");
            let page = Page::new(refused.title.clone(), place.path, what);
            page.with(Section::Refused(refused))
                .response(status, &around)
        }
    }
}

async fn make(visit: &Visit, matched: &str, place: &Place) -> Result<Page, Refused> {
    if let Some(list) = lists::at(matched) {
        return list.show(visit, place).await;
    }
    match matched {
        "/" => Ok(today::today(visit).await),
        "/keys/{key}" => things::key(visit, place).await,
        "/wallets/{wallet}" => things::wallet(visit, place).await,
        "/clients/{client}" => things::client(visit, place).await,
        "/rotations/{rotation}" => things::rotation(visit, place).await,
        "/halts" => stopping::halts(visit, place).await,
        "/limits" => stopping::limits(visit, place).await,
        "/limits/{scope}/{id}" => stopping::limit(visit, place).await,
        "/callers/{caller}" => people::caller(visit, place).await,
        "/people/{person}" => people::person(visit, place).await,
        "/policy" => people::policy(visit, place).await,
        "/policies/{version}" => people::version(visit, place).await,
        "/lookup" => finding::lookup(visit, place).await,
        "/audit/events" => finding::events(visit, place).await,
        "/audit/signers" => finding::signers(visit, place).await,
        "/health" => Ok(today::health(visit, place).await),
        _ => Err(Refused::nothing()),
    }
}
