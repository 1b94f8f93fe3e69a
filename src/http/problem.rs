//! Every refusal as a problem document (RFC 9457): a stable type, what is wrong, what to do (P10).
//!
//! The `match`es name every variant, so that a new error makes the compiler ask what callers may
//! see. Causes and context go to the log, under the same request id.

use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::approvals::ApprovalNeeded;
use crate::attestation::AttestationError;
use crate::callers::CallerError;
use crate::clob::OrderError;
use crate::clob::api_keys::ApiKeyError;
use crate::clob::builders::BuilderError;
use crate::clob::drains::DrainError;
use crate::clob::l2::RequestRefused;
use crate::clob::making::NotMade;
use crate::clob::market::MarketError;
use crate::clob::terms::TermsError;
use crate::clob::typed_data::TypedDataError;
use crate::clob::venue::VenueError;
use crate::clob::wallets::{FunderError, Wallet, WalletError};
use crate::credentials::LoginRefused;
use crate::custody::CustodyError;
use crate::destruction::DestructionError;
use crate::keys::{BadPeriod, KeyError};
use crate::ledger::LedgerError;
use crate::name::Name;
use crate::oauth::broker::{Diagnosis, FetchError, Rejected, TokenError};
use crate::oauth::clients::ClientError;
use crate::oauth::exchange::ExchangeError;
use crate::oauth::scopes::UnknownEndpoint;
use crate::policy::Denied;
use crate::resealing::ResealingError;
use crate::rotations::RotationError;
use crate::rotations::wallet::WalletRotationError;
use crate::signing::SigningError;

/// A kind of problem. Its document is served under `/problems/{name}`.
#[derive(Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Kind {
    /// The last part of `type`. Stable.
    pub name: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// What to do.
    pub action: &'static str,
}

macro_rules! kinds {
    ($($constant:ident $name:literal $status:literal $title:literal $action:literal;)*) => {
        $(pub(super) const $constant: Kind = Kind {
            name: $name, status: $status, title: $title, action: $action,
        };)*

        /// All kinds of problems, in the order of the file.
        pub const CATALOGUE: &[&Kind] = &[$(&$constant),*];
    };
}

