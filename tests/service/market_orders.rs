//! Cash to spend or shares to give, at a limit that is named or that the book gives.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Value, json};

use crate::stand::{Stand, refused};
use crate::support::venue::ClobServer;

const MARKET: &str = "/v1/wallets/d-w/market-orders";

/// A market order with everything said but the price.
fn market(changes: Value) -> Value {
    let mut order = json!({
        "tokenID": "1001", "side": "BUY", "amount": "100", "tickSize": "0.01", "negRisk": false,
    });
    let Value::Object(changes) = changes else {
        panic!("changes are fields")
    };
    order.as_object_mut().unwrap().extend(changes);
    order
}

fn amounts(order: &Value) -> (&str, &str) {
    let text = |member: &str| order[member].as_str().unwrap();
    (text("makerAmount"), text("takerAmount"))
}

fn codes(answer: &Value) -> Vec<&str> {
    let warnings = answer["warnings"].as_array().unwrap();
    let codes = warnings.iter().map(|it| it["code"].as_str().unwrap());
    codes
        .filter(|code| *code != "token-id-looks-like-v3")
        .collect()
}

#[tokio::test]
async fn a_named_limit_needs_no_clob_and_is_on_record() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let owner = "6f1d1f3a-0000-4000-8000-000000000001";
    let order = market(json!({ "price": "0.58", "owner": owner }));
    let answer = stand.trader.post(MARKET, &order).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(
        amounts(&answer.json["order"]),
        ("100000000", "172413700"),
        "100 ÷ 0.58, down to four decimals"
    );
    assert_eq!(answer.json["envelope"]["orderType"], "FOK");
    assert!(codes(&answer.json).is_empty(), "{}", answer.text);
    let id = answer.json["id"].as_str().unwrap();
    let found = stand.trader.get(&format!("/v1/signatures/{id}")).await;
    for said in [&answer.json, &found.json["record"]] {
        assert_eq!(said["price"], "0.58");
        assert_eq!(said["priceFrom"], "request");
    }

    let fak = market(json!({
        "price": "0.585", "side": "SELL", "amount": "10.129", "orderType": "FAK", "owner": owner,
    }));
    let answer = stand.trader.post(MARKET, &fak).await;
    assert_eq!(amounts(&answer.json["order"]), ("10120000", "5869600"));
    assert_eq!(answer.json["envelope"]["orderType"], "FAK");
    assert_eq!(codes(&answer.json), ["amount-cut", "price-rounded"]);

    let fine = market(json!({ "price": "0.3", "tickSize": "0.001" }));
    let answer = stand.trader.post(MARKET, &fine).await;
    assert_eq!(amounts(&answer.json["order"]), ("100000000", "333333330"));
    assert_eq!(codes(&answer.json), ["amounts-too-fine"]);
}

#[tokio::test]
async fn a_market_order_that_cannot_be_is_refused_by_name_and_signs_nothing() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    for (changes, problem, detail) in [
        (json!({ "price": "0.995" }), "order-refused", "price 0.995"),
        (json!({ "price": "0.009" }), "order-refused", "price 0.009"),
        (
            json!({ "amount": "0.009", "price": "0.5" }),
            "order-refused",
            "amount 0.009",
        ),
        (json!({ "price": "-1" }), "invalid-field", "price"),
        (json!({ "price": 0.5 }), "invalid-field", "price"),
        (
            json!({ "amount": "1e3", "price": "0.5" }),
            "invalid-field",
            "amount",
        ),
        (
            json!({ "size": "1", "price": "0.5" }),
            "invalid-field",
            "size",
        ),
        (
            json!({ "orderType": "GTC", "price": "0.5" }),
            "invalid-field",
            "GTC",
        ),
        (
            json!({ "nonce": 1, "price": "0.5" }),
            "order-refused",
            "nonce",
        ),
        (json!({}), "venue-not-configured", "price"),
        (json!({ "price": "0" }), "venue-not-configured", "price"),
    ] {
        let order = market(changes);
        let answer = stand.trader.post(MARKET, &order).await;
        refused(&order.to_string(), &answer, 422, problem, detail);
    }
    assert_eq!(stand.signed().await, (0, 0));
    stand.still_signs().await;
}

