//! What was answered, and the configuration that says so.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, bail};
use secrecy::SecretString;

use super::ask::Asker;
use super::files::Files;
use super::{Device, OWNER_ROLE, Options};
use crate::ledger::{self, SERVICE_ROLE};
use crate::name::Name;

/// The policy to begin with.
const POLICY: &str = include_str!("../../../deploy/policies/start.cedar");

/// What there is to know before anything is done.
pub(super) struct Answers {
    pub(super) admin_url: String,
    pub(super) database: Name,
    pub(super) place: Place,
    pub(super) listen: SocketAddr,
    hosts: Vec<String>,
    pub(super) tls: Option<(PathBuf, PathBuf)>,
    checkpoints: Option<Checkpoints>,
    accept_plain_loopback: bool,
}

/// Where the newest checkpoint is published.
enum Checkpoints {
    File(PathBuf),
    Bucket {
        bucket: Bucket,
        region: String,
        endpoint_url: Option<String>,
    },
}

/// An object in a bucket: `s3://BUCKET/OBJECT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    name: String,
    object: Option<String>,
}

impl FromStr for Bucket {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = text.strip_prefix("s3://").ok_or("it begins with s3://")?;
        let (name, object) = path.split_once('/').unwrap_or((path, ""));
        if name.is_empty() {
            return Err("it names no bucket");
        }
        Ok(Self {
            name: name.to_owned(),
            object: (!object.is_empty()).then(|| object.to_owned()),
        })
    }
}

impl Checkpoints {
    /// As the flags say.
    fn of(options: &Options) -> anyhow::Result<Option<Self>> {
        if let Some(bucket) = &options.checkpoint_bucket {
            let region = options.checkpoint_region.as_ref();
            let region = region.or(options.region.as_ref());
            return Ok(Some(Self::Bucket {
                bucket: bucket.clone(),
                region: region
                    .context("--checkpoint-region says where the bucket is")?
                    .clone(),
                endpoint_url: options.checkpoint_endpoint.clone(),
            }));
        }
        Ok(options.checkpoint_file.clone().map(Self::File))
    }

    /// A line of `[evidence]`.
    fn line(&self) -> String {
        match self {
            Self::File(file) => format!("checkpoint_file = {}", path(file)),
            Self::Bucket {
                bucket,
                region,
                endpoint_url,
            } => {
                let members = [
                    ("name", Some(&bucket.name)),
                    ("object", bucket.object.as_ref()),
                    ("region", Some(region)),
                    ("endpoint_url", endpoint_url.as_ref()),
                ];
                let members = members.into_iter().filter_map(|(name, value)| {
                    value.map(|value| format!("{name} = {}", quoted(value)))
                });
                let members = members.collect::<Vec<_>>().join(", ");
                format!("checkpoint_bucket = {{ {members} }}")
            }
        }
    }
}

/// Where the keys are to be.
pub(super) enum Place {
    Pkcs11 {
        module: PathBuf,
        token_label: String,
        pin_file: Option<PathBuf>,
    },
    AwsKms {
        region: String,
    },
    Keystore,
}

/// Passwords of the roles.
pub(super) struct Secrets {
    pub(super) owner: SecretString,
    pub(super) service: SecretString,
}

impl Place {
    /// The name of its section.
    pub(super) fn section(&self) -> &'static str {
        match self {
            Self::Pkcs11 { .. } => "hsm",
            Self::AwsKms { .. } => "kms",
            Self::Keystore => "keystore",
        }
    }
}

impl Answers {
    /// What the flags say, and somebody at a terminal.
    pub(super) fn of(options: &Options, asker: &Asker) -> anyhow::Result<Self> {
        let admin_url = asker.text(
            options.admin_url.as_deref(),
            "--admin-url",
            "Postgres, as who may make roles and databases",
            Some("postgres:///postgres?host=/run/postgresql&user=postgres"),
        )?;
        let device = if let Some(device) = options.device {
            device
        } else {
            let what = "Where the keys are to be: pkcs11, aws-kms, keystore";
            let answer = asker.text(None, "--device", what, None)?;
            <Device as clap::ValueEnum>::from_str(&answer, false)
                .map_err(|_| anyhow::anyhow!("{answer} is none of these"))?
        };
        let place = place(device, options, asker)?;
        let listen = options.listen.map(|it| it.to_string());
        let at = "Where the service listens";
        let listen = asker.text(listen.as_deref(), "--listen", at, Some("127.0.0.1:7300"))?;
        let listen: SocketAddr = listen
            .parse()
            .with_context(|| format!("{listen} is no address with a port"))?;
        let tls = options.tls_certificate.clone().zip(options.tls_key.clone());
        if tls.is_none() && !listen.ip().is_loopback() {
            bail!("{listen} is not a loopback address: give --tls-certificate and --tls-key");
        }
        asker.accept(
            options.accept_single_operator,
            "--accept-single-operator",
            "Until approvers are registered, one operator may loosen alone, which is on record",
        )?;
        Ok(Self {
            admin_url,
            database: options.database.clone(),
            place,
            listen,
            hosts: options.hosts.clone(),
            tls,
            checkpoints: Checkpoints::of(options)?,
            accept_plain_loopback: options.accept_plain_loopback,
        })
    }
}

