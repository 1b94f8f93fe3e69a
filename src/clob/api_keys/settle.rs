//! The steps that the operations share: log in, ask, put on record, and find out what became of a
//! login whose answer was lost.

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{ApiKeyError, ApiKeys, How, IssuedLogin, KeyRequest, Received, Refusal, call};
use crate::approvals::Approval;
use crate::audit::Change;
use crate::clob::l2;
use crate::clob::venue::{Venue, VenueError};
use crate::credentials::logins::records as logins;
use crate::credentials::records as ledger;
use crate::credentials::{
    Credential, CredentialNonce, Half, Kind, LoginRefused, Origin, Purpose, Replaces, SealedPair,
};
use crate::fail_point;
use crate::id::IntentId;
use crate::ledger::{Gate, Ledger, LedgerError};
use crate::signing::SigningError;

impl ApiKeys {
    pub(super) fn ledger(&self) -> &Ledger {
        self.0.log.ledger()
    }

    pub(super) fn venue(&self, wish: &KeyRequest) -> Result<&Venue, VenueError> {
        self.0.venues.on(wish.wallet.profile.chain())
    }

    /// Begins to put on record what came of something that is done already: that its caller may have
    /// lost their right since changes nothing about it.
    pub(super) async fn begin_afterwards(&self, wish: &KeyRequest) -> Result<Change, LedgerError> {
        let author = wish.permit.author().afterwards();
        self.0.log.begin(Gate::Shared, &author).await
    }

    /// Asks the venue for the API key that a nonce made.
    pub(super) async fn ask(
        &self,
        wish: &KeyRequest,
        nonce: CredentialNonce,
        origin: Origin,
    ) -> Result<Received, ApiKeyError> {
        let venue = self.venue(wish)?;
        let login = self
            .log_in(wish, nonce, Purpose::Derive, Replaces::Nothing, origin)
            .await?;
        fail_point!("derive-signed");
        let headers = login.level_1();
        let asked = call(Method::GET, "/auth/derive-api-key", &headers);
        let error = match venue.call::<Received>("deriveApiKey", asked).await {
            Ok(received) => return Ok(received),
            Err(error) => error,
        };
        match Refusal::of(&error) {
            Some(Refusal::NotDerived) => Err(ApiKeyError::NotDerived {
                nonce,
                settled: false,
            }),
            Some(refusal) => Err(self.explained(venue, refusal, &error).await),
            None => Err(error.into()),
        }
    }

    /// A refusal as what it means.
    pub(super) async fn explained(
        &self,
        venue: &Venue,
        refusal: Refusal,
        error: &VenueError,
    ) -> ApiKeyError {
        let text = error.to_string();
        match refusal {
            Refusal::Funder => ApiKeyError::Funder(text),
            Refusal::Login => ApiKeyError::LoginRefused {
                text,
                ahead_s: self.ahead(venue).await.ok(),
            },
            Refusal::Used | Refusal::NotCreated | Refusal::NotDerived => error.clone().into(),
        }
    }

    /// Puts an API key on record, its secrets sealed in the device that holds the wallet's key.
    pub(super) async fn keep(
        &self,
        wish: &KeyRequest,
        nonce: CredentialNonce,
        received: &Received,
        how: How,
    ) -> Result<Credential, ApiKeyError> {
        let account = wish.wallet.account();
        let (secret, passphrase) = (&received.secret, &received.passphrase);
        let all = ledger::of_account(&account, self.ledger()).await?;
        let known = all
            .into_iter()
            .find(|it| it.kind == Kind::Trading && it.api_key == received.api_key);
        // What rests may be lost with its sealing key: then this is its only copy.
        let lost = match known {
            Some(known) if known.opens_to(&self.0.vault, secret, passphrase).await => None,
            known => known.map(|known| (known.id, known.sealed.version)),
        };
        let sealed = SealedPair::seal(
            &self.0.vault,
            &wish.wallet.key.backend,
            (&account, Kind::Trading, &received.api_key),
            lost.map_or(1, |(_, version)| version.saturating_add(1)),
            (secret, passphrase),
        )
        .await?;
        let approval = match how {
            How::Created => wish.permit.loosen()?,
            How::Derived => Approval::by_right(),
        };
        fail_point!("credential-sealed");
        let mut change = self.begin_afterwards(wish).await?;
        let id = logins::lock(&account, change.tx()).await?;
        let new = ledger::NewCredential {
            id: Uuid::now_v7(),
            kind: Kind::Trading,
            api_key: &received.api_key,
            nonce: Some(nonce),
            sealed: &sealed,
            origin: match how {
                How::Created => "created",
                How::Derived => "derived",
            },
            by: wish.caller.id,
        };
        let fresh = ledger::insert(id, &new, change.tx()).await?;
        let mut resealed = false;
        if let Some((lost, from)) = lost {
            resealed = ledger::put_resealed(lost, from, &sealed, change.tx()).await?;
        }
        logins::settle_made(id, nonce, change.tx()).await?;
        let ended = if how == How::Created && fresh {
            ledger::replace_others(id, new.id, change.tx()).await?
        } else {
            Vec::new()
        };
        let details = json!({
            "wallet": wish.wallet.id, "address": account.address, "chainId": account.chain_id,
            "nonce": nonce, "apiKey": received.api_key, "how": how, "known": !fresh, "replaced": ended,
            "resealed": resealed,
        });
        change.note_as(approval, "record-credential", new.id, &details);
        fail_point!("credential-before-commit");
        change.commit().await?;
        fail_point!("credential-recorded");
        for id in ended {
            self.0.vault.forget(&id);
        }
        let all = ledger::of_account(&account, self.ledger()).await?;
        let kept = all
            .into_iter()
            .find(|it| it.kind == Kind::Trading && it.nonce == Some(nonce));
        match kept {
            Some(kept) if kept.api_key == received.api_key => Ok(kept),
            _ => {
                tracing::error!(%nonce, address = %account.address, "the venue answers another API key than before");
                Err(ApiKeyError::Contradiction(nonce))
            }
        }
    }

