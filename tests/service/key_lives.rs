//! An idempotency key is remembered for as long as what was signed under it can be used.

use serde_json::{Value, json};

use crate::stand::{Stand, with};

const ORDERS: &str = "/v1/wallets/d-w/orders";
const DAY: i64 = 24 * 3600;

/// An order of this version, and the day on which it says that it ends.
fn order(version: u8, ends_after: Option<i64>) -> Value {
    let mut order = with("version", json!(version));
    if let Some(days) = ends_after {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        order["orderType"] = json!("GTD");
        order["expiration"] = json!(now + days * DAY);
    }
    order
}

#[tokio::test]
async fn a_key_lives_as_long_as_its_order_can() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    for (key, path, body, days) in [
        ("resting", ORDERS, order(2, None), 90),
        // Version 2 does not sign when it ends.
        ("two", ORDERS, order(2, Some(1)), 90),
        ("one", ORDERS, order(1, None), 90),
        ("over-soon", ORDERS, order(1, Some(1)), 7),
        ("over-late", ORDERS, order(1, Some(200)), 200),
        ("brief", "/v1/clients/d-c/assertions", json!({}), 7),
    ] {
        let signed = stand.trader.post_as(key, path, &body).await.unwrap();
        assert_eq!(signed.status, 200, "{key}: {}", signed.text);
        let sql = format!(
            "select round(extract(epoch from expires_at - now()) / {DAY}) from idempotency_keys
             where key = '{key}'"
        );
        assert_eq!(stand.database.count(&sql).await, days, "{key}");
    }
    let batch = json!({ "orders": [order(1, Some(1)), order(2, None)] });
    let path = format!("{ORDERS}/batch");
    let signed = stand.trader.post_as("all", &path, &batch).await.unwrap();
    assert_eq!(signed.status, 200, "{}", signed.text);
    let sql = format!(
        "select round(extract(epoch from expires_at - now()) / {DAY}) from idempotency_keys
         where key = 'all'"
    );
    assert_eq!(stand.database.count(&sql).await, 90);
}

#[tokio::test]
async fn a_setting_under_which_keys_mean_nothing_is_refused() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    for (wrong, why) in [
        (
            "[idempotency]\nkeep_hours = 0",
            "0 is not within 24 and 8784",
        ),
        (
            "[idempotency]\nkeep_open_orders_days = 1",
            "1 is not within 30",
        ),
        ("[signing]\nlease_ms = 1", "1 is not within 100"),
        (
            "[signing]\nlease_ms = 8000",
            "lease_ms = 8000 is not longer than deadline_ms = 8000",
        ),
        ("[clock]\nrefused_ms = 0", "0 is not within 1000"),
    ] {
        stand.deployment.configure(wrong);
        let said = stand.deployment.run(&["migrate"]).unwrap_err();
        assert!(said.contains(why), "{wrong}: {said}");
    }
}
