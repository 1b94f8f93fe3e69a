//! Callers as people know them: by name beside the id, with roles that mean something, in pages.

use serde_json::json;

use crate::stand::{Stand, refused};
use crate::support::order;

#[tokio::test]
async fn who_did_something_is_named_and_found_by_name_and_by_id() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let path = "/v1/wallets/d-w/orders";
    let signed = stand.trader.post_as("k", path, &order()).await.unwrap();
    assert_eq!(signed.status, 200, "{}", signed.text);
    let found = stand.trader.get("/v1/signatures?idempotency_key=k").await;
    let found = &found.json[0];
    assert_eq!(found["caller_name"], "d-trader", "{found}");
    let id = found["caller"].as_str().unwrap();

    let declared = json!({ "nonces": [7] });
    let declared = stand
        .operator
        .post("/v1/wallets/d-w/nonces", &declared)
        .await;
    assert_eq!(declared.status, 201, "{}", declared.text);
    let nonces = stand.operator.get("/v1/nonces?wallet=d-w").await.json;
    assert_eq!(nonces[0]["recorded_by_name"], "operator", "{nonces}");

    let by_name = stand.operator.get("/v1/callers/d-trader").await;
    let by_id = stand.operator.get(&format!("/v1/callers/{id}")).await;
    assert_eq!((by_id.status, by_id.json), (200, by_name.json));
    let token = stand
        .operator
        .post(
            &format!("/v1/callers/{id}/tokens"),
            &json!({ "token_days": 1 }),
        )
        .await;
    assert_eq!(token.status, 201, "{}", token.text);
    let revoked = stand
        .operator
        .post(&format!("/v1/callers/{id}/revoke"), &json!({}))
        .await;
    assert_eq!(revoked.status, 201, "{}", revoked.text);
    assert_eq!(stand.trader.get("/v1/wallets").await.status, 401);

    // A name that could be taken for somebody's id is no name.
    let new = json!({ "name": id, "owner": "d", "roles": ["trader"] });
    let answer = stand.operator.post("/v1/callers", &new).await;
    refused("an id", &answer, 422, "invalid-field", "form of an id");
}

#[tokio::test]
async fn a_role_that_no_policy_names_is_refused() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let new = json!({ "name": "x", "owner": "d", "roles": ["trader", "tradr"] });
    let made = stand.operator.post("/v1/callers", &new).await;
    refused(
        "tradr",
        &made,
        422,
        "invalid-field",
        "no policy names tradr",
    );
}

#[tokio::test]
async fn a_list_comes_in_pages_for_who_asks_for_them() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    for path in [
        "/v1/keys",
        "/v1/wallets",
        "/v1/clients",
        "/v1/callers",
        "/v1/environments",
    ] {
        let names = |json: &serde_json::Value| -> Vec<String> {
            let all = json.as_array().unwrap().iter();
            all.map(|it| it["name"].as_str().unwrap().to_owned())
                .collect()
        };
        let whole = stand.operator.get(path).await;
        assert!(!whole.headers.contains_key("link"), "{path}");
        let mut next = Some(format!("{path}?limit=1"));
        let mut seen = Vec::new();
        while let Some(page) = next {
            let page = stand.operator.get(&page).await;
            assert_eq!(page.status, 200, "{}", page.text);
            let of_page = names(&page.json);
            assert_eq!(of_page.len(), 1, "{path}");
            seen.extend(of_page);
            let link = page.headers.get("link").map(|it| it.to_str().unwrap());
            next = link.map(|it| it[1..it.find('>').unwrap()].to_owned());
        }
        assert_eq!(seen, names(&whole.json), "{path}");
        for query in ["limit=0", "limit=x", "after=nobody", "limt=1"] {
            let wrong = stand.operator.get(&format!("{path}?{query}")).await;
            refused(query, &wrong, 400, "malformed-query", "");
        }
    }

    // What has no name goes by its id, and what was asked for besides stays asked for.
    for number in 1..=3 {
        let name = format!("r-{number}");
        let key = json!({ "name": name, "purpose": "client", "backend": "soft", "environment": "dev01", "owner": "d" });
        let client = json!({ "name": name, "key": name, "owner": "d", "client_id": name });
        let active = json!({ "to": "active", "reason": "test" });
        let rotation = json!({ "client": name, "new_key": format!("{name}-2"), "target_at": in_a_month(), "reason": "x" });
        let steps = format!("/v1/keys/{name}/steps");
        for (path, body) in [
            ("/v1/keys", &key),
            (&steps, &active),
            ("/v1/clients", &client),
            ("/v1/rotations", &rotation),
        ] {
            let made = stand.operator.post(path, body).await;
            assert_eq!(made.status, 201, "{}", made.text);
        }
    }
    let mut next = Some("/v1/rotations?open=true&limit=2".to_owned());
    let mut pages = Vec::new();
    while let Some(page) = next {
        assert!(page.contains("open=true"), "{page}");
        let page = stand.operator.get(&page).await;
        assert_eq!(page.status, 200, "{}", page.text);
        pages.push(page.json.as_array().unwrap().len());
        let link = page.headers.get("link").map(|it| it.to_str().unwrap());
        next = link.map(|it| it[1..it.find('>').unwrap()].to_owned());
    }
    assert_eq!(pages, [2, 1]);
    for path in [
        "/v1/rotations",
        "/v1/orphans",
        "/v1/wallets/d-w/credentials",
    ] {
        for query in ["limit=0", "after=nobody", "limt=1"] {
            let wrong = stand.operator.get(&format!("{path}?{query}")).await;
            refused(query, &wrong, 400, "malformed-query", "");
        }
    }
}

fn in_a_month() -> String {
    let at = time::OffsetDateTime::now_utc() + time::Duration::days(30);
    let seconds = at.replace_nanosecond(0).unwrap();
    seconds
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap()
}

#[tokio::test]
async fn requests_that_are_repeated_while_they_are_worked_on_get_one_answer() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let step = json!({ "to": "suspended", "reason": "test" });
    let mut repeats = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (operator, step) = (stand.operator.clone(), step.clone());
        repeats.spawn(async move {
            let path = "/v1/keys/d-wk/steps";
            operator.post_as("once", path, &step).await.unwrap()
        });
    }
    while let Some(answer) = repeats.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    assert_eq!(stand.operator.get("/v1/keys/d-wk").await.json["epoch"], 2);
}
