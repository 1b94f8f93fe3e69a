//! `chancery doctor --invariants` finds what is broken, by the promise that it breaks.

use serde_json::Value;

use crate::stand::Stand;
use crate::support::{invariants, order};

/// The laws that are broken, as the doctor reports them.
fn broken(report: &str) -> Vec<String> {
    let start = report.find('{').unwrap();
    let report: Value = serde_json::from_str(&report[start..]).unwrap();
    let laws = report["promises"]["laws"].as_array().unwrap();
    assert_eq!(laws.len(), 15);
    laws.iter()
        .filter(|law| law["broken"] != 0)
        .map(|law| format!("{} {}", law["promise"], law["what"]).replace('"', ""))
        .collect()
}

#[tokio::test]
async fn a_ledger_in_use_keeps_the_promises_and_each_break_is_named() {
    let Some(stand) = Stand::durable("").await else {
        return;
    };
    for _ in 0..3 {
        let signed = stand.trader.post("/v1/wallets/d-w/orders", &order()).await;
        assert_eq!(signed.status, 200, "{}", signed.text);
        let body = serde_json::json!({});
        let signed = stand.trader.post("/v1/clients/d-c/assertions", &body).await;
        assert_eq!(signed.status, 200, "{}", signed.text);
    }
    let doctor = ["doctor", "--invariants", "--json"];
    let report = stand.deployment.run(&doctor).unwrap();
    assert!(broken(&report).is_empty(), "{report}");
    let shown: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(shown["promises"]["released"], 6, "{report}");
    for law in shown["promises"]["laws"].as_array().unwrap() {
        let what = law["what"].as_str().unwrap();
        let idle = ["a token was", "each login is"].iter();
        let is_idle = idle.clone().any(|it| what.starts_with(it));
        assert_eq!(law["looked_at"] == 0, is_idle, "{law}");
    }

    let one = "(select id from intents where operation = 'order' order by id limit 1)";
    let jti = "(select min(jti::text)::uuid from jtis)";
    for (table, wrong, right, breaks) in [
        (
            "intents",
            format!("update intents set key_epoch = key_epoch + 1 where id = {one}"),
            format!("update intents set key_epoch = key_epoch - 1 where id = {one}"),
            vec!["P2 each intent"],
        ),
        (
            "ends",
            format!("update ends set attempt = attempt + 1 where intent_id = {one}"),
            format!("update ends set attempt = attempt - 1 where intent_id = {one}"),
            vec!["P2 each end"],
        ),
        (
            "ends",
            format!(
                "update ends set answer = set_byte(answer, 40, get_byte(answer, 40) # 1) where intent_id = {one}"
            ),
            format!(
                "update ends set answer = set_byte(answer, 40, get_byte(answer, 40) # 1) where intent_id = {one}"
            ),
            vec!["P3 each answer"],
        ),
        (
            "jtis",
            format!(
                "update jtis set client_id = intent_id, intent_id = client_id where jti = {jti}"
            ),
            format!(
                "update jtis set client_id = intent_id, intent_id = client_id where jti = {jti}"
            ),
            vec!["P4 each jti"],
        ),
        (
            "signature_points",
            "update signature_points set digest = sha256(digest)".to_owned(),
            String::new(),
            vec!["P8 each r"],
        ),
        (
            "leaves",
            "update leaves set leaf = leaf || 'x'::bytea where kind = 'admin'".to_owned(),
            String::new(),
            vec!["P8 each r", "P9 each leaf"],
        ),
    ] {
        stand.database.falsify(table, &wrong).await;
        let report = invariants::report(&stand.database, &stand.deployment, |_| ()).await;
        assert!(!report.kept, "{wrong}");
        let found = report.laws.iter().filter(|it| it.broken > 0);
        let found: Vec<_> = found
            .map(|it| format!("{} {}", it.promise, it.what))
            .collect();
        let meant = found.len() == breaks.len()
            && found
                .iter()
                .zip(&breaks)
                .all(|(it, start)| it.starts_with(start));
        assert!(meant, "{wrong}: {found:?}");
        if !right.is_empty() {
            stand.database.falsify(table, &right).await;
        }
    }
    // And the program says it, too.
    assert!(stand.deployment.run(&doctor).is_err());
}
