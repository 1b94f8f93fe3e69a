//! Polymarket's CLOB: from what a trader says to a signed order.
//!
//! Building an order is pure: no clock, no network, no key. The caller brings the time, the salt and
//! the signature, so that an order can be rebuilt, hashed and compared later. The network is in
//! `venue`.
//!
//! It promises that an order holds exactly what was asked for (P7): decimals are never rounded
//! through doubles, what is off the grid is refused, and what is cut is said. It trusts the caller's
//! word on tick size and neg-risk, which name one of a few known rules and contracts, never others.
//!
//! # Why
//! The official clients agree on the happy path and differ at the edges: floats that lose a cent,
//! sides that become SELL, orders for nothing. Where they differ, exact decimal arithmetic with the
//! TypeScript clients' steps decides, and what the decimal clients refuse is refused.

pub mod accounts;
pub mod amount;
pub mod api_keys;
pub mod book;
pub mod builders;
pub mod contents;
pub mod contracts;
pub mod derived;
pub mod draft;
pub mod drains;
mod expiration;
pub mod explain;
pub mod exposure;
pub mod fees;
pub mod l1;
pub mod l2;
pub mod making;
pub mod market;
mod nested;
pub mod operation;
pub mod order;
mod order_error;
pub mod relayer;
pub mod request;
pub mod session_keys;
pub mod signed;
mod stake;
pub mod terms;
pub mod typed_data;
pub mod venue;
mod venue_error;
pub mod wallet;
pub mod wallets;
pub mod warning;

pub use amount::Side;
pub use contracts::Version;
pub use derived::Derived;
pub use order::{Order, random_salt};
pub use order_error::OrderError;
pub use request::{MarketOrderRequest, OrderRequest};
pub use signed::SignedOrder;
pub use terms::Terms;
pub use wallet::{Chain, Profile, ProfileError, SignatureType};
