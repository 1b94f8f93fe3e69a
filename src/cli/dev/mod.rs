//! `chancery dev`: a private Postgres and a private token in one directory, for a first look.
//!
//! It promises that nothing listens on a network for the sake of the ledger or the token, that
//! nothing outlives the command, and that a second run finds what the first one made. It **trusts**
//! the directory: who can write there has the ledger, and the keys as well, since the PIN lies
//! beside the token.

pub mod cluster;
pub mod data_dir;
mod server;
pub mod token;

pub use cluster::Cluster;
pub use data_dir::DataDir;
pub use token::SoftToken;

/// A directory with a short path that is gone after the test.
#[cfg(test)]
fn scratch() -> Scratch {
    let path = data_dir::random_name().map(|name| std::path::Path::new("/tmp").join(name));
    let path = path.expect("there is randomness");
    std::fs::create_dir(&path).expect("/tmp can be written");
    Scratch(path)
}

#[cfg(test)]
struct Scratch(std::path::PathBuf);

#[cfg(test)]
impl Scratch {
    fn path(&self) -> &std::path::Path {
        &self.0
    }
}

#[cfg(test)]
impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whether a test can run here. If not it says so, or fails where everything has to run.
#[cfg(test)]
fn can_run(what: &str, present: bool) -> bool {
    if !present {
        let required = std::env::var_os("CHANCERY_REQUIRE_ALL").is_some_and(|value| value == "1");
        assert!(!required, "{what} is not installed");
        println!("skipped: {what} is not installed");
    }
    present
}
