//! Probes: whether the counterparty takes a key, found out by an exchange whose token is dropped.
//!
//! A probe is on record before its assertion is made, one a key in ten seconds. What it brought is
//! recorded afterwards, together with the step that it may prove; a process that dies in between
//! leaves a probe without an outcome, which proves nothing.

pub(super) mod records;

use time::OffsetDateTime;

use super::evidence::Proved;
use super::{Rotation, RotationError, Rotations, State, Step};
use crate::audit::Change;
use crate::callers::Caller;
use crate::fail_point;
use crate::id::{IntentId, KeyId, ProbeId, RotationId};
use crate::idempotency::RequestDigest;
use crate::keys::Key;
use crate::ledger::Gate;
use crate::oauth::assertion::{AssertionDraft, Errand};
use crate::oauth::clients::Client;
use crate::oauth::environment::Kid;
use crate::oauth::exchange::{ExchangeError, TokenEndpoint};
use crate::oauth::issuing;
use crate::policy::{Action, Permit};
use crate::signing::SigningRequest;

words! {
    /// Which of a rotation's two keys.
    #[derive(utoipa::ToSchema)]
    #[schema(as = KeyRole)]
    pub enum Role {
        /// The one that comes.
        New = "new",
        /// The one that goes.
        Old = "old",
    }
}

words! {
    /// What a probe showed.
    #[derive(utoipa::ToSchema)]
    #[schema(as = ProbeOutcome)]
    pub enum Outcome {
        /// The counterparty takes the key: there was a token, which was dropped.
        Succeeded = "succeeded",
        /// It does not take the key (`invalid_client`, `invalid_client_assertion`).
        Refused = "refused",
        /// It said something that is not about the key, or nothing was sent.
        Inconclusive = "inconclusive",
        /// No answer came: whether it takes the key is not known.
        Unknown = "unknown",
    }
}

/// A probe on record.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Its id.
    pub id: ProbeId,
    /// For which rotation.
    pub rotation: RotationId,
    /// With which key.
    pub key: KeyId,
    /// Which of the two that is.
    pub role: Role,
    /// The name of whoever asked.
    pub actor_name: String,
    /// When it was begun, by the database's clock.
    pub begun_at: OffsetDateTime,
    /// The signature's id.
    pub intent: Option<IntentId>,
    /// What it showed; `None`: under way, or nobody was left to see it.
    pub outcome: Option<Outcome>,
    /// What kept it from succeeding: the counterparty's `error`, or ours.
    pub error: Option<String>,
    /// The status of its answer.
    pub http_status: Option<i32>,
}

/// What an exchange brought.
#[derive(Debug)]
pub struct Seen {
    pub(super) intent: Option<IntentId>,
    pub(super) outcome: Outcome,
    pub(super) error: Option<String>,
    pub(super) http_status: Option<i32>,
    pub(super) expires_in: Option<i32>,
}

impl Outcome {
    /// Whether it says something about the key.
    pub fn settles(self) -> bool {
        matches!(self, Self::Succeeded | Self::Refused)
    }
}

/// The latest probe of a role that says something about its key. An old answer is no answer to a
/// newer question: whatever was begun later and is not settled does not hide it, a newer word does.
pub(super) fn latest(probes: &[Probe], role: Role) -> Option<&Probe> {
    let settled = |it: &&Probe| it.role == role && it.outcome.is_some_and(Outcome::settles);
    probes
        .iter()
        .filter(settled)
        .max_by_key(|it| (it.begun_at, it.id))
}