kinds! {
    MALFORMED_BODY "malformed-body" 400 "The body is not the JSON that this operation takes"
        "Correct what the detail names; /openapi.json has the shape.";
    MALFORMED_HEADER "malformed-header" 400 "A header does not have the form it needs"
        "Correct the header that the detail names.";
    MALFORMED_QUERY "malformed-query" 400 "The query is not one that this operation takes"
        "Correct what the detail names; /openapi.json has the parameters.";
    IDEMPOTENCY_KEY_MISSING "idempotency-key-missing" 400 "This operation needs an Idempotency-Key"
        "Send a header Idempotency-Key with a fresh value for each new request, and the same value when you repeat one.";
    NOT_AUTHENTICATED "not-authenticated" 401 "Who is calling is not known"
        "Send a header Authorization: Bearer with a token that was neither revoked nor has expired.";
    SCOPE_DENIED "scope-denied" 403 "The policy does not permit a token with this scope"
        "Ask for less, or ask an operator for the right to the scopes that the detail names.";
    SCOPE_NOT_GRANTED "scope-not-granted" 403 "The authorization server does not grant the application this scope or audience"
        "Ask for less; if the application needs it, have whoever runs the client ask the Exchange for the grant, then ask with refresh = true.";
    DENIED "denied" 403 "The policy does not permit this"
        "Ask an operator for the right, naming the action in the detail.";
    APPROVAL_NEEDED "approval-needed" 403 "A second person has to agree"
        "Have somebody else approve, or set [approvals] single_operator where one operator is accepted.";
    NOT_FOUND "not-found" 404 "There is no such thing, or it is not for you"
        "Check the name; if it is right, ask an operator for the right to see it.";
    UNKNOWN_ENDPOINT "unknown-endpoint" 404 "The Exchange API documents no such endpoint"
        "Compare it with those that the detail names; GET /v1/exchange/endpoints lists all of them.";
    METHOD_NOT_ALLOWED "method-not-allowed" 405 "This resource does not take that method"
        "/openapi.json lists the methods.";
    NAME_TAKEN "name-taken" 409 "Something has this name already"
        "Choose another name, or use what exists.";
    KEY_NOT_ACTIVE "key-not-active" 409 "The key does not sign in its present state"
        "Have an operator activate the key or move the wallet or client to one that is active.";
    KEY_EXPIRED "key-expired" 409 "The key's cryptoperiod has ended"
        "Rotate the key.";
    KEY_EPOCH_CHANGED "key-epoch-changed" 409 "The key changed while the request was under way"
        "Nothing was signed. Repeat the request.";
    KEY_CHANGED "key-changed" 409 "The key changed while the request was under way"
        "Look at the key again, and repeat the request if it still makes sense.";
    NO_IMPORT "no-import" 409 "No private key is waited for under this name"
        "Begin the import (again); an offer stands for 15 minutes, and is taken once.";
    NOT_A_STEP "not-a-step" 409 "A key does not go from its state to that one"
        "Look at the key's state; the detail names both.";
    KEY_IN_USE "key-in-use" 409 "Something still depends on the key"
        "The detail lists what, and GET /v1/keys/{key}/destruction says what to do about each. What only you can know, you may accept.";
    WALLET_REPLACED "wallet-replaced" 409 "Another wallet has taken this one's place"
        "Sign with the wallet that the detail names. Orders of this one can still be read and cancelled while it is drained.";
    ORDERS_OPEN "orders-open" 409 "Orders are open, or could be signed"
        "Cut over or stop the key first; if the CLOB lists orders that it does not cancel, repeat, or have two people say why none counts.";
    DESTRUCTION_BEGUN "destruction-begun" 409 "The key's destruction has begun"
        "Nothing stops it any more. GET /v1/keys/{key}/destruction says how far it is.";
    WALLET_IN_USE "wallet-in-use" 409 "The wallet is not over"
        "Rotate it, or drain it and deactivate its key; then close it.";
    ROTATION_OPEN "rotation-open" 409 "A rotation of it is open"
        "Go on with that one (GET /v1/rotations?open=true), or abandon it.";
    NO_SUCH_STEP "no-such-step" 409 "A rotation does not take this step where it stands"
        "Look at the rotation: its status says what is next.";
    ROTATION_NOT_READY "rotation-not-ready" 409 "Something is missing before the step can be taken"
        "Do what the detail says; after Retry-After seconds, where there is one.";
    ROTATION_CHANGED "rotation-changed" 409 "The rotation took another step meanwhile"
        "Look at the rotation again, and repeat the request if it still makes sense.";
    KEY_LEFT_BEHIND "key-left-behind" 409 "The counterparty may still have the key of a rotation that was given up"
        "Have it removed: ask-removal, probe and prove-removal on the rotation that the detail names.";
    NO_CREDENTIAL "no-credential" 409 "There is no API key to make headers with"
        "Have an operator make or derive the wallet's API key, or give its builder's API key; the detail says which.";
    NONCE_ALREADY_USED "nonce-already-used" 409 "The nonce made an API key before"
        "Derive with the same nonce to get that key again, or create with another nonce.";
    NONCE_UNSETTLED "nonce-unsettled" 409 "What another nonce of the address did is not known yet"
        "Derive with that nonce, or repeat after Retry-After seconds, when its login can no longer take effect.";
    COULD_NOT_DERIVE "could-not-derive" 409 "The CLOB has no API key for this nonce"
        "Use a nonce that made one (GET /v1/nonces), search for it (POST /v1/wallets/{wallet}/nonce-searches), or create.";
    CREDENTIAL_NOT_USABLE "credential-not-usable" 409 "The API key cannot be used in its state"
        "Derive or create another one, and use that.";
    WOULD_REPLACE "would-replace" 409 "A new API key would end one that may be live"
        "If that is meant, say so: replaces = the API key that the detail names. If not, derive.";
    NO_STATEMENT_KEY "no-statement-key" 409 "There is no key to sign statements with"
        "Have a key for checkpoints made and activated in the environment of the key; the detail has the command.";
    DEVICE_REFUSES_KEY "device-refuses-key" 409 "The device holds the key and does not sign with it"
        "The detail says why. Have an operator enable the key in its device, take its deletion back, or rotate it; nothing was signed.";
    SEALING_KEY_IN_USE "sealing-key-in-use" 409 "Something depends on the sealing key"
        "Do what the detail says; GET /v1/custody says what rests under which key.";
    IN_FLIGHT "in-flight" 409 "The same request is being worked on"
        "Repeat it with the same Idempotency-Key after Retry-After seconds.";
    IDEMPOTENCY_KEY_REUSED "idempotency-key-reused" 409 "The Idempotency-Key stands for another request"
        "Use a fresh Idempotency-Key for a new request.";
    ANSWER_EXPIRED "answer-expired" 410 "What was signed under this key has expired"
        "Ask again with a fresh Idempotency-Key.";
    BODY_TOO_LARGE "body-too-large" 413 "The body is too large"
        "Send less; only a batch needs more than a few kilobytes.";
    UNSUPPORTED_MEDIA_TYPE "unsupported-media-type" 415 "The body is not declared as JSON"
        "Send Content-Type: application/json.";
    INVALID_FIELD "invalid-field" 422 "A field's value cannot be used"
        "Correct the field that the detail names.";
    NOT_THE_KEY "not-the-key" 422 "What was quoted or sent belongs to another key"
        "Stop. Compare with the new key's fingerprint, and find out which key the counterparty has. It is on record.";
    ORDER_REFUSED "order-refused" 422 "No such order can be signed"
        "Correct what the detail names; nothing was signed.";
    FUNDER_NOT_DERIVED "funder-not-derived" 422 "The funder is not the key's wallet of this signature type"
        "Use the funder or the signatureType that the detail names; if the funder is right all the same, say funder_unverified, which is kept on record.";
    NO_MATCH "no-match" 422 "The CLOB's book has no price for the order"
        "Nothing was signed. Ask for less, take a part with FAK, or name a price.";
    VENUE_CONTRADICTS "venue-contradicts" 422 "The CLOB says something else of this market"
        "Correct what the detail names, or leave it out to have it looked up; nothing was signed.";
    TYPED_DATA_REFUSED "typed-data-refused" 422 "This typed data is not signed here"
        "Send an order or a login as the official CLOB clients make them, for one of your wallets; the detail says what differs.";
    RPC_METHOD_UNSUPPORTED "rpc-method-unsupported" 422 "This JSON-RPC method is not offered"
        "Sign orders and logins with eth_signTypedData_v4; send everything else to a node of the chain.";
    IMPORT_REFUSED "import-refused" 422 "What was brought is not taken"
        "Begin the import again, and wrap the announced key as the offer says; the detail says what is wrong.";
    NOT_ADOPTABLE "not-adoptable" 422 "This is not a key that is taken over"
        "The detail says what is wrong with it. What is taken is a key on record nowhere else that does nothing but sign, named by its ARN in KMS and by its pkcs11: URI in a token.";
    DEVICE_CANNOT "device-cannot" 422 "This kind of device cannot do that"
        "Use a device that can; the detail says what is meant.";
    VENUE_NOT_CONFIGURED "venue-not-configured" 422 "No CLOB is configured for the wallet's chain"
        "Say what would have been looked up (tickSize, negRisk, price), or have an operator add [clob.polygon] or [clob.amoy].";
    INVALID_SCOPE "invalid-scope" 422 "What was asked for are no scopes"
        "Send scope as names with one space between them; GET /v1/exchange/scopes lists those that are documented.";
    TOKEN_REFRESHED "token-refreshed" 429 "The token was replaced moments ago"
        "Repeat after Retry-After seconds. A new token that is refused as well is not the cause: POST /v1/exchange/explain tells the API's refusals apart.";
    PROBED_LATELY "probed-lately" 429 "The key was probed a moment ago"
        "Nothing was sent. Repeat after Retry-After seconds.";
    SIGNATURE_INVALID "signature-invalid" 500 "The device's signature does not verify"
        "Nothing left the service. Operators have been alarmed; do not repeat before they answer.";
    INTERNAL "internal" 500 "The service made a mistake"
        "Report it with the X-Request-Id of this answer.";
    COULD_NOT_CREATE "could-not-create" 502 "The CLOB neither makes an API key with this nonce nor has one"
        "Look at the detail; create with another nonce if the wallet is in order at the CLOB.";
    LOGIN_REFUSED "login-refused" 502 "The CLOB does not recognise the login"
        "Compare the chain, the wallet's address and the clocks: `chancery doctor` and the detail have them. Nothing took effect.";
    FUNDER_REFUSED "funder-refused" 502 "The CLOB does not know the wallet's funder"
        "Compare the funder with the address in the account's profile; an account that never logged in has to be deployed first.";
    VENUE_REFUSED "venue-refused" 502 "The CLOB refused"
        "The detail has its words. Correct what they name; nothing took effect.";
    VENUE_EDGE "venue-edge" 502 "Something in front of the CLOB answered in its place"
        "Its web firewall or a proxy refuses this address: ask whoever runs the network. Repeat with the same Idempotency-Key.";
    VENUE_ANSWER "venue-answer" 502 "The CLOB's answer is not what it should be"
        "Repeat with the same Idempotency-Key; if it lasts, the CLOB has changed: tell an operator.";
    VENUE_VERSION "venue-version" 502 "The CLOB takes orders of a version that is not followed"
        "Name a version if you know that it still takes that one; otherwise have an operator upgrade the service.";
    CLIENT_REJECTED "client-rejected" 502 "The authorization server does not accept the client's key (invalid_client)"
        "Compare the key with what the Exchange has registered (GET /v1/clients/{client}): not registered, not enabled, removed or expired; or its server takes another aud. The member exchange has what was sent. It is tried again after Retry-After seconds.";
    ASSERTION_REJECTED "assertion-rejected" 502 "The authorization server does not accept the assertion (invalid_client_assertion)"
        "Compare the claims and the clocks in the member exchange with the environment's configuration: assertion_aud, client_id, lifetime_s. It is tried again after Retry-After seconds.";
    TOKEN_REQUEST_REFUSED "token-request-refused" 502 "The authorization server does not understand the token request"
        "An operator has to look: token_endpoint and token_request of the environment, or the server has changed.";
    TOKEN_ENDPOINT_ANSWER "token-endpoint-answer" 502 "The token endpoint's answer is not a token"
        "Something in front of the server answered, or it has changed. Repeat after Retry-After seconds; if it lasts, tell an operator.";
    TOKEN_ENDPOINT_REDIRECT "token-endpoint-redirect" 502 "The token endpoint answered with a redirect, which is not followed"
        "An operator has to look at once: the environment's token_endpoint is wrong, or somebody wants the assertions elsewhere.";
    BUSY "busy" 503 "Too much is waiting already"
        "Nothing was signed. Repeat after Retry-After seconds.";
    DEVICE_UNAVAILABLE "device-unavailable" 503 "The device that holds the key is not available"
        "Nothing was released. Repeat with the same Idempotency-Key after Retry-After seconds; if it lasts, tell an operator.";
    SEALING_KEY_MISSING "sealing-key-missing" 503 "What is needed is sealed under a key that is not there"
        "Nothing was signed. Tell an operator; the log says which key is missing.";
    DEVICE_THROTTLED "device-throttled" 503 "The device takes no more for now"
        "Nothing was signed. Repeat after Retry-After seconds; if it lasts, have an operator raise the device's quota.";
    CREDENTIAL_UNKNOWN "credential-unknown" 503 "Whether the CLOB made the API key is not known yet"
        "Repeat with the same Idempotency-Key: the nonce is on record, and what it made is found by deriving.";
    VENUE_UNAVAILABLE "venue-unavailable" 503 "The CLOB cannot be reached, or does not answer"
        "Repeat with the same Idempotency-Key after Retry-After seconds. Where the CLOB may have acted, the answer says what it did.";
    TOKEN_ENDPOINT_THROTTLED "token-endpoint-throttled" 503 "The authorization server asks for fewer requests"
        "Repeat after Retry-After seconds, not before: the quota is the application's, and everybody shares it.";
    TOKEN_ENDPOINT_UNAVAILABLE "token-endpoint-unavailable" 503 "The token endpoint cannot be reached, or does not answer"
        "Repeat after Retry-After seconds; if it lasts, tell an operator.";
    LEDGER_UNAVAILABLE "ledger-unavailable" 503 "The database is not available"
        "Nothing was released. Repeat with the same Idempotency-Key after Retry-After seconds.";
    OUTCOME_UNKNOWN "outcome-unknown" 503 "Whether the request took effect is not known yet"
        "Repeat it with the same Idempotency-Key: you get the one answer there is.";
    DEVICE_TIMED_OUT "device-timed-out" 504 "The device did not answer in time"
        "Nothing was released. Repeat with the same Idempotency-Key.";
    DEADLINE_EXCEEDED "deadline-exceeded" 504 "There was no answer within the deadline"
        "The work goes on. Repeat with the same Idempotency-Key to get its answer.";
}

