//! The keys with which devices seal API secrets: replaced while headers are made, and lost.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use chancery::cli::dev::SoftToken;
use serde_json::{Value, json};

use crate::kms::{CREDENTIALS, World};
use crate::l2::{KEY, given};
use crate::stand::refused;
use crate::support::venue::ClobServer;
use crate::support::{Answer, Caller, Deployment, Postgres, Server, desk, skip};

const WHY: &str = "test";

/// A service beside a CLOB, with desk `h` whose keys are in a `SoftHSM` token.
pub(crate) struct Token {
    _venue: ClobServer,
    pub(crate) deployment: Deployment,
    pub(crate) server: Server,
    pub(crate) operator: Caller,
    pub(crate) trader: Caller,
    pub(crate) conf: String,
    _postgres: Arc<Postgres>,
}

impl Token {
    pub(crate) async fn open() -> Option<Self> {
        let venue = ClobServer::start(&[])?;
        let postgres = Postgres::shared()?;
        let database = postgres.database().await;
        let deployment = Deployment::new(&database.url);
        let token = match SoftToken::prepare(deployment.dir.path()) {
            Ok(token) => token,
            Err(error) => {
                skip(&format!("{error:#}"));
                return None;
            }
        };
        let read = |file| std::fs::read_to_string(file).unwrap();
        let init = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", token.label])
            .args(["--pin", &read(&token.pin_file)])
            .args(["--so-pin", &read(&token.so_pin_file)])
            .env("SOFTHSM2_CONF", &token.conf)
            .output();
        match init {
            Ok(done) => assert!(done.status.success(), "{done:?}"),
            Err(error) => {
                skip(&format!("softhsm2-util: {error}"));
                return None;
            }
        }
        deployment.configure(&format!(
            "{}[custody.hsm]\nkind = \"pkcs11\"\nmodule = \"{}\"\ntoken_label = \"{}\"\npin_file = \"{}\"\n",
            venue.section("polygon"),
            token.module.display(),
            token.label,
            token.pin_file.display(),
        ));
        let conf = token.conf.display().to_string();
        let operator_token = deployment.bootstrap();
        let server = deployment.serve(&[("SOFTHSM2_CONF", &conf)]).await;
        let operator = server.caller(&operator_token);
        let trader = server.caller(&desk(&operator, "h", "hsm").await);
        Some(Self {
            _venue: venue,
            deployment,
            server,
            operator,
            trader,
            conf,
            _postgres: postgres,
        })
    }

    pub(crate) async fn restart(&mut self) {
        self.server.terminate();
        let environment = [("SOFTHSM2_CONF", self.conf.as_str())];
        self.server = self.deployment.serve(&environment).await;
        self.operator = self.server.caller(&self.operator.token);
        self.trader = self.server.caller(&self.trader.token);
    }

    async fn credential(&self, mode: &str) -> Answer {
        let asked = json!({ "mode": mode, "nonce": 0 });
        self.operator
            .post("/v1/wallets/h-w/credentials", &asked)
            .await
    }

    /// The token's object files.
    fn objects(&self) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        walk(self.deployment.dir.path(), &mut found);
        found
    }
}

fn walk(dir: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|it| it == "object") {
            found.insert(path);
        }
    }
}

async fn headers(trader: &Caller, wallet: &str) -> Answer {
    let ask = json!({ "method": "GET", "path": "/data/orders" });
    let path = format!("/v1/wallets/{wallet}/l2-headers");
    trader.post(&path, &ask).await
}

/// The sealing keys of a device: id, whether it seals, secrets under it.
async fn rests(operator: &Caller, device: &str) -> Vec<(Value, bool, i64)> {
    let all = operator.get("/v1/custody").await;
    assert_eq!(all.status, 200, "{}", all.text);
    let devices = all.json["devices"].as_array().unwrap();
    let device = devices.iter().find(|it| it["name"] == device).unwrap();
    let mut keys: Vec<_> = device["sealing_keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| {
            let seals = key["seals"] == true;
            (key["id"].clone(), seals, key["secrets"].as_i64().unwrap())
        })
        .collect();
    keys.sort_by_key(|(_, seals, _)| !seals);
    keys
}

