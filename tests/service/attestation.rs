//! What devices say of keys: changed behind the service's back, found out, stopped and stated.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chancery::app::App;
use chancery::attestation::{self, BadStatement, Verdict};
use chancery::clock::Clock;
use chancery::config::Config;
use chancery::custody::PublicKey;
use k256::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use serde_json::{Value, json};

use crate::kms::{CREDENTIALS, World};
use crate::kms_server::Fault;
use crate::stand::{Stand, refused};
use crate::support::{Caller, Database, Deployment, Postgres, Server, desk, order, skip};

/// The key is suspended by the service, with evidence, and the caller signs nothing on any replica.
async fn is_stopped(database: &Database, key: &str, finding: &str, traders: &[&Caller]) {
    let suspended = format!(
        "select count(*) from keys k join key_transitions t on t.key_id = k.id and t.epoch = k.epoch
         where k.name = '{key}' and k.state = 'suspended' and t.actor_id is null"
    );
    database.becomes(&suspended, 1).await;
    let row = format!(
        "select count(*) from (
             select a.* from attestations a join keys k on k.id = a.key_id
             where k.name = '{key}' order by a.at desc, a.id desc limit 1) last
         where verdict = 'drift' and findings @> '[{{\"kind\": \"{finding}\"}}]'"
    );
    assert_eq!(database.count(&row).await, 1, "{key}: {finding}");
    let leaf = format!(
        "select count(*) from leaves where kind = 'admin' and position('attest-key'::bytea in leaf) > 0
         and position('\"kind\":\"{finding}\"'::bytea in leaf) > 0
         and position('\"name\":\"{key}\"'::bytea in leaf) > 0"
    );
    assert_eq!(database.count(&leaf).await, 1, "{key}: {finding}");
    for trader in traders {
        let wallet = key.replace("-wk", "-w");
        let path = format!("/v1/wallets/{wallet}/orders");
        let answer = trader.post(&path, &order()).await;
        refused(finding, &answer, 409, "key-not-active", "suspended");
    }
}

#[tokio::test]
async fn a_key_that_is_changed_in_kms_is_suspended_on_all_replicas() {
    let Some(world) = World::open("").await else {
        return;
    };
    let keys = ["off", "gone", "other", "used"];
    let mut arns = std::collections::BTreeMap::new();
    for name in keys {
        desk(&world.operator, name, "kms").await;
        let key = world
            .operator
            .get(&format!("/v1/keys/{name}-wk"))
            .await
            .json;
        arns.insert(name, key["device_ref"].clone());
    }
    world
        .kms
        .call("DisableKey", &json!({ "KeyId": arns["off"] }))
        .await;
    let deletion = json!({ "KeyId": arns["gone"], "PendingWindowInDays": 7 });
    world.kms.call("ScheduleKeyDeletion", &deletion).await;
    let stranger = k256::SecretKey::from_slice(&[3; 32]).unwrap().public_key();
    let stranger = STANDARD.encode(stranger.to_public_key_der().unwrap().as_bytes());
    let of = arns["other"].clone();
    let replaced = move |mut answer: Value| {
        if answer["KeyId"] == of {
            answer["PublicKey"] = stranger.clone().into();
        }
        answer
    };
    let of = arns["used"].clone();
    let misused = move |mut answer: Value| {
        if answer["KeyMetadata"]["Arn"] == of {
            answer["KeyMetadata"]["MultiRegion"] = true.into();
        }
        answer
    };
    let (always, proxy) = (usize::MAX, &world.proxy);
    proxy.fail("GetPublicKey", always, Fault::Answer(Arc::new(replaced)));
    proxy.fail("DescribeKey", always, Fault::Answer(Arc::new(misused)));

    // Another replica starts, and looks.
    let other = world.deployment.serve(&CREDENTIALS).await;
    for (name, finding) in [
        ("off", "disabled"),
        ("gone", "pending-deletion"),
        ("other", "other-public-key"),
        ("used", "attribute"),
    ] {
        let key = format!("{name}-wk");
        let trader = json!({ "name": format!("{name}-2"), "owner": name, "roles": ["trader"] });
        let trader = world.operator.post("/v1/callers", &trader).await;
        let token = trader.json["token"].as_str().unwrap();
        let traders = [world.server.caller(token), other.caller(token)];
        is_stopped(&world.database, &key, finding, &traders.each_ref()).await;
    }
    let rounds = "select count(*) from attestation_rounds where drifted = 4";
    world.database.becomes(rounds, 1).await;
    assert!(other.log().contains("a key has drifted from its record"));
    // The others, of the same device and of another one, go on.
    assert_eq!(world.order().await.status, 200);
    let path = "/v1/wallets/s-w/orders";
    let soft = world.in_software.post(path, &order()).await;
    assert_eq!(soft.status, 200, "{}", soft.text);
}

