//! The installed Postgres server: where its programs are, and as whom they may run.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

use crate::environment;

/// The oldest version that the ledger is tested on.
const OLDEST: u32 = 14;

/// Folders that hold a `bin` for each version: the folder, how a version's name starts, what follows it.
/// Debian and Ubuntu; PGDG on RPM systems; openSUSE; Alpine; Homebrew on Apple silicon and on Intel.
const VERSIONED: [(&str, &str, &str); 6] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/lib", "postgresql", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
];

/// Folders that hold one version. Fedora and Arch; built from source.
const SINGLE: [&str; 3] = ["/usr/bin", "/usr/local/bin", "/usr/local/pgsql/bin"];

/// The variable that names the folder of the server's programs, for who has several.
const BIN: &str = "CHANCERY_POSTGRES_BIN";

/// Settings of a caller's `psql` that the server's programs would take for their own.
const FOREIGN: [&str; 6] = [
    "PGDATA",
    "PGPORT",
    "PGTZ",
    "PGDATESTYLE",
    "PGCLIENTENCODING",
    "PGOPTIONS",
];

/// The server's programs, and the user they run as.
#[derive(Debug)]
pub(super) struct Server {
    bin: PathBuf,
    /// The major version.
    version: u32,
    account: Option<Account>,
    /// Whether `setpriv` can tie a child's life to ours (util-linux does, on Linux).
    ties: bool,
}

/// Whom root steps down to: Postgres refuses to run as root.
#[derive(Debug, Clone)]
struct Account {
    name: &'static str,
    uid: u32,
    gid: u32,
}

impl Server {
    /// Finds the newest server, or the one of the version that made `pg`.
    pub(super) fn find(pg: &Path) -> Result<Self> {
        let wanted = match std::fs::read_to_string(pg.join("PG_VERSION")) {
            Ok(text) => Some(text.trim().parse().context("PG_VERSION is not a number")?),
            Err(_) => None,
        };
        let found = installed();
        let (version, bin) = choose(&found, wanted).with_context(|| match wanted {
            Some(wanted) => format!(
                "the cluster in {} was made by PostgreSQL {wanted}, whose server is not installed: \
                 install it again (Debian, Ubuntu: postgresql-{wanted}), or use another data directory",
                pg.display()
            ),
            None => missing(&found),
        })?;
        let account = if rustix::process::geteuid().is_root() {
            Some(Account::find()?)
        } else {
            None
        };
        Ok(Self {
            bin,
            version,
            account,
            ties: succeeds(Command::new("setpriv").args(["--pdeathsig", "INT", "true"])),
        })
    }

    /// The major version.
    pub(super) fn version(&self) -> u32 {
        self.version
    }

    /// The user id that everything of the cluster belongs to.
    pub(super) fn uid(&self) -> u32 {
        self.account
            .as_ref()
            .map_or_else(|| rustix::process::geteuid().as_raw(), |a| a.uid)
    }

    /// A directory for that user alone, made if missing.
    pub(super) fn private_dir(&self, path: &Path) -> Result<()> {
        if !path.is_dir() {
            std::fs::create_dir(path)
                .with_context(|| format!("cannot make the directory {}", path.display()))?;
        }
        std::fs::set_permissions(path, Permissions::from_mode(0o700))?;
        if let Some(Account { uid, gid, .. }) = self.account {
            chown(path, Some(uid), Some(gid))?;
        }
        Ok(())
    }

    /// Refuses a directory that the user cannot get to, and says which parent is in the way.
    pub(super) fn check_way_to(&self, dir: &Path) -> Result<()> {
        let Some(account) = &self.account else {
            return Ok(());
        };
        let script = r#"for dir; do test -x "$dir" || { printf %s "$dir"; exit 1; }; done"#;
        let mut parents: Vec<&Path> = dir.ancestors().collect();
        parents.reverse();
        let mut check = self.run_as("sh".as_ref(), None);
        let output = check.args(["-c", script, "sh"]).args(parents).output()?;
        if output.status.success() {
            return Ok(());
        }
        bail!(
            "the user {} cannot pass through {}, and PostgreSQL, which does not run as root, runs as \
             that user: choose a --data-dir elsewhere (/var/lib/chancery), or allow it with chmod a+x{}",
            account.name,
            String::from_utf8_lossy(&output.stdout),
            explain(&output.stderr),
        )
    }

    /// One of the server's programs, to run as the right user.
    pub(super) fn program(&self, name: &str) -> Command {
        self.run_as(&self.bin.join(name), None)
    }

