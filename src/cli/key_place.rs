//! Where a key is to be and whose, however it comes there; and what is said of it then.

use clap::Args;
use serde_json::Value;

use super::remark;
use crate::keys::Purpose;
use crate::name::Name;

// No doc comment: clap would show it instead of the command's.
#[derive(Debug, Args)]
pub(super) struct KeyPlace {
    /// A name that no other key has.
    pub(super) name: Name,
    /// wallet, client or checkpoint.
    #[arg(long)]
    pub(super) purpose: Purpose,
    /// The [custody.NAME] section of the device.
    #[arg(long)]
    pub(super) backend: Name,
    /// Where the key is used, such as prod.
    #[arg(long)]
    pub(super) environment: Name,
    /// The desk or team.
    #[arg(long)]
    pub(super) owner: Name,
    /// How many days it is in use.
    #[arg(long)]
    pub(super) cryptoperiod_days: Option<u16>,
}

/// Says what may have been mistyped of a new key.
pub(super) fn warn(key: &Value) {
    for warning in key["warnings"].as_array().into_iter().flatten() {
        remark(&format!(
            "warning: {}",
            warning.as_str().unwrap_or_default()
        ));
    }
}