#[tokio::test]
async fn without_a_limit_the_book_gives_it_or_there_is_no_match() {
    let Some(clob) = ClobServer::start(&[]) else {
        return;
    };
    let Some(stand) = Stand::new(&clob.section("polygon")).await else {
        return;
    };
    // Nothing is said but what is wanted. The book of 1001: bids 0.49, asks 0.51, 10,000 shares each.
    let bare = |side: &str, amount: &str, kind: &str| json!({ "tokenID": "1001", "side": side, "amount": amount, "orderType": kind });
    for (order, price, maker, taker) in [
        (bare("BUY", "100", "FOK"), "0.51", "100000000", "196078400"),
        (bare("SELL", "100", "FOK"), "0.49", "100000000", "49000000"),
        (
            bare("BUY", "5100", "FOK"),
            "0.51",
            "5100000000",
            "10000000000",
        ),
        (
            bare("BUY", "5100.01", "FAK"),
            "0.51",
            "5100010000",
            "10000019600",
        ),
    ] {
        let answer = stand.trader.post(MARKET, &order).await;
        assert_eq!(answer.status, 200, "{order}: {}", answer.text);
        assert_eq!(answer.json["price"], price, "{order}");
        assert_eq!(answer.json["priceFrom"], "book", "{order}");
        assert_eq!(amounts(&answer.json["order"]), (maker, taker), "{order}");
    }
    let too_much = bare("BUY", "5100.01", "FOK");
    let answer = stand.trader.post(MARKET, &too_much).await;
    refused("more than the book", &answer, 422, "no-match", "too little");

    // Books are its word, and are read with care. Each of these answers once.
    let level = |price: &str| json!({ "price": price, "size": "10000" });
    let book = |token: &str, asks: Value| {
        let body = json!({ "asset_id": token, "bids": [], "asks": asks });
        json!({ "path": "/book", "status": 200, "body": body })
    };
    for (what, fault, status, problem, detail) in [
        (
            "empty",
            book("1001", json!([])),
            422,
            "no-match",
            "other side",
        ),
        (
            "best first",
            book("1001", json!([level("0.51"), level("0.99")])),
            502,
            "venue-answer",
            "/book",
        ),
        (
            "another's",
            book("1002", json!([level("0.51")])),
            502,
            "venue-answer",
            "/book",
        ),
        (
            "a double",
            book("1001", json!([{ "price": 0.51, "size": "1" }])),
            502,
            "venue-answer",
            "/book",
        ),
        (
            "off the range",
            book("1001", json!([level("0.995")])),
            422,
            "order-refused",
            "price 0.995",
        ),
        (
            "down",
            json!({ "path": "/book", "status": 500 }),
            503,
            "venue-unavailable",
            "price",
        ),
    ] {
        clob.fault(fault).await;
        let answer = stand.trader.post(MARKET, &bare("BUY", "1", "FOK")).await;
        refused(what, &answer, status, problem, detail);
    }
    assert_eq!(stand.signed().await, (4, 4));
}

