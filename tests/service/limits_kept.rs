//! Whether what was released kept the limits: both verifiers see it from the leaves alone.

use std::collections::BTreeMap;
use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chancery::audit::leaf::{Admin, End, Event, Intent, Leaf, Release, Token};
use chancery::tlog::{NoteKey, Policy};
use chancery::verification;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::builder_sdk::{installed, python_packages};
use crate::evidence::{export, proved};
use crate::limited::set;
use crate::stand::Stand;
use crate::support::{Scratch, order};
use crate::verifiers::{signed, source, the_other};

const CALLER: Uuid = Uuid::from_u128(1);
const KEY: Uuid = Uuid::from_u128(2);
const WALLET: Uuid = Uuid::from_u128(3);
/// When the limits are set, in milliseconds since 1970.
const SET_MS: i64 = 1_800_000_000_000;

/// Leaves, put together one after the other.
#[derive(Default)]
struct Story(Vec<Leaf>);

impl Story {
    /// With these limits of everything.
    fn under(limits: Value) -> Self {
        Self::default().limit(0, "global:all", limits)
    }

    /// From so many seconds on; `null` removes them.
    #[expect(clippy::needless_pass_by_value, reason = "each is made for its call")]
    fn limit(mut self, at_s: i64, scope: &str, limits: Value) -> Self {
        let action = if limits.is_null() {
            "remove-limits"
        } else {
            "set-limits"
        };
        let details = json!({ "scope": scope, "before": null, "after": limits });
        let event = Event::Admin(Admin {
            actor: Uuid::from_u128(9),
            action: action.into(),
            subject: Uuid::from_u128(8),
            approval: "not needed (tightening)".into(),
            details: details.to_string(),
        });
        self.0.push(Leaf::new(SET_MS + at_s * 1_000, event));
        self
    }

    fn intends(&mut self, at_ms: i64, operation: &str, request: u8, record: &Value) -> Uuid {
        let intent = Uuid::now_v7();
        let event = Event::Intent(Box::new(Intent {
            intent,
            operation: operation.into(),
            caller: CALLER,
            credential: CALLER,
            subject: WALLET,
            key: KEY,
            key_epoch: 1,
            policy: [0; 32],
            request_digest: [request; 32],
            idempotency_key: Some(intent.to_string()),
            digest: [0; 32],
            record: record.to_string(),
            credential_kind: None,
        }));
        self.0.push(Leaf::new(SET_MS + at_ms, event));
        intent
    }

    fn releases(&mut self, at_ms: i64, intent: Uuid) {
        let event = Event::Released(Release {
            intent,
            attempt: 1,
            signature_hash: [0; 32],
            answer_hash: [0; 32],
            tries: None,
            device_request: None,
        });
        self.0.push(Leaf::new(SET_MS + at_ms, event));
    }

    /// Something that is signed within 50 ms.
    fn signs(mut self, at_s: i64, operation: &str, request: u8, record: &Value) -> Self {
        let intent = self.intends(at_s * 1_000, operation, request, record);
        self.releases(at_s * 1_000 + 50, intent);
        self
    }

    fn orders(self, at_s: i64, changed: &Value) -> Self {
        let request = u8::try_from(self.0.len()).unwrap();
        self.signs(at_s, "order", request, &buy(changed))
    }

    fn refuses(mut self, at_s: i64, changed: &Value) -> Self {
        let intent = self.intends(at_s * 1_000, "order", 0, &buy(changed));
        let event = Event::Refused(End {
            intent,
            attempt: 1,
            reason: "halted".into(),
            tries: None,
            device_request: None,
        });
        self.0.push(Leaf::new(SET_MS + at_s * 1_000 + 50, event));
        self
    }

    fn hands_out(mut self, at_ms: i64) -> Self {
        let event = Event::Token(Token {
            fetch: WALLET,
            client: WALLET,
            key: KEY,
            key_epoch: 1,
            caller: CALLER,
            credential: CALLER,
            policy: [0; 32],
            scopes: String::new(),
            expires_at_ms: 0,
            credential_kind: None,
        });
        self.0.push(Leaf::new(SET_MS + at_ms, event));
        self
    }
}

/// BUY 10 at 0.5 of token 12, as its intent has it.
fn buy(changed: &Value) -> Value {
    let mut record = json!({
        "domain": { "version": "1" },
        "struct": {
            "tokenId": "12", "makerAmount": "5000000", "takerAmount": "10000000", "side": 0, "expiration": "0",
        },
    });
    for (member, value) in changed.as_object().unwrap() {
        if member == "unsigned" {
            record["unsigned"] = value.clone();
        } else if value.is_null() {
            record["struct"].as_object_mut().unwrap().remove(member);
        } else {
            record["struct"][member] = value.clone();
        }
    }
    record
}

