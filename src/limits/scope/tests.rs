use std::collections::BTreeSet;

use ruint::aliases::U256;

use super::*;

#[test]
fn a_scope_has_one_text_and_an_id_of_its_own() {
    let (caller, key) = (CallerId::new(), KeyId::new());
    let all = [
        Scope::Global,
        Scope::Caller(caller),
        Scope::Key(key),
        Scope::CallerKey(caller, key),
        Scope::Wallet(WalletId::new()),
        Scope::Market(Token(U256::from(12))),
    ];
    let mut ids = BTreeSet::new();
    for scope in all {
        assert_eq!(Scope::try_from(scope.to_string()), Ok(scope));
        ids.insert(scope.id());
        ids.extend(What::ALL.map(|what| scope.counter(what)));
    }
    assert_eq!(ids.len(), all.len() * (1 + What::ALL.len()));
    for wrong in [
        "",
        "global",
        "global:",
        "caller:x",
        "market:012",
        "key:{00000000-0000-0000-0000-000000000000}",
    ] {
        assert!(Scope::try_from(wrong.to_owned()).is_err(), "{wrong}");
    }
}