/// A problem with this request.
#[derive(Debug)]
pub struct Problem {
    kind: &'static Kind,
    detail: String,
    retry_after_s: Option<u32>,
    with_error: bool,
    exchange: Option<Arc<Rejected>>,
}

/// A wallet that was replaced, and by which.
pub(super) struct Replaced {
    wallet: Name,
    by: Name,
}

impl Replaced {
    /// Whether this wallet was.
    pub(super) fn is(wallet: &Wallet) -> Option<Self> {
        let (wallet, by) = (wallet.name.clone(), wallet.successor.clone()?);
        Some(Self { wallet, by })
    }
}

/// The document (RFC 9457, section 3).
#[derive(Serialize, utoipa::ToSchema)]
pub struct Document<'a> {
    /// A reference to the kind's description, relative to the service.
    #[serde(rename = "type")]
    pub kind: String,
    /// What is wrong, in a few words; the same for all problems of this type.
    pub title: &'a str,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong with this request.
    pub detail: &'a str,
    /// What to do.
    pub action: &'a str,
    /// The detail once more, for clients of the remote builder-signing protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
    /// What was sent to the authorization server, where that refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange: Option<&'a Diagnosis>,
}

impl Problem {
    pub(super) fn new(kind: &'static Kind, detail: impl std::fmt::Display) -> Self {
        Self {
            kind,
            detail: detail.to_string(),
            retry_after_s: None,
            with_error: false,
            exchange: None,
        }
    }