    /// The same, for a program that is sent `SIGINT` when the *thread* that started it ends.
    pub(super) fn tied_program(&self, name: &str) -> Command {
        self.run_as(&self.bin.join(name), self.ties.then_some("INT"))
    }

    fn run_as(&self, program: &Path, signal: Option<&str>) -> Command {
        let mut command = if self.account.is_some() || signal.is_some() {
            let mut setpriv = Command::new("setpriv");
            if let Some(Account { uid, gid, .. }) = self.account {
                setpriv.arg(format!("--reuid={uid}"));
                setpriv.arg(format!("--regid={gid}")).arg("--init-groups");
            }
            if let Some(signal) = signal {
                setpriv.args(["--pdeathsig", signal]);
            }
            setpriv.arg("--").arg(program);
            setpriv
        } else {
            Command::new(program)
        };
        for name in FOREIGN {
            command.env_remove(name);
        }
        // The current directory may be closed to that user.
        command
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::null());
        command
    }
}

impl Account {
    fn find() -> Result<Self> {
        for name in ["postgres", "chancery"] {
            if let (Some(uid), Some(gid)) = (id("-u", name), id("-g", name)) {
                return Ok(Self { name, uid, gid });
            }
        }
        bail!(
            "PostgreSQL does not run as root, and there is neither a user postgres nor a user \
             chancery to step down to: make one (useradd --system chancery), or run this as an \
             ordinary user"
        )
    }
}

/// Runs `command`, feeds it `input`, and turns a failure into what it said.
pub(super) fn run(command: &mut Command, input: &str) -> Result<()> {
    let name = command.get_program().to_owned();
    let starting = || format!("cannot start {}", name.display());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(starting)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ended early says why on stderr.
        let _ = stdin.write_all(input.as_bytes());
    }
    let Output { status, stderr, .. } = child.wait_with_output().with_context(starting)?;
    if !status.success() {
        bail!("{command:?} failed ({status}){}", explain(&stderr));
    }
    Ok(())
}

fn explain(stderr: &[u8]) -> String {
    match String::from_utf8_lossy(stderr).trim() {
        "" => String::new(),
        text => format!(": {text}"),
    }
}

/// Every server that is installed: version and folder, the one `pg_config` names first. Where the environment says
/// which one it is to be, that one.
fn installed() -> Vec<(u32, PathBuf)> {
    versions(environment::variable(BIN).map_or_else(places, |bin| vec![bin.into()]))
}

fn places() -> Vec<PathBuf> {
    let mut places = Vec::new();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        places.push(PathBuf::from(
            String::from_utf8_lossy(&output.stdout).trim(),
        ));
    }
    for (folder, prefix, rest) in VERSIONED {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                places.push(entry.path().join(rest));
            }
        }
    }
    places.extend(SINGLE.map(PathBuf::from));
    places
}

fn versions(places: Vec<PathBuf>) -> Vec<(u32, PathBuf)> {
    places
        .into_iter()
        .filter(|bin| bin.join("initdb").exists() && bin.join("pg_ctl").exists())
        .filter_map(|bin| {
            let output = Command::new(bin.join("postgres")).arg("--version").output();
            let version = major(&String::from_utf8_lossy(&output.ok()?.stdout))?;
            Some((version, bin))
        })
        .collect()
}

/// The major version in `postgres (PostgreSQL) 17.5 (Debian 17.5-1)`.
fn major(text: &str) -> Option<u32> {
    let number = text.split("(PostgreSQL) ").nth(1)?;
    let end = number.find(|c: char| !c.is_ascii_digit());
    number[..end.unwrap_or(number.len())].parse().ok()
}

/// The wanted version, or the newest that is not too old; the first among equals.
fn choose(found: &[(u32, PathBuf)], wanted: Option<u32>) -> Option<(u32, PathBuf)> {
    let fits = |version: u32| wanted.map_or(version >= OLDEST, |wanted| version == wanted);
    let fitting = found.iter().filter(|(version, _)| fits(*version));
    fitting.rev().max_by_key(|(version, _)| *version).cloned()
}

fn missing(found: &[(u32, PathBuf)]) -> String {
    let what = match found.iter().map(|(version, _)| version).max() {
        Some(version) => format!("PostgreSQL {version} is installed, which is too old"),
        None => "the PostgreSQL server is not installed".to_owned(),
    };
    format!(
        "{what}: install version {OLDEST} or newer (Debian, Ubuntu: apt-get install postgresql; \
         Fedora: dnf install postgresql-server; macOS: brew install postgresql@17)"
    )
}

fn id(flag: &str, user: &str) -> Option<u32> {
    let output = Command::new("id").args([flag, user]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.trim().parse().ok()
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests;
