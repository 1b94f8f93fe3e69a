//! Handing over what was signed: on record before it is sent, and what came of it after.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::records::{self, New, State, Submission, Try};
use super::released::Signed;
use super::{Header, Relayer, RelayerError, Relayers};
use crate::audit::Log;
use crate::callers::Caller;
use crate::clob::builders::Builders;
use crate::clob::l2::{self, HeaderDraft, RequestRefused, Shape, VenueRequest};
use crate::clob::wallets::{Wallet, WalletError, Wallets};
use crate::credentials;
use crate::custody::CustodyError;
use crate::fail_point;
use crate::idempotency::RequestDigest;
use crate::ledger::{Gate, LedgerError};
use crate::operations::NotThere;
use crate::policy::{Action, Permit};
use crate::signing::{Signer, SigningError, SigningRequest};

/// The headers of a builder, in the clients' order.
const HEADERS: [&str; 4] = [
    "POLY_BUILDER_API_KEY",
    "POLY_BUILDER_PASSPHRASE",
    "POLY_BUILDER_SIGNATURE",
    "POLY_BUILDER_TIMESTAMP",
];

/// Why nothing was submitted, or it is not known.
#[derive(Debug, thiserror::Error)]
pub enum NotSubmitted {
    /// It is not what the relayer takes.
    #[error("{0}")]
    NotForIt(&'static str),
    /// Nothing was signed under this id with the wallet.
    #[error("no such operation of this wallet is on record")]
    NotFound,
    /// The key that signed it does not stand for it any more.
    #[error("what was signed is not told any more: {0}")]
    Withheld(&'static str),
    /// The chain has no factory of such wallets.
    #[error(transparent)]
    Place(#[from] NotThere),
    /// There is nothing to name us with.
    #[error(
        "no builder's API key that may be live is on record for the wallet's address, nor for the one in [relayer] builder"
    )]
    NoCredential,
    /// The relayer.
    #[error(transparent)]
    Relayer(#[from] RelayerError),
    /// The text is none that headers are made for.
    #[error(transparent)]
    Request(#[from] RequestRefused),
    /// The wallet that names us.
    #[error(transparent)]
    Wallet(Box<WalletError>),
    /// The door.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The device that the builder's secret is sealed in.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// With what it is done.
#[derive(Clone)]
pub struct Tools {
    /// The relayers.
    pub relayers: Relayers,
    /// The door.
    pub signer: Signer,
    /// The wallets.
    pub wallets: Wallets,
    /// What names us to the relayer.
    pub builders: Builders,
    /// The audit log.
    pub log: Log,
}

impl From<WalletError> for NotSubmitted {
    fn from(error: WalletError) -> Self {
        Self::Wallet(Box::new(error))
    }
}

/// Somebody wants it carried out.
pub struct SubmissionRequest {
    /// Who.
    pub caller: Caller,
    /// By which right.
    pub permit: Permit,
    /// Stands for the request.
    pub request: RequestDigest,
    /// Of which wallet.
    pub wallet: Wallet,
    /// What.
    pub signed: Signed,
}

/// What the relayer is asked to carry out. Cheap to clone.
#[derive(Clone)]
pub struct Submissions(pub(super) Arc<Tools>);

impl Submissions {
    /// By way of these.
    pub fn new(tools: Tools) -> Self {
        Self(Arc::new(tools))
    }

    /// The relayers.
    pub fn relayers(&self) -> &Relayers {
        &self.0.relayers
    }

    /// How something stands; `None`: it was never sent.
    pub async fn show(&self, id: Uuid) -> Result<Option<Submission>, LedgerError> {
        records::find(id, self.0.log.ledger()).await
    }

    /// All of a wallet, the newest first.
    pub async fn list(&self, wallet: &Wallet) -> Result<Vec<Submission>, LedgerError> {
        records::of_wallet(wallet.id, self.0.log.ledger()).await
    }

    /// Has it carried out, or looks how far that is. Whoever is told that it is not known may ask again: the same
    /// text is sent, if the relayer does not have it.
    pub async fn submit(&self, wish: &SubmissionRequest) -> Result<Submission, NotSubmitted> {
        let relayer = self.0.relayers.on(wish.wallet.profile.chain())?;
        let Some(this) = self.begin(wish).await? else {
            let there = self.there(wish).await?;
            return match there.state {
                State::Taken => self.follow(&there).await,
                _ => Ok(there),
            };
        };
        fail_point!("submission-begun");
        let sent = self.send(wish, relayer, this).await;
        fail_point!("submission-sent");
        match sent {
            Ok(transaction) => self.taken(wish, &transaction).await?,
            Err(error) => {
                self.not_taken(wish, this, &error).await?;
                return Err(error);
            }
        }
        self.there(wish).await
    }

    async fn there(&self, wish: &SubmissionRequest) -> Result<Submission, NotSubmitted> {
        let there = self.show(wish.signed.id).await?;
        let gone = || LedgerError::Corrupt("submissions", format!("{} is missing", wish.signed.id));
        Ok(there.ok_or_else(gone)?)
    }

    /// Puts a try on record, before anything is sent.
    async fn begin(&self, wish: &SubmissionRequest) -> Result<Option<Try>, NotSubmitted> {
        let Signed { id, kind, turn, .. } = wish.signed;
        let new = New {
            id,
            wallet: wish.wallet.id,
            chain: wish.wallet.profile.chain(),
            kind,
            turn,
        };
        let mut change = self.0.log.begin(Gate::Shared, wish.permit.author()).await?;
        let Some(this) = records::begin(&new, change.tx()).await? else {
            change.abandon().await;
            return Ok(None);
        };
        let details = json!({
            "wallet": wish.wallet.name, "kind": kind, "nonce": turn.map(|(_, nonce)| nonce.to_string()),
            "try": this.number,
        });
        change.note("submit-operation", id, &details);
        change.commit().await?;
        Ok(Some(this))
    }

    /// Sends it, unless the relayer has it since an earlier try. What it calls it.
    async fn send(
        &self,
        wish: &SubmissionRequest,
        relayer: &Relayer,
        this: Try,
    ) -> Result<String, NotSubmitted> {
        let signed = &wish.signed;
        if this.number > 1 {
            let headers = self
                .headers(wish, relayer, "GET", "/transactions", None)
                .await?;
            let all = relayer.transactions(&headers).await?;
            let mut ours = all.into_iter().filter(|it| it.is_of(&signed.body));
            if let Some(found) = ours.find(|it| !it.is_over_for_nothing()) {
                return Ok(found.id);
            }
        }
        let text = Some(signed.text.as_str());
        let headers = self.headers(wish, relayer, "POST", "/submit", text).await?;
        Ok(relayer.submit(&headers, &signed.text).await?)
    }

    /// Headers of one request, made with the builder's API key behind the door.
    async fn headers(
        &self,
        wish: &SubmissionRequest,
        relayer: &Relayer,
        method: &'static str,
        path: &'static str,
        body: Option<&str>,
    ) -> Result<Vec<Header>, NotSubmitted> {
        let (wallet, credential) = self.builder(&wish.wallet, relayer).await?;
        let draft = HeaderDraft {
            wallet: Arc::new(wallet),
            secret: credential.sealed_secret(l2::key)?,
            credential,
            request: VenueRequest::new(method, path, body)?,
            timestamp: None,
            shape: Shape::Bare,
            right: Action::SubmitOperation,
            is_rescue: wish.signed.is_rescue,
        };
        let asked = SigningRequest::once(wish.request);
        let signer = &self.0.signer;
        let answer = signer.sign(&wish.caller, Box::new(draft), asked).await?;
        let headers: Map<String, Value> =
            serde_json::from_slice(&answer.body).expect("the answer is our own");
        let value = |name: &'static str| Some((name, headers.get(name)?.as_str()?.to_owned()));
        Ok(HEADERS.into_iter().filter_map(value).collect())
    }

    /// The wallet's own builder's key, else that of the wallet which stands in for it.
    async fn builder(
        &self,
        wallet: &Wallet,
        relayer: &Relayer,
    ) -> Result<(Wallet, credentials::Credential), NotSubmitted> {
        let builders = &self.0.builders;
        if let Some(own) = builders.in_use(wallet, credentials::Kind::Builder).await? {
            return Ok((wallet.clone(), own));
        }
        let name = relayer.builder().ok_or(NotSubmitted::NoCredential)?;
        let other = self.0.wallets.show(name).await?;
        let theirs = builders.in_use(&other, credentials::Kind::Builder).await?;
        Ok((other, theirs.ok_or(NotSubmitted::NoCredential)?))
    }

    async fn taken(&self, wish: &SubmissionRequest, transaction: &str) -> Result<(), NotSubmitted> {
        let author = wish.permit.author().afterwards();
        let mut change = self.0.log.begin(Gate::Shared, &author).await?;
        let id = wish.signed.id;
        if !records::taken(id, transaction, change.tx()).await? {
            change.abandon().await; // another try was faster
            return Ok(());
        }
        let details = json!({ "wallet": wish.wallet.name, "transactionID": transaction });
        change.note("operation-taken", id, &details);
        change.commit().await?;
        Ok(())
    }

    async fn not_taken(
        &self,
        wish: &SubmissionRequest,
        this: Try,
        error: &NotSubmitted,
    ) -> Result<(), NotSubmitted> {
        // What was not sent at all is refused for now.
        let settles = !matches!(error, NotSubmitted::Relayer(error) if !error.settles());
        let state = if settles {
            State::Refused
        } else {
            State::Unclear
        };
        let author = wish.permit.author().afterwards();
        let mut change = self.0.log.begin(Gate::Shared, &author).await?;
        let (id, trouble) = (wish.signed.id, error.to_string());
        let told = records::not_taken(id, this, state, &trouble, change.tx()).await?;
        if told && settles {
            let details = json!({ "wallet": wish.wallet.name, "try": this.number, "why": trouble });
            change.note("operation-not-taken", id, &details);
        }
        change.commit().await?;
        Ok(())
    }
}
