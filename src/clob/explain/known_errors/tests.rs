use super::*;

/// Every text of the venue's pages on errors, with something in its holes.
const PAGES: &[&str] = &[
    "Unauthorized/Invalid api key",
    "Invalid L1 Request headers",
    "Trading is currently disabled. Check polymarket.com for updates",
    "Trading is currently cancel-only. New orders are not accepted, but cancels are allowed.",
    "Too Many Requests",
    "Invalid token id",
    "No orderbook exists for the requested token id",
    "Invalid payload",
    "Payload exceeds the limit",
    "Invalid side",
    "Invalid order payload",
    "the order owner has to be the owner of the API KEY",
    "the order signer address has to be the address of the API KEY",
    "'0x00000000000000000000000000000000000000aa' address banned",
    "'0x00000000000000000000000000000000000000aa' address in closed only mode",
    "post-only mode: only post-only orders and cancels are allowed",
    "Too many orders in payload: 18, max allowed: 15",
    "invalid post-only order: order crosses book",
    "order 0xab is invalid. Price (0.5151) breaks minimum tick size rule: 0.01",
    "order 0xab is invalid. Size (1.58) lower than the minimum: 5",
    "order 0xab is invalid. Duplicated.",
    "order 0xab crosses the book",
    "not enough balance / allowance",
    "invalid expiration",
    "order canceled in the CTF exchange contract",
    "order match delayed due to market conditions",
    "order couldn't be fully filled. FOK orders are fully filled or killed.",
    "no orders found to match with FAK order. FAK orders are partially filled or killed if no match is found.",
    "the market is not yet ready to process new orders",
    "order timed out",
    "there are no matching orders",
    "FOK orders are filled or killed",
    "the trade contains rounding issues",
    "the price of the taker's order has a discrepancy greater than allowed with the worst maker order",
    "Invalid orderID",
    "Too many orders in payload, max allowed: 1000",
    "Internal server error",
    "invalid order params payload",
    "Invalid trade params payload",
    "Invalid market",
    "market not found",
    "startTs is required",
    "asset_id is required",
    "invalid fidelity: 2m",
    "limit cannot exceed 1000",
    "either market or asset_id must be provided",
    "Could not create api key",
    "Could not retrieve API keys",
    "Could not delete API key",
    "Could not derive api key!",
    "could not create builder api key",
    "could not get builder api keys",
    "invalid revoke builder api key body",
    "invalid revoke builder api key headers",
    "could not revoke the builder api key: 6f1d1f3a",
    "invalid builder trade params",
    "could not fetch builder trades",
    "Invalid asset type",
    "Invalid signature_type",
    // "Create Order"
    "could not insert order",
    "could not run the execution",
    "error delaying the order",
    "order couldn't be fully filled, FOK orders are fully filled/killed",
    "INVALID_ORDER_MIN_TICK_SIZE",
    "INVALID_ORDER_MIN_SIZE",
    "INVALID_ORDER_DUPLICATED",
    "INVALID_ORDER_NOT_ENOUGH_BALANCE",
    "INVALID_ORDER_EXPIRATION",
    "INSERT_ORDER_ERROR",
    "EXECUTION_ERROR",
    "ORDER_DELAYED",
    "DELAYING_ORDER_ERROR",
    "FOK_ORDER_NOT_FILLED_ERROR",
    "MARKET_NOT_READY",
    // "Methods of level 1"
    "INVALID_SIGNATURE",
    "NONCE_ALREADY_USED",
    "Invalid Funder Address",
];

fn of_text(text: &str) -> Option<KnownError> {
    let text = Some(text.to_owned());
    Refusal {
        text,
        ..Refusal::default()
    }
    .known()
}

#[test]
fn every_documented_text_is_known() {
    assert_eq!(PAGES.len(), 77, "as many as the pages have");
    let documented = |known: &KnownError| {
        let mut entries = DOCUMENTED.iter();
        entries.any(|it| it.patterns.contains(&known.text))
    };
    let unknown: Vec<_> = PAGES
        .iter()
        .filter(|text| !of_text(text).is_some_and(|it| documented(&it)))
        .collect();
    assert!(
        unknown.is_empty(),
        "{} unknown: {unknown:#?}",
        unknown.len()
    );
    // And each of the table is on one of the pages, or has a status instead of a text.
    for entry in DOCUMENTED.iter().filter(|it| it.status.is_none()) {
        let is_its =
            |text: &&&str| of_text(text).is_some_and(|it| entry.patterns.contains(&it.text));
        assert!(
            PAGES.iter().any(|text| is_its(&text)),
            "{:?}",
            entry.patterns
        );
    }
}

