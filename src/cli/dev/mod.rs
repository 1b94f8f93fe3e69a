//! `chancery dev`: a private Postgres and a private token in one directory, for a first look.
//!
//! It promises that nothing listens on a network for the sake of the ledger or the token, that
//! nothing outlives the command, and that a second run finds what the first one made. It **trusts**
//! the directory: who can write there has the ledger, and the keys as well, since the PIN lies
//! beside the token.

pub(super) mod beside;
pub mod cluster;
pub mod data_dir;
mod demo;
mod orphan;
mod server;
mod socket_dir;
pub mod token;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::audit::Author;
use crate::callers::{CallerError, MAX_TOKEN_DAYS, NewCaller};
use crate::clock::Clock;
use crate::config::Config;
use crate::custody::pkcs11::Pkcs11;
use crate::http;
use crate::ledger::Gate;
use crate::sealing::SealingKey;
use beside::{AUTHORIZATION, Beside, CLOB, RELAYER, Running};
pub use cluster::Cluster;
pub use data_dir::DataDir;
use demo::Demo;
pub use token::SoftToken;

/// The policy that `dev` starts with.
const POLICY: &str = include_str!("../../../deploy/policies/start.cedar");

/// Options of `chancery dev`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Where everything is kept [default: /var/lib/chancery for root, else chancery in the user's state directory].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:7300; with --once any free port].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Make one order and one client assertion, print them as JSON, check both, and stop.
    #[arg(long)]
    pub(super) once: bool,
}

/// Runs everything on this machine until it is told to stop. May start the program anew, so it is
/// called before there is a runtime.
pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let path = match &options.data_dir {
        Some(path) => path.clone(),
        None => DataDir::default_path()?,
    };
    let data = DataDir::open(&path)?;
    // Whatever is made in it, by libraries too, is ours alone.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let token = match SoftToken::prepare(data.path()) {
        Ok(token) => {
            token.enter()?;
            Some(token)
        }
        Err(why) => {
            say(&format!(
                "{why:#}; keys are kept in the sealed software keystore instead"
            ));
            None
        }
    };
    say("starting the private database");
    let cluster = Cluster::start(&data)?;
    let beside = start_beside(options, data.path());
    let parts = (token.as_ref(), &cluster, &beside);
    let done = super::block_on(serve(options, data.path(), parts));
    drop(beside);
    cluster.stop()?;
    done
}

/// What the tokens of the authorization server for demonstration are for.
const AUDIENCE: &str = "https://api.local.example";

/// A port so far behind the service's own.
fn port_behind(options: &Options, by: u16) -> u16 {
    let port = options.listen.map_or(7300, |it| it.port());
    if port == 0 { 0 } else { port.wrapping_add(by) }
}

/// A CLOB, an authorization server and a relayer beside the service, on the ports after its own; what one order needs
/// does without.
fn start_beside(options: &Options, dir: &Path) -> Beside {
    if options.once {
        return Beside::default();
    }
    let start = |program, by, more: &[String], without: &str| {
        let started = Running::start(program, dir, port_behind(options, by), more);
        started
            .inspect_err(|why| say(&format!("{without}: {why:#}")))
            .ok()
    };
    let clients = dir.join("authorization").join("clients.json");
    let more = [
        format!("--audience={AUDIENCE}"),
        format!("--clients={}", clients.display()),
    ];
    Beside {
        clob: start(
            &CLOB,
            1,
            &[],
            "there is no CLOB for demonstration, so credentials, l2-headers and market orders wait for one",
        ),
        authorization: start(
            &AUTHORIZATION,
            2,
            &more,
            "there is no authorization server for demonstration, so access tokens and rotations wait for one",
        ),
        relayer: start(
            &RELAYER,
            3,
            &[format!(
                "--state={}",
                dir.join("relayer").join("state.json").display()
            )],
            "there is no relayer for demonstration, so wallets' operations are signed and handed out only",
        ),
    }
}

/// What the command has started: the token, if there is one, the database, and the servers beside.
type Started<'a> = (Option<&'a SoftToken>, &'a Cluster, &'a Beside);

async fn serve(options: &Options, dir: &Path, started: Started<'_>) -> anyhow::Result<()> {
    let (token, _, beside) = started;
    let config = prepare(options, dir, started).await?;
    let applied = App::ledger(&config)?.migrate().await?;
    if !applied.is_empty() {
        say(&format!(
            "the schema is up to date: {} migrations applied",
            applied.len()
        ));
    }
    let stop = super::serve::stop_on_signal()?;
    let listener = http::listen(&config.http).await?;
    let address = listener.local_addr()?;
    let app = App::build(&config, Clock::system()).await?;
    keep_operator(&app, &dir.join("operator.token")).await?;
    app.watch_clock(config.clock.clone()).await;
    app.tell_people();
    app.look_after_keys();
    let router = http::router(app.clone(), &config.http);
    let serving = http::serve(listener, router, &config.http, &app.tasks, stop.clone());
    let visit = async {
        let visited = async {
            let demo =
                Demo::set_up(&format!("http://{address}"), dir, token.is_some(), &app).await?;
            demo.register(beside).await?;
            if options.once {
                demo.once(&app).await
            } else {
                demo.explain(beside, app.clock.now());
                say(&console(
                    &app,
                    &format!("http://{address}"),
                    &dir.join("operator.token"),
                )?);
                say(RELAXED);
                Ok(())
            }
        }
        .await;
        if options.once || visited.is_err() {
            stop.cancel();
        } else {
            stop.cancelled().await;
        }
        visited
    };
    let ((), visited) = tokio::join!(serving, visit);
    app.shut_down(Duration::from_millis(config.http.shutdown_timeout_ms))
        .await;
    visited
}