#[tokio::test]
async fn a_device_that_is_away_suspends_nothing() {
    let Some(world) = World::open("").await else {
        return;
    };
    world.proxy.fail("DescribeKey", usize::MAX, Fault::Reset);
    let _other = world.deployment.serve(&CREDENTIALS).await;
    let unknown = "select count(*) from attestation_rounds where unknown = 2 and drifted = 0";
    world.database.becomes(unknown, 1).await;
    for key in ["k-wk", "k-ck"] {
        let shown = world.operator.get(&format!("/v1/keys/{key}")).await.json;
        assert_eq!(shown["state"], "active", "{key}");
        let last = format!("/v1/keys/{key}/attestation");
        let last = world.operator.get(&last).await;
        assert_eq!(last.json["verdict"], "unknown", "{key}");
    }
    world.proxy.heal();
    assert_eq!(world.order().await.status, 200);
}

/// A service whose token is a directory, which somebody else can write to.
pub(crate) struct Token {
    pub(crate) server: Server,
    pub(crate) operator: Caller,
    pub(crate) trader: Caller,
    pub(crate) database: Database,
    pub(crate) deployment: Deployment,
    _postgres: Arc<Postgres>,
}

pub(crate) const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
pub(crate) const PIN: &str = "123456";

impl Token {
    pub(crate) async fn open() -> Option<Self> {
        Self::through(MODULE, &[]).await
    }

    /// The same through another module, which is told in its environment where the token's own is.
    pub(crate) async fn through(module: &str, environment: &[(&str, &str)]) -> Option<Self> {
        if !Path::new(MODULE).exists() {
            skip("no SoftHSM2");
            return None;
        }
        let postgres = Postgres::shared()?;
        let database = postgres.database().await;
        let deployment = Deployment::new(&database.url);
        let tokens = deployment.file("tokens");
        std::fs::create_dir(&tokens).unwrap();
        let conf = format!(
            "directories.tokendir = {}\nlog.level = ERROR\n",
            tokens.display()
        );
        deployment.dir.write("softhsm2.conf", &conf);
        deployment.dir.write("pin", PIN);
        let made = Self::util(&deployment, &["--init-token", "--free", "--so-pin", PIN]);
        assert!(made.is_ok(), "{made:?}");
        deployment.configure(&format!(
            "[custody.hsm]\nkind = \"pkcs11\"\nmodule = \"{module}\"\ntoken_label = \"t\"\npin_file = \"{}\"",
            deployment.file("pin").display()
        ));
        let token = deployment.bootstrap();
        let conf = deployment.file("softhsm2.conf");
        let mut all = vec![("SOFTHSM2_CONF", conf.to_str().unwrap())];
        all.extend(environment);
        let server = deployment.serve(&all).await;
        let operator = server.caller(&token);
        let trader = server.caller(&desk(&operator, "d", "hsm").await);
        Some(Self {
            server,
            operator,
            trader,
            database,
            deployment,
            _postgres: postgres,
        })
    }

    /// Does something to the token from a process of its own.
    fn util(deployment: &Deployment, args: &[&str]) -> Result<(), String> {
        let output = Command::new("softhsm2-util")
            .args(args)
            .args(["--label", "t", "--pin", PIN])
            .env("SOFTHSM2_CONF", deployment.file("softhsm2.conf"))
            .output()
            .unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let both = said(&output.stdout) + &said(&output.stderr);
        output.status.success().then_some(()).ok_or(both)
    }