fn place(device: Device, options: &Options, asker: &Asker) -> anyhow::Result<Place> {
    let shown = |path: &Option<PathBuf>| path.as_ref().map(|it| it.display().to_string());
    Ok(match device {
        Device::Pkcs11 => {
            let module = shown(&options.module);
            let module = asker.text(module.as_deref(), "--module", "Its library", None)?;
            let label = options.token_label.as_deref();
            let token_label = asker.text(label, "--token-label", "The token's label", None)?;
            let pin_file = if options.make_token {
                None
            } else {
                let file = shown(&options.pin_file);
                let what = "The file with its user PIN";
                Some(
                    asker
                        .text(file.as_deref(), "--pin-file", what, None)?
                        .into(),
                )
            };
            Place::Pkcs11 {
                module: module.into(),
                token_label,
                pin_file,
            }
        }
        Device::AwsKms => {
            let region = options.region.as_deref();
            Place::AwsKms {
                region: asker.text(region, "--region", "The region", None)?,
            }
        }
        Device::Keystore => {
            asker.accept(
                options.accept_keys_in_software,
                "--accept-keys-in-software",
                "Private keys would be in software: in the database, sealed under a key in a file",
            )?;
            Place::Keystore
        }
    })
}

/// Writes what is missing of the files; the passwords in them.
pub(super) fn write(answers: &Answers, files: &Files) -> anyhow::Result<Secrets> {
    let service_password = files.services("db.password");
    let owner_password = files.owners("owner.password");
    let secrets = Secrets {
        owner: files.password_once(&owner_password, false)?,
        service: files.password_once(&service_password, true)?,
    };
    files.key_once(&files.services("sealing.key"))?;
    if matches!(answers.place, Place::Keystore) {
        files.key_once(&files.services("keystore.key"))?;
    }
    files.write_once(&files.services("policy.cedar"), POLICY, true)?;
    let config = configuration(answers, files)?;
    files.write_once(&files.services("config.toml"), &config, true)?;

    let url = url_of(&answers.admin_url, OWNER_ROLE, &answers.database)?;
    let plain = answers.accept_plain_loopback;
    let owners = format!(
        "# The owner's way into the database: for chancery migrate, which looks at nothing else.\n\
         custody = {{}}\n\
         ledger = {{ url = {}, password_file = {}, accept_plain_loopback = {plain} }}\n\
         sealing = {{ key_file = \"/dev/null\" }}\n\
         policy = {{ file = \"/dev/null\" }}\n",
        quoted(&url),
        path(&owner_password),
    );
    files.write_once(&files.owners("migrate.toml"), &owners, false)?;
    Ok(secrets)
}

/// A text as TOML has it, which is as JSON has it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// The configuration. What is not in it has its default: `deploy/config.example.toml` shows all.
fn configuration(answers: &Answers, files: &Files) -> anyhow::Result<String> {
    let mut text = String::from(
        "# Written by chancery init. deploy/config.example.toml shows every setting; chancery doctor looks at this.\n\n",
    );
    let mut say = |line: String| text.push_str(&(line + "\n"));
    say("[http]".into());
    say(format!("listen = \"{}\"", answers.listen));
    let hosts: Vec<String> = answers.hosts.iter().map(|it| quoted(it)).collect();
    say(format!("hosts = [{}]", hosts.join(", ")));
    if let Some((certificate, key)) = &answers.tls {
        say(format!(
            "tls = {{ certificate = {}, key = {} }}",
            path(certificate),
            path(key)
        ));
    }
    say("\n[ledger]".into());
    let url = url_of(&answers.admin_url, SERVICE_ROLE, &answers.database)?;
    say(format!("url = {}", quoted(&url)));
    say(format!(
        "password_file = {}",
        path(&files.services("db.password"))
    ));
    if answers.accept_plain_loopback {
        say("accept_plain_loopback = true".into());
    }
    say("\n[sealing]".into());
    say(format!(
        "key_file = {}",
        path(&files.services("sealing.key"))
    ));
    if let Some(checkpoints) = &answers.checkpoints {
        say("\n[evidence]".into());
        say(checkpoints.line());
    }
    say("\n[policy]".into());
    say(format!("file = {}", path(&files.services("policy.cedar"))));
    say("\n[approvals]".into());
    say("# Until approvers are registered (chancery people bootstrap); then false.".into());
    say("single_operator = true".into());
    say(format!("\n[custody.{}]", answers.place.section()));
    match &answers.place {
        Place::Pkcs11 {
            module,
            token_label,
            pin_file,
        } => {
            let made = files.services("hsm.pin");
            say("kind = \"pkcs11\"".into());
            say(format!("module = {}", path(module)));
            say(format!("token_label = {}", quoted(token_label)));
            say(format!(
                "pin_file = {}",
                path(pin_file.as_ref().unwrap_or(&made))
            ));
        }
        Place::AwsKms { region } => {
            say("kind = \"aws-kms\"".into());
            say(format!("region = {}", quoted(region)));
        }
        Place::Keystore => {
            say("kind = \"sealed\"".into());
            say(format!(
                "master_key_file = {}",
                path(&files.services("keystore.key"))
            ));
            say("accept_keys_in_software = true".into());
        }
    }
    Ok(text)
}