/// Sees to it that `file` holds a token of an operator: makes one where there is none, and another
/// one where the token was lost or has expired. Whoever runs this owns the database anyway.
async fn keep_operator(app: &App, file: &Path) -> anyhow::Result<()> {
    if is_recognised(app, file).await {
        return Ok(());
    }
    let new = NewCaller {
        name: "dev-operator".parse()?,
        owner: "dev".parse()?,
        roles: vec!["operator".parse()?, "registrar".parse()?],
        token_days: MAX_TOKEN_DAYS,
    };
    let token = match app.callers.bootstrap(&new, &app.log).await {
        Err(CallerError::AlreadyBootstrapped) => {
            let operator = Author::bootstrap(app.callers.show(&new.name).await?.id);
            let mut change = app.log.begin(Gate::Shared, &operator).await?;
            let token = app
                .callers
                .issue_token(&new.name, MAX_TOKEN_DAYS, &mut change)
                .await?;
            change.commit().await?;
            token
        }
        made => made?,
    };
    replace_secret(token.expose(), file)
}

/// Whether `file` holds a token that is still good.
async fn is_recognised(app: &App, file: &Path) -> bool {
    match std::fs::read_to_string(file) {
        Ok(token) => app.callers.recognise(token.trim()).await.is_ok(),
        Err(_) => false,
    }
}

/// Writes a secret in the place of an older one.
fn replace_secret(secret: &str, file: &Path) -> anyhow::Result<()> {
    if file.exists() {
        std::fs::remove_file(file)?;
    }
    super::destination::Destination::open(Some(file))?.write(secret)
}

/// Where the console is, with a link that signs the operator in once.
fn console(app: &App, base: &str, operator: &Path) -> anyhow::Result<String> {
    if !app.sessions.are_open() {
        return Ok("\nThe console is off: [console] enabled.".to_owned());
    }
    let token = std::fs::read_to_string(operator)?;
    let code = app.sessions.link(token.trim());
    Ok(format!(
        "\nThe console, as the operator (the link works once, within ten minutes):\n\n{base}/sign-in?code={}",
        code.expose()
    ))
}

/// What is different from a deployment.
const RELAXED: &str = "
What dev relaxes: one operator may loosen alone; PINs and keys of the seal lie beside the data; the
database trusts every process of its user. Stop with Ctrl-C; the next run finds everything again.";

/// Makes the files that are missing, and writes the configuration.
async fn prepare(
    options: &Options,
    dir: &Path,
    (token, cluster, beside): Started<'_>,
) -> anyhow::Result<Config> {
    let file = |name: &str| dir.join(name);
    for name in ["sealing.key", "keystore.key"] {
        if !file(name).exists() {
            SealingKey::create_file(&file(name))?;
        }
    }
    if !file("policy.cedar").exists() {
        std::fs::write(file("policy.cedar"), POLICY)?;
    }
    if let Some(token) = token
        && !file("token-made").exists()
    {
        let pin = |path: &Path| std::fs::read_to_string(path).map(SecretString::from);
        let (so_pin, user_pin) = (pin(&token.so_pin_file)?, pin(&token.pin_file)?);
        Pkcs11::init_token(&token.module, so_pin, user_pin, token.label).await?;
        std::fs::write(file("token-made"), "")?;
    }
    let listen = options
        .listen
        .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], if options.once { 0 } else { 7300 })));
    // A JSON string is a TOML string too.
    let text = |path: &Path| serde_json::json!(path.to_string_lossy()).to_string();
    let custody = match token {
        Some(token) => format!(
            "[custody.dev]\nkind = \"pkcs11\"\nmodule = {}\ntoken_label = \"{}\"\npin_file = {}\n",
            text(&token.module),
            token.label,
            text(&token.pin_file),
        ),
        None => format!(
            "[custody.dev]\nkind = \"sealed\"\nmaster_key_file = {}\naccept_keys_in_software = true\n",
            text(&file("keystore.key")),
        ),
    };
    let polygon = |section: &str, server: &Option<Running>| match server {
        Some(it) => format!("[{section}.polygon]\nurl = \"{}\"\n\n", it.url()),
        None => String::new(),
    };
    let config = format!(
        "# Written by `chancery dev`, and kept once you have edited it.\n\
         writer = \"dev\"\n\n\
         [http]\nlisten = \"{listen}\"\n\n\
         [ledger]\nurl = {url}\n\n\
         [sealing]\nkey_file = {sealing}\n\n\
         [evidence]\ncheckpoint_file = {checkpoint}\n\n\
         {custody}\n\
         {clob}\
         [policy]\nfile = {policy}\n\n\
         [approvals]\nsingle_operator = true\n\n\
         [console]\nenabled = true\n\n\
         [oauth.environments.dev01]\n\
         issuer = \"https://pmx-dev01.us.auth0.com/\"\n\
         token_endpoint = \"https://pmx-dev01.us.auth0.com/oauth/token\"\n\
         token_audience = \"https://api.dev01.polymarketexchange.com\"\n\n\
         [oauth.environments.local]\n\
         issuer = \"{authorization}\"\n\
         token_endpoint = \"{authorization}oauth/token\"\n\
         token_audience = \"{AUDIENCE}\"\n",
        url = serde_json::json!(cluster.url()),
        clob = polygon("clob", &beside.clob) + &polygon("relayer", &beside.relayer),
        // Where it would be, if it is not there: the section stays, for a key is of an environment for good.
        authorization = beside.authorization.as_ref().map_or_else(
            || match port_behind(options, 2) {
                0 => "http://127.0.0.1:7302/".to_owned(),
                port => format!("http://127.0.0.1:{port}/"),
            },
            |it| it.url().to_owned(),
        ),
        sealing = text(&file("sealing.key")),
        checkpoint = text(&file("checkpoint")),
        policy = text(&file("policy.cedar")),
    );
    let mut config = keep_config(dir, &config)?;
    // One that was edited says otherwise where nobody asks for it now.
    if options.once || options.listen.is_some() {
        config.http.listen = listen;
    }
    Ok(config)
}

