//! Keys that were in a PKCS#11 token before the service knew them.

use std::process::Command;

use chancery::cli::dev::SoftToken;
use k256::pkcs8::{EncodePrivateKey as _, LineEnding};
use serde_json::{Value, json};

use crate::stand::refused;
use crate::support::{Deployment, Postgres, Server, order, skip};

const PATH: &str = "/v1/keys/adopt";

/// A token with a wallet key, put into it by `softhsm2-util` under an id and a label that are not ours.
struct World {
    deployment: Deployment,
    server: Server,
    operator_token: String,
    conf: String,
    /// Of the key, from the key itself.
    address: String,
    _postgres: std::sync::Arc<Postgres>,
}

impl World {
    async fn open() -> Option<Self> {
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
        let (pin, so_pin) = (read(&token.pin_file), read(&token.so_pin_file));
        let tool = |arguments: &[&str]| {
            let done = Command::new("softhsm2-util")
                .args(arguments)
                .args(["--pin", &pin])
                .env("SOFTHSM2_CONF", &token.conf)
                .output();
            done.map(|output| assert!(output.status.success(), "{output:?}"))
        };
        let init = [
            "--init-token",
            "--free",
            "--label",
            token.label,
            "--so-pin",
            &so_pin,
        ];
        if let Err(error) = tool(&init) {
            skip(&format!("softhsm2-util: {error}"));
            return None;
        }
        let secret = k256::SecretKey::from_slice(&[0x42; 32]).unwrap();
        let address = chancery::ethereum::Address::of(&secret.public_key()).to_string();
        let pem = secret.to_pkcs8_pem(LineEnding::LF).unwrap();
        let file = deployment.dir.write("wallet.pem", &pem);
        let file = file.display().to_string();
        let import = [
            "--import",
            &file,
            "--token",
            token.label,
            "--label",
            "desk one",
            "--id",
            "01FE",
        ];
        tool(&import).unwrap();

        deployment.configure(&format!(
            "[custody.hsm]\nkind = \"pkcs11\"\nmodule = \"{}\"\ntoken = \"pkcs11:token={}\"\npin_file = \"{}\"\n",
            token.module.display(),
            token.label,
            token.pin_file.display(),
        ));
        let operator_token = deployment.bootstrap();
        let conf = token.conf.display().to_string();
        let server = deployment.serve(&[("SOFTHSM2_CONF", conf.as_str())]).await;
        Some(Self {
            deployment,
            server,
            operator_token,
            conf,
            address,
            _postgres: postgres,
        })
    }
}

fn adoption() -> Value {
    json!({
        "name": "a-wk", "purpose": "wallet", "backend": "hsm", "environment": "dev01", "owner": "a",
        "device_ref": "pkcs11:id=%01%FE", "accept": ["decrypt", "unwrap", "sign-recover", "derive"],
    })
}

#[tokio::test]
async fn a_key_in_a_token_is_adopted_under_its_own_name_and_signs() {
    let Some(world) = World::open().await else {
        return;
    };
    let operator = world.server.caller(&world.operator_token);
    let with = |member: &str, value: Value| {
        let mut adoption = adoption();
        adoption[member] = value;
        adoption
    };
    for (what, body, problem, detail) in [
        (
            "uses",
            with("accept", json!(["derive"])),
            "not-adoptable",
            "may do more than sign: sign-recover;",
        ),
        (
            "no use",
            with("accept", json!(["wrap"])),
            "invalid-field",
            "accept",
        ),
        (
            "other id",
            with("device_ref", json!("pkcs11:id=%01")),
            "not-adoptable",
            "0 private keys",
        ),
        (
            "pin",
            with("device_ref", json!("pkcs11:id=%01%FE?pin-value=1")),
            "not-adoptable",
            "never in a URI",
        ),
        (
            "other token",
            with("device_ref", json!("pkcs11:token=x;id=%01%FE")),
            "not-adoptable",
            "another token",
        ),
        (
            "other",
            with(
                "expected",
                json!("0x0000000000000000000000000000000000000000"),
            ),
            "not-adoptable",
            "expected",
        ),
        (
            "client",
            with("purpose", json!("client")),
            "invalid-field",
            "secp256k1",
        ),
    ] {
        let answer = operator.post(PATH, &body).await;
        refused(what, &answer, answer.status, problem, detail);
        assert!(
            matches!(answer.status, 400 | 422),
            "{what}: {}",
            answer.text
        );
    }

    let adopted = operator
        .post(PATH, &with("expected", json!(world.address)))
        .await;
    assert_eq!(adopted.status, 201, "{}", adopted.text);
    let key = &adopted.json;
    assert_eq!(key["address"], world.address);
    assert_eq!(key["device_ref"], "pkcs11:id=%01%FE;type=private");
    assert_eq!(key["origin"], "imported", "the token did not make it");
    assert_eq!(key["state"], "pre-activation");
    let by_label = with("device_ref", json!("pkcs11:object=desk%20one"));
    let mut again = by_label.clone();
    again["name"] = "again".into();
    let again = operator.post(PATH, &again).await;
    refused(
        "by its other name",
        &again,
        422,
        "not-adoptable",
        "on record",
    );

    let step = json!({ "to": "active", "reason": "test" });
    let moved = operator.post("/v1/keys/a-wk/steps", &step).await;
    assert_eq!(moved.status, 201, "{}", moved.text);
    let wallet = json!({ "name": "a-w", "key": "a-wk", "owner": "a", "chainId": 137 });
    assert_eq!(operator.post("/v1/wallets", &wallet).await.status, 201);
    let trader = json!({ "name": "a-trader", "owner": "a", "roles": ["trader"] });
    let trader = operator.post("/v1/callers", &trader).await;
    let trader = world.server.caller(trader.json["token"].as_str().unwrap());
    let signed = trader.post("/v1/wallets/a-w/orders", &order()).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    assert_eq!(signed.json["order"]["signer"], world.address);
}