/// How a ledger is reached by a URL.
pub(super) fn ledger(url: &str, plain: bool) -> anyhow::Result<ledger::Settings> {
    let mut text = String::new();
    writeln!(text, "url = {}", quoted(url))?;
    writeln!(text, "accept_plain_loopback = {plain}")?;
    writeln!(text, "connections = 2")?;
    Ok(toml::from_str(&text)?)
}

/// The same servers, as another role, in another database, and without a password. There may be several hosts, which
/// is no URL to others.
fn url_of(admin: &str, role: &str, database: &Name) -> anyhow::Result<String> {
    let (scheme, rest) = admin.split_once("://").context("--admin-url is no URL")?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = rest.split_once('/').map_or(rest, |it| it.0);
    let hosts = authority.rsplit_once('@').map_or(authority, |it| it.1);
    let user = format!("user={role}");
    let of_admin = |it: &&str| {
        let name = it.split_once('=').map_or(*it, |it| it.0);
        it.is_empty() || matches!(name, "user" | "password" | "dbname")
    };
    let kept = query.split('&').filter(|it| !of_admin(it));
    let query: Vec<&str> = kept.chain(hosts.is_empty().then_some(&*user)).collect();
    let role = if hosts.is_empty() {
        String::new()
    } else {
        format!("{role}@")
    };
    let question = if query.is_empty() { "" } else { "?" };
    let query = query.join("&");
    Ok(format!(
        "{scheme}://{role}{hosts}/{database}{question}{query}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence;

    #[test]
    fn checkpoints_go_to_the_bucket_that_is_named() {
        let bucket = |text: &str| text.parse::<Bucket>();
        for wrong in ["log", "s3://", "s3:///log", "https://b/log"] {
            assert!(bucket(wrong).is_err(), "{wrong}");
        }
        for (url, object) in [
            ("s3://evidence/prod/\"log\"", "prod/\"log\""),
            ("s3://evidence", "checkpoint"),
        ] {
            let line = Checkpoints::Bucket {
                bucket: bucket(url).unwrap(),
                region: "eu-west-1".into(),
                endpoint_url: None,
            }
            .line();
            let read: evidence::Settings = toml::from_str(&line).unwrap();
            let read = read.checkpoint_bucket.unwrap();
            assert_eq!((&*read.name, &*read.object), ("evidence", object));
            assert_eq!((&*read.region, read.endpoint_url), ("eu-west-1", None));
        }
    }

    #[test]
    fn a_role_is_led_to_the_same_server_without_anybodys_password() {
        let database = "chancery".parse().unwrap();
        for (admin, wanted) in [
            (
                "postgres://admin:hunter2@db.example:5433/postgres?sslmode=verify-full&sslrootcert=/ca.pem",
                "postgres://chancery_service@db.example:5433/chancery?sslmode=verify-full&sslrootcert=/ca.pem",
            ),
            (
                "postgres:///postgres?host=/run/postgresql&user=postgres&password=hunter2",
                "postgres:///chancery?host=/run/postgresql&user=chancery_service",
            ),
            (
                "postgres://postgres@%2Frun%2Fpostgresql/postgres",
                "postgres://chancery_service@%2Frun%2Fpostgresql/chancery",
            ),
            (
                "postgres://admin:h%40nter2@db-1,db-2:5433/postgres?password=x&sslmode=verify-full",
                "postgres://chancery_service@db-1,db-2:5433/chancery?sslmode=verify-full",
            ),
            (
                "postgres://[::1]:5432",
                "postgres://chancery_service@[::1]:5432/chancery",
            ),
        ] {
            assert_eq!(url_of(admin, SERVICE_ROLE, &database).unwrap(), wanted);
        }
    }
}
