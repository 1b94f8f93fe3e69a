//! How busy a device is.

/// What is known of that without asking the device. `None`: this kind of device has no such thing, or it was not
/// opened yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// How many sessions the configuration wants.
    pub sessions_wanted: Option<usize>,
    /// How many of them work.
    pub sessions: Option<usize>,
    /// How many calls wait for their turn.
    pub waiting: Option<u64>,
    /// How often the device said that it was too much.
    pub throttled: Option<u64>,
}
