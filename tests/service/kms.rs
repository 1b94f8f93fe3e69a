//! Keys in AWS KMS, beside keys in another device.

use chancery::audit::{Event, Leaf};
use serde_json::{Value, json};

use crate::kms_server::{Fault, MiniStack, Proxy, REGION};
use crate::stand::refused;
use crate::support::{Caller, Deployment, Postgres, Server, desk, order, skip};

const PATH: &str = "/v1/keys/adopt";

/// Who the service is at KMS.
pub(crate) const CREDENTIALS: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

/// A service with a KMS and a software keystore: desk `k` in the one, desk `s` in the other.
pub(crate) struct World {
    pub(crate) kms: MiniStack,
    pub(crate) proxy: Proxy,
    pub(crate) server: Server,
    pub(crate) operator: Caller,
    pub(crate) in_kms: Caller,
    pub(crate) in_software: Caller,
    pub(crate) database: crate::support::Database,
    token: String,
    pub(crate) deployment: Deployment,
    _postgres: std::sync::Arc<Postgres>,
}

impl World {
    pub(crate) async fn open(more: &str) -> Option<Self> {
        let kms = match MiniStack::start().await {
            Ok(kms) => kms,
            Err(why) => {
                skip(&format!("no MiniStack: {why}"));
                return None;
            }
        };
        let proxy = Proxy::start(&kms.url).await;
        let postgres = Postgres::shared()?;
        let database = postgres.database().await;
        let deployment = Deployment::new(&database.url);
        let (url, sealing_key) = (&proxy.url, kms.sealing_key().await);
        deployment.configure(&format!(
            "[custody.kms]\nkind = \"aws-kms\"\nregion = \"{REGION}\"\nendpoint_url = \"{url}\"\n\
             sealing_key = \"{sealing_key}\"\n{more}"
        ));
        let token = deployment.bootstrap();
        let server = deployment.serve(&CREDENTIALS).await;
        let operator = server.caller(&token);
        let in_kms = server.caller(&desk(&operator, "k", "kms").await);
        let in_software = server.caller(&desk(&operator, "s", "soft").await);
        Some(Self {
            kms,
            proxy,
            server,
            operator,
            in_kms,
            in_software,
            database,
            token,
            deployment,
            _postgres: postgres,
        })
    }

    pub(crate) async fn order(&self) -> crate::support::Answer {
        self.in_kms.post("/v1/wallets/k-w/orders", &order()).await
    }

    /// Signs again, once KMS is found to be back.
    async fn signs_again(&self, what: &str) {
        for _ in 0..400 {
            let answer = self.order().await;
            match answer.status {
                200 => return,
                503 => tokio::time::sleep(std::time::Duration::from_millis(25)).await,
                _ => panic!("{what}: {}", answer.text),
            }
        }
        panic!("{what}: it never signs again");
    }

