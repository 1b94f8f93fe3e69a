//! What a token is remembered under: everything that it depends on.

use sha2::{Digest, Sha256};

use super::scope_set::ScopeSet;
use crate::id::{ClientId, KeyId};
use crate::oauth::clients::Client;
use crate::oauth::environment::Environment;
use crate::oauth::exchange::TokenEndpoint;

/// A token for this client, with these scopes, fetched with this key. Another key, or the same after
/// its state has changed, is another place: what was there before is not found again.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) client: Client,
    pub(super) environment: Environment,
    pub(super) endpoint: TokenEndpoint,
    /// None: all that the application is granted.
    pub(super) scopes: Option<ScopeSet>,
}

impl Place {
    /// The same client's place with these scopes.
    pub(super) fn with(&self, scopes: ScopeSet) -> Self {
        Self {
            scopes: Some(scopes),
            ..self.clone()
        }
    }

    /// The place's hash, the same on all replicas.
    pub(super) fn hash(&self) -> [u8; 32] {
        let client = &self.client;
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        add(client.environment.as_str().as_bytes());
        add(client.id.uuid().as_bytes());
        add(client.client_id.as_bytes());
        add(self.environment.token_endpoint.as_bytes());
        add(self.environment.token_audience.as_bytes());
        add(client.key.id.uuid().as_bytes());
        add(&client.key.epoch.to_be_bytes());
        add(&[u8::from(self.scopes.is_some())]);
        for scope in self.scopes.iter().flat_map(ScopeSet::iter) {
            add(scope.as_bytes());
        }
        hash.finalize().into()
    }

    /// Whom the server takes or does not take.
    pub(super) fn presented(&self) -> (ClientId, KeyId, i64) {
        (self.client.id, self.client.key.id, self.client.key.epoch)
    }
}
