//! The one reader of the environment: what is not in the configuration because it is about the process.

/// A variable, where it is set and is text.
pub fn variable(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one reader of the environment"
    )]
    std::env::var(name).ok()
}