    fn retry_after(self, seconds: u32) -> Self {
        Self {
            retry_after_s: Some(seconds),
            ..self
        }
    }

    /// With a member `error`.
    pub(super) fn with_error(self) -> Self {
        Self {
            with_error: true,
            ..self
        }
    }

    /// What is not there, and what may not be seen: the same bytes.
    pub(super) fn not_found(what: &str) -> Self {
        Self::new(&NOT_FOUND, format!("no such {what}, or it is not for you"))
    }

    /// Why nothing was signed with a wallet: where another one has taken its place, that is said.
    pub(super) fn of_wallet(error: SigningError, replaced: Option<&Replaced>) -> Self {
        match (&error, replaced) {
            (SigningError::KeyNotActive(state), Some(Replaced { wallet, by })) => {
                let detail =
                    format!("{wallet}, whose key is {state}, was replaced: {by} signs now");
                Self::new(&WALLET_REPLACED, detail)
            }
            _ => error.into(),
        }
    }

    pub(super) fn busy() -> Self {
        Self::new(&BUSY, "the service is at its limit of concurrent requests").retry_after(1)
    }

    pub(super) fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// What the caller reads of it.
    pub(super) fn document(&self) -> Document<'_> {
        Document {
            kind: format!("/problems/{}", self.kind.name),
            title: self.kind.title,
            status: self.kind.status,
            detail: &self.detail,
            action: self.kind.action,
            error: self.with_error.then_some(self.detail.as_str()),
            exchange: self.exchange.as_ref().map(|it| &it.diagnosis),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.document())).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(Arc::new(self)); // where it is to be said in another form
        response
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        Self::new(&DENIED, denied)
    }
}

impl From<ApprovalNeeded> for Problem {
    fn from(needed: ApprovalNeeded) -> Self {
        Self::new(&APPROVAL_NEEDED, needed)
    }
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        Self::new(&ORDER_REFUSED, error)
    }
}

