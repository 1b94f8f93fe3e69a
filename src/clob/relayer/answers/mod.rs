//! What the relayer answers.

use ruint::aliases::U256;
use serde::Deserialize;

/// The longest id of a transaction.
const LONGEST: usize = 100;

words! {
    /// How far a transaction is, in the relayer's words.
    #[derive(utoipa::ToSchema)]
    #[schema(as = RelayerProgress)]
    pub enum Progress {
        /// It was taken.
        New = "NEW",
        /// It was sent to the chain.
        Executed = "EXECUTED",
        /// It is in a block.
        Mined = "MINED",
        /// It stays there.
        Confirmed = "CONFIRMED",
        /// It cannot be sent.
        Invalid = "INVALID",
        /// It is in a block, and did nothing.
        Failed = "FAILED",
    }
}

/// The answer to `/submit`.
#[derive(Debug, Deserialize)]
pub(super) struct Taken {
    #[serde(rename = "transactionID")]
    transaction_id: String,
}

impl Taken {
    /// The transaction's id, if it can be asked about.
    pub(super) fn id(self) -> Option<String> {
        let id = self.transaction_id;
        let is_plain =
            (1..=LONGEST).contains(&id.len()) && id.bytes().all(|it| it.is_ascii_graphic());
        is_plain.then_some(id)
    }
}

/// The answer to `/nonce`: text, or a number.
#[derive(Debug, Deserialize)]
pub(super) struct Nonce {
    nonce: serde_json::Value,
}

impl Nonce {
    pub(super) fn number(&self) -> Option<U256> {
        number(&self.nonce)
    }
}

fn number(value: &serde_json::Value) -> Option<U256> {
    let text = match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let is_number = (1..=78).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_digit());
    is_number
        .then(|| U256::from_str_radix(&text, 10).ok())
        .flatten()
}

/// The answer to `/deployed`.
#[derive(Debug, Deserialize)]
pub(super) struct Deployed {
    pub(super) deployed: bool,
}

/// A transaction, as far as we look at it.
#[derive(Clone, Debug, Deserialize)]
pub struct Transaction {
    /// Its id at the relayer.
    #[serde(rename = "transactionID")]
    pub id: String,
    /// How far it is.
    pub state: String,
    /// Its hash on the chain, once it has one.
    #[serde(rename = "transactionHash", default)]
    hash: Option<String>,
    #[serde(default)]
    from: String,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    nonce: serde_json::Value,
    #[serde(default, rename = "proxyAddress")]
    wallet: Option<String>,
}

impl Transaction {
    /// How far it is, where that is a word that we know.
    pub fn progress(&self) -> Option<Progress> {
        let word = self.state.trim_start_matches("STATE_");
        Progress::from_name(word)
    }

    /// Its hash on the chain.
    pub fn hash(&self) -> Option<[u8; 32]> {
        let digits = self.hash.as_deref()?.strip_prefix("0x")?;
        let mut hash = [0; 32];
        hex::decode_to_slice(digits, &mut hash).ok()?;
        Some(hash)
    }

    /// Whether it is of this body: of the same signer and wallet, of the same kind, with the same nonce. There cannot
    /// be two of those on the chain.
    pub fn is_of(&self, body: &serde_json::Value) -> bool {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let wallets = [
            &body["proxyWallet"],
            &body["depositWalletParams"]["depositWallet"],
        ];
        let wallet = wallets.into_iter().find_map(|it| it.as_str());
        let is_wallet = match (self.wallet.as_deref(), wallet) {
            (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
            _ => true,
        };
        is_wallet
            && !self.kind.is_empty()
            && self.kind == text(&body["type"])
            && self.from.eq_ignore_ascii_case(&text(&body["from"]))
            && number(&self.nonce) == number(&body["nonce"])
    }
}

#[cfg(test)]
mod tests;
