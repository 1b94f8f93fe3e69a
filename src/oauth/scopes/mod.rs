//! Which scope an endpoint of the Exchange API needs, and what a token opens.
//!
//! The tables are data (`exchange.json`), as the Exchange API documents them on its page about
//! private key JWT, and compiled in. A scope or endpoint that is not in them may exist all the same:
//! what is said here is what is documented, and unknown things are called that.

mod lookup;
mod token;

use std::sync::LazyLock;

use crate::name::Name;
pub use lookup::{ApiCall, Match, Method, UnknownEndpoint};
pub use token::{NotAToken, TokenClaims};

/// A scope of the Exchange API.
#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// As tokens carry it.
    #[schema(example = "read:positions")]
    pub scope: String,
    /// What it is for.
    pub description: String,
}

/// An endpoint of the Exchange API.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// How it is called.
    pub method: Method,
    /// A path, whose parts in braces stand for one segment each, or the name of a gRPC call.
    #[schema(example = "/v1/orderbook/{symbol}")]
    pub endpoint: String,
    /// What a token has to carry; null where none is needed.
    pub required_scope: Option<String>,
    /// What else is known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Environments, as the documentation names them, that do not have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disabled_in: Vec<String>,
}

/// How the API refuses a token that lacks a scope.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denied {
    /// The HTTP status.
    pub status: u16,
    /// `PERMISSION_DENIED` of gRPC, which the body of an HTTP answer carries too.
    pub code: i64,
    /// How the message begins; the scope's name comes after it.
    pub message: String,
}

/// The documentation's tables.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// How a missing scope is answered.
    pub denied: Denied,
    /// The host of the gRPC streams; `{env}` stands for the environment.
    pub grpc_host: String,
    /// All scopes.
    pub scopes: Vec<Scope>,
    /// All endpoints.
    pub endpoints: Vec<Endpoint>,
}

impl Table {
    /// As it is compiled in.
    ///
    /// # Panics
    /// Never: a test reads it.
    pub fn exchange() -> &'static Self {
        static TABLE: LazyLock<Table> = LazyLock::new(|| {
            serde_json::from_str(include_str!("exchange.json")).expect("a test reads the table")
        });
        &TABLE
    }

    /// A scope by its name.
    pub fn scope(&self, name: &str) -> Option<&Scope> {
        self.scopes.iter().find(|it| it.scope == name)
    }

    /// The endpoints that these scopes open, and those that need none.
    pub fn opened_by<'a>(&'a self, granted: &'a [String]) -> impl Iterator<Item = &'a Endpoint> {
        self.endpoints.iter().filter(|it| it.is_opened_by(granted))
    }

    /// Where the gRPC streams of a documented environment are.
    pub fn grpc_host(&self, environment: &str) -> String {
        self.grpc_host.replace("{env}", environment)
    }
}

impl Endpoint {
    /// Whether a token with these scopes is enough.
    pub fn is_opened_by(&self, granted: &[String]) -> bool {
        self.required_scope
            .as_ref()
            .is_none_or(|needed| granted.contains(needed))
    }

    /// Whether a documented environment has it.
    pub fn is_in(&self, environment: &str) -> bool {
        !self.disabled_in.iter().any(|it| it == environment)
    }
}

/// The documentation's name for an environment, from the host of its API, `api.NAME.…`; the name
/// here where the host says none.
pub fn documented_name<'a>(environment: &'a Name, api: &'a str) -> &'a str {
    let host = api.split("://").nth(1).unwrap_or(api);
    host.strip_prefix("api.")
        .and_then(|rest| rest.strip_suffix(".polymarketexchange.com"))
        .unwrap_or(environment.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_tables_are_the_documentation_s() {
        let vector: Value =
            serde_json::from_str(include_str!("../../../tests/vectors/exchange-scopes.json"))
                .unwrap();
        let table = Table::exchange();

        let names = vector["scopes"].as_array().unwrap().iter();
        let names: Vec<_> = names.map(|it| it["scope"].as_str().unwrap()).collect();
        let ours: Vec<_> = table.scopes.iter().map(|it| it.scope.as_str()).collect();
        assert_eq!(ours, names);
        assert!(table.scopes.iter().all(|it| !it.description.is_empty()));

        let rows = vector["endpoints"].as_array().unwrap();
        assert_eq!(table.endpoints.len(), rows.len());
        for (ours, row) in table.endpoints.iter().zip(rows) {
            let written = serde_json::to_value(ours).unwrap();
            for member in ["method", "endpoint", "required_scope", "disabled_in"] {
                assert_eq!(written.get(member), row.get(member), "{row}");
            }
            let needed = ours.required_scope.as_deref();
            assert!(
                needed.is_none_or(|it| table.scope(it).is_some()),
                "{needed:?}"
            );
        }

        let rule = &vector["enforcement"];
        assert_eq!(table.denied.status, rule["rest_status"]);
        assert_eq!(table.denied.code, rule["code"]);
        assert_eq!(
            format!("{}<scope>", table.denied.message),
            rule["message_format"]
        );
        assert_eq!(table.grpc_host, rule["grpc_host_format"]);
    }

    #[test]
    fn a_token_opens_what_its_scopes_open_and_no_more() {
        let table = Table::exchange();
        let opened = |granted: &[&str]| {
            let granted: Vec<_> = granted.iter().map(ToString::to_string).collect();
            let opened = table.opened_by(&granted);
            opened.map(|it| it.endpoint.clone()).collect::<Vec<_>>()
        };
        assert_eq!(opened(&[]), ["/v1/health"]);
        assert_eq!(opened(&["read:dropcopy"]), ["/v1/health"]);
        assert_eq!(
            opened(&["write:orders"]),
            [
                "/v1/trading/orders",
                "/v1/trading/orders/cancel",
                "/v1/health"
            ]
        );
        let all: Vec<_> = table.scopes.iter().map(|it| it.scope.as_str()).collect();
        assert_eq!(opened(&all).len(), table.endpoints.len());
    }

    #[test]
    fn an_environment_is_known_by_the_host_of_its_api() {
        let name: Name = "desk-test".parse().unwrap();
        for (api, known) in [
            ("https://api.preprod.polymarketexchange.com", "preprod"),
            ("https://api.example.com", "desk-test"),
            (
                "https://api.preprod.polymarketexchange.com.example.com",
                "desk-test",
            ),
        ] {
            assert_eq!(documented_name(&name, api), known, "{api}");
        }
    }
}