/// 3001 takes 5 % × price × (1 − price) a share, and a builder takes their share of the cash.
#[tokio::test]
async fn an_amount_is_cut_to_what_may_be_spent_with_its_fees() {
    let Some(clob) = ClobServer::start(&[]) else {
        return;
    };
    let Some(stand) = Stand::new(&clob.section("polygon")).await else {
        return;
    };
    let builder = format!("0x{}", "ab".repeat(32));
    let order = |token: &str, most: &str, builder: Value| json!({ "tokenID": token, "side": "BUY", "amount": "100", "price": "0.3", "maxSpend": most, "builderCode": builder });
    for (token, most, builder_bps, maker, cut) in [
        ("3001", "103.50", None, "100000000", false),
        ("3001", "103.49", None, "99990000", true), // 100 costs 3.50
        ("3001", "40", None, "38640000", true),
        ("1001", "40", None, "40000000", true), // without fees
        ("3001", "40", Some(100), "38270000", true),
    ] {
        let code = builder_bps.map_or(Value::Null, |_| json!(builder));
        if let Some(bps) = builder_bps {
            let body =
                json!({ "builder_maker_fee_rate_bps": 0, "builder_taker_fee_rate_bps": bps });
            clob.fault(json!({ "path": "/fees/builder-fees/*", "status": 200, "body": body }))
                .await;
        }
        let answer = stand.trader.post(MARKET, &order(token, most, code)).await;
        assert_eq!(answer.status, 200, "{token} {most}: {}", answer.text);
        assert_eq!(answer.json["order"]["makerAmount"], maker, "{token} {most}");
        let codes = codes(&answer.json);
        assert_eq!(codes.contains(&"amount-cut-for-fees"), cut, "{codes:?}");
    }
    let sale = json!({ "tokenID": "3001", "side": "SELL", "amount": "10", "price": "0.3", "maxSpend": "5" });
    let answer = stand.trader.post(MARKET, &sale).await;
    refused("a SELL", &answer, 422, "order-refused", "maxSpend");
    let nothing = order("3001", "0.01", Value::Null);
    let answer = stand.trader.post(MARKET, &nothing).await;
    refused("nothing left", &answer, 422, "order-refused", "amount");
    let odd = json!({ "fd": { "r": 7, "e": 1 } });
    clob.fault(json!({ "path": "/clob-markets/*", "status": 200, "body": odd }))
        .await;
    let answer = stand
        .trader
        .post(MARKET, &order("2001", "40", Value::Null))
        .await;
    refused("an odd fee", &answer, 502, "venue-answer", "/clob-markets");
}

