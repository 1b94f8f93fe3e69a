//! Refusals as JSON-RPC errors. Source of the codes from 4001 on: EIP-1193.
//!
//! Wallets and libraries have a sentence of their own for each code, and show ours beside it. So a
//! code is chosen for what its sentence makes of a refusal: one that is no fault must not read like
//! one, for people report faults and repeat what failed.

use serde::Serialize;

use crate::http::problem::{self, Problem};

/// An error object.
#[derive(Debug, Serialize)]
pub(super) struct RpcError {
    code: i32,
    message: String,
    data: serde_json::Value,
}

impl RpcError {
    /// The body is no JSON.
    pub(super) fn unreadable(why: impl std::fmt::Display) -> Self {
        Self::of(-32700, &Problem::new(&problem::MALFORMED_BODY, why))
    }

    /// The JSON is no call.
    pub(super) fn invalid(why: impl std::fmt::Display) -> Self {
        Self::of(-32600, &Problem::new(&problem::MALFORMED_BODY, why))
    }

    /// There is no such method.
    pub(super) fn no_method(why: impl std::fmt::Display) -> Self {
        Self::of(-32601, &Problem::new(&problem::RPC_METHOD_UNSUPPORTED, why))
    }

    /// There is such a method in wallets, and never here.
    pub(super) fn never_signed(why: impl std::fmt::Display) -> Self {
        Self::of(4200, &Problem::new(&problem::RPC_METHOD_UNSUPPORTED, why))
    }

    fn of(code: i32, problem: &Problem) -> Self {
        let document = problem.document();
        Self {
            code,
            message: document.detail.to_owned(),
            data: serde_json::to_value(&document).expect("plain data serializes"),
        }
    }
}

impl From<&Problem> for RpcError {
    fn from(problem: &Problem) -> Self {
        let kind = problem.kind();
        let code = match kind.status {
            // Too much at once; the words of this code say so.
            _ if *kind == problem::BUSY || *kind == problem::IN_FLIGHT => -32005,
            401 | 404 => 4100,
            403 | 409 | 410 => 4001,
            405 | 413 | 415 | 421 => -32600,
            400 | 422 => -32602,
            429 => -32005,
            _ => -32603,
        };
        Self::of(code, problem)
    }
}

impl From<Problem> for RpcError {
    fn from(problem: Problem) -> Self {
        Self::from(&problem)
    }
}

#[cfg(test)]
mod tests;
