//! Named points at which a test kills the process, to see what is left.
//!
//! They exist in builds with debug assertions only. `CHANCERY_FAIL_POINT=name:n` ends the process,
//! without a word, when the point is passed for the nth time; `name!:n` panics there.

/// Ends the process here if the environment asks for it. Nothing in a release build.
#[macro_export]
macro_rules! fail_point {
    ($name:literal) => {
        #[cfg(debug_assertions)]
        $crate::fail::pass($name);
    };
}

/// The points of the signing path, in the order in which a request passes them.
pub const POINTS: [&str; 12] = [
    "accepted",
    "intent-joined",
    "intent-before-commit",
    "intent-after-commit",
    "intent-told",
    "device-before",
    "device-after",
    "checked",
    "release-joined",
    "release-before-commit",
    "release-after-commit",
    "release-told",
];

/// The points between the steps of an operation on API keys, which passes those above besides.
pub const API_KEY_POINTS: [&str; 13] = [
    "create-signed",
    "create-answered",
    "create-refused",
    "derive-signed",
    "derive-answered",
    "credential-sealed",
    "credential-before-commit",
    "credential-recorded",
    "prove-begun",
    "prove-answered",
    "delete-answered",
    "nothing-came",
    "search-tried",
];

/// The points of a token's fetch, which passes those of the signing path between the first two.
pub const TOKEN_POINTS: [&str; 3] = ["token-leased", "token-signed", "token-fetched"];

/// The points inside the steps of a wallet's rotation, besides those of the frame.
pub const WALLET_ROTATION_POINTS: [&str; 5] = [
    "wallet-credential-made",
    "orders-cancelled",
    "wallet-emptied",
    "wallet-emptied-again",
    "wallet-credentials-deleted",
];

/// The points between the steps of a key's end.
pub const END_OF_KEY_POINTS: [&str; 5] = [
    "reminder-before-commit",
    "destruction-begun",
    "destruction-done",
    "destruction-scheduled",
    "destruction-taken-back",
];

/// The points of a rotation's steps: those of every administrative write, and those around what stands
/// outside of a transaction.
pub const ROTATION_POINTS: [&str; 6] = [
    "rotation-key-planned",
    "rotation-key-made",
    "rotation-probe-begun",
    "rotation-probe-answered",
    "write-before-commit",
    "write-after-commit",
];

/// The points between the steps in which a key is made.
pub const KEY_POINTS: [&str; 2] = ["key-on-record", "key-made"];

/// The points of sealing anew, which passes those of every administrative write besides.
pub const RESEALING_POINTS: [&str; 1] = ["resealed"];

/// The point between a token's new PIN and its file.
pub const PIN_POINTS: [&str; 1] = ["pin-set"];

/// The point between a notice that was sent and its record.
pub const NOTICE_POINTS: [&str; 1] = ["notice-sent"];

/// Passes a point.
///
/// # Panics
/// Where a test wants it.
#[cfg(debug_assertions)]
pub fn pass(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static ARMED: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();
    let armed = ARMED.get_or_init(|| {
        let setting = crate::environment::variable("CHANCERY_FAIL_POINT")?;
        let (point, count) = setting.split_once(':').unwrap_or((&setting, "1"));
        Some((point.to_owned(), AtomicU32::new(count.parse().unwrap_or(1))))
    });
    if let Some((point, left)) = armed
        && point.trim_end_matches('!') == name
        && left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        assert!(!point.ends_with('!'), "a test wants it");
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}
