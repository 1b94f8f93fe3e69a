//! What the venue says when it refuses, and what that means. Texts differ in case and in their ends,
//! so a part of them is enough.

use super::catalogue::Code;

/// A refusal of the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct KnownError {
    /// What its text contains, in lower case.
    pub text: &'static str,
    /// What it means.
    pub cause: &'static str,
    /// What to do.
    pub action: &'static str,
    /// What can be wrong with the order, if it is the order.
    pub codes: &'static [Code],
}

macro_rules! known {
    ($($text:literal $cause:literal $action:literal [$($code:ident)*];)*) => {
        /// The longest match wins, so that a special text comes before a general one.
        pub(super) const KNOWN: &[KnownError] = &[$(KnownError {
            text: $text, cause: $cause, action: $action, codes: &[$(Code::$code),*],
        },)*];
    };
}

known! {
    "order_version_mismatch"
        "The venue takes another version of orders than this one."
        "Read GET /version, build and sign the order again in that version, once." [Version];
    "invalid order version"
        "The venue takes another version of orders than this one."
        "Use a client that signs version 2; production has taken no other since 2026-04-28." [Version];
    "invalid poly_proxy signature"
        "The signer does not own the proxy wallet that is the maker."
        "Look at the wallets that follow from the signer, and use the type whose wallet the maker is."
        [SignatureType Funder Maker Signer NegRisk];
    "invalid signature"
        "What the venue hashed is not what the key signed, or the signer may not sign for the maker."
        "Correct what the findings name. If there is none: signatureType, maker and signer have to belong together, and negRisk has to be the market's."
        [NegRisk Chain Version Domain ExchangeAdapter SignatureType NotNested NotWrapped WrongWrapper
         Maker Signer MakerSignerSwapped EoaMaker Funder Side AmountsSwapped AmountsRounded
         SaltRounded SaltTooLarge TimestampUnit FieldZero HighS BareV WrongV Changed];
    "the order signer address has to be the address of the api key"
        "The order's signer is not the address that the API key was made for. With signatureType 3 it is the wallet, and the venue says this also while the wallet is not deployed."
        "Post with the API key of the signer's address; deploy the deposit wallet first." [Signer];
    "the order owner has to be the owner of the api key"
        "The envelope's owner is not the API key that the post was made with."
        "Put the key's id (apiKey, a UUID) into owner, not an address." [OwnerAddress];
    "maker address not allowed"
        "The venue takes no orders from this maker any more: it wants a deposit wallet."
        "Use the deposit wallet that follows from the signer as funder, with signatureType 3." [SignatureType Maker Funder];
    "not enough balance"
        "The maker has too little cash or shares, or has not approved the exchange to take them."
        "Fund the maker, and approve the exchange of this version and market; cash of version 2 is pUSD." [];
    "breaks minimum tick size rule"
        "The price is not a multiple of the market's tick size, which may have changed."
        "Ask for GET /tick-size anew, and sign again at a price on that grid." [Tick];
    "invalid tick size"
        "The tick size that the client was told is smaller than the market's."
        "Ask for GET /tick-size anew." [Tick];
    "max accuracy"
        "A market order's amounts have more decimals than the venue takes, whatever the tick."
        "Round the maker amount down to 2 decimals and the taker amount to 4." [AmountsTooFine];
    "invalid amounts"
        "The amounts are not what the venue computes with."
        "Round the maker amount down to 2 decimals and the taker amount to 4." [AmountsTooFine AmountsZero];
    "invalid order payload"
        "The body is not as the venue reads it: a salt as text or above 2^53 is the usual cause."
        "Send salt and signatureType as numbers, everything else as text." [SaltText SaltTooLarge Malformed];
    "invalid order parameters"
        "The venue read another order than was signed: a salt above 2^53 is the usual cause."
        "Use salts below 2^53." [SaltTooLarge SaltRounded Malformed];
    "no orders found to match with fak order"
        "There was nothing to take at this price. The order is fine."
        "Ask again at another price." [];
    "no match"
        "The book does not hold as much as a fill-or-kill order wants."
        "Ask for less, or with FAK." [];
    "could not create api key"
        "The credential's nonce was used before, most often."
        "Derive with the same nonce, or create with another one; both need no new order." [];
    "could not derive api key"
        "No API key was made with this nonce by this address."
        "Derive with the nonce that the key was made with." [];
    "nonce_already_used"
        "An API key was made with this nonce before."
        "Derive with this nonce, or create with another one." [];
    "invalid_signature"
        "The ClobAuth signature does not fit address, timestamp, nonce and chain."
        "Sign for the chain of the host that you call, with the key of POLY_ADDRESS." [];
    "invalid funder address"
        "The funder is not a wallet of the signer."
        "Use the wallet that follows from the signer." [Funder SignatureType];
    "invalid l1 request headers"
        "The ClobAuth headers are wrong: chain, clock, address, or a high s."
        "Compare the clock with GET /time, and the chain with the host." [HighS BareV];
    "unauthorized"
        "The API key is not valid here, or not yet: a new one can need two minutes, and a newer one replaces it."
        "Wait two minutes after making a key; then derive it again." [];
    "invalid api key"
        "The API key is not valid here, or not yet: a new one can need two minutes, and a newer one replaces it."
        "Wait two minutes after making a key; then derive it again." [];
    "too many requests"
        "The venue limits how often it is asked."
        "Wait, and ask less often." [];
    "cancel-only"
        "The venue takes no new orders at the moment."
        "Wait; the order is fine." [];
    "trading is currently disabled"
        "The venue takes no orders at the moment."
        "Wait; the order is fine." [];
    "postonly"
        "A post-only order can rest only as GTC or GTD."
        "Leave postOnly out, or use GTC or GTD." [];
    "<html"
        "Something in front of the venue answered: its web firewall or a proxy refuses this address."
        "Ask whoever runs the network; the order was not looked at." [];
}

/// The refusal that a text is.
pub(super) fn known(text: &str) -> Option<KnownError> {
    let text = text.to_lowercase();
    let matching = KNOWN.iter().filter(|it| text.contains(it.text));
    matching.max_by_key(|it| it.text.len()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_venue_s_texts_are_known_in_their_long_forms() {
        for (text, start) in [
            ("order_version_mismatch", "order_version"),
            (
                "invalid order version, please use the latest clob-client",
                "invalid order version",
            ),
            ("invalid signature", "invalid signature"),
            ("invalid POLY_PROXY signature", "invalid poly_proxy"),
            (
                "Price (0.51000) breaks minimum tick size rule: 0.01",
                "breaks",
            ),
            (
                "invalid amounts, the market buy orders maker amount supports a max accuracy of 2 decimals",
                "invalid amounts",
            ),
            ("not enough balance / allowance", "not enough"),
            ("Invalid order payload", "invalid order payload"),
            (
                "the order signer address has to be the address of the API KEY",
                "the order signer",
            ),
            (
                "the order owner has to be the owner of the API KEY",
                "the order owner",
            ),
            (
                "maker address not allowed, please use the deposit wallet flow",
                "maker address",
            ),
            ("Unauthorized/Invalid api key", "invalid api key"),
            ("<!DOCTYPE html><HTML>", "<html"),
        ] {
            let found = known(text).unwrap();
            assert!(found.text.starts_with(start), "{text}: {}", found.text);
        }
        assert_eq!(known("something else"), None);
        for entry in KNOWN {
            assert_eq!(entry.text, entry.text.to_lowercase());
            assert_eq!(
                known(entry.text),
                Some(*entry),
                "{} is shadowed",
                entry.text
            );
        }
    }
}
