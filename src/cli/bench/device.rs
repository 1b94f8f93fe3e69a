//! The devices that are measured: each a section of the configuration.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::dev::SoftToken;
use crate::environment;

/// What is measured, if it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Kind {
    /// The `SoftHSM2` token of `chancery dev`
    Token,
    /// The sealed keystore
    Sealed,
    /// The KMS at --kms-endpoint, which is an emulated one
    Kms,
    /// The token that --module, --token-label and --pin-file name
    Second,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Token, Self::Sealed, Self::Kms, Self::Second];

    /// As rows call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Sealed => "sealed",
            Self::Kms => "kms",
            Self::Second => "second",
        }
    }

    /// What the names of its wallet, clients and keys begin with.
    pub(super) fn desk(self) -> &'static str {
        match self {
            Self::Token => "demo",
            Self::Sealed => "soft",
            Self::Kms => "kms",
            Self::Second => "second",
        }
    }

    /// How many signatures at once it is asked for by itself.
    pub(super) fn at_once(self, cores: usize) -> Vec<usize> {
        let mut at_once = match self {
            Self::Token | Self::Second => vec![1, cores, 2 * cores],
            Self::Sealed => Vec::new(),
            Self::Kms => vec![1, 4, 16],
        };
        at_once.dedup();
        at_once
    }

    /// The name of the row that measures it by itself.
    pub(super) fn raw_row(self, operation: &str, at_once: usize) -> String {
        let name = self.name();
        match self {
            Self::Kms => format!("Sign for {operation}, {name}, {at_once} at once"),
            _ => format!("C_Sign for {operation}, {name}, {at_once} sessions"),
        }
    }

    /// Whether batches are asked of it. An emulated KMS answers some hundred calls a second, and many
    /// orders on each of many connections would run out of time.
    pub(super) fn takes_batches(self) -> bool {
        self != Self::Kms
    }
}

/// Where the devices are that nobody finds by himself.
#[derive(Debug, clap::Args)]
pub(super) struct Elsewhere {
    /// An emulated KMS, at which keys are made under credentials that are good for nothing else. A real
    /// one is measured as it is used: by --url.
    #[arg(long, value_name = "URL")]
    kms_endpoint: Option<String>,
    /// The PKCS#11 module of --backend second; also `PKCS11_MODULE`
    #[arg(long, value_name = "FILE", requires = "token_label")]
    module: Option<PathBuf>,
    /// Its token's label; also `TOKEN_LABEL`
    #[arg(long, value_name = "LABEL", requires = "pin_file")]
    token_label: Option<String>,
    /// The file with its user PIN; also `PIN_FILE`
    #[arg(long, value_name = "FILE", requires = "module")]
    pin_file: Option<PathBuf>,
}

/// One that is there.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) kind: Kind,
    /// The name of its section.
    pub(super) backend: &'static str,
    /// What the configuration of `chancery dev` lacks.
    pub(super) section: String,
}

impl Device {
    /// Says what it is configured by, or why it is left out.
    pub(super) fn find(kind: Kind, dir: &Path, elsewhere: &Elsewhere) -> Result<Self, String> {
        let has_token = SoftToken::conf_in(dir).exists();
        let (backend, section) = match kind {
            Kind::Token if has_token => ("dev", String::new()),
            Kind::Token => return Err("there is no SoftHSM2".to_owned()),
            // Without a token, `chancery dev` has a keystore already.
            Kind::Sealed if has_token => ("soft", sealed(dir)),
            Kind::Sealed => ("dev", String::new()),
            Kind::Kms => ("kms", kms(elsewhere)?),
            Kind::Second => ("second", second(elsewhere)?),
        };
        Ok(Self {
            kind,
            backend,
            section,
        })
    }
}

fn sealed(dir: &Path) -> String {
    let master = json!(dir.join("keystore.key"));
    format!(
        "\n[custody.soft]\nkind = \"sealed\"\nmaster_key_file = {master}\naccept_keys_in_software = true\n"
    )
}

/// The pace keeps an account's quota. There is none here, and it must not be what is measured; nor
/// must the end of a short patience.
fn kms(elsewhere: &Elsewhere) -> Result<String, String> {
    let url = elsewhere.kms_endpoint.as_ref();
    let url = json!(url.ok_or("--kms-endpoint names none")?);
    Ok(format!(
        "\n[custody.kms]\nkind = \"aws-kms\"\nregion = \"us-east-1\"\nendpoint_url = {url}\n\
         ecc_per_second = 1000000\nrsa_per_second = 1000000\nqueue = 100000\n\
         attempt_timeout_ms = 3000\ntimeout_ms = 6000\n"
    ))
}

fn second(elsewhere: &Elsewhere) -> Result<String, String> {
    let path = |given: &Option<PathBuf>, name| {
        let given = given
            .clone()
            .or_else(|| environment::variable(name).map(PathBuf::from));
        given.map(|it| std::path::absolute(&it).unwrap_or(it))
    };
    let module = path(&elsewhere.module, "PKCS11_MODULE");
    let pin_file = path(&elsewhere.pin_file, "PIN_FILE");
    let label = elsewhere.token_label.clone();
    let label = label.or_else(|| environment::variable("TOKEN_LABEL"));
    let (Some(module), Some(label), Some(pin_file)) = (module, label, pin_file) else {
        let why = "--module, --token-label and --pin-file name none";
        return Err(why.to_owned());
    };
    Ok(format!(
        "\n[custody.second]\nkind = \"pkcs11\"\nmodule = {}\ntoken_label = {}\npin_file = {}\n",
        json!(module),
        json!(label),
        json!(pin_file),
    ))
}
