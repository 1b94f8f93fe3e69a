//! The policy decides on the real thing: on what an order signs, what a header is for, which key is bound, and
//! what is granted to whom (P5, P6).

use chancery::custody::Material;
use serde_json::{Value, json};

use crate::stand::{Stand, refused, with};
use crate::support::{Answer, Caller, POLICY, desk, order};
use crate::{policies, rpc};

/// A stand whose policy has these lines more.
async fn stand(lines: &str) -> Option<Stand> {
    let stand = Stand::new("").await?;
    policies::has(&stand.operator, &format!("{POLICY}\n{lines}")).await;
    Some(stand)
}

fn forbidden(what: &str, answer: &Answer, rule: &str) {
    refused(what, answer, 403, "denied", rule);
}

#[tokio::test]
async fn an_order_is_decided_on_what_is_signed_by_every_way_in() {
    let lines = r#"
        @id("ten-dollars") forbid (principal, action == Action::"sign_order", resource)
        when { context.notional > 10000000 };
        @id("no-sales") forbid (principal, action == Action::"sign_order", resource)
        when { context.side == "SELL" };
        @id("dear") forbid (principal, action == Action::"sign_order", resource)
        when { context.side == "BUY" && context.price > 990000 };
    "#;
    let Some(stand) = stand(lines).await else {
        return;
    };
    let path = "/v1/wallets/d-w/orders";
    let large = with("size", json!("21.04")); // at 0.56: 11.78 dollars
    let small = with("size", json!("10"));
    let sale = |mut order: Value| {
        order["side"] = json!("SELL");
        order
    };
    forbidden(
        "large",
        &stand.trader.post(path, &large).await,
        "ten-dollars",
    );
    forbidden(
        "sale",
        &stand.trader.post(path, &sale(small.clone())).await,
        "no-sales",
    );
    assert_eq!(stand.signed().await, (0, 0));
    let signed = stand.trader.post(path, &small).await;
    assert_eq!(signed.status, 200, "{}", signed.text);

    // A market order says cash; what counts is what it comes to.
    let market = json!({
        "tokenID": order()["tokenID"], "side": "BUY", "amount": "10.01", "price": "0.56",
        "tickSize": "0.01", "negRisk": false, "orderType": "FOK",
    });
    let path = "/v1/wallets/d-w/market-orders";
    forbidden(
        "market",
        &stand.trader.post(path, &market).await,
        "ten-dollars",
    );

    let batch = json!({ "orders": [small, large, sale(small.clone())] });
    let done = stand
        .trader
        .post("/v1/wallets/d-w/orders/batch", &batch)
        .await;
    assert_eq!(done.status, 200, "{}", done.text);
    let orders = done.json["orders"].as_array().unwrap();
    let statuses: Vec<_> = orders
        .iter()
        .map(|it| it["status"].as_u64().unwrap())
        .collect();
    assert_eq!(statuses, [200, 403, 403], "{}", done.text);

    // Typed data says nothing but amounts: a dollar for one share and a little less.
    let address = rpc::address(&stand).await;
    let sign = async |maker_amount: &str, taker_amount: &str| {
        let mut data = rpc::order(&address);
        data["message"]["makerAmount"] = json!(maker_amount);
        data["message"]["takerAmount"] = json!(taker_amount);
        let call = json!({
            "jsonrpc": "2.0", "id": 1, "method": "eth_signTypedData_v4", "params": [address, data],
        });
        rpc::post(&stand.trader, &call.to_string()).await.json
    };
    for (maker, taker, rule) in [
        ("10000001", "20000000", "ten-dollars"),
        ("1000000", "1000000", "dear"),
        ("1", "99999999999999999999999999", "numbers-beyond-policy"),
    ] {
        rpc::refused(rule, &sign(maker, taker).await, 4001, "denied", rule);
    }
    assert!(sign("1000000", "2000000").await["result"].is_string());
    // And a stranger learns no more than before.
    let stranger = stand.another("stranger", "e", "trader").await;
    let hidden = stranger.post("/v1/wallets/d-w/orders", &order()).await;
    refused("stranger", &hidden, 404, "not-found", "wallet");
}

#[tokio::test]
async fn headers_are_decided_on_the_request_that_they_are_for() {
    let lines = r#"
        @id("reads-only") forbid (principal, action == Action::"issue_l2_headers", resource)
        unless { context.method == "GET" && context.path like "/data/*" };
    "#;
    let Some(stand) = stand(lines).await else {
        return;
    };
    crate::l2::trading_key(&stand, crate::l2::KEY).await;
    let path = "/v1/wallets/d-w/l2-headers";
    let ask = async |method: &str, of: &str| {
        let body = json!({ "method": method, "path": of });
        stand.trader.post(path, &body).await
    };
    let given = ask("GET", "/data/orders").await;
    assert_eq!(given.status, 200, "{}", given.text);
    for (method, of) in [
        ("DELETE", "/cancel-all"),
        ("GET", "/orders"),
        ("DELETE", "/data/orders"),
    ] {
        forbidden(of, &ask(method, of).await, "reads-only");
    }
}

