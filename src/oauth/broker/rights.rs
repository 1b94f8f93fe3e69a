//! Which scopes a caller may have.

use super::Broker;
use super::failure::TokenError;
use super::scope_set::ScopeSet;
use crate::callers::Caller;
use crate::oauth::clients::Client;
use crate::oauth::scopes::Table;
use crate::policy::{Action, Denied};

impl Broker {
    /// The scopes that a caller may have: those that they ask for, or all that are documented and
    /// permitted.
    pub(super) fn permitted(
        &self,
        caller: &Caller,
        client: &Client,
        asked: Option<&ScopeSet>,
    ) -> Result<ScopeSet, TokenError> {
        let signer = &self.0.signer;
        let about = |scopes: &ScopeSet| client.resource().with_scopes(scopes.to_vec());
        let alone = |scope: &str| {
            let one = client.resource().with_scopes(vec![scope.to_owned()]);
            signer.would(caller, Action::IssueToken, &one)
        };
        if let Some(asked) = asked {
            let denied = match signer.may(caller, Action::IssueToken, &about(asked)) {
                Ok(()) => return Ok(asked.clone()),
                Err(denied) => denied,
            };
            let not_alone = asked.iter().filter(|it| !alone(it)).map(str::to_owned);
            let not_alone: ScopeSet = not_alone.collect();
            let together = not_alone.is_empty();
            let scopes = if together { asked.clone() } else { not_alone };
            return Err(TokenError::ScopeDenied {
                scopes,
                together,
                denied,
            });
        }
        let documented = Table::exchange().scopes.iter().map(|it| it.scope.clone());
        let documented: ScopeSet = documented.collect();
        if signer.would(caller, Action::IssueToken, &about(&documented)) {
            return Ok(documented);
        }
        let permitted = documented.iter().filter(|it| alone(it)).map(str::to_owned);
        let permitted: ScopeSet = permitted.collect();
        let asked = if permitted.is_empty() {
            &documented
        } else {
            &permitted
        };
        signer.may(caller, Action::IssueToken, &about(asked))?;
        if permitted.is_empty() {
            // Alone none, and yet all of them together: such a policy permits nothing in particular.
            return Err(Denied {
                action: Action::IssueToken,
                rules: Vec::new(),
            }
            .into());
        }
        Ok(permitted)
    }
}