    /// Puts a secp256k1 key of somebody else into the token, under this `CKA_ID`.
    pub(crate) fn import(&self, id: &str) {
        let secret = k256::SecretKey::from_slice(&[9; 32]).unwrap();
        let pem = secret.to_pkcs8_pem(LineEnding::LF).unwrap();
        let file = self.deployment.dir.write("other.pem", &pem);
        let file = file.to_str().unwrap();
        let import = ["--force", "--import", file, "--token", "t", "--id", id];
        let imported = Self::util(&self.deployment, &import);
        assert!(imported.is_ok(), "{imported:?}");
    }

    fn objects(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for token in std::fs::read_dir(self.deployment.file("tokens")).unwrap() {
            for file in std::fs::read_dir(token.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                if path.extension().is_some_and(|it| it == "object") {
                    found.push(path);
                }
            }
        }
        found
    }

    async fn another(&self) -> Server {
        let conf = self.deployment.file("softhsm2.conf");
        let environment = [("SOFTHSM2_CONF", conf.to_str().unwrap())];
        self.deployment.serve(&environment).await
    }
}

#[tokio::test]
async fn a_key_that_is_replaced_in_a_token_is_suspended_on_all_replicas() {
    let Some(token) = Token::open().await else {
        return;
    };
    let before = token.objects();
    let new = json!({
        "name": "r-wk", "purpose": "wallet", "backend": "hsm", "environment": "dev01", "owner": "d",
    });
    let made = token.operator.post("/v1/keys", &new).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let step = json!({ "to": "active", "reason": "test" });
    let active = token.operator.post("/v1/keys/r-wk/steps", &step).await;
    assert_eq!(active.status, 201, "{}", active.text);
    let wallet = json!({ "name": "r-w", "key": "r-wk", "owner": "d", "chainId": 137 });
    let made_wallet = token.operator.post("/v1/wallets", &wallet).await;
    assert_eq!(made_wallet.status, 201, "{}", made_wallet.text);
    let orders = "/v1/wallets/r-w/orders";
    assert_eq!(token.trader.post(orders, &order()).await.status, 200);

    let mut theirs = token.objects();
    theirs.retain(|file| !before.contains(file));
    assert_eq!(theirs.len(), 2, "{theirs:?}");
    token.import(&made.json["id"].as_str().unwrap().replace('-', ""));
    for file in theirs {
        std::fs::remove_file(file).unwrap();
    }
    let other = token.another().await;
    let traders = [token.trader.clone(), other.caller(&token.trader.token)];
    let (database, traders) = (&token.database, traders.each_ref());
    is_stopped(database, "r-wk", "other-public-key", &traders).await;
    assert!(token.server.log().contains("serving"));
    // The desk's own key is where it was.
    let own = token.trader.post("/v1/wallets/d-w/orders", &order()).await;
    assert_eq!(own.status, 200, "{}", own.text);
}

#[tokio::test]
async fn one_replica_looks_and_what_it_knew_is_not_recorded_again() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let config = Config::load(&stand.deployment.file("config.toml")).unwrap();
    let start = Clock::system().unix_ms();
    let clock = Clock::fixed(start);
    let app = App::build(&config, clock.clone()).await.unwrap();
    let (one, two) = (&app.attestations, app.attestations.clone());
    let hour = Duration::from_hours(1);
    let all = one.round(None).await.unwrap().unwrap();
    assert_eq!((all.looked_at, all.drifted, all.unknown), (2, 0, 0));
    assert_eq!(two.round(Some(hour)).await.unwrap(), None);
    let rows = "select count(*) from attestations";
    assert_eq!(stand.database.count(rows).await, 2);
    assert!(one.round(None).await.unwrap().is_some());
    assert_eq!(stand.database.count(rows).await, 2, "nothing is new");
    clock.set(start + 25 * 3_600_000);
    one.round(None).await.unwrap();
    assert_eq!(stand.database.count(rows).await, 4, "one a day");

    let lost = "delete from sealed_keys where key_id = (select id from keys where name = 'd-wk')";
    sqlx::query(lost)
        .execute(&stand.database.pool)
        .await
        .unwrap();
    let round = one.round(None).await.unwrap().unwrap();
    assert_eq!((round.looked_at, round.drifted), (2, 1));
    is_stopped(&stand.database, "d-wk", "missing", &[&stand.trader]).await;
    // Found again and again, and on record once: it cannot be suspended twice.
    one.round(None).await.unwrap();
    assert_eq!(stand.database.count(rows).await, 5);
}

