//! Private keys that exist outside a device: brought wrapped, shown to be the announced ones, marked for
//! ever, and nowhere to be found afterwards.

use std::io::Write as _;
use std::process::{Command, Stdio};

use chancery::custody::{Material, PublicKey, Scheme, wrapping};
use serde_json::{Value, json};

use crate::kms_server::{MiniStack, REGION};
use crate::stand::{Stand, refused};
use crate::support::{Answer, Caller, Deployment, Postgres, order, skip};

const PATH: &str = "/v1/keys/import";
const HEX: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const ADDRESS: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

/// A golden key of `tests/vectors`.
fn golden(name: &str) -> (String, Material) {
    let vectors: Value =
        serde_json::from_str(include_str!("../vectors/private-keys.json")).unwrap();
    let text = vectors["good"][name]["text"].as_str().unwrap().to_owned();
    let material = Material::read(text.as_bytes()).unwrap();
    (text, material)
}

/// What is said to begin.
fn begin(name: &str, purpose: &str, backend: &str, key: &PublicKey) -> Value {
    json!({
        "name": name, "purpose": purpose, "backend": backend, "environment": "dev01",
        "owner": "d", "public_key": key.to_pem(),
    })
}

/// What the offer makes of a key.
fn wrapped(offer: &Value, material: &Material) -> Value {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::STANDARD;
    let scheme: Scheme = serde_json::from_value(offer["scheme"].clone()).unwrap();
    let under = engine
        .decode(offer["wrapping_key"].as_str().unwrap())
        .unwrap();
    let wrapped = wrapping::wrap(scheme, &under, material.pkcs8()).unwrap();
    json!({ "wrapped": engine.encode(wrapped) })
}

async fn bring(operator: &Caller, begin: &Value, material: &Material) -> Answer {
    let offer = operator.post(PATH, begin).await;
    assert_eq!(offer.status, 201, "{}", offer.text);
    let path = format!("/v1/keys/{}/material", begin["name"].as_str().unwrap());
    operator.post(&path, &wrapped(&offer.json, material)).await
}

/// How the command is told whose the wrapping key is.
const TRUST: [&str; 3] = [
    "--statement-key",
    "--wrapping-key-fingerprint",
    "--idempotency-key",
];

/// Runs the command as a custodian does, who trusts the service unless they say otherwise.
fn import(
    operator: &Caller,
    token_file: &std::path::Path,
    stdin: &str,
    args: &[&str],
) -> Result<(Value, String), String> {
    let names_trust = |arg: &&str| TRUST.contains(arg);
    let trust = (!args.iter().any(names_trust)).then_some("--accept-wrapping-key");
    // Without a terminal, on which somebody would be asked.
    let mut child = Command::new("setsid")
        .args(["-w", env!("CARGO_BIN_EXE_chancery")])
        .args(["keys", "import", "--environment", "dev01", "--owner", "d"])
        .args(["--url", &operator.base, "--token-file"])
        .arg(token_file)
        .args(args)
        .args(trust)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let _ = pipe.write_all(stdin.as_bytes()); // one that is refused before it reads has gone
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains(HEX), "the key is repeated");
    if output.status.success() {
        Ok((serde_json::from_slice(&output.stdout).unwrap(), said))
    } else {
        Err(said)
    }
}

/// A wallet over the key signs orders.
async fn signs_orders(stand: &Stand, key: &str) {
    let step = json!({ "to": "active", "reason": "the address is ours" });
    let moved = stand
        .operator
        .post(&format!("/v1/keys/{key}/steps"), &step)
        .await;
    assert_eq!(moved.status, 201, "{}", moved.text);
    let wallet = json!({ "name": format!("{key}-w"), "owner": "d", "key": key, "chainId": 80002 });
    let wallet = stand.operator.post("/v1/wallets", &wallet).await;
    assert_eq!(wallet.status, 201, "{}", wallet.text);
    let path = format!("/v1/wallets/{key}-w/orders");
    let signed = stand.trader.post(&path, &order()).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    assert_eq!(signed.json["order"]["signer"], ADDRESS);
}

