//! `[http]`

use std::net::SocketAddr;

pub(super) use super::site::Host;
use super::tls;

/// `[http]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where to listen. Loopback only, unless the service speaks TLS.
    pub listen: SocketAddr,
    /// Names under which callers know the service, beside loopback's and its address: what `Host` may say.
    pub hosts: Vec<Host>,
    /// The largest body, in bytes; eight times as much for `/rpc`, which takes batches.
    pub body_limit_bytes: usize,
    /// How many requests are under way at a time; more are refused at once, but for a few of each caller.
    pub concurrent_requests: usize,
    /// How many of these may be one caller's.
    pub requests_per_caller: usize,
    /// How many bytes of bodies one caller's requests under way may have.
    pub body_bytes_per_caller: usize,
    /// How many calls are worked on at a time, for each core, while there is more than one caller. What they
    /// compute shares the cores, and the next call may have to wait for it: with more of them a flood makes
    /// others slower, with fewer the groups are smaller.
    pub calls_per_core: u32,
    /// How many connections are open at a time. For one more, the one makes way that has had nothing
    /// to do for longest.
    pub connections: usize,
    /// How long a connection may idle.
    pub idle_timeout_ms: u64,
    /// How long a client may take to send a request's head, from its first byte.
    pub head_timeout_ms: u64,
    /// How long a client may take no more of an answer.
    pub write_timeout_ms: u64,
    /// How long a request may take, its body included, whatever it asks for.
    pub request_timeout_ms: u64,
    /// How long a shutdown waits for what is under way.
    pub shutdown_timeout_ms: u64,
    /// Whether a client's key set is shown without a token: for a counterparty who fetches it.
    pub public_jwks: bool,
    /// `[http.tls]`; in clear text, and on loopback only, without it.
    pub tls: Option<tls::Settings>,
}

/// `[http] public_jwks`
#[derive(Clone, Copy)]
pub(super) struct PublicJwks(pub(super) bool);

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7300)),
            hosts: Vec::new(),
            body_limit_bytes: 64 * 1024,
            concurrent_requests: 1_024,
            requests_per_caller: 512,
            body_bytes_per_caller: 16 * 1024 * 1024,
            calls_per_core: 32,
            connections: 4_096,
            idle_timeout_ms: 30_000,
            head_timeout_ms: 5_000,
            write_timeout_ms: 10_000,
            request_timeout_ms: 15_000,
            shutdown_timeout_ms: 15_000,
            public_jwks: false,
            tls: None,
        }
    }
}