/// Writes the configuration, unless somebody has changed what was written the last time.
fn keep_config(dir: &Path, config: &str) -> anyhow::Result<Config> {
    let (file, mark) = (dir.join("config.toml"), dir.join("config.written"));
    let digest = |text: &str| hex::encode(Sha256::digest(text));
    let there = std::fs::read_to_string(&file).ok();
    let written = std::fs::read_to_string(&mark).unwrap_or_default();
    let is_edited = |text: &String| digest(text) != written && !text.starts_with(FORMERLY);
    if there.as_ref().is_some_and(is_edited) {
        say("config.toml was edited and is kept; without it, it is written anew");
    } else {
        std::fs::write(&file, config)?;
        std::fs::write(&mark, digest(config))?;
    }
    Ok(Config::load(&file)?)
}

/// How a configuration began that was written over at each start, and said so.
const FORMERLY: &str = "# Written by `chancery dev` at each start.";

/// Progress, for people.
fn say(line: &str) {
    super::remark(line);
}

/// A directory with a short path that is gone after the test.
#[cfg(test)]
pub(crate) fn scratch() -> Scratch {
    let path = data_dir::random_name().map(|name| std::path::Path::new("/tmp").join(name));
    let path = path.expect("there is randomness");
    std::fs::create_dir(&path).expect("/tmp can be written");
    Scratch(path)
}

#[cfg(test)]
pub(crate) struct Scratch(std::path::PathBuf);

#[cfg(test)]
impl Scratch {
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }
}

#[cfg(test)]
impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whether a test can run here. If not it says so, or fails where everything has to run.
#[cfg(test)]
fn can_run(what: &str, present: bool) -> bool {
    if !present {
        let required = std::env::var_os("CHANCERY_REQUIRE_ALL").is_some_and(|value| value == "1");
        assert!(!required, "{what} is not installed");
        println!("skipped: {what} is not installed");
    }
    present
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_was_edited_is_kept() {
        let scratch = scratch();
        let text = |listen: &str| {
            format!(
                "custody = {{}}\nhttp = {{ listen = \"{listen}\" }}\nledger = {{ url = \"postgres:///x\" }}\n\
                 sealing = {{ key_file = \"/k\" }}\npolicy = {{ file = \"/p\" }}\n"
            )
        };
        let keep = |listen: &str| {
            let config = keep_config(scratch.path(), &text(listen)).unwrap();
            config.http.listen.to_string()
        };
        assert_eq!(keep("127.0.0.1:1"), "127.0.0.1:1");
        assert_eq!(keep("127.0.0.1:2"), "127.0.0.1:2", "nobody has edited it");
        let file = scratch.path().join("config.toml");
        std::fs::write(&file, text("127.0.0.1:3")).unwrap();
        assert_eq!(keep("127.0.0.1:4"), "127.0.0.1:3");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(keep("127.0.0.1:5"), "127.0.0.1:5");
        std::fs::write(&file, format!("{FORMERLY}\n{}", text("127.0.0.1:6"))).unwrap();
        assert_eq!(
            keep("127.0.0.1:7"),
            "127.0.0.1:7",
            "it said that it would be"
        );
    }
}
