//! What an assertion of an environment says.

use std::collections::BTreeMap;

use crate::custody::PublicKey;
use crate::keys::{Key, KeyState};
use crate::name::Name;
use crate::oauth::clients::Client;
use crate::oauth::environment::{AssertionAud, Environment, Kid};

/// What an assertion of an environment says.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct Expected {
    /// The environment.
    environment: String,
    /// Where it is sent.
    token_endpoint: String,
    /// `audience` of the token request.
    audience: String,
    /// What `aud` follows.
    aud_policy: AssertionAud,
    /// `aud`.
    aud: String,
    /// `typ`.
    typ: String,
    /// What `kid` follows.
    kid: Kid,
    /// From `iat` to `exp`.
    lifetime_s: i64,
    /// The client's keys that are known here: those on record for this environment which you may see.
    keys: BTreeMap<String, KnownKey>,
}

/// A key that may be registered at the counterparty.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct KnownKey {
    state: KeyState,
    /// Its RFC 7638 thumbprint, which Auth0 calls `kid`.
    thumbprint: String,
    /// The clients that it signs for.
    client_ids: Vec<String>,
}

impl Expected {
    pub(super) fn of(
        name: &Name,
        environment: &Environment,
        keys: &[Key],
        clients: &[Client],
    ) -> Self {
        let known = |key: &Key| {
            let of_key = clients.iter().filter(|it| it.key.id == key.id);
            let known = KnownKey {
                state: key.state,
                thumbprint: key.public_key.as_ref().map(PublicKey::thumbprint)?,
                client_ids: of_key.map(|it| it.client_id.clone()).collect(),
            };
            Some((key.name.to_string(), known))
        };
        let here = keys.iter().filter(|it| it.environment == *name);
        Self {
            environment: name.to_string(),
            token_endpoint: environment.token_endpoint.clone(),
            audience: environment.token_audience.clone(),
            aud_policy: environment.assertion_aud.clone(),
            aud: environment.aud().to_owned(),
            typ: environment.typ.clone(),
            kid: environment.kid.clone(),
            lifetime_s: environment.lifetime_s.seconds(),
            keys: here.filter_map(known).collect(),
        }
    }
}
