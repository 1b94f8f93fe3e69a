//! Lists in pages: `limit` and `after`, and a link to the next page (RFC 8288).

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::problem::{self, Problem};

/// Which part of a list.
#[derive(serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// How many at most, 1 to 1,000. All of them unless it is said.
    limit: Option<u16>,
    /// Those that come after the one with this name, or this id where they have no name. The answer's `Link` header has the next page's.
    after: Option<String>,
}

impl Page {
    /// As a query says it that asks for more than a page.
    pub(super) fn new(limit: Option<u16>, after: Option<String>) -> Self {
        Self { limit, after }
    }
}

/// Where the next part of a list is, as its answer says.
pub fn next_of(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(header::LINK)?.to_str().ok()?;
    let (path, _) = link.strip_prefix('<')?.split_once('>')?;
    Some(path.to_owned())
}

/// A part of a list, and where the next one is.
pub(super) struct Paged<T> {
    items: Vec<T>,
    next: Option<String>,
}

impl<T> Paged<T> {
    /// A part that is cut already, and the path of the next one.
    pub(super) fn going_on(items: Vec<T>, next: Option<String>) -> Self {
        let next = next.map(|path| format!("<{path}>; rel=\"next\""));
        Self { items, next }
    }
}

impl Page {
    /// Cuts it out of the whole list, which is at this path and perhaps query.
    pub(super) fn of<T>(
        &self,
        path: &str,
        mut items: Vec<T>,
        name: impl Fn(&T) -> String,
    ) -> Result<Paged<T>, Problem> {
        let wrong = |detail: &str| Problem::new(&problem::MALFORMED_QUERY, detail);
        if let Some(after) = &self.after {
            let at = items.iter().position(|it| name(it) == *after);
            let at = at.ok_or_else(|| wrong("after: there is nothing of this name in the list"))?;
            items.drain(..=at);
        }
        let Some(limit) = self.limit else {
            return Ok(Paged { items, next: None });
        };
        if !(1..=1000).contains(&limit) {
            return Err(wrong("limit: 1 to 1000"));
        }
        let is_longer = items.len() > usize::from(limit);
        items.truncate(limit.into());
        let next = items.last().filter(|_| is_longer);
        let and = if path.contains('?') { '&' } else { '?' };
        let next = next.map(|last| {
            format!(
                "<{path}{and}limit={limit}&after={}>; rel=\"next\"",
                name(last)
            )
        });
        Ok(Paged { items, next })
    }
}

impl<T: Serialize> IntoResponse for Paged<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.items).into_response();
        // Names are plain, so a link of them is a header.
        if let Some(next) = self.next.and_then(|it| HeaderValue::try_from(it).ok()) {
            response.headers_mut().insert(header::LINK, next);
        }
        response
    }
}

#[cfg(test)]
mod tests;