#[tokio::test]
async fn the_command_shows_the_address_before_and_after_and_the_wallet_signs() {
    let Some(stand) = Stand::durable("").await else {
        return;
    };
    let token_file = stand
        .deployment
        .dir
        .write("operator.token", &stand.operator.token);
    let args = ["old", "--purpose", "wallet", "--backend", "soft"];
    let run = |stdin: &str, more: &[&str]| {
        let args: Vec<_> = args.iter().chain(more).copied().collect();
        import(&stand.operator, &token_file, stdin, &args)
    };
    for (what, stdin, more, why) in [
        ("nothing", "", &["--yes"][..], "no key"),
        ("short", &HEX[2..], &["--yes"], "neither 64"),
        ("nobody", HEX, &[], "nobody to ask"),
        (
            "other",
            HEX,
            &["--expected", "0x0000000000000000000000000000000000000000"],
            "nothing was sent",
        ),
    ] {
        let said = run(stdin, more).unwrap_err();
        assert!(said.contains(why), "{what}: {said}");
        let made = "select count(*) from keys where name = 'old'";
        assert_eq!(stand.database.count(made).await, 0, "{what}");
    }
    let (key, said) = run(HEX, &["--expected", ADDRESS]).unwrap();
    assert_eq!(said.matches(ADDRESS).count(), 2, "{said}");
    assert_eq!(
        (&key["origin"], &key["state"], &key["address"]),
        (
            &json!("imported"),
            &json!("pre-activation"),
            &json!(ADDRESS)
        )
    );
    assert_eq!(key["attributes"]["local"], false);
    signs_orders(&stand, "old").await;

    // What others can read is taken, with a word about it.
    let (pem, _) = golden("rsa2048-pkcs1");
    let file = stand.deployment.dir.write("client.pem", &pem);
    let file = file.to_str().unwrap();
    let args = [
        "cl",
        "--purpose",
        "client",
        "--backend",
        "soft",
        "--yes",
        "--file",
        file,
    ];
    let (client, said) = import(&stand.operator, &token_file, "", &args).unwrap();
    assert!(said.contains("others can read"), "{said}");
    assert_eq!(client["algorithm"], "rsa2048");
    let doctor = stand
        .deployment
        .run(&["doctor"])
        .unwrap_or_else(|said| said);
    assert!(!doctor.contains("attributes are not"), "{doctor}");
}

#[tokio::test]
async fn a_key_is_wrapped_for_nobody_but_the_device() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let token_file = stand
        .deployment
        .dir
        .write("operator.token", &stand.operator.token);
    let run = |name: &str, more: &[&str]| {
        let args = [name, "--purpose", "wallet", "--backend", "soft", "--yes"];
        let args: Vec<_> = args.iter().chain(more).copied().collect();
        import(&stand.operator, &token_file, HEX, &args)
    };
    let brought = async || {
        let sql = "select count(*) from keys where origin = 'imported' and public_key is not null";
        stand.database.count(sql).await
    };
    // Nobody says whose it is: it is named, and what to do.
    let said = run("old", &["--idempotency-key", "K"]).unwrap_err();
    let (_, fingerprint) = said.rsplit_once("--wrapping-key-fingerprint ").unwrap();
    let fingerprint = fingerprint.split(':').next().unwrap();
    assert!(said.contains("--idempotency-key K"), "{said}");
    stand.server.heard(fingerprint).await;
    let zeros = "00".repeat(32);
    let other = ["--wrapping-key-fingerprint", zeros.as_str()];
    let said = run("old", &["--idempotency-key", "K", other[0], other[1]]).unwrap_err();
    assert!(said.contains("not the one that is expected"), "{said}");
    assert_eq!(brought().await, 0);

    // The same offer again, under its key, once somebody has compared.
    let same = ["--wrapping-key-fingerprint", fingerprint];
    run("old", &["--idempotency-key", "K", same[0], same[1]]).unwrap();
    assert_eq!(brought().await, 1);
    let (_, material) = golden("rsa2048-pkcs1");

    // Signed by a key that the custodian has pinned.
    let made = json!({
        "name": "cp", "purpose": "checkpoint", "backend": "soft", "environment": "dev01", "owner": "d",
    });
    let made = stand.operator.post("/v1/keys", &made).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let pem = made.json["pem"].as_str().unwrap();
    let pinned = stand.deployment.dir.write("cp.pem", pem);
    let strange = material.public_key().to_pem();
    let strange = stand.deployment.dir.write("strange.pem", &strange);
    let client = |key: &std::path::Path| {
        let (text, _) = golden("rsa2048-pkcs1");
        let key = key.to_str().unwrap();
        let args = [
            "cl",
            "--purpose",
            "client",
            "--backend",
            "soft",
            "--yes",
            "--statement-key",
            key,
        ];
        import(&stand.operator, &token_file, &text, &args)
    };
    let said = client(&pinned).unwrap_err();
    assert!(said.contains("has not signed its offer"), "{said}");
    let step = json!({ "to": "active", "reason": "test" });
    let moved = stand.operator.post("/v1/keys/cp/steps", &step).await;
    assert_eq!(moved.status, 201, "{}", moved.text);
    let said = client(&strange).unwrap_err();
    assert!(said.contains("is not the service's"), "{said}");
    assert_eq!(brought().await, 1);
    client(&pinned).unwrap();
    assert_eq!(brought().await, 2);

    // Another's wrapping key under a good signature is what somebody on the way would send.
    let (_, other) = golden("rsa3072-pkcs8");
    let wish = begin("third", "client", "soft", other.public_key());
    let offer = stand.operator.post(PATH, &wish).await.json;
    let signer = PublicKey::from_pem(pem).unwrap();
    let check =
        |offer: &Value| chancery::attestation::check_offer(&offer["statement"], &signer, offer);
    check(&offer).unwrap();
    for member in ["wrapping_key", "scheme", "name", "id", "fingerprint"] {
        let mut changed = offer.clone();
        changed[member] = json!("another");
        assert!(check(&changed).is_err(), "{member}");
    }
}

