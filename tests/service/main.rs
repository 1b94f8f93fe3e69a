//! The service as its callers see it: a module for each promise.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test panics where something is not as it has to be, reads its switches from the environment, and says what it skips"
)]

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod administrators;
mod adoption;
mod approvals;
mod assertions;
mod attestation;
mod authority;
mod bad_input;
mod batches;
mod bench;
mod browser_verifier;
mod builder_sdk;
mod builders;
mod callers;
mod calling;
mod command_line;
mod compromised;
mod console;
mod copies;
mod credentials;
mod cryptoperiods;
mod destruction;
mod dev;
mod device_faults;
mod device_sealing;
mod doctor;
mod documents;
mod draining;
mod dry_run;
mod evidence;
mod evidence_bucket;
mod evidence_pack;
mod exchange;
mod explain;
mod fairness;
mod grants;
mod guide;
mod halts;
mod hidden;
mod hygiene;
mod import;
mod key_lives;
mod key_states;
mod kms;
#[path = "../support/kms.rs"]
mod kms_server;
mod l2;
mod leaks;
mod legality;
mod limited;
mod limits;
mod limits_kept;
mod logging;
mod lookups;
mod market_orders;
mod metadata;
mod metrics;
mod notices;
mod oauth_server;
mod oidc;
mod openapi_client;
mod operation_attacks;
mod operations;
mod orphans;
mod outages;
mod pins;
#[path = "../support/pkcs11_faults.rs"]
mod pkcs11_faults;
mod policies;
mod promises;
mod query_data;
mod reads;
mod recipients;
mod reconciliation;
mod recovery;
mod rights;
mod rotation_crashes;
mod rotation_edges;
mod rotation_load;
mod rotations;
mod rows;
mod rpc;
mod rpc_clients;
mod rpc_protocol;
mod run_book;
mod same_requests;
mod sealing_keys;
mod session_keys;
mod signing;
mod sockets;
mod stakes;
mod stand;
mod submissions;
mod texts;
mod tokens;
mod tokens_faults;
mod tokens_keys;
mod tokens_oauth;
mod traces;
mod verifiers;
mod wallet_profiles;
mod wallet_rotations;
mod ways;
mod witnesses;
