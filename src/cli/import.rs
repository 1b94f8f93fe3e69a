//! `chancery keys import`: brings a private key to a device, wrapped before it leaves this process.
//!
//! The key is read from a file or a pipe, never from the command line, which other users see. Its bytes
//! are in buffers that are wiped, and go nowhere else but, wrapped, to the service.

use std::fs::File;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::client::Service;
use super::keys::NewKey;
use super::{print_json, remark};
use crate::custody::{Material, PublicKey, Scheme, wrapping};

/// More than any key needs.
const LIMIT: u64 = 64 * 1024;

#[derive(Debug, Args)]
pub(super) struct Import {
    #[command(flatten)]
    wanted: NewKey,
    /// The address or fingerprint that the key has to have. Then nothing is asked.
    #[arg(long, value_name = "ADDRESS|FINGERPRINT")]
    expected: Option<String>,
    /// The file with the private key: 64 hexadecimal digits, or PEM (PKCS#8, SEC1 or PKCS#1).
    #[arg(long, conflicts_with = "stdin")]
    file: Option<PathBuf>,
    /// Read the private key from standard input, which is what is done without --file.
    #[arg(long)]
    stdin: bool,
    /// Take the key whose address is shown, without asking.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    service: Service,
}

impl Import {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let text = match &self.file {
            Some(file) => read_file(file)?,
            None => read_stdin()?,
        };
        let material = Material::read(&text)?;
        drop(text);
        let announced = material.public_key().clone();
        self.agree(&announced)?;

        let client = self.service.client()?;
        let mut begin = json!(self.wanted);
        begin["public_key"] = announced.to_pem().into();
        let offer = client.post("/v1/keys/import", &begin).await?;
        let wrapped = wrap(&offer, &material)?;
        drop(material);
        let path = format!("/v1/keys/{}/material", self.wanted.name);
        let body = json!({ "wrapped": wrapped });
        let imported = client.post(&path, &body).await.context(
            "the key is on record and not in its device; the same command again brings it",
        )?;
        print_json(&imported)?;
        let there = imported["pem"].as_str().unwrap_or_default();
        ensure!(
            PublicKey::from_pem(there).as_ref() == Ok(&announced),
            "the device shows ANOTHER key than the one that was brought: do not activate it"
        );
        remark(&format!(
            "The device holds it: {}. Destroy the other copies, then: chancery keys step {} active --reason …",
            identity(&announced),
            self.wanted.name
        ));
        Ok(())
    }

    /// Shows which key it is, and has that agreed to before anything is sent.
    fn agree(&self, announced: &PublicKey) -> anyhow::Result<()> {
        remark(&format!("This is the key of {}.", identity(announced)));
        if let Some(expected) = &self.expected {
            ensure!(
                announced.is(expected),
                "it is not {expected}, which is expected; nothing was sent"
            );
            return Ok(());
        }
        if self.yes {
            return Ok(());
        }
        let asked = File::options().read(true).write(true).open("/dev/tty");
        let Ok(mut terminal) = asked else {
            bail!("there is nobody to ask whether it is the right one: give --expected, or --yes");
        };
        write!(terminal, "Bring it to {}? [y/N] ", self.wanted.backend)?;
        let mut answer = String::new();
        BufReader::new(terminal).read_line(&mut answer)?;
        ensure!(
            matches!(answer.trim(), "y" | "Y" | "yes"),
            "nothing was sent"
        );
        Ok(())
    }
}

fn identity(key: &PublicKey) -> String {
    let fingerprint = hex::encode(key.fingerprint());
    match key.address() {
        Some(address) => format!("address {address} (fingerprint {fingerprint})"),
        None => format!("fingerprint {fingerprint}"),
    }
}

fn wrap(offer: &Value, material: &Material) -> anyhow::Result<String> {
    let scheme: Scheme = serde_json::from_value(offer["scheme"].clone())
        .context("the service offers a scheme that this program does not know")?;
    let wrapping_key = offer["wrapping_key"].as_str().unwrap_or_default();
    let wrapping_key = STANDARD.decode(wrapping_key)?;
    let wrapped = wrapping::wrap(scheme, &wrapping_key, material.pkcs8())?;
    Ok(STANDARD.encode(wrapped))
}

fn read_file(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        remark(&format!(
            "warning: others can read {} (mode {:o}): count the key as known to them",
            path.display(),
            mode & 0o777
        ));
    }
    read(file)
}

/// Without the library's buffer, which nobody wipes.
fn read_stdin() -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        bail!("a key typed here would stay on the screen: give --file, or pipe it in");
    }
    read(File::from(stdin.as_fd().try_clone_to_owned()?))
}

fn read(file: File) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    // One allocation, so that no copy is left behind.
    let capacity = usize::try_from(LIMIT)? + 64;
    let mut text = Zeroizing::new(Vec::with_capacity(capacity));
    let read = file.take(LIMIT + 1).read_to_end(&mut text)?;
    ensure!(read > 0, "there is no key: the file is empty");
    ensure!(u64::try_from(read)? <= LIMIT, "this is too long for a key");
    Ok(text)
}
