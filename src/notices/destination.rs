//! A destination, whichever way leads there.

use super::mail::Mail;
use super::message::Message;
use super::settings::{BadDestination, Settings};
use super::webhook::Webhook;
use super::{Kind, NotDelivered, Tried};
use crate::name::Name;

/// The name of the mail among destinations.
const MAIL: &str = "mail";

/// Somebody who is told.
pub(super) struct Destination {
    pub(super) name: Name,
    kinds: Vec<Kind>,
    way: Way,
}

enum Way {
    Webhook(Box<Webhook>),
    Mail(Box<Mail>),
}

/// All that are configured.
pub(super) fn all(settings: &Settings) -> Result<Vec<Destination>, BadDestination> {
    let mut all: Vec<Destination> = Vec::new();
    for webhook in &settings.webhooks {
        let name = webhook.name.clone();
        if name.as_str() == MAIL || all.iter().any(|it| it.name == name) {
            return Err(BadDestination::Taken(name));
        }
        all.push(Destination {
            name,
            kinds: webhook.kinds.clone(),
            way: Way::Webhook(Box::new(Webhook::open(webhook)?)),
        });
    }
    if let Some(mail) = &settings.mail {
        all.push(Destination {
            name: MAIL.parse().expect("mail is a name"),
            kinds: mail.kinds.clone(),
            way: Way::Mail(Box::new(Mail::open(mail)?)),
        });
    }
    Ok(all)
}

impl Destination {
    /// The kinds that it wants.
    pub(super) fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// Sends it a notice, once.
    pub(super) async fn send(&self, message: &Message, now_s: i64) -> Result<(), NotDelivered> {
        match &self.way {
            Way::Webhook(webhook) => webhook.send(message, now_s).await,
            Way::Mail(mail) => mail.send(message).await,
        }
    }

    /// Whether it can be spoken to. It gets nothing.
    pub(super) async fn reach(&self) -> Result<(), NotDelivered> {
        match &self.way {
            Way::Webhook(webhook) => webhook.reach().await,
            Way::Mail(mail) => mail.reach().await,
        }
    }

    /// What came of it.
    pub(super) fn tried(&self, outcome: Result<(), NotDelivered>) -> Tried {
        Tried {
            destination: self.name.clone(),
            trouble: outcome.err().map(|error| error.to_string()),
        }
    }
}
