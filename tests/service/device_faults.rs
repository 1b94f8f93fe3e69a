//! Devices fail while they are used, and nothing is lost: every request is answered 200, or 503 before
//! its intent was on record.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chancery::cli::dev::SoftToken;
use serde_json::json;
use tokio::task::JoinSet;

use crate::kms_server::{Fault, MiniStack, Proxy, REGION};
use crate::pkcs11_faults::{self, Faults, code};
use crate::stand::refused;
use crate::support::load::settled;
use crate::support::{
    Answer, Caller, Database, Deployment, Postgres, Server, count, desk, order, skip,
};

const CLIENTS: usize = 6;

/// A service with a device that fails on command, and a keystore beside it: desks `d` and `s`.
pub(crate) struct World {
    server: Server,
    pub(crate) operator: Caller,
    pub(crate) trader: Caller,
    beside: Caller,
    database: Database,
    deployment: Deployment,
    _postgres: Arc<Postgres>,
}

impl World {
    /// With `[custody.device]` among the configuration.
    async fn open(
        postgres: Arc<Postgres>,
        database: Database,
        deployment: Deployment,
        environment: &[(&str, &str)],
    ) -> Self {
        let token = deployment.bootstrap();
        let server = deployment.serve(environment).await;
        let operator = server.caller(&token);
        let trader = server.caller(&desk(&operator, "d", "device").await);
        let beside = server.caller(&desk(&operator, "s", "soft").await);
        Self {
            server,
            operator,
            trader,
            beside,
            database,
            deployment,
            _postgres: postgres,
        }
    }

    async fn beside_serves(&self, what: &str) {
        let signed = self.beside.post("/v1/wallets/s-w/orders", &order()).await;
        assert_eq!(signed.status, 200, "{what}: {}", signed.text);
    }
}

/// A token behind the module that fails on command.
pub(crate) struct Token {
    pub(crate) world: World,
    pub(crate) faults: Faults,
    tokens: PathBuf,
    environment: Vec<(&'static str, String)>,
}

impl Token {
    pub(crate) async fn open(more: &str) -> Option<Self> {
        let postgres = Postgres::shared()?;
        let database = postgres.database().await;
        let deployment = Deployment::new(&database.url);
        let soft = match SoftToken::prepare(deployment.dir.path()) {
            Ok(token) => token,
            Err(error) => {
                skip(&format!("{error:#}"));
                return None;
            }
        };
        let module = match pkcs11_faults::module() {
            Ok(module) => module,
            Err(why) => {
                skip(&why);
                return None;
            }
        };
        let read = |file: &Path| std::fs::read_to_string(file).unwrap();
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", soft.label])
            .args([
                "--pin",
                &read(&soft.pin_file),
                "--so-pin",
                &read(&soft.so_pin_file),
            ])
            .env("SOFTHSM2_CONF", &soft.conf)
            .output();
        if let Err(error) = &made {
            skip(&format!("softhsm2-util: {error}"));
            return None;
        }
        let conf = std::fs::read_to_string(&soft.conf).unwrap();
        let tokens = conf
            .lines()
            .find_map(|line| line.strip_prefix("directories.tokendir"));
        let tokens = tokens.unwrap().trim_start_matches([' ', '=']).trim().into();
        let faults = Faults::at(deployment.dir.path());
        deployment.configure(&format!(
            "[custody.device]\nkind = \"pkcs11\"\nmodule = \"{}\"\ntoken_label = \"{}\"\n\
             pin_file = \"{}\"\ncall_timeout_ms = 700\n{more}",
            module.display(),
            soft.label,
            soft.pin_file.display(),
        ));
        let mut environment = vec![("SOFTHSM2_CONF", soft.conf.display().to_string())];
        for (name, value) in faults.environment(&soft.module) {
            environment.push((name, value.display().to_string()));
        }
        let variables: Vec<_> = environment.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let world = World::open(postgres, database, deployment, &variables).await;
        Some(Self {
            world,
            faults,
            tokens,
            environment,
        })
    }
}

/// Clients that ask for orders, each one after the other.
struct Load {
    stop: Arc<AtomicBool>,
    seen: Arc<Seen>,
    clients: JoinSet<()>,
    trader: Caller,
}

#[derive(Default)]
struct Seen {
    /// Requests that were answered 200.
    signed: AtomicUsize,
    /// Idempotency keys of those that were answered 503.
    refused: Mutex<Vec<String>>,
    /// Other answers.
    lost: Mutex<Vec<String>>,
}

impl Load {
    fn start(trader: &Caller) -> Self {
        let mut load = Self {
            stop: Arc::default(),
            seen: Arc::default(),
            clients: JoinSet::new(),
            trader: trader.clone(),
        };
        for _ in 0..CLIENTS {
            load.one_more();
        }
        load
    }