    /// Puts on record that the venue refused this very login.
    pub(super) async fn refused(
        &self,
        wish: &KeyRequest,
        login: IntentId,
    ) -> Result<(), LedgerError> {
        let mut change = self.begin_afterwards(wish).await?;
        logins::settle_refused(login, change.tx()).await?;
        change.note("settle-login", login, &json!({ "outcome": "refused" }));
        change.commit().await?;
        Ok(())
    }

    /// Nonces of the wallet's address whose outcome is not known.
    pub(super) async fn unsettled(
        &self,
        wish: &KeyRequest,
    ) -> Result<Vec<(CredentialNonce, i64)>, LedgerError> {
        logins::unsettled(&wish.wallet.account(), self.ledger()).await
    }

    /// Finds out what became of the logins of other nonces, before one more nonce is used.
    pub async fn settle_others(
        &self,
        wish: &KeyRequest,
        nonce: CredentialNonce,
    ) -> Result<(), ApiKeyError> {
        for (other, signed_for) in self.unsettled(wish).await? {
            if other == nonce {
                continue;
            }
            match self.ask(wish, other, Origin::Signed).await {
                Ok(received) => {
                    let credential = self.keep(wish, other, &received, How::Derived).await?;
                    self.proven(wish, credential, How::Derived).await?;
                }
                Err(ApiKeyError::NotDerived { .. }) => {
                    if !self.nothing_came(wish, other).await? {
                        let nonce = other;
                        let refused = LoginRefused::Unsettled { nonce, signed_for };
                        return Err(SigningError::Login(refused).into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// After the venue had nothing to derive: settles the nonce's logins that are too old to arrive
    /// any more, by its clock and by ours. Whether all are settled now.
    pub(super) async fn nothing_came(
        &self,
        wish: &KeyRequest,
        nonce: CredentialNonce,
    ) -> Result<bool, ApiKeyError> {
        let venue = self.venue(wish)?;
        let of_nonce = |all: Vec<(CredentialNonce, i64)>| all.into_iter().find(|it| it.0 == nonce);
        let Some((_, latest)) = of_nonce(self.unsettled(wish).await?) else {
            return Ok(true);
        };
        let window = i64::from(venue.settings().l1_window_s);
        let ours = self.0.clock.unix_ms().div_euclid(1000);
        let now = ours.min(venue.time().await?);
        let too_old = now.saturating_sub(window).saturating_sub(1);
        if latest > too_old {
            return Ok(false);
        }
        // What was asked before its window had ended proves nothing, so it is asked once more.
        match self.ask(wish, nonce, Origin::Signed).await {
            Err(ApiKeyError::NotDerived { .. }) => {}
            Ok(received) => {
                let credential = self.keep(wish, nonce, &received, How::Derived).await?;
                self.proven(wish, credential, How::Derived).await?;
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        fail_point!("nothing-came");
        let mut change = self.begin_afterwards(wish).await?;
        let account = logins::lock(&wish.wallet.account(), change.tx()).await?;
        if logins::settle_nothing(account, nonce, too_old, change.tx()).await? > 0 {
            let details = json!({ "nonce": nonce, "signed_until": too_old });
            change.note("settle-nonce", wish.wallet.id, &details);
        }
        change.commit().await?;
        Ok(of_nonce(self.unsettled(wish).await?).is_none())
    }

    /// Opens one half of an API key's secrets.
    pub(super) async fn open(
        &self,
        credential: &Credential,
        half: Half,
    ) -> Result<Zeroizing<String>, ApiKeyError> {
        let secrets = credential.sealed_secret(l2::key)?;
        let sealed = match half {
            Half::Secret => &secrets.secret,
            Half::Passphrase => &secrets.passphrase,
        };
        let opened = self
            .0
            .vault
            .open(&secrets.backend, &sealed.aad, &sealed.sealed)
            .await?;
        let text = std::str::from_utf8(&opened)
            .map_err(|_| LedgerError::Corrupt("credentials", "a secret is no text".into()))?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

impl IssuedLogin {
    /// The headers, to be sent.
    pub(super) fn level_1(&self) -> Vec<(&'static str, String)> {
        [
            "POLY_ADDRESS",
            "POLY_SIGNATURE",
            "POLY_TIMESTAMP",
            "POLY_NONCE",
        ]
        .into_iter()
        .filter_map(|name| Some((name, self.headers.get(name)?.as_str()?.to_owned())))
        .collect()
    }
}