    /// What the last release or end of an intent says of how often the device was asked.
    async fn tries(&self) -> Option<u32> {
        let sql = "select leaf from leaves where kind in ('released', 'refused', 'abandoned')
                   order by batch desc, position desc limit 1";
        let leaf: Vec<u8> = sqlx::query_scalar(sql)
            .fetch_one(&self.database.pool)
            .await
            .unwrap();
        match Leaf::from_bytes(&leaf).unwrap().event {
            Event::Released(release) => release.tries,
            Event::Refused(end) | Event::Abandoned(end) => end.tries,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn orders_and_assertions_are_signed_in_kms() {
    let Some(world) = World::open("").await else {
        return;
    };
    for number in 0..8 {
        let mut order = order();
        order["price"] = format!("0.{}", 20 + number).into();
        let signed = world.in_kms.post("/v1/wallets/k-w/orders", &order).await;
        assert_eq!(signed.status, 200, "{}", signed.text);
        let issued = world
            .in_kms
            .post("/v1/clients/k-c/assertions", &json!({}))
            .await;
        assert_eq!(issued.status, 200, "{}", issued.text);
    }
    assert_eq!(world.tries().await, None);
    let key = world.operator.get("/v1/keys/k-wk").await.json;
    let arn = key["device_ref"].as_str().unwrap();
    assert!(arn.starts_with("arn:aws:kms:us-east-1:"), "{arn}");
    assert_eq!(
        (&key["origin"], &key["attributes"]["local"]),
        (&json!("created"), &json!(true))
    );
    let ready = world.operator.get("/readyz").await;
    assert_eq!(ready.json["checks"]["custody"], "ok", "{}", ready.text);

    world
        .proxy
        .fail("Sign", 2, Fault::Error(400, "ThrottlingException"));
    let signed = world.order().await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    assert_eq!(world.tries().await, Some(3));
    let log = world.server.log();
    assert!(!log.contains("\"level\":\"ERROR\""), "{log}");
}

#[tokio::test]
async fn a_kms_that_fails_says_how_and_leaves_the_other_device_serving() {
    let Some(world) = World::open("[signing]\ndeadline_ms = 900\n").await else {
        return;
    };
    for (what, fault, status, problem, detail) in [
        (
            "throttled",
            Fault::Error(400, "ThrottlingException"),
            503,
            "device-throttled",
            "share",
        ),
        (
            "away",
            Fault::Reset,
            503,
            "device-unavailable",
            "does not answer",
        ),
        (
            "broken",
            Fault::Error(500, "KMSInternalException"),
            503,
            "device-unavailable",
            "does not answer",
        ),
        (
            "denied",
            Fault::Error(400, "AccessDeniedException"),
            503,
            "device-unavailable",
            "operator",
        ),
        (
            "disabled",
            Fault::Error(400, "DisabledException"),
            409,
            "device-refuses-key",
            "disabled",
        ),
        (
            "pending",
            Fault::Error(400, "KMSInvalidStateException"),
            409,
            "device-refuses-key",
            "deletion",
        ),
        (
            "misused",
            Fault::Error(400, "InvalidKeyUsageException"),
            409,
            "device-refuses-key",
            "another use",
        ),
    ] {
        world.proxy.fail("Sign", usize::MAX, fault);
        let answer = world.order().await;
        refused(what, &answer, status, problem, detail);
        assert_eq!(
            answer.headers.contains_key("retry-after"),
            status == 503,
            "{what}"
        );
        assert!(!answer.text.contains("arn:"), "{}", answer.text);
        // What may pass is asked for again, as long as the caller waits.
        let tries = world.tries().await;
        let may_pass = status == 503 && what != "denied";
        assert_eq!(tries.is_some_and(|tries| tries >= 3), may_pass, "{what}");
        let signed = world
            .in_software
            .post("/v1/wallets/s-w/orders", &order())
            .await;
        assert_eq!(signed.status, 200, "{what}: {}", signed.text);
        world.proxy.heal();
        world.signs_again(what).await;
    }
    // Every intent has its one end.
    let open = "select count(*) from signatures where outcome is null";
    assert_eq!(world.database.count(open).await, 0);
}

/// What is said to adopt a wallet's key.
fn adoption(arn: &str) -> Value {
    json!({
        "name": "old", "purpose": "wallet", "backend": "kms", "device_ref": arn,
        "environment": "dev01", "owner": "k",
    })
}

#[tokio::test]
async fn what_is_adopted_has_an_arn_fits_and_is_new() {
    let Some(world) = World::open("").await else {
        return;
    };
    let spec = |spec: &str| json!({ "KeySpec": spec, "KeyUsage": "SIGN_VERIFY" });
    let arn = world.kms.create(&spec("ECC_SECG_P256K1")).await;
    let rsa = world.kms.create(&spec("RSA_2048")).await;
    let adoption = adoption(&arn);
    let with = |member: &str, value: Value| {
        let mut adoption = adoption.clone();
        adoption[member] = value;
        adoption
    };
    let denied = world.in_kms.post(PATH, &adoption).await;
    refused("a trader", &denied, 403, "denied", "adopt_key");
    let alias = arn.split(":key/").next().unwrap().to_owned() + ":alias/x";
    let zero = "0x0000000000000000000000000000000000000000";
    for (what, body, status, problem, detail) in [
        (
            "alias",
            with("device_ref", alias.into()),
            422,
            "not-adoptable",
            "alias can be moved",
        ),
        (
            "other",
            with("expected", zero.into()),
            422,
            "not-adoptable",
            "expected",
        ),
        (
            "kind",
            with("device_ref", rsa.into()),
            422,
            "invalid-field",
            "secp256k1",
        ),
        (
            "device",
            with("backend", "soft".into()),
            422,
            "device-cannot",
            "adopting",
        ),
        (
            "blank",
            with("device_ref", "a b".into()),
            422,
            "invalid-field",
            "printable",
        ),
        (
            "days",
            with("cryptoperiod_days", 9_999.into()),
            422,
            "invalid-field",
            "1095",
        ),
        (
            "name",
            with("name", "k-wk".into()),
            409,
            "name-taken",
            "exists",
        ),
    ] {
        refused(
            what,
            &world.operator.post(PATH, &body).await,
            status,
            problem,
            detail,
        );
    }
    let made = world.operator.get("/v1/keys/k-wk").await.json;
    let ours = with("device_ref", made["device_ref"].clone());
    let again = world.operator.post(PATH, &ours).await;
    refused(
        "on record",
        &again,
        422,
        "not-adoptable",
        "on record already",
    );
}

#[tokio::test]
async fn a_key_that_is_in_kms_already_is_adopted_by_its_arn() {
    let Some(world) = World::open("").await else {
        return;
    };
    let spec = json!({ "KeySpec": "ECC_SECG_P256K1", "KeyUsage": "SIGN_VERIFY" });
    let arn = world.kms.create(&spec).await;
    let adoption = adoption(&arn);
    let first = world
        .operator
        .post_as("once", PATH, &adoption)
        .await
        .unwrap();
    assert_eq!(first.status, 201, "{}", first.text);
    let second = world
        .operator
        .post_as("once", PATH, &adoption)
        .await
        .unwrap();
    assert_eq!((second.status, &second.text), (201, &first.text));
    let key = first.json;
    assert_eq!(
        (&key["origin"], &key["state"]),
        (&json!("adopted"), &json!("pre-activation"))
    );
    assert_eq!(key["device_ref"], arn.as_str());
    let leaves = "select count(*) from leaves where kind = 'admin'
                  and position('adopt-key'::bytea in leaf) > 0";
    assert_eq!(world.database.count(leaves).await, 1);

    let step = json!({ "to": "active", "reason": "the address is ours" });
    let active = world.operator.post("/v1/keys/old/steps", &step).await;
    assert_eq!(active.status, 201, "{}", active.text);
    let wallet = json!({ "name": "old-w", "owner": "k", "key": "old", "chainId": 80002 });
    let wallet = world.operator.post("/v1/wallets", &wallet).await;
    assert_eq!(wallet.status, 201, "{}", wallet.text);
    let signed = world
        .in_kms
        .post("/v1/wallets/old-w/orders", &order())
        .await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    assert_eq!(signed.json["order"]["signer"], key["address"]);

    // Where a key comes from and where it is does not change, whoever holds the service's role.
    for change in ["device_ref = 'x'", "origin = 'created'", "backend = 'soft'"] {
        let sql = format!("update keys set {change} where name = 'old'");
        let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&world.database.pool)
            .await;
        assert!(refused.is_err(), "{change}");
    }
}

#[tokio::test]
async fn a_flood_of_one_desk_leaves_another_its_turn() {
    let Some(world) = World::open("ecc_per_second = 20\ntimeout_ms = 1500\nqueue = 32\n").await
    else {
        return;
    };
    let other = json!({ "name": "one", "owner": "k", "roles": ["trader"] });
    let other = world.operator.post("/v1/callers", &other).await;
    let other = world.server.caller(other.json["token"].as_str().unwrap());
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..120 {
        let trader = world.in_kms.clone();
        flood.spawn(async move { trader.post("/v1/wallets/k-w/orders", &order()).await });
    }
    while world.proxy.calls("Sign") < 4 {
        tokio::task::yield_now().await;
    }
    for _ in 0..3 {
        let signed = other.post("/v1/wallets/k-w/orders", &order()).await;
        assert_eq!(signed.status, 200, "{}", signed.text);
    }
    let (mut signed, mut throttled) = (0, 0);
    for answer in flood.join_all().await {
        match (answer.status, answer.problem()) {
            (200, _) => signed += 1,
            (503, "device-throttled") => {
                assert!(answer.headers.contains_key("retry-after"));
                throttled += 1;
            }
            _ => panic!("{}", answer.text),
        }
    }
    assert!(
        signed > 10 && throttled > 20,
        "{signed} signed, {throttled} throttled"
    );
}

impl World {
    /// Makes a key in KMS; its ARN.
    async fn make(&self, name: &str) -> String {
        let key = json!({ "name": name, "purpose": "wallet", "backend": "kms", "environment": "dev01", "owner": "k" });
        let made = self.operator.post("/v1/keys", &key).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json["device_ref"].as_str().unwrap().to_owned()
    }

    /// What KMS says of a key.
    async fn in_device(&self, arn: &str) -> String {
        let known = self.kms.call("DescribeKey", &json!({ "KeyId": arn })).await;
        let state = known["KeyMetadata"]["KeyState"].as_str();
        state.unwrap().to_owned()
    }

    /// Asks for a destruction whose waiting period is over.
    async fn has_destroyed(&self, name: &str) {
        let asked = format!("/v1/keys/{name}/destruction");
        let asked = self.operator.post(&asked, &why()).await;
        assert_eq!(asked.status, 201, "{}", asked.text);
        let over = "update destructions set not_before = now() - interval '1 second'
                    where begun_at is null and ended_at is null";
        sqlx::query(over)
            .execute(&self.database.pool)
            .await
            .unwrap();
    }

    /// Does something with a key that a look at it may be in the way of.
    async fn done(&self, path: &str, body: &Value) -> crate::support::Answer {
        for _ in 0..400 {
            let answer = self.operator.post(path, body).await;
            if answer.status != 409 || answer.problem() != "in-flight" {
                return answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        panic!("{path}: something is always in the way");
    }

    async fn leaves(&self, action: &str) -> i64 {
        let action = hex::encode(action);
        let sql =
            format!("select count(*) from leaves where position('\\x{action}'::bytea in leaf) > 0");
        self.database.count(&sql).await
    }
}

fn why() -> Value {
    json!({ "reason": "test" })
}

const GIVEN: &str =
    "select count(*) from destructions where due_at is not null and ended_at is null";

#[tokio::test]
async fn a_key_that_kms_only_waits_to_destroy_comes_back_and_is_certified_when_it_is_gone() {
    let Some(world) = World::open("[cryptoperiods]\nlook_every_s = 1\n").await else {
        return;
    };
    let arn = world.make("g").await;
    let path = "/v1/keys/g/destruction";
    world.has_destroyed("g").await;
    world.database.becomes(GIVEN, 1).await;
    let status = world.operator.get(path).await.json;
    assert_eq!(status["state"], "destroy-pending");
    assert!(status["destruction"]["due_at"].is_string(), "{status}");
    assert!(status["destruction"]["certificate"].is_null(), "{status}");
    assert_eq!(world.in_device(&arn).await, "PendingDeletion");
    // Who takes it back in the account only is not heard: what counts is on record here.
    world
        .kms
        .call("CancelKeyDeletion", &json!({ "KeyId": arn }))
        .await;
    let scheduled = world.proxy.calls("ScheduleKeyDeletion");
    for _ in 0..400 {
        if world.in_device(&arn).await == "PendingDeletion" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    assert_eq!(world.proxy.calls("ScheduleKeyDeletion"), scheduled + 1);

    let back = world.done(&format!("{path}/cancel"), &why()).await;
    let is = (back.status, &back.json["state"]);
    assert_eq!(is, (201, &json!("pre-activation")), "{}", back.text);
    assert_eq!(world.in_device(&arn).await, "Enabled");
    assert_eq!(world.leaves("take-key-back-from-device").await, 1);
    assert_eq!(world.leaves("certify-destruction").await, 0);

    world.has_destroyed("g").await;
    world.database.becomes(GIVEN, 1).await;
    let gone = Fault::Error(400, "NotFoundException");
    world.proxy.fail("DescribeKey", usize::MAX, gone);
    let destroyed = "select count(*) from keys where name = 'g' and state = 'destroyed'";
    world.database.becomes(destroyed, 1).await;
    let certificate = &world.operator.get(path).await.json["destruction"]["certificate"];
    let device = &certificate["device"];
    assert_eq!(device["answer"], "not there any more", "{certificate}");
    assert!(device["due_at"].is_string(), "{certificate}");
    assert_eq!(world.leaves("certify-destruction").await, 1);
}

// The proxy answers while the test waits for a process to die.
#[tokio::test(flavor = "multi_thread")]
async fn what_dies_while_a_key_is_given_to_kms_or_taken_back_is_done_by_the_next() {
    let Some(world) = World::open("[cryptoperiods]\nlook_every_s = 3600\n").await else {
        return;
    };
    let replica = async |point: &'static str| {
        let more = [("CHANCERY_FAIL_POINT", point)];
        let environment = [&CREDENTIALS[..], &more[..]].concat();
        world.deployment.serve(&environment).await
    };
    let arn = world.make("g").await;
    let cancel = "/v1/keys/g/destruction/cancel";
    world.has_destroyed("g").await;
    let mut dying = replica("destruction-scheduled").await; // it looks when it starts
    assert!(dying.wait_killed());
    assert_eq!(world.in_device(&arn).await, "PendingDeletion");
    assert_eq!(world.database.count(GIVEN).await, 0);
    let early = world.operator.post(cancel, &why()).await;
    refused("given", &early, 409, "destruction-begun", "no way back");

    let mut dying = replica("destruction-taken-back").await;
    world.database.becomes(GIVEN, 1).await;
    let there = dying.caller(&world.token);
    for number in 0..400 {
        let key = format!("try-{number}"); // its own look may be at it still
        if there.post_as(&key, cancel, &why()).await.is_err() {
            break;
        }
    }
    assert!(dying.wait_killed());
    assert_eq!(world.in_device(&arn).await, "Disabled");
    let shown = world.operator.get("/v1/keys/g").await.json;
    assert_eq!(shown["state"], "destroy-pending");

    let back = world.done(cancel, &why()).await;
    let is = (back.status, &back.json["state"]);
    assert_eq!(is, (201, &json!("pre-activation")), "{}", back.text);
    assert_eq!(world.in_device(&arn).await, "Enabled");
    assert_eq!(world.leaves("take-key-back-from-device").await, 1);
}

#[tokio::test]
async fn a_compromised_key_is_destroyed_though_it_is_disabled_and_stays_so_when_it_is_kept() {
    let Some(world) = World::open("[cryptoperiods]\nlook_every_s = 1\n").await else {
        return;
    };
    let arn = world.make("g").await;
    let step = json!({ "to": "compromised", "reason": "test" });
    let moved = world.operator.post("/v1/keys/g/steps", &step).await;
    assert_eq!(moved.status, 201, "{}", moved.text);
    world.kms.call("DisableKey", &json!({ "KeyId": arn })).await;
    // KMS itself does not show the public half of such a key; the emulator does.
    let disabled = Fault::Error(400, "DisabledException");
    world.proxy.fail("GetPublicKey", usize::MAX, disabled);
    world.has_destroyed("g").await;
    world.database.becomes(GIVEN, 1).await;
    // It is said again, and KMS goes on; what it was given before is no obstacle.
    let moved = world.done("/v1/keys/g/steps", &step).await;
    assert_eq!(moved.status, 201, "{}", moved.text);
    assert_eq!(world.in_device(&arn).await, "PendingDeletion");
    world.proxy.heal();
    world.has_destroyed("g").await;
    let both = "select count(*) from destructions where due_at is not null";
    world.database.becomes(both, 2).await;
    let back = world.done("/v1/keys/g/destruction/cancel", &why()).await;
    let is = (back.status, &back.json["state"]);
    assert_eq!(is, (201, &json!("compromised")), "{}", back.text);
    assert_eq!(world.in_device(&arn).await, "Disabled");
}

#[tokio::test]
async fn a_key_out_of_use_is_disabled_in_kms_and_enabled_by_who_may_activate_it() {
    let Some(world) = World::open("").await else {
        return;
    };
    let path = "/v1/keys/k-wk/device-switch";
    let (off, on) = (
        json!({ "enabled": false, "reason": "test" }),
        json!({ "enabled": true, "reason": "test" }),
    );
    let key = world.operator.get("/v1/keys/k-wk").await.json;
    let arn = key["device_ref"].as_str().unwrap();
    let active = world.operator.post(path, &off).await;
    refused("active", &active, 409, "not-a-step", "suspend it first");
    let step = async |key: &str, to: &str| {
        let step = json!({ "to": to, "reason": "test" });
        let moved = world
            .operator
            .post(&format!("/v1/keys/{key}/steps"), &step)
            .await;
        assert_eq!(moved.status, 201, "{}", moved.text);
    };
    step("k-wk", "suspended").await;
    step("s-wk", "suspended").await;
    let denied = world.in_kms.post(path, &off).await;
    refused("a trader", &denied, 403, "denied", "step_key");
    let other = world
        .operator
        .post("/v1/keys/s-wk/device-switch", &off)
        .await;
    refused("no switch", &other, 422, "device-cannot", "no such switch");

    // Each of them may stop a key; to bring it back is one duty.
    let duty = async |role: &str| {
        let caller = json!({ "name": role, "owner": "k", "roles": [role] });
        let made = world.operator.post("/v1/callers", &caller).await;
        world.server.caller(made.json["token"].as_str().unwrap())
    };
    let (custodian, officer) = (duty("custodian").await, duty("security-officer").await);
    let told = custodian.post(path, &off).await;
    let is = (told.status, &told.json["enabled"], &told.json["state"]);
    assert_eq!(
        is,
        (201, &json!(false), &json!("suspended")),
        "{}",
        told.text
    );
    assert_eq!(world.in_device(arn).await, "Disabled");
    let denied = custodian.post(path, &on).await;
    refused("a custodian", &denied, 403, "denied", "step_key");
    assert_eq!(world.in_device(arn).await, "Disabled");

    // A KMS that fails leaves it as it was, and the same request is done when it is back.
    let fault = Fault::Error(400, "AccessDeniedException");
    world.proxy.fail("EnableKey", 1, fault);
    let failed = officer.post_as("once", path, &on).await.unwrap();
    assert_eq!(failed.status, 503, "{}", failed.text);
    assert_eq!(world.leaves("begin-enable-in-device").await, 1);
    let told = officer.post_as("once", path, &on).await.unwrap();
    assert_eq!(told.status, 201, "{}", told.text);
    assert_eq!(world.in_device(arn).await, "Enabled");
    assert_eq!(world.leaves("disable-in-device").await, 1);
    assert_eq!(world.leaves("begin-enable-in-device").await, 2);
    step("k-wk", "active").await;
    assert_eq!(world.order().await.status, 200);
}
