//! What is hidden from a caller and what is not there: one answer, after the same work.

use crate::app::App;
use crate::callers::Caller;
use crate::policy::{Action, Resource};

/// Hands on what a look-up found. Where nothing was found, the policy decides first, as it does on something
/// that is hidden from the caller: otherwise the time of the refusal would tell the two apart. `nothing` is
/// a stand-in, and the decisions on it are forgotten.
pub(in crate::http) fn found<T, E>(
    app: &App,
    caller: &Caller,
    actions: &[Action],
    nothing: &Resource,
    found: Result<T, E>,
) -> Result<T, E> {
    if found.is_err() {
        for action in actions {
            app.would(caller, *action, nothing);
        }
    }
    found
}
