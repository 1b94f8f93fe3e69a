//! Asking whether somebody may do something.

use super::App;
use crate::callers::Caller;
use crate::limits::LimitError;
use crate::policy::{Action, Denied, Permit, Resource};

impl App {
    /// Whether a caller may do this to that: the one gate of every effect. A no is put on record.
    pub fn ask(
        &self,
        caller: &Caller,
        action: Action,
        resource: &Resource,
    ) -> Result<Permit, Denied> {
        self.rights.ask(caller, action, resource)
    }

    /// The same where a no is no refusal, and nothing but what they may read follows from a yes.
    pub fn would(&self, caller: &Caller, action: Action, resource: &Resource) -> bool {
        self.rights.would(caller, action, resource)
    }

    /// Counts a question about what was signed. One that is one too many is refused like what nobody may.
    pub async fn count_look_up(&self, caller: &Caller, action: Action) -> Result<(), LimitError> {
        let counted = self.limits.look_up(caller.id).await;
        if matches!(counted, Err(LimitError::Exceeded(_))) {
            self.rights.refuse(caller, action, &Resource::service());
        }
        counted
    }
}