    fn one_more(&mut self) {
        let (trader, stop, seen) = (self.trader.clone(), self.stop.clone(), self.seen.clone());
        self.clients.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let key = uuid::Uuid::new_v4().to_string();
                let path = "/v1/wallets/d-w/orders";
                let answer = trader.post_as(&key, path, &order()).await.unwrap();
                match answer.status {
                    200 => drop(seen.signed.fetch_add(1, Ordering::Relaxed)),
                    503 => {
                        assert!(
                            answer.headers.contains_key("retry-after"),
                            "{}",
                            answer.text
                        );
                        seen.refused.lock().unwrap().push(key);
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    _ => seen.lost.lock().unwrap().push(answer.text),
                }
            }
        });
    }

    /// Sends more requests, while those that have an intent wait for the device, until the service says
    /// beforehand that it is away.
    async fn is_refused(&mut self, what: &str) {
        let goal = self.refused() + 5;
        for _ in 0..100 {
            if self.refused() >= goal {
                return;
            }
            self.one_more();
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        panic!("{what}: nobody is refused");
    }

    fn signed(&self) -> usize {
        self.seen.signed.load(Ordering::Relaxed)
    }

    fn refused(&self) -> usize {
        self.seen.refused.lock().unwrap().len()
    }

    /// Waits until it is so.
    async fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        let wait = async {
            while !so(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
        assert!(
            waited.is_ok(),
            "{what}: it never came: {:?}",
            self.seen.lost
        );
    }

    /// Waits until that many more are signed.
    async fn goes_on(&self, what: &str, more: usize) {
        let goal = self.signed() + more;
        self.until(what, |load| load.signed() >= goal).await;
    }
}

/// Lets `strike` do its damage to a service under load, and sees that nothing is lost. `strike` returns
/// when the device is well again; from then on is measured.
async fn nothing_is_lost(
    world: &World,
    what: &str,
    strike: impl AsyncFnOnce(&mut Load) -> Option<Instant>,
) {
    let mut load = Load::start(&world.trader);
    load.goes_on(what, 3 * CLIENTS).await;
    let since = strike(&mut load).await.unwrap_or_else(Instant::now);
    load.goes_on(what, 1).await;
    let took = since.elapsed();
    load.goes_on(what, 6 * CLIENTS).await;
    load.stop.store(true, Ordering::Relaxed);
    let Load { seen, clients, .. } = load;
    clients.join_all().await;
    settled(&world.database).await;

    let refused = seen.refused.lock().unwrap().clone();
    let lost = seen.lost.lock().unwrap().clone();
    let mut late = 0;
    for key in &refused {
        let intents = format!(
            "select count(*) from idempotency_keys where key = '{key}' and intent_id is not null"
        );
        late += world.database.count(&intents).await;
    }
    let signed = seen.signed.load(Ordering::Relaxed);
    println!(
        "{what:48} well again after {:5} ms: {:4} requests, {signed:4} signed, {:4} refused early, {} lost",
        took.as_millis(),
        signed + refused.len() + lost.len(),
        refused.len(),
        lost.len() + usize::try_from(late).unwrap(),
    );
    assert!(lost.is_empty(), "{what}: {lost:?}");
    assert_eq!(late, 0, "{what}: refused after the intent");
}

#[tokio::test]
async fn a_token_that_fails_loses_no_request() {
    let Some(token) = Token::open("").await else {
        return;
    };
    let (world, faults) = (&token.world, &token.faults);
    for _ in 0..count(1, 10) {
        for (name, code) in [
            ("DEVICE_REMOVED", code::DEVICE_REMOVED),
            ("DEVICE_ERROR", code::DEVICE_ERROR),
            ("SESSION_HANDLE_INVALID", code::SESSION_HANDLE_INVALID),
            ("SESSION_CLOSED", code::SESSION_CLOSED),
            ("OPERATION_ACTIVE", code::OPERATION_ACTIVE),
            ("USER_NOT_LOGGED_IN", code::USER_NOT_LOGGED_IN),
            ("OBJECT_HANDLE_INVALID", code::OBJECT_HANDLE_INVALID),
            ("KEY_HANDLE_INVALID", code::KEY_HANDLE_INVALID),
            ("TOKEN_NOT_PRESENT", code::TOKEN_NOT_PRESENT),
            ("GENERAL_ERROR", code::GENERAL_ERROR),
            ("FUNCTION_FAILED", code::FUNCTION_FAILED),
            ("CRYPTOKI_NOT_INITIALIZED", code::CRYPTOKI_NOT_INITIALIZED),
            ("DEVICE_MEMORY", code::DEVICE_MEMORY),
            ("HOST_MEMORY", code::HOST_MEMORY),
        ] {
            nothing_is_lost(world, &format!("{name} from 5 signatures"), async |load| {
                let since = Instant::now();
                let before = faults.struck("C_Sign");
                faults.fail("C_Sign", 5, code);
                load.until(name, |_| faults.struck("C_Sign") == before + 5)
                    .await;
                Some(since)
            })
            .await;
        }
        for (name, code) in [
            ("DEVICE_REMOVED", code::DEVICE_REMOVED),
            ("TOKEN_NOT_PRESENT", code::TOKEN_NOT_PRESENT),
            ("DEVICE_MEMORY", code::DEVICE_MEMORY),
        ] {
            nothing_is_lost(world, &format!("{name} from everything"), async |load| {
                let functions = ["C_Sign", "C_SignInit", "C_OpenSession", "C_GetSessionInfo"];
                let rules = functions.map(|function| format!("{function} 1 * code {code:#x}"));
                faults.set(&rules);
                load.is_refused(name).await;
                world.beside_serves(name).await;
                faults.heal();
                None
            })
            .await;
        }
        nothing_is_lost(
            world,
            "SESSION_COUNT where sessions were lost",
            async |load| {
                let since = Instant::now();
                let lost = code::SESSION_HANDLE_INVALID;
                let full = code::SESSION_COUNT;
                faults.set(&[
                    format!("C_Sign 1 1 code {lost:#x}"),
                    format!("C_OpenSession 1 3 code {full:#x}"),
                ]);
                load.goes_on("sessions", 12).await;
                faults.heal();
                Some(since)
            },
        )
        .await;
        nothing_is_lost(world, "the token's directory is away", async |load| {
            let away = token.tokens.with_extension("away");
            std::fs::rename(&token.tokens, &away).unwrap();
            load.is_refused("away").await;
            world.beside_serves("away").await;
            std::fs::rename(&away, &token.tokens).unwrap();
            None
        })
        .await;
    }
    let log = world.server.log();
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test]
async fn while_a_device_is_away_nothing_is_begun_and_what_is_on_record_is_answered() {
    let Some(token) = Token::open("").await else {
        return;
    };
    let (world, faults) = (&token.world, &token.faults);
    let (path, batch) = ("/v1/wallets/d-w/orders", "/v1/wallets/d-w/orders/batch");
    let orders = json!({ "orders": [order(), order()] });
    let first = world.trader.post_as("a", path, &order()).await.unwrap();
    let firsts = world.trader.post_as("b", batch, &orders).await.unwrap();
    assert_eq!((first.status, firsts.status), (200, 200), "{}", firsts.text);

    let gone = code::DEVICE_REMOVED;
    let functions = ["C_Sign", "C_SignInit", "C_OpenSession", "C_GetSessionInfo"];
    faults.set(&functions.map(|function| format!("{function} 1 * code {gone:#x}")));
    let mut load = Load::start(&world.trader);
    load.is_refused("away").await;
    load.stop.store(true, Ordering::Relaxed);
    let intents = async || world.database.count("select count(*) from intents").await;
    let before = intents().await;
    let again = world.trader.post_as("a", path, &order()).await.unwrap();
    assert_eq!((again.status, &again.text), (200, &first.text));
    assert!(again.headers.contains_key("idempotency-replayed"));
    let agains = world.trader.post_as("b", batch, &orders).await.unwrap();
    let ids = |answer: &Answer| {
        let orders = answer.json["orders"].as_array().unwrap().iter();
        orders
            .map(|it| it["order"]["id"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&agains), ids(&firsts), "{}", agains.text);
    assert!(
        ids(&firsts).iter().all(serde_json::Value::is_string),
        "{}",
        firsts.text
    );

    let mut other = order();
    other["price"] = "0.57".into();
    let reused = world.trader.post_as("a", path, &other).await.unwrap();
    refused("reused", &reused, 409, "idempotency-key-reused", "");
    let away = world.trader.post_as("c", path, &order()).await.unwrap();
    refused("away", &away, 503, "device-unavailable", "does not answer");
    assert!(away.headers.contains_key("retry-after"));
    let all_away = world.trader.post_as("d", batch, &orders).await.unwrap();
    let statuses = all_away.json["orders"].as_array().unwrap().iter();
    let statuses: Vec<_> = statuses.map(|it| it["status"].as_u64()).collect();
    assert_eq!(statuses, [Some(503); 2], "{}", all_away.text);
    assert_eq!(intents().await, before, "nothing was begun");

    // The same keys stand for nothing yet.
    faults.heal();
    load.clients.join_all().await;
    let signed = world.trader.post_as("c", path, &other).await.unwrap();
    assert_eq!(signed.status, 200, "{}", signed.text);
    let signed = world.trader.post_as("d", batch, &orders).await.unwrap();
    assert!(
        ids(&signed).iter().all(serde_json::Value::is_string),
        "{}",
        signed.text
    );
}

#[tokio::test]
async fn a_call_that_hangs_loses_no_request() {
    let Some(token) = Token::open("").await else {
        return;
    };
    let (world, faults) = (&token.world, &token.faults);
    for _ in 0..count(2, 10) {
        nothing_is_lost(world, "one signature hangs", async |load| {
            let since = Instant::now();
            let before = faults.struck("C_Sign");
            faults.hang("C_Sign", 1);
            load.until("hang", |_| faults.struck("C_Sign") == before + 1)
                .await;
            let said = || world.server.log().matches("module hangs").count();
            let heard = said();
            load.until("down", |_| said() > heard).await;
            Some(since)
        })
        .await;
        faults.heal();
        faults.end_hang();
        nothing_is_lost(world, "all calls hang for a while", async |load| {
            faults.set(&[]);
            faults.hang("C_Sign", 1_000);
            load.is_refused("down").await;
            world.beside_serves("hang").await;
            faults.heal();
            faults.end_hang();
            None
        })
        .await;
    }
}

#[tokio::test]
async fn an_isolated_module_that_hangs_or_dies_is_started_again_and_loses_no_request() {
    let has = |program: &str| Command::new("which").arg(program).output();
    if !has("p11-kit").is_ok_and(|found| found.status.success()) {
        return skip("no p11-kit");
    }
    let Some(token) = Token::open("isolated = true\n").await else {
        return;
    };
    let (world, faults) = (&token.world, &token.faults);
    for _ in 0..count(2, 10) {
        let one = modules_of(world.server.pid());
        assert_eq!(one.len(), 1, "{one:?}");
        nothing_is_lost(world, "isolated: one call hangs", async |load| {
            let since = Instant::now();
            let before = faults.struck("C_Sign");
            faults.hang("C_Sign", 1);
            load.until("hang", |_| faults.struck("C_Sign") == before + 1)
                .await;
            faults.heal(); // the next process reads its rules anew
            load.until("killed", |_| modules_of(world.server.pid()) != one)
                .await;
            Some(since)
        })
        .await;
        faults.end_hang();
        let another = modules_of(world.server.pid());
        assert!(another.len() == 1 && another != one, "{one:?} {another:?}");
        nothing_is_lost(world, "isolated: the process is killed", async |load| {
            let since = Instant::now();
            kill(another[0]);
            load.until("killed", |_| modules_of(world.server.pid()) != another)
                .await;
            Some(since)
        })
        .await;
    }
    // However the service ends, so does the module's process.
    let Token {
        mut world,
        environment,
        ..
    } = token;
    let left = modules_of(world.server.pid());
    assert_eq!(world.server.terminate(), Some(0));
    are_gone(&left).await;
    let environment: Vec<_> = environment.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let server = world.deployment.serve(&environment).await;
    let left = modules_of(server.pid());
    assert_eq!(left.len(), 1, "{left:?}");
    drop(server); // by SIGKILL
    are_gone(&left).await;
}

async fn are_gone(modules: &[i32]) {
    for _ in 0..200 {
        if !modules.iter().any(|pid| is_module(*pid)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{modules:?} still runs");
}

/// The processes that run a module for this one.
fn modules_of(parent: u32) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap().map_while(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_ours = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.contains(&format!("(p11-kit-remote) S {parent} "))
            || stat.contains(&format!("(p11-kit-remote) R {parent} "))
    };
    pids.filter(is_ours).collect()
}

fn is_module(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| stat.contains("(p11-kit-remote)") && !stat.contains(") Z "))
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_kms_that_fails_loses_no_request() {
    let kms = match MiniStack::start().await {
        Ok(kms) => kms,
        Err(why) => return skip(&format!("no MiniStack: {why}")),
    };
    let proxy = Proxy::start(&kms.url).await;
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database().await;
    let deployment = Deployment::new(&database.url);
    deployment.configure(&format!(
        "[custody.device]\nkind = \"aws-kms\"\nregion = \"{REGION}\"\nendpoint_url = \"{}\"\n",
        proxy.url
    ));
    let credentials = [
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let world = World::open(postgres, database, deployment, &credentials).await;
    let throttled = Fault::Error(400, "ThrottlingException");
    let broken = Fault::Error(500, "KMSInternalException");
    for (name, fault) in [
        ("throttled", throttled.clone()),
        ("KMSInternalException", broken.clone()),
        ("reset", Fault::Reset),
        ("answer lost", Fault::Lost),
        ("no answer of KMS's", Fault::Html),
        ("1.5 s late", Fault::Delay(Duration::from_millis(1_500))),
    ] {
        nothing_is_lost(&world, &format!("KMS: {name}, 5 times"), async |load| {
            let since = Instant::now();
            proxy.fail("Sign", 5, fault);
            load.until(name, |_| !proxy.is_failing()).await;
            Some(since)
        })
        .await;
    }
    for (name, fault) in [
        ("throttled", throttled),
        ("reset", Fault::Reset),
        ("broken", broken),
    ] {
        nothing_is_lost(&world, &format!("KMS: {name}, all of it"), async |load| {
            for operation in ["Sign", "ListKeys", "DescribeKey"] {
                proxy.fail(operation, usize::MAX, fault.clone());
            }
            load.is_refused(name).await;
            world.beside_serves(name).await;
            proxy.heal();
            None
        })
        .await;
    }
}
