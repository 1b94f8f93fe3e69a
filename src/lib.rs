//! Chancery keeps wallet keys and RSA keys inside a PKCS#11 device, AWS KMS or a sealed keystore, records
//! every signature in Postgres before it leaves, and returns signed Polymarket CLOB orders and OAuth
//! client assertions to the callers who may have them.
//!
//! A request goes down this list and comes back up. A module imports only what stands below it;
//! `clob` and `oauth` are neighbours and do not meet. `tests/house.rs` reads the list.
//!
//! # The promises
//! They have numbers, P1 to P11, and tests, comments and problems use them: keys stay in their device
//! (P1); nothing is signed before its intent is durable, nothing answered before its release is (P2);
//! one idempotency key, one request, one answer (P3); nonces and `jti`s are on record before they
//! leave (P4); deny by default (P5); loosening takes two, tightening one (P6); only typed things are
//! signed (P7); every signature is checked before it leaves (P8); the log proves itself (P9); a refusal
//! says what to do (P10); no caller can stop another (P11).
#![warn(
    clippy::print_stderr,
    reason = "nobody need read it: `telemetry` and `cli` write there without waiting or failing"
)]

// A ground that the modules are written with.
#[macro_use]
pub mod words;

// The ways in.
pub mod cli;

pub mod config;

pub mod invariants;

pub mod verification;

pub mod http;

// The wired service.
pub mod app;

// What auditors ask for.
pub mod lookups;

// What rows say is what is stated.
pub mod statements;

// Who lets the others in.
pub mod administrators;

// How keys are replaced, and end.
pub mod rotations;

pub mod destruction;

pub mod cryptoperiods;

pub mod resealing;

pub mod attestation;

// Whom money may go to.
pub mod recipients;

// What is signed.
pub mod clob;

pub mod oauth;

// The door.
pub mod signing;

// What guards it.
pub mod credentials;

pub mod operations;

pub mod keys;

pub mod custody;

pub mod policy;

pub mod halts;

pub mod limits;

pub mod proposals;

pub mod people;

pub mod sessions;

pub mod callers;

// What is remembered, and on whose agreement.
pub mod evidence;

pub mod audit;

pub mod notices;

pub mod approvals;

pub mod standing;

pub mod authority;

pub mod idempotency;

// The ground.
pub mod catalogue;

pub mod collector;

pub mod counterparty;

pub mod sealing;

pub mod tlog;

pub mod turns;

pub mod joint;

pub mod guarded_file;

pub mod name;

pub mod reason;

pub mod text;

pub mod percent;

pub mod ledger;

pub mod ethereum;

pub mod id;

pub mod clock;

pub mod within;

pub mod fail;

pub mod environment;

pub mod telemetry;

pub mod alarms;

pub mod traces;

pub mod metrics;
