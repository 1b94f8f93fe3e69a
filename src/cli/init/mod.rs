//! `chancery init`: from a Postgres and a device to a service that can be started.
//!
//! What flags do not say is asked on a terminal. Each step leaves alone what is there already, so that a run that
//! was cut off, or refused by the database, goes on where it was when it is made once more.

mod ask;
mod files;
mod settings;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use secrecy::SecretString;

use super::destination::Destination;
use super::{ConfigFile, callers, doctor, migrate, print_line, remark};
use crate::app::App;
use crate::callers::NewCaller;
use crate::config::Config;
use crate::custody::pkcs11::Pkcs11;
use crate::guarded_file;
use crate::ledger::{Ledger, SERVICE_ROLE};
use crate::name::Name;
use ask::Asker;
use files::Files;
use settings::{Answers, Bucket};

/// The owner of the schema.
const OWNER_ROLE: &str = "chancery_owner";

/// Where the keys are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Device {
    /// A PKCS#11 token.
    Pkcs11,
    /// AWS KMS.
    AwsKms,
    /// The database, sealed: keys in software.
    Keystore,
}

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a flag for each thing that is to be accepted"
)]
pub(super) struct Options {
    /// Where the files go.
    #[arg(long, default_value = "/etc/chancery", value_name = "DIR")]
    dir: PathBuf,
    /// Where the owner's way into the database goes, which the service never reads.
    #[arg(long, default_value = "/root/chancery", value_name = "DIR")]
    owner_dir: PathBuf,
    /// Postgres, as who may make roles and databases: `postgres:///postgres?host=/run/postgresql&user=postgres`, or
    /// `postgres://NAME@HOST,HOST/postgres?sslmode=verify-full&sslrootcert=FILE`. It is used now and not kept.
    #[arg(long, value_name = "URL")]
    admin_url: Option<String>,
    /// The file with that one's password.
    #[arg(long, value_name = "FILE")]
    admin_password_file: Option<PathBuf>,
    /// Postgres on this machine's loopback may be spoken to in clear text: whoever may listen there gets the passwords.
    #[arg(long)]
    accept_plain_loopback: bool,
    /// The database that is made.
    #[arg(long, default_value = "chancery", value_name = "NAME")]
    database: Name,
    /// Where the keys are to be.
    #[arg(long, value_enum)]
    device: Option<Device>,
    /// pkcs11: its library.
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
    /// pkcs11: the token's label.
    #[arg(long, value_name = "LABEL")]
    token_label: Option<String>,
    /// pkcs11: the file with its user PIN.
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// pkcs11: initialize an empty slot as that token, with PINs that are made here.
    #[arg(long, conflicts_with = "pin_file")]
    make_token: bool,
    /// aws-kms: the region.
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// keystore: keys in software, in the database, are accepted.
    #[arg(long)]
    accept_keys_in_software: bool,
    /// One operator may loosen alone, until approvers are registered. There is no other way to begin.
    #[arg(long)]
    accept_single_operator: bool,
    /// Where the service listens.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// A name under which callers know the service; may be given often.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// The service's certificate, needed off loopback.
    #[arg(long, requires = "tls_key", value_name = "FILE")]
    tls_certificate: Option<PathBuf>,
    /// Its private key.
    #[arg(long, requires = "tls_certificate", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Where the newest checkpoint is published: a directory that the database's owner cannot write.
    #[arg(long, value_name = "FILE")]
    checkpoint_file: Option<PathBuf>,
    /// The bucket to which it is published in its place, and the object there: `s3://BUCKET/OBJECT`.
    #[arg(long, conflicts_with = "checkpoint_file", value_name = "URL")]
    checkpoint_bucket: Option<Bucket>,
    /// The bucket's region; that of --region unless it is given.
    #[arg(long, requires = "checkpoint_bucket", value_name = "REGION")]
    checkpoint_region: Option<String>,
    /// Where the bucket's store is, if that is not AWS.
    #[arg(long, requires = "checkpoint_bucket", value_name = "URL")]
    checkpoint_endpoint: Option<String>,
    /// The group of the user as whom the service runs: it may read the files.
    #[arg(long, default_value = "chancery", value_name = "GROUP")]
    group: String,
    /// The first operator.
    #[arg(long, default_value = "operator", value_name = "NAME")]
    operator: Name,
    /// Their desk or team.
    #[arg(long, default_value = "operations", value_name = "NAME")]
    operator_owner: Name,
}

/// Sets the service up.
pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
    let asker = Asker::new();
    let answers = Answers::of(options, &asker)?;
    let files = Files::new(&options.dir, &options.owner_dir, &options.group)?;

    let secrets = settings::write(&answers, &files)?;
    if options.make_token {
        make_token(&answers, &files).await?;
    }
    let admin = admin(options, &answers)?;
    provide(&admin, &answers, &secrets).await?;

    let owner = Config::load(&files.owners("migrate.toml"))?;
    let owner = App::ledger(&owner)?;
    reach(&owner, OWNER_ROLE, &answers).await?;
    migrate::apply(&owner).await?;
    owner.grant().await?;

    let config = Config::load(&files.services("config.toml"))?;
    reach(&App::ledger(&config)?, SERVICE_ROLE, &answers).await?;
    first_operator(options, &config, &files).await?;
    let file = ConfigFile {
        config: files.services("config.toml"),
    };
    let checked = doctor::run(&doctor::Options {
        file,
        json: false,
        invariants: false,
    })
    .await;
    explain(&files, &answers);
    checked
        .context("the configuration stands, and something is wrong with what it names: see above")
}

