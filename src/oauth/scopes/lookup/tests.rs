use super::*;

fn found(method: Option<Method>, path: &str) -> Result<Vec<String>, UnknownEndpoint> {
    let wanted = ApiCall {
        method,
        path: path.to_owned(),
    };
    let found = Table::exchange().find(&wanted)?;
    let name = |it: &Match<'_>| format!("{} {}", it.endpoint.method.name(), it.endpoint.endpoint);
    Ok(found.iter().map(name).collect())
}

#[test]
fn every_documented_endpoint_is_found_by_its_own_words() {
    for endpoint in &Table::exchange().endpoints {
        let name = format!("{} {}", endpoint.method.name(), endpoint.endpoint);
        let path = endpoint.endpoint.replace("{symbol}", "ABC-26");
        assert_eq!(found(Some(endpoint.method), &path).unwrap(), [name]);
    }
}

#[test]
fn a_call_is_known_in_all_its_forms() {
    for (path, endpoint) in [
        ("/v1/positions?limit=5", "GET /v1/positions"),
        (
            "https://api.preprod.polymarketexchange.com/v1/positions#x",
            "GET /v1/positions",
        ),
        (
            "/v1/orderbook/ABC%2F1/bbo",
            "GET /v1/orderbook/{symbol}/bbo",
        ),
        ("/v1/orderbook/bbo", "GET /v1/orderbook/{symbol}"),
        (
            "CreateMarketDataSubscription",
            "gRPC CreateMarketDataSubscription",
        ),
        (
            "/polymarket.v1.MarketDataSubscriptionAPI/CreateMarketDataSubscription",
            "gRPC CreateMarketDataSubscription",
        ),
    ] {
        assert_eq!(found(None, path).unwrap(), [endpoint], "{path}");
    }
    for whole in ["GET /v1/positions", " get  /v1/positions?limit=5"] {
        assert_eq!(
            found(None, whole).unwrap(),
            ["GET /v1/positions"],
            "{whole}"
        );
    }
    let twice = found(Some(Method::Get), "GET /v1/positions");
    assert_eq!(twice.unwrap(), ["GET /v1/positions"]);
    // What it is called with is said once, and nothing near it is the same.
    let unknown = found(None, "POST /v1/positions").unwrap_err();
    assert_eq!(unknown.asked, "POST /v1/positions");
    assert!(!unknown.near.contains(&unknown.asked), "{unknown}");
    let wanted = ApiCall {
        method: None,
        path: "/v1/orderbook/ABC/bbo".into(),
    };
    let found = Table::exchange().find(&wanted).unwrap();
    assert_eq!(found[0].parameters["symbol"], "ABC");
}

#[test]
fn an_unknown_call_is_never_taken_for_a_known_one() {
    for (method, path, near) in [
        (
            Some(Method::Post),
            "/v1/positions",
            Some("GET /v1/positions"),
        ),
        (Some(Method::Get), "/v1/position", Some("GET /v1/positions")),
        (None, "/V1/Positions", Some("GET /v1/positions")),
        (None, "/positions", Some("GET /v1/positions")),
        (None, "/v1/positions/", Some("GET /v1/positions")),
        (
            Some(Method::Delete),
            "/v1/trading/orders",
            Some("POST /v1/trading/orders"),
        ),
        (
            None,
            "createMarketDataSubscription",
            Some("gRPC CreateMarketDataSubscription"),
        ),
        (
            None,
            "/v1/orderbook//bbo",
            Some("GET /v1/orderbook/{symbol}/bbo"),
        ),
        (None, "/nothing/of/the/kind", None),
        (None, "", None),
    ] {
        let unknown = found(method, path).unwrap_err();
        assert_eq!(
            unknown.near.first().map(String::as_str),
            near,
            "{path}: {unknown}"
        );
        assert!(unknown.near.len() <= NEAR_LIMIT);
    }
}
