use ruint::aliases::U256;
use serde_json::json;

use super::super::limited::BookPrice;
use super::super::{Side, Token};
use super::*;
use crate::id::WalletId;

#[test]
fn the_strictest_of_all_that_bind_binds_and_others_do_not() {
    let (caller, other, key, wallet) = (
        CallerId::new(),
        CallerId::new(),
        KeyId::new(),
        WalletId::new(),
    );
    let order = |cash: u64| {
        Limited::Order(Box::new(LimitedOrder {
            wallet,
            token: Token(U256::from(12)),
            side: Side::Buy,
            cash: U256::from(cash),
            shares: U256::from(100),
            expiration: None,
            rests: true,
            is_meant_again: false,
            book: BookPrice::Absent,
        }))
    };
    let scopes = [
        Scope::Global,
        Scope::Caller(caller),
        Scope::Key(key),
        Scope::CallerKey(caller, key),
        Scope::Wallet(wallet),
        Scope::Market(Token(U256::from(12))),
    ];
    for (n, strict) in scopes.iter().enumerate() {
        let mut book = LimitBook::default();
        for scope in &scopes {
            let most = if scope == strict { "10" } else { "20" };
            let said = json!({ "order_notional": most, "notional_1h": most });
            book.define(*scope, serde_json::from_value(said).unwrap());
        }
        let fits = book.decide(caller, key, &order(10), 0).unwrap();
        assert_eq!((fits.amount, fits.counters.len()), (10, scopes.len()));
        let exceeded = book.decide(caller, key, &order(11), 0).unwrap_err();
        assert_eq!(exceeded.scope, strict.kind());
        assert_eq!(exceeded.value, "10");
        // Whoever is not meant goes by the rest.
        let another = book.decide(other, key, &order(11), 0);
        assert_eq!(another.is_ok(), [1, 3].contains(&n), "{strict}");
    }
}

#[test]
fn each_thing_asks_of_its_own_counters_only() {
    let mut book = LimitBook::default();
    let said = json!({
        "notional_24h": "5", "l1_headers_24h": 1, "look_ups_1m": 2,
        "assertions": { "per_s": 1, "burst": 1 }, "access_tokens": { "per_s": 1, "burst": 1 },
    });
    book.define(Scope::Global, serde_json::from_value(said).unwrap());
    let (caller, key) = (CallerId::new(), KeyId::new());
    for (stake, what) in [
        (Limited::L1Header(WalletId::new()), What::L1Header),
        (Limited::Assertion, What::Assertion),
        (Limited::AccessToken, What::AccessToken),
    ] {
        let asks = book.decide(caller, key, &stake, 0).unwrap();
        let counted: Vec<_> = asks.counters.iter().map(|it| it.what).collect();
        assert_eq!((asks.amount, counted), (1, vec![what]));
    }
    assert!(
        book.decide(caller, key, &Limited::Nothing, 0)
            .unwrap()
            .is_empty()
    );
    assert_eq!(book.decide_look_up(caller).counters[0].what, What::LookUp);
}
