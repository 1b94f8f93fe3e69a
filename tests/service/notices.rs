//! Somebody is told: signed, at least once, in the ordinary case once, and nobody waits for it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::approvals::Four;
use crate::stand::Stand;
use crate::support::pki::Pki;
use crate::support::receiver::{Does, MailServer, Post, Receiver};
use crate::support::{Caller, Scratch, order};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A file that nobody else may read.
fn private(scratch: &Scratch, name: &str, text: &str) -> String {
    let file = scratch.write(name, text);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    file.display().to_string()
}

/// A webhook's section.
fn webhook(name: &str, url: &str, secret_file: &str, more: &str) -> String {
    format!(
        "[[notices.webhooks]]\nname = \"{name}\"\nurl = \"{url}\"\nsecret_files = [\"{secret_file}\"]\n\
         timeout_ms = 500\n{more}\n"
    )
}

async fn post(by: &Caller, path: &str, body: &Value) -> Value {
    let done = by.post(path, body).await;
    assert_eq!(done.status, 201, "{}", done.text);
    done.json
}

async fn halt(by: &Caller) -> String {
    let new = json!({ "on": "wallet", "name": "d-w", "reason": "hunter2 was typed in here" });
    let set = post(by, "/v1/halts", &new).await;
    set["id"].as_str().unwrap().to_owned()
}

async fn lift(by: &Caller, id: &str) {
    let path = format!("/v1/halts/{id}/lift");
    post(by, &path, &json!({ "reason": "hunter2 again" })).await;
}

/// What the waits between tries would bring about in time.
async fn hurry(stand: &Stand) {
    let now = "update notice_deliveries set next_at = now() where state = 'waiting'";
    stand.database.run(now).await;
}

fn delivered(to: &str, state: &str) -> String {
    format!(
        "select count(*) from notice_deliveries where destination = '{to}' and state = '{state}'"
    )
}

/// Whether Python, which knows nothing of us, comes to the same signature.
fn verified(post: &Post, secret: &str) -> bool {
    const SCRIPT: &str = r"
import base64, hashlib, hmac, sys
secret, id, timestamp, signatures, body = sys.argv[1:]
key = base64.b64decode(secret.removeprefix('whsec_'))
tag = hmac.new(key, f'{id}.{timestamp}.{body}'.encode(), hashlib.sha256).digest()
sys.exit(0 if 'v1,' + base64.b64encode(tag).decode() in signatures.split(' ') else 1)
";
    let header = |name: &str| post.headers[name].as_str();
    let done = Command::new("python3")
        .args(["-c", SCRIPT, secret, header("webhook-id")])
        .args([header("webhook-timestamp"), header("webhook-signature")])
        .arg(&post.body)
        .status();
    done.unwrap().success()
}

#[tokio::test]
async fn a_halt_is_told_once_signed_by_each_secret_and_without_what_was_typed_in() {
    let (all, halts) = (Receiver::start().await, Receiver::start().await);
    let scratch = Scratch::new();
    let new = format!("whsec_{}", STANDARD.encode([9; 32]));
    let files = ["old", "new"].map(|name| {
        let secret = if name == "old" { SECRET } else { &new };
        private(&scratch, name, secret)
    });
    let both = files.join("\", \"");
    let more = webhook("all", &all.url, &both, "")
        + &webhook("lifted", &halts.url, &files[0], "kinds = [\"halt-lifted\"]");
    let Some(stand) = Stand::new(&more).await else {
        return;
    };
    let second = stand.deployment.serve(&[]).await;
    let elsewhere = second.caller(&stand.operator.token);
    for round in 0..5 {
        let (one, other) = if round % 2 == 0 {
            (&stand.operator, &elsewhere)
        } else {
            (&elsewhere, &stand.operator)
        };
        let id = halt(one).await;
        lift(other, &id).await;
    }
    let posts = all.sees(10).await;
    halts.sees(5).await;
    stand
        .database
        .becomes(&delivered("all", "delivered"), 10)
        .await;
    stand
        .database
        .becomes(&delivered("lifted", "delivered"), 5)
        .await;
    let ids: BTreeSet<_> = posts.iter().map(|it| &it.headers["webhook-id"]).collect();
    assert_eq!(
        (ids.len(), all.seen().len(), halts.seen().len()),
        (10, 10, 5)
    );
    for post in &posts {
        assert!(verified(post, SECRET) && verified(post, &new), "{post:?}");
        assert!(!post.body.contains("hunter2"), "{}", post.body);
        let message: Value = serde_json::from_str(&post.body).unwrap();
        assert_eq!(message["version"], 1);
        assert_eq!(message["id"], *post.headers["webhook-id"]);
        assert!(message["data"]["about"]["halt"].is_string(), "{message}");
        assert_eq!(message["data"]["recorded"], true);
    }
    let of = |kind: &str| posts.iter().filter(|it| it.body.contains(kind)).count();
    assert_eq!((of("\"halt-set\""), of("\"halt-lifted\"")), (5, 5));
    let said = &posts
        .iter()
        .find(|it| it.body.contains("halt-set"))
        .unwrap()
        .body;
    assert!(said.contains("a halt on wallet d-w is set"), "{said}");
    assert!(!verified(
        &posts[0],
        &format!("whsec_{}", STANDARD.encode([8; 32]))
    ));

    // What is not carried out is not told: here somebody has lifted it already.
    let path = "/v1/halts/01890000-0000-7000-8000-000000000000/lift";
    let gone = stand.operator.post(path, &json!({ "reason": "x" })).await;
    assert_eq!(gone.status, 404);
    let told = "select count(*) from notices";
    assert_eq!(stand.database.count(told).await, 10);

    let listed = stand
        .operator
        .get("/v1/notices?state=delivered&limit=4")
        .await;
    assert_eq!(listed.json.as_array().unwrap().len(), 4);
    let next = listed.headers["link"].to_str().unwrap();
    assert!(
        next.starts_with("</v1/notices?state=delivered&limit=4&after="),
        "{next}"
    );
    let none = stand.operator.get("/v1/notices?state=dead").await;
    assert_eq!(none.json, json!([]));
    let denied = stand.trader.get("/v1/notices").await;
    assert_eq!(denied.problem(), "denied");
}

