//! The console: who comes in, what they see there, and what a page cannot be made to do.

use std::process::Command;
use std::time::Duration;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Response, redirect};
use serde_json::{Value, json};

use crate::approvals::Four;
use crate::browser_verifier::browser;
use crate::builder_sdk;
use crate::stand::Stand;
use crate::support::Caller;

const ON: &str = "[console]\nenabled = true\n";

/// Somebody with a browser.
struct Browser {
    base: String,
    http: Client,
    cookie: String,
}

impl Browser {
    fn new(base: &str) -> Self {
        let http = Client::builder().redirect(redirect::Policy::none());
        Self {
            base: base.to_owned(),
            http: http.build().unwrap(),
            cookie: String::new(),
        }
    }

    /// Signed in as a caller.
    async fn of(caller: &Caller) -> Self {
        let mut browser = Self::new(&caller.base);
        let answer = browser.sign_in(&[("token", &caller.token)]).await;
        assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
        browser
    }

    async fn sign_in(&mut self, form: &[(&str, &str)]) -> Response {
        let answer = self.post("/sign-in", form).await;
        if let Some(cookie) = answer.headers().get(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
            cookie.clone_into(&mut self.cookie);
        }
        answer
    }

    async fn open(&self, path: &str) -> Response {
        let request = self.http.get(format!("{}{path}", self.base));
        request.header(COOKIE, &self.cookie).send().await.unwrap()
    }

    async fn read(&self, path: &str) -> (u16, String) {
        let answer = self.open(path).await;
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Response {
        let request = self.http.post(format!("{}{path}", self.base));
        let request = request
            .header("sec-fetch-site", "same-origin")
            .header(COOKIE, &self.cookie)
            .form(form);
        request.send().await.unwrap()
    }

    /// What a page's form sends that halts everything.
    fn halting<'a>(key: &'a str, reason: &'a str) -> [(&'a str, &'a str); 5] {
        [
            ("path", "/v1/halts"),
            ("then", "/halts"),
            ("key", key),
            ("f.on", "everything"),
            ("f.reason", reason),
        ]
    }
}

/// How many halts are in force.
async fn halts(stand: &Stand) -> usize {
    let halts = stand.operator.get("/v1/halts").await;
    halts.json.as_array().unwrap().len()
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story")]
async fn a_token_becomes_a_session_that_shows_what_its_caller_may_see() {
    let Some(stand) = Stand::new(ON).await else {
        return;
    };
    let mut browser = Browser::new(&stand.server.base);
    let answer = browser.open("/keys?limit=3").await;
    assert_eq!(answer.status(), 303);
    assert_eq!(
        answer.headers()[LOCATION],
        "/sign-in?next=%2Fkeys%3Flimit%3D3"
    );
    let wrong = browser.sign_in(&[("token", "chancery_no")]).await;
    assert_eq!(wrong.status(), 401);
    let form = [
        ("token", stand.operator.token.as_str()),
        ("next", "//evil.example"),
    ];
    let answer = browser.sign_in(&form).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()[LOCATION]),
        (303, &"/".parse().unwrap())
    );
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("__Host-chancery="), "{cookie}");
    for flag in ["Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    assert!(!cookie.contains(&stand.operator.token), "{cookie}");

    let page = browser.open("/keys").await;
    assert_eq!(page.status(), 200);
    let policy = page.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    for part in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert_eq!(page.headers()["cache-control"], "no-store");
    let text = page.text().await.unwrap();
    assert!(text.contains("href=\"/keys/d-wk\""), "{text}");
    for path in [
        "/",
        "/keys/d-wk",
        "/wallets",
        "/wallets/d-w",
        "/wallets/d-w/operations",
        "/clients",
        "/clients/d-c",
        "/rotations",
        "/approvals",
        "/approvals/passkey",
        "/halts",
        "/limits",
        "/limits/key/d-wk",
        "/recipients",
        "/callers",
        "/callers/d-trader",
        "/people",
        "/policy",
        "/policy/explain?caller=d-trader&action=sign_order&resource=wallet:d-w&context=side=BUY",
        "/lookup",
        "/audit/signers",
        "/health",
    ] {
        let (status, text) = browser.read(path).await;
        assert_eq!(status, 200, "{path}: {text}");
        let command = text.split("data-copy=\"chancery ").last().unwrap();
        let command = command.split('"').next().unwrap();
        let known = Command::new(env!("CARGO_BIN_EXE_chancery"))
            .args(command.split(' '))
            .arg("--help")
            .output();
        assert!(known.unwrap().status.success(), "{path}: {command}");
        assert!(
            text.contains("<h1>") && !text.contains(&stand.operator.token),
            "{path}"
        );
    }
    let auditor = stand.another("audit", "auditors", "auditor").await;
    let auditor = Browser::of(&auditor).await;
    let (status, text) = auditor.read("/lookup?q=d-w").await;
    assert!(
        status == 200 && text.contains("href=\"/wallets/d-w\""),
        "{text}"
    );
    let (status, text) = auditor.read("/audit/signers?key=d-wk&at=").await;
    assert!(
        status == 200 && text.contains("href=\"/callers/d-trader\""),
        "{text}"
    );
    let found = async || {
        let (status, text) = auditor
            .read("/audit/events?kind=change&caller=&action=create-key")
            .await;
        assert_eq!(status, 200, "{text}");
        text.contains("create-key")
    };
    let found = async {
        while !found().await {
            tokio::time::sleep(Duration::from_millis(100)).await; // the log is a moment behind
        }
    };
    tokio::time::timeout(Duration::from_secs(30), found)
        .await
        .unwrap();
    let (status, text) = browser.read("/keys/none-such").await;
    assert_eq!(status, 404, "{text}");
    let style = text
        .split("href=\"")
        .find(|it| it.starts_with("/console/"))
        .unwrap();
    let style = browser.open(style.split('"').next().unwrap()).await;
    let kept = style.headers()["cache-control"].to_str().unwrap();
    assert!(
        style.status() == 200 && kept.contains("immutable"),
        "{kept}"
    );
}

