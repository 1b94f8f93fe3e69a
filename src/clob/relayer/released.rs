//! What can be handed to the relayer: what was released, in its own text, and the request for a deposit wallet.

use serde_json::Value;
use uuid::Uuid;

use super::records::Kind;
use super::{NotSubmitted, Submissions};
use crate::callers::Caller;
use crate::clob::wallets::Wallet;
use crate::ethereum::Address;
use crate::id::IntentId;
use crate::operations::deposit;
use crate::signing::signatures::By;

/// What was signed for the relayer, as it was released.
#[derive(Clone, Debug)]
pub struct Signed {
    pub(super) id: Uuid,
    pub(super) kind: Kind,
    pub(super) turn: Option<(Address, ruint::aliases::U256)>,
    pub(super) text: String,
    pub(super) body: Value,
    /// Whether it saves the wallet, whatever has become of its key.
    pub is_rescue: bool,
}

impl Signed {
    /// A body under its operation's id; `counted`: whose nonce it has.
    fn new(id: Uuid, text: String, counted: Address) -> Result<Self, NotSubmitted> {
        let not = NotSubmitted::NotForIt;
        let body: Value = serde_json::from_str(&text)
            .map_err(|_| not("the operation has no body for a relayer"))?;
        let word = body["type"].as_str().unwrap_or_default();
        let kind = Kind::from_name(word).ok_or(not("the operation is not for the relayer"))?;
        let nonce = body["nonce"].as_str();
        let nonce = nonce.and_then(|it| ruint::aliases::U256::from_str_radix(it, 10).ok());
        let turn = match (kind.counted(), nonce) {
            (None, _) => None,
            (Some(_), Some(nonce)) => Some((counted, nonce)),
            (Some(_), None) => return Err(not("the operation's body has no nonce")),
        };
        Ok(Self {
            id,
            kind,
            turn,
            text,
            body,
            is_rescue: false,
        })
    }

    /// The request for an owner's deposit wallet, which is signed by nobody.
    pub fn deployment(wallet: &Wallet) -> Result<Self, NotSubmitted> {
        let profile = &wallet.profile;
        if profile.signature_type().number() != 3 || profile.session_key() {
            let why = "only the owner's key of a deposit wallet (type 3) has it made so";
            return Err(NotSubmitted::NotForIt(why));
        }
        let body = deposit::creation_body(profile.chain().id(), profile.key_address())?;
        Self::new(wallet.id.uuid(), body.to_string(), profile.maker())
    }
}

impl Submissions {
    /// What was released under an operation's id of this wallet.
    pub async fn released(
        &self,
        caller: &Caller,
        wallet: &Wallet,
        id: IntentId,
    ) -> Result<Signed, NotSubmitted> {
        let found = self.0.signer.look_up(caller, &By::Id(id)).await?;
        let mut found = found
            .into_iter()
            .filter(|it| it.subject == wallet.id.uuid() && it.operation == "wallet-operation");
        let entry = found.next().ok_or(NotSubmitted::NotFound)?;
        if let Some(why) = entry.withheld {
            return Err(NotSubmitted::Withheld(why));
        }
        let is_rescue = entry.is_rescue();
        let answer = entry.answer.unwrap_or_default();
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let text = answer["request"]["body"].as_str().unwrap_or_default();
        let signed = Signed::new(id.uuid(), text.to_owned(), counted(wallet))?;
        Ok(Signed {
            is_rescue,
            ..signed
        })
    }
}

/// The relayer counts for the key's address; a session key's wallet is asked about by itself.
fn counted(wallet: &Wallet) -> Address {
    if wallet.profile.session_key() {
        wallet.profile.maker()
    } else {
        wallet.profile.key_address()
    }
}