#[tokio::test]
async fn an_import_that_stopped_anywhere_goes_on_or_ends() {
    let Some(stand) = Stand::durable("").await else {
        return;
    };
    let (_, material) = golden("hex");
    let wish = begin("old", "wallet", "soft", material.public_key());
    let offer = stand.operator.post(PATH, &wish).await;
    assert_eq!(offer.status, 201, "{}", offer.text);
    assert_eq!(offer.json["address"], ADDRESS);
    let before = stand.operator.get("/v1/keys/old").await.json;
    assert_eq!(
        (&before["origin"], &before["pem"]),
        (&json!("imported"), &Value::Null)
    );
    let doctor = stand.deployment.run(&["doctor"]).unwrap_err();
    drop(doctor);
    let report = Command::new(env!("CARGO_BIN_EXE_chancery"))
        .args(["doctor", "--config"])
        .arg(stand.deployment.file("config.toml"))
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&report.stdout).into_owned();
    assert!(
        report.contains("key old: its import is not complete"),
        "{report}"
    );
    let step = json!({ "to": "active", "reason": "too early" });
    let early = stand.operator.post("/v1/keys/old/steps", &step).await;
    refused("early", &early, 409, "not-a-step", "has not made");

    // The same again is the same key with another offer; anything else is another key.
    let again = stand.operator.post(PATH, &wish).await;
    assert_eq!(again.status, 201, "{}", again.text);
    assert_eq!(again.json["id"], offer.json["id"]);
    assert_ne!(again.json["wrapping_key"], offer.json["wrapping_key"]);
    let mut elsewhere = wish.clone();
    elsewhere["owner"] = "e".into();
    let taken = stand.operator.post(PATH, &elsewhere).await;
    refused("another", &taken, 409, "name-taken", "exists");
    let mut twin = wish.clone();
    twin["name"] = "twin".into();
    let twin = stand.operator.post(PATH, &twin).await;
    refused("twin", &twin, 422, "not-adoptable", "on record already");

    // What was wrapped for the first offer, or is another key, is not taken; the right one is.
    let path = "/v1/keys/old/material";
    let late = stand
        .operator
        .post(path, &wrapped(&offer.json, &material))
        .await;
    refused("first", &late, 422, "import-refused", "does not unwrap");
    let other = Material::read(&[b'1'; 64]).unwrap();
    let other = stand
        .operator
        .post(path, &wrapped(&again.json, &other))
        .await;
    refused("other", &other, 422, "import-refused", "not the key");
    let leaf = "select count(*) from leaves where position('refuse-import'::bytea in leaf) > 0";
    assert_eq!(stand.database.count(leaf).await, 1);
    let body = wrapped(&again.json, &material);
    let done = stand.operator.post_as("once", path, &body).await.unwrap();
    assert_eq!(done.status, 201, "{}", done.text);
    let replay = stand.operator.post_as("once", path, &body).await.unwrap();
    assert_eq!((replay.status, &replay.text), (201, &done.text));
    let twice = stand.operator.post(path, &body).await;
    refused("twice", &twice, 409, "no-import", "done");
    let known = stand.operator.post(PATH, &wish).await;
    refused("known", &known, 422, "not-adoptable", "on record already");
    signs_orders(&stand, "old").await;

    // An offer ends.
    let (_, rsa) = golden("rsa2048-pkcs8");
    let wish = begin("cl", "client", "soft", rsa.public_key());
    let offer = stand.operator.post(PATH, &wish).await;
    sqlx::query("update key_imports set ends_at = now() where ended_at is null")
        .execute(&stand.database.pool)
        .await
        .unwrap();
    let path = "/v1/keys/cl/material";
    let late = stand.operator.post(path, &wrapped(&offer.json, &rsa)).await;
    refused("late", &late, 409, "no-import", "over");
    let offer = stand.operator.post(PATH, &wish).await;
    let done = stand.operator.post(path, &wrapped(&offer.json, &rsa)).await;
    assert_eq!(done.status, 201, "{}", done.text);

    // Whoever holds the service's role does not put another key in the place of the announced.
    let wish = begin(
        "w3",
        "wallet",
        "soft",
        Material::read(&[b'3'; 64]).unwrap().public_key(),
    );
    assert_eq!(stand.operator.post(PATH, &wish).await.status, 201);
    for sql in [
        "update keys set public_key = '\\x00' where name = 'w3'",
        "update key_imports set announced = '\\x00' where ended_at is null",
    ] {
        assert!(
            sqlx::query(sql)
                .execute(&stand.database.pool)
                .await
                .is_err(),
            "{sql}"
        );
    }
    let destroy = json!({ "reason": "nobody brings it" });
    let path = "/v1/keys/w3/destruction";
    assert_eq!(stand.operator.post(path, &destroy).await.status, 201);
}

