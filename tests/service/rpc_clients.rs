//! The official CLOB clients, unmodified, log in and order through `/rpc`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::stand::Stand;
use crate::support::skip;
use crate::support::venue::ClobServer;

/// Who takes part: which client, and by way of which library.
type Party = (u8, &'static str);

/// A CLOB, a service that knows it, and keys with wallets of several types for each party.
struct Market {
    clob: ClobServer,
    stand: Stand,
    parties: Vec<Value>,
    config: Value,
    /// How many orders the parties place.
    orders: usize,
}

impl Market {
    async fn open(parties: &[Party]) -> Option<Self> {
        let clob = ClobServer::start(&[])?;
        let stand = Stand::new(&clob.section("polygon")).await?;
        let new = json!({ "name": "bot", "owner": "d", "roles": ["trader", "clob-login"] });
        let bot = stand.operator.post("/v1/callers", &new).await;
        let config = json!({
            "rpc": format!("{}/rpc", stand.server.base), "clob": clob.url,
            "token": bot.json["token"],
        });
        let mut market = Self {
            clob,
            stand,
            parties: Vec::new(),
            config,
            orders: 0,
        };
        for (nth, party) in parties.iter().enumerate() {
            market.join(nth, *party).await;
        }
        market.config["parties"] = json!(market.parties);
        Some(market)
    }

    async fn join(&mut self, nth: usize, (client, library): Party) {
        let name = format!("k{nth}");
        let address = self.key(&name).await;
        let funder = format!("0x{}", format!("{:02x}", 0xa0 + nth).repeat(20));
        let mut wallets = vec![json!({ "signatureType": 0 })];
        let kinds: &[u8] = if client == 1 { &[1, 2] } else { &[2, 3] };
        for kind in kinds {
            self.wallet(&name, *kind, Some(&funder)).await;
            wallets.push(json!({ "signatureType": kind, "funder": funder }));
        }
        if client == 2 {
            wallets.push(json!({ "signatureType": 0, "version": 3 }));
            wallets.push(json!({ "signatureType": 3, "funder": funder, "version": 3 }));
        }
        self.orders += 4 * wallets.len();
        self.parties.push(json!({
            "client": client, "library": library, "address": address, "wallets": wallets,
        }));
    }

    /// A new key, and a wallet of type 0 with it; its address.
    async fn key(&self, name: &str) -> String {
        let key = json!({
            "name": name, "purpose": "wallet", "backend": "soft", "environment": "dev01", "owner": "d",
        });
        let made = self.stand.operator.post("/v1/keys", &key).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let step = json!({ "to": "active", "reason": "test" });
        let path = format!("/v1/keys/{name}/steps");
        let moved = self.stand.operator.post(&path, &step).await;
        assert_eq!(moved.status, 201, "{}", moved.text);
        self.wallet(name, 0, None).await
    }

    /// A wallet with a key; the key's address.
    async fn wallet(&self, key: &str, kind: u8, funder: Option<&str>) -> String {
        let mut wallet = json!({
            "name": format!("{key}-{kind}"), "key": key, "owner": "d", "chainId": 137,
            "signatureType": kind,
        });
        if let Some(funder) = funder {
            wallet["funder"] = json!(funder);
            wallet["funder_unverified"] = json!(true);
        }
        let made = self.stand.operator.post("/v1/wallets", &wallet).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json["address"].as_str().unwrap().to_owned()
    }

    /// Runs a client program to its end.
    async fn run(&self, mut program: Command) -> Vec<u8> {
        program.env("CONFIG", self.config.to_string());
        let output = tokio::process::Command::from(program)
            .output()
            .await
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{complaint}");
        output.stdout
    }

    /// Everybody got one API key however often they logged in, the CLOB took every order, and each
    /// is on record.
    async fn settle(&self, answers: &[u8], versions: &[u8]) {
        let answers: Value = serde_json::from_slice(answers).unwrap();
        for party in answers.as_array().unwrap() {
            let [made, derived, again] = [0, 1, 2].map(|nth| &party["keys"][nth]);
            assert!(made["key"].is_string(), "{party}");
            assert!(made == derived && made == again, "{party}");
            for order in party["orders"].as_array().unwrap() {
                assert_eq!(order["success"], true, "{order} of {party}");
                assert_eq!(order["errorMsg"], "", "{order} of {party}");
            }
        }
        let state = self.clob.state().await;
        let orders = state["orders"].as_array().unwrap();
        assert_eq!(orders.len(), self.orders);
        for version in versions {
            assert!(
                orders.iter().any(|it| it["version"] == *version),
                "{version}"
            );
        }
        let keys = state["keys"].as_array().unwrap();
        assert_eq!(keys.len(), self.parties.len());
        let right = |key: &Value| key["active"] == true && key["nonce"] == "0";
        assert!(keys.iter().all(right), "{keys:?}");

        let count = |operation: &str| {
            format!(
                "select count(*) from signatures where operation = '{operation}' and outcome = 'released'"
            )
        };
        let database = &self.stand.database;
        let known = "select count(*) from credentials where state = 'live' and nonce = 0";
        let parties = self.parties.len().try_into().unwrap();
        database.becomes(known, parties).await; // the service finds out by itself
        let signed = database.count(&count("order")).await;
        assert_eq!(usize::try_from(signed).unwrap(), self.orders);
        let logins = database
            .count("select count(*) from logins where purpose = 'header'")
            .await;
        assert!(
            usize::try_from(logins).unwrap() >= 3 * self.parties.len(),
            "{logins}"
        );
    }
}

#[tokio::test]
async fn the_official_typescript_clients_log_in_and_order() {
    let dir = match npm() {
        Ok(dir) => dir,
        Err(why) => return skip(&format!("npm cannot install the clients: {why}")),
    };
    let parties = [
        (1, "ethers"),
        (1, "viem"),
        (2, "ethers-basic"),
        (2, "viem-batch"),
    ];
    let Some(market) = Market::open(&parties).await else {
        return;
    };
    let mut program = Command::new("node");
    program.arg("orders.mjs").current_dir(dir);
    let answers = market.run(program).await;
    market.settle(&answers, &[1, 2, 3]).await;
}

#[tokio::test]
async fn the_official_python_clients_log_in_and_order() {
    let python = match pip() {
        Ok(python) => python,
        Err(why) => return skip(&format!("pip cannot install the clients: {why}")),
    };
    let Some(market) = Market::open(&[(1, "eth_account"), (2, "eth_account")]).await else {
        return;
    };
    let mut program = Command::new(&python);
    program
        .arg(root().join("tests/clients/orders.py"))
        .env("PYTHONPATH", root().join("clients/python/src"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let answers = market.run(program).await;
    market.settle(&answers, &[1, 2, 3]).await;
}

#[test]
fn the_python_adapters_own_tests_pass() {
    let python = match pip() {
        Ok(python) => python,
        Err(why) => return skip(&format!("pip cannot install the clients: {why}")),
    };
    let output = Command::new(python)
        .args(["-m", "unittest", "discover", "tests"])
        .current_dir(root().join("clients/python"))
        .env("PYTHONPATH", "src")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("\nOK"), "{said}");
}

/// Installs the TypeScript clients beside the build, once for all tests and runs.
fn npm() -> Result<PathBuf, String> {
    let files = ["package-lock.json", "package.json", "orders.mjs"];
    let files = files.map(|name| format!("tests/clients/{name}"));
    install("clients-npm", &files, |dir| {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        run(npm.current_dir(dir))
    })
}

/// Installs the Python clients beside the build; the interpreter that has them.
fn pip() -> Result<PathBuf, String> {
    let files = ["clients/python/requirements-test.txt".to_owned()];
    let dir = install("clients-pip", &files, |dir| {
        run(Command::new("python3")
            .args(["-m", "venv", "venv"])
            .current_dir(dir))?;
        let mut pip = Command::new("venv/bin/pip");
        pip.args([
            "install",
            "--quiet",
            "--no-deps",
            "-r",
            "requirements-test.txt",
        ]);
        run(pip.current_dir(dir))
    })?;
    Ok(dir.join("venv/bin/python"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Makes a directory with these files, whose first says what is to be installed, and installs it
/// unless that was done.
fn install(
    name: &str,
    files: &[String],
    make: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&dir).unwrap();
    let lock = std::fs::File::create(dir.join("lock")).unwrap();
    lock.lock().unwrap();
    for file in files {
        let source = root().join(file);
        std::fs::copy(&source, dir.join(source.file_name().unwrap())).unwrap();
    }
    let wanted = std::fs::read(root().join(&files[0])).unwrap();
    let installed = dir.join("installed");
    if std::fs::read(&installed).is_ok_and(|known| known == wanted) {
        return Ok(dir);
    }
    make(&dir)?;
    std::fs::write(installed, wanted).unwrap();
    Ok(dir)
}