#[tokio::test]
async fn the_command_line_names_a_key_as_tools_do() {
    let Some(world) = World::open().await else {
        return;
    };
    let file = world
        .deployment
        .dir
        .write("operator.token", &world.operator_token);
    let adopt = |more: &[&str]| {
        let common = [
            "keys",
            "adopt",
            "a-wk",
            "--purpose",
            "wallet",
            "--backend",
            "hsm",
            "--environment",
            "dev01",
            "--owner",
            "a",
        ];
        let output = Command::new(env!("CARGO_BIN_EXE_chancery"))
            .args(common)
            .args(more)
            .args(["--url", &world.server.base, "--token-file"])
            .arg(&file)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(text(&output.stdout) + &text(&output.stderr))
        } else {
            Err(text(&output.stderr))
        }
    };
    for (wrong, why) in [
        (&[][..], "required"),
        (
            &["--id", "01fe", "--device-ref", "pkcs11:id=%01"],
            "cannot be used with",
        ),
        (&["--id", "0g"], "hexadecimal"),
        (&["--id", "01fe"], "accept it by name"),
        (&["--label", "desk two"], "0 private keys"),
    ] {
        let said = adopt(wrong).unwrap_err();
        assert!(said.contains(why), "{wrong:?}: {said}");
    }
    let accept = [
        "--accept",
        "decrypt",
        "--accept",
        "unwrap",
        "--accept",
        "sign-recover",
        "--accept",
        "derive",
    ];
    let named = [
        "--id",
        "01:fe",
        "--label",
        "desk one",
        "--expected",
        &world.address,
    ];
    let said = adopt(&[named.as_slice(), &accept].concat()).unwrap();
    assert!(said.contains("pkcs11:id=%01%FE;type=private"), "{said}");
    assert!(
        said.contains(&format!("Compare its address, {}", world.address)),
        "{said}"
    );
}

#[tokio::test]
async fn a_key_that_was_made_here_and_not_recorded_is_finished_and_not_adopted() {
    let Some(world) = World::open().await else {
        return;
    };
    let armed = [
        ("CHANCERY_FAIL_POINT", "key-made:1"),
        ("SOFTHSM2_CONF", world.conf.as_str()),
    ];
    let mut mortal = world.deployment.serve(&armed).await;
    let wanted = json!({
        "name": "lost", "purpose": "wallet", "backend": "hsm", "environment": "dev01", "owner": "a",
    });
    let died = mortal.caller(&world.operator_token);
    let died = died.post_as("first", "/v1/keys", &wanted).await;
    assert!(died.is_err(), "{died:?}");
    assert!(mortal.wait_killed(), "{}", mortal.log());

    let operator = world.server.caller(&world.operator_token);
    let orphans = operator.get("/v1/orphans").await.json;
    assert_eq!(orphans[0]["in_device"], "made", "{orphans}");
    let id = orphans[0]["key"]["id"].as_str().unwrap();
    let id: uuid::Uuid = id.parse().unwrap();
    let escaped = id.as_bytes().map(|byte| format!("%{byte:02x}")).concat();
    let mut adoption = adoption();
    adoption["device_ref"] = format!("pkcs11:id={escaped}").into();
    let refusal = operator.post(PATH, &adoption).await;
    refused("an orphan", &refusal, 422, "not-adoptable", "on record");
}
