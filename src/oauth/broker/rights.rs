//! Which scopes a caller may have.

use super::Broker;
use super::failure::TokenError;
use super::scope_set::ScopeSet;
use crate::callers::Caller;
use crate::oauth::clients::Client;
use crate::oauth::scopes::Table;
use crate::policy::{Action, Permit};

/// What a caller may have of a client.
pub(super) struct Permitted {
    /// That they may have a token.
    pub(super) permit: Permit,
    /// With these scopes.
    pub(super) scopes: ScopeSet,
}

impl Broker {
    /// The scopes that a caller may have: those that they ask for, or all that are documented and
    /// permitted.
    pub(super) fn permitted(
        &self,
        caller: &Caller,
        client: &Client,
        asked: Option<&ScopeSet>,
    ) -> Result<Permitted, TokenError> {
        let rights = &self.0.rights;
        let about = |scopes: &ScopeSet| client.resource().with_scopes(scopes.to_vec());
        let alone = |scope: &str| {
            let one = client.resource().with_scopes(vec![scope.to_owned()]);
            rights.would(caller, Action::IssueToken, &one)
        };
        if let Some(asked) = asked {
            let denied = match rights.ask(caller, Action::IssueToken, &about(asked)) {
                Ok(permit) => {
                    let scopes = asked.clone();
                    return Ok(Permitted { permit, scopes });
                }
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
        let all = about(&documented);
        let scopes = if rights.would(caller, Action::IssueToken, &all) {
            documented
        } else {
            let permitted = documented.iter().filter(|it| alone(it));
            permitted.map(str::to_owned).collect()
        };
        if scopes.is_empty() {
            return Err(rights.refuse(caller, Action::IssueToken, &all).into());
        }
        let permit = rights.ask(caller, Action::IssueToken, &about(&scopes))?;
        Ok(Permitted { permit, scopes })
    }
}
