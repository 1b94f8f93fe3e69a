//! How many requests there were of each operation, how long they took, and how many were refused with which
//! problem.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use utoipa::openapi::OpenApi as Document;

use super::problem::{CATALOGUE, ProblemKind};
use crate::metrics::{Counter, Family, Histogram};

/// All that comes to this process. The places are made when the router is.
pub(super) static TRAFFIC: LazyLock<Traffic> = LazyLock::new(|| Traffic::of(&super::openapi()));

/// What is told apart of statuses.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Requests by their operation, and refusals by their problem.
pub(super) struct Traffic {
    /// By path, then by method.
    operations: HashMap<String, Vec<(Method, Operation)>>,
    /// Pages, documents, and what is nowhere.
    other: Operation,
    refusals: HashMap<&'static str, Counter>,
}

struct Operation {
    name: String,
    time: Histogram,
    classes: [Counter; CLASSES.len()],
}

impl Operation {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            time: Histogram::of_time(),
            classes: [const { Counter::new() }; CLASSES.len()],
        }
    }
}

impl Traffic {
    /// Places for the operations of a document.
    fn of(document: &Document) -> Self {
        let mut operations = HashMap::new();
        for (path, item) in &document.paths.paths {
            let methods = [
                (Method::GET, &item.get),
                (Method::PUT, &item.put),
                (Method::POST, &item.post),
                (Method::DELETE, &item.delete),
                (Method::PATCH, &item.patch),
            ];
            let named = methods.into_iter().filter_map(|(method, operation)| {
                let name = operation.as_ref()?.operation_id.as_deref()?;
                Some((method, Operation::new(name)))
            });
            operations.insert(path.clone(), named.collect());
        }
        let refusals = CATALOGUE.iter().map(|it| (it.name, Counter::new()));
        Self {
            operations,
            other: Operation::new("other"),
            refusals: refusals.collect(),
        }
    }

    fn operation(&self, method: &Method, path: &str) -> &Operation {
        let of_path = self.operations.get(path).into_iter().flatten();
        let mut named = of_path.filter(|(its, _)| its == method);
        named.next().map_or(&self.other, |(_, it)| it)
    }

    /// A request was answered. `path` is the route's, not what the caller sent.
    pub(super) fn answered(
        &self,
        method: &Method,
        path: &str,
        status: StatusCode,
        refusal: Option<&ProblemKind>,
        took: Duration,
    ) {
        let operation = self.operation(method, path);
        operation.time.took(took);
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = operation.classes.get(class) {
            counter.count();
        }
        if let Some(counter) = refusal.and_then(|it| self.refusals.get(it.name)) {
            counter.count();
        }
    }

    /// How many requests were refused, with whatever problem.
    pub(super) fn refused(&self) -> u64 {
        self.refusals.values().map(Counter::value).sum()
    }

    /// What was counted.
    pub(super) fn families(&self) -> Vec<Family> {
        let mut requests = Family::counts("chancery_requests", "Requests that were answered");
        let mut time = Family::spreads(
            "chancery_request_duration_seconds",
            "From the head of a request to its answer",
        );
        let named = self.operations.values().flatten().map(|(_, it)| it);
        let mut all: Vec<&Operation> = named.chain([&self.other]).collect();
        all.sort_by_key(|it| &it.name);
        for operation in all {
            let spread = operation.time.spread();
            if spread.count == 0 {
                continue;
            }
            let name = ("operation", operation.name.as_str());
            time.observed([name], spread);
            for (class, counter) in CLASSES.into_iter().zip(&operation.classes) {
                if counter.value() > 0 {
                    requests.count([name, ("status", class)], counter.value());
                }
            }
        }
        let mut refusals = Family::counts("chancery_refusals", "Refusals, by their problem");
        for kind in CATALOGUE {
            let counter = self.refusals.get(kind.name);
            refusals.count([("problem", kind.name)], counter.map_or(0, Counter::value));
        }
        vec![requests, time, refusals]
    }
}

#[cfg(test)]
mod tests;