/// What is wrong with a story, in the eyes of both verifiers: the same.
struct Both(std::path::PathBuf);

impl Both {
    fn new() -> Option<Self> {
        let requirements = source("requirements.txt");
        let packages = installed("verifier", &requirements, |dir| {
            python_packages(dir, &requirements)
        })?;
        Some(Self(packages))
    }

    /// Of each story the leaves that a limit stands against, and whether anything else is wrong.
    fn find(&self, stories: &[Vec<Leaf>]) -> Vec<Vec<u64>> {
        let scratch = Scratch::new();
        let mut log: Option<NoteKey> = None;
        let mut ours = Vec::new();
        for (n, leaves) in stories.iter().enumerate() {
            let (export, key) = signed(leaves);
            let policy = Policy::of_log(key.clone());
            let report = verification::verify(Cursor::new(&export), &policy, &[]).unwrap();
            let others = report.faults.iter().find(|it| it.kind != "limit");
            assert_eq!(others, None, "{report:?}");
            let found: Vec<_> = report.faults.iter().filter_map(|it| it.index).collect();
            scratch.write(&format!("{n:04}"), &export);
            ours.push(found);
            log = Some(key);
        }
        let theirs = the_other(&self.0, scratch.path(), &log.unwrap(), &[]);
        assert_eq!(theirs.len(), ours.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let faults = theirs["faults"].as_array().unwrap().iter();
            let found = faults.map(|it| (it["kind"].as_str(), it["index"].as_u64()));
            let expected = ours.iter().map(|it| (Some("limit"), Some(*it)));
            assert!(found.eq(expected), "{ours:?} {theirs}");
        }
        ours
    }
}

/// A limit, what keeps to it, and what does not: the last signature of the second.
#[expect(clippy::too_many_lines, reason = "a few for each limit")]
fn each_limit() -> Vec<(&'static str, Story, Story)> {
    let none = json!({});
    let under = Story::under;
    let one = |name, limits: Value, good: Value, bad: Value| {
        let story = |it: &Value| under(limits.clone()).orders(60, it);
        (name, story(&good), story(&bad))
    };
    let dear = json!({ "makerAmount": "5000001" });
    let ends = |ahead: i64| json!({ "expiration": (SET_MS / 1_000 + 60 + ahead).to_string() });
    let later = |ahead: i64| json!({ "expiration": null, "unsigned": ends(ahead) });
    let book =
        |best: &str| json!({ "unsigned": { "book": { "best": best, "atMs": SET_MS + 59_900 } } });
    let sum = |name: &'static str, apart_s: i64, too_near_s: i64| {
        let twice = |apart_s| {
            let story = under(json!({ name: "9999999" })).orders(60, &none);
            story.orders(60 + apart_s, &none)
        };
        (name, twice(apart_s), twice(too_near_s))
    };
    let burst = |name: &'static str, many: i64, sign: &dyn Fn(Story, i64) -> Story| {
        let story = |many| (0..many).fold(under(json!({ name: { "per_s": 1, "burst": 2 } })), sign);
        (name, story(many), story(many + 1))
    };
    let again = |meant: bool| {
        let twice = buy(&json!({ "unsigned": { "again": meant } }));
        let story = under(json!({ "repeat_after_s": 60 })).signs(60, "order", 7, &twice);
        story.signs(90, "order", 7, &twice)
    };
    let header = |handed_out: bool| {
        let record = json!({ "handedOut": handed_out });
        let story = under(json!({ "l1_headers_24h": 1 })).signs(60, "clob-auth", 0, &record);
        story.signs(4_000, "clob-auth", 0, &record)
    };
    let withdraws = |limits: Value, amounts: [&str; 2]| {
        let mut at_s = 60;
        amounts.iter().fold(under(limits), |story, amount| {
            at_s += 60;
            story.signs(at_s, "wallet-operation", 0, &json!({ "outflow": amount }))
        })
    };
    vec![
        one(
            "order_notional",
            json!({ "order_notional": "5000000" }),
            none.clone(),
            dear.clone(),
        ),
        one(
            "price",
            json!({ "price": { "min": "0.4", "max": "0.5" } }),
            none.clone(),
            dear.clone(),
        ),
        one(
            "sides",
            json!({ "sides": ["BUY"] }),
            none.clone(),
            json!({ "side": 1 }),
        ),
        one(
            "allowed",
            json!({ "token_ids_allowed": ["12", "13"] }),
            none.clone(),
            json!({ "tokenId": "14" }),
        ),
        one(
            "denied",
            json!({ "token_ids_denied": ["13"] }),
            none.clone(),
            json!({ "tokenId": "13" }),
        ),
        one(
            "expiration_max_s",
            json!({ "expiration_max_s": 600 }),
            ends(600),
            ends(601),
        ),
        one(
            "expiration_min_s",
            json!({ "expiration_min_s": 60 }),
            ends(60),
            ends(58),
        ),
        one(
            "an end that nobody signs",
            json!({ "expiration_max_s": 600 }),
            later(600),
            later(601),
        ),
        one(
            "no end",
            json!({ "expiration_max_s": 600 }),
            json!({ "unsigned": { "rests": false } }),
            none.clone(),
        ),
        one(
            "collar",
            json!({ "collar": { "beyond": "0.02", "max_age_ms": 1000 } }),
            book("0.48"),
            book("0.47"),
        ),
        one(
            "without a book",
            json!({ "collar": { "beyond": "0.02", "max_age_ms": 1000,
            "without_book": { "min": "0.1", "max": "0.5" } } }),
            none.clone(),
            dear,
        ),
        sum("notional_1m", 41, 39),
        sum("notional_1h", 3_581, 3_579),
        sum("notional_24h", 86_381, 86_379),
        // At once: two, and one for each of 21 seconds that the times may be off.
        burst("orders", 23, &|story, _| story.orders(60, &json!({}))),
        burst("assertions", 23, &|story, _| {
            story.signs(60, "assertion", 0, &json!({}))
        }),
        burst("access_tokens", 32, &|story, n| story.hands_out(60_000 + n)),
        ("repeat_after_s", again(true), again(false)),
        ("l1_headers_24h", header(false), header(true)),
        (
            "withdrawal",
            withdraws(json!({ "withdrawal": "5" }), ["5", "5"]),
            withdraws(json!({ "withdrawal": "5" }), ["5", "6"]),
        ),
        (
            "withdrawals_1h",
            withdraws(json!({ "withdrawals_1h": "10" }), ["5", "5"]),
            withdraws(json!({ "withdrawals_1h": "10" }), ["5", "6"]),
        ),
    ]
}