impl From<NotMade> for Problem {
    fn from(error: NotMade) -> Self {
        match error {
            NotMade::Order(error @ OrderError::NoMatch(_)) => Self::new(&NO_MATCH, error),
            NotMade::Order(error) => error.into(),
            NotMade::Market(error) => error.into(),
        }
    }
}

impl From<MarketError> for Problem {
    fn from(error: MarketError) -> Self {
        let detail = error.to_string();
        match error {
            MarketError::Venue { field: _, error } => Self {
                detail,
                ..error.into()
            },
            MarketError::NotSaid { .. } | MarketError::Terms(TermsError::Missing(_)) => {
                Self::new(&VENUE_NOT_CONFIGURED, detail)
            }
            MarketError::Terms(TermsError::Contradiction { .. }) => {
                Self::new(&VENUE_CONTRADICTS, detail)
            }
            MarketError::UnknownVersion(_) => Self::new(&VENUE_VERSION, detail),
        }
    }
}

impl From<TypedDataError> for Problem {
    fn from(error: TypedDataError) -> Self {
        Self::new(&TYPED_DATA_REFUSED, error)
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Unavailable(_) | LedgerError::Aborted(_) => {
                tracing::warn!(%error, "the ledger is unavailable");
                Self::new(&LEDGER_UNAVAILABLE, "nothing was committed").retry_after(1)
            }
            LedgerError::OutcomeUnknown => Self::new(&OUTCOME_UNKNOWN, error).retry_after(1),
            LedgerError::Violation(_) | LedgerError::Schema(_) | LedgerError::Corrupt(..) => {
                tracing::error!(%error, "the ledger does not hold what it should");
                Self::new(&INTERNAL, "the ledger does not hold what it should")
            }
        }
    }
}

impl From<CustodyError> for Problem {
    fn from(error: CustodyError) -> Self {
        match error {
            CustodyError::Busy => Self::new(&BUSY, "the device's queue is full").retry_after(1),
            CustodyError::TimedOut => Self::new(&DEVICE_TIMED_OUT, error),
            CustodyError::Throttled { retry_after } => {
                let seconds = retry_after.as_millis().div_ceil(1000).clamp(1, 60);
                Self::new(&DEVICE_THROTTLED, error)
                    .retry_after(u32::try_from(seconds).unwrap_or(60))
            }
            CustodyError::Disabled(_)
            | CustodyError::PendingDeletion(_)
            | CustodyError::WrongUsage(_) => {
                tracing::error!(%error, "a device does not sign with a key that is on record");
                Self::new(&DEVICE_REFUSES_KEY, error)
            }
            CustodyError::Unsupported(_) => Self::new(&DEVICE_CANNOT, error),
            CustodyError::NotAdoptable(_) => Self::new(&NOT_ADOPTABLE, error),
            CustodyError::DoesNotUnwrap | CustodyError::NotTheKey(_) => {
                Self::new(&IMPORT_REFUSED, error)
            }
            CustodyError::Unavailable(_) => {
                tracing::warn!(%error, "a device is unavailable");
                Self::new(&DEVICE_UNAVAILABLE, "the device does not answer").retry_after(5)
            }
            CustodyError::SealingKeyMissing(_) => {
                tracing::error!(%error, "a device's sealing key is missing");
                let detail = "what it takes was sealed under a key that is not there";
                Self::new(&SEALING_KEY_MISSING, detail).retry_after(60)
            }
            CustodyError::NotFound { .. }
            | CustodyError::PinRefused
            | CustodyError::AccessDenied(_)
            | CustodyError::Refused(_)
            | CustodyError::Nonsense(_)
            | CustodyError::NotASignature(_)
            | CustodyError::DoesNotOpen
            | CustodyError::WrongPayload(_) => {
                tracing::error!(%error, "a device needs an operator");
                Self::new(&DEVICE_UNAVAILABLE, "the device needs an operator").retry_after(60)
            }
        }
    }
}

impl From<VenueError> for Problem {
    fn from(error: VenueError) -> Self {
        match error {
            VenueError::NotConfigured(_) => Self::new(&VENUE_NOT_CONFIGURED, error),
            VenueError::Refused { .. } => Self::new(&VENUE_REFUSED, error),
            VenueError::Edge(_) => Self::new(&VENUE_EDGE, error),
            VenueError::Nonsense(_) => Self::new(&VENUE_ANSWER, error),
            VenueError::Throttled { retry_after_s } => {
                Self::new(&VENUE_UNAVAILABLE, error).retry_after(retry_after_s.unwrap_or(1))
            }
            VenueError::Unreachable | VenueError::NoAnswer | VenueError::Down { .. } => {
                Self::new(&VENUE_UNAVAILABLE, error).retry_after(1)
            }
        }
    }
}

