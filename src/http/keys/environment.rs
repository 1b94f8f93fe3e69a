//! Where a key is used: a name that is for good, and easily mistyped.

use crate::app::App;
use crate::http::problem::{self, Problem};
use crate::keys::{Key, Purpose};
use crate::name::Name;

/// Refuses a client key for an environment that is not configured: it could never be a client's, and a
/// key's environment is for good.
pub(super) fn known(app: &App, purpose: Purpose, environment: &Name) -> Result<(), Problem> {
    let known = app.clients.environments();
    if purpose != Purpose::Client || known.contains_key(environment) {
        return Ok(());
    }
    Err(Problem::new(
        &problem::INVALID_FIELD,
        format!("environment: {}", unconfigured(app, environment)),
    ))
}

/// What there is to say where a name may be mistyped. Wallets need no section of their own.
pub(super) fn warnings(app: &App, key: &Key) -> Vec<String> {
    let known = app.clients.environments();
    let is_odd = !known.is_empty() && !known.contains_key(&key.environment);
    let text = || {
        let why = unconfigured(app, &key.environment);
        format!(
            "environment: {why}. It never changes: a key that was mistyped is destroyed and made anew"
        )
    };
    is_odd.then(text).into_iter().collect()
}

fn unconfigured(app: &App, environment: &Name) -> String {
    let known = app.clients.environments().keys();
    let known: Vec<_> = known.map(Name::as_str).collect();
    format!(
        "there is no [oauth.environments.{environment}] section; there is {}",
        if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        }
    )
}
