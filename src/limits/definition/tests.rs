use serde_json::{Value, json};

use super::*;

fn limits(said: Value) -> Result<Limits, String> {
    serde_json::from_value(said).map_err(|error| error.to_string())
}

#[test]
fn absurd_limits_are_refused_by_name() {
    for (said, why) in [
        (json!({}), "nothing is limited"),
        (json!({ "order_notional": "-1" }), "negative"),
        (json!({ "order_notional": 5 }), "expected a string"),
        (
            json!({ "order_notional": "1.5" }),
            "whole number of base units",
        ),
        (
            json!({ "notional_1m": "170141183460469231731687303715884105728" }),
            "is more than",
        ),
        (
            json!({ "order_notionl": "1" }),
            "unknown field `order_notionl`",
        ),
        (
            json!({ "price": { "min": "0.9", "max": "0.1" } }),
            "min is above max",
        ),
        (
            json!({ "price": { "min": "0", "max": "1.5" } }),
            "not a price",
        ),
        (
            json!({ "collar": { "beyond": "0.1", "max_age_ms": 1 } }),
            "100 to 60000",
        ),
        (json!({ "sides": [] }), "none is left"),
        (json!({ "sides": ["LONG"] }), "LONG"),
        (json!({ "token_ids_allowed": [] }), "none is left"),
        (json!({ "token_ids_denied": ["0x1"] }), "not a token id"),
        (
            json!({ "expiration_min_s": 2, "expiration_max_s": 1 }),
            "above expiration_max_s",
        ),
        (json!({ "orders": { "per_s": 0, "burst": 1 } }), "nonzero"),
        (
            json!({ "orders": { "per_s": 1_000_000, "burst": 1 } }),
            "per_s is 1 to",
        ),
        (json!({ "repeat_after_s": 0 }), "1 to 3600"),
        (json!({ "l1_headers_24h": -1 }), "invalid value"),
    ] {
        let error = limits(said.clone()).unwrap_err();
        assert!(error.contains(why), "{said}: {error}");
    }
}

#[test]
fn what_allows_more_loosens_and_what_allows_less_does_not() {
    let wide = json!({
        "order_notional": "10", "notional_24h": "100", "price": { "min": "0.1", "max": "0.9" },
        "collar": { "beyond": "0.1", "max_age_ms": 1000, "without_book": { "min": "0.1", "max": "0.9" } },
        "sides": ["BUY", "SELL"], "token_ids_allowed": ["1", "2"], "token_ids_denied": ["3"],
        "expiration_min_s": 60, "expiration_max_s": 600, "orders": { "per_s": 10, "burst": 20 },
        "l1_headers_24h": 2, "repeat_after_s": 60,
    });
    let before = limits(wide.clone()).unwrap();
    let changed = |member: &str, value: Value| {
        let mut said = wide.clone();
        if value.is_null() {
            said.as_object_mut().unwrap().remove(member);
        } else {
            said[member] = value;
        }
        limits(said).unwrap()
    };
    let narrower = [
        ("order_notional", json!("9")),
        ("notional_1h", json!("5")),
        ("price", json!({ "min": "0.2", "max": "0.9" })),
        ("collar", json!({ "beyond": "0.1", "max_age_ms": 1000 })),
        ("sides", json!(["BUY"])),
        ("token_ids_allowed", json!(["1"])),
        ("token_ids_denied", json!(["3", "4"])),
        ("expiration_min_s", json!(70)),
        ("orders", json!({ "per_s": 10, "burst": 10 })),
        ("l1_headers_24h", json!(0)),
        ("repeat_after_s", json!(61)),
    ];
    assert!(!before.loosen(&before));
    for (member, value) in narrower {
        let after = changed(member, value);
        assert!(!after.loosen(&before), "{member}");
        assert!(before.loosen(&after), "{member}");
    }
    for member in wide.as_object().unwrap().keys() {
        assert!(
            changed(member, Value::Null).loosen(&before),
            "{member} is gone"
        );
    }
    let mixed = limits(json!({ "order_notional": "1" })).unwrap();
    assert!(mixed.loosen(&before), "one is lower, the others are gone");
}

#[test]
fn each_thing_has_the_limits_that_are_counted_for_it() {
    let of = |said| limits(said).unwrap();
    let look_ups = of(json!({ "look_ups_1m": 1 }));
    let headers = of(json!({ "l1_headers_24h": 1 }));
    let notional = of(json!({ "order_notional": "1" }));
    for scope in ScopeKind::ALL {
        notional.fit(scope).unwrap();
        let by_caller = matches!(scope, ScopeKind::Global | ScopeKind::Caller);
        assert_eq!(look_ups.fit(scope).is_ok(), by_caller, "{scope}");
        assert_eq!(
            headers.fit(scope).is_ok(),
            scope != ScopeKind::Market,
            "{scope}"
        );
    }
}
