//! Starting anew with the environment that an isolated PKCS#11 module needs.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Context;

use crate::config::Config;
use crate::custody::Settings;
use crate::custody::pkcs11::isolation::{VARIABLE, address};
use crate::environment;

/// Replaces this process by the same with the variable set, where a module is isolated and it is not
/// set. Called before there is a runtime. What is wrong with the configuration, the command says.
pub(super) fn prepare(config: &Config) -> anyhow::Result<()> {
    let tokens = config.custody.values().filter_map(|custody| match custody {
        Settings::Pkcs11(token) => Some(token),
        _ => None,
    });
    let Some(address) = address(tokens)? else {
        return Ok(());
    };
    if environment::variable(VARIABLE).as_ref() == Some(&address) {
        return Ok(());
    }
    let this = std::env::current_exe()?;
    let error = Command::new(this)
        .args(std::env::args_os().skip(1))
        .env(VARIABLE, address)
        .exec();
    Err(error).context("cannot start anew")
}