#[tokio::test]
async fn a_trader_sees_and_does_nothing_beyond_a_trader() {
    let Some(stand) = Stand::new(ON).await else {
        return;
    };
    let browser = Browser::of(&stand.trader).await;
    let (status, text) = browser.read("/wallets").await;
    assert!(status == 200 && text.contains("d-w"), "{text}");
    // Whoever only looks at pages is refused nothing, so that nothing of it is on record.
    for path in [
        "/",
        "/keys",
        "/wallets/d-w",
        "/wallets/d-w/operations",
        "/keys/d-wk",
        "/health",
    ] {
        assert_eq!(browser.read(path).await.0, 200, "{path}");
    }
    let (status, text) = browser.read("/callers").await;
    assert_eq!(status, 403, "{text}");
    // What is decided anew meanwhile is refused, and recorded, once more.
    let asked = "select sign(count(*))::bigint from leaves
                 where kind = 'denied' and position('view_callers'::bytea in leaf) > 0";
    stand.database.becomes(asked, 1).await;
    let others = "select count(*) from leaves
                  where kind = 'denied' and position('view_callers'::bytea in leaf) = 0";
    assert_eq!(stand.database.count(others).await, 0);
    assert!(!text.contains("<table"), "{text}");
    let (_, text) = browser.read("/halts").await;
    assert!(!text.contains("Halt now"), "{text}");
    let refused = browser
        .post("/console/send", &Browser::halting("k", "because"))
        .await;
    assert_eq!(refused.status(), 403);
    let text = refused.text().await.unwrap();
    assert!(
        text.contains("Not done") && text.contains("because"),
        "{text}"
    );
    assert_eq!(halts(&stand).await, 0);
    // Nothing of the API is open to the cookie that is closed to its caller.
    let (status, _) = browser.read("/v1/callers").await;
    assert_eq!(status, 403);
}

