//! API keys of the CLOB, made, derived and deleted by the service itself.
//!
//! It promises that no nonce is lost and no live API key ends by accident (P4): every login is on
//! record before it leaves, an answer that was lost is made up for by deriving, and until a lost login
//! is settled no other nonce is used for its address. What is repeated after a crash, at whatever
//! line, ends where it would have ended.
//!
//! It **trusts** the venue's word on what a nonce made, and its clock on when a login is too old.
//!
//! # Why
//! The official clients create first and derive when that fails, on any failure; so a time-out of one
//! call makes a second key, and whoever created by mistake has ended the key that others trade with.
//! Here deriving comes first, and a create names the key that it may end.

mod answer;
mod handing_out;
mod logging_in;
mod proving;
mod records;
mod request;
pub mod search;
mod settle;

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use reqwest::Method;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

use super::l1::IssuedLogin;
use super::venue::{Call, VenueError, Venues};
use crate::approvals::ApprovalNeeded;
use crate::audit::Log;
use crate::clock::Clock;
use crate::credentials::logins::records as logins;
use crate::credentials::records as ledger;
use crate::credentials::{
    self, Account, Credential, CredentialNonce, Half, Kind, LoginRefused, Origin, Purpose,
    Replaces, State,
};
use crate::custody::{CustodyError, Vault};
use crate::fail_point;
use crate::ledger::{Gate, LedgerError};
use crate::signing::{Business, Right, Signer, SigningError};
pub use answer::{Received, Refusal};
pub use request::{CredentialMode, DeclaredNonces, KeyRequest, NewCredential, NewLogin, NewSearch};
pub use search::NonceFilter;

/// How long an API key may be refused before it is taken for dead: the venue needs minutes to know its
/// own new keys.
const GRACE: time::Duration = time::Duration::minutes(5);

/// What API keys are made with. Cheap to clone.
#[derive(Clone)]
pub struct ApiKeys(Arc<Inner>);

struct Inner {
    parts: Tools,
    /// The logins that are watched until it is known what they did.
    watched: Mutex<HashSet<(Account, CredentialNonce)>>,
}

impl Deref for Inner {
    type Target = Tools;

    fn deref(&self) -> &Tools {
        &self.parts
    }
}

/// What [`ApiKeys`] works with.
pub struct Tools {
    /// The door.
    pub signer: Signer,
    /// The CLOBs.
    pub venues: Venues,
    /// Seals the secrets.
    pub vault: Arc<Vault>,
    /// Where evidence goes.
    pub log: Log,
    /// The time.
    pub clock: Clock,
    /// What goes on when the caller has their answer.
    pub tasks: TaskTracker,
    /// Ends what waits for a venue, when the service stops.
    pub stop: CancellationToken,
}

/// How an API key came to be answered.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
#[schema(as = CredentialOrigin)]
pub enum How {
    /// It was made.
    Created,
    /// It had been made before.
    Derived,
}

/// An API key that is on record, and how it came to be answered.
pub struct Held {
    /// The API key.
    pub credential: Credential,
    /// Made or derived.
    pub how: How,
}