#[tokio::test]
async fn what_a_database_that_is_lost_in_mid_import_leaves_is_said_and_the_same_command_finishes_it()
 {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let token = stand.operator.token.clone();
    let token_file = stand.deployment.dir.write("operator.token", &token);
    // The server ends the session when the public half goes on record: the device has the key by then.
    let lose = "create function lose() returns trigger language plpgsql as $$ begin
                    perform pg_terminate_backend(pg_backend_pid()); return new; end $$;
                create trigger lose before update of public_key on keys for each row execute function lose()";
    sqlx::raw_sql(lose)
        .execute(&stand.database.pool)
        .await
        .unwrap();
    let args = [
        "old",
        "--purpose",
        "wallet",
        "--backend",
        "soft",
        "--expected",
        ADDRESS,
    ];
    let said = import(&stand.operator, &token_file, HEX, &args).unwrap_err();
    assert!(
        said.contains("what was on record before it stays"),
        "{said}"
    );
    assert!(
        said.contains("the same command again finishes it"),
        "{said}"
    );
    assert!(said.contains("No signature was released"), "{said}");
    let there = "select count(*) from keys where name = 'old' and public_key is null";
    assert_eq!(stand.database.count(there).await, 1);
    let made = json!({ "name": "made", "purpose": "wallet", "backend": "soft", "environment": "dev01", "owner": "d" });
    let answer = stand
        .operator
        .post_as("made", "/v1/keys", &made)
        .await
        .unwrap();
    let detail = "what was on record before it stays";
    refused("made", &answer, 503, "ledger-unavailable", detail);

    let heal = "drop trigger lose on keys";
    sqlx::raw_sql(heal)
        .execute(&stand.database.pool)
        .await
        .unwrap();
    let (key, _) = import(&stand.operator, &token_file, HEX, &args).unwrap();
    assert_eq!(key["address"], ADDRESS);
    let whole = stand
        .operator
        .post_as("made", "/v1/keys", &made)
        .await
        .unwrap();
    assert_eq!(whole.status, 201, "{}", whole.text);
    assert_eq!(
        stand
            .database
            .count("select count(*) from keys where name in ('old', 'made')")
            .await,
        2
    );
    // Under another name it is told which one it has.
    let args = [
        "new",
        "--purpose",
        "wallet",
        "--backend",
        "soft",
        "--expected",
        ADDRESS,
    ];
    let said = import(&stand.operator, &token_file, HEX, &args).unwrap_err();
    assert!(said.contains("on record already, as old"), "{said}");
}

