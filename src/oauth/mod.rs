//! The Exchange API's side: clients, and the assertions that prove who they are (RFC 7523,
//! `private_key_jwt`).
//!
//! Environments are configuration: where an assertion is meant for (`aud`) comes from there and
//! never from a caller, so a key of one environment cannot be made to speak to another's server.

pub mod assertion;
pub mod broker;
pub mod clients;
pub mod discovery;
pub mod environment;
pub mod exchange;
pub mod explain;
pub mod issuing;
pub mod scopes;
