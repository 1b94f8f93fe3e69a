//! Recognising who calls.
//!
//! # Why a caller is remembered, and what may follow from that
//! A look at the tables costs as much as the rest of a request, so a token that was found valid is taken
//! for a moment without one ([`Callers::recognise`]). The moment begins nothing that a revocation must stop
//! at once: what is signed, handed out or changed asks for the credential again behind the gate, in the
//! transaction that makes it durable, on whichever replica. What does not pass the gate (lists, look-ups,
//! explanations, and every refusal, which tells something too) is told only after a look at the tables that
//! was begun when the answer was ready ([`Callers::still`]). `http::admission` has both in one place, and an
//! answer counts as one that did not pass the gate unless it says that it did. So nobody whose revocation
//! was acknowledged before they asked is told anything. A revocation on this replica ends the moment, too.

use std::str::FromStr;

use time::OffsetDateTime;
use uuid::Uuid;

use super::certificate::Presented;
use super::credential::{Kind, Shown};
use super::jwt::SignIn;
use super::{Caller, CallerError, Callers, Token, records};
use crate::authority::{self, form};
use crate::ledger::LedgerError;

/// A credential that ends within so many seconds may be over for the database's clock already.
const SLACK_S: i64 = 60;

/// A caller, and what they were recognised by.
#[derive(Clone, Debug)]
pub struct Recognised {
    /// Who.
    pub caller: Caller,
    shown: Shown,
    /// When what they came with ends by itself, in seconds since 1970.
    until: Option<i64>,
}

impl Recognised {
    /// When what they came with ends by itself, where it says so.
    pub fn until(&self) -> Option<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp(self.until?).ok()
    }
}

impl Callers {
    /// The caller whose token this is, or was a moment ago: see the top of this module. A token of this
    /// service, or a JWT.
    pub async fn recognise(&self, presented: &str) -> Result<Recognised, CallerError> {
        let shown = Shown::token(presented);
        if let Some(caller) = self.remembered(&shown).await {
            let until = None;
            return Ok(Recognised {
                caller,
                shown,
                until,
            });
        }
        if self.ways.may_be_jwt(presented) {
            let proved = self.ways.by_jwt(presented, &self.strangers).await?;
            return self.find(proved.shown, Some(proved.until)).await;
        }
        Token::from_str(presented).map_err(|_| CallerError::NotRecognised)?;
        self.find(shown, None).await
    }

    /// The caller whom the answer to a sign-in names. It says who signed in, and not for how long.
    pub async fn recognise_sign_in(
        &self,
        id_token: &str,
        asked: &SignIn<'_>,
    ) -> Result<Recognised, CallerError> {
        let proved = self
            .ways
            .by_sign_in(id_token, asked, &self.strangers)
            .await?;
        self.find(proved.shown, None).await
    }

    /// The caller whose certificate was shown on the connection.
    pub async fn recognise_certificate(
        &self,
        presented: &Presented,
    ) -> Result<Recognised, CallerError> {
        let proved = self.ways.by_certificate(presented)?;
        self.find(proved.shown, Some(proved.until)).await
    }

    /// The caller who has shown before by what they are known: its kind, and the hash under which it stands.
    pub(crate) async fn recognise_again(
        &self,
        (kind, hash): (&str, &[u8]),
    ) -> Result<Recognised, CallerError> {
        let kind = Kind::from_name(kind);
        let (Some(kind), Ok(hash)) = (kind, hash.try_into()) else {
            return Err(LedgerError::Corrupt("caller_tokens", "kind, hash".to_owned()).into());
        };
        let shown = Shown { kind, hash };
        match self.remembered(&shown).await {
            None => self.find(shown, None).await,
            Some(caller) => Ok(Recognised {
                caller,
                shown,
                until: None,
            }),
        }
    }

    /// Whoever came with this a moment ago, if what is stated of them is still that.
    async fn remembered(&self, shown: &Shown) -> Option<Caller> {
        let caller = self.recognised.get(shown).await?;
        let now = self.authority.now();
        if now.are_at(&caller.stated) {
            return Some(caller);
        }
        self.recognised.invalidate(shown).await;
        None
    }

    async fn find(&self, shown: Shown, until: Option<i64>) -> Result<Recognised, CallerError> {
        let look = async {
            let known = self.known.get(&shown).await;
            let _turn = match known {
                Some(_) => None,
                None => Some(self.strangers.turn().await.ok_or(CallerError::Busy)?),
            };
            let Some(caller) = records::find(&shown, &self.authority).await? else {
                self.is_rightly_gone(known).await?;
                return Err(CallerError::NotRecognised);
            };
            self.known.insert(shown, caller.credential).await;
            Ok(caller)
        };
        self.remembered(&shown).await; // or it is looked for anew
        // One look at the table for all who come at the same time.
        let found = self.recognised.try_get_with(shown, look).await;
        let caller = found.map_err(|error| match &*error {
            CallerError::Ledger(error) => error.clone().into(),
            CallerError::Busy => CallerError::Busy,
            _ => CallerError::NotRecognised,
        })?;
        Ok(Recognised {
            caller,
            shown,
            until,
        })
    }

    /// That a credential of which the rows know nothing is not stated as one that works.
    async fn is_rightly_gone(&self, credential: Option<Uuid>) -> Result<(), CallerError> {
        let Some(id) = credential else { return Ok(()) };
        self.authority.catch_up().await?;
        let now = self.authority.now();
        let kind = authority::Kind::Credential;
        let Some(stated) = now.find(kind, id) else {
            return Ok(());
        };
        let credential: form::Credential = authority::read(kind, stated)?;
        let ends = credential.expires_at / 1_000_000; // by the database's clock, which is near ours
        let is_stated = now
            .find(authority::Kind::Caller, credential.caller)
            .is_some();
        if !is_stated || ends <= self.ways.now()? + SLACK_S {
            return Ok(());
        }
        let error = LedgerError::Falsified("caller_tokens", format!("credential {id} is gone"));
        tracing::error!(alarm = "falsified", %error, "who is stated to be there is not");
        Err(error.into())
    }

    /// That a credential is still valid, and still stands for what it stood for: by a look that was begun after
    /// this was asked.
    pub async fn still(&self, who: &Recognised) -> Result<(), CallerError> {
        if let Some(until) = who.until
            && self.ways.now()? > until
        {
            return Err(CallerError::NotRecognised);
        }
        let look = async || records::find(&who.shown, &self.authority).await;
        let found = self.looks.look(who.shown, look).await?;
        if found.is_some_and(|it| it.is_as(&who.caller)) {
            return Ok(());
        }
        self.recognised.invalidate(&who.shown).await;
        Err(CallerError::NotRecognised)
    }
}