#[tokio::test]
async fn what_is_sent_twice_is_done_once_and_what_hides_in_a_text_is_shown() {
    let Some(stand) = Stand::new(ON).await else {
        return;
    };
    let browser = Browser::of(&stand.operator).await;
    let evil = "<script>alert(1)</script>\u{202e}\" onload=x";
    let form = Browser::halting("once", evil);
    for _ in 0..2 {
        let done = browser.post("/console/send", &form).await;
        assert_eq!(done.status(), 303, "{}", done.text().await.unwrap());
        assert_eq!(done.headers()[LOCATION], "/halts");
    }
    let (_, text) = browser.read("/keys").await;
    assert!(!text.contains("<script>alert"), "{text}");
    assert!(
        text.contains("&#60;script&#62;alert(1)") && text.contains("[U+202E]"),
        "{text}"
    );
    assert_eq!(halts(&stand).await, 1);
    let wrong = browser
        .post("/console/send", &Browser::halting("other", ""))
        .await;
    assert_eq!(wrong.status(), 422, "{}", wrong.text().await.unwrap());
    for path in ["/v1/halts?x=1", "/sign-out", "//evil.example/v1/halts", ""] {
        let form = [
            ("path", path),
            ("then", "https://evil.example"),
            ("key", "k"),
        ];
        let nowhere = browser.post("/console/send", &form).await;
        assert_eq!(nowhere.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn a_session_is_worth_nothing_elsewhere_and_ends_with_what_it_stands_for() {
    let Some(stand) = Stand::new(ON).await else {
        return;
    };
    let browser = Browser::of(&stand.operator).await;
    // Another site's page, which the browser would send the cookie for.
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
    ] {
        let request = browser.http.post(format!("{}/console/send", browser.base));
        let request = request.header(COOKIE, &browser.cookie).header(name, value);
        let foreign = request.form(&Browser::halting("f", "x")).send().await;
        assert_eq!(foreign.unwrap().status(), 403, "{name}");
    }
    // A row that somebody wrote who can write to the database: with a secret of theirs, another one's credential.
    let theirs = Browser::of(&stand.trader).await;
    stand
        .database
        .run(
            "update sessions t set credential_id = o.credential_id from sessions o
             where t.credential_id <> o.credential_id and t.created_at > o.created_at",
        )
        .await;
    let all = "select count(distinct credential_id) from sessions";
    assert_eq!(stand.database.count(all).await, 1);
    let (status, _) = theirs.read("/keys").await;
    assert_eq!(status, 401);
    assert_eq!(browser.read("/keys").await.0, 200);

    // What somebody was about to send is still there when their session has ended.
    let caller = stand.another("second", "ops", "operator").await;
    let mut second = Browser::of(&caller).await;
    let ended = second.cookie.clone();
    assert_eq!(second.post("/sign-out", &[]).await.status(), 303);
    second.cookie = ended;
    assert_eq!(second.read("/keys").await.0, 401);
    let late = second
        .post(
            "/console/send",
            &Browser::halting("late", "typed for minutes"),
        )
        .await;
    assert_eq!(late.status(), 401);
    let text = late.text().await.unwrap();
    assert!(text.contains("typed for minutes"), "{text}");
    let mut again = vec![("token", caller.token.as_str())];
    let kept: Vec<_> = Browser::halting("late", "typed for minutes")
        .map(|(name, value)| (format!("kept.{name}"), value))
        .into();
    again.extend(kept.iter().map(|(name, value)| (name.as_str(), *value)));
    let back = second.sign_in(&again).await;
    assert_eq!(back.status(), 200);
    assert!(back.text().await.unwrap().contains("typed for minutes"));
    assert_eq!(halts(&stand).await, 0);

    // Whoever is revoked is out at once, on every replica.
    let replica = stand.deployment.serve(&[]).await;
    let there = Browser {
        base: replica.base.clone(),
        http: second.http.clone(),
        cookie: second.cookie.clone(),
    };
    assert_eq!(there.read("/keys").await.0, 200);
    let revoked = stand
        .operator
        .post("/v1/callers/second/revoke", &json!({}))
        .await;
    assert_eq!(revoked.status, 201, "{}", revoked.text);
    assert_eq!(there.read("/keys").await.0, 401);
    assert_eq!(second.read("/keys").await.0, 401);
}

#[tokio::test]
async fn without_the_setting_nobody_signs_in() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let mut browser = Browser::new(&stand.server.base);
    for path in ["/", "/keys", "/sign-in"] {
        assert_eq!(browser.read(path).await.0, 404, "{path}");
    }
    let form = [("token", stand.operator.token.as_str())];
    assert_eq!(browser.sign_in(&form).await.status(), 404);
}

/// What each form of a page sends, but for what somebody fills in.
fn forms(page: &str) -> Vec<Vec<(String, String)>> {
    let part = |of: &str, name: &str| {
        let of = of.split(&format!(" {name}=\"")).nth(1)?;
        let text = of.split('"').next()?.to_owned();
        let plain = [
            ("&#34;", "\""),
            ("&#39;", "'"),
            ("&#60;", "<"),
            ("&#62;", ">"),
            ("&#38;", "&"),
        ];
        Some(
            plain
                .iter()
                .fold(text, |text, (code, is)| text.replace(code, is)),
        )
    };
    let forms = page.split("action=\"/console/send\">").skip(1);
    let forms = forms.map(|form| form.split("</form>").next().unwrap());
    let each = forms.map(|form| {
        let inputs = form
            .split("<input")
            .skip(1)
            .filter(|it| it.contains("type=\"hidden\""));
        inputs
            .map(|it| (part(it, "name").unwrap(), part(it, "value").unwrap()))
            .collect()
    });
    each.collect()
}

fn last_form(page: &str) -> Vec<(String, String)> {
    forms(page).pop().unwrap()
}

async fn send(browser: &Browser, form: &[(String, String)]) -> Response {
    let form: Vec<_> = form
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    browser.post("/console/send", &form).await
}

#[tokio::test]
async fn what_loosens_is_asked_for_agreed_to_and_carried_out_on_pages() {
    let Some(four) = Four::new(ON).await else {
        return;
    };
    let (ann, bob) = (Browser::of(&four.ann).await, Browser::of(&four.bob).await);
    let halted = ann
        .post("/console/send", &Browser::halting("h", "a drill"))
        .await;
    assert_eq!(halted.status(), 303);
    let (_, page) = ann.read("/halts").await;
    let mut lift = last_form(&page);
    lift.push(("f.reason".to_owned(), "it is over".to_owned()));
    let asked = send(&ann, &lift).await;
    assert_eq!(asked.status(), 303, "{}", asked.text().await.unwrap());
    let place = asked.headers()[LOCATION].to_str().unwrap().to_owned();
    assert!(place.starts_with("/approvals/"), "{place}");

    let (_, own) = ann.read(&place).await;
    assert!(
        own.contains("ann asks to ") && own.contains("Withdraw it"),
        "{own}"
    );
    assert!(
        !own.contains("Reject it") && !own.contains("Carry it out"),
        "{own}"
    );
    let (_, others) = bob.read(&place).await;
    assert!(
        others.contains("Reject it") && !others.contains("Withdraw it"),
        "{others}"
    );
    assert!(
        others.contains("what was stopped would be signed again"),
        "{others}"
    );
    let (_, waiting) = bob.read("/approvals").await;
    assert!(waiting.contains(&format!("href=\"{place}\"")), "{waiting}");

    let proposal = four.ann.get(&format!("/v1{place}")).await.json;
    let approved = four.approve(&four.bob, "bob", &proposal).await;
    assert_eq!(approved.status, 201, "{}", approved.text);
    let (_, others) = bob.read(&place).await;
    assert!(
        others.contains("whoever asked for it can carry it out"),
        "{others}"
    );
    let (_, own) = ann.read(&place).await;
    let form = last_form(&own);
    for _ in 0..2 {
        let done = send(&ann, &form).await;
        assert_eq!(done.status(), 303, "{}", done.text().await.unwrap());
    }
    assert_eq!(four.ann.get("/v1/halts").await.json, json!([]));
    let (_, own) = ann.read(&place).await;
    assert!(own.contains("executed"), "{own}");

    // A new policy, with what it permits that was denied.
    let policy = four.ann.get("/v1/policy").await.json;
    let rule =
        "\n@id(\"all-sign\") permit (principal, action == Action::\"sign_order\", resource);\n";
    let text = format!("{}{rule}", policy["text"].as_str().unwrap());
    let new = json!({ "text": text, "reason": "a test", "replaces": policy["digest"] });
    let asked = four.ann.post("/v1/policies", &new).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    let place = format!("/approvals/{}", asked.json["id"].as_str().unwrap());
    let (_, page) = bob.read(&place).await;
    for part in [
        "+ @id(&#34;all-sign&#34;)",
        "Requests with another answer",
        "sign_order on a wallet",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let (_, page) = bob.read("/policy").await;
    assert!(
        page.contains("id=\"L1\"") && !page.contains("all-sign"),
        "{page}"
    );
}

#[tokio::test]
async fn a_request_is_tried_out_and_limits_are_set_on_pages() {
    let Some(stand) = Stand::new(ON).await else {
        return;
    };
    let browser = Browser::of(&stand.operator).await;
    let ask = "/policy/explain?caller=d-trader&action=sign_order&resource=wallet:d-w";
    let (status, page) = browser.read(ask).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("permitted") && page.contains("#L"), "{page}");
    let denied = ask.replace("sign_order&resource=wallet:d-w", "view_log");
    let (_, page) = browser.read(&denied).await;
    assert!(
        page.contains("denied") && page.contains("none permits it"),
        "{page}"
    );
    let (status, page) = browser
        .read("/policy/explain?caller=nobody&action=view")
        .await;
    assert!(
        status == 200 && page.contains("/problems/not-found"),
        "{page}"
    );

    let (_, page) = browser.read("/limits/wallet/d-w").await;
    assert!(page.contains("It has no limits of its own"), "{page}");
    let mut form = last_form(&page);
    assert!(
        form.contains(&("method".to_owned(), "PUT".to_owned())),
        "{form:?}"
    );
    form.push((
        "f.*:json".to_owned(),
        json!({ "order_notional": "1000000" }).to_string(),
    ));
    let set = send(&browser, &form).await;
    assert_eq!(set.status(), 303, "{}", set.text().await.unwrap());
    let limits = stand.operator.get("/v1/limits/wallet/d-w").await;
    assert_eq!(
        limits.json["limits"]["order_notional"], "1000000",
        "{}",
        limits.text
    );
    let wrong = form.len() - 1;
    form[wrong].1 = "{ no".to_owned();
    form.iter_mut().find(|it| it.0 == "key").unwrap().1 = "another".to_owned();
    let refused = send(&browser, &form).await;
    assert!(refused.status().is_client_error());
    assert!(
        refused.text().await.unwrap().contains("{ no"),
        "what was written is kept"
    );

    let (_, page) = browser.read("/keys/d-wk").await;
    assert!(
        page.contains("Time line") && page.contains("pre-activation"),
        "{page}"
    );
    let steps = stand.operator.get("/v1/keys/d-wk/steps").await;
    assert_eq!(steps.json[0]["from"], "pre-activation", "{}", steps.text);
    assert_eq!(
        (&steps.json[0]["to"], &steps.json[0]["by"]),
        (&json!("active"), &json!("operator"))
    );
}

#[tokio::test]
async fn a_rotation_is_walked_by_forms_with_what_to_write_to_the_counterparty() {
    let Some(stand) = Stand::new(ON).await else {
        return;
    };
    let rotation = rotation(&stand).await;
    let browser = Browser::of(&stand.operator).await;
    let page = async || browser.read(&rotation).await.1;
    let step = async |step: &str, filled: &[(&str, &str)]| {
        let forms = forms(&page().await);
        let is = |it: &&Vec<_>| it.contains(&("f.step".to_owned(), step.to_owned()));
        let mut form = forms.iter().find(is).expect("a form for the step").clone();
        let filled = filled
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        form.extend(filled);
        let taken = send(&browser, &form).await;
        assert_eq!(
            taken.status(),
            303,
            "{step}: {}",
            taken.text().await.unwrap()
        );
        assert_eq!(taken.headers()[LOCATION], rotation.as_str());
    };
    assert!(!page().await.contains("What to write to them"));
    step("generate", &[]).await;
    let letter = page().await;
    let key = stand.operator.get("/v1/keys/d-ck-2/bundle").await.json;
    for part in [
        "-----BEGIN PUBLIC KEY-----",
        key["fingerprint"].as_str().unwrap(),
    ] {
        assert!(letter.contains(part), "{part}: {letter}");
    }
    step(
        "submit",
        &[("f.channel", "a form"), ("f.reference", "case 7")],
    )
    .await;
    let after = stand.operator.get(&format!("/v1{rotation}")).await.json;
    assert_eq!(after["state"], "submitted", "{after}");
    let trader = Browser::of(&stand.trader).await;
    let (_, seen) = trader.read(&rotation).await;
    assert!(!seen.contains("Give up; the old key stays</h2>"), "{seen}");
}

/// A rotation of desk d's client, at its page.
async fn rotation(stand: &Stand) -> String {
    let due = time::OffsetDateTime::now_utc() + time::Duration::days(30);
    let due = due
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap();
    let new = json!({ "client": "d-c", "new_key": "d-ck-2", "target_at": due, "reason": "test" });
    let opened = stand.operator.post("/v1/rotations", &new).await;
    assert_eq!(opened.status, 201, "{}", opened.text);
    format!("/rotations/{}", opened.json["id"].as_str().unwrap())
}

#[tokio::test]
async fn numbers_of_the_last_minute_are_asked_for_without_using_the_session() {
    let Some(stand) = Stand::new(ON).await else {
        return;
    };
    let browser = Browser::of(&stand.operator).await;
    let old = "update sessions set used_at = now() - interval '5 minutes'";
    stand.database.run(old).await;
    let (status, numbers) = browser.read("/console/now").await;
    let numbers: Vec<String> = serde_json::from_str(&numbers).unwrap();
    assert_eq!((status, numbers.len()), (200, 4), "{numbers:?}");
    let fresh = "select count(*) from sessions where used_at > now() - interval '1 minute'";
    assert_eq!(stand.database.count(fresh).await, 0);
    assert_eq!(browser.read("/keys").await.0, 200);
    assert_eq!(stand.database.count(fresh).await, 1);
    let trader = Browser::of(&stand.trader).await;
    assert_eq!(trader.read("/console/now").await.0, 403);
    assert_eq!(
        Browser::new(&stand.server.base)
            .read("/console/now")
            .await
            .0,
        401
    );
}

#[tokio::test]
async fn in_a_browser_every_page_is_whole_and_nothing_comes_from_elsewhere() {
    let Some(node) = browser("console.mjs") else {
        return;
    };
    let settings = format!("{ON}[evidence]\ncheckpoint_every_ms = 200\n");
    let Some(stand) = Stand::new(&settings).await else {
        return;
    };
    let base = stand.server.base.replace("127.0.0.1", "localhost");
    let auditor = stand.another("audit", "auditors", "auditor").await;
    let pictures = std::env::var("CHANCERY_PICTURES").unwrap_or_default();
    let asked = json!({
        "base": base, "token": stand.operator.token, "auditor": auditor.token, "pictures": pictures,
        "rotation": rotation(&stand).await,
    });
    let steps = tokio::task::spawn_blocking(move || builder_sdk::run(node, &asked));
    let steps = tokio::time::timeout(Duration::from_mins(5), steps).await;
    let steps = steps.unwrap().unwrap();
    let last = steps.last().unwrap();
    assert_eq!(last["step"], "done", "{steps:?}");
    assert_eq!(last["complaints"], json!([]), "{steps:?}");
    assert_eq!(last["elsewhere"], json!([]), "{steps:?}");
    let of = |step: &'static str| steps.iter().filter(move |it| it["step"] == step);
    assert_eq!(of("page").count(), 2 * 26, "each in both themes: {steps:?}");
    for page in of("page") {
        assert_eq!(page["violations"], json!([]), "{page}");
    }
    let said = |it: &Value| it["said"].as_str().unwrap().to_owned();
    for step in ["verified", "verified again"] {
        let said = said(of(step).next().unwrap());
        assert!(said.starts_with("Verified in this browser: "), "{said}");
    }
    let proved = &of("verified").next().unwrap()["proved"];
    assert!(proved.as_str().unwrap().contains("admin"), "{proved}");
    let file = of("file").next().unwrap();
    let kept = json!("attachment; filename=\"leaf-0.tlog-proof\"");
    assert_eq!((&file["same"], &file["kept"]), (&json!(true), &kept));
    assert_eq!(of("changed").count(), 7);
    for changed in of("changed").chain(of("without a script")) {
        assert!(said(changed).starts_with("Not verified"), "{changed}");
    }
    assert_eq!(halts(&stand).await, 1);
}