impl Seen {
    fn of(error: &ExchangeError) -> Self {
        let (outcome, text, status) = match error {
            ExchangeError::NotTaken(refusal) => {
                (Outcome::Refused, refusal.code.clone(), Some(refusal.status))
            }
            ExchangeError::NotGranted(refusal) | ExchangeError::NotUnderstood(refusal) => (
                Outcome::Inconclusive,
                refusal.code.clone(),
                Some(refusal.status),
            ),
            ExchangeError::Throttled { .. } => {
                (Outcome::Inconclusive, "throttled".to_owned(), Some(429))
            }
            ExchangeError::Down(status) => (
                Outcome::Inconclusive,
                "server-error".to_owned(),
                Some(*status),
            ),
            ExchangeError::Edge(status) => (
                Outcome::Inconclusive,
                "not-the-server".to_owned(),
                Some(*status),
            ),
            ExchangeError::Wordless { status, .. } => (
                Outcome::Inconclusive,
                "no-reason-given".to_owned(),
                Some(*status),
            ),
            ExchangeError::Redirected(status) => (
                Outcome::Inconclusive,
                "redirected".to_owned(),
                Some(*status),
            ),
            ExchangeError::Nonsense(_) | ExchangeError::Elsewhere { .. } => {
                (Outcome::Inconclusive, "not-a-token".to_owned(), None)
            }
            ExchangeError::Unreachable => (Outcome::Inconclusive, "unreachable".to_owned(), None),
            ExchangeError::NoAnswer => (Outcome::Unknown, "no-answer".to_owned(), None),
        };
        Self {
            intent: None,
            outcome,
            error: Some(text),
            http_status: status.map(i32::from),
            expires_in: None,
        }
    }

    fn not_sent(why: &impl std::fmt::Display) -> Self {
        Self {
            intent: None,
            outcome: Outcome::Inconclusive,
            error: Some(format!("not sent: {why}")),
            http_status: None,
            expires_in: None,
        }
    }
}

impl Rotations {
    /// Makes an exchange with one of the two keys. What it brought is recorded with
    /// [`probed`](Self::probed).
    pub(super) async fn probe(
        &self,
        id: RotationId,
        role: Role,
        caller: &Caller,
        request: RequestDigest,
    ) -> Result<(ProbeId, Seen), RotationError> {
        let rotation = self.show(id).await?;
        let client = self.client(&rotation).await?;
        let key = self.probed_key(&rotation, role).await?;
        let resource = key.resource();
        let permit = self.0.rights.ask(caller, Action::ProbeKey, &resource)?;
        let clients = &self.0.clients;
        let client_id = client.client_id.clone();
        let environment = clients.environment(&client)?;
        let kid = clients.kid(key.id).await?;
        if let (Kid::Literal(literal), None, Role::New) = (&environment.kid, &kid, role) {
            // A refusal of another key's kid would say nothing of this key.
            return Err(RotationError::NotReady(format!(
                "the environment's kid, {literal:?}, is another key's: record this one's (confirm --kid)"
            )));
        }
        let endpoint = TokenEndpoint::open(environment)?;
        let as_client = Client {
            key: key.clone(),
            kid,
            ..client
        };
        let draft = clients.draft(as_client, Errand::Probe)?;
        let probe = self.begin_probe(&rotation, role, &key, &permit).await?;
        fail_point!("rotation-probe-begun");
        let seen = self
            .exchange(&endpoint, &client_id, draft, caller, request)
            .await;
        fail_point!("rotation-probe-answered");
        Ok((probe, seen))
    }

    async fn probed_key(&self, rotation: &Rotation, role: Role) -> Result<Key, RotationError> {
        let not_yet = |what: &str| RotationError::NotReady(what.to_owned());
        if rotation.state == State::Closed {
            return Err(not_yet("it is closed, and there is nothing left to prove"));
        }
        let id = match role {
            Role::Old => rotation.old_key,
            Role::New => rotation
                .new_key
                .ok_or_else(|| not_yet("there is no new key yet: have it made (generate)"))?,
        };
        let key = self.key(id).await?;
        if key.public_key.is_none() {
            return Err(not_yet("there is no new key yet: have it made (generate)"));
        }
        Ok(key)
    }