#[tokio::test]
async fn a_key_is_made_for_whom_and_where_the_policy_says() {
    let actions = r#"[Action::"create_key", Action::"adopt_key", Action::"import_key"]"#;
    let lines = format!(
        r#"
        @id("known-desks") forbid (principal, action in {actions}, resource)
        unless {{ ["d", "e"].contains(context.owner) }};
        @id("no-wallets-of-e") forbid (principal, action in {actions}, resource)
        when {{ context.owner == "e" && context.purpose == "wallet" && context.backend == "soft" }};
        @id("names-say-where") forbid (principal, action in {actions}, resource)
        when {{ context.environment == "dev01" && context.name like "test-*" }};
        "#
    );
    let Some(stand) = stand(&lines).await else {
        return;
    };
    let key = |name: &str, owner: &str, purpose: &str| json!({ "name": name, "owner": owner, "purpose": purpose, "backend": "soft", "environment": "dev01" });
    let more = [
        ("/v1/keys", json!({})),
        ("/v1/keys/adopt", json!({ "device_ref": "pkcs11:object=x" })),
        ("/v1/keys/import", json!({ "public_key": "none" })),
    ];
    for (path, members) in &more {
        for (rule, name, owner, purpose) in [
            ("known-desks", "x", "f", "client"),
            ("no-wallets-of-e", "x", "e", "wallet"),
            ("names-say-where", "test-x", "d", "client"),
        ] {
            let mut body = key(name, owner, purpose);
            let members = members.as_object().unwrap().clone();
            body.as_object_mut().unwrap().extend(members);
            forbidden(path, &stand.operator.post(path, &body).await, rule);
        }
    }
    let begun = "select count(*) from keys where name in ('x', 'test-x')";
    assert_eq!(stand.database.count(begun).await, 0);
    for (name, owner, purpose) in [("x", "e", "client"), ("y", "d", "wallet")] {
        let made = stand
            .operator
            .post("/v1/keys", &key(name, owner, purpose))
            .await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
}

#[tokio::test]
async fn what_is_brought_for_a_key_is_decided_on_that_key() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let vectors: Value =
        serde_json::from_str(include_str!("../vectors/private-keys.json")).unwrap();
    let text = vectors["good"]["sec1"]["text"].as_str().unwrap();
    let material = Material::read(text.as_bytes()).unwrap();
    let import = json!({
        "name": "x", "purpose": "wallet", "backend": "soft", "environment": "dev01", "owner": "e",
        "public_key": material.public_key().to_pem(),
    });
    let begun = stand.operator.post("/v1/keys/import", &import).await;
    assert_eq!(begun.status, 201, "{}", begun.text);

    let lines = r#"
        @id("no-more-of-e") forbid (principal, action in [Action::"create_key", Action::"import_key"], resource)
        when { context.owner == "e" && context.name == "x" };
    "#;
    policies::has(&stand.operator, &format!("{POLICY}\n{lines}")).await;
    for (path, body) in [
        ("/v1/keys/x/material", json!({ "wrapped": "AAAA" })),
        ("/v1/keys/x/recover", json!({ "reason": "it is ours" })),
    ] {
        forbidden(
            path,
            &stand.operator.post(path, &body).await,
            "no-more-of-e",
        );
    }
}

#[tokio::test]
async fn no_desk_signs_with_the_key_of_another() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    stand
        .server
        .caller(&desk(&stand.operator, "e", "soft").await);
    let wallet = json!({ "name": "x", "key": "d-wk", "owner": "e", "chainId": 137 });
    let client = json!({ "name": "x", "key": "d-ck", "owner": "e", "client_id": "x" });
    for (path, body) in [("/v1/wallets", wallet), ("/v1/clients", client)] {
        let answer = stand.operator.post(path, &body).await;
        refused(path, &answer, 422, "invalid-field", "owner");
    }
    // Whatever the code says.
    let refuse = async |sql: &'static str, constraint: &str| {
        let error = sqlx::query(sql)
            .execute(&stand.database.pool)
            .await
            .unwrap_err();
        let broken = error.as_database_error().and_then(|it| it.constraint());
        assert_eq!(broken, Some(constraint), "{error}");
    };
    for sql in [
        "update wallets set owner = 'e' where name = 'd-w'",
        "update wallets set key_id = (select id from keys where name = 'e-wk') where name = 'd-w'",
        "update keys set owner = 'e' where name = 'd-wk'",
    ] {
        refuse(sql, "wallets_key_is_of_their_owner").await;
    }
    for sql in [
        "update clients set owner = 'e' where name = 'd-c'",
        "update keys set owner = 'e' where name = 'd-ck'",
    ] {
        refuse(sql, "clients_key_is_of_their_owner").await;
    }
}

