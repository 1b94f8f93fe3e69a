//! How KMS is reached, and how much may be asked of it.

use crate::custody::DeviceRef;

/// How to reach KMS, and how much may be asked of it.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The region, such as `eu-west-1`. Keys of another are refused.
    pub region: String,
    /// Where KMS is, if not where AWS has it: a VPC endpoint, a test. Plain http only to this machine.
    #[serde(default)]
    pub endpoint_url: Option<String>,
    /// A profile of the host's AWS configuration; the default chain of credentials unless it is set.
    #[serde(default)]
    pub profile: Option<String>,
    /// The ARN of the symmetric key under which data keys are wrapped. Without it nothing is sealed here.
    #[serde(default)]
    pub sealing_key: Option<DeviceRef>,
    /// ARNs of former sealing keys, which still open what was sealed under them.
    #[serde(default)]
    pub former_sealing_keys: Vec<DeviceRef>,
    /// How long making a connection may take, in milliseconds.
    #[serde(default = "default_connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// How long one call may take.
    #[serde(default = "default_attempt_timeout_ms")]
    pub attempt_timeout_ms: u64,
    /// How long an operation may take: waiting for its turn and all its attempts.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// How often a call is tried at most.
    #[serde(default = "default_attempts")]
    pub attempts: u32,
    /// Signatures a second with secp256k1 keys: this replica's share of the account's quota.
    #[serde(default = "default_ecc_per_second")]
    pub ecc_per_second: u32,
    /// The same with RSA keys, which KMS counts apart.
    #[serde(default = "default_rsa_per_second")]
    pub rsa_per_second: u32,
    /// How many signatures may wait for their turn, of each kind. More are refused as throttled.
    #[serde(default = "default_queue")]
    pub queue: usize,
    /// How many days KMS keeps a key whose destruction was ordered: 7 to 30.
    #[serde(default = "default_deletion_window_days")]
    pub deletion_window_days: i32,
}

fn default_connect_timeout_ms() -> u64 {
    500
}

fn default_attempt_timeout_ms() -> u64 {
    1_000
}

fn default_timeout_ms() -> u64 {
    3_000
}

fn default_attempts() -> u32 {
    3
}

fn default_ecc_per_second() -> u32 {
    250
}

fn default_rsa_per_second() -> u32 {
    400
}

fn default_queue() -> usize {
    512
}

fn default_deletion_window_days() -> i32 {
    30
}