#[test]
fn what_exceeds_a_limit_is_named_by_both_verifiers_and_what_keeps_to_it_is_not() {
    let Some(both) = Both::new() else { return };
    let (mut names, mut stories) = (Vec::new(), Vec::new());
    for (name, good, bad) in each_limit() {
        names.push(name);
        stories.extend([good.0, bad.0]);
    }
    let found = both.find(&stories);
    for (n, name) in names.iter().enumerate() {
        let last = stories[2 * n + 1]
            .iter()
            .rposition(|leaf| matches!(leaf.event, Event::Intent(_) | Event::Token(_)));
        let last = u64::try_from(last.unwrap()).unwrap();
        assert_eq!(found[2 * n], [0; 0], "{name}");
        assert_eq!(found[2 * n + 1], [last], "{name}");
    }
}

#[test]
fn a_limit_is_of_what_it_names_and_holds_while_it_is_in_force() {
    let Some(both) = Both::new() else { return };
    let (none, low) = (json!({}), json!({ "order_notional": "1" }));
    let of = |scope: &str| {
        Story::default()
            .limit(0, scope, low.clone())
            .orders(60, &none)
    };
    let sum = || json!({ "notional_1h": "10000000" });
    let thrice = |middle: fn(Story, &Value) -> Story| {
        let story = Story::under(sum()).orders(60, &json!({}));
        middle(story, &json!({})).orders(180, &json!({}))
    };
    let mut at_once = Story::under(sum());
    let begun: Vec<_> = (0..3)
        .map(|n| at_once.intends(60_000 + n, "order", 0, &buy(&none)))
        .collect();
    for intent in begun {
        at_once.releases(60_900, intent);
    }
    let other = Uuid::from_u128(7);
    let (story, expected): (Vec<_>, Vec<_>) = [
        (of("global:all"), vec![1]),
        (of(&format!("caller:{CALLER}")), vec![1]),
        (of(&format!("key:{KEY}")), vec![1]),
        (of(&format!("caller-key:{CALLER},{KEY}")), vec![1]),
        (of(&format!("wallet:{WALLET}")), vec![1]),
        (of("market:12"), vec![1]),
        (of(&format!("caller:{other}")), vec![]),
        (of(&format!("caller-key:{CALLER},{other}")), vec![]),
        (of("market:13"), vec![]),
        // Taken away; tightened, where what was decided within seconds of it may be from before.
        (
            of("market:13")
                .limit(100, "market:12", low.clone())
                .orders(105, &none),
            vec![],
        ),
        (
            of("market:13")
                .limit(100, "market:12", low.clone())
                .orders(120, &none),
            vec![4],
        ),
        (
            of("market:13")
                .limit(100, "market:12", low.clone())
                .limit(200, "market:12", json!(null))
                .orders(300, &none),
            vec![],
        ),
        // Three of which two fit; two, because what was refused was given back; three of which one came before.
        (thrice(|story, it| story.orders(120, it)), vec![5]),
        (thrice(|story, it| story.refuses(120, it)), vec![]),
        (
            Story::default()
                .orders(-60, &none)
                .limit(0, "global:all", sum())
                .orders(60, &none)
                .orders(120, &none),
            vec![],
        ),
        // A lower limit counts what was signed before; a higher one lets more through.
        (
            thrice(|story, _| story.limit(120, "global:all", json!({ "notional_1h": "9" }))),
            vec![4],
        ),
        (
            Story::under(sum())
                .orders(60, &none)
                .orders(70, &none)
                .limit(100, "global:all", json!({ "notional_1h": "15000000" }))
                .orders(180, &none),
            vec![],
        ),
        // Intents that were under way together.
        (at_once, vec![3]),
    ]
    .into_iter()
    .map(|(story, expected)| (story.0, expected))
    .unzip();
    let found = both.find(&story);
    for (n, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(found, expected, "story {n}");
    }
}