    /// Puts a probe on record, unless one was begun a moment ago.
    async fn begin_probe(
        &self,
        rotation: &Rotation,
        role: Role,
        key: &Key,
        permit: &Permit,
    ) -> Result<ProbeId, RotationError> {
        let mut change = self.0.log.begin(Gate::Shared, permit.author()).await?;
        let probe = async {
            self.lock(rotation.id, &mut change).await?; // one at a time
            let every_s = self.0.settings.probe_every_s;
            if let Some(retry_after_s) =
                records::probed_lately(key.id, every_s, change.tx()).await?
            {
                return Err(RotationError::ProbedLately { retry_after_s });
            }
            let probe = ProbeId::new();
            records::insert_probe(
                probe,
                rotation.id,
                key.id,
                role,
                permit.author().id(),
                change.tx(),
            )
            .await?;
            let details = serde_json::json!({ "probe": probe, "key": key.id, "role": role });
            change.note("begin-probe", rotation.id, &details);
            Ok(probe)
        };
        match probe.await {
            Ok(probe) => {
                change.commit().await?;
                Ok(probe)
            }
            Err(error) => {
                change.abandon().await;
                Err(error)
            }
        }
    }

    /// One exchange. The token does not leave this function.
    async fn exchange(
        &self,
        endpoint: &TokenEndpoint,
        client_id: &str,
        draft: AssertionDraft,
        caller: &Caller,
        request: RequestDigest,
    ) -> Seen {
        let asked = SigningRequest::once(request);
        let signed = match self.0.signer.sign(caller, Box::new(draft), asked).await {
            Ok(signed) => signed,
            Err(error) => return Seen::not_sent(&error),
        };
        let intent = Some(issuing::id_of(&signed));
        let answer = endpoint
            .exchange(client_id, &issuing::taken(&signed), &[])
            .await;
        let seen = match answer {
            Ok(granted) => Seen {
                intent: None,
                outcome: Outcome::Succeeded,
                error: None,
                http_status: Some(200),
                expires_in: granted.expires_in.and_then(|it| i32::try_from(it).ok()),
            },
            Err(error) => Seen::of(&error),
        };
        Seen { intent, ..seen }
    }

    /// Records what a probe brought, and takes the step that it proves.
    pub(super) async fn probed(
        &self,
        id: RotationId,
        probe: ProbeId,
        seen: &Seen,
        change: &mut Change,
    ) -> Result<(Probe, Rotation), RotationError> {
        let rotation = self.lock(id, change).await?;
        records::settle_probe(probe, seen, change.tx()).await?;
        let probes = records::probes_in(id, change.tx()).await?;
        let settled = probes.iter().find(|it| it.id == probe);
        let settled = settled.ok_or(RotationError::NotFound)?.clone();
        let details = serde_json::json!({
            "probe": probe, "key": settled.key, "role": settled.role, "outcome": seen.outcome,
            "error": seen.error, "status": seen.http_status, "intent": seen.intent,
        });
        change.note("probe-key", id, &details);

        let steps = super::records::steps_in(id, change.tx()).await?;
        let asked = steps.iter().find(|it| it.step == Step::AskRemoval);
        if asked.is_some() {
            let goes = rotation.goes() == settled.role;
            let alarm = match (goes, seen.outcome) {
                (true, Outcome::Succeeded) => "still-taken",
                (false, Outcome::Refused) => "wrong-key-removed",
                _ => "",
            };
            if !alarm.is_empty() {
                tracing::error!(rotation.id = %id, key.id = %settled.key, probe.id = %probe, alarm,
                    "the counterparty takes the key that was to go, or refuses the one that stays");
                let alarm = format!("{alarm} {probe}");
                super::records::raise_alarm(id, rotation.seq, &alarm, change.tx()).await?;
            }
        }
        let confirmed = steps.iter().any(|it| it.step == Step::Confirm);
        let moved = if rotation.state == State::Submitted
            && settled.role == Role::New
            && seen.outcome == Outcome::Succeeded
            && confirmed
        {
            let evidence = Proved {
                probe,
                reason: None,
            };
            let to = State::Registered;
            self.take(&rotation, Step::Probe, to, &evidence, change)
                .await?
        } else {
            rotation
        };
        Ok((settled, moved))
    }
}

#[cfg(test)]
mod tests;
