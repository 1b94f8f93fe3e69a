//! The service as its callers see it: a module for each promise.

#[path = "../support/mod.rs"]
mod support;

mod query_data;
mod signing;