/// The leaves of an export.
fn leaves_of(export: &str) -> Vec<Leaf> {
    let leaf = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let bytes = STANDARD.decode(line["leaf"].as_str().unwrap()).unwrap();
        Leaf::from_bytes(&bytes).unwrap()
    };
    export.lines().skip(1).map(leaf).collect()
}

#[tokio::test]
async fn two_replicas_that_race_to_limits_that_change_keep_them_and_the_log_shows_it() {
    let Some(stand) = Stand::new("[evidence]\ncheckpoint_every_ms = 200").await else {
        return;
    };
    let Some(both) = Both::new() else { return };
    let auditor = stand.another("audit", "auditors", "auditor").await;
    let twin = stand.deployment.serve(&[]).await;
    let replicas = [stand.trader.clone(), twin.caller(&stand.trader.token)];
    let mut answered = BTreeMap::<u16, u32>::new();
    // `order()` is of 11.78 dollars.
    for most in ["120000000", "60000000", "300000000", "240000000"] {
        set(
            &stand,
            "global/all",
            json!({ "notional_1m": most, "order_notional": "11782400" }),
        )
        .await;
        set(
            &stand,
            "caller/d-trader",
            json!({ "notional_1h": "400000000" }),
        )
        .await;
        let asks = (0..24).map(|n| {
            let replica = replicas[n % 2].clone();
            tokio::spawn(async move { replica.post("/v1/wallets/d-w/orders", &order()).await })
        });
        for ask in asks.collect::<Vec<_>>() {
            *answered.entry(ask.await.unwrap().status).or_default() += 1;
        }
    }
    assert!(answered[&200] >= 20 && answered[&403] > 0, "{answered:?}");
    set(&stand, "global/all", json!({ "notional_24h": "900000000" })).await;
    proved(&stand, &auditor).await;
    let file = stand.deployment.file("export.jsonl");
    export(&auditor, &file).await;
    let text = std::fs::read_to_string(&file).unwrap();
    let honest = leaves_of(&text);
    // The same, as if lower limits had been there for a while.
    let mut lower = honest.clone();
    for leaf in &mut lower {
        if let Event::Admin(it) = &mut leaf.event
            && it.action == "set-limits"
        {
            let mut details: Value = serde_json::from_str(&it.details).unwrap();
            if details["after"]["notional_1h"].is_string() {
                details["after"]["notional_1h"] = json!("117824000");
            }
            it.details = details.to_string();
            leaf.at_ms -= 60_000;
        }
    }
    let found = both.find(&[honest, lower]);
    assert_eq!(found[0], [0; 0]);
    assert!(found[1].len() >= 10, "{found:?}");
}
