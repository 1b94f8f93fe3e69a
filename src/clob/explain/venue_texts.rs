//! What the venue answers when it refuses, as data: each text with its fixed parts, and holes for what
//! differs from order to order. `{name}` is a hole; it may be named again in what to do, and stands for
//! the text's own words there.
//!
//! Sources: the venue's pages "Error Codes", "Create Order", "Matching Engine Restarts" and "Trading Rate
//! Limits", its L1 page, and public threads and official clients for the rest.

use super::catalogue::Code;

/// A refusal of the venue, in every spelling that is known.
pub(super) struct VenueText {
    /// As it is written, with holes. Case does not matter, nor what stands around it.
    pub(super) patterns: &'static [&'static str],
    /// The HTTP status that it comes with, where that tells it apart without a text.
    pub(super) status: Option<u16>,
    /// What it means.
    pub(super) cause: &'static str,
    /// What to do.
    pub(super) action: &'static str,
    /// What can be wrong with the order, if it is the order.
    pub(super) codes: &'static [Code],
}

macro_rules! texts {
    ($(#[$meta:meta])* $name:ident: $($($pattern:literal)|+ $(=> $status:literal)? ; $cause:literal $action:literal [$($code:ident)*])*) => {
        $(#[$meta])*
        pub(super) const $name: &[VenueText] = &[$(VenueText {
            patterns: &[$($pattern),+],
            status: texts!(@status $($status)?),
            cause: $cause,
            action: $action,
            codes: &[$(Code::$code),*],
        },)*];
    };
    (@status) => { None };
    (@status $status:literal) => { Some($status) };
}

texts! {
    /// The texts of the venue's own documentation.
    DOCUMENTED:

    // Any endpoint.
    "Unauthorized/Invalid api key";
        "The API key is not valid here, or not yet: a new one can need two minutes, and a newer one replaces it."
        "Wait two minutes after making a key; then derive it again. The order is fine." []
    "Invalid L1 Request headers";
        "The ClobAuth headers are wrong: chain, clock, address, or a high s."
        "Compare the clock with GET /time, and the chain with the host." [HighS BareV]
    "Trading is currently disabled";
        "The venue takes no orders at the moment, and no cancels either."
        "Wait; the order is fine." []
    "Trading is currently cancel-only";
        "The venue takes cancels and no new orders at the moment."
        "Wait; the order is fine. Cancels go through." []
    "post-only mode: only post-only orders and cancels are allowed" | "post_only_mode";
        "The venue has restarted, and for some minutes takes cancels and post-only orders alone."
        "Wait as long as retry_after_seconds and Retry-After say, or post an order that may rest with postOnly: true. The same order unchanged is refused again." []
    "Too Many Requests" => 429;
        "A limit of the venue is used up: the signer's own bucket for orders, which is apart from that for cancels, or that of the network address."
        "Wait as long as Retry-After says. An envelope of several orders is taken whole or not at all: one that costs more than the bucket holds never passes, so send fewer at a time. The order is fine." []
    "matching engine is restarting" => 425;
        "The venue's matching engine is restarting."
        "Repeat the same order after 1 to 2 seconds, each time after twice as long. Afterwards the venue takes only post-only orders for two minutes." []
    "Internal server error" => 500;
        "The venue has a fault of its own; whether an order took effect is not known."
        "Look for the order by its hash (GET /data/order) before you post it again." []

    // Posting.
    "Invalid order payload";
        "The body is not as the venue reads it: a member is missing or of another form, or the salt is text or above 2^53."
        "Send salt and signatureType as numbers, side as a word, everything else in the order as text." [SaltText SaltTooLarge Form Malformed]
    "the order owner has to be the owner of the API KEY";
        "The envelope's owner is not the API key that the post was made with."
        "Put the key's id (apiKey, a UUID) into owner, not an address." [OwnerAddress]
    "the order signer address has to be the address of the API KEY";
        "The order's signer is not the address that the API key was made for. With signatureType 3 it is the wallet, and the venue says this also while the wallet is not deployed."
        "Post with the API key of the signer's address; deploy the deposit wallet first." [Signer]
    "'{address}' address banned";
        "The venue has banned {address}."
        "Nothing in the order is wrong; ask the venue." []
    "'{address}' address in closed only mode";
        "The venue lets {address} only close what it holds."
        "Sell what the address holds; new positions are refused. Ask the venue why (GET /auth/ban-status/closed-only)." []
    "Too many orders in payload: {count}, max allowed: {most}";
        "{count} orders came in one envelope, and the venue takes {most}."
        "Send at most {most} orders at a time; none of these was looked at." []
    "Too many orders in payload, max allowed: {most}";
        "More ids came in one envelope than the {most} that the venue takes."
        "Send at most {most} at a time; none of these was looked at." []

    // What happens to an order that was read.
    "invalid post-only order: order crosses book";
        "A post-only order would be matched at once at this price."
        "Name a price that rests (a BUY below the best ask, a SELL above the best bid), or leave postOnly out." []
    "order {id} crosses the book" | "crosses the book";
        "A post-only order would be matched at once at this price."
        "Name a price that rests (a BUY below the best ask, a SELL above the best bid), or leave postOnly out." []
    "Price ({price}) breaks minimum tick size rule: {tick}";
        "The price {price} is not a multiple of the market's tick size, {tick}, which may have changed."
        "Sign again at a multiple of {tick}." [Tick]
    "breaks minimum tick size rule" | "INVALID_ORDER_MIN_TICK_SIZE";
        "The price is not a multiple of the market's tick size, which may have changed."
        "Ask for GET /tick-size anew, and sign again at a price on that grid." [Tick]
    "Size ({size}) lower than the minimum: {min}";
        "The size {size} is below the market's least, {min}."
        "Ask for {min} shares or more." [AmountsZero]
    "lower than the minimum" | "INVALID_ORDER_MIN_SIZE";
        "The size is below the market's least."
        "Ask for as many shares as min_order_size of GET /book says, or more." [AmountsZero]
    "is invalid. Duplicated" | "INVALID_ORDER_DUPLICATED";
        "This very order was posted before."
        "Look for it by its hash: it is taken, or was. For another order sign another one, with a salt of its own." []
    "not enough balance / allowance" | "not enough balance" | "INVALID_ORDER_NOT_ENOUGH_BALANCE";
        "The maker has too little cash or shares beside what its open orders hold, or has not approved the exchange to take them."
        "Fund the maker, or cancel orders; approve the exchange of this version and market. Cash of version 2 is pUSD. The order is fine." []
    "invalid expiration" | "INVALID_ORDER_EXPIRATION";
        "The expiration is past, or less than a minute ahead, or not in unix seconds."
        "Sign again with orderType GTD and an expiration at least three minutes ahead, in seconds; other types have 0." [Expiration ExpirationUnit]
    "order canceled in the CTF exchange contract";
        "The order was cancelled on the chain."
        "Sign another order." []
    "order match delayed due to market conditions" | "ORDER_DELAYED";
        "The order was taken, and its match is delayed."
        "Wait, and look for it by its hash; do not post it again." []
    "order couldn't be fully filled" | "FOK orders are fully filled" | "FOK_ORDER_NOT_FILLED_ERROR";
        "The book does not hold as much as a fill-or-kill order wants. The order is fine."
        "Ask for less, at another price, or with FAK." []
    "FOK orders are filled or killed";
        "The book does not hold as much as a fill-or-kill order wants. The order is fine."
        "Ask for less, at another price, or with FAK." []
    "no orders found to match with FAK order";
        "There was nothing to take at this price. The order is fine."
        "Ask again at another price." []
    "there are no matching orders";
        "There was nothing to take at this price. The order is fine."
        "Ask again at another price." []
    "the market is not yet ready to process new orders" | "MARKET_NOT_READY";
        "The venue does not take orders for this market yet."
        "Wait, and post the same order again." []
    "order timed out";
        "The venue did not come to the order in time: many came at once from this account. It never reached the book."
        "Post the same order again, fewer at a time." []
    "the trade contains rounding issues";
        "The amounts do not divide as the venue computes the trade."
        "Sign again with the amounts of the market's tick: GET /tick-size." [AmountsRounded AmountsTooFine Tick]
    "the price of the taker's order has a discrepancy greater than allowed with the worst maker order";
        "The price that the amounts imply lies too far from the book's."
        "Sign again: the price first, the amounts from it, the taker amount rounded down." [AmountsRounded]
    "could not insert order" | "INSERT_ORDER_ERROR";
        "The venue has a fault of its own."
        "Look for the order by its hash before you post it again." []
    "could not run the execution" | "EXECUTION_ERROR";
        "The venue has a fault of its own."
        "Look for the order by its hash before you post it again." []
    "error delaying the order" | "DELAYING_ORDER_ERROR";
        "The venue has a fault of its own."
        "Look for the order by its hash before you post it again." []

    // Markets and books.
    "Invalid token id";
        "The token id is missing or no decimal number."
        "Send the outcome's token id as decimal text, all of its digits." [Malformed]
    "No orderbook exists for the requested token id";
        "The venue has no market with this token."
        "Compare the token id digit by digit (it must not pass through a double), and the host with the chain." []
    "Invalid payload";
        "The body is malformed or lacks a member."
        "Send what the venue's documentation asks for; no order is in it." []
    "Payload exceeds the limit";
        "More tokens came in one call than the venue takes."
        "Ask for fewer at a time." []
    "Invalid side";
        "side is neither BUY nor SELL."
        "Write BUY or SELL, in capitals." [Form Side]
    "Invalid market";
        "The condition id has not the form of one."
        "Send 0x and 64 hexadecimal digits." []
    "market not found";
        "The venue has no such market."
        "Compare the condition or token id, and the host with the chain." []
    "Invalid orderID";
        "The order id has not the form of one."
        "Send the order's hash: 0x and 64 hexadecimal digits." []
    "invalid order params payload";
        "A parameter of the query for orders is wrong."
        "Compare the query with the venue's documentation; no order is in it." []
    "Invalid trade params payload";
        "A parameter of the query for trades is wrong."
        "Compare the query with the venue's documentation; no order is in it." []
    "startTs is required";
        "The query lacks startTs."
        "Send it, in unix seconds." []
    "either market or asset_id must be provided";
        "The query names no market."
        "Send market or asset_id." []
    "asset_id is required";
        "The query lacks asset_id."
        "Send the token id." []
    "invalid fidelity: {fidelity}";
        "The venue knows no fidelity {fidelity}."
        "Send 1m, 5m, 15m, 30m, 1h, 4h, 1d or 1w." []
    "limit cannot exceed {most}";
        "More was asked for at a time than the venue answers."
        "Ask for {most} at most, and go on from there." []
    "Invalid asset type";
        "The venue knows no such asset type."
        "Send COLLATERAL or CONDITIONAL." []
    "Invalid signature_type";
        "The query's signature_type is none."
        "Send the wallet's: 0, 1, 2 or 3." []

    // API keys.
    "Could not create api key";
        "The credential's nonce was used before, most often."
        "Derive with the same nonce, or create with another one; both need no new order." []
    "Could not derive api key";
        "No API key was made with this nonce by this address."
        "Derive with the nonce that the key was made with." []
    "Could not retrieve API keys";
        "The venue has a fault of its own."
        "Ask again." []
    "Could not delete API key";
        "The venue has a fault of its own; whether the key is gone is not known."
        "List the keys (GET /auth/api-keys) before you delete it again." []
    "NONCE_ALREADY_USED";
        "An API key was made with this nonce before."
        "Derive with this nonce, or create with another one." []
    "INVALID_SIGNATURE";
        "The ClobAuth signature does not fit address, timestamp, nonce and chain."
        "Sign for the chain of the host that you call, with the key of POLY_ADDRESS." []
    "Invalid Funder Address";
        "The funder is not a wallet of the signer."
        "Use the wallet that follows from the signer." [Funder SignatureType]

    // Builders.
    "could not create builder api key";
        "The venue has a fault of its own."
        "List the keys before you create one again." []
    "could not get builder api keys";
        "The venue has a fault of its own."
        "Ask again." []
    "invalid revoke builder api key body";
        "The body of the revocation is malformed."
        "Send what the venue's documentation asks for." []
    "invalid revoke builder api key headers";
        "The revocation lacks headers."
        "Send the builder's headers beside those of level 2." []
    "could not revoke the builder api key";
        "The venue has a fault of its own; whether the key still counts is not known."
        "List the keys before you revoke it again." []
    "invalid builder trade params";
        "A parameter of the query for builder trades is wrong."
        "Compare the query with the venue's documentation." []
    "could not fetch builder trades";
        "The venue has a fault of its own."
        "Ask again." []
}

texts! {
    /// Texts that people and official clients have seen and the documentation does not list.
    SEEN:

    "order_version_mismatch";
        "The venue takes another version of orders than this one."
        "Read GET /version, build and sign the order again in that version, once." [Version]
    "invalid order version";
        "The venue takes another version of orders than this one."
        "Use a client that signs version 2; production has taken no other since 2026-04-28." [Version]
    "invalid POLY_PROXY signature";
        "The signer does not own the proxy wallet that is the maker."
        "Look at the wallets that follow from the signer, and use the type whose wallet the maker is."
        [SignatureType Funder Maker Signer NegRisk]
    "invalid signature";
        "What the venue hashed is not what the key signed, or the signer may not sign for the maker."
        "Correct what the findings name. If there is none: signatureType, maker and signer have to belong together, and negRisk has to be the market's."
        [NegRisk Chain Version Domain LoginDomain ExchangeAdapter SignatureType NotNested NotWrapped
         WrongWrapper PersonalMessage Maker Signer MakerSignerSwapped EoaMaker Funder Side AmountsSwapped
         AmountsRounded SaltRounded SaltTooLarge TimestampUnit BytesPadded FieldZero HighS BareV WrongV
         Changed]
    "maker address not allowed";
        "The venue takes no orders from this maker any more: it wants a deposit wallet."
        "Use the deposit wallet that follows from the signer as funder, with signatureType 3."
        [SignatureType Maker Funder]
    "invalid tick size ({given}), minimum for the market is {tick}";
        "The tick size {given} that the client was told is smaller than the market's, {tick}."
        "Sign again with the tick size {tick}." [Tick]
    "invalid tick size";
        "The tick size that the client was told is smaller than the market's."
        "Ask for GET /tick-size anew, and sign again." [Tick]
    "invalid amounts, the {kind} orders maker amount supports a max accuracy of {maker} decimals, taker amount a max of {taker} decimals";
        "The amounts have more decimals than the venue takes in {kind} orders."
        "Round the maker amount down to {maker} decimals and the taker amount to {taker}." [AmountsTooFine]
    "invalid amounts, the {kind} orders maker amount supports a max accuracy of {maker} decimals";
        "The maker amount has more decimals than the venue takes in {kind} orders."
        "Round the maker amount down to {maker} decimals." [AmountsTooFine]
    "max accuracy" | "invalid amounts";
        "The amounts have more decimals than the venue takes, or are not what it computes with."
        "Round both amounts down to the decimals that its text names." [AmountsTooFine AmountsZero]
    "invalid amount for a marketable {side} order (${amount}), min size: ${min}"
        | "invalid amount for a marketable {side} order (${amount}), min size: {min}";
        "An order that is filled at once is worth ${amount} and has to be worth ${min}."
        "Ask for ${min} or more, after rounding, or let the order rest." []
    "invalid order parameters";
        "The venue read another order than was signed: a salt above 2^53 is the usual cause."
        "Use salts below 2^53." [SaltTooLarge SaltRounded Malformed]
    "invalid nonce";
        "The order's nonce is not the one that the exchange counts for the maker."
        "Sign again with the maker's current nonce (0, unless it cancelled on the chain)." [FieldZero]
    "invalid fee rate ({given}), current market's maker fee: {fee}";
        "The order's feeRateBps is {given}, and the market's {fee}."
        "Sign again with feeRateBps {fee}." []
    "invalid fee rate";
        "The order's feeRateBps is not the market's."
        "Sign again with what GET /fee-rate says." []
    "no match";
        "The book does not hold as much as a fill-or-kill order wants. The order is fine."
        "Ask for less, or with FAK." []
    "postOnly is only supported for" | "postOnly is not supported for" | "post_only is";
        "A post-only order can rest only as GTC or GTD."
        "Leave postOnly out, or use GTC or GTD." [PostOnly]
    "Trading restricted in your region";
        "The venue takes no orders from the network address that posted."
        "Nothing in the order is wrong." []
    "unauthorized" | "invalid api key";
        "The API key is not valid here, or not yet: a new one can need two minutes, and a newer one replaces it."
        "Wait two minutes after making a key; then derive it again. The order is fine." []
    "<html" | "<!doctype html";
        "Something in front of the venue answered: its web firewall or a proxy refuses this address."
        "Ask whoever runs the network; the order was not looked at." []
}
