//! What a device calls a key.

use std::fmt;

/// A device's own name for a key, such as an ARN: 1 to 512 printable ASCII characters, no blanks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct DeviceRef(String);

/// The text is not what a device calls a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a device's name for a key has 1 to 512 printable ASCII characters and no blanks")]
pub struct NotADeviceRef;

impl DeviceRef {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for DeviceRef {
    type Err = NotADeviceRef;

    fn from_str(text: &str) -> Result<Self, NotADeviceRef> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for DeviceRef {
    type Error = NotADeviceRef;

    fn try_from(text: String) -> Result<Self, NotADeviceRef> {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if printable && (1..=512).contains(&text.len()) {
            Ok(Self(text))
        } else {
            Err(NotADeviceRef)
        }
    }
}

impl From<DeviceRef> for String {
    fn from(device_ref: DeviceRef) -> Self {
        device_ref.0
    }
}

impl fmt::Display for DeviceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
