//! Where a token is, and how it is talked to.

use std::path::PathBuf;

use super::uri::TokenName;
use crate::custody::CustodyError;

/// Where a token is and how to talk to it.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The module: a shared library, such as `/usr/lib/softhsm/libsofthsm2.so`.
    pub module: PathBuf,
    /// The token, as a `pkcs11:` URI (RFC 7512). Either this, or label, serial number or both.
    #[serde(default)]
    pub token: Option<TokenName>,
    /// The token's label.
    #[serde(default)]
    pub token_label: Option<String>,
    /// The token's serial number.
    #[serde(default)]
    pub token_serial: Option<String>,
    /// Whether nothing may be written to the token, so that keys are made elsewhere. A token that is
    /// write-protected is taken so without it.
    #[serde(default)]
    pub read_only: bool,
    /// The file with the user's PIN. A newline at its end is not part of it.
    pub pin_file: PathBuf,
    /// Sessions, each with its thread. One more is kept open and idle. Devices have limits. Unless it is
    /// set, there are as many as processors, but 4 at least and 8 at most.
    #[serde(default = "default_sessions")]
    pub sessions: usize,
    /// How many operations may wait for a session. More are refused as busy.
    #[serde(default = "default_queue")]
    pub queue: usize,
    /// How long an operation may take, waiting included, in milliseconds. Making a key may take longer.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// How long one call into the module may take before it counts as hanging, in milliseconds. More
    /// than the slowest signature, and less than callers wait.
    #[serde(default = "default_call_timeout_ms")]
    pub call_timeout_ms: u64,
    /// Whether the module runs in a process of its own, under p11-kit, where a call that hangs is ended
    /// by killing it.
    #[serde(default)]
    pub isolated: bool,
    /// How many threads may be lost in calls that hang, each replaced by another.
    #[serde(default = "default_replacements")]
    pub replacements: usize,
}

/// A library that computes in our process keeps a processor busy for each session; a device elsewhere has
/// work for several. Small devices have 16, and other replicas and people need some.
fn default_sessions() -> usize {
    std::thread::available_parallelism().map_or(4, |processors| processors.get().clamp(4, 8))
}

fn default_queue() -> usize {
    1024
}

fn default_timeout_ms() -> u64 {
    5000
}

fn default_call_timeout_ms() -> u64 {
    2000
}

fn default_replacements() -> usize {
    4
}

impl Settings {
    /// The token, which has to be named in one way.
    pub(super) fn token(&self) -> Result<TokenName, CustodyError> {
        let (label, serial) = (self.token_label.clone(), self.token_serial.clone());
        let wrong = match (&self.token, &label, &serial) {
            (Some(token), None, None) => return Ok(token.clone()),
            (None, None, None) => "name the token: token, token_label or token_serial",
            (Some(_), ..) => "the token is named twice: token, and token_label or token_serial",
            (None, ..) => return Ok(TokenName::of(label, serial)),
        };
        Err(CustodyError::Refused(wrong.into()))
    }
}
