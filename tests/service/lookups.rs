//! What auditors find in the log, and that each look-up is in it too.

use std::time::{Duration, Instant};

use chancery::audit::leaf::{self, Event, Intent, Leaf, leaf_hash};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stand::{Stand, refused};
use crate::support::{Caller, order};

const EVENTS: &str = "/v1/audit/events";

/// What is found, once all leaves have their place in the tree.
async fn found(stand: &Stand, auditor: &Caller, query: &str) -> Vec<Value> {
    let unplaced = "select count(*) from leaves l
                    left join log_runs r on r.run = l.run where l.batch > coalesce(r.batch, 0)";
    stand.database.becomes(unplaced, 0).await;
    let answer = auditor.get(&format!("{EVENTS}?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    answer.json.as_array().unwrap().clone()
}

fn ids(found: &[Value]) -> Vec<&str> {
    let ids = found.iter().map(|it| it["signature"].as_str());
    ids.map(Option::unwrap_or_default).collect()
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story")]
async fn what_was_signed_refused_and_changed_is_found_by_each_filter() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let auditor = stand.another("audit", "auditors", "auditor").await;
    let path = "/v1/wallets/d-w/orders";
    let first = stand.trader.post_as("the-first", path, &order()).await;
    let first = first.unwrap().json;
    let second = stand.trader.post(path, &order()).await.json;
    let nothing = json!({});
    let assertion = stand.trader.post("/v1/clients/d-c/assertions", &nothing);
    let assertion = assertion.await.json;
    let denied = stand.trader.get("/v1/log").await;
    assert_eq!(denied.status, 403, "{}", denied.text);
    let (first_id, second_id) = (
        first["id"].as_str().unwrap(),
        second["id"].as_str().unwrap(),
    );
    let assertion_id = assertion["id"].as_str().unwrap();
    let jwt = assertion["client_assertion"].as_str().unwrap();
    let jti = jti_of(jwt);
    let both = [second_id, first_id];
    let (digest, order_hash) = (
        first["digest"].as_str().unwrap(),
        first["orderHash"].as_str().unwrap(),
    );
    let token_id = order()["tokenID"].as_str().unwrap().to_owned();
    let credential = found(&stand, &auditor, "kind=order").await[0]["event"]["credential"].clone();
    let credential = credential.as_str().unwrap().to_owned();
    let now = chancery::clock::timestamp(time::OffsetDateTime::now_utc());
    for (query, expected) in [
        ("kind=order".to_owned(), &both[..]),
        (
            "kind=signature".to_owned(),
            &[assertion_id, second_id, first_id],
        ),
        ("kind=assertion".to_owned(), &[assertion_id]),
        ("kind=signature&wallet=d-w".to_owned(), &both),
        ("kind=signature&key=d-wk&caller=d-trader".to_owned(), &both),
        ("kind=signature&client=d-c".to_owned(), &[assertion_id]),
        (format!("market={token_id}"), &both),
        (format!("market={token_id}&client=d-c"), &[]),
        (format!("kind=order&credential={credential}"), &both),
        (format!("kind=order&until={now}"), &both),
        (format!("kind=order&from={now}"), &[]),
        (format!("signature={first_id}"), &[first_id]),
        (format!("digest={digest}"), &[first_id]),
        (format!("orderHash={order_hash}"), &[first_id]),
        (format!("jti={jti}"), &[assertion_id]),
        (
            "idempotency_key=the-first&caller=d-trader".to_owned(),
            &[first_id],
        ),
        ("idempotency_key=the-first&caller=operator".to_owned(), &[]),
        ("kind=order&limit=1".to_owned(), &[second_id]),
    ] {
        let found = found(&stand, &auditor, &query.replace('+', "%2B")).await;
        assert_eq!(ids(&found), expected, "{query}");
    }
    let one = &found(&stand, &auditor, &format!("orderHash={order_hash}")).await[0];
    assert_eq!(
        (
            &one["outcome"],
            &one["what"],
            &one["market"],
            &one["orderHash"]
        ),
        (
            &json!("released"),
            &json!("order"),
            &json!(token_id),
            &json!(order_hash)
        )
    );
    for (party, kind, name) in [
        ("by", "caller", "d-trader"),
        ("on", "wallet", "d-w"),
        ("key", "key", "d-wk"),
    ] {
        assert_eq!(
            (&one[party]["kind"], &one[party]["name"]),
            (&json!(kind), &json!(name))
        );
    }

    let refusals = found(&stand, &auditor, "kind=refusal&caller=d-trader").await;
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    assert_eq!(
        (&refusals[0]["kind"], &refusals[0]["what"]),
        (&json!("denied"), &json!("view_log"))
    );
    let changes = found(&stand, &auditor, "kind=change&key=d-wk").await;
    let changes: Vec<_> = changes
        .iter()
        .map(|it| it["what"].as_str().unwrap())
        .collect();
    assert!(
        changes.contains(&"create-key") && changes.contains(&"step-key"),
        "{changes:?}"
    );
    let steps = found(&stand, &auditor, "action=step-key").await;
    assert_eq!(steps.len(), 2, "{steps:?}");
    assert!(
        steps[0]["event"]["approval"]
            .as_str()
            .unwrap()
            .contains("single operator")
    );
}

fn jti_of(jwt: &str) -> String {
    use base64::Engine as _;
    let claims = jwt.split('.').nth(1).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(claims)
        .unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["jti"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_look_up_is_on_record_and_is_for_those_who_may_read_the_log() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let auditor = stand.another("audit", "auditors", "auditor").await;
    for path in [
        "/v1/audit/events?kind=order",
        "/v1/audit/identify?text=d-w",
        "/v1/audit/signers?key=d-wk",
    ] {
        let answer = auditor.get(path).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let hidden = stand.trader.get(path).await;
        refused(path, &hidden, 403, "denied", "view_log");
    }
    // This one is on record too, and has no place in the tree yet.
    let looks = found(&stand, &auditor, "kind=look-up&caller=audit").await;
    let details: Vec<_> = looks.iter().map(|it| &it["event"]["details"]).collect();
    assert_eq!(
        details,
        [
            &json!({ "signers": "d-wk", "at": null }),
            &json!({ "text": "d-w" }),
            &json!({ "kind": "order" }),
        ]
    );
    assert!(
        looks
            .iter()
            .all(|it| it["what"] == "search-log" && it["by"]["name"] == "audit")
    );
    for (query, detail) in [
        ("limit=0", "1 to 500"),
        ("kind=thing", "none of"),
        ("market=x", "decimal"),
        ("from=today", "2026-11-30T12:00:00Z"),
        ("digest=0x12", "64 hexadecimal"),
        ("idempotency_key=x", "of which caller"),
        ("nonce=1", "of which wallet"),
        (
            "nonce=1&jti=01890000-0000-7000-8000-000000000000",
            "one of them",
        ),
    ] {
        let answer = auditor.get(&format!("{EVENTS}?{query}")).await;
        refused(query, &answer, 400, "malformed-query", detail);
    }
    let nobody = auditor.get(&format!("{EVENTS}?caller=nobody")).await;
    assert_eq!(nobody.status, 404, "{}", nobody.text);
}

/// Leaves as years of signing leave them, in the tree as soon as the service has placed them: every 16th intent is
/// refused; four callers, eight wallets and keys, sixteen markets.
async fn years(stand: &Stand, intents: u32) {
    let run =
        "insert into writers (boot, writer, version) values (gen_random_uuid(), 'years', '0')";
    stand.database.run(run).await;
    let id = |kind: u32, n: u32| Uuid::from_u128(u128::from(kind) << 64 | u128::from(n));
    let (mut kinds, mut subjects, mut leaves, mut hashes) = (vec![], vec![], vec![], vec![]);
    for n in 0..intents {
        let intent = Event::Intent(Box::new(Intent {
            intent: id(1, n),
            operation: "order".into(),
            caller: id(2, n % 4),
            credential: id(3, n % 4),
            subject: id(4, n % 8),
            key: id(5, n % 8),
            key_epoch: 1,
            policy: [0; 32],
            request_digest: [0; 32],
            idempotency_key: None,
            digest: [0; 32],
            record: json!({ "struct": { "tokenId": (n % 16).to_string() } }).to_string(),
            credential_kind: None,
        }));
        let end = if n % 16 == 7 {
            let (attempt, reason, tries) = (1, "halted".to_owned(), None);
            Event::Refused(leaf::End {
                intent: id(1, n),
                attempt,
                reason,
                tries,
                device_request: None,
            })
        } else {
            let (signature_hash, answer_hash) = ([0; 32], [0; 32]);
            Event::Released(leaf::Release {
                intent: id(1, n),
                attempt: 1,
                signature_hash,
                answer_hash,
                tries: None,
                device_request: None,
            })
        };
        for event in [intent, end] {
            let leaf = Leaf::new(i64::from(n) * 1_000, event);
            kinds.push(leaf.kind().to_owned());
            subjects.push(leaf.subject());
            hashes.push(leaf_hash(&leaf.to_bytes()).to_vec());
            leaves.push(leaf.to_bytes());
        }
    }
    let insert = "with row as (
            select (select max(run) from writers) as run, (n - 1) / 32 + 1 as batch, (n - 1) % 32 as position, kind, subject,
                   hash, leaf
            from unnest($1::text[], $2::uuid[], $3::bytea[], $4::bytea[]) with ordinality as u (kind, subject, hash, leaf, n)),
        begun as (
            insert into intents (id, caller_id, subject_id, key_id, key_epoch, batch, lease_until, run, operation, digest)
            select subject, subject, subject, subject, 1, batch, now() + interval '1 hour', run, 'order', sha256('')
            from row where kind = 'intent'),
        ended as (
            insert into ends (intent_id, batch, run, attempt, outcome, reason, answer)
            select subject, batch, run, 1, kind, case kind when 'refused' then 'halted' end,
                   case kind when 'released' then ''::bytea end
            from row where kind <> 'intent')
        insert into leaves (run, batch, position, kind, subject_id, leaf_hash, leaf)
        select run, batch, position, kind, subject, hash, leaf from row";
    let mut connection = stand.database.pool.acquire().await.unwrap();
    sqlx::query(insert)
        .bind(&kinds)
        .bind(&subjects)
        .bind(&hashes)
        .bind(&leaves)
        .execute(&mut *connection)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_years_old_is_found_page_by_page_and_once() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let auditor = stand.another("audit", "auditors", "auditor").await;
    let intents = 20_000;
    years(&stand, intents).await;
    let stretches = "select count(*) from log_stretches";
    stand
        .database
        .becomes(stretches, i64::from(intents) * 2 / 8_192)
        .await;
    let whole = async |query: &str| -> Vec<(u64, String)> {
        let mut path = format!("{EVENTS}?{query}&limit=500");
        let mut all = Vec::new();
        loop {
            let page = auditor.get(&path).await;
            assert_eq!(page.status, 200, "{}", page.text);
            let items = page.json.as_array().unwrap().iter();
            all.extend(items.map(|it| {
                (
                    it["index"].as_u64().unwrap(),
                    it["signature"].as_str().unwrap_or_default().to_owned(),
                )
            }));
            let Some(link) = page.headers.get("link") else {
                return all;
            };
            let link = link.to_str().unwrap();
            path = link[1..link.find('>').unwrap()].to_owned();
        }
    };
    let id = |kind: u32, n: u32| Uuid::from_u128(u128::from(kind) << 64 | u128::from(n));
    let (caller, wallet) = (id(2, 3), id(4, 7));
    let every = |step: u32, from: u32| -> Vec<String> {
        let all = (0..intents).filter(|n| n % step == from);
        all.rev().map(|n| id(1, n).to_string()).collect()
    };
    for (query, expected) in [
        (format!("kind=order&caller={caller}"), every(4, 3)),
        (
            format!("kind=order&wallet={wallet}&caller={caller}"),
            every(8, 7),
        ),
        (format!("kind=order&market=7&wallet={wallet}"), every(16, 7)),
        (format!("kind=refusal&wallet={wallet}"), every(16, 7)),
        (
            format!("kind=refusal&market=7&key={}", id(5, 7)),
            every(16, 7),
        ),
        (format!("kind=refusal&market=8&key={wallet}"), vec![]),
    ] {
        let found = whole(&query).await;
        let mut indexes: Vec<_> = found.iter().map(|it| it.0).collect();
        indexes.dedup();
        assert!(indexes.is_sorted_by(|a, b| a > b), "{query}");
        let found: Vec<_> = found.into_iter().map(|it| it.1).collect();
        assert_eq!(found, expected, "{query}");
    }
    // A time in the middle, with filters and without.
    let times = "from=1970-01-01T01:00:00Z&until=1970-01-01T01:01:40Z";
    let found = whole(&format!("kind=order&{times}")).await;
    let expected: Vec<_> = (3_600..3_700).rev().map(|n| id(1, n).to_string()).collect();
    let found: Vec<_> = found.into_iter().map(|it| it.1).collect();
    assert_eq!(found, expected);
    let found = whole(times).await;
    let refused = (3_600..3_700).filter(|n| n % 16 == 7).count();
    assert_eq!(found.len(), 100 + refused);
    let began = Instant::now();
    let first = auditor
        .get(&format!("{EVENTS}?kind=refusal&market=7&limit=50"))
        .await;
    assert_eq!(first.json.as_array().unwrap().len(), 50);
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn it_is_said_what_something_in_hand_is() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let auditor = stand.another("audit", "auditors", "auditor").await;
    let path = "/v1/wallets/d-w/orders";
    let signed = stand
        .trader
        .post_as("my-key-1", path, &order())
        .await
        .unwrap();
    let signed = signed.json;
    let wallet = stand.operator.get("/v1/wallets/d-w").await.json;
    let key = stand.operator.get("/v1/keys/d-wk").await.json;
    let nothing = json!({});
    let assertion = stand.trader.post("/v1/clients/d-c/assertions", &nothing);
    let jti = jti_of(assertion.await.json["client_assertion"].as_str().unwrap());
    let text = |of: &Value, member: &str| of[member].as_str().unwrap().to_owned();
    let order_signature = text(&signed["order"], "signature");
    let placed = "select count(*) from leaves l
                  left join log_runs r on r.run = l.run where l.batch > coalesce(r.batch, 0)";
    stand.database.becomes(placed, 0).await;
    for (in_hand, what) in [
        (text(&signed, "id"), "signature"),
        (text(&signed, "digest"), "signature"),
        (text(&signed, "orderHash"), "signature"),
        (order_signature, "signature"),
        ("my-key-1".to_owned(), "idempotency-key"),
        (jti, "jti"),
        (text(&wallet, "address"), "wallet"),
        (text(&wallet, "id"), "wallet"),
        (text(&key, "fingerprint"), "key"),
        ("d-wk".to_owned(), "key"),
        ("d-c".to_owned(), "client"),
        ("d-client".to_owned(), "client"),
        ("d-trader".to_owned(), "caller"),
        (text(&order(), "tokenID"), "market"),
    ] {
        let answer = auditor
            .get(&format!("/v1/audit/identify?text={in_hand}"))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let things = answer.json.as_array().unwrap();
        let thing = things.iter().find(|it| it["what"] == what);
        let thing = thing.unwrap_or_else(|| panic!("{in_hand}: {}", answer.text));
        // Where there is more of it, there is.
        let more = stand.operator.get(thing["path"].as_str().unwrap()).await;
        let more = if more.status == 200 {
            more
        } else {
            auditor.get(thing["path"].as_str().unwrap()).await
        };
        assert_eq!(more.status, 200, "{thing}: {}", more.text);
    }
    let unknown = auditor.get("/v1/audit/identify?text=nothing-of-ours").await;
    assert_eq!(unknown.json, json!([]));
}

#[tokio::test]
async fn who_could_sign_is_answered_for_the_past() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let auditor = stand.another("audit", "auditors", "auditor").await;
    let other = stand.another("d-other", "d", "trader").await;
    let moment = async || {
        // A moment that is after all that was stated, and before all that will be.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = chancery::clock::timestamp(time::OffsetDateTime::now_utc());
        tokio::time::sleep(Duration::from_millis(20)).await;
        now
    };
    let with_both = moment().await;
    let revoked = stand
        .operator
        .post("/v1/callers/d-other/revoke", &json!({}))
        .await;
    assert_eq!(revoked.status, 201, "{}", revoked.text);
    let with_one = moment().await;
    let halt = json!({ "on": "wallet", "name": "d-w", "reason": "test" });
    let halted = stand.operator.post("/v1/halts", &halt).await;
    assert_eq!(halted.status, 201, "{}", halted.text);
    drop(other);

    let ask = async |at: Option<&str>| {
        let at = at.map_or_else(String::new, |at| format!("&at={at}"));
        let answer = auditor
            .get(&format!("/v1/audit/signers?key=d-wk{at}"))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json
    };
    let who = |said: &Value, action: &str| -> Vec<(String, bool)> {
        let all = said["signers"].as_array().unwrap().iter();
        let of_it = all.filter(|it| it["action"] == action && it["resource"] == "wallet:d-w");
        let name = |it: &Value| it["caller"]["name"].as_str().unwrap().to_owned();
        of_it.map(|it| (name(it), it["halt"].is_string())).collect()
    };
    let (then, later, now) = (
        ask(Some(&with_both)).await,
        ask(Some(&with_one)).await,
        ask(None).await,
    );
    let both = [
        ("d-other".to_owned(), false),
        ("d-trader".to_owned(), false),
    ];
    assert_eq!(who(&then, "sign_order"), both);
    assert_eq!(who(&later, "sign_order"), both[1..]);
    assert_eq!(who(&now, "sign_order"), [("d-trader".to_owned(), true)]);
    let one = then["signers"].as_array().unwrap().iter();
    let one = one.clone().find(|it| it["action"] == "sign_order").unwrap();
    assert_eq!(
        (&one["roles"], &one["owner"]),
        (&json!(["trader"]), &json!("d"))
    );
    assert_eq!(one["grant"]["by"]["name"], "operator");
    assert_eq!(one["credentials"].as_array().unwrap().len(), 1);
    assert!(!one["rules"].as_array().unwrap().is_empty(), "{one}");
    assert_eq!(
        (&then["state"], &then["policy"]),
        (&json!("active"), &now["policy"])
    );
    let policy = auditor.get("/v1/policy").await;
    assert_eq!(policy.json["digest"], now["policy"]);

    let before = auditor
        .get("/v1/audit/signers?key=d-wk&at=2001-01-01T00:00:00Z")
        .await;
    refused(
        "before there was anything",
        &before,
        400,
        "malformed-query",
        "only since later",
    );
    let later = auditor
        .get("/v1/audit/signers?key=d-wk&at=2999-01-01T00:00:00Z")
        .await;
    refused(
        "what is to come",
        &later,
        400,
        "malformed-query",
        "has come",
    );
}