#[test]
fn advice_says_what_the_text_says() {
    for (text, action) in [
        (
            "order 0xab is invalid. Price (0.51) breaks minimum tick size rule: 0.1",
            "a multiple of 0.1.",
        ),
        (
            r#"{"error":"order 0xab is invalid. Size (1.58) lower than the minimum: 5"}"#,
            "5 shares or more",
        ),
        (
            "Too many orders in payload: 18, max allowed: 15",
            "at most 15 orders",
        ),
        ("limit cannot exceed 500", "500 at most"),
        (
            "invalid tick size (0.001), minimum for the market is 0.01",
            "the tick size 0.01.",
        ),
        (
            "invalid amounts, the market buy orders maker amount supports a max accuracy of 2 decimals, taker amount a max of 4 decimals",
            "maker amount down to 2 decimals and the taker amount to 4.",
        ),
        (
            "the order failed: invalid amounts, the market buy orders maker amount supports a max accuracy of 2 decimals, taker amount a max of 5 decimals",
            "maker amount down to 2 decimals and the taker amount to 5.",
        ),
        (
            "invalid amounts, the buy orders maker amount supports a max accuracy of 4 decimals, taker amount a max of 2 decimals",
            "maker amount down to 4 decimals and the taker amount to 2.",
        ),
        (
            "invalid amount for a marketable BUY order ($0.9982), min size: $1",
            "$1 or more",
        ),
        (
            "invalid amount for a marketable BUY order ($0.21), min size: 1",
            "$1 or more",
        ),
    ] {
        let known = of_text(text).unwrap();
        assert!(known.action.contains(action), "{text}: {}", known.action);
        assert!(
            !format!("{}{}", known.cause, known.action).contains(['{', '}']),
            "{known:?}"
        );
    }
    let banned = of_text("'0xAb' address in closed only mode").unwrap();
    assert_eq!(banned.values["address"], "0xAb");
    let amounts = Refusal {
        text: Some("invalid amounts, the sell orders maker amount supports a max accuracy of 3 decimals, taker amount a max of 1 decimals".to_owned()),
        ..Refusal::default()
    };
    assert_eq!(amounts.decimals(), Some((3, 1)));
}

#[test]
fn a_status_is_known_without_a_text_and_a_bucket_by_its_headers() {
    let known = |status, text: &str, headers: &[(&str, &str)]| {
        let headers = headers.iter();
        let refusal = Refusal {
            text: Some(text.to_owned()),
            status: Some(status),
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        };
        refusal.known()
    };
    let restart = known(425, "", &[]).unwrap();
    assert!(
        restart.action.contains("post-only orders for two minutes"),
        "{restart:?}"
    );
    let body = r#"{"error":"post-only mode: only post-only orders and cancels are allowed","code":"post_only_mode","retry_after_seconds":79}"#;
    let post_only = known(503, body, &[]).unwrap();
    assert!(post_only.action.contains("postOnly: true"), "{post_only:?}");
    let headers = [
        ("Poly-RateLimit-Remaining", "-2"),
        ("poly-ratelimit-tier", "standard"),
        ("retry-after", "3"),
    ];
    let limited = known(429, "", &headers).unwrap();
    for said in ["tier standard", "remaining -2", "retry after (s) 3"] {
        assert!(limited.cause.contains(said), "{limited:?}");
    }
    assert!(
        limited.action.contains("whole or not at all"),
        "{limited:?}"
    );
    assert_eq!(known(400, "something else", &[]), None);
}

#[test]
fn no_text_is_shadowed_and_no_hole_stays_open() {
    for entry in all() {
        for pattern in entry.patterns {
            let text: String = pattern.replace(['{', '}'], "");
            let found = of_text(&text).unwrap();
            assert!(
                entry.patterns.contains(&found.text),
                "{pattern} is taken for {}",
                found.text
            );
            let open = |text: &str| text.contains(['{', '}']);
            assert!(!open(&found.cause) && !open(&found.action), "{found:?}");
        }
    }
    for (text, start) in [
        ("order_version_mismatch", "order_version"),
        (
            "invalid order version, please use the latest clob-client",
            "invalid order version",
        ),
        ("invalid signature", "invalid signature"),
        ("invalid POLY_PROXY signature", "invalid POLY_PROXY"),
        (
            "maker address not allowed, please use the deposit wallet flow",
            "maker address",
        ),
        (
            "not enough balance / allowance: the balance is not enough -> balance: 0",
            "not enough",
        ),
        ("Unauthorized/Invalid api key", "Unauthorized"),
        ("<!DOCTYPE html><HTML>", "<!doctype"),
    ] {
        let found = of_text(text).unwrap();
        assert!(found.text.starts_with(start), "{text}: {}", found.text);
    }
    assert_eq!(of_text("something else"), None);
}
