//! What was at stake in a signature, as its leaf has it.

use ruint::aliases::U256;
use serde_json::Value;

use crate::audit::leaf::Intent;
use crate::id::WalletId;
use crate::limits::{BookPrice, Limited, LimitedOrder, Price, Side, Token};

/// What limits look at. A record that says too little says that nothing is limited: what is signed has to
/// stand in it, which its digest shows.
pub(super) fn of(intent: &Intent) -> Limited {
    let record: Value = serde_json::from_str(&intent.record).unwrap_or_default();
    let wallet = WalletId::from(intent.subject);
    match intent.operation.as_str() {
        "order" => order(wallet, &record).map_or(Limited::Nothing, |it| Limited::Order(it.into())),
        "clob-auth" if record["handedOut"] == true => Limited::L1Header(wallet),
        "assertion" if record["errand"].is_null() => Limited::Assertion,
        "wallet-operation" => {
            let outflow = number(&record["outflow"]);
            outflow.map_or(Limited::Nothing, |cash| Limited::Withdrawal(wallet, cash))
        }
        _ => Limited::Nothing,
    }
}

fn order(wallet: WalletId, record: &Value) -> Option<LimitedOrder> {
    let (signed, unsigned) = (&record["struct"], &record["unsigned"]);
    let side = if signed["side"] == 0 {
        Side::Buy
    } else {
        Side::Sell
    };
    let (made, taken) = (
        number(&signed["makerAmount"])?,
        number(&signed["takerAmount"])?,
    );
    let (cash, shares) = match side {
        Side::Buy => (made, taken),
        Side::Sell => (taken, made),
    };
    let expiration = number(&signed["expiration"]).or_else(|| number(&unsigned["expiration"]));
    let expiration = expiration.and_then(|it| u64::try_from(it).ok());
    Some(LimitedOrder {
        wallet,
        token: Token(number(&signed["tokenId"])?),
        side,
        cash,
        shares,
        expiration: expiration.filter(|it| *it != 0),
        rests: unsigned["rests"] != false,
        is_meant_again: unsigned["again"] == true,
        book: book(&unsigned["book"]).unwrap_or(BookPrice::Absent),
    })
}

fn book(seen: &Value) -> Option<BookPrice> {
    let best = Price::try_from(seen["best"].as_str()?.to_owned()).ok()?;
    Some(BookPrice::Seen(best, seen["atMs"].as_i64()?))
}

fn number(text: &Value) -> Option<U256> {
    text.as_str()?.parse().ok()
}
