//! The service as its callers see it: a module for each promise.

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod assertions;
mod bad_input;
mod documents;
mod limits;
mod outages;
mod query_data;
mod reads;
mod signing;
mod stand;