/// A key for statements, in use.
async fn statement_key(operator: &Caller) -> PublicKey {
    let new = json!({
        "name": "cp", "purpose": "checkpoint", "backend": "soft", "environment": "dev01", "owner": "ops",
    });
    let made = operator.post("/v1/keys", &new).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let step = json!({ "to": "active", "reason": "statements" });
    let active = operator.post("/v1/keys/cp/steps", &step).await;
    assert_eq!(active.status, 201, "{}", active.text);
    PublicKey::from_pem(made.json["pem"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_statement_is_signed_and_can_be_checked_offline() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let (operator, nothing) = (&stand.operator, json!({}));
    let path = "/v1/keys/d-wk/attestation";
    let none = operator.post(path, &nothing).await;
    let command = "--purpose checkpoint --environment dev01";
    refused("no key", &none, 409, "no-statement-key", command);
    let signer = statement_key(operator).await;
    let auditor = stand.another("aud", "ops", "auditor").await;
    let theirs = stand.trader.post(path, &nothing).await;
    refused("a trader", &theirs, 403, "denied", "attest_key");

    for key in ["d-wk", "d-ck", "cp"] {
        let path = format!("/v1/keys/{key}/attestation");
        let stated = auditor.post_as(key, &path, &nothing).await.unwrap();
        assert_eq!(stated.status, 201, "{}", stated.text);
        let again = auditor.post_as(key, &path, &nothing).await.unwrap();
        assert_eq!(again.text, stated.text);
        let jws = &stated.json["statement"];
        let checked = attestation::check(jws, &signer).unwrap();
        assert!(checked.possession, "{key}");
        assert_eq!(checked.verdict, Verdict::AsRecorded);
        let shown = operator.get(&format!("/v1/keys/{key}")).await.json;
        let claims = &checked.claims;
        for (ours, theirs) in [
            (&claims["public_key"]["fingerprint"], &shown["fingerprint"]),
            (&claims["public_key"]["address"], &shown["address"]),
            (&claims["key"]["state"], &shown["state"]),
            (&claims["attributes"], &shown["attributes"]),
            (&claims["device"]["evidence"], &json!("software")),
        ] {
            assert_eq!(ours, theirs, "{key}");
        }
        let latest = stand.operator.get(&path).await.json;
        assert_eq!(latest["statement"], *jws);
        // Who asked, by a name beside the id, which shows the caller as well.
        let asked_by = latest["asked_by"].as_str().unwrap();
        let path = format!("/v1/callers/{asked_by}");
        let who = stand.operator.get(&path).await.json;
        assert!(who["name"].is_string(), "{who}");
        for it in [&latest, &stated.json] {
            assert_eq!(it["asked_by_name"], who["name"], "{it}");
        }

        // An independent library takes the signature; a rule for assertions does not take the statement.
        let member = |name: &str| jws[name].as_str().unwrap();
        let compact = ["protected", "payload", "signature"].map(member).join(".");
        let pem = signer.to_pem();
        let decoding = jsonwebtoken::DecodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
        let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
        let refused = jsonwebtoken::decode::<Value>(&compact, &decoding, &rules);
        assert!(refused.is_err(), "it has no exp");
        rules.set_required_spec_claims::<&str>(&[]);
        rules.validate_exp = false;
        let taken = jsonwebtoken::decode::<Value>(&compact, &decoding, &rules).unwrap();
        assert_eq!(taken.header.typ.unwrap(), "chancery-key-attestation+jws");
        for claim in ["iss", "sub", "aud", "exp", "jti"] {
            assert!(taken.claims.get(claim).is_none(), "{claim}");
        }
    }
    // Nothing but the key for it signs a statement, and it signs nothing else.
    let wallet = json!({ "name": "x", "key": "cp", "owner": "ops", "chainId": 137 });
    let refused = operator.post("/v1/wallets", &wallet).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    let client = json!({ "name": "x", "key": "cp", "owner": "ops", "client_id": "x" });
    let refused = operator.post("/v1/clients", &client).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    let wrong = json!({
        "name": "w", "purpose": "checkpoint", "algorithm": "secp256k1", "backend": "soft",
        "environment": "dev01", "owner": "ops",
    });
    assert_eq!(operator.post("/v1/keys", &wrong).await.status, 422);
    let signatures =
        "select count(*) from signatures where operation in ('possession', 'attestation')
                      and outcome = 'released'";
    assert_eq!(stand.database.count(signatures).await, 6);
}

#[tokio::test]
async fn a_statement_that_was_changed_does_not_hold() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let signer = statement_key(&stand.operator).await;
    let path = "/v1/keys/d-wk/attestation";
    let stated = stand.operator.post(path, &json!({})).await;
    let jws = stated.json["statement"].clone();
    let with = |member: &str, value: Value| {
        let mut changed = jws.clone();
        changed[member] = value;
        attestation::check(&changed, &signer).map(|it| it.verdict)
    };
    let claims = URL_SAFE_NO_PAD
        .decode(jws["payload"].as_str().unwrap())
        .unwrap();
    let claims = String::from_utf8(claims)
        .unwrap()
        .replace("\"dev01\"", "\"prod1\"");
    let payload = URL_SAFE_NO_PAD.encode(claims);
    assert_eq!(
        with("payload", payload.into()),
        Err(BadStatement::Signature)
    );
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#);
    assert_eq!(
        with("protected", header.into()),
        Err(BadStatement::OtherType)
    );
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"chancery-key-attestation+jws"}"#);
    assert_eq!(
        with("protected", header.into()),
        Err(BadStatement::OtherType)
    );
    assert_eq!(with("header", json!({})), Err(BadStatement::OtherType));
    assert_eq!(with("signature", "".into()), Err(BadStatement::Signature));
    assert_eq!(with("signature", Value::Null), Err(BadStatement::NotAJws));
    let client = stand.operator.get("/v1/keys/d-ck").await.json;
    let other = PublicKey::from_pem(client["pem"].as_str().unwrap()).unwrap();
    let under_another = attestation::check(&jws, &other).map(|it| it.verdict);
    assert_eq!(under_another, Err(BadStatement::Signature));
}