/// The way into the server as who may make roles and databases.
fn admin(options: &Options, answers: &Answers) -> anyhow::Result<Ledger> {
    let password = options.admin_password_file.as_ref().map(|file| {
        let text = guarded_file::read_secret(file);
        let text = text.with_context(|| format!("cannot read {}", file.display()))?;
        anyhow::Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
    });
    let settings = settings::ledger(&answers.admin_url, options.accept_plain_loopback)?;
    Ok(Ledger::open(&settings, password.transpose()?.as_ref())?)
}

/// Makes roles and database.
async fn provide(
    admin: &Ledger,
    answers: &Answers,
    secrets: &settings::Secrets,
) -> anyhow::Result<()> {
    let roles = [
        (OWNER_ROLE, &secrets.owner),
        (SERVICE_ROLE, &secrets.service),
    ];
    for (role, password) in roles {
        let made = admin.provide_role(role, password).await;
        made.with_context(|| {
            format!("cannot make the role {role}: is --admin-url somebody who may?")
        })?;
    }
    let name = answers.database.as_str();
    let made = admin.provide_database(name, OWNER_ROLE).await;
    if made.with_context(|| format!("cannot make the database {name}"))? {
        remark(&format!(
            "made the database {name}, its roles {OWNER_ROLE} and {SERVICE_ROLE}"
        ));
    }
    let inside = admin.in_database(name);
    inside.give_schema(OWNER_ROLE).await?;
    Ok(())
}

/// Whether a role gets in; what to tell Postgres where it does not.
async fn reach(ledger: &Ledger, role: &str, answers: &Answers) -> anyhow::Result<()> {
    let name = answers.database.as_str();
    let advice = format!(
        "{role} does not get into {name}. Where the server asks for no password, such as `peer` on a Unix socket, put \
         this line before the others of its pg_hba.conf, reload it, and run this again:\n\
         local {name} {OWNER_ROLE},{SERVICE_ROLE} scram-sha-256"
    );
    ledger.ping().await.context(advice)
}

/// Makes the token, with PINs that stand in files.
async fn make_token(answers: &Answers, files: &Files) -> anyhow::Result<()> {
    let settings::Place::Pkcs11 {
        module,
        token_label,
        ..
    } = &answers.place
    else {
        bail!("--make-token is for --device pkcs11");
    };
    if files.owners("token-is-made").exists() {
        return Ok(());
    }
    let so_pin = files.pin_once(&files.owners("hsm.so-pin"), false)?;
    let pin = files.pin_once(&files.services("hsm.pin"), true)?;
    let made = Pkcs11::init_token(module, so_pin, pin, token_label).await;
    made.with_context(|| format!("cannot make the token {token_label}"))?;
    files.write_once(&files.owners("token-is-made"), token_label, false)?;
    remark(&format!("made the token {token_label}"));
    Ok(())
}

/// Makes the first operator, once.
async fn first_operator(options: &Options, config: &Config, files: &Files) -> anyhow::Result<()> {
    let path = files.owners("operator.token");
    if path.exists() {
        return Ok(());
    }
    let destination = Destination::open(Some(&path))?;
    let new = NewCaller {
        name: options.operator.clone(),
        owner: options.operator_owner.clone(),
        roles: vec!["operator".parse()?, "registrar".parse()?],
        token_days: 30,
    };
    let token = callers::bootstrap(config, &new).await?;
    destination.write(&token)
}

/// What comes next.
fn explain(files: &Files, answers: &Answers) {
    let show = |path: &Path| path.display().to_string();
    let config = show(&files.services("config.toml"));
    let token = show(&files.owners("operator.token"));
    let scheme = if answers.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let listen = answers.listen;
    print_line(&format!(
        "\nThe service is set up. Start it, then make a key and a wallet:\n\n\
         \x20   systemctl enable --now chancery      # or: chancery serve --config {config}\n\
         \x20   export CHANCERY_URL={scheme}://{listen} CHANCERY_TOKEN_FILE={token}\n\
         \x20   chancery keys create desk-1-wallet --purpose wallet --backend {device} --environment prod --owner desk-1\n\n\
         {keep}\n\
         Then have others approve what loosens: deploy/guide/approvals.md.",
        device = answers.place.section(),
        keep = format_args!(
            "Keep copies of {} and of the files in {} apart from the database's backups: without the sealing key the\nservice does not start.",
            show(&files.services("sealing.key")),
            show(files.owner_dir()),
        ),
    ));
}
