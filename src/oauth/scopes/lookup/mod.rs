//! From a call to the endpoint that it is, or to those that it may have been meant for.

use std::collections::BTreeMap;

use super::{Endpoint, Table};

words! {
    /// How an endpoint is called.
    #[derive(PartialOrd, Ord, utoipa::ToSchema)]
    #[schema(as = EndpointMethod)]
    pub enum Method {
        /// HTTP GET.
        #[serde(alias = "get")]
        Get = "GET",
        /// HTTP POST.
        #[serde(alias = "post")]
        Post = "POST",
        /// HTTP PUT; no documented endpoint takes it.
        #[serde(alias = "put")]
        Put = "PUT",
        /// HTTP PATCH; no documented endpoint takes it.
        #[serde(alias = "patch")]
        Patch = "PATCH",
        /// HTTP DELETE; no documented endpoint takes it.
        #[serde(alias = "delete")]
        Delete = "DELETE",
        /// A gRPC call.
        #[serde(alias = "grpc", alias = "GRPC")]
        Grpc = "gRPC",
    }
}

/// A call that somebody makes or means to make.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EndpointCall)]
pub struct ApiCall {
    /// How; every way unless it is said.
    #[serde(default)]
    pub method: Option<Method>,
    /// Where: a path, a whole URL, or the name of a gRPC call.
    #[schema(example = "/v1/orderbook/ABC/bbo")]
    pub path: String,
}

impl ApiCall {
    /// Method and path, also where both stand in the path, as in `GET /v1/positions`.
    fn parts(&self) -> (Option<Method>, &str) {
        let text = self.path.trim();
        let Some((word, rest)) = text.split_once(char::is_whitespace) else {
            return (self.method, text);
        };
        let all = Method::ALL;
        let said = all
            .into_iter()
            .find(|it| it.name().eq_ignore_ascii_case(word));
        match (self.method, said) {
            (None, Some(_)) => (said, rest.trim_start()),
            (given, said) if given.is_some() && given == said => (given, rest.trim_start()),
            (given, _) => (given, text),
        }
    }
}

/// An endpoint that a call is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match<'a> {
    /// The endpoint.
    pub endpoint: &'a Endpoint,
    /// What stands where the path has braces.
    pub parameters: BTreeMap<String, String>,
}

/// The documentation names no such endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is no documented endpoint{}", .asked, or_near(.near))]
pub struct UnknownEndpoint {
    /// The call.
    pub asked: String,
    /// What it may have been meant for.
    pub near: Vec<String>,
}

fn or_near(near: &[String]) -> String {
    match near {
        [] => String::new(),
        near => format!("; near it are {}", near.join(", ")),
    }
}

/// As many characters of a path are looked at.
const PATH_LIMIT: usize = 512;
/// As many near misses are named.
const NEAR_LIMIT: usize = 5;

impl Table {
    /// The endpoints that a call is: one, or where it says no method one for each.
    pub fn find(&self, wanted: &ApiCall) -> Result<Vec<Match<'_>>, UnknownEndpoint> {
        let (method, path) = wanted.parts();
        let place = Place::read(path);
        let right = |it: &&Endpoint| method.is_none_or(|method| method == it.method);
        let found: Vec<_> = self
            .endpoints
            .iter()
            .filter(right)
            .filter_map(|endpoint| {
                let parameters = place.fits(endpoint)?;
                Some(Match {
                    endpoint,
                    parameters,
                })
            })
            .collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let method = method.map(|it| format!("{} ", it.name()));
        Err(UnknownEndpoint {
            asked: format!("{}{}", method.unwrap_or_default(), place.text()),
            near: self.near(&place),
        })
    }

    fn near(&self, place: &Place) -> Vec<String> {
        let given = place.text().to_lowercase();
        let mut near: Vec<_> = self
            .endpoints
            .iter()
            .filter_map(|endpoint| {
                let distance = if place.fits(endpoint).is_some() {
                    0 // another method
                } else {
                    distance(&given, &place.filled_in(endpoint).to_lowercase())
                };
                let close = distance <= 2 + endpoint.endpoint.len() / 6;
                close.then(|| {
                    let name = format!("{} {}", endpoint.method.name(), endpoint.endpoint);
                    (distance, name)
                })
            })
            .collect();
        near.sort();
        near.truncate(NEAR_LIMIT);
        near.into_iter().map(|(_, name)| name).collect()
    }
}

/// Where a call goes, without host and query.
struct Place {
    segments: Vec<String>,
}

impl Place {
    /// Takes a path, a URL, the bare name of a gRPC call, or its full one (`/package.API/Name`).
    fn read(text: &str) -> Self {
        let text: String = text.trim().chars().take(PATH_LIMIT).collect();
        let path = match text.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
            None => &text,
        };
        let path = path.split(['?', '#']).next().unwrap_or("");
        let mut segments: Vec<_> = path.split('/').map(str::to_owned).collect();
        let is_grpc = segments.len() == 3 && segments[0].is_empty() && segments[1].contains('.');
        if is_grpc {
            segments.drain(..2);
        }
        Self { segments }
    }

    fn text(&self) -> String {
        self.segments.join("/")
    }

    /// The endpoint's path with what stands here in the place of its braces.
    fn filled_in(&self, endpoint: &Endpoint) -> String {
        let filled: Vec<_> = endpoint
            .endpoint
            .split('/')
            .enumerate()
            .map(|(at, part)| match self.segments.get(at) {
                Some(given) if part.starts_with('{') => given,
                _ => part,
            })
            .collect();
        filled.join("/")
    }

    /// What stands in the braces, if this is the endpoint.
    fn fits(&self, endpoint: &Endpoint) -> Option<BTreeMap<String, String>> {
        let template: Vec<_> = endpoint.endpoint.split('/').collect();
        if template.len() != self.segments.len() {
            return None;
        }
        let mut parameters = BTreeMap::new();
        for (given, wanted) in self.segments.iter().zip(template) {
            let name = wanted.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
            match name {
                Some(name) if !given.is_empty() => {
                    parameters.insert(name.to_owned(), given.clone());
                }
                None if given == wanted => {}
                _ => return None,
            }
        }
        Some(parameters)
    }
}

/// How many characters have to be put in, taken out or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, c) in a.chars().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, d) in b.iter().enumerate() {
            let changed = before + usize::from(c != *d);
            before = row[j + 1];
            row[j + 1] = changed.min(before + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
