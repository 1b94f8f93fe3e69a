//! What is handed to the relayer was signed once, and happens once, whatever becomes of answers.

use serde_json::{Value, json};

use crate::stand::{Stand, refused};
use crate::support::relayer::{RelayerServer, builder};
use crate::support::{Answer, Caller};

pub(crate) const WALLET: &str = "/v1/wallets/d-deposit";

/// A desk's deposit wallet at a relayer, and an operation that is signed for it.
pub(crate) struct Desk {
    pub(crate) relayer: RelayerServer,
    pub(crate) stand: Stand,
    /// Has operations signed, and submits them.
    pub(crate) treasurer: Caller,
}

impl Desk {
    pub(crate) async fn new(flags: &[&str]) -> Option<Self> {
        let relayer = RelayerServer::start(flags).await?;
        let stand = Stand::new(&relayer.section()).await?;
        let operator = &stand.operator;
        let eoa = operator.get("/v1/wallets/d-w").await;
        let funder = &eoa.json["derived"]["depositWallet"];
        let new = json!({
            "name": "d-deposit", "owner": "d", "key": "d-wk", "chainId": 137, "signatureType": 3, "funder": funder,
        });
        let made = operator.post("/v1/wallets", &new).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let given = format!("{WALLET}/builder-credentials");
        let given = operator.post(&given, &builder()).await;
        assert_eq!(given.status, 201, "{}", given.text);
        let treasurer = stand.another("d-treasurer", "d", "treasurer").await;
        Some(Self {
            relayer,
            stand,
            treasurer,
        })
    }

    /// The wallet is there, on the chain.
    pub(crate) async fn deployed(flags: &[&str]) -> Option<Self> {
        let desk = Self::new(flags).await?;
        let wallet = desk.stand.operator.get(WALLET).await;
        let wallet = json!({ "owner": wallet.json["address"], "address": wallet.json["maker"] });
        desk.relayer.wallet(wallet).await;
        Some(desk)
    }

    /// Signs the approvals of a profile with this nonce: the path of its submission, and the text that is to be sent.
    pub(crate) async fn sign(&self, nonce: &str) -> (String, String) {
        let set_up = json!({ "op": "set_up_trading", "profile": "clob-v2" });
        self.sign_for(WALLET, nonce, &set_up).await
    }

    /// The same of another operation, and with another wallet.
    pub(crate) async fn sign_for(
        &self,
        wallet: &str,
        nonce: &str,
        operation: &Value,
    ) -> (String, String) {
        let wish = json!({ "operations": [operation], "via": "relayer", "nonce": nonce });
        let path = format!("{wallet}/operations");
        let signed = self.treasurer.post(&path, &wish).await;
        assert_eq!(signed.status, 200, "{}", signed.text);
        let text = signed.json["request"]["body"].as_str().unwrap().to_owned();
        let id = signed.json["id"].as_str().unwrap();
        (format!("{path}/{id}/submission"), text)
    }

    async fn submit(&self, path: &str) -> Answer {
        self.treasurer.post(path, &json!({})).await
    }