/// The attack that this was made for: an operator, who signs nothing, lets somebody in who does.
#[tokio::test]
async fn an_operator_gives_nobody_rights_beyond_their_desk_and_none_without_a_trace() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    stand
        .server
        .caller(&desk(&stand.operator, "e", "soft").await);
    let operator = stand.another("d-operator", "d", "operator").await;
    let make = async |by: &Caller, name: &str, owner: &str, roles: &[&str]| {
        let new = json!({ "name": name, "owner": owner, "roles": roles });
        by.post("/v1/callers", &new).await
    };
    let everything = ["trader", "treasurer", "credential-holder"];
    let denied = make(&operator, "puppet", "e", &everything).await;
    refused("another desk", &denied, 403, "denied", "create_caller");
    let denied = make(&operator, "puppet", "d", &["registrar"]).await;
    forbidden("a registrar", &denied, "only-a-registrar-makes-one");
    let days = json!({ "token_days": 1 });
    let denied = operator.post("/v1/callers/e-trader/tokens", &days).await;
    refused(
        "as a trader of another desk",
        &denied,
        403,
        "denied",
        "grant_credential",
    );
    let missing = operator.post("/v1/callers/nobody/tokens", &days).await;
    refused("nobody", &missing, 404, "not-found", "caller");
    let both = make(&stand.operator, "both", "d", &["operator", "trader"]).await;
    let both = stand.server.caller(both.json["token"].as_str().unwrap());
    let denied = make(&both, "puppet", "d", &["trader"]).await;
    forbidden("who signs", &denied, "who-signs-lets-nobody-in");
    let denied = both.post("/v1/callers/d-trader/tokens", &days).await;
    forbidden("who signs", &denied, "who-signs-lets-nobody-in");

    // On their own desk it takes a second person, or, as here, stands there as a single operator's.
    let grants = "select count(*) from callers where name = 'puppet'";
    assert_eq!(stand.database.count(grants).await, 0);
    let puppet = make(&operator, "puppet", "d", &everything).await;
    assert_eq!(puppet.status, 201, "{}", puppet.text);
    let issued = operator.post("/v1/callers/d-trader/tokens", &days).await;
    assert_eq!(issued.status, 201, "{}", issued.text);
    let single = "select count(*) from leaves
         where position('none (single operator)'::bytea in leaf) > 0
         and position('puppet'::bytea in leaf) + position('issue-caller-token'::bytea in leaf) > 0";
    assert!(stand.database.count(single).await >= 2);
}

#[tokio::test]
async fn what_the_policy_says_is_explained_to_who_may_know() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let ask = async |by: &Caller, query: &str| by.get(&format!("/v1/policy/explain?{query}")).await;
    let own = "caller=d-trader&action=sign_order&resource=wallet:d-w";
    let said = ask(&stand.operator, own).await;
    assert_eq!(said.status, 200, "{}", said.text);
    assert_eq!(said.json["permitted"], true);
    assert_eq!(said.json["rules"], json!(["trader-signs-own-orders"]));
    stand.another("stranger", "e", "trader").await;
    let others = "caller=stranger&action=sign_order&resource=wallet:d-w";
    let said = ask(&stand.operator, others).await;
    assert_eq!(said.json["permitted"], false, "{}", said.text);
    let missing = json!([{
        "rule": "trader-signs-own-orders", "conditions": ["principal.owner == resource.owner"],
    }]);
    assert_eq!(said.json["missing"], missing);
    let grant = "caller=operator&action=create_caller";
    let said = ask(&stand.operator, grant).await;
    refused("too little", &said, 400, "malformed-query", "context.");
    let context = r#"&context={"caller":"x","owner":"e","roles":["registrar"]}"#;
    let said = ask(&stand.operator, &format!("{grant}{context}")).await;
    assert_eq!(
        said.json["rules"],
        json!(["registrar-lets-in"]),
        "{}",
        said.text
    );
    for (query, says) in [
        ("caller=d-trader&action=sign", "action"),
        ("caller=d-trader&action=view&resource=house:x", "resource"),
        ("caller=d-trader&action=view&context=1", "context"),
        ("caller=d-trader&action=sign_order", "go together"),
    ] {
        refused(
            query,
            &ask(&stand.operator, query).await,
            400,
            "malformed-query",
            says,
        );
    }
    refused(
        "nobody",
        &ask(&stand.operator, "caller=x&action=view").await,
        404,
        "not-found",
        "caller",
    );
    let denied = ask(&stand.trader, own).await;
    refused("a trader", &denied, 403, "denied", "view_policy");
}