#[tokio::test]
async fn the_command_line_attests_and_verifies() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let signer = statement_key(&stand.operator).await;
    let file = |name: &str| stand.deployment.file(name).display().to_string();
    stand.deployment.dir.write("token", &stand.operator.token);
    stand.deployment.dir.write("cp.pem", &signer.to_pem());
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_chancery"))
            .args(args)
            .env("CHANCERY_URL", &stand.server.base)
            .env("CHANCERY_TOKEN_FILE", file("token"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), text)
    };
    let (all, key) = (file("all.json"), file("cp.pem"));
    let (done, _) = run(&["keys", "attest", "--all", "--out", &all]);
    assert!(done);
    let (holds, said) = run(&["keys", "verify-attestation", &all, "--key", &key]);
    assert!(holds, "{said}");
    assert_eq!(said.lines().count(), 3, "{said}");
    assert!(
        said.lines().all(|line| line.contains("as-recorded")),
        "{said}"
    );
    let (done, one) = run(&["keys", "attest", "d-wk"]);
    assert!(done && one.contains("\"protected\""), "{one}");

    // A drift is stated, and neither command is content with it.
    let replace = "update sealed_keys set public_key = (select s.public_key from sealed_keys s
                       join keys k on k.id = s.key_id where k.name = 'd-ck')
                   where key_id = (select id from keys where name = 'd-wk')";
    sqlx::query(replace)
        .execute(&stand.database.pool)
        .await
        .unwrap();
    let drifted = file("drifted.json");
    let (done, _) = run(&["keys", "attest", "d-wk", "--out", &drifted]);
    assert!(!done);
    is_stopped(
        &stand.database,
        "d-wk",
        "other-public-key",
        &[&stand.trader],
    )
    .await;
    let (holds, said) = run(&["keys", "verify-attestation", &drifted, "--key", &key]);
    assert!(!holds && said.contains("drift"), "{said}");
    assert!(said.contains("possession not proved"), "{said}");
}