#[tokio::test]
async fn who_may_and_what_is_no_key() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let (_, material) = golden("hex");
    let (_, rsa) = golden("rsa2048-pkcs8");
    let wish = begin("old", "wallet", "soft", material.public_key());
    let denied = stand.trader.post(PATH, &wish).await;
    refused("a trader", &denied, 403, "denied", "import_key");
    let but = |member: &str, value: Value| {
        let mut wish = wish.clone();
        wish[member] = value;
        wish
    };
    let exponent_3 = {
        let vectors: Value =
            serde_json::from_str(include_str!("../vectors/private-keys.json")).unwrap();
        let pem = vectors["bad"]["rsa-exponent-3"]["text"].as_str().unwrap();
        let child = Command::new("openssl")
            .args(["pkey", "-pubout"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        child.ok().map(|mut child| {
            let mut pipe = child.stdin.take().unwrap();
            pipe.write_all(pem.as_bytes()).unwrap();
            drop(pipe);
            String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
        })
    };
    let mut cases = vec![
        (
            "kind",
            but("public_key", rsa.public_key().to_pem().into()),
            422,
            "algorithm",
        ),
        ("purpose", but("purpose", "client".into()), 422, "algorithm"),
        ("no key", but("public_key", "x".into()), 422, "public_key"),
        (
            "private",
            but("public_key", golden("pkcs8").0.into()),
            422,
            "public_key",
        ),
        ("days", but("cryptoperiod_days", 9_999.into()), 422, "1095"),
        ("word", but("name", "import".into()), 422, "word of the API"),
        ("word", but("name", "adopt".into()), 422, "word of the API"),
    ];
    if let Some(pem) = exponent_3 {
        cases.push(("exponent", but("public_key", pem.into()), 422, "algorithm"));
    }
    for (what, body, status, detail) in cases {
        let answer = stand.operator.post(PATH, &body).await;
        refused(what, &answer, status, "invalid-field", detail);
        assert!(!answer.text.contains("BEGIN PRIVATE"), "{what}");
    }
    for name in ["import", "adopt"] {
        let made = json!({
            "name": name, "purpose": "wallet", "backend": "soft", "environment": "dev01", "owner": "d",
        });
        let made = stand.operator.post("/v1/keys", &made).await;
        refused(name, &made, 422, "invalid-field", "word of the API");
        let read = stand.operator.get(&format!("/v1/keys/{name}")).await;
        refused(name, &read, 405, "method-not-allowed", "another method");
    }
    let created = stand
        .operator
        .post("/v1/keys/d-wk/material", &json!({ "wrapped": "AAAA" }))
        .await;
    refused("created", &created, 409, "no-import", "not begun");

    // One that was compromised does not come back, not even after it is gone.
    let compromised = json!({ "to": "compromised", "reason": "a laptop was lost" });
    assert_eq!(bring(&stand.operator, &wish, &material).await.status, 201);
    let moved = stand
        .operator
        .post("/v1/keys/old/steps", &compromised)
        .await;
    assert_eq!(moved.status, 201, "{}", moved.text);
    let again = stand.operator.post(PATH, &but("name", "new".into())).await;
    refused("compromised", &again, 422, "not-adoptable", "compromised");
}

#[tokio::test]
async fn the_private_key_is_nowhere_afterwards() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database().await;
    let deployment = Deployment::new(&database.url);
    let token = deployment.bootstrap();
    let mut server = deployment.serve_at("trace", &[]).await;
    let operator = server.caller(&token);
    let canary = "c0ffee11".repeat(8);
    let material = Material::read(canary.as_bytes()).unwrap();
    let wish = begin("canary", "wallet", "soft", material.public_key());
    let offer = operator.post(PATH, &wish).await;
    let path = "/v1/keys/canary/material";
    // Refused, then taken; each leaves its words.
    let rsa = golden("rsa2048-pkcs1").1;
    let refused = operator.post(path, &wrapped(&offer.json, &rsa)).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    let done = operator.post(path, &wrapped(&offer.json, &material)).await;
    assert_eq!(done.status, 201, "{}", done.text);
    let step = json!({ "to": "active", "reason": "test" });
    assert_eq!(
        operator.post("/v1/keys/canary/steps", &step).await.status,
        201
    );

    let bytes = hex::decode(&canary).unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.tables where table_schema = 'public'",
    )
    .fetch_all(&database.pool)
    .await
    .unwrap();
    let mut rows = String::new(); // bytes are written as digits
    for table in tables {
        let sql = format!("select coalesce(string_agg(t::text, ' '), '') from {table} t");
        let sql = sqlx::AssertSqlSafe(sql);
        let text: String = sqlx::query_scalar(sql)
            .fetch_one(&database.pool)
            .await
            .unwrap();
        rows.push_str(&text);
    }
    let mut places = vec![
        ("the log", server.log().into_bytes()),
        ("an offer", offer.text.into_bytes()),
        ("a refusal", refused.text.into_bytes()),
        ("the key", done.text.into_bytes()),
    ];
    places.push(("the tables", rows.into_bytes()));
    for (place, text) in &places {
        assert!(!text.is_empty(), "{place}");
        let text = text.to_ascii_lowercase();
        // A quarter of it would be too much.
        for part in [canary.as_bytes(), &bytes, &canary.as_bytes()[..16]] {
            let found = text.windows(part.len()).any(|window| window == part);
            assert!(!found, "the private key is in {place}");
        }
    }
    // The check can fail: what is on record is found.
    let (_, tables) = places.last().unwrap();
    let name = b"canary".as_slice();
    assert!(tables.windows(name.len()).any(|window| window == name));
    assert_eq!(server.terminate(), Some(0));
}

