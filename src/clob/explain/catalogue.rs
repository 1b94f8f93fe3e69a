//! What can be wrong with an order, as a list: each entry has a stable code and says what to do.
//!
//! Nothing outside this list is ever answered, and each entry has a case in the tests.

use crate::catalogue::catalogue;

catalogue! {
    /// Something that can be wrong with an order.
    pub enum Code {
        /// A member of the order cannot be read.
        Malformed "malformed"
            "Write the member as the CLOB's documentation does.";
        /// It was signed here, and was changed afterwards.
        Changed "changed"
            "Post the order exactly as it was answered; ask for a new one where it has to differ.";
        /// Signed for another version of the exchange.
        Version "version"
            "Sign again in the version that GET /version of the CLOB names (clients that are too old sign version 1).";
        /// Signed for another chain.
        Chain "chain"
            "Sign again with the chain of the CLOB that you post to: 137 in production, 80002 on Amoy.";
        /// Signed for the other kind of market.
        NegRisk "neg-risk"
            "Sign again with negRisk as GET /neg-risk of the CLOB says for the token.";
        /// Signed for the neg-risk adapter, which is no exchange.
        ExchangeAdapter "exchange-adapter"
            "Use a client that knows the neg-risk exchange: two old ones name the adapter on 80002.";
        /// Signed under the domain of logins.
        LoginDomain "login-domain"
            "Sign under the exchange's own domain; ClobAuthDomain is for logins alone.";
        /// Signed as a message to people.
        PersonalMessage "personal-message"
            "Have the typed data signed (eth_signTypedData_v4), or its digest as it is: personal_sign puts a text before it, and exchanges do not.";
        /// Signed under a domain that no exchange has.
        Domain "domain"
            "Sign under the exchange's own domain: version, chainId and verifyingContract belong together.";
        /// Signed with another signature type, or one that the maker does not fit.
        SignatureType "signature-type"
            "Use the signature type of the wallet that pays, in what is signed and in what is posted.";
        /// A deposit wallet's order signed like anybody's.
        NotNested "not-nested"
            "With signatureType 3 the key signs TypedDataSign (ERC-7739) around the order; use a client that knows deposit wallets.";
        /// The nested signature without what has to follow it.
        NotWrapped "not-wrapped"
            "Append the exchange's domain separator, the order's struct hash, its type string and that one's length.";
        /// The nested signature with something else behind it.
        WrongWrapper "wrong-wrapper"
            "Append the domain separator, struct hash and type string of this very order.";
        /// Maker and signer stand in each other's place.
        MakerSignerSwapped "maker-signer-swapped"
            "maker is the wallet that pays, signer the key's address.";
        /// Signed with another maker.
        Maker "maker"
            "Post the maker that was signed, or sign again with the right funder.";
        /// Signed by another key than the order or you say.
        Signer "signer"
            "Sign with the key whose address is the order's signer, and post with the API key of that address.";
        /// With type 0 the signer pays itself.
        EoaMaker "eoa-maker"
            "Use the signature type of the wallet that is the maker (1, 2 or 3), or let the signer be the maker.";
        /// The maker is not the signer's wallet.
        Funder "funder"
            "Use as maker the wallet of this type that follows from the signer.";
        /// Signed as the other side.
        Side "side"
            "Post the side that was signed: 0 is BUY, 1 is SELL.";
        /// Signed with the amounts in each other's place.
        AmountsSwapped "amounts-swapped"
            "A BUY gives cash and takes shares, a SELL the other way around.";
        /// Signed with amounts as another client rounds them.
        AmountsRounded "amounts-rounded"
            "Post the amounts that were signed. Let one client both round and sign, and reckon in decimals.";
        /// An order for nothing.
        AmountsZero "amounts-zero"
            "Ask for at least 0.01 shares; smaller sizes are cut to nothing.";
        /// More decimals than the CLOB takes of a market order.
        AmountsTooFine "amounts-too-fine"
            "Round both amounts down to the decimals that the detail names, and sign again.";
        /// The price that the amounts imply is not one of the market's.
        Tick "tick"
            "Ask for the market's tick size anew (GET /tick-size), and name a price that is a multiple of it.";
        /// The salt was rounded on its way through a double.
        SaltRounded "salt-rounded"
            "Use salts below 2^53: a JSON reader that has only doubles changes larger ones.";
        /// The salt will be rounded at the venue.
        SaltTooLarge "salt-too-large"
            "Sign again with a salt below 2^53: the CLOB reads it as a double, and sees another order.";
        /// The salt is text in a body that is posted.
        SaltText "salt-text"
            "Post the salt as a JSON number.";
        /// The timestamp was signed in another unit.
        TimestampUnit "timestamp-unit"
            "Sign and post the timestamp in milliseconds.";
        /// Signed with the zeros of 32 bytes on the other side.
        BytesPadded "bytes-padded"
            "Post the 32 bytes that were signed: a shorter code is filled with zeros on one side, the same one when it is signed and when it is posted.";
        /// Signed with zero where the order has something.
        FieldZero "field-zero"
            "Sign the value that is posted; the detail names the member.";
        /// The larger of the two possible s.
        HighS "high-s"
            "Take the curve's order minus s, and the other v. Devices and KMS answer either.";
        /// v is a bare recovery bit.
        BareV "bare-v"
            "Add 27 to v.";
        /// v leads to another key.
        WrongV "wrong-v"
            "Take the other of 27 and 28: recover with both, and keep the one that leads to the signer.";
        /// A member in a form that no client posts.
        Form "form"
            "Post salt and signatureType as numbers, side as BUY or SELL, flags as true or false, and everything else as text; ids and amounts in decimal digits.";
        /// An order type that is none.
        OrderType "order-type"
            "Write orderType as GTC, GTD, FOK or FAK, in capitals.";
        /// An expiration that does not go with the order type, or leaves no time.
        Expiration "expiration"
            "Give a GTD order an expiration at least three minutes ahead, in unix seconds, and every other order 0.";
        /// An expiration in another unit.
        ExpirationUnit "expiration-unit"
            "Sign and post the expiration in unix seconds.";
        /// A post-only order that cannot rest.
        PostOnly "post-only"
            "Leave postOnly out, or post the order as GTC or GTD.";
        /// The owner is an address.
        OwnerAddress "owner-address"
            "owner is the id of the API key that the order is posted with, a UUID.";
    }
}