impl From<ApiKeyError> for Problem {
    fn from(error: ApiKeyError) -> Self {
        match error {
            ApiKeyError::NotDerived { .. } => Self::new(&COULD_NOT_DERIVE, error),
            ApiKeyError::UsedElsewhere { .. } => Self::new(&NONCE_ALREADY_USED, error),
            ApiKeyError::NotCreated { .. } => Self::new(&COULD_NOT_CREATE, error),
            ApiKeyError::LoginRefused { .. } => Self::new(&LOGIN_REFUSED, error),
            ApiKeyError::Funder(_) => Self::new(&FUNDER_REFUSED, error),
            ApiKeyError::Unknown(_) => Self::new(&CREDENTIAL_UNKNOWN, error).retry_after(2),
            ApiKeyError::Contradiction(_) => Self::new(&VENUE_ANSWER, error),
            ApiKeyError::Bounds => Self::new(&INVALID_FIELD, format!("to: {error}")),
            ApiKeyError::NotFound => Self::not_found("API key or search"),
            ApiKeyError::NotUsable(_) => Self::new(&CREDENTIAL_NOT_USABLE, error),
            ApiKeyError::ApprovalNeeded(needed) => needed.into(),
            ApiKeyError::Venue(error) => error.into(),
            ApiKeyError::Signing(error) => error.into(),
            ApiKeyError::Custody(error) => error.into(),
            ApiKeyError::Ledger(error) => error.into(),
        }
    }
}

impl From<LoginRefused> for Problem {
    fn from(refused: LoginRefused) -> Self {
        match refused {
            LoginRefused::AlreadyMade { .. } => Self::new(&NONCE_ALREADY_USED, refused),
            LoginRefused::NotMade(_) => Self::new(&DENIED, refused),
            LoginRefused::Unsettled { .. } => Self::new(&NONCE_UNSETTLED, refused).retry_after(30),
            LoginRefused::WouldReplace { .. } => Self::new(&WOULD_REPLACE, refused),
        }
    }
}

impl From<RequestRefused> for Problem {
    fn from(refused: RequestRefused) -> Self {
        match refused {
            RequestRefused::Method
            | RequestRefused::Query
            | RequestRefused::Path
            | RequestRefused::Body
            | RequestRefused::Envelope
            | RequestRefused::Owner(_)
            | RequestRefused::Timestamp(_) => Self::new(&INVALID_FIELD, refused),
        }
    }
}

impl From<BuilderError> for Problem {
    fn from(error: BuilderError) -> Self {
        match error {
            BuilderError::ApiKey | BuilderError::Secret | BuilderError::Passphrase => {
                Self::new(&INVALID_FIELD, error)
            }
            BuilderError::Changed => Self::new(&IN_FLIGHT, error).retry_after(1),
            BuilderError::Which(_) => Self::new(&NO_CREDENTIAL, error),
            BuilderError::ApprovalNeeded(needed) => needed.into(),
            BuilderError::Custody(error) => error.into(),
            BuilderError::Ledger(error) => error.into(),
        }
    }
}

impl From<SigningError> for Problem {
    fn from(error: SigningError) -> Self {
        match error {
            SigningError::Denied(denied) => denied.into(),
            SigningError::Busy => Self::new(&BUSY, error).retry_after(1),
            SigningError::KeyNotActive(_) => Self::new(&KEY_NOT_ACTIVE, error),
            SigningError::KeyExpired => Self::new(&KEY_EXPIRED, error),
            SigningError::KeyEpochChanged => Self::new(&KEY_EPOCH_CHANGED, error),
            SigningError::CallerRevoked => Self::new(&NOT_AUTHENTICATED, error),
            SigningError::Login(refused) => refused.into(),
            SigningError::KeyReused => Self::new(&IDEMPOTENCY_KEY_REUSED, error),
            SigningError::InFlight => Self::new(&IN_FLIGHT, error).retry_after(1),
            SigningError::AnswerExpired => Self::new(&ANSWER_EXPIRED, error),
            SigningError::Custody(error) => error.into(),
            SigningError::BadSignature(_) => Self::new(&SIGNATURE_INVALID, "nothing was released"),
            SigningError::Late => {
                Self::new(&DEVICE_TIMED_OUT, "the device was too slow, twice").retry_after(1)
            }
            SigningError::LeaseLost | SigningError::DeadlineExceeded => {
                Self::new(&DEADLINE_EXCEEDED, error).retry_after(1)
            }
            SigningError::Ledger(error) => error.into(),
        }
    }
}

