//! Loosening takes two people (P6): what is proposed, who approves it with what, and that it is done once.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::browser_verifier::browser;
use crate::stand::refused;
use crate::support::{Answer, Caller, Database, Deployment, Postgres, Server};

/// A service where nobody loosens alone: ann asks as `operator`, bob and cid are security officers.
pub(crate) struct Four {
    pub(crate) server: Server,
    pub(crate) deployment: Deployment,
    pub(crate) database: Database,
    pub(crate) ann: Caller,
    pub(crate) bob: Caller,
    pub(crate) cid: Caller,
    /// A program with every right that an officer's token gives, and nobody's.
    pub(crate) program: Caller,
    _postgres: Arc<Postgres>,
}

impl Four {
    pub(crate) async fn new(more: &str) -> Option<Self> {
        if Command::new("ssh-keygen").arg("-?").output().is_err() {
            crate::support::skip("ssh-keygen is not installed");
            return None;
        }
        let postgres = Postgres::shared()?;
        let database = postgres.database().await;
        let deployment = Deployment::new(&database.url);
        let operator = deployment.bootstrap();
        let alone = deployment.serve(&[]).await;
        let boss = alone.caller(&operator);
        let mut tokens = Vec::new();
        for name in ["bob", "cid", "program"] {
            let new = json!({ "name": name, "owner": "security", "roles": ["security-officer"] });
            let made = boss.post("/v1/callers", &new).await;
            assert_eq!(made.status, 201, "{}", made.text);
            tokens.push(made.json["token"].as_str().unwrap().to_owned());
        }
        drop(alone);
        for name in ["ann", "bob", "cid", "dan"] {
            make_key(&deployment, name, "ed25519");
        }
        let person = |name: &str| {
            format!(
                "{name}={}",
                deployment.file(&format!("{name}.pub")).display()
            )
        };
        let mut args = vec!["people".to_owned(), "bootstrap".to_owned()];
        for name in ["ann", "bob", "cid"] {
            args.extend(["--person".to_owned(), person(name)]);
        }
        for pair in ["operator=ann", "bob=bob", "cid=cid"] {
            args.extend(["--caller".to_owned(), pair.to_owned()]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        deployment.run(&args).unwrap();
        let again = deployment.run(&args).unwrap_err();
        assert!(again.contains("already"), "{again}");
        nobody_alone(&deployment, more);
        let server = deployment.serve(&[]).await;
        let caller = |at: usize| server.caller(&tokens[at]);
        Some(Self {
            ann: server.caller(&operator),
            bob: caller(0),
            cid: caller(1),
            program: caller(2),
            server,
            deployment,
            database,
            _postgres: postgres,
        })
    }

    /// What bob, cid or another signs under a hash.
    pub(crate) fn sign(&self, who: &str, hash: &str) -> String {
        sign(&self.deployment, who, hash)
    }

    /// Has ann ask for a caller of this name: the proposal, and the idempotency key.
    pub(crate) async fn ask(&self, name: &str) -> (Value, String) {
        let key = format!("ask-{name}");
        let asked = self.ask_as(&self.ann, &key, name).await;
        assert_eq!(asked.status, 202, "{}", asked.text);
        (asked.json, key)
    }

    pub(crate) async fn ask_as(&self, who: &Caller, key: &str, name: &str) -> Answer {
        let new = json!({ "name": name, "owner": "d", "roles": ["trader"] });
        who.post_as(key, "/v1/callers", &new).await.unwrap()
    }

    pub(crate) async fn approve(
        &self,
        as_whom: &Caller,
        signed_by: &str,
        proposal: &Value,
    ) -> Answer {
        let signature = self.sign(signed_by, proposal["hash"].as_str().unwrap());
        send_approval(as_whom, proposal, &json!({ "ssh": signature })).await
    }

    /// The proposal whose sentence begins so, once it is there.
    async fn waiting_for(&self, sentence: &str) -> Value {
        for _ in 0..300 {
            let all = self.cid.get("/v1/approvals").await.json;
            let is_it = |it: &&Value| it["sentence"].as_str().unwrap().starts_with(sentence);
            if let Some(found) = all.as_array().unwrap().iter().find(is_it) {
                return found.clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("nobody has asked to {sentence}");
    }

    pub(crate) async fn count(&self, name: &str) -> i64 {
        let query = format!("select count(*) from callers where name = '{name}'");
        self.database.count(&query).await
    }
}

/// Writes the configuration without `single_operator`, and with `more` in its section.
pub(crate) fn nobody_alone(deployment: &Deployment, more: &str) {
    deployment.configure("");
    let file = deployment.file("config.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let approvals = format!("single_operator = false\n{more}");
    std::fs::write(&file, text.replace("single_operator = true", &approvals)).unwrap();
}

fn make_key(deployment: &Deployment, name: &str, kind: &str) -> PathBuf {
    let file = deployment.file(name);
    let done = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", "", "-C", name, "-f"])
        .arg(&file)
        .status();
    assert!(done.unwrap().success());
    file
}

fn sign(deployment: &Deployment, who: &str, hash: &str) -> String {
    use std::io::Write as _;
    let mut signer = Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", "chancery-approval", "-f"])
        .arg(deployment.file(who))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = signer.stdin.take().unwrap();
    writeln!(input, "{hash}").unwrap();
    drop(input);
    let done = signer.wait_with_output().unwrap();
    assert!(done.status.success());
    String::from_utf8(done.stdout).unwrap()
}

pub(crate) async fn send_approval(who: &Caller, proposal: &Value, signature: &Value) -> Answer {
    let path = format!("/v1/approvals/{}/approve", proposal["id"].as_str().unwrap());
    who.post(&path, &json!({ "signature": signature })).await
}

async fn ended(who: &Caller, proposal: &Value, how: &str) -> Answer {
    let path = format!("/v1/approvals/{}/{how}", proposal["id"].as_str().unwrap());
    who.post(&path, &json!({ "reason": "test" })).await
}

#[tokio::test]
async fn what_loosens_waits_for_somebody_else_and_is_done_once_for_whoever_asked() {
    let Some(four) = Four::new("").await else {
        return;
    };
    let (proposal, key) = four.ask("bot").await;
    assert_eq!(proposal["state"], "waiting", "{proposal}");
    assert_eq!(proposal["sentence"], "make caller bot of d with trader");
    assert_eq!(proposal["requester"], "ann");
    assert_eq!(four.count("bot").await, 0);
    // Asked again it is the same one.
    assert_eq!(four.ask("bot").await.0["id"], proposal["id"]);

    let approved = four.approve(&four.bob, "bob", &proposal).await;
    assert_eq!(approved.status, 201, "{}", approved.text);
    assert_eq!(four.count("bot").await, 0);
    let path = format!("/v1/approvals/{}", proposal["id"].as_str().unwrap());
    let shown = four.cid.get(&path).await.json;
    assert_eq!(shown["state"], "approved", "{shown}");

    let done = four.ask_as(&four.ann, &key, "bot").await;
    assert_eq!(done.status, 201, "{}", done.text);
    let token = done.json["token"].as_str().unwrap();
    let wallets = four.server.caller(token).get("/v1/wallets").await;
    assert_eq!(wallets.status, 200, "{}", wallets.text);
    let again = four.ask_as(&four.ann, &key, "bot").await;
    assert_eq!((again.status, &again.text), (201, &done.text));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(four.count("bot").await, 1);
    assert_eq!(four.ann.get(&path).await.json["state"], "executed");

    // What tightens waits for nobody.
    let revoked = four.ann.post("/v1/callers/bot/revoke", &json!({})).await;
    assert_eq!(revoked.status, 201, "{}", revoked.text);
}

#[tokio::test]
async fn limits_are_loosened_and_removed_with_others_and_tightened_without() {
    let Some(four) = Four::new("").await else {
        return;
    };
    let url = format!("{}/v1/limits/global/all", four.ann.base);
    let write = async |key: &str, body: Option<Value>| {
        let request = match &body {
            Some(body) => four.ann.http.put(&url).json(body),
            None => four.ann.http.delete(&url),
        };
        let request = request.header("idempotency-key", key);
        four.ann.send(request).await.unwrap()
    };
    let notional = |text: &str| Some(json!({ "order_notional": text }));
    let tight = write("tight", notional("1000000")).await;
    assert_eq!(tight.status, 201, "{}", tight.text);
    for (key, body) in [("loose", notional("2000000")), ("none", None)] {
        let asked = write(key, body.clone()).await;
        assert_eq!(asked.status, 202, "{key}: {}", asked.text);
        let approved = four.approve(&four.bob, "bob", &asked.json).await;
        assert_eq!(approved.status, 201, "{key}: {}", approved.text);
        let done = write(key, body.clone()).await;
        assert_eq!(done.status, 201, "{key}: {}", done.text);
        let again = write(key, body).await;
        assert_eq!((again.status, again.text), (201, done.text), "{key}");
    }
    let left = four.ann.get("/v1/limits").await;
    assert_eq!(left.json, json!([]), "{}", left.text);
}

#[tokio::test]
async fn the_leaf_of_what_was_done_holds_what_an_auditor_verifies_without_us() {
    let Some(four) = Four::new("").await else {
        return;
    };
    let (proposal, key) = four.ask("bot").await;
    four.approve(&four.bob, "bob", &proposal).await;
    let done = four.ask_as(&four.ann, &key, "bot").await;
    assert_eq!(done.status, 201, "{}", done.text);
    let sql =
        "select leaf from leaves where kind = 'admin' order by written_at, run, batch, position";
    let leaves: Vec<Vec<u8>> = sqlx::query_scalar(sql)
        .fetch_all(&four.database.pool)
        .await
        .unwrap();
    let leaves: Vec<_> = leaves
        .iter()
        .map(|it| chancery::audit::Leaf::from_bytes(it).unwrap())
        .filter_map(|it| match it.event {
            chancery::audit::Event::Admin(admin) => Some(admin),
            _ => None,
        })
        .collect();
    let of = |action: &str| {
        let found = leaves.iter().rfind(|it| it.action == action);
        found.unwrap_or_else(|| panic!("no leaf {action}"))
    };
    let said = format!(
        "proposal {}, approved by bob",
        proposal["id"].as_str().unwrap()
    );
    assert_eq!(of("create-caller").approval, said);
    let proposed: Value = serde_json::from_str(&of("propose").details).unwrap();
    assert_eq!(proposed["document"], proposal["document"]);
    let evidence: Value = serde_json::from_str(&of("carry-out-proposal").details).unwrap();
    let one = &evidence["approvals"][0];

    // With OpenSSH, the leaf and nothing else.
    let dir = &four.deployment.dir;
    let hash = chancery::approvals::document::hash(proposed["document"].as_str().unwrap());
    let signature = dir.write("leaf.sig", one["signature"]["ssh"].as_str().unwrap());
    let public = std::fs::read_to_string(four.deployment.file("bob.pub")).unwrap();
    let allowed = dir.write("allowed", &format!("bob {public}"));
    let mut verifier = Command::new("ssh-keygen")
        .args(["-Y", "verify", "-n", "chancery-approval", "-I", "bob", "-f"])
        .arg(allowed)
        .arg("-s")
        .arg(signature)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = verifier.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, format!("{}\n", hex::encode(hash)).as_bytes()).unwrap();
    drop(input);
    assert!(verifier.wait().unwrap().success());
}

#[tokio::test]
async fn what_does_not_approve_does_not() {
    let Some(four) = Four::new("").await else {
        return;
    };
    let (first, first_key) = four.ask("first").await;
    let hash = first["hash"].as_str().unwrap();
    // Who, and what they send, and why it is refused.
    let bob = four.sign("bob", hash);
    let zeros = "0".repeat(64);
    for (what, who, signature, detail) in [
        ("one's own", &four.ann, four.sign("ann", hash), "themselves"),
        ("by a program", &four.program, bob.clone(), "no person"),
        ("somebody else's", &four.cid, bob.clone(), "somebody else"),
        (
            "a stale hash",
            &four.bob,
            four.sign("bob", &zeros),
            "not a signature of this hash",
        ),
        (
            "a key that nobody has",
            &four.bob,
            four.sign("dan", hash),
            "nobody approves with",
        ),
        ("a token alone", &four.bob, String::new(), "ssh-keygen"),
    ] {
        let answer = send_approval(who, &first, &json!({ "ssh": signature })).await;
        let problem = if what == "by a program" {
            "person-needed"
        } else {
            "approval-refused"
        };
        refused(what, &answer, 403, problem, detail);
    }
    let empty = send_approval(&four.bob, &first, &json!({})).await;
    assert_eq!(empty.status, 400, "{}", empty.text);
    let asked = four.ask_as(&four.ann, &first_key, "first").await;
    assert_eq!(
        asked.status, 202,
        "nothing of that approved it: {}",
        asked.text
    );

    // An approval of one is none of another.
    let (second, second_key) = four.ask("second").await;
    let answer = send_approval(&four.bob, &second, &json!({ "ssh": bob })).await;
    refused(
        "replayed",
        &answer,
        403,
        "approval-refused",
        "not a signature of this hash",
    );

    // Once is enough, and twice is no quorum.
    assert_eq!(four.approve(&four.bob, "bob", &second).await.status, 201);
    let twice = four.approve(&four.bob, "bob", &second).await;
    refused("twice", &twice, 403, "approval-refused", "already");

    // The operation that was approved, and no other, by whoever asked.
    let other = four.ask_as(&four.ann, &second_key, "other").await;
    refused(
        "another body",
        &other,
        409,
        "idempotency-key-reused",
        "another request",
    );
    let program = four.ask_as(&four.program, &second_key, "second").await;
    refused("another caller", &program, 403, "denied", "");

    // Over is over, for good.
    let (third, third_key) = four.ask("third").await;
    let not_mine = ended(&four.bob, &third, "withdraw").await;
    refused("not mine", &not_mine, 403, "approval-refused", "reject it");
    assert_eq!(four.approve(&four.bob, "bob", &third).await.status, 201);
    assert_eq!(ended(&four.ann, &third, "withdraw").await.status, 201);
    let late = four.ask_as(&four.ann, &third_key, "third").await;
    refused("withdrawn", &late, 409, "proposal-over", "withdrawn");
    let late = four.approve(&four.cid, "cid", &third).await;
    refused("withdrawn", &late, 409, "proposal-over", "withdrawn");
    let (fourth, fourth_key) = four.ask("fourth").await;
    assert_eq!(four.approve(&four.bob, "bob", &fourth).await.status, 201);
    assert_eq!(ended(&four.cid, &fourth, "reject").await.status, 201);
    let late = four.ask_as(&four.ann, &fourth_key, "fourth").await;
    refused("rejected", &late, 409, "proposal-over", "rejected");
    let (fifth, fifth_key) = four.ask("fifth").await;
    assert_eq!(four.approve(&four.bob, "bob", &fifth).await.status, 201);
    let id = fifth["id"].as_str().unwrap();
    let sql = format!("update proposals set expires_at = now() where id = '{id}'");
    four.database.falsify("proposals", &sql).await;
    four.deployment.restate().await;
    let late = four.ask_as(&four.ann, &fifth_key, "fifth").await;
    refused("expired", &late, 409, "proposal-over", "expired");

    for name in ["first", "second", "third", "fourth", "fifth", "other"] {
        assert_eq!(four.count(name).await, 0, "{name}");
    }
    let done = four.ask_as(&four.ann, &second_key, "second").await;
    assert_eq!(done.status, 201, "{}", done.text);
}

#[tokio::test]
async fn who_is_halted_approves_nothing_and_has_nothing_carried_out_that_others_approved() {
    let Some(four) = Four::new("").await else {
        return;
    };
    let (asked_for, key) = four.ask("bot").await;
    let halted = json!({ "on": "caller", "name": "bob", "reason": "a stolen laptop" });
    let set = four.cid.post("/v1/halts", &halted).await;
    assert_eq!(set.status, 201, "{}", set.text);
    let late = four.approve(&four.bob, "bob", &asked_for).await;
    refused("a halted approver", &late, 403, "halted", "laptop");
    assert_eq!(four.approve(&four.cid, "cid", &asked_for).await.status, 201);
    let halted = json!({ "on": "caller", "name": "operator", "reason": "another laptop" });
    let set = four.cid.post("/v1/halts", &halted).await;
    assert_eq!(set.status, 201, "{}", set.text);
    let late = four.ask_as(&four.ann, &key, "bot").await;
    refused("a halted requester", &late, 403, "halted", "another");
    assert_eq!(four.count("bot").await, 0);
}

#[tokio::test]
async fn an_approval_stops_counting_with_its_key_its_person_and_the_quorum() {
    let Some(mut four) = Four::new("").await else {
        return;
    };
    // Revoked, ended, without the role: each after the approval, before it is carried out.
    let (proposal, key) = four.ask("x").await;
    assert_eq!(four.approve(&four.bob, "bob", &proposal).await.status, 201);
    let bob = four.ann.get("/v1/people/bob").await.json;
    let bobs = bob["keys"][0]["id"].as_str().unwrap();
    let path = format!("/v1/people/bob/keys/{bobs}/revoke");
    let revoked = four.ann.post(&path, &json!({})).await;
    assert_eq!(revoked.status, 201, "{}", revoked.text);
    let asked = four.ask_as(&four.ann, &key, "x").await;
    assert_eq!(
        (asked.status, &asked.json["state"]),
        (202, &json!("waiting"))
    );
    assert_eq!(asked.json["approvals"][0]["counts"], false);
    let dead = four.approve(&four.bob, "bob", &proposal).await;
    refused("revoked", &dead, 403, "approval-refused", "not any more");

    assert_eq!(four.approve(&four.cid, "cid", &proposal).await.status, 201);
    let fewer = json!({ "roles": [] });
    let fewer = four.ann.post("/v1/people/cid/roles", &fewer).await;
    assert_eq!(fewer.status, 201, "{}", fewer.text);
    let asked = four.ask_as(&four.ann, &key, "x").await;
    assert_eq!(
        (asked.status, &asked.json["state"]),
        (202, &json!("waiting"))
    );
    let more = json!({ "roles": ["security-officer"] });
    let more = four.ann.post("/v1/people/cid/roles", &more).await;
    assert_eq!(more.status, 202, "a role more loosens: {}", more.text);
    assert_eq!(four.count("x").await, 0);

    // A stricter rule counts for what was proposed before it.
    four.server.terminate();
    let rule = "[[approvals.quorums]]\nrole = \"security-officer\"\npeople = 2";
    let more = format!("\n{rule}\n");
    nobody_alone(&four.deployment, &more);
    let server = four.deployment.serve(&[]).await;
    let ann = server.caller(&four.ann.token);
    let asked = four.ask_as(&ann, &key, "x").await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    assert_eq!(asked.json["needed"], "2 × security-officer");
    assert_eq!(four.count("x").await, 0);
}

#[tokio::test]
async fn two_replicas_that_are_asked_at_once_do_it_once() {
    let Some(four) = Four::new("").await else {
        return;
    };
    let other = four.deployment.serve(&[]).await;
    let there = |who: &Caller| other.caller(&who.token);
    for round in 0..10 {
        let name = format!("race-{round}");
        let (proposal, key) = four.ask(&name).await;
        let (bob, cid) = (
            four.sign("bob", proposal["hash"].as_str().unwrap()),
            there(&four.cid),
        );
        let signature = json!({ "ssh": bob });
        // The same approval on two replicas: one of them.
        let (one, two) = tokio::join!(send_approval(&four.bob, &proposal, &signature), async {
            let bob = there(&four.bob);
            send_approval(&bob, &proposal, &signature).await
        });
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 403], "{} {}", one.text, two.text);
        // Carried out on both, while somebody rejects it.
        let ann = there(&four.ann);
        let (one, two, rejected) = tokio::join!(
            four.ask_as(&four.ann, &key, &name),
            four.ask_as(&ann, &key, &name),
            ended(&cid, &proposal, "reject"),
        );
        let made = four.count(&name).await;
        let is_done = [&one, &two].iter().any(|it| it.status == 201);
        assert_eq!(made, i64::from(is_done), "{} {}", one.text, two.text);
        assert_eq!(is_done, rejected.status != 201, "{}", rejected.text);
        if one.status == 201 && two.status == 201 {
            assert_eq!(one.text, two.text);
        }
    }
}

#[tokio::test]
async fn what_an_operation_would_do_may_not_change_under_its_approval() {
    let Some(four) = Four::new("").await else {
        return;
    };
    let roles = json!({ "roles": ["security-officer", "custodian"] });
    let path = "/v1/people/cid/roles";
    let asked = four.ann.post_as("more", path, &roles).await.unwrap();
    assert_eq!(asked.status, 202, "{}", asked.text);
    let sentence =
        "give person cid the roles security-officer and custodian instead of security-officer";
    assert_eq!(asked.json["sentence"], sentence);
    assert_eq!(
        four.approve(&four.bob, "bob", &asked.json).await.status,
        201
    );
    // Meanwhile they have lost the one that they had.
    let fewer = four.ann.post(path, &json!({ "roles": [] })).await;
    assert_eq!(fewer.status, 201, "{}", fewer.text);
    let late = four.ann.post_as("more", path, &roles).await.unwrap();
    refused("changed", &late, 409, "proposal-over", "has changed since");
    let cid = four.ann.get("/v1/people/cid").await.json;
    assert_eq!(cid["roles"], json!([]));
}

#[tokio::test]
async fn keys_are_made_and_activated_by_what_was_approved_and_nothing_is_left_of_what_was_not() {
    let Some(four) = Four::new("").await else {
        return;
    };
    let new = json!({
        "name": "k", "purpose": "wallet", "backend": "soft", "environment": "dev01", "owner": "d",
    });
    let step = json!({ "to": "active", "reason": "test" });
    for (key, path, body) in [
        ("make", "/v1/keys", &new),
        ("go", "/v1/keys/k/steps", &step),
    ] {
        let asked = four.ann.post_as(key, path, body).await.unwrap();
        assert_eq!(asked.status, 202, "{}", asked.text);
        let approved = four.approve(&four.bob, "bob", &asked.json).await;
        assert_eq!(approved.status, 201, "{}", approved.text);
        let rows = "select count(*) from key_transitions where approval = 'awaited'";
        assert_eq!(four.database.count(rows).await, 0);
        let done = four.ann.post_as(key, path, body).await.unwrap();
        assert_eq!(done.status, 201, "{}", done.text);
    }
    let moved = four.ann.get("/v1/keys/k").await.json;
    assert_eq!(moved["state"], "active");
    // What cannot be done is not proposed.
    let again = four.ann.post("/v1/keys/k/steps", &step).await;
    assert_eq!(again.status, 409, "{}", again.text);
    // Tightening is for one.
    let tightening = json!({ "to": "suspended", "reason": "test" });
    let stopped = four.bob.post("/v1/keys/k/steps", &tightening).await;
    assert_eq!(stopped.status, 201, "{}", stopped.text);
}

#[tokio::test]
async fn whoever_asks_on_the_command_line_waits_and_whoever_approves_sees_what_they_sign() {
    let Some(four) = Four::new("").await else {
        return;
    };
    let dir = &four.deployment.dir;
    let token = |name: &str, who: &Caller| {
        use std::os::unix::fs::PermissionsExt as _;
        let file = dir.write(name, &who.token);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        file
    };
    let (ann, bob) = (token("ann.token", &four.ann), token("bob.token", &four.bob));
    let program = |token: &PathBuf, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chancery"));
        command
            .args(args)
            .arg("--url")
            .arg(&four.server.base)
            .arg("--token-file")
            .arg(token);
        command
    };
    let create = [
        "callers", "create", "cli-bot", "--owner", "d", "--role", "trader",
    ];
    let not_waiting = program(&ann, &create)
        .args(["--no-wait", "--idempotency-key", "cli"])
        .output()
        .unwrap();
    let said = String::from_utf8(not_waiting.stderr).unwrap();
    assert!(
        !not_waiting.status.success() && said.contains("--idempotency-key cli"),
        "{said}"
    );
    let waiting = program(&ann, &create)
        .args(["--idempotency-key", "cli"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let list = four.bob.get("/v1/approvals").await.json;
    let id = list[0]["id"].as_str().unwrap().to_owned();
    let key = four.deployment.file("bob");
    let key = key.to_str().unwrap();
    let zeros = "0".repeat(64);
    let other = [
        "approvals",
        "approve",
        &id,
        "--ssh-key",
        key,
        "--hash",
        &zeros,
    ];
    let other = program(&bob, &other).output().unwrap();
    assert!(!other.status.success());
    let approve = ["approvals", "approve", &id, "--ssh-key", key];
    let approved = program(&bob, &approve).output().unwrap();
    let said = String::from_utf8(approved.stderr).unwrap();
    assert!(approved.status.success(), "{said}");
    assert!(
        said.contains("ann asks to make caller cli-bot of d with trader"),
        "{said}"
    );
    let done = waiting.wait_with_output().unwrap();
    let token = String::from_utf8(done.stdout).unwrap();
    let bot = four.server.caller(token.trim());
    assert_eq!(bot.get("/v1/wallets").await.status, 200);
}

#[tokio::test]
async fn somebody_approves_with_a_passkey_in_a_browser_that_has_verified_them() {
    let Some(node) = browser("approve.mjs") else {
        return;
    };
    // The origin has the port in it, so that has to be known before the service starts.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let party = format!(
        "passkeys = {{ rp_id = \"localhost\", origin = \"http://localhost:{port}\" }}\n\
         [console]\nenabled = true\n"
    );
    let Some(mut four) = Four::new(&party).await else {
        return;
    };
    four.server.terminate();
    let file = four.deployment.file("config.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let there = format!("127.0.0.1:{port}");
    std::fs::write(&file, text.replace("127.0.0.1:0", &there)).unwrap();
    let server = four.deployment.serve(&[]).await;
    let caller = |who: &Caller| server.caller(&who.token);
    (four.ann, four.bob, four.cid) = (caller(&four.ann), caller(&four.bob), caller(&four.cid));

    let (proposal, key) = four.ask("bot").await;
    let sentence = proposal["sentence"].as_str().unwrap();
    let asked = json!({
        "base": format!("http://localhost:{port}"), "token": four.bob.token, "sentence": sentence,
        "verified": true, "pictures": std::env::var("CHANCERY_PICTURES").unwrap_or_default(),
    });
    let browser = tokio::task::spawn_blocking(move || crate::builder_sdk::run(node, &asked));
    // Registering the passkey waits for somebody else, too.
    let registering = four.waiting_for("let person bob approve").await;
    let approved = four.approve(&four.cid, "cid", &registering).await;
    assert_eq!(approved.status, 201, "{}", approved.text);
    let steps = browser.await.unwrap();
    assert_eq!(steps[0]["status"], 200, "{steps:?}");
    let policy = steps[0]["policy"].as_str().unwrap();
    assert!(policy.contains("default-src 'none'"), "{policy}");
    let last = steps.last().unwrap();
    assert_eq!(last["said"], "Approved.", "{steps:?}");
    assert_eq!(last["complaints"], json!([]), "{steps:?}");
    let shown = last["shown"].as_str().unwrap();
    let hash = proposal["hash"].as_str().unwrap();
    assert!(shown.contains(sentence) && shown.contains(hash), "{shown}");
    let pages: Vec<_> = steps.iter().filter(|it| it["step"] == "page").collect();
    assert_eq!(pages.len(), 4, "{steps:?}");
    for page in pages {
        assert_eq!(page["violations"], json!([]), "{page}");
    }

    let done = four.ask_as(&four.ann, &key, "bot").await;
    assert_eq!(done.status, 201, "{}", done.text);

    // A page of somebody else's, which a browser sends the token with, does nothing.
    let path = format!(
        "{}/v1/approvals/{}/reject",
        server.base,
        proposal["id"].as_str().unwrap()
    );
    let foreign = four
        .ann
        .http
        .post(path)
        .basic_auth("", Some(&four.bob.token));
    let foreign = foreign
        .header("sec-fetch-site", "cross-site")
        .header("idempotency-key", "foreign")
        .json(&json!({ "reason": "x" }));
    let foreign = Answer::of(foreign).await.unwrap();
    refused("foreign", &foreign, 403, "foreign-site", "another site");
}