/// Why there is no API key, or none that is known of.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeyError {
    /// Nothing was made with the nonce.
    #[error("the CLOB has no API key for nonce {nonce} of this address{}", unless_settled(*.settled))]
    NotDerived {
        /// The nonce.
        nonce: CredentialNonce,
        /// Whether that is final. A lost login may still arrive.
        settled: bool,
    },
    /// The venue says that the nonce was used, and it was not by this service.
    #[error(
        "the CLOB says that nonce {nonce} was used; it made the API key {api_key}, which is now on record"
    )]
    UsedElsewhere {
        /// The nonce.
        nonce: CredentialNonce,
        /// What it made.
        api_key: String,
    },
    /// The venue refuses to create, and has nothing to derive.
    #[error("the CLOB neither creates an API key with nonce {nonce} nor has one: {text}")]
    NotCreated {
        /// The nonce.
        nonce: CredentialNonce,
        /// Its words.
        text: String,
    },
    /// The venue does not recognise the login.
    #[error("the CLOB refused the login: {text}{}", clock_ahead(*.ahead_s))]
    LoginRefused {
        /// Its words.
        text: String,
        /// How far our clock is ahead of the venue's, in seconds, where it told.
        ahead_s: Option<i64>,
    },
    /// The wallet has no account at the venue.
    #[error("the CLOB refused the wallet: {0}")]
    Funder(String),
    /// The login was sent and its answer lost, and deriving did not tell either.
    #[error("whether nonce {0} made an API key is not known yet: the CLOB's answer was lost")]
    Unknown(CredentialNonce),
    /// Another API key for a nonce than before.
    #[error("the CLOB answers another API key for nonce {0} than the one on record")]
    Contradiction(CredentialNonce),
    /// A search has bounds.
    #[error(
        "a search goes from a nonce to one that is not smaller, and through {} at most",
        search::NONCES_AT_MOST
    )]
    Bounds,
    /// No such API key of this address.
    #[error("no such API key of this wallet's address is on record")]
    NotFound,
    /// The API key does not work any more.
    #[error("the API key is {0}")]
    NotUsable(&'static str),
    /// A second person is needed.
    #[error(transparent)]
    ApprovalNeeded(#[from] ApprovalNeeded),
    /// The venue.
    #[error(transparent)]
    Venue(#[from] VenueError),
    /// The door.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// A device.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

fn unless_settled(settled: bool) -> &'static str {
    if settled {
        ""
    } else {
        "; a login that was lost on its way could still make one"
    }
}

fn clock_ahead(ahead_s: Option<i64>) -> String {
    match ahead_s {
        Some(s) if s.abs() > 5 => format!("; this service's clock is {s} s ahead of the CLOB's"),
        _ => String::new(),
    }
}

impl ApiKeys {
    /// What makes API keys.
    pub fn new(parts: Tools) -> Self {
        Self(Arc::new(Inner {
            parts,
            watched: Mutex::default(),
        }))
    }

    /// `createApiKey`: makes an API key with a nonce. One that may be live ends with it, so it has to
    /// be named in `replaces`.
    pub async fn create(
        &self,
        wish: &KeyRequest,
        nonce: CredentialNonce,
        replaces: Option<String>,
    ) -> Result<Held, ApiKeyError> {
        let venue = self.venue(wish)?;
        wish.permit.loosen()?;
        self.settle_others(wish, nonce).await?;
        let lost = self.unsettled(wish).await?;
        let ours = lost.iter().any(|(lost, _)| *lost == nonce);
        let replaces = replaces.map_or(Replaces::Nothing, Replaces::Key);
        let login = self.log_in(wish, nonce, Purpose::Create, replaces, Origin::Signed);
        let login = match login.await {
            Err(ApiKeyError::Signing(SigningError::Login(LoginRefused::AlreadyMade {
                nonce,
                api_key,
            }))) => {
                let account = wish.wallet.account();
                let own = logins::was_asked_for_by(&account, nonce, &wish.request, self.ledger());
                return if own.await? {
                    let credential = self.find(wish, &api_key).await?;
                    self.proven(wish, credential, How::Created).await
                } else {
                    let refused = LoginRefused::AlreadyMade { nonce, api_key };
                    Err(SigningError::Login(refused).into())
                };
            }
            other => other?,
        };
        fail_point!("create-signed");
        let answer = venue
            .call::<Received>(
                "createApiKey",
                call(Method::POST, "/auth/api-key", &login.level_1()),
            )
            .await;
        fail_point!("create-answered");
        let error = match answer {
            Ok(received) => {
                let credential = self.keep(wish, nonce, &received, How::Created).await?;
                return self.proven(wish, credential, How::Created).await;
            }
            Err(error) => error,
        };
        let Some(refusal) = Refusal::of(&error) else {
            if error.settles() {
                self.refused(wish, login.id).await?;
                return Err(error.into());
            }
            tracing::warn!(%error, "the answer to a create was lost; deriving to learn what it did");
            return match self.ask(wish, nonce, Origin::Signed).await {
                Ok(received) => {
                    let credential = self.keep(wish, nonce, &received, How::Created).await?;
                    self.proven(wish, credential, How::Created).await
                }
                Err(_) => Err(ApiKeyError::Unknown(nonce)),
            };
        };
        self.refused(wish, login.id).await?;
        fail_point!("create-refused");
        match refusal {
            Refusal::Used | Refusal::NotCreated => {
                match self.ask(wish, nonce, Origin::Signed).await {
                    Ok(received) => {
                        let credential = self.keep(wish, nonce, &received, How::Derived).await?;
                        if ours {
                            return self.proven(wish, credential, How::Created).await;
                        }
                        let api_key = credential.api_key;
                        Err(ApiKeyError::UsedElsewhere { nonce, api_key })
                    }
                    Err(ApiKeyError::NotDerived { .. }) => Err(ApiKeyError::NotCreated {
                        nonce,
                        text: error.to_string(),
                    }),
                    Err(other) => Err(other),
                }
            }
            refusal => Err(self.explained(venue, refusal, &error).await),
        }
    }

    /// `deriveApiKey`: gets the API key that a nonce made.
    pub async fn derive(
        &self,
        wish: &KeyRequest,
        nonce: CredentialNonce,
        origin: Origin,
    ) -> Result<Held, ApiKeyError> {
        let received = match self.ask(wish, nonce, origin).await {
            Err(ApiKeyError::NotDerived { .. }) => {
                let settled = self.nothing_came(wish, nonce).await?;
                return Err(ApiKeyError::NotDerived { nonce, settled });
            }
            other => other?,
        };
        fail_point!("derive-answered");
        let credential = self.keep(wish, nonce, &received, How::Derived).await?;
        self.proven(wish, credential, How::Derived).await
    }

    /// `createOrDeriveApiKey`, in the order that the documentation describes: derives, and creates
    /// where there is nothing to derive.
    pub async fn create_or_derive(
        &self,
        wish: &KeyRequest,
        nonce: CredentialNonce,
        replaces: Option<String>,
    ) -> Result<Held, ApiKeyError> {
        match self.derive(wish, nonce, Origin::Signed).await {
            Err(ApiKeyError::NotDerived { .. }) => self.create(wish, nonce, replaces).await,
            other => other,
        }
    }

    /// One API key of the wallet's address.
    pub async fn find(&self, wish: &KeyRequest, api_key: &str) -> Result<Credential, ApiKeyError> {
        let all = ledger::of_account(&wish.wallet.account(), self.ledger()).await?;
        all.into_iter()
            .find(|it| it.api_key == api_key)
            .ok_or(ApiKeyError::NotFound)
    }

    /// The API keys of the wallet's address, newest first.
    pub async fn on_record(&self, wish: &KeyRequest) -> Result<Vec<Credential>, ApiKeyError> {
        Ok(ledger::of_account(&wish.wallet.account(), self.ledger()).await?)
    }

    /// Asks the venue whether an API key works, and puts the answer on record.
    pub async fn check(
        &self,
        wish: &KeyRequest,
        credential: Credential,
    ) -> Result<Credential, ApiKeyError> {
        Ok(self
            .proven(wish, credential, How::Derived)
            .await?
            .credential)
    }

    /// The API keys that the venue lists, asked with the one that works, or may.
    pub async fn listed(&self, wish: &KeyRequest) -> Result<Vec<String>, ApiKeyError> {
        let usable = credentials::in_use(Kind::Trading, self.on_record(wish).await?);
        let usable = usable.ok_or(ApiKeyError::NotFound)?;
        let answer: answer::Listed = self
            .level_2(wish, &usable, "apiKeys", Method::GET, "/auth/api-keys")
            .await?;
        Ok(answer.api_keys)
    }

    /// Has the venue delete an API key.
    pub async fn delete(
        &self,
        wish: &KeyRequest,
        credential: Credential,
    ) -> Result<Credential, ApiKeyError> {
        if credential.state == State::Deleted {
            return Ok(credential);
        }
        let answer = self
            .level_2::<serde_json::Value>(
                wish,
                &credential,
                "deleteApiKey",
                Method::DELETE,
                "/auth/api-key",
            )
            .await;
        fail_point!("delete-answered");
        match answer {
            Ok(_) => {}
            // An earlier attempt may have been lost on its way back; what does not work is gone.
            Err(error) if self.says_dead(wish, &error).await? => {}
            Err(error) => return Err(error),
        }
        let from = [State::Unproven, State::Live, State::Replaced, State::Dead];
        self.step(
            wish,
            &credential,
            &from,
            State::Deleted,
            "delete-credential",
        )
        .await?;
        self.0.vault.forget(&credential.id);
        self.find(wish, &credential.api_key).await
    }

    /// The secret and the passphrase of an API key, once that they are handed out is on record.
    pub async fn reveal(
        &self,
        wish: &KeyRequest,
        credential: &Credential,
    ) -> Result<(Zeroizing<String>, Zeroizing<String>), ApiKeyError> {
        let author = wish.permit.author();
        let mut change = self.0.log.begin(Gate::Shared, author).await?;
        // The secrets stop with the key, as the headers made with them do.
        let (key, permit) = (&wish.wallet.key, &wish.permit);
        let right = Right::new(key, Business::Reduction, &wish.caller, permit);
        if let Err(why) = right.within(&mut change).await {
            change.abandon().await;
            return Err(why.into());
        }
        let details = serde_json::json!({ "apiKey": credential.api_key });
        change.note("reveal-credential", credential.id, &details);
        change.commit().await?;
        Ok((
            self.open(credential, Half::Secret).await?,
            self.open(credential, Half::Passphrase).await?,
        ))
    }
}

/// A call with level 1 headers.
fn call<'a>(method: Method, path: &'a str, headers: &'a [(&'static str, String)]) -> Call<'a> {
    Call {
        method,
        path,
        query: &[],
        headers,
        body: None,
    }
}