impl From<ResealingError> for Problem {
    fn from(error: ResealingError) -> Self {
        match error {
            ResealingError::NoSuchDevice => Self::not_found("device"),
            ResealingError::NoSuchKey => Self::not_found("sealing key"),
            ResealingError::InUse(_) => Self::new(&SEALING_KEY_IN_USE, error),
            ResealingError::ApprovalNeeded(needed) => needed.into(),
            ResealingError::Custody(error) => error.into(),
            ResealingError::Ledger(error) => error.into(),
        }
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::NameTaken => Self::new(&NAME_TAKEN, error),
            KeyError::OnRecord | KeyError::WasCompromised => Self::new(&NOT_ADOPTABLE, error),
            KeyError::NoImport => Self::new(&NO_IMPORT, error),
            KeyError::ImportUnderWay => Self::new(&IN_FLIGHT, error).retry_after(5),
            KeyError::NotFound => Self::not_found("key"),
            KeyError::WrongAlgorithm => Self::new(&INVALID_FIELD, format!("algorithm: {error}")),
            KeyError::Cryptoperiod(_)
            | KeyError::Reserved(_)
            | KeyError::NoSuchDevice { .. }
            | KeyError::NotAPublicKey => Self::new(&INVALID_FIELD, error),
            KeyError::BadPeriod(bad) => match bad {
                BadPeriod::State(_) | BadPeriod::Over => Self::new(&KEY_EXPIRED, bad),
                BadPeriod::Past | BadPeriod::Same | BadPeriod::TooLong(_) => {
                    Self::new(&INVALID_FIELD, bad)
                }
            },
            KeyError::BeingMade { retry_after_s } => {
                Self::new(&IN_FLIGHT, error).retry_after(retry_after_s)
            }
            KeyError::NotAStep(_)
            | KeyError::NotSwitched { .. }
            | KeyError::NeverMade
            | KeyError::NoOrphan => Self::new(&NOT_A_STEP, error),
            KeyError::Changed => Self::new(&KEY_CHANGED, error),
            KeyError::ApprovalNeeded(needed) => needed.into(),
            KeyError::Custody(error) => error.into(),
            KeyError::Ledger(error) => error.into(),
        }
    }
}

impl From<AttestationError> for Problem {
    fn from(error: AttestationError) -> Self {
        match error {
            AttestationError::NoStatementKey(_) => Self::new(&NO_STATEMENT_KEY, error),
            AttestationError::Gone(_) | AttestationError::NeverMade => {
                Self::new(&KEY_NOT_ACTIVE, error)
            }
            AttestationError::Custody(error) => error.into(),
            AttestationError::Signing(error) => error.into(),
            AttestationError::Key(error) => error.into(),
            AttestationError::Ledger(error) => error.into(),
        }
    }
}

impl From<WalletRotationError> for Problem {
    fn from(error: WalletRotationError) -> Self {
        match error {
            WalletRotationError::None => Self::not_found("rotation"),
            WalletRotationError::Over => Self::new(&WALLET_REPLACED, error),
            WalletRotationError::Others(_)
            | WalletRotationError::NewKeyNotActive(_)
            | WalletRotationError::CredentialLives(_) => Self::new(&ROTATION_NOT_READY, error),
            WalletRotationError::Rotation(error) => error.into(),
            WalletRotationError::Wallet(error) => error.into(),
            WalletRotationError::Key(error) => error.into(),
            WalletRotationError::Drain(error) => error.into(),
            WalletRotationError::ApiKey(error) => error.into(),
            WalletRotationError::Ledger(error) => error.into(),
        }
    }
}

impl From<DrainError> for Problem {
    fn from(error: DrainError) -> Self {
        match error {
            DrainError::TakesOrders(_) | DrainError::Remain(_) => Self::new(&ORDERS_OPEN, error),
            DrainError::Changed => Self::new(&KEY_CHANGED, error),
            DrainError::ApiKey(error) => error.into(),
            DrainError::ApprovalNeeded(needed) => needed.into(),
            DrainError::Ledger(error) => error.into(),
        }
    }
}

impl From<DestructionError> for Problem {
    fn from(error: DestructionError) -> Self {
        match error {
            DestructionError::InTheWay(_) => Self::new(&KEY_IN_USE, error),
            DestructionError::NotAcceptable(_) => Self::new(&INVALID_FIELD, error),
            DestructionError::Begun => Self::new(&DESTRUCTION_BEGUN, error),
            DestructionError::NotPending(_) => Self::new(&NOT_A_STEP, error),
            DestructionError::Key(error) => error.into(),
            DestructionError::ApprovalNeeded(needed) => needed.into(),
            DestructionError::Custody(error) => error.into(),
            DestructionError::Ledger(error) => error.into(),
        }
    }
}

impl From<WalletError> for Problem {
    fn from(error: WalletError) -> Self {
        match error {
            WalletError::NameTaken => Self::new(&NAME_TAKEN, error),
            WalletError::NotFound => Self::not_found("wallet"),
            WalletError::NotOver(_) | WalletError::Closed => Self::new(&WALLET_IN_USE, error),
            WalletError::WrongKey => Self::new(&INVALID_FIELD, format!("key: {error}")),
            WalletError::Profile(error) => Self::new(&INVALID_FIELD, error),
            WalletError::Funder(error) => match error {
                FunderError::Missing(..) => Self::new(&INVALID_FIELD, error),
                FunderError::NotDerived { .. } | FunderError::SessionKey(_) => {
                    Self::new(&FUNDER_NOT_DERIVED, error)
                }
            },
            WalletError::Key(error) => error.into(),
            WalletError::ApprovalNeeded(needed) => needed.into(),
            WalletError::Ledger(error) => error.into(),
        }
    }
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::NameTaken | ClientError::ClientIdTaken => Self::new(&NAME_TAKEN, error),
            ClientError::NotFound => Self::not_found("client"),
            ClientError::WrongKey => Self::new(&INVALID_FIELD, format!("key: {error}")),
            ClientError::ClientIdMalformed | ClientError::UnknownEnvironment(_) => {
                Self::new(&INVALID_FIELD, error)
            }
            ClientError::Key(error) => error.into(),
            ClientError::ApprovalNeeded(needed) => needed.into(),
            ClientError::Ledger(error) => error.into(),
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Client(error) => error.into(),
            TokenError::Scopes(error) => Self::new(&INVALID_SCOPE, error),
            TokenError::Denied(denied) => denied.into(),
            TokenError::ScopeDenied { .. } => Self::new(&SCOPE_DENIED, error),
            TokenError::NothingGranted { .. } => Self::new(&SCOPE_NOT_GRANTED, error),
            TokenError::Fetch { error, retry_after } => {
                let problem = Self::from(error);
                match retry_after {
                    // A rest of a second is over in a second, not at once.
                    Some(rest) => {
                        problem.retry_after(u32::try_from(rest.as_secs() + 1).unwrap_or(u32::MAX))
                    }
                    None => problem,
                }
            }
            TokenError::Signing(error) => error.into(),
            TokenError::UnknownToken => Self::not_found("token"),
            TokenError::TooSoon { retry_after_s } => {
                Self::new(&TOKEN_REFRESHED, error).retry_after(retry_after_s)
            }
            TokenError::Ledger(error) => error.into(),
        }
    }
}