    /// Asks until it is over: what it became.
    pub(crate) async fn over(&self, path: &str) -> Answer {
        for _ in 0..50 {
            let answer = self.submit(path).await;
            assert_eq!(answer.status, 201, "{}", answer.text);
            if answer.json["state"] != "taken" {
                return answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("it is not over: {path}");
    }

    /// How many calls took effect, and how many operations were signed.
    async fn counts(&self) -> (usize, i64) {
        let state = self.relayer.state().await;
        let signed = "select count(*) from intents where operation = 'wallet-operation'";
        let signed = self.stand.database.count(signed).await;
        (state["executed"].as_array().unwrap().len(), signed)
    }
}

#[tokio::test]
async fn an_operation_is_submitted_followed_and_settled() {
    let Some(desk) = Desk::new(&[]).await else {
        return;
    };
    let made = desk.over(&format!("{WALLET}/deployment")).await;
    assert_eq!(made.json["state"], "executed", "{}", made.text);
    assert_eq!(made.json["kind"], "WALLET-CREATE");

    let (path, text) = desk.sign("0").await;
    let taken = desk
        .treasurer
        .post_as("k", &path, &json!({}))
        .await
        .unwrap();
    assert_eq!(taken.status, 201, "{}", taken.text);
    assert_eq!(
        (&taken.json["state"], &taken.json["tries"]),
        (&json!("taken"), &json!(1))
    );
    let again = desk
        .treasurer
        .post_as("k", &path, &json!({}))
        .await
        .unwrap();
    assert_eq!(again.text, taken.text, "one key, one answer");
    let over = desk.over(&path).await;
    assert_eq!(
        (&over.json["state"], &over.json["progress"]),
        (&json!("executed"), &json!("CONFIRMED"))
    );
    let hash = &over.json["transactionHash"];
    assert!(hash.as_str().is_some_and(|it| it.len() == 66), "{hash}");
    assert_eq!(desk.relayer.bodies("/submit").await[1..], [text]);
    assert_eq!(desk.counts().await, (8, 1));

    let operations = desk.treasurer.get(&format!("{WALLET}/operations")).await;
    let operation = &operations.json[0];
    assert_eq!(
        (&operation["state"], &operation["transactionHash"]),
        (&json!("executed"), hash),
        "{operation}"
    );
    let all = desk.treasurer.get(&format!("{WALLET}/submissions")).await;
    assert_eq!(all.json.as_array().unwrap().len(), 2, "{}", all.text);
    let done = desk.submit(&path).await;
    assert_eq!(done.json, over.json);
    // The next one in turn is signed and carried out; no nonce came from the relayer.
    let (path, _) = desk.sign("1").await;
    assert_eq!(desk.over(&path).await.json["state"], "executed");
}

#[tokio::test]
async fn a_lost_answer_leads_to_one_signature_and_one_execution() {
    for (phase, sent) in [("after", 1), ("before", 2)] {
        for fault in [
            json!({ "drop": true }),
            json!({ "delay_ms": 2000 }),
            json!({ "status": 502, "body": "<html>bad gateway</html>" }),
            json!({ "status": 500 }),
            json!({ "status": 200, "body": "{\"ok\":true}" }),
        ] {
            let Some(desk) = Desk::deployed(&["--settle=at_once"]).await else {
                return;
            };
            let is_late = fault.get("delay_ms").is_some();
            let mut whole = json!({ "path": "/submit", "phase": phase });
            whole
                .as_object_mut()
                .unwrap()
                .extend(fault.as_object().unwrap().clone());
            let (path, text) = desk.sign("0").await;
            desk.relayer.fault(whole.clone()).await;
            let what = whole.to_string();
            let lost = desk
                .treasurer
                .post_as("k", &path, &json!({}))
                .await
                .unwrap();
            refused(&what, &lost, 503, "submission-unknown", "the relayer");
            let unclear = desk.treasurer.get(&format!("{WALLET}/submissions")).await;
            assert_eq!(unclear.json[0]["state"], "unclear", "{what}");
            let again = desk
                .treasurer
                .post_as("k", &path, &json!({}))
                .await
                .unwrap();
            assert_eq!(again.status, 201, "{what}: {}", again.text);
            assert_eq!(desk.over(&path).await.json["state"], "executed", "{what}");
            let bodies = desk.relayer.bodies("/submit").await;
            let expected = if is_late { bodies.len() } else { sent };
            assert_eq!(bodies, vec![text; expected], "{what}");
            assert_eq!(desk.counts().await, (8, 1), "{what}");
        }
    }
}

#[tokio::test]
async fn what_the_relayer_refuses_is_said_and_nothing_is_signed_for_it() {
    let Some(desk) = Desk::deployed(&["--settle=never"]).await else {
        return;
    };
    let (path, text) = desk.sign("0").await;
    let wallet = desk.treasurer.get(WALLET).await;
    let on_chain = |nonce: &str| json!({ "owner": wallet.json["address"], "address": wallet.json["maker"], "nonce": nonce });
    let say = |status: u16, error: &str| {
        let body = json!({ "error": error }).to_string();
        json!({ "path": "/submit", "status": status, "body": body })
    };
    desk.relayer.wallet(on_chain("5")).await;
    let answer = desk.submit(&path).await;
    refused(
        "nonce",
        &answer,
        409,
        "relayer-nonce",
        "does not match on-chain nonce 5",
    );
    desk.relayer.wallet(on_chain("0")).await;
    for (fault, status, problem) in [
        (
            say(409, "wallet busy: in-flight action"),
            503,
            "relayer-busy",
        ),
        (
            say(400, "wallet registry validation failed"),
            503,
            "relayer-busy",
        ),
        (
            say(
                400,
                "call blocked: call[0] blocked: calls to 0x0 are not permitted",
            ),
            502,
            "relayer-refused",
        ),
        (say(400, "invalid signature"), 502, "relayer-refused"),
        (say(429, "slow down"), 503, "relayer-unavailable"),
    ] {
        desk.relayer.fault(fault.clone()).await;
        let answer = desk.submit(&path).await;
        refused(&fault.to_string(), &answer, status, problem, "the relayer");
        let all = desk.treasurer.get(&format!("{WALLET}/submissions")).await;
        assert_eq!(all.json[0]["state"], "refused", "{fault}");
    }
    assert_eq!(desk.counts().await, (0, 1));
    let taken = desk.submit(&path).await;
    assert_eq!(
        (taken.status, &taken.json["tries"]),
        (201, &json!(7)),
        "{}",
        taken.text
    );
    let bodies = desk.relayer.bodies("/submit").await;
    assert_eq!(bodies, vec![text; bodies.len()]);

    // Nonsense while it is followed changes nothing of what is on record.
    for body in [
        "[]",
        "{}",
        "<html>",
        "[{\"transactionID\":\"x\",\"state\":\"NEW\"}]",
    ] {
        desk.relayer
            .fault(json!({ "path": "/transaction", "status": 200, "body": body, "times": 3 })) // who follows may take one
            .await;
        let answer = desk.submit(&path).await;
        refused(body, &answer, 503, "submission-unknown", "the relayer");
    }
    let denied = desk.stand.operator.post(&path, &json!({})).await;
    refused("an operator", &denied, 403, "denied", "submit_operation");
}

#[tokio::test]
async fn what_did_not_happen_is_alarmed_and_a_relayer_that_contradicts_itself_settles_nothing() {
    let Some(desk) = Desk::deployed(&["--settle=at_once", "--outcome=INVALID"]).await else {
        return;
    };
    let (path, _) = desk.sign("0").await;
    let over = desk.over(&path).await;
    assert_eq!(
        (&over.json["state"], &over.json["progress"]),
        (&json!("failed"), &json!("INVALID"))
    );
    desk.stand.server.heard("operation-failed").await;
    let operations = desk.treasurer.get(&format!("{WALLET}/operations")).await;
    assert_eq!(
        operations.json[0]["state"], "live",
        "its signature may still be used"
    );
    // The same text may be sent once more.
    desk.relayer
        .configure(json!({ "outcome": "CONFIRMED" }))
        .await;
    let lie = json!({ "path": "/nonce", "status": 200, "body": "{\"nonce\":\"0\"}", "times": 1 });
    desk.relayer.fault(lie).await;
    let taken = desk.submit(&path).await;
    assert_eq!(taken.json["state"], "taken", "{}", taken.text);
    let looked = desk.submit(&path).await;
    if looked.json["state"] == "taken" {
        let trouble = looked.json["trouble"].as_str().unwrap();
        assert!(trouble.contains("not spent"), "{trouble}");
    }
    assert_eq!(desk.over(&path).await.json["state"], "executed");
    assert_eq!(desk.counts().await, (8, 1));
}

#[tokio::test]
async fn a_process_that_dies_while_it_submits_leaves_one_execution() {
    for point in ["submission-begun", "submission-sent"] {
        let Some(mut desk) = Desk::deployed(&["--settle=at_once"]).await else {
            return;
        };
        let (path, text) = desk.sign("0").await;
        let mut dying = desk
            .stand
            .deployment
            .serve(&[("CHANCERY_FAIL_POINT", point)])
            .await;
        let caller = dying.caller(&desk.treasurer.token);
        caller.post_as("k", &path, &json!({})).await.unwrap_err();
        assert!(dying.wait_killed());
        let answer = desk
            .treasurer
            .post_as("k", &path, &json!({}))
            .await
            .unwrap();
        assert_eq!(answer.status, 201, "{point}: {}", answer.text);
        assert_eq!(desk.over(&path).await.json["state"], "executed", "{point}");
        assert_eq!(desk.relayer.bodies("/submit").await, [text], "{point}");
        assert_eq!(desk.counts().await, (8, 1), "{point}");
        assert!(desk.stand.server.is_alive());
    }
}

#[tokio::test]
async fn without_a_relayer_or_a_builder_s_key_nothing_is_sent() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let treasurer = stand.another("d-treasurer", "d", "treasurer").await;
    let path = "/v1/wallets/d-w/operations/01890000-0000-7000-8000-000000000000/submission";
    let answer = treasurer.post(path, &json!({})).await;
    refused("no operation", &answer, 404, "not-found", "operation");
    let eoa = stand.operator.get("/v1/wallets/d-w").await;
    let funder = &eoa.json["derived"]["depositWallet"];
    let new: Value = json!({
        "name": "d-deposit", "owner": "d", "key": "d-wk", "chainId": 137, "signatureType": 3, "funder": funder,
    });
    let made = stand.operator.post("/v1/wallets", &new).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let deployment = format!("{WALLET}/deployment");
    let answer = treasurer.post(&deployment, &json!({})).await;
    refused("no relayer", &answer, 422, "relayer-not-configured", "137");
    let answer = treasurer
        .post("/v1/wallets/d-w/deployment", &json!({}))
        .await;
    refused("an EOA", &answer, 422, "operation-refused", "type 3");
}