/// Less is known of a market while nobody has looked at its book.
#[tokio::test]
async fn an_order_that_is_too_small_is_signed_with_a_warning_where_that_is_known() {
    let Some(clob) = ClobServer::start(&[]) else {
        return;
    };
    let Some(stand) = Stand::new(&clob.section("polygon")).await else {
        return;
    };
    let limit = |size: &str, kind: &str| json!({ "tokenID": "1001", "side": "BUY", "price": "0.5", "size": size, "orderType": kind });
    let sign = async |path: &str, order: Value| {
        let answer = stand.trader.post(path, &order).await;
        assert_eq!(answer.status, 200, "{order}: {}", answer.text);
        let small = ["size-below-minimum", "amount-below-minimum"];
        let codes = codes(&answer.json).into_iter();
        codes
            .filter(|it| small.contains(it))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let orders = "/v1/wallets/d-w/orders";
    assert!(
        sign(orders, limit("4.99", "GTC")).await.is_empty(),
        "nobody knows"
    );
    let market =
        |side: &str, amount: &str| json!({ "tokenID": "1001", "side": side, "amount": amount });
    for (side, amount, warned) in [
        ("BUY", "0.99", true),
        ("BUY", "1", false),
        ("SELL", "0.99", false),
    ] {
        let said = sign(MARKET, market(side, amount)).await;
        let expected: &[&str] = if warned {
            &["amount-below-minimum"]
        } else {
            &[]
        };
        assert_eq!(said, expected, "{side} {amount}");
    }
    // The book that was looked at says that it takes 5 shares.
    for (size, kind, warned) in [
        ("4.99", "GTC", true),
        ("5", "GTC", false),
        ("4.99", "FOK", false),
    ] {
        let said = sign(orders, limit(size, kind)).await;
        let expected: &[&str] = if warned { &["size-below-minimum"] } else { &[] };
        assert_eq!(said, expected, "{size} {kind}");
    }
}

#[tokio::test]
async fn the_clob_takes_what_was_signed() {
    let Some(clob) = ClobServer::start(&[]) else {
        return;
    };
    let Some(stand) = Stand::new(&clob.section("polygon")).await else {
        return;
    };
    let create = json!({ "mode": "create", "nonce": 0 });
    let made = stand
        .operator
        .post("/v1/wallets/d-w/credentials", &create)
        .await;
    let key = made.json["apiKey"].as_str().unwrap();
    let roles = ["credential-holder", "trader"];
    let holder = json!({ "name": "holder", "owner": "d", "roles": roles });
    let holder = stand.operator.post("/v1/callers", &holder).await.json;
    let holder = stand.server.caller(holder["token"].as_str().unwrap());
    let path = format!("/v1/wallets/d-w/credentials/{key}/reveal");
    let revealed = holder.post(&path, &json!({})).await;
    assert_eq!(revealed.status, 200, "{}", revealed.text);
    let credential = revealed.json;

    let mut envelopes = Vec::new();
    for order in [
        json!({ "tokenID": "1001", "side": "BUY", "amount": "33.33", "orderType": "FAK" }),
        json!({ "tokenID": "1002", "side": "SELL", "amount": "7.77", "price": "0.485" }),
        json!({ "tokenID": "3001", "side": "BUY", "amount": "50", "version": 1 }),
        json!({ "tokenID": "2001", "side": "BUY", "amount": "10", "price": "0.5" }),
    ] {
        let mut order = order;
        order["owner"] = json!(key);
        let answer = stand.trader.post(MARKET, &order).await;
        assert_eq!(answer.status, 200, "{order}: {}", answer.text);
        envelopes.push(answer.json["envelope"].clone());
    }
    let limits: Vec<Value> = (0..11)
        .map(|at| {
            let size = format!("{}.5", 10 + at);
            json!({ "tokenID": "2002", "side": "BUY", "price": "0.501", "size": size, "owner": key })
        })
        .collect();
    let batch = json!({ "orders": limits });
    let answer = stand
        .trader
        .post("/v1/wallets/d-w/orders/batch", &batch)
        .await;
    for outcome in answer.json["orders"].as_array().unwrap() {
        envelopes.push(outcome["order"]["envelope"].clone());
    }
    assert_eq!(envelopes.len(), 15, "as many as an envelope takes");

    let body = json!(envelopes).to_string();
    let now = time::OffsetDateTime::now_utc().unix_timestamp().to_string();
    let text = |member: &str| credential[member].as_str().unwrap();
    let secret = URL_SAFE.decode(text("secret")).unwrap();
    let secret = hmac::Key::new(hmac::HMAC_SHA256, &secret);
    let message = format!("{now}POST/orders{body}");
    let tag = URL_SAFE.encode(hmac::sign(&secret, message.as_bytes()));
    let wallet = stand.trader.get("/v1/wallets/d-w").await.json;
    let request = stand.trader.http.post(format!("{}/orders", clob.url));
    let request = request
        .header("POLY_ADDRESS", wallet["address"].as_str().unwrap())
        .header("POLY_SIGNATURE", tag)
        .header("POLY_TIMESTAMP", now)
        .header("POLY_API_KEY", key)
        .header("POLY_PASSPHRASE", text("passphrase"))
        .body(body);
    let taken: Value = request.send().await.unwrap().json().await.unwrap();
    for (at, outcome) in taken.as_array().unwrap_or(&Vec::new()).iter().enumerate() {
        assert_eq!(outcome["errorMsg"], "", "{at}: {outcome}");
    }
    assert_eq!(
        clob.state().await["orders"].as_array().unwrap().len(),
        15,
        "{taken}"
    );
}

#[tokio::test]
async fn who_asks_afresh_gets_today_s_fees() {
    let Some(clob) = ClobServer::start(&[]) else {
        return;
    };
    let Some(stand) = Stand::new(&clob.section("polygon")).await else {
        return;
    };
    let order = json!({ "tokenID": "3001", "side": "BUY", "amount": "100", "price": "0.3", "maxSpend": "40" });
    let ask = async |afresh: bool| {
        let trader = &stand.trader;
        let request = trader.http.post(format!("{}{MARKET}", trader.base));
        let key = uuid::Uuid::new_v4().to_string();
        let mut request = request.header("idempotency-key", key).json(&order);
        if afresh {
            request = request.header("cache-control", "no-cache");
        }
        let answer = trader.send(request).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json["order"]["makerAmount"].clone()
    };
    assert_eq!(ask(false).await, "38640000");
    // Today the market takes nothing.
    let fault = json!({ "path": "/clob-markets/*", "status": 200, "body": {} });
    clob.fault(fault.clone()).await;
    assert_eq!(ask(false).await, "38640000", "as it is remembered");
    assert_eq!(ask(true).await, "40000000");
}