impl From<FetchError> for Problem {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Signing(error) => error.into(),
            FetchError::Exchange(rejected) => {
                let kind = match &rejected.error {
                    ExchangeError::NotTaken(refusal)
                        if refusal.code == "invalid_client_assertion" =>
                    {
                        &ASSERTION_REJECTED
                    }
                    ExchangeError::NotTaken(_) => &CLIENT_REJECTED,
                    ExchangeError::NotGranted(_) => &SCOPE_NOT_GRANTED,
                    ExchangeError::NotUnderstood(_) => &TOKEN_REQUEST_REFUSED,
                    ExchangeError::Edge(_) | ExchangeError::Nonsense(_) => &TOKEN_ENDPOINT_ANSWER,
                    ExchangeError::Redirected(_) => &TOKEN_ENDPOINT_REDIRECT,
                    ExchangeError::Throttled { .. } => &TOKEN_ENDPOINT_THROTTLED,
                    ExchangeError::Unreachable
                    | ExchangeError::NoAnswer
                    | ExchangeError::Down(_) => &TOKEN_ENDPOINT_UNAVAILABLE,
                };
                Self {
                    exchange: Some(rejected.clone()),
                    ..Self::new(kind, &rejected.error)
                }
            }
            FetchError::Excess(_) => Self::new(&TOKEN_ENDPOINT_ANSWER, error),
            FetchError::Elsewhere => Self::new(&TOKEN_ENDPOINT_UNAVAILABLE, error).retry_after(1),
            FetchError::Ledger(error) => error.into(),
        }
    }
}

impl From<UnknownEndpoint> for Problem {
    fn from(unknown: UnknownEndpoint) -> Self {
        Self::new(&UNKNOWN_ENDPOINT, unknown)
    }
}

impl From<RotationError> for Problem {
    fn from(error: RotationError) -> Self {
        match error {
            RotationError::NotFound => Self::not_found("rotation"),
            RotationError::AlreadyOpen => Self::new(&ROTATION_OPEN, error),
            RotationError::NoSuchStep(_) => Self::new(&NO_SUCH_STEP, error),
            RotationError::Changed => Self::new(&ROTATION_CHANGED, error),
            RotationError::InFlight => Self::new(&IN_FLIGHT, error).retry_after(2),
            RotationError::NotReady(_) => Self::new(&ROTATION_NOT_READY, error),
            RotationError::Soaking { retry_after_s } => {
                Self::new(&ROTATION_NOT_READY, error).retry_after(retry_after_s)
            }
            RotationError::LeftBehind(_) => Self::new(&KEY_LEFT_BEHIND, error),
            RotationError::NotTheKey(_) => Self::new(&NOT_THE_KEY, error),
            RotationError::ProbedLately { retry_after_s } => {
                Self::new(&PROBED_LATELY, error).retry_after(retry_after_s)
            }
            RotationError::Target => Self::new(&INVALID_FIELD, error),
            RotationError::Key(error) => error.into(),
            RotationError::Client(error) => error.into(),
            RotationError::Denied(denied) => denied.into(),
            RotationError::Endpoint(_) => Self::new(&INTERNAL, error),
            RotationError::Signing(error) => error.into(),
            RotationError::ApprovalNeeded(needed) => needed.into(),
            RotationError::Ledger(error) => error.into(),
        }
    }
}

impl From<CallerError> for Problem {
    fn from(error: CallerError) -> Self {
        match error {
            CallerError::NotRecognised => Self::new(&NOT_AUTHENTICATED, error),
            CallerError::NameTaken | CallerError::AlreadyBootstrapped => {
                Self::new(&NAME_TAKEN, error)
            }
            CallerError::NotFound => Self::not_found("caller"),
            CallerError::TokenDays | CallerError::NoRole => Self::new(&INVALID_FIELD, error),
            CallerError::Ledger(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_book_has_every_problem() {
        let run_book = include_str!("../../deploy/README.md");
        for kind in CATALOGUE {
            assert!(
                run_book.contains(&format!("`{}`", kind.name)),
                "{}",
                kind.name
            );
        }
    }
}
