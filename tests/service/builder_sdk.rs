//! The venue's own builder signing SDKs, from npm and `PyPI`, as clients of the remote protocol.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::skip;

/// What an SDK got from the service for each request, and what it made by itself.
pub(crate) fn javascript(asked: &Value) -> Option<Vec<Value>> {
    let wanted = source("package-lock.json");
    let dir = installed("builder-sdk-npm", &wanted, |dir| {
        for file in ["package.json", "package-lock.json", "headers.mjs"] {
            std::fs::copy(source(file), dir.join(file)).unwrap();
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        npm
    })?;
    std::fs::copy(source("headers.mjs"), dir.join("headers.mjs")).unwrap();
    let mut node = Command::new("node");
    node.arg("headers.mjs").current_dir(dir);
    Some(run(node, asked))
}

/// The same of the Python SDK.
pub(crate) fn python(asked: &Value) -> Option<Vec<Value>> {
    let wanted = source("requirements.txt");
    let dir = installed("builder-sdk-pypi", &wanted, |dir| {
        python_packages(dir, &wanted)
    })?;
    let mut python = Command::new("python3");
    python
        .arg(source("headers.py"))
        .env("PYTHONPATH", dir.join("packages"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Some(run(python, asked))
}

/// Installs Python packages into `packages`.
pub(crate) fn python_packages(dir: &Path, wanted: &Path) -> Command {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet"])
        .args([
            "--disable-pip-version-check",
            "--root-user-action",
            "ignore",
        ])
        .arg("--target")
        .arg(dir.join("packages"))
        .arg("-r")
        .arg(wanted);
    pip
}

/// Installs beside the build, once for all tests and runs. `None`: it cannot, and that was said.
pub(crate) fn installed(
    name: &str,
    wanted: &Path,
    prepare: impl FnOnce(&Path) -> Command,
) -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&dir).unwrap();
    let lock = std::fs::File::create(dir.join("lock")).unwrap();
    lock.lock().unwrap();
    let (wanted, done) = (std::fs::read(wanted).unwrap(), dir.join("installed"));
    if std::fs::read(&done).is_ok_and(|known| known == wanted) {
        return Some(dir);
    }
    let output = prepare(&dir).current_dir(&dir).output();
    let why = match output {
        Ok(output) if output.status.success() => {
            std::fs::write(done, wanted).unwrap();
            return Some(dir);
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    skip(&format!("{name} cannot be installed: {why}"));
    None
}

pub(crate) fn run(mut program: Command, asked: &Value) -> Vec<Value> {
    let output = program.arg(asked.to_string()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaint}");
    said.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{said}{complaint}")))
        .collect()
}

fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/builder-sdk")
        .join(file)
}
