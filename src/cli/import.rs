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
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::client::Service;
use super::key_place::{self, KeyPlace};
use super::{print_json, remark};
use crate::attestation;
use crate::custody::{BadMaterial, Material, PublicKey, Scheme, wrapping};
use crate::guarded_file;
use crate::keys::{self, WrappedKey};

/// More than any key needs.
const LIMIT: u64 = 64 * 1024;

#[derive(Debug, Args)]
pub(super) struct Import {
    #[command(flatten)]
    place: KeyPlace,
    /// The address or fingerprint that the key has to have. Then nothing is asked.
    #[arg(long, value_name = "ADDRESS|FINGERPRINT")]
    expected: Option<String>,
    /// The file with the private key: 64 hexadecimal digits, PEM or DER (PKCS#8, SEC1, PKCS#1), a JWK, or
    /// a keystore of version 3.
    #[arg(long, conflicts_with = "stdin")]
    file: Option<PathBuf>,
    /// Read the private key from standard input, which is what is done without --file.
    #[arg(long)]
    stdin: bool,
    /// The file with the password of a keystore. Without it somebody is asked.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Take the key whose address is shown, without asking.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    trust: WrappingKeyTrust,
    #[command(flatten)]
    service: Service,
}

/// Whose the key is that the private key is wrapped under. Whoever answers names one: it has to be the
/// device's.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct WrappingKeyTrust {
    /// The public key, as PEM, of the key for checkpoints that has to have signed the offer.
    #[arg(long, value_name = "FILE")]
    statement_key: Option<PathBuf>,
    /// The SHA-256 of the wrapping key, as the service's own log has it.
    #[arg(long, value_name = "SHA256")]
    wrapping_key_fingerprint: Option<String>,
    /// Wrap for whoever answers. They get the key.
    #[arg(long)]
    accept_wrapping_key: bool,
}

impl WrappingKeyTrust {
    /// Wrapping keys that are not shown to be the device's get nothing.
    fn check(&self, offer: &Value, again: &str) -> anyhow::Result<()> {
        let key = STANDARD.decode(offer["wrapping_key"].as_str().unwrap_or_default())?;
        let fingerprint = hex::encode(Sha256::digest(key));
        if self.accept_wrapping_key {
            remark(&format!(
                "warning: wrapped for whoever holds {fingerprint}, which nothing shows to be the device"
            ));
            return Ok(());
        }
        if let Some(file) = &self.statement_key {
            let pem = guarded_file::read_rules(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            let signer = PublicKey::from_pem(&pem)
                .with_context(|| format!("{} is no public key in PEM", file.display()))?;
            ensure!(
                !offer["statement"].is_null(),
                "the service has not signed its offer: it has no active key for checkpoints in this environment. Nothing was sent"
            );
            attestation::check_offer(&offer["statement"], &signer, offer)
                .context("the offer is not the service's; nothing was sent")?;
            return Ok(());
        }
        if let Some(expected) = &self.wrapping_key_fingerprint {
            let expected = expected.replace(':', "").to_ascii_lowercase();
            ensure!(
                expected == fingerprint,
                "the wrapping key is {fingerprint}, which is not the one that is expected; nothing was sent"
            );
            return Ok(());
        }
        remark(&format!(
            "It is to be wrapped under the key {fingerprint}.\n\
             Whoever holds that key gets yours. The log of the service has the fingerprint (\"an offer stands\"): compare."
        ));
        let is_theirs = agreed("Is it the same? [y/N] ").with_context(|| {
            format!("the wrapping key is not shown to be the device's: give --statement-key, or compare and then {again} --wrapping-key-fingerprint {fingerprint}")
        })?;
        ensure!(is_theirs, "nothing was sent");
        Ok(())
    }
}

/// Asks on the terminal, which standard input need not be.
fn agreed(question: &str) -> anyhow::Result<bool> {
    let asked = File::options().read(true).write(true).open("/dev/tty");
    let Ok(mut terminal) = asked else {
        bail!("there is nobody to ask");
    };
    write!(terminal, "{question}")?;
    let mut answer = String::new();
    BufReader::new(terminal).read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Asks on the terminal for something that is not shown.
fn hidden(question: &str) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let asked = File::options().read(true).write(true).open("/dev/tty");
    let Ok(mut terminal) = asked else {
        bail!("there is nobody to ask");
    };
    let shown = tcgetattr(&terminal)?;
    let mut quiet = shown.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Flush, &quiet)?;
    write!(terminal, "{question}")?;
    let typed = read_line(&mut terminal);
    tcsetattr(&terminal, OptionalActions::Flush, &shown)?;
    writeln!(terminal)?;
    typed
}

/// Without the library's buffer, which nobody wipes.
fn read_line(terminal: &mut File) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(1024));
    let mut byte = Zeroizing::new([0]);
    while terminal.read(byte.as_mut())? == 1 && byte[0] != b'\n' {
        ensure!(
            line.len() < line.capacity(),
            "this is too long for a password"
        );
        line.push(byte[0]);
    }
    Ok(line)
}

impl Import {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let text = match &self.file {
            Some(file) => read_file(file)?,
            None => read_stdin()?,
        };
        let material = match Material::read(&text) {
            Err(BadMaterial::Locked) => Material::open_keystore(&text, &self.password()?)?,
            read => read?,
        };
        drop(text);
        let announced = material.public_key().clone();
        self.agree(&announced)?;

        let client = self.service.client()?;
        let place = &self.place;
        let begin = keys::Import {
            name: place.name.clone(),
            purpose: place.purpose,
            backend: place.backend.clone(),
            environment: place.environment.clone(),
            owner: place.owner.clone(),
            cryptoperiod_days: place.cryptoperiod_days,
            public_key: announced.to_pem(),
        };
        let offer = client.post("/v1/keys/import", &begin).await?;
        let again = format!(
            "the same command with --idempotency-key {}",
            client.idempotency_key()
        );
        self.trust.check(&offer, &again)?;
        let wrapped = wrap(&offer, &material)?;
        drop(material);
        let path = format!("/v1/keys/{}/material", self.place.name);
        let body = WrappedKey { wrapped };
        let imported = client.post(&path, &body).await.context(
            "the import is begun, and not on record as done; the same command again finishes it",
        )?;
        print_json(&imported)?;
        key_place::warn(&imported);
        let there = imported["pem"].as_str().unwrap_or_default();
        ensure!(
            PublicKey::from_pem(there).as_ref() == Ok(&announced),
            "the device shows ANOTHER key than the one that was brought: do not activate it"
        );
        remark(&format!(
            "The device holds it: {}. Destroy the other copies, then: chancery keys step {} active --reason …",
            identity(&announced),
            self.place.name
        ));
        Ok(())
    }

    /// The password of a keystore: from its file, without a line end, or from the terminal.
    fn password(&self) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        if let Some(file) = &self.password_file {
            let mut password = read_file(file)?;
            while password
                .last()
                .is_some_and(|it| matches!(it, b'\r' | b'\n'))
            {
                password.pop();
            }
            return Ok(password);
        }
        hidden("The keystore's password: ").context("it has a password: give --password-file")
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
        let question = format!("Bring it to {}? [y/N] ", self.place.backend);
        let is_right =
            agreed(&question).context("whether it is the right one: give --expected, or --yes")?;
        ensure!(is_right, "nothing was sent");
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
