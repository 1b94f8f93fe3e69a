//! The devices that are measured: each a section of the configuration, and a desk whose keys are in it.

use std::path::{Path, PathBuf};

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_kms::Client;
use chancery::cli::dev::SoftToken;
use secrecy::SecretString;
use serde_json::json;

use crate::kms_server::{MiniStack, REGION};
use crate::stage;

/// What is measured, if it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The `SoftHSM2` token of `chancery dev`.
    Token,
    /// The sealed keystore.
    Sealed,
    /// KMS, as tests have it.
    Kms,
    /// The token that the environment names.
    Second,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Token, Self::Sealed, Self::Kms, Self::Second];

    /// As rows call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Sealed => "sealed",
            Self::Kms => "kms",
            Self::Second => "second",
        }
    }

    /// What the names of its wallet, client and keys begin with.
    pub(crate) fn desk(self) -> &'static str {
        match self {
            Self::Token => "demo",
            Self::Sealed => "soft",
            Self::Kms => "kms",
            Self::Second => "second",
        }
    }

    /// How many signatures at once it is asked for by itself.
    pub(crate) fn at_once(self) -> &'static [usize] {
        match self {
            Self::Token | Self::Second => &[1, 2, 4],
            Self::Sealed => &[],
            Self::Kms => &[1, 4, 16],
        }
    }

    /// The name of the row that measures it by itself.
    pub(crate) fn raw_row(self, operation: &str, at_once: usize) -> String {
        let name = self.name();
        match self {
            Self::Kms => format!("Sign for {operation}, {name}, {at_once} at once"),
            _ => format!("C_Sign for {operation}, {name}, {at_once} sessions"),
        }
    }

    /// The sizes of the batches that it is asked for.
    ///
    /// None of the KMS: it answers some hundred calls a second, and a hundred orders on each of many
    /// connections would run out of time.
    pub(crate) fn batches(self) -> &'static [usize] {
        match self {
            Self::Kms => &[],
            _ => &[1, 15, 100],
        }
    }
}

/// One that is there.
pub(crate) struct Device {
    pub(crate) kind: Kind,
    /// The name of its section.
    pub(crate) backend: &'static str,
    /// What the configuration lacks.
    pub(crate) section: String,
    pub(crate) raw: Raw,
}

/// How it is asked without the service.
pub(crate) enum Raw {
    Pkcs11(Token),
    Kms(Kms),
    /// It is in the service itself.
    Nothing,
}

/// A token.
pub(crate) struct Token {
    pub(crate) module: PathBuf,
    pub(crate) label: String,
    pub(crate) pin: SecretString,
}

/// KMS, for as long as this lives.
pub(crate) struct Kms {
    pub(crate) client: Client,
    _server: MiniStack,
}

impl Device {
    /// Gets it ready, or says why it is left out.
    pub(crate) async fn prepare(kind: Kind, dir: &Path) -> anyhow::Result<Option<Self>> {
        let prepared = match kind {
            Kind::Token => token(dir)?,
            Kind::Sealed => Ok(sealed(dir)),
            Kind::Kms => kms().await,
            Kind::Second => second()?,
        };
        if let Err(why) = &prepared {
            println!("skipped: {}: {why}", kind.name());
        }
        Ok(prepared.ok())
    }
}

/// The device, or why there is none.
type Prepared = Result<Device, String>;

fn token(dir: &Path) -> anyhow::Result<Prepared> {
    if !stage::softhsm_conf(dir).exists() {
        return Ok(Err("there is no SoftHSM2".to_owned()));
    }
    let token = SoftToken::prepare(dir)?;
    Ok(Ok(Device {
        kind: Kind::Token,
        backend: "dev",
        section: String::new(),
        raw: Raw::Pkcs11(Token {
            module: token.module,
            label: token.label.to_owned(),
            pin: std::fs::read_to_string(token.pin_file)?.into(),
        }),
    }))
}

/// Without a token, `chancery dev` has one already.
fn sealed(dir: &Path) -> Device {
    let (backend, section) = if stage::softhsm_conf(dir).exists() {
        let master = json!(dir.join("keystore.key"));
        let section = format!(
            "\n[custody.soft]\nkind = \"sealed\"\nmaster_key_file = {master}\naccept_keys_in_software = true\n"
        );
        ("soft", section)
    } else {
        ("dev", String::new())
    };
    Device {
        kind: Kind::Sealed,
        backend,
        section,
        raw: Raw::Nothing,
    }
}

/// The pace keeps an account's quota. There is none here, and it must not be what is measured; nor
/// must the end of a short patience.
async fn kms() -> Prepared {
    let server = MiniStack::start().await?;
    let url = json!(server.url);
    let section = format!(
        "\n[custody.kms]\nkind = \"aws-kms\"\nregion = \"{REGION}\"\nendpoint_url = {url}\n\
         ecc_per_second = 1000000\nrsa_per_second = 1000000\nqueue = 100000\n\
         attempt_timeout_ms = 3000\ntimeout_ms = 6000\n"
    );
    let host = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .endpoint_url(&server.url)
        .retry_config(RetryConfig::disabled())
        .load()
        .await;
    Ok(Device {
        kind: Kind::Kms,
        backend: "kms",
        section,
        raw: Raw::Kms(Kms {
            client: Client::new(&host),
            _server: server,
        }),
    })
}

fn second() -> anyhow::Result<Prepared> {
    let variable = |name| std::env::var_os(name)?.into_string().ok();
    let (Some(module), Some(label), Some(pin_file)) = (
        variable("PKCS11_MODULE"),
        variable("TOKEN_LABEL"),
        variable("PIN_FILE"),
    ) else {
        let why = "the environment has no PKCS11_MODULE, TOKEN_LABEL and PIN_FILE";
        return Ok(Err(why.to_owned()));
    };
    let section = format!(
        "\n[custody.second]\nkind = \"pkcs11\"\nmodule = {}\ntoken_label = {}\npin_file = {}\n",
        json!(module),
        json!(label),
        json!(pin_file),
    );
    let pin = std::fs::read_to_string(pin_file)?;
    Ok(Ok(Device {
        kind: Kind::Second,
        backend: "second",
        section,
        raw: Raw::Pkcs11(Token {
            module: module.into(),
            label,
            pin: pin.trim_end_matches('\n').into(),
        }),
    }))
}