#[tokio::test]
async fn a_receiver_that_fails_is_tried_again_under_the_same_id_and_holds_up_nobody() {
    let (bad, good, other) = (
        Receiver::start().await,
        Receiver::start().await,
        Receiver::start().await,
    );
    let scratch = Scratch::new();
    let file = private(&scratch, "secret", SECRET);
    let more = webhook("bad", &bad.url, &file, "") + &webhook("good", &good.url, &file, "");
    let Some(mut stand) = Stand::new(&more).await else {
        return;
    };
    // No two in a row with the same text: what is on record while a try is under way is the try before.
    let tries = [
        (Does::Hangs, "it did not answer in time"),
        (Does::Answers(500, String::new()), "it answered 500"),
        (Does::Breaks, "it did not answer in time"),
        (
            Does::Answers(307, format!("location: {}\r\n", other.url)),
            "it answered 307",
        ),
        (
            Does::Answers(429, "retry-after: 3000\r\n".into()),
            "it answered 429",
        ),
    ];
    for (does, _) in &tries {
        bad.next(does.clone());
    }
    let id = halt(&stand.operator).await;
    let wallet = stand.trader.post("/v1/wallets/d-w/orders", &order()).await;
    assert_eq!(wallet.problem(), "halted");
    for (at, (_, why)) in tries.iter().enumerate() {
        let failed = format!(
            "select count(*) from notice_deliveries
             where destination = 'bad' and attempts = {} and trouble = '{why}'",
            at + 1
        );
        stand.database.becomes(&failed, 1).await;
        if at + 1 < tries.len() {
            hurry(&stand).await;
        }
    }
    good.sees(1).await;
    let put_off = "select count(*) from notice_deliveries
                   where state = 'waiting' and next_at > now() + interval '40 minutes'";
    assert_eq!(stand.database.count(put_off).await, 1);
    hurry(&stand).await;
    stand
        .database
        .becomes(&delivered("bad", "delivered"), 1)
        .await;
    let posts = bad.sees(tries.len() + 1).await;
    let ids: BTreeSet<_> = posts.iter().map(|it| &it.headers["webhook-id"]).collect();
    assert_eq!(
        (ids.len(), good.seen().len(), other.seen().len()),
        (1, 1, 0)
    );

    // There is an end: after the last try, or at once where it says that it is gone.
    bad.next(Does::Answers(500, String::new()));
    lift(&stand.operator, &id).await;
    let waits = "select count(*) from notice_deliveries where destination = 'bad' and attempts = 1 and trouble is not null and state = 'waiting'";
    stand.database.becomes(waits, 1).await;
    bad.next(Does::Answers(500, String::new()));
    let last =
        "update notice_deliveries set attempts = 12, next_at = now() where state = 'waiting'";
    stand.database.run(last).await;
    stand.database.becomes(&delivered("bad", "dead"), 1).await;
    bad.next(Does::Answers(410, String::new()));
    halt(&stand.operator).await;
    stand.database.becomes(&delivered("bad", "dead"), 2).await;
    let dead = stand.operator.get("/v1/notices?state=dead").await;
    let dead = &dead.json[0]["deliveries"][0];
    assert_eq!(
        (&dead["attempts"], &dead["trouble"]),
        (&json!(1), &json!("it answered 410"))
    );
    stand
        .database
        .becomes(&delivered("good", "delivered"), 3)
        .await;
    let halts = stand.operator.get("/v1/halts").await;
    lift(&stand.operator, halts.json[0]["id"].as_str().unwrap()).await;
    while stand
        .trader
        .post("/v1/wallets/d-w/orders", &order())
        .await
        .status
        != 200
    {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    stand.still_signs().await;
}

#[tokio::test]
async fn a_notice_that_was_sent_and_not_marked_comes_again_under_its_id() {
    let receiver = Receiver::start().await;
    let scratch = Scratch::new();
    let file = private(&scratch, "secret", SECRET);
    let more = webhook("on-call", &receiver.url, &file, "");
    let Some(mut stand) = Stand::new(&more).await else {
        return;
    };
    assert_eq!(stand.server.terminate(), Some(0));
    let [sent] = chancery::fail::NOTICE_POINTS;
    let doomed = [("CHANCERY_FAIL_POINT", sent)];
    let mut doomed = stand.deployment.serve(&doomed).await;
    halt(&doomed.caller(&stand.operator.token)).await;
    assert!(doomed.wait_killed());
    let sent = receiver.sees(1).await;
    let claimed = "select count(*) from notice_deliveries
                   where state = 'waiting' and attempts = 1 and next_at > now() + interval '20 s'";
    assert_eq!(stand.database.count(claimed).await, 1);
    let _next = stand.deployment.serve(&[]).await;
    hurry(&stand).await;
    let again = receiver.sees(2).await;
    assert_eq!(
        again[1].headers["webhook-id"],
        sent[0].headers["webhook-id"]
    );
    assert_eq!(again[1].body, sent[0].body);
    stand
        .database
        .becomes(&delivered("on-call", "delivered"), 1)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_receiver_with_a_certificate_of_its_authority_gets_anything() {
    let scratch = Scratch::new();
    let ours = Pki::make(&scratch.path().join("ours"), "127.0.0.1", "x");
    let theirs = Pki::make(&scratch.path().join("theirs"), "127.0.0.1", "x");
    let receiver = Receiver::start_tls(&ours).await;
    let file = private(&scratch, "secret", SECRET);
    let ca = |pki: &Pki| format!("ca_file = \"{}\"", pki.authority().display());
    let more = webhook("ours", &receiver.url, &file, &ca(&ours))
        + &webhook("theirs", &receiver.url, &file, &ca(&theirs))
        + &webhook("anybodys", &receiver.url, &file, "");
    let Some(stand) = Stand::new(&more).await else {
        return;
    };
    let tried = stand.operator.post("/v1/notices/test", &json!({})).await;
    assert_eq!(tried.status, 200, "{}", tried.text);
    let trouble = |at: usize| tried.json[at]["trouble"].as_str();
    assert_eq!(trouble(0), None, "{}", tried.text);
    for at in [1, 2] {
        assert_eq!(trouble(at), Some("it cannot be reached"), "{}", tried.text);
    }
    let posts = receiver.seen();
    assert_eq!(posts.len(), 1);
    assert!(posts[0].body.contains("\"test\"") && verified(&posts[0], SECRET));

    let found = stand.deployment.run(&["doctor"]).unwrap_err();
    assert!(found.contains("found something wrong"), "{found}");
    let output = Command::new(env!("CARGO_BIN_EXE_chancery"))
        .args(["doctor", "--json", "--config"])
        .arg(stand.deployment.file("config.toml"))
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let verdict = |what: &str| {
        let mut checks = report["checks"].as_array().unwrap().iter();
        checks.find(|it| it["what"] == what).unwrap()["verdict"].clone()
    };
    assert_eq!(verdict("notices, ours"), "ok", "{report}");
    assert_eq!(verdict("notices, theirs"), "wrong");
    assert_eq!(verdict("notices, anybodys"), "wrong");
    assert_eq!(receiver.seen().len(), 1, "doctor sends nothing");
}

#[tokio::test]
async fn mail_goes_to_people_under_tls_and_to_no_server_of_another_authority() {
    let scratch = Scratch::new();
    let ours = Pki::make(&scratch.path().join("ours"), "127.0.0.1", "x");
    let theirs = Pki::make(&scratch.path().join("theirs"), "127.0.0.1", "x");
    let password = private(&scratch, "password", "hunter2\n");
    for (is_implicit, tls) in [(true, "implicit"), (false, "starttls")] {
        let server = MailServer::start(&ours, is_implicit).await;
        let mail = |ca: &Pki| {
            format!(
                "[notices.mail]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"{tls}\"\nuser = \"u\"\n\
                 password_file = \"{password}\"\nfrom = \"Chancery <c@example.com>\"\n\
                 to = [\"a@example.com\", \"b@example.com\"]\nca_file = \"{}\"\n",
                server.port,
                ca.authority().display()
            )
        };
        let Some(mut stand) = Stand::new(&mail(&ours)).await else {
            return;
        };
        halt(&stand.operator).await;
        let letters = server.sees(1).await;
        let letter = &letters[0];
        assert!(letter.is_encrypted, "{letter:?}");
        let login = letter.login.split(' ').next_back().unwrap();
        assert_eq!(STANDARD.decode(login).unwrap(), b"\0u\0hunter2");
        assert_eq!(letter.to.len(), 2, "{letter:?}");
        let notice = stand.operator.get("/v1/notices").await.json[0].clone();
        for part in [
            "Subject: [chancery] halt-set",
            "Auto-Submitted: auto-generated",
            "a halt on wallet d-w is set",
            &format!(
                "Message-ID: <{}@example.com>",
                notice["id"].as_str().unwrap()
            ),
        ] {
            assert!(letter.text.contains(part), "{part}: {}", letter.text);
        }
        assert!(!letter.text.contains("hunter2"), "{}", letter.text);
        stand
            .database
            .becomes(&delivered("mail", "delivered"), 1)
            .await;

        stand.deployment.configure(&mail(&theirs));
        assert_eq!(stand.server.terminate(), Some(0));
        let server_of_others = stand.deployment.serve(&[]).await;
        let operator = server_of_others.caller(&stand.operator.token);
        let tried = operator.post("/v1/notices/test", &json!({})).await;
        assert!(
            tried.json[0]["trouble"].is_string(),
            "{tls}: {}",
            tried.text
        );
        assert_eq!(server.sees(1).await.len(), 1);
    }
}

#[tokio::test]
async fn deadlines_and_alarms_are_told_once_by_however_many_replicas() {
    let receiver = Receiver::start().await;
    let scratch = Scratch::new();
    let file = private(&scratch, "secret", SECRET);
    let more = "[cryptoperiods]\nlook_every_s = 1\n".to_owned()
        + &webhook("on-call", &receiver.url, &file, "");
    let Some(mut stand) = Stand::new(&more).await else {
        return;
    };
    let mut others = [
        stand.deployment.serve(&[]).await,
        stand.deployment.serve(&[]).await,
    ];
    // Between two stages, and at the beginning of none.
    let new = json!({ "name": "short", "owner": "d", "roles": ["trader"], "token_days": 2 });
    let made = stand.operator.post("/v1/callers", &new).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let of = |kind: &str| format!("select count(*) from notices where kind = '{kind}'");
    stand.database.becomes(&of("deadline"), 1).await;
    let ends =
        "update keys set cryptoperiod_ends_at = now() + interval '2 hours' where name = 'd-ck'";
    stand.database.falsify("keys", ends).await;
    stand.deployment.restate().await;
    stand.database.becomes(&of("deadline"), 2).await;
    let posts = receiver.sees(2).await;
    let said: Vec<_> = posts.iter().map(|it| it.body.as_str()).collect();
    let has = |what: &str| said.iter().any(|it| it.contains(what));
    assert!(has("the last token of caller short ends at"), "{said:#?}");
    assert!(has("the cryptoperiod of key d-ck ends at"), "{said:#?}");
    assert!(has("client d-c"), "{said:#?}");

    // Each of the three finds that somebody else has written to the database, and says so twice.
    let id = halt(&stand.operator).await;
    lift(&stand.operator, &id).await;
    let head = "update authority_head set tightened = version";
    stand.database.falsify("authority_head", head).await;
    for base in [&stand.server.base, &others[0].base, &others[1].base] {
        let trader = Caller {
            base: base.clone(),
            ..stand.trader.clone()
        };
        let path = "/v1/clients/d-c/assertions";
        while trader.post(path, &json!({})).await.problem() != "falsified" {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    let told = receiver.sees(5).await;
    let alarms = told
        .iter()
        .filter(|it| it.body.contains("\"alarm\":\"falsified\""));
    assert_eq!(alarms.count(), 1, "{told:#?}");
    let [one, other] = &mut others;
    for server in [&mut stand.server, one, other] {
        assert_eq!(server.terminate(), Some(0)); // what is still in its memory is on record then
    }
    assert_eq!(stand.database.count(&of("alarm")).await, 1);
    assert_eq!(stand.database.count(&of("deadline")).await, 2);
}

#[tokio::test]
async fn who_approves_is_told_what_is_asked_for_and_once_more_before_it_expires() {
    let receiver = Receiver::start().await;
    let scratch = Scratch::new();
    let file = private(&scratch, "secret", SECRET);
    let more = "[cryptoperiods]\nlook_every_s = 1\n".to_owned()
        + &webhook(
            "on-call",
            &receiver.url,
            &file,
            "kinds = [\"approval-asked\", \"approval-expiring\"]",
        );
    let Some(four) = Four::new(&more).await else {
        return;
    };
    let _second = four.deployment.serve(&[]).await;
    let new = json!({ "name": "hunter2", "owner": "d", "roles": ["trader"] });
    for _ in 0..2 {
        let asked = four.ann.post_as("k", "/v1/callers", &new).await.unwrap();
        assert_eq!(asked.status, 202, "{}", asked.text);
    }
    let posts = receiver.sees(1).await;
    let said = &posts[0].body;
    assert!(
        said.contains("asks for POST /v1/callers, which others have to approve"),
        "{said}"
    );
    assert!(
        said.contains("\"proposal\"") && !said.contains("hunter2"),
        "{said}"
    );
    let soon = "update proposals set proposed_at = now() - interval '1 hour', expires_at = now() + interval '5 minutes'";
    four.database.falsify("proposals", soon).await;
    four.deployment.restate().await;
    let posts = receiver.sees(2).await;
    assert!(posts[1].body.contains("approval-expiring"), "{posts:#?}");
    let told = "select count(*) from notices";
    assert_eq!(four.database.count(told).await, 2);
}

#[tokio::test]
async fn an_alarm_goes_before_whatever_else_waits() {
    let receiver = Receiver::start().await;
    let scratch = Scratch::new();
    let file = private(&scratch, "secret", SECRET);
    let Some(stand) = Stand::new(&webhook("on-call", &receiver.url, &file, "")).await else {
        return;
    };
    let notices = "insert into notices (id, kind, sentence, about)
                   select gen_random_uuid(), case n when 50 then 'alarm' else 'approval-asked' end, 'number ' || n, '{}'
                   from generate_series(1, 60) n";
    stand.database.run(notices).await;
    let posts = receiver.sees(60).await;
    assert!(posts[0].body.contains("number 50"), "{}", posts[0].body);
    stand
        .database
        .becomes(&delivered("on-call", "delivered"), 60)
        .await;
}

#[tokio::test]
async fn the_command_line_tests_and_receives() {
    let scratch = Scratch::new();
    let file = private(&scratch, "secret", SECRET);
    let receive = |secret: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_chancery"))
            .args([
                "notices",
                "receive",
                "--listen",
                "127.0.0.1:0",
                "--secret-file",
                secret,
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = said.next().unwrap().unwrap();
        let url = first.strip_prefix("receiving on ").unwrap().to_owned();
        (child, url, said)
    };
    let (mut ours, url, _) = receive(&file);
    let other = format!("whsec_{}", STANDARD.encode([8; 32]));
    let (mut theirs, elsewhere, mut complaints) = receive(&private(&scratch, "other", &other));
    let more = webhook("ours", &url, &file, "") + &webhook("theirs", &elsewhere, &file, "");
    let Some(stand) = Stand::new(&more).await else {
        return;
    };
    let token = stand.deployment.dir.write("token", &stand.operator.token);
    let test = Command::new(env!("CARGO_BIN_EXE_chancery"))
        .args([
            "notices",
            "test",
            "--url",
            &stand.server.base,
            "--token-file",
        ])
        .arg(token)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&test.stderr).into_owned();
    assert!(
        complaint.contains("1 of 2 destinations took nothing"),
        "{complaint}"
    );
    let tried: Value = serde_json::from_slice(&test.stdout).unwrap();
    assert_eq!(tried[1]["trouble"], "it answered 401");
    let mut lines = BufReader::new(ours.stdout.take().unwrap()).lines();
    let received: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(received["type"], "test");
    let complained = complaints.next().unwrap().unwrap();
    assert!(
        complained.contains("no signature is by a secret"),
        "{complained}"
    );
    for child in [&mut ours, &mut theirs] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