/// The one sealing key of a device, with one secret under it.
async fn only(operator: &Caller, device: &str) -> Value {
    let keys = rests(operator, device).await;
    let [(key, true, 1)] = keys.as_slice() else {
        panic!("{keys:?}");
    };
    key.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tokens_sealing_key_is_replaced_and_its_loss_is_mended_by_deriving() {
    let Some(mut token) = Token::open().await else {
        return;
    };
    let before = token.objects();
    let made = token.credential("create").await;
    assert_eq!(made.status, 201, "{}", made.text);
    let signed = headers(&token.trader, "h-w").await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    let old = only(&token.operator, "hsm").await;

    // Another one seals from now on; the former one stays until nothing rests under it.
    let path = "/v1/custody/hsm/sealing-keys";
    let why = json!({ "reason": WHY });
    let refused_to = token.trader.post(path, &why).await;
    refused("trader", &refused_to, 403, "denied", "manage_custody");
    let new = token.operator.post_as("n", path, &why).await.unwrap();
    assert_eq!(new.status, 201, "{}", new.text);
    let again = token.operator.post_as("n", path, &why).await.unwrap();
    assert_eq!(again.text, new.text, "one key for one request");
    let new = new.json["id"].clone();
    let both = [(new.clone(), true, 0), (old.clone(), false, 1)];
    assert_eq!(rests(&token.operator, "hsm").await, both);
    let end = format!("{path}/{}/destruction", old.as_str().unwrap());
    let in_use = token.operator.post(&end, &why).await;
    refused("in use", &in_use, 409, "sealing-key-in-use", "too new");

    let step = token
        .operator
        .post("/v1/custody/hsm/reseal", &json!({}))
        .await;
    assert_eq!(step.json["resealed"], 1, "{}", step.text);
    let both = [(new.clone(), true, 1), (old.clone(), false, 0)];
    assert_eq!(rests(&token.operator, "hsm").await, both);
    token.restart().await;
    let signed = headers(&token.trader, "h-w").await;
    assert_eq!(signed.status, 200, "{}", signed.text);

    // Both are lost with what the token holds besides the keys that sign.
    token.server.terminate();
    for object in token.objects().difference(&before) {
        std::fs::remove_file(object).unwrap();
    }
    token.restart().await;
    let lost = headers(&token.trader, "h-w").await;
    refused("lost", &lost, 503, "sealing-key-missing", "not there");
    let step = token
        .operator
        .post("/v1/custody/hsm/reseal", &json!({}))
        .await;
    assert_eq!(step.json["resealed"], 0, "{}", step.text);
    let derived = token.credential("derive").await;
    assert_eq!(derived.status, 201, "{}", derived.text);
    assert_eq!(derived.json["apiKey"], made.json["apiKey"]);
    let signed = headers(&token.trader, "h-w").await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    let keys = rests(&token.operator, "hsm").await;
    assert!(matches!(keys.as_slice(), [(_, true, 1)]), "{keys:?}");
}

#[tokio::test]
async fn a_sealing_key_in_kms_is_replaced_by_name() {
    let Some(mut world) = World::open("").await else {
        return;
    };
    let path = "/v1/wallets/k-w/builder-credentials";
    let kept = world.operator.post(path, &given(KEY)).await;
    assert_eq!(kept.status, 201, "{}", kept.text);
    let old = only(&world.operator, "kms").await;
    let old = old.as_str().unwrap().to_owned();
    let new = world.kms.sealing_key().await;
    let file = world.deployment.file("config.toml");
    let first = std::fs::read_to_string(&file).unwrap();
    let line = format!("sealing_key = \"{old}\"");
    assert!(first.contains(&line));
    let named = |lines: &str| std::fs::write(&file, first.replace(&line, lines)).unwrap();

    named(&format!(
        "sealing_key = \"{new}\"\nformer_sealing_keys = [\"{old}\"]"
    ));
    world.server.terminate();
    world.server = world.deployment.serve(&CREDENTIALS).await;
    let (operator, trader) = (
        world.server.caller(&world.operator.token),
        world.server.caller(&world.in_kms.token),
    );
    let both = [(json!(new), true, 0), (json!(old), false, 1)];
    assert_eq!(rests(&operator, "kms").await, both);
    let ask = json!({ "method": "POST", "path": "/order", "body": "{}" });
    let headers = "/v1/wallets/k-w/builder-headers";
    assert_eq!(trader.post(headers, &ask).await.status, 200);
    let ordered = operator
        .post("/v1/custody/kms/sealing-keys", &json!({ "reason": WHY }))
        .await;
    assert_eq!(ordered.problem(), "device-cannot", "{}", ordered.text);
    let step = operator.post("/v1/custody/kms/reseal", &json!({})).await;
    assert_eq!(step.json["resealed"], 1, "{}", step.text);
    let both = [(json!(new), true, 1), (json!(old), false, 0)];
    assert_eq!(rests(&operator, "kms").await, both);

    for (key, status) in [(&new, 200), (&old, 503)] {
        named(&format!("sealing_key = \"{key}\""));
        let server = world.deployment.serve(&CREDENTIALS).await;
        let trader = server.caller(&trader.token);
        let made = trader.post(headers, &ask).await;
        assert_eq!(made.status, status, "{}", made.text);
    }
}