#[tokio::test]
async fn kms_is_given_what_this_service_cannot_read() {
    let kms = match MiniStack::start().await {
        Ok(kms) => kms,
        Err(why) => return skip(&format!("no MiniStack: {why}")),
    };
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database().await;
    let deployment = Deployment::new(&database.url);
    deployment.configure(&format!(
        "[custody.kms]\nkind = \"aws-kms\"\nregion = \"{REGION}\"\nendpoint_url = \"{}\"\n\
         attempt_timeout_ms = 5000\ntimeout_ms = 10000\n",
        kms.url
    ));
    let token = deployment.bootstrap();
    let server = deployment.serve(&crate::kms::CREDENTIALS).await;
    let operator = server.caller(&token);
    let (_, material) = golden("pkcs8");
    let wish = begin("old", "wallet", "kms", material.public_key());
    let first = operator.post(PATH, &wish).await;
    assert_eq!(first.status, 201, "{}", first.text);
    let shell = operator.get("/v1/keys/old").await.json;
    let arn = shell["device_ref"].as_str().unwrap().to_owned();
    let done = bring(&operator, &wish, &material).await;
    assert_eq!(done.status, 201, "{}", done.text);
    assert_eq!(
        (&done.json["address"], &done.json["device_ref"]),
        (&json!(ADDRESS), &json!(arn))
    );
    let told = kms.call("DescribeKey", &json!({ "KeyId": arn })).await;
    assert_eq!(told["KeyMetadata"]["Origin"], "EXTERNAL");

    // A shell that nobody fills is destroyed like any other key.
    let (_, rsa) = golden("rsa2048-pkcs8");
    let wish = begin("cl", "client", "kms", rsa.public_key());
    assert_eq!(operator.post(PATH, &wish).await.status, 201);
    let destroy = json!({ "reason": "nobody brings it" });
    let asked = operator.post("/v1/keys/cl/destruction", &destroy).await;
    assert_eq!(asked.status, 201, "{}", asked.text);
}
