//! The console: what operators, approvers and auditors look at.
//!
//! HTML that is written here, one style sheet, small scripts, nothing from elsewhere. A page's path is the API's
//! without `/v1`, and what is on it is what the API says to whoever looks: the console asks there, as that caller
//! (`asking.rs`). A form asks there too. Everything works without the scripts, but for passkeys and proofs.
//!
//! It **trusts** the browser with a session's cookie, and no other site with anything.

mod approvals;
mod asking;
mod assets;
mod cells;
mod certified;
mod cookies;
mod difference;
mod finding;
mod form;
mod guarded;
mod leaves;
mod lists;
mod operations;
mod page;
mod people;
mod picture;
mod policies;
mod recent;
mod rotations;
mod sending;
mod signing_in;
mod stopping;
mod things;
mod today;

use axum::extract::{DefaultBodyLimit, MatchedPath, OriginalUri, Query, RawPathParams};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};

use crate::app::App;
use crate::percent::encoded;
use crate::sessions::CALLBACK;
use asking::{Console, Visit};
pub(super) use assets::assets;
pub(super) use certified::missing as certificate_missing;
pub(super) use cookies::secret;
use page::{Page, Refused, Section};

/// The largest form.
const LARGEST: usize = 64 * 1024;

/// The console's pages over the API's router, which has all its layers and its state.
pub(super) fn routes(app: &App, api: Router) -> Router<App> {
    let pages = [
        "/",
        "/keys",
        "/keys/{key}",
        "/wallets",
        "/wallets/{wallet}",
        "/wallets/{wallet}/operations",
        "/wallets/{wallet}/operations/{operation}",
        "/clients",
        "/clients/{client}",
        "/rotations",
        "/rotations/{rotation}",
        "/approvals",
        "/approvals/passkey",
        "/approvals/{proposal}",
        "/halts",
        "/limits",
        "/limits/{scope}/{id}",
        "/recipients",
        "/callers",
        "/callers/{caller}",
        "/people",
        "/people/{person}",
        "/policy",
        "/policy/explain",
        "/policies/{version}",
        "/lookup",
        "/audit/events",
        "/audit/signers",
        "/log/leaves/{leaf}",
        "/health",
    ];
    let mut router = Router::new()
        .route("/sign-in", get(signing_in::show).post(signing_in::sign_in))
        .route("/sign-in/go", get(signing_in::go))
        .route(CALLBACK, get(signing_in::come_back))
        .route("/sign-out", post(signing_in::sign_out))
        .route("/console/send", post(sending::send))
        .route("/console/now", get(today::now))
        .route("/log/leaves/{leaf}/proof", get(leaves::proof))
        .route("/favicon.ico", get(async || StatusCode::NO_CONTENT));
    for path in pages {
        router = router.route(path, get(show));
    }
    if app.sessions.ask_for_certificates() {
        router = router.layer(from_fn_with_state(app.clone(), certified::certified));
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
            return signing_in::first(&console, said, &page::place(here), &[]);
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
            signing_in::first(&console, "Your session has ended.", &page::place(here), &[])
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
        "/wallets/{wallet}/operations" => operations::operations(visit, place).await,
        "/wallets/{wallet}/operations/{operation}" => operations::operation(visit, place).await,
        "/clients/{client}" => things::client(visit, place).await,
        "/rotations/{rotation}" => rotations::rotation(visit, place).await,
        "/approvals" => approvals::list(visit, place).await,
        "/approvals/passkey" => approvals::passkeys(visit, place).await,
        "/approvals/{proposal}" => approvals::one(visit, place).await,
        "/halts" => stopping::halts(visit, place).await,
        "/limits" => stopping::limits(visit, place).await,
        "/limits/{scope}/{id}" => stopping::limit(visit, place).await,
        "/callers/{caller}" => people::caller(visit, place).await,
        "/people/{person}" => people::person(visit, place).await,
        "/policy" => policies::policy(visit, place).await,
        "/policy/explain" => policies::explain(visit, place).await,
        "/policies/{version}" => policies::version(visit, place).await,
        "/lookup" => finding::lookup(visit, place).await,
        "/audit/events" => finding::events(visit, place).await,
        "/audit/signers" => finding::signers(visit, place).await,
        "/log/leaves/{leaf}" => leaves::leaf(visit, place).await,
        "/health" => Ok(today::health(visit, place).await),
        _ => Err(Refused::nothing()),
    }
}
